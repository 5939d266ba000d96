//! Every function of the header, with what it refuses, in every kind of program.

mod common;

use std::path::Path;

use common::{VARIANTS, succeed};

#[test]
fn every_function_does_what_the_header_says() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api.c");
    for variant in VARIANTS {
        println!("{}", variant.name);
        let version = concat!("-DVERSION=\"", env!("CARGO_PKG_VERSION"), "\"");
        let program = variant.compile("api", &[&source], &[version]);
        let output = succeed(&mut variant.command(&program));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "all as declared\n");
    }
}
