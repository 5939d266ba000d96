//! Emits the link arguments of freestanding programs that use baremap, from `build.rs`.
//!
//! ```no_run
//! // In `main` of build.rs:
//! baremap_build::freestanding();
//! ```
//!
//! [`freestanding`] has every binary of the package linked without start files and libraries,
//! static and position independent. [`Freestanding`] selects individual binaries. Libraries,
//! examples and integration tests of the package are linked as usual. A freestanding binary cannot
//! have unit tests: write `test = false` under its `[[bin]]`.
//!
//! The linker can be GNU ld or lld, directly or through a C compiler. gold rejects the packed
//! relocations that are the default: see [`Freestanding::packed_relocations`]. For a musl target,
//! rustc must be called with `-Clink-self-contained=no`, because it adds musl's start files
//! otherwise. A build without this flag prints a warning.
//!
//! On mips and mips64, where inline assembly is unstable, the build script sets
//! `cfg(baremap_unstable_asm)`. A program for these architectures begins with
//! `#![cfg_attr(baremap_unstable_asm, feature(asm_experimental_arch))]`.
//!
//! The macro `entry!` of baremap checks at compile time that `build.rs` has emitted the arguments
//! for the program. Without them, the program would crash at startup.

#![warn(missing_docs)]

use std::{
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Emits the link arguments for every binary of the package: static and position independent.
///
/// This function is a shorthand for `Freestanding::new().emit()`. Call it once, in `build.rs`. Use
/// [`Freestanding`] instead if the package has binaries that use the standard library, or that use
/// `entry!(main, bare)`.
///
/// Cargo then reruns `build.rs` only if `.cargo/config.toml`, or a variable with the linker or the
/// flags, changes. If `build.rs` depends on other files, print `cargo::rerun-if-changed` for them.
///
/// # Panics
///
/// * Panics outside a build script, because the environment variable `OUT_DIR` is not set.
/// * Panics if a file cannot be written to `OUT_DIR`.
pub fn freestanding() {
    Freestanding::new().emit();
}

/// A builder that selects the freestanding binaries of a package and how each is linked.
///
/// Use it if the package also has binaries that use the standard library, or binaries that use
/// `entry!(main, bare)`.
///
/// ```no_run
/// baremap_build::Freestanding::new().bin("init").bare_bin("tiny").emit();
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is emitted before `emit`"]
pub struct Freestanding {
    bins: Vec<Bin>,
    packed: bool,
}

#[derive(Clone, Debug)]
struct Bin {
    /// The name of the binary. `None` selects every binary of the package.
    name: Option<String>,
    /// Whether the binary is linked at a fixed address.
    bare: bool,
}

impl Default for Freestanding {
    fn default() -> Self {
        Freestanding::new()
    }
}

impl Freestanding {
    /// Creates a builder that selects every binary of the package, with packed relocations.
    ///
    /// After the first call of [`bin`](Self::bin) or [`bare_bin`](Self::bare_bin), only the
    /// binaries that these methods name are selected.
    pub fn new() -> Freestanding {
        Freestanding { bins: Vec::new(), packed: true }
    }

    /// Selects a binary that uses `entry!(main)`, to be linked static and position independent.
    ///
    /// Name each binary once. Cargo fails if the package has no binary with the name.
    pub fn bin(mut self, name: impl Into<String>) -> Self {
        self.bins.push(Bin { name: Some(name.into()), bare: false });
        self
    }

    /// Selects a binary that uses `entry!(main, bare)`, to be linked static and at a fixed address,
    /// because such a program does not relocate itself.
    ///
    /// Name each binary once. Cargo fails if the package has no binary with the name.
    pub fn bare_bin(mut self, name: impl Into<String>) -> Self {
        self.bins.push(Bin { name: Some(name.into()), bare: true });
        self
    }

    /// Sets whether relocations are packed (`DT_RELR`), which makes the file smaller. The default
    /// is `true`.
    ///
    /// A linker without the option `-z pack-relative-relocs`, for example gold, fails unless the
    /// setting is `false`. Binaries at a fixed address and binaries for mips have no relocations,
    /// so the setting does not apply to them.
    pub fn packed_relocations(mut self, packed: bool) -> Self {
        self.packed = packed;
        self
    }

    /// Prints the directives for cargo to standard output. Call this method once, in `build.rs`.
    ///
    /// Cargo then reruns `build.rs` only if `.cargo/config.toml`, or a variable with the linker or the
    /// flags, changes. If `build.rs` depends on other files, print `cargo::rerun-if-changed` for them.
    ///
    /// # Panics
    ///
    /// * Panics outside a build script, because the environment variable `OUT_DIR` is not set.
    /// * Panics if a file cannot be written to `OUT_DIR`.
    pub fn emit(mut self) {
        if self.bins.is_empty() {
            self.bins.push(Bin { name: None, bare: false });
        }
        let target = Target::of_build_script();
        let out_dir = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
        print!("{}", self.directives(&target, &out_dir));
    }

    /// Returns the directives for cargo, one on each line.
    fn directives(&self, target: &Target, out_dir: &Path) -> String {
        let mut text = String::new();
        // The arguments depend on the linker, which these files and variables select. Cargo reruns
        // a build script only for files and variables that it names, and always if a named file
        // does not exist.
        let dir = env::current_dir().unwrap_or_default();
        let configurations = dir.ancestors().map(|dir| dir.join(".cargo/config.toml"));
        for file in configurations.filter(|file| file.exists()) {
            let _ = writeln!(text, "cargo::rerun-if-changed={}", file.display());
        }
        let table = target.triple.to_uppercase().replace(['-', '.'], "_");
        let of_target = ["RUSTFLAGS", "LINKER"].map(|what| format!("CARGO_TARGET_{table}_{what}"));
        for variable in ["RUSTFLAGS"].into_iter().chain(of_target.iter().map(String::as_str)) {
            let _ = writeln!(text, "cargo::rerun-if-env-changed={variable}");
        }
        let script = out_dir.join("baremap-release.ld");
        if target.without_unwind_tables {
            fs::write(&script, include_str!("release.ld")).expect("OUT_DIR can be written to");
        }
        if target.has_start_files {
            // A warning, because the library and the tests of the package build without the flag.
            let _ = writeln!(text, "cargo::warning={START_FILES}");
        }
        let mut linked = Vec::new();
        for Bin { name, bare } in &self.bins {
            let key = match name {
                Some(name) => format!("cargo::rustc-link-arg-bin={name}"),
                None => "cargo::rustc-link-arg-bins".to_owned(),
            };
            for argument in target.arguments(*bare, self.packed, &script) {
                let _ = writeln!(text, "{key}={argument}");
            }
            let kind = if *bare { "bare" } else { "pie" };
            linked.push(format!("{kind}:{}", name.as_deref().unwrap_or("*")));
        }
        let _ = writeln!(text, "cargo::rustc-check-cfg=cfg(baremap_unstable_asm)");
        if UNSTABLE_ASM.contains(&&*target.architecture) {
            let _ = writeln!(text, "cargo::rustc-cfg=baremap_unstable_asm");
        }
        // `entry!` reads the list from this variable.
        let _ = writeln!(text, "cargo::rustc-env=BAREMAP_LINK={}", linked.join(" "));
        text
    }
}

/// The architectures on which inline assembly is unstable.
const UNSTABLE_ASM: &[&str] = &["mips", "mips64"];

/// The warning for musl targets, whose start files rustc adds.
const START_FILES: &str = "programs for this target are linked with start files of its own C library, and another \
    `_start`; add to .cargo/config.toml, under the target's table: \
    rustflags = [\"-Clink-self-contained=no\"]";

/// The properties of the target and the linker on which the arguments depend.
#[derive(Clone, Debug)]
struct Target {
    triple: String,
    architecture: String,
    /// Whether rustc calls a linker directly, and not through a C compiler.
    direct: bool,
    /// Whether rustc adds start files, which no link argument prevents.
    has_start_files: bool,
    /// Whether unwind tables are discarded: in release builds without debug information.
    without_unwind_tables: bool,
}

impl Target {
    /// Reads the properties from the environment variables that cargo sets for a build script.
    fn of_build_script() -> Target {
        let var = |name| env::var(name).unwrap_or_default();
        let encoded = var("CARGO_ENCODED_RUSTFLAGS");
        let flags = Flags::parse(&encoded);
        let linker = var("RUSTC_LINKER");
        Target {
            triple: var("TARGET"),
            architecture: var("CARGO_CFG_TARGET_ARCH"),
            direct: flags.direct.unwrap_or_else(|| is_linker(&linker)),
            has_start_files: var("CARGO_CFG_TARGET_ENV") == "musl"
                && !flags.without_start_files
                && has_static_libc(&var("RUSTC"), &var("TARGET"), &encoded),
            without_unwind_tables: var("PROFILE") == "release" && var("DEBUG") == "false",
        }
    }

    /// Returns the link arguments of a binary.
    fn arguments(&self, bare: bool, packed: bool, script: &Path) -> Vec<String> {
        // For mips, the linkers emit no relative relocations that a program could apply to itself,
        // so the program is linked at a fixed address.
        let fixed = bare || self.architecture.starts_with("mips");
        // No start files, no libraries, no program interpreter.
        let start: &[&str] = match (self.direct, fixed) {
            (true, false) => &["-static", "-pie", "--no-dynamic-linker"],
            (true, true) => &["-static", "-no-pie"],
            (false, false) => &["-nostartfiles", "-nostdlib", "-static-pie"],
            (false, true) => &["-nostartfiles", "-nostdlib", "-static", "-no-pie"],
        };
        // `-e` names the entry point, because lld's default for mips is `__start`. A linker only
        // warns about a missing entry point, which the unit tests of a binary lack. `--defsym`
        // makes it an error.
        let mut options = vec!["-e_start", "--defsym=__entry_of_baremap=_start"];
        options.extend(["-z", "text", "--build-id=none"]);
        if packed && !fixed {
            options.extend(["-z", "pack-relative-relocs"]);
        }
        if bare {
            // A program at a fixed address has no relocated data, and `run_bare` protects none.
            options.extend(["-z", "norelro"]);
        }
        // On architectures with pages of up to 64 KiB, RELRO must end on a boundary of 64 KiB. A
        // page that it shares with writable data would have to stay writable.
        let small_pages = ["riscv32", "riscv64", "s390x", "x86", "x86_64"];
        if !small_pages.contains(&self.architecture.as_str()) {
            options.extend(["-z", "common-page-size=65536"]);
        }
        let mut options: Vec<String> = options.into_iter().map(str::to_owned).collect();
        if self.without_unwind_tables {
            options.extend(["-T".to_owned(), script.display().to_string()]);
        }
        let mut arguments: Vec<String> = start.iter().map(|&word| word.to_owned()).collect();
        if self.direct {
            arguments.extend(options);
        } else {
            // `-Wl,` would split a path at a comma, so each word is passed with `-Xlinker`.
            arguments.extend(options.into_iter().flat_map(|word| ["-Xlinker".to_owned(), word]));
        }
        arguments
    }
}

/// The compiler flags that affect linking. The last flag of each kind takes effect.
#[derive(Debug, Default, PartialEq, Eq)]
struct Flags {
    /// Whether the flags select a linker that rustc calls directly. `None` if they select none.
    direct: Option<bool>,
    /// Whether rustc adds no start files (`-Clink-self-contained=no`).
    without_start_files: bool,
}

impl Flags {
    /// Reads the value of `CARGO_ENCODED_RUSTFLAGS`.
    fn parse(flags: &str) -> Flags {
        let (mut linker, mut flavor, mut result) = (None, None, Flags::default());
        let mut words = flags.split('\x1f');
        while let Some(word) = words.next() {
            let option = match word {
                "-C" | "--codegen" => words.next().unwrap_or_default(),
                _ => match word.strip_prefix("-C").or_else(|| word.strip_prefix("--codegen=")) {
                    Some(option) => option,
                    None => continue,
                },
            };
            match option.split_once('=') {
                Some(("linker", program)) => linker = Some(is_linker(program)),
                Some(("linker-flavor", name)) => {
                    flavor = Some(!matches!(name, "gcc" | "em") && !name.ends_with("cc"))
                }
                Some(("link-self-contained", value)) => {
                    result.without_start_files = matches!(value, "n" | "no" | "off" | "false");
                }
                _ => {}
            }
        }
        result.direct = flavor.or(linker);
        result
    }
}

/// Returns whether the target's libc is linked statically (the target feature `crt-static`).
///
/// Runs `rustc --print=cfg`, because `CARGO_CFG_TARGET_FEATURE` does not contain this feature.
fn has_static_libc(rustc: &str, target: &str, encoded_flags: &str) -> bool {
    let flags = encoded_flags.split('\x1f').filter(|flag| !flag.is_empty());
    let cfg = Command::new(rustc).args(["--print=cfg", "--target", target]).args(flags).output();
    cfg.is_ok_and(|cfg| {
        String::from_utf8_lossy(&cfg.stdout).lines().any(|l| l == "target_feature=\"crt-static\"")
    })
}

/// Returns whether the name of a program is that of a linker, and not of a C compiler.
fn is_linker(program: &str) -> bool {
    let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
    name == "ld" || name.starts_with("ld.") || name.ends_with("-ld") || name.ends_with("lld")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(architecture: &str, direct: bool) -> Target {
        Target {
            triple: "t".to_owned(),
            architecture: architecture.to_owned(),
            direct,
            has_start_files: false,
            without_unwind_tables: false,
        }
    }

    #[test]
    fn a_compiler_gets_what_a_linker_gets() {
        for (bare, mode) in [(false, "-static-pie"), (true, "-no-pie")] {
            let lists = [false, true].map(|direct| {
                target("x86_64", direct).arguments(bare, true, Path::new("/a,b/script"))
            });
            let [mut driver, mut linker] = lists;
            assert!(driver.iter().any(|word| word == mode), "{driver:?}");
            driver.retain(|word| word != "-Xlinker");
            let own = |word: &str| {
                word.contains("static")
                    || word.contains("pie")
                    || word.starts_with("-no")
                    || word == "--no-dynamic-linker"
            };
            driver.retain(|word| !own(word));
            linker.retain(|word| !own(word));
            assert_eq!(driver, linker);
        }
    }

    #[test]
    fn the_linker_is_the_one_that_the_flags_or_the_configuration_name() {
        for (flags, direct) in [
            ("", None),
            ("-Clinker=rust-lld", Some(true)),
            ("-C\x1flinker=/usr/bin/ld.lld\x1f-O", Some(true)),
            ("--codegen\x1flinker=x86_64-linux-gnu-ld", Some(true)),
            ("-Clinker=aarch64-linux-gnu-gcc", Some(false)),
            ("-Clinker=cc\x1f-Clinker-flavor=ld.lld", Some(true)),
            ("-Clinker=rust-lld\x1f--codegen=linker-flavor=gcc", Some(false)),
            ("-Clinker=rust-lld\x1f-Clinker=cc", Some(false)),
            ("-Clink-arg=-Clinker=rust-lld", None),
        ] {
            assert_eq!(Flags::parse(flags).direct, direct, "{flags:?}");
        }
        assert!(Flags::parse("-Clink-self-contained=no").without_start_files);
        assert!(!Flags::parse("-Clink-self-contained=+linker").without_start_files);
    }

    #[test]
    fn each_binary_that_is_named_has_its_arguments_and_no_other_has() {
        let dir = std::env::temp_dir();
        let all = Freestanding { bins: vec![Bin { name: None, bare: false }], packed: true };
        let text = all.directives(&target("x86_64", false), &dir);
        assert!(text.contains("cargo::rustc-link-arg-bins=-static-pie\n"), "{text}");
        assert!(text.contains("cargo::rustc-env=BAREMAP_LINK=pie:*\n"), "{text}");

        let named = Freestanding::new().bin("one").bare_bin("two").packed_relocations(false);
        let text = named.directives(&target("aarch64", true), &dir);
        assert!(text.contains("cargo::rustc-link-arg-bin=one=-pie\n"), "{text}");
        assert!(text.contains("cargo::rustc-link-arg-bin=two=-no-pie\n"), "{text}");
        assert!(!text.contains("link-arg-bins") && !text.contains("relocs"), "{text}");
        assert!(text.contains("cargo::rustc-env=BAREMAP_LINK=pie:one bare:two\n"), "{text}");
        assert!(!text.contains("cargo::warning"), "{text}");
    }

    #[test]
    fn only_where_inline_assembly_is_unstable_is_its_feature_asked_for() {
        for (architecture, is_unstable) in [("x86_64", false), ("mips", true), ("mips64", true)] {
            let text =
                Freestanding::new().directives(&target(architecture, true), &env::temp_dir());
            let is_set = text.lines().any(|line| line == "cargo::rustc-cfg=baremap_unstable_asm");
            assert_eq!(is_set, is_unstable, "{architecture}");
            assert!(text.contains("cargo::rustc-check-cfg=cfg(baremap_unstable_asm)\n"));
        }
    }
}
