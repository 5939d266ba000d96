//! Link arguments of `mapcp`. The library has none, and the tests are ordinary
//! programs of the standard library.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/rt/release.ld");
    println!("cargo::rerun-if-changed={script}");
    if env::var_os("CARGO_FEATURE_FREESTANDING").is_none() {
        return;
    }

    // The linker is a C compiler's driver, unless the configuration names lld.
    let direct = env::var("RUSTC_LINKER").is_ok_and(|linker| linker.ends_with("lld"));

    // No start files, no libraries, no program interpreter; position independent, and
    // relocated by `rt::relocate`. (The examples have their relocations as they come,
    // and this one packed: both kinds are run.) On mips at a fixed address.
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let fixed = arch.starts_with("mips");
    let start: &[&str] = match (direct, fixed) {
        (true, false) => &["-static", "-pie", "--no-dynamic-linker"],
        (true, true) => &["-static", "-no-pie", "-e_start"],
        (false, false) => &["-nostartfiles", "-nostdlib", "-static-pie"],
        (false, true) => &["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-Wl,-e_start"],
    };
    let mut options = vec!["-z", "text", "--build-id=none"];
    if !fixed {
        options.extend(["-z", "pack-relative-relocs"]);
    }
    // Where pages may have 64 KiB, a part that is to be read-only has to end with such a
    // one: the rest of a page that it shares would stay writable, and all of the part.
    if !["riscv32", "riscv64", "s390x", "x86", "x86_64"].contains(&&*arch) {
        options.extend(["-z", "common-page-size=65536"]);
    }
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        options.extend(["-T", script]);
    }
    let wrapped = format!("-Wl,{}", options.join(","));
    let options = if direct { options } else { vec![wrapped.as_str()] };
    for argument in start.iter().chain(&options) {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
