//! A user's program, made from `template/`: its output, its exit status, and the messages for a
//! forgotten step.
//!
//! `cargo xtask template` builds the unchanged template, from the packages and for other
//! architectures.

mod common;

use std::{
    env, fs,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Output},
};

use common::{Scratch, outcome};

/// `use baremap::*` does not shadow names of the standard library.
mod glob {
    #[allow(unused_imports, reason = "what matters is that nothing is ambiguous")]
    use baremap::*;

    #[test]
    fn a_glob_import_does_not_shadow_macros_of_std() {
        print!("");
        println!();
        eprint!("");
        eprintln!();
    }
}

/// A copy of the template with some replaced text.
struct Package {
    dir: Scratch,
}

impl Package {
    fn new(test: &str, replacements: &[(&str, &str, &str)]) -> Package {
        let dir = Scratch::new(test);
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("template");
        fs::create_dir(dir.path("src")).unwrap();
        for name in ["Cargo.toml", "build.rs", "src/main.rs", "src/lib.rs"] {
            let mut text = fs::read_to_string(template.join(name)).unwrap();
            if name == "Cargo.toml" {
                // The package is inside of another workspace here. It shares its target directory
                // with other packages, which cargo tells apart by their names.
                text = text.replacen("\"hello\"", &format!("\"{test}\""), 1);
                text.push_str("\n[lib]\nname = \"hello\"\n\n[workspace]\n");
            }
            for (_, old, new) in replacements.iter().filter(|&&(file, ..)| file == name) {
                assert!(text.contains(old), "{name} has no {old}");
                text = text.replace(old, new);
            }
            dir.file(name, text);
        }
        // The versions that this package was tested with, which cargo need not download.
        let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
        fs::copy(lock, dir.path("Cargo.lock")).unwrap();
        Package { dir }
    }

    /// Runs cargo with the crates of this workspace. All packages share the compiled crates.
    fn cargo(&self, arguments: &[&str]) -> Output {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(arguments).arg("--offline").current_dir(self.dir.path("."));
        for (name, dir) in [("baremap", ""), ("baremap-build", "/baremap-build")] {
            let root = env!("CARGO_MANIFEST_DIR");
            cargo.arg("--config").arg(format!("patch.crates-io.{name}.path='{root}{dir}'"));
        }
        cargo.env("CARGO_TARGET_DIR", Self::target_dir());
        cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
        // Cargo passes the variables of this package's build script on to its tests.
        cargo.env_remove("BAREMAP_LINK");
        cargo.output().unwrap()
    }

    fn target_dir() -> String {
        concat!(env!("CARGO_TARGET_TMPDIR"), "/first-program").to_owned()
    }
}

/// Returns the errors of a failed cargo command, one line each.
fn errors(output: &Output) -> Vec<String> {
    let (_, text, status) = outcome(output);
    assert_ne!(status, Some(0), "{text}");
    let is_error = |line: &&str| line.starts_with("error") && !line.contains("could not compile");
    text.lines().filter(is_error).map(str::to_owned).collect()
}

fn assert_only_error(output: &Output, message: &str) {
    let errors = errors(output);
    assert!(errors.len() == 1 && errors[0].contains(message), "not `{message}`: {errors:#?}");
}

#[test]
fn forgotten_link_arguments_are_an_error() {
    let package =
        Package::new("no-link-arguments", &[("build.rs", "baremap_build::freestanding();", "")]);
    let message = "call `baremap_build::freestanding()` in build.rs";
    assert_only_error(&package.cargo(&["build"]), message);
}

#[test]
fn a_forgotten_panic_abort_is_an_error() {
    let package =
        Package::new("no-panic-abort", &[("Cargo.toml", "panic = \"abort\"", "# unwinds")]);
    // The compiler adds an error that recommends a nightly toolchain.
    let errors = errors(&package.cargo(&["build"]));
    assert!(errors[0].contains("write `panic = \"abort\"` under [profile.dev]"), "{errors:#?}");
}

#[test]
fn a_forgotten_test_false_is_an_error() {
    let package = Package::new("no-test-false", &[("Cargo.toml", "test = false", "test = true")]);
    assert_only_error(&package.cargo(&["test"]), "put tests into src/lib.rs");
}

/// A test of a freestanding program would crash at its start, so it must not compile.
#[test]
fn tests_of_the_program_are_an_error_of_the_linker() {
    let package = Package::new(
        "obvious-fix",
        &[
            ("Cargo.toml", "test = false", "test = true"),
            ("src/main.rs", "#![no_std]", "#![cfg_attr(not(test), no_std)]"),
            ("src/main.rs", "#![no_main]", "#![cfg_attr(not(test), no_main)]"),
            ("src/main.rs", "baremap::entry!(main)", "#[cfg(not(test))]\nbaremap::entry!(main)"),
        ],
    );
    let (_, text, status) = outcome(&package.cargo(&["test"]));
    assert_ne!(status, Some(0));
    assert!(text.contains("linking with `cc` failed") && text.contains("_start"), "{text}");
}

#[test]
fn a_program_that_build_rs_does_not_name_is_an_error() {
    let named = "baremap_build::Freestanding::new().bin(\"other\").emit();";
    let package = Package::new(
        "not-named",
        &[
            ("build.rs", "baremap_build::freestanding();", named),
            // Cargo knows the names of the binaries.
            ("Cargo.toml", "[profile.dev]", "[[bin]]\nname = \"other\"\n\n[profile.dev]"),
        ],
    );
    fs::create_dir(package.dir.path("src/bin")).unwrap();
    package.dir.file("src/bin/other.rs", "fn main() {}\n");
    let message = "add the name of this one with `Freestanding::bin`";
    assert_only_error(&package.cargo(&["build", "--bin", "hello"]), message);
}

#[test]
fn a_bare_program_that_is_linked_to_be_relocated_is_an_error() {
    let package =
        Package::new("not-bare", &[("src/main.rs", "entry!(main)", "entry!(main, bare)")]);
    assert_only_error(&package.cargo(&["build"]), "with `Freestanding::bare_bin`");
}

#[test]
fn a_main_that_returns_anything_else_is_an_error() {
    let package = Package::new("returns-a-number", &[("src/main.rs", "Result<(), Errno>", "u8")]);
    let (_, errors, _) = outcome(&package.cargo(&["check", "--bins"]));
    assert!(errors.contains("`main` cannot return `u8`"), "{errors}");
}

/// Builds a package with one program, and runs it.
fn run(name: &str, body: &str, release: bool) -> Output {
    let head = "#![no_std]\n#![no_main]\n#![allow(unused_imports)]\n\
                use baremap::{rt::{ExitCode, Start, println}, syscall::{self, Errno, Signal}};\n\
                baremap::entry!(main);\n";
    let bin = format!("[[bin]]\nname = \"{name}\"");
    let package = Package::new(name, &[("Cargo.toml", "[[bin]]\nname = \"hello\"", &bin)]);
    package.dir.file("src/main.rs", format!("{head}{body}"));
    let mut arguments = vec!["build"];
    arguments.extend(release.then_some("--release"));
    let build = package.cargo(&arguments);
    assert!(build.status.success(), "{}", outcome(&build).1);
    let profile = if release { "release" } else { "debug" };
    Command::new(format!("{}/{profile}/{name}", Package::target_dir())).output().unwrap()
}

#[test]
fn main_may_return_a_result() {
    let body = "fn main(_: Start) -> Result<(), Errno> { Err(Errno::ENOENT) }";
    let output = run("fails", body, false);
    let (printed, errors, status) = outcome(&output);
    assert_eq!((printed.as_str(), status), ("", Some(1)));
    assert_eq!(errors, "fails: No such file or directory (ENOENT)\n");

    let body = "fn main(_: Start) -> Result<ExitCode, &'static str> { Ok(ExitCode(7)) }";
    assert_eq!(outcome(&run("seven", body, false)), (String::new(), String::new(), Some(7)));
}

#[test]
fn main_may_never_return() {
    let body = "fn main(_: Start) -> ! { syscall::exit_group(5) }";
    assert_eq!(outcome(&run("never", body, false)), (String::new(), String::new(), Some(5)));
}

#[test]
fn a_panic_names_the_program_and_the_line() {
    let body = "fn main(_: Start) {\n    panic!(\"with {}\", 7)\n}";
    let output = run("panics", body, false);
    assert_eq!(outcome(&output).1, "panics: panicked at src/main.rs:7:5: with 7\n");
    assert_eq!(output.status.signal(), Some(libc::SIGABRT));
}

#[test]
fn a_stack_overflow_is_one_line_in_a_debug_build() {
    const BODY: &str = "
        fn main(_: Start) { println!(\"{}\", deeper(1)) }
        #[inline(never)]
        fn deeper(depth: usize) -> usize {
            let frame = core::hint::black_box([depth as u8; 3000]);
            if depth == usize::MAX { 0 } else { deeper(depth + 1) + usize::from(frame[depth % 9]) }
        }";
    let output = run("deep", BODY, false);
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV));
    assert_eq!(outcome(&output).1, "deep: stack overflow\n");
    // A release build has no handler for stack overflows.
    let output = run("deep", BODY, true);
    assert_eq!((output.status.signal(), outcome(&output).1), (Some(libc::SIGSEGV), String::new()));
}

#[test]
fn another_fault_is_no_stack_overflow() {
    let wild = "fn main(_: Start) {
        // SAFETY: none, that is the point.
        let byte = unsafe { core::ptr::without_provenance::<u8>(0x1234).read_volatile() };
        println!(\"{byte}\");
    }";
    let sent = "fn main(_: Start) {
        syscall::kill(syscall::getpid(), Some(Signal::SEGV)).unwrap();
        println!(\"still here\");
    }";
    for (name, body) in [("wild", wild), ("sent", sent)] {
        let output = run(name, body, false);
        assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{name}");
        assert_eq!(outcome(&output), (String::new(), String::new(), None), "{name}");
    }
}
