//! Links the examples without a standard library.

use baremap_build::Freestanding;

fn main() {
    let examples = Freestanding::new()
        // The tests run programs of both kinds: those of mapcp are packed.
        .packed_relocations(false)
        .bare_bin("tiny-copy");
    ["anonymous", "cat", "conformance", "init", "jit", "layout", "nothing", "words", "write"]
        .into_iter()
        .fold(examples, Freestanding::bin)
        .emit();
}
