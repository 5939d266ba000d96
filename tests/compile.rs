//! Programs that must not compile, and the messages of the compiler.
//!
//! The messages are those of Rust 1.95. The tests fail with another compiler that words them
//! differently, and show both texts.

#[test]
fn programs_that_must_not_compile_do_not() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/compile/*.rs");
    // With the standard library's `File`, the message names the missing feature.
    #[cfg(not(feature = "std"))]
    cases.compile_fail("tests/compile/without_std/*.rs");
}
