//! Emits the arguments for linking the examples without a standard library.

use baremap_build::Freestanding;

fn main() {
    let examples = Freestanding::new()
        // `mapcp` has packed relocations (DT_RELR). The examples do not, so that the tests run both
        // kinds of relocation tables.
        .packed_relocations(false)
        .bare_bin("tiny-copy");
    [
        "anonymous",
        "cat",
        "conformance",
        "init",
        "jit",
        "layout",
        "nothing",
        "parallel-sum",
        "words",
        "write",
    ]
    .into_iter()
    .fold(examples, Freestanding::bin)
    .emit();
}
