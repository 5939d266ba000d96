//! Link arguments of freestanding programs: no start files, no libraries, no program
//! interpreter.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/rt/release.ld");
    println!("cargo::rerun-if-changed={script}");

    // The linker is a C compiler's driver, unless the configuration names lld.
    let direct = std::env::var("RUSTC_LINKER").is_ok_and(|linker| linker.ends_with("lld"));
    // On mips all are at a fixed address, and lld expects another name.
    let arch = std::env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let fixed = arch.starts_with("mips");
    for program in ["anonymous", "cat", "conformance", "jit", "layout", "nothing", "words", "write"]
    {
        // Position independent, and relocated by `rt::relocate`.
        let arguments: &[&str] = match (direct, fixed) {
            (true, false) => &["-static", "-pie", "--no-dynamic-linker", "-z", "text"],
            (true, true) => &["-static", "-no-pie", "-e_start"],
            (false, false) => &["-nostartfiles", "-nostdlib", "-static-pie", "-Wl,-z,text"],
            (false, true) => &["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-Wl,-e_start"],
        };
        link(program, arguments);
        // Where pages may have 64 KiB, a part that is to be read-only has to end with such a
        // one: the rest of a page that it shares would stay writable, and all of the part.
        if !["riscv32", "riscv64", "s390x", "x86", "x86_64"].contains(&&*arch) {
            let size = ["-z", "common-page-size=65536"];
            let wrapped = [&*format!("-Wl,{}", size.join(","))];
            link(program, if direct { &size[..] } else { &wrapped });
        }
    }
    // At a fixed address, and nothing in the file that is not needed to run.
    let script = ["-T", script];
    if direct {
        link("tiny-copy", &["-static", "-no-pie", "-e_start", "-z", "norelro", "--build-id=none"]);
        link("tiny-copy", &script);
    } else {
        link("tiny-copy", &["-nostartfiles", "-nostdlib", "-static", "-no-pie"]);
        link("tiny-copy", &["-Wl,-e_start,-z,norelro,--build-id=none"]);
        link("tiny-copy", &[&format!("-Wl,{}", script.join(","))]);
    }
}

fn link(program: &str, arguments: &[&str]) {
    for argument in arguments {
        println!("cargo::rustc-link-arg-bin={program}={argument}");
    }
}
