//! What must not compile, and what the compiler says of it.
//!
//! The texts are those of the Rust that `Cargo.toml` names. Where another says it in other
//! words the tests fail, and show both: none is skipped.

#[test]
fn what_must_not_compile_does_not() {
    trybuild::TestCases::new().compile_fail("tests/compile/*.rs");
}
