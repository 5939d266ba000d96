//! Two versions of this crate in one process: as dependencies of one program, as two static
//! libraries, and as two shared ones. Each has a fault handler of its own, and chains to the
//! other's.

mod common;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use common::run;

/// A library that uses its own version of the crate, and whose functions have names of their own.
const LIBRARY: &str = r#"
use baremap::{fd::AsFd, map::{FileMap, guard}, syscall};

#[unsafe(no_mangle)]
pub extern "C" fn NAME_install() {
    guard::install().unwrap();
}

/// Reads beyond the end of a file, by copying and in a slice: 0 if both are errors.
#[unsafe(no_mangle)]
pub extern "C" fn NAME_survives() -> i32 {
    let fd = syscall::memfd_create(c"NAME", syscall::MemfdFlags::empty()).unwrap();
    syscall::ftruncate(fd.as_fd(), 5000).unwrap();
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd));
    let file = std::fs::File::options().write(true).open(path).unwrap();
    let map = FileMap::new(fd).unwrap();
    let mut buffer = [1; 10];
    assert_eq!(map.read_at(&mut buffer, 4990), Ok(10));
    // SAFETY: nobody else has the file, and it becomes shorter by whole pages.
    let slice = unsafe {
        map.with_slice(|bytes| {
            file.set_len(0).unwrap();
            std::hint::black_box(bytes[4500])
        })
    };
    i32::from(slice.is_ok()) + 2 * i32::from(map.read_at(&mut buffer, 0).is_ok())
}
"#;

/// Installs both handlers, in the order that the argument requests, and makes both handle a fault.
const PROGRAM: &str = r#"
unsafe extern "C" {
    safe fn one_install();
    safe fn one_survives() -> i32;
    safe fn two_install();
    safe fn two_survives() -> i32;
    safe fn raise(signal: i32) -> i32;
}

fn main() {
    let mut install = [one_install as extern "C" fn(), two_install];
    if std::env::args().nth(1).unwrap() == "21" {
        install.reverse();
    }
    install.iter().for_each(|install| install());
    for round in 0..3 {
        assert_eq!((one_survives(), two_survives()), (0, 0));
        // The standard library's handler, which both chain to, resets the action the first time,
        // and returns.
        const SIGBUS: i32 = 7;
        if round == 0 {
            assert_eq!(raise(SIGBUS), 0);
        }
    }
    println!("both survive");
}
"#;

/// The program in C, for libraries that are linked by their files.
const C_PROGRAM: &str = r#"
#include <stdio.h>
#include <string.h>
void one_install(void), two_install(void);
int one_survives(void), two_survives(void);
int main(int count, char **words) {
    int reverse = count > 1 && !strcmp(words[1], "21");
    reverse ? two_install() : one_install();
    reverse ? one_install() : two_install();
    for (int time = 0; time < 3; time++)
        if (one_survives() || two_survives())
            return 1;
    puts("both survive");
    return 0;
}
"#;

/// Returns the manifest of a copy: the library alone, with its features and dependencies.
fn manifest_of_a_copy(version: &str) -> String {
    let package = format!("[package]\nname = \"baremap\"\nversion = \"{version}\"\n");
    let text = include_str!("../Cargo.toml");
    let sections = text.split("\n[").filter(|section| {
        let name = section.split(']').next().unwrap();
        name == "features" || name == "dependencies" || name.ends_with(".dependencies")
    });
    sections.fold(package + "edition = \"2024\"\n", |text, section| text + "\n[" + section)
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Writes two copies of the crate, two libraries, and a program that uses both.
fn sources() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("two-copies");
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    for (name, version) in [("one", "0.1.0"), ("two", "0.1.1")] {
        let copy = dir.join(format!("baremap-of-{name}"));
        let _ = fs::remove_dir_all(&copy);
        for part in ["src", "arch", "docs"] {
            copy_dir(&root.join(part), &copy.join(part));
        }
        for part in ["README.md", "CHANGELOG.md"] {
            fs::copy(root.join(part), copy.join(part)).unwrap();
        }
        fs::write(copy.join("Cargo.toml"), manifest_of_a_copy(version)).unwrap();
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2024\"\n\
             [lib]\ncrate-type = [\"lib\", \"staticlib\", \"cdylib\"]\n\
             [dependencies]\nbaremap = {{ path = \"../baremap-of-{name}\", \
             default-features = false, features = [\"std\"] }}\n"
        );
        write(&format!("{name}/Cargo.toml"), &manifest);
        write(&format!("{name}/src/lib.rs"), &LIBRARY.replace("NAME", name));
    }
    let manifest = "[package]\nname = \"both\"\nversion = \"1.0.0\"\nedition = \"2024\"\n\
                    [dependencies]\none = { path = \"../one\" }\ntwo = { path = \"../two\" }\n";
    write("both/Cargo.toml", manifest);
    write("both/src/main.rs", &format!("use {{one as _, two as _}};\n{PROGRAM}"));
    write("main.c", C_PROGRAM);
    let workspace = "[workspace]\nresolver = \"3\"\nmembers = [\"one\", \"two\", \"both\"]\n\
                     exclude = [\"baremap-of-one\", \"baremap-of-two\"]\n";
    write("Cargo.toml", workspace);
    fs::copy(root.join("Cargo.lock"), dir.join("Cargo.lock")).unwrap();
    dir
}

/// Returns the directory of the sources, in which everything is built.
fn built() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let dir = sources();
        cargo(&dir, &["--workspace"], "off");
        dir
    })
}

fn cargo(dir: &Path, arguments: &[&str], lto: &str) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--offline", "--target-dir", "target"]).args(arguments);
    cargo.env("CARGO_PROFILE_RELEASE_LTO", lto).env_remove("RUSTFLAGS");
    run(cargo.current_dir(dir));
}

/// Runs a program that installs the handlers in one order and in the other.
fn in_both_orders(program: &Path) {
    for order in ["12", "21"] {
        let output = Command::new(program).arg(order).output().unwrap();
        assert!(
            output.status.success() && output.stdout == b"both survive\n",
            "{}, order {order}: {output:?}",
            program.display()
        );
    }
}

/// Links the C program with files, and runs it.
fn link_and_run(name: &str, libraries: &[&str]) {
    let dir = built().join("target/debug");
    let program = dir.join(name);
    let mut link = Command::new("cc");
    link.arg(built().join("main.c")).arg("-o").arg(&program).args(libraries);
    link.args(["-lpthread", "-ldl", "-lm", "-lgcc_s", "-Wl,-rpath,$ORIGIN"]);
    run(link.current_dir(&dir));
    in_both_orders(&program);
}

#[test]
fn two_versions_in_one_program_handle_their_own_faults() {
    in_both_orders(&built().join("target/debug/both"));
    // With link-time optimisation, the compiler assembles all of a program's assembly at once.
    cargo(built(), &["--release", "--package", "both"], "fat");
    in_both_orders(&built().join("target/release/both"));
}

#[test]
fn two_static_libraries_handle_their_own_faults() {
    link_and_run("with-static", &["libone.a", "libtwo.a"]);
}

#[test]
fn two_shared_libraries_handle_their_own_faults() {
    link_and_run("with-shared", &["libone.so", "libtwo.so"]);
}
