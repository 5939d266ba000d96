//! The installed files: the header for C and C++, and what pkg-config says.

mod common;

use std::{env, fs, path::Path, process::Command};

use common::{installed, root, succeed, temporary};

/// Compiles a source that only includes the header.
fn compile(compiler: &str, arguments: &[&str], extension: &str) {
    let source = temporary(&format!("header.{extension}"));
    fs::write(&source, "#include <baremap.h>\nint main(void) { return baremap_version() == 0; }\n")
        .unwrap();
    let mut compile = Command::new(compiler);
    compile.args(arguments).args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]);
    succeed(compile.arg("-I").arg(installed().join("include")).arg(source));
}

#[test]
fn the_header_compiles_by_itself() {
    for standard in ["-std=c99", "-std=c11", "-std=gnu17"] {
        compile("gcc", &[standard], "c");
    }
    compile("musl-gcc", &["-std=c99"], "c");
    for standard in ["-std=c++11", "-std=c++20"] {
        compile("g++", &[standard], "cc");
    }
}

#[test]
fn pkg_config_finds_the_library() {
    let lib = installed().join("lib");
    let ask = |arguments: &[&str]| {
        let mut pkg_config = Command::new("pkg-config");
        pkg_config.args(arguments).env("PKG_CONFIG_PATH", lib.join("pkgconfig"));
        String::from_utf8(succeed(&mut pkg_config).stdout).unwrap()
    };
    assert_eq!(ask(&["--modversion", "baremap"]).trim(), env!("CARGO_PKG_VERSION"));
    let flags = ask(&["--cflags", "--libs", "baremap"]);

    let program = temporary("pkg-config");
    let source = temporary("pkg-config.c");
    fs::write(&source, "#include <baremap.h>\nint main(void) { return baremap_install(); }\n")
        .unwrap();
    let mut gcc = Command::new("gcc");
    succeed(gcc.arg(source).arg("-o").arg(&program).args(flags.split_whitespace()));
    succeed(Command::new(&program).env("LD_LIBRARY_PATH", &lib));
}

/// A package is made in another directory than the one that it is installed to.
#[test]
fn the_directories_are_those_of_a_distribution() {
    let destdir = temporary("destdir");
    let _ = fs::remove_dir_all(&destdir);
    let mut xtask = Command::new(env!("CARGO"));
    xtask.args(["run", "--quiet", "-p", "xtask", "--", "libbaremap", "--prefix", "/usr"]);
    xtask.args(["--libdir", "lib/x86_64-linux-gnu", "--destdir"]).arg(&destdir);
    succeed(xtask.current_dir(root()).env_remove("RUSTFLAGS").env_remove("CARGO_TARGET_DIR"));
    let lib = destdir.join("usr/lib/x86_64-linux-gnu");
    let shared = concat!("libbaremap.so.", env!("CARGO_PKG_VERSION"));
    for link in ["libbaremap.so", "libbaremap.so.0"] {
        assert_eq!(fs::read_link(lib.join(link)).unwrap(), Path::new(shared));
    }
    for file in [lib.join("libbaremap.a"), destdir.join("usr/include/baremap.h")] {
        assert!(file.is_file(), "{}", file.display());
    }
    let text = fs::read_to_string(lib.join("pkgconfig/baremap.pc")).unwrap();
    assert!(text.starts_with("prefix=/usr\nlibdir=/usr/lib/x86_64-linux-gnu\n"), "{text}");
}
