//! Link arguments of freestanding programs: no start files, no libraries, no program
//! interpreter.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/rt/release.ld");
    println!("cargo::rerun-if-changed={script}");

    // The linker is a C compiler's driver, unless the configuration names lld.
    let direct = std::env::var("RUSTC_LINKER").is_ok_and(|linker| linker.ends_with("lld"));
    for program in ["anonymous", "cat", "conformance", "layout", "write"] {
        // Position independent, and relocated by `rt::relocate`.
        link(
            program,
            if direct {
                &["-static", "-pie", "--no-dynamic-linker", "-z", "text"]
            } else {
                &["-nostartfiles", "-nostdlib", "-static-pie", "-Wl,-z,text"]
            },
        );
    }
    // At a fixed address, and nothing in the file that is not needed to run.
    let script = ["-T", script];
    if direct {
        link("tiny-copy", &["-static", "-no-pie", "-z", "norelro", "--build-id=none"]);
        link("tiny-copy", &script);
    } else {
        link("tiny-copy", &["-nostartfiles", "-nostdlib", "-static", "-no-pie"]);
        link("tiny-copy", &["-Wl,-z,norelro,--build-id=none"]);
        link("tiny-copy", &[&format!("-Wl,{}", script.join(","))]);
    }
}

fn link(program: &str, arguments: &[&str]) {
    for argument in arguments {
        println!("cargo::rustc-link-arg-bin={program}={argument}");
    }
}
