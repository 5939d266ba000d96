//! The library as it is installed, and programs in C that are linked with it.
#![allow(dead_code, reason = "not every test uses all of it")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

/// Returns the prefix of an installation that this test has made.
pub fn installed() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let prefix = temporary("installed");
        let mut xtask = Command::new(env!("CARGO"));
        xtask.args(["run", "--quiet", "-p", "xtask", "--", "libbaremap", "--prefix"]).arg(&prefix);
        // Flags of the test itself, such as a sanitizer's, are not for the library.
        xtask.current_dir(root()).env_remove("RUSTFLAGS").env_remove("CARGO_TARGET_DIR");
        succeed(&mut xtask);
        prefix
    })
}

/// Returns a path that belongs to this test program alone.
pub fn temporary(name: &str) -> PathBuf {
    let program = env::current_exe().expect("this program has a path");
    let name_and_hash = program.file_stem().and_then(|name| name.to_str()).expect("and a name");
    let program = name_and_hash.rsplit_once('-').map_or(name_and_hash, |(name, _)| name);
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(program);
    fs::create_dir_all(&dir).expect("the directory for tests can be written to");
    dir.join(name)
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a directory of the workspace")
}

/// Runs a program that has to succeed.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let [text, errors] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{command:?}: {}\n{text}\n{errors}", output.status);
    output
}

/// How a program is compiled, linked and run.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    pub name: &'static str,
    compiler: &'static str,
    flags: &'static [&'static str],
    /// Whether the static library is linked.
    is_static: bool,
    runner: &'static [&'static str],
    /// The package of Debian's that has the compiler or the runner.
    package: &'static str,
}

const fn gcc(name: &'static str, flags: &'static [&'static str], is_static: bool) -> Variant {
    Variant { name, compiler: "gcc", flags, is_static, runner: &[], package: "gcc" }
}

pub const VARIANTS: &[Variant] = &[
    gcc("glibc", &["-O2"], false),
    gcc("glibc, static library", &["-O2"], true),
    gcc("glibc, static program", &["-O2", "-static"], true),
    Variant { compiler: "musl-gcc", package: "musl-tools", ..gcc("musl", &["-O2"], false) },
    Variant {
        compiler: "musl-gcc",
        package: "musl-tools",
        ..gcc("musl, static program", &["-O2", "-static"], true)
    },
    Variant {
        runner: &["valgrind", "--quiet"],
        package: "valgrind",
        ..gcc("valgrind", &["-g"], false)
    },
    gcc("address sanitizer", &["-g", "-fsanitize=address,undefined"], false),
];

impl Variant {
    /// Compiles sources in C, and returns the path of the program.
    pub fn compile(&self, name: &str, sources: &[&Path], flags: &[&str]) -> PathBuf {
        let name: String =
            format!("{name}-{}", self.name).replace(|c: char| !c.is_alphanumeric(), "-");
        let program = temporary(&name);
        let lib = installed().join("lib");
        let mut compile = Command::new(self.compiler);
        compile.args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]);
        compile.args(self.flags).args(flags).args(sources).arg("-o").arg(&program);
        compile.arg("-I").arg(installed().join("include"));
        if self.is_static {
            compile.arg(lib.join("libbaremap.a"));
        } else {
            compile
                .arg("-L")
                .arg(&lib)
                .arg("-lbaremap")
                .arg(format!("-Wl,-rpath,{}", lib.display()));
        }
        compile.arg("-pthread");
        assert!(self.exists(self.compiler), "{self:?}: run: apt-get install {}", self.package);
        succeed(&mut compile);
        program
    }

    /// Returns a command that runs a program.
    pub fn command(&self, program: &Path) -> Command {
        let Some((runner, arguments)) = self.runner.split_first() else {
            return Command::new(program);
        };
        assert!(self.exists(runner), "{self:?}: run: apt-get install {}", self.package);
        let mut command = Command::new(runner);
        command.args(arguments).arg(program);
        command
    }

    fn exists(&self, program: &str) -> bool {
        Command::new(program).arg("--version").output().is_ok()
    }
}
