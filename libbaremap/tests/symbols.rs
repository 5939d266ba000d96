//! What the libraries define and need, by their symbols.

mod common;

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use common::{installed, succeed, temporary};
use object::{
    Object, ObjectSymbol, SymbolScope,
    elf::{DF_1_NODELETE, DT_FLAGS_1, DT_NEEDED, DT_SONAME, PT_TLS},
    read::{
        archive::ArchiveFile,
        elf::{Dyn, ElfFile64, ProgramHeader},
    },
};

/// What the C library of the program defines. `bcmp`, `memcmp` and `strlen` are what a compiler
/// may call beside those that are called now.
const NEEDED: &[&str] =
    &["bcmp", "free", "malloc", "memcmp", "memcpy", "memmove", "memset", "strlen"];

/// Returns the functions that the header declares.
fn declared() -> BTreeSet<String> {
    let header = fs::read_to_string(installed().join("include/baremap.h")).unwrap();
    // Not those that a comment names.
    let code = header.split("/*").map(|part| part.split_once("*/").map_or(part, |(_, code)| code));
    let code: String = code.collect();
    let words = code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '('));
    let names = words.filter_map(|word| word.split_once('(').map(|(name, _)| name.to_owned()));
    names.filter(|name| name.starts_with("baremap_")).collect()
}

#[test]
fn the_shared_library_exports_the_functions_of_the_header_and_needs_no_library() {
    let bytes = fs::read(installed().join("lib/libbaremap.so")).unwrap();
    let file = ElfFile64::<object::Endianness>::parse(&*bytes).unwrap();
    let names = |defined: bool| -> BTreeSet<String> {
        let symbols = file.dynamic_symbols().filter(|symbol| symbol.is_undefined() != defined);
        symbols.map(|symbol| symbol.name().unwrap().to_owned()).filter(|n| !n.is_empty()).collect()
    };
    assert!(declared().len() > 30, "{:?}", declared());
    assert_eq!(names(true), declared());
    for name in names(false) {
        assert!(NEEDED.contains(&&*name), "{name} is needed");
    }

    let endian = file.endian();
    for header in file.elf_program_headers() {
        assert_ne!(header.p_type(endian), PT_TLS, "there are thread-local variables");
    }
    let mut headers = file.elf_program_headers().iter();
    let dynamic = headers.find_map(|header| header.dynamic(endian, &*bytes).unwrap()).unwrap();
    let entry = |tag| dynamic.iter().find(|entry| entry.d_tag(endian) == tag);
    assert!(entry(DT_SONAME).is_some());
    assert!(entry(DT_NEEDED).is_none());
    let flags = entry(DT_FLAGS_1).map_or(0, |entry| entry.d_val(endian));
    assert_ne!(flags & DF_1_NODELETE.0, 0, "dlclose would unmap the signal handler");
}

#[test]
fn the_static_library_defines_the_functions_of_the_header_and_nothing_else() {
    let bytes = fs::read(installed().join("lib/libbaremap.a")).unwrap();
    let archive = ArchiveFile::parse(&*bytes).unwrap();
    let mut defined = BTreeSet::new();
    for member in archive.members() {
        let data = member.unwrap().data(&*bytes).unwrap();
        let file = ElfFile64::<object::Endianness>::parse(data).unwrap();
        for symbol in file.symbols().filter(|symbol| symbol.is_global()) {
            let name = symbol.name().unwrap();
            if symbol.is_undefined() {
                assert!(NEEDED.contains(&name), "{name} is needed");
            } else {
                assert_ne!(symbol.scope(), SymbolScope::Compilation);
                defined.insert(name.to_owned());
            }
        }
        let thread_local = file.sections().any(|section| {
            use object::ObjectSection;
            section.name().is_ok_and(|name| name.starts_with(".tdata") || name.starts_with(".tbss"))
        });
        assert!(!thread_local, "there are thread-local variables");
    }
    assert_eq!(defined, declared());
}

/// A static library in Rust that contains the standard library, `compiler_builtins` included.
const OTHER: &str = r#"
#[unsafe(no_mangle)]
pub extern "C" fn other(count: usize) -> usize {
    let text: Vec<String> = (0..count).map(|number| (number as u128 * 3 / 7).to_string()).collect();
    text.concat().len()
}
"#;

const BOTH: &str = r#"
#include <baremap.h>
#include <stdio.h>
size_t other(size_t count);
int main(void) {
    char byte;
    printf("%zu %zd\n", other(10), baremap_read(&byte, (void *)1, 1));
}
"#;

#[test]
fn another_static_library_in_rust_can_be_linked_beside_it() {
    let (rust, c) = (temporary("other.rs"), temporary("both.c"));
    fs::write(&rust, OTHER).unwrap();
    fs::write(&c, BOTH).unwrap();
    let other = temporary("libother.a");
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition=2024", "--crate-type=staticlib", "-Copt-level=2", "-o"]);
    succeed(rustc.arg(&other).arg(&rust));
    let ours = installed().join("lib/libbaremap.a");
    let orders: [[&Path; 2]; 2] = [[&other, &ours], [&ours, &other]];
    for order in orders {
        let program = temporary("both");
        let mut gcc = Command::new("gcc");
        gcc.arg("-I").arg(installed().join("include")).arg(&c).arg("-o").arg(&program);
        // All of both, so that a symbol that both define is an error.
        gcc.arg("-Wl,--whole-archive").args(order).arg("-Wl,--no-whole-archive");
        gcc.args(["-pthread", "-ldl", "-lm", "-lgcc_s"]);
        succeed(&mut gcc);
        let output = succeed(&mut Command::new(&program));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "10 -14\n");
    }
}
