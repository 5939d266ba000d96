//! What must not compile, and what the compiler says of it.
//!
//! The texts are those of Rust 1.95. Where another says it in other words the tests fail, and show
//! both: none is skipped.

#[test]
fn what_must_not_compile_does_not() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/compile/*.rs");
    // Files of the standard library: the message names the feature that is missing.
    #[cfg(not(feature = "std"))]
    cases.compile_fail("tests/compile/without_std/*.rs");
}
