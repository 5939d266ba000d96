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
    // and this one packed: both kinds are run.)
    let start: &[&str] = if direct {
        &["-static", "-pie", "--no-dynamic-linker"]
    } else {
        &["-nostartfiles", "-nostdlib", "-static-pie"]
    };
    let mut options = vec!["-z", "text", "-z", "pack-relative-relocs", "--build-id=none"];
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        options.extend(["-T", script]);
    }
    let wrapped = format!("-Wl,{}", options.join(","));
    let options = if direct { options } else { vec![wrapped.as_str()] };
    for argument in start.iter().chain(&options) {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
