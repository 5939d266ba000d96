//! Checks at compile time that `build.rs` passes the link arguments that a program needs.

/// Rejects a program that would crash at startup because of its link arguments.
///
/// `list` is the value of the environment variable `BAREMAP_LINK`, which `baremap-build` sets for
/// the compiler. It lists the binaries whose link arguments `build.rs` emits, as `KIND:NAME`
/// separated by spaces. The kind is `pie` or `bare`, and the name `*` matches every binary.
/// `program` is the name of the binary, or `None` if it is unknown. `bare` is whether the binary
/// uses `entry!(main, bare)`.
///
/// # Panics
///
/// Panics in these cases. In a constant, a panic is a compile error.
///
/// * `list` is `None`: `build.rs` does not call `baremap-build`.
/// * No entry of `list` matches `program`.
/// * `bare` is true, and the kind of the first matching entry is not `bare`.
pub const fn check_linked(list: Option<&str>, program: Option<&str>, bare: bool) {
    let Some(list) = list else {
        panic!(
            "the program is linked as if it had a standard library: add the crate baremap-build \
             to [build-dependencies], and call `baremap_build::freestanding()` in build.rs"
        );
    };
    let program = match program {
        Some(program) => program.as_bytes(),
        None => b"*",
    };
    match kind_of(list.as_bytes(), program) {
        Some(kind) if bare && !is_equal(kind, b"bare") => panic!(
            "the program is linked position independent, but with `entry!(main, bare)` it does \
             not relocate itself: name it in build.rs with `Freestanding::bare_bin`"
        ),
        Some(_) => {}
        None => panic!(
            "build.rs names other programs: add the name of this one with `Freestanding::bin`"
        ),
    }
}

/// Returns the kind of the first entry whose name is `program` or `*`.
const fn kind_of<'a>(mut list: &'a [u8], program: &[u8]) -> Option<&'a [u8]> {
    while !list.is_empty() {
        let (entry, rest) = split(list, b' ');
        let (kind, name) = split(entry, b':');
        if is_equal(name, b"*") || is_equal(name, program) {
            return Some(kind);
        }
        list = rest;
    }
    None
}

/// Splits `text` at the first occurrence of the byte `at`, which is in neither part. If `text` does
/// not contain the byte, the second part is empty.
const fn split(text: &[u8], at: u8) -> (&[u8], &[u8]) {
    let mut index = 0;
    while index < text.len() {
        if text[index] == at {
            return (text.split_at(index).0, text.split_at(index + 1).1);
        }
        index += 1;
    }
    (text, &[])
}

/// Compares two byte slices. In constants, the operator `==` compares only primitive types.
const fn is_equal(a: &[u8], b: &[u8]) -> bool {
    let mut index = 0;
    while index < a.len() && index < b.len() && a[index] == b[index] {
        index += 1;
    }
    index == a.len() && index == b.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_is_that_of_the_programs_name() {
        let list = b"pie:one bare:two pie:twofold";
        for (name, kind) in [("one", Some("pie")), ("two", Some("bare")), ("tw", None)] {
            assert_eq!(kind_of(list, name.as_bytes()), kind.map(str::as_bytes), "{name}");
        }
        assert_eq!(kind_of(b"pie:*", b"any"), Some(&b"pie"[..]));
        assert_eq!(kind_of(b"", b"any"), None);
    }

    #[test]
    fn a_program_that_is_linked_right_passes() {
        check_linked(Some("pie:*"), Some("any"), false);
        check_linked(Some("pie:*"), None, false);
        check_linked(Some("pie:one bare:two"), Some("two"), true);
        // `entry!(main)` also works at a fixed address, because `relocate` then does nothing.
        check_linked(Some("bare:two"), Some("two"), false);
    }

    #[test]
    #[should_panic(expected = "build.rs names other programs")]
    fn a_program_that_is_not_named_fails() {
        check_linked(Some("pie:one"), Some("two"), false);
    }

    #[test]
    #[should_panic(expected = "bare_bin")]
    fn a_bare_program_that_is_position_independent_fails() {
        check_linked(Some("pie:*"), Some("tiny"), true);
    }
}
