//! Links the shared library.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The number changes when a program that was linked with an older version would break.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libbaremap.so.0");
    // The signal handler stays installed, so that `dlclose` must not unmap its code.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    // Nothing runs when the library is loaded.
    println!("cargo::rustc-cdylib-link-arg=-nostartfiles");
}
