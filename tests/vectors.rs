//! Registers that the kernel does not preserve in a system call, and which the compiler uses only
//! on request: RISC-V's vector registers, and aarch64's scalable ones. A user-mode emulator
//! preserves them, so the compiled code is examined.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

/// A value that the compiler would like to keep in a vector register between two loops, in a function
/// with `ATTRIBUTE`.
const PROBE: &str = "
#![no_std]

#[unsafe(no_mangle)]
ATTRIBUTE
pub fn fill_around_a_call(a: &mut [u32; 256], b: &mut [u32; 256], value: u32) -> i32 {
    a.fill(value);
    let pid = baremap::syscall::getpid();
    b.fill(value);
    pid
}
";

/// What a feature of the target is enabled for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum For {
    Program,
    Function,
}

/// Returns the instructions of the function, compiled with this feature.
fn instructions(target: &str, feature: &str, enabled: For) -> Vec<String> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
    let sysroot = String::from_utf8(sysroot.stdout).unwrap();
    let library = Path::new(sysroot.trim()).join("lib/rustlib").join(target).join("lib");
    assert!(library.is_dir(), "there is no core for it: rustup target add {target}");

    let root = env!("CARGO_MANIFEST_DIR");
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("vectors")
        .join(format!("{feature}-{enabled:?}"));
    fs::create_dir_all(dir.join("src")).unwrap();
    let (attribute, flags) = match enabled {
        For::Program => (String::new(), format!("-Ctarget-feature=+{feature}")),
        For::Function => (format!("#[target_feature(enable = \"{feature}\")]"), String::new()),
    };
    fs::write(dir.join("src/lib.rs"), PROBE.replace("ATTRIBUTE", &attribute)).unwrap();
    let manifest = format!(
        "[package]\nname = \"probe\"\nversion = \"1.0.0\"\nedition = \"2024\"\n[workspace]\n\
         [dependencies]\nbaremap = {{ path = {root:?}, default-features = false }}\n"
    );
    fs::write(dir.join("Cargo.toml"), manifest).unwrap();
    fs::copy(Path::new(root).join("Cargo.lock"), dir.join("Cargo.lock")).unwrap();
    let assembly = dir.join("probe.s");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["rustc", "--quiet", "--offline", "--release", "--target", target]);
    cargo.args(["--target-dir", "target", "--", "--emit"]);
    cargo.arg(format!("asm={}", assembly.display())).env("RUSTC", "rustc");
    let output = cargo.env("RUSTFLAGS", flags).current_dir(&dir).output().unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !messages.contains("clobber"), "{messages}");

    let text = fs::read_to_string(assembly).unwrap();
    let lines = text.lines().skip_while(|line| *line != "fill_around_a_call:");
    let lines = lines.take_while(|line| !line.contains(".size")).map(str::trim);
    lines.map(|line| line.replace('\t', " ")).collect()
}

/// Returns the names of those registers in an instruction that are of these kinds.
fn registers<'a>(instruction: &'a str, kinds: &'a [char]) -> impl Iterator<Item = &'a str> {
    let words = instruction.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .skip(1)
        .filter(move |word| word.strip_prefix(kinds).is_some_and(|rest| rest.parse::<u8>().is_ok()))
}

/// After the call, each register is written before it is read.
fn nothing_is_kept(target: &str, feature: &str, enabled: For, call: &str, kinds: &[char]) {
    let instructions = instructions(target, feature, enabled);
    let at = instructions.iter().position(|line| line.starts_with(call));
    let (before, after) = instructions.split_at(at.expect("no call"));
    let uses = |part: &[String]| part.iter().any(|line| registers(line, kinds).next().is_some());
    assert!(uses(before) && uses(after), "the compiler uses no such register: {instructions:#?}");
    let mut written = BTreeSet::new();
    for line in after {
        let is_store =
            line.starts_with("st") || line.starts_with("vs") && !line.starts_with("vset");
        for (index, register) in registers(line, kinds).enumerate() {
            if index == 0 && !is_store {
                written.insert(register);
            }
            assert!(
                written.contains(register),
                "{target}: {register} is kept across the call, in {line:?}: {instructions:#?}"
            );
        }
    }
}

#[test]
fn no_vector_is_kept_on_riscv64() {
    nothing_is_kept("riscv64gc-unknown-linux-gnu", "v", For::Program, "ecall", &['v']);
}

#[test]
fn no_scalable_vector_is_kept_on_aarch64() {
    nothing_is_kept("aarch64-unknown-linux-gnu", "sve", For::Program, "bl", &['z', 'p']);
}

#[test]
fn no_scalable_vector_is_kept_on_aarch64_in_a_function_with_vectors() {
    nothing_is_kept("aarch64-unknown-linux-gnu", "sve", For::Function, "bl", &['z', 'p']);
}
