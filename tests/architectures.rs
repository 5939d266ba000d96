//! Every place that `arch/README.md` names for all architectures has every architecture of
//! `arch/mod.rs`.

use std::{collections::BTreeSet, fs, path::Path};

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text in a file from the first `begin` to the next `end`.
fn between(file: &str, begin: &str, end: &str) -> String {
    let text = read(file);
    let part =
        text.split_once(begin).and_then(|(_, rest)| Some(rest.split_once(end)?.0.to_owned()));
    part.unwrap_or_else(|| panic!("{file} has no text between {begin:?} and {end:?}"))
}

/// The strings in quotes after each `prefix`.
fn quoted(text: &str, prefix: &str) -> BTreeSet<String> {
    let begin = format!("{prefix}\"");
    let parts = text.split(&*begin).skip(1);
    parts.filter_map(|part| Some(part.split_once('"')?.0.to_owned())).collect()
}

/// The architectures by their names in `target_arch`.
fn architectures() -> BTreeSet<String> {
    let list = between("arch/mod.rs", "architectures! {\n", "}\n");
    list.lines().flat_map(|line| quoted(line, "    ")).collect()
}

/// Returns the architectures for which stable compilers have no inline assembly.
fn unstable() -> BTreeSet<String> {
    let list = between("baremap-build/src/lib.rs", "const UNSTABLE_ASM: &[&str] = &[", "];");
    list.split(", ").map(|name| name.trim_matches('"').to_owned()).collect()
}

/// Whether a target is one of an architecture's.
fn is_of(target: &str, architecture: &str) -> bool {
    let name = target.split('-').next().unwrap().trim_end_matches("gc");
    match architecture {
        "arm" => name.starts_with("arm") || name.starts_with("thumb"),
        "x86" => name == "i686",
        "mips" | "mips64" | "powerpc64" => {
            name.trim_end_matches("el").trim_end_matches("le") == architecture
        }
        _ => name == architecture,
    }
}

#[test]
fn each_has_a_row_in_the_test_matrix() {
    let targets = quoted(&read("xtask/src/targets.rs"), "triple: ");
    let host = quoted(&read("xtask/src/targets.rs"), "HOST: &str = ");
    for architecture in architectures() {
        let mut targets = targets.union(&host);
        assert!(
            targets.any(|target| is_of(target, &architecture)),
            "{architecture} has no row in xtask/src/targets.rs"
        );
    }
}

#[test]
fn each_is_in_the_documentation() {
    let words = |text: String| -> BTreeSet<String> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.map(str::to_owned).collect()
    };
    for file in ["README.md", "CHANGELOG.md", "docs/architectures.md"] {
        let missing: Vec<String> =
            architectures().difference(&words(read(file))).cloned().collect();
        assert!(missing.is_empty(), "{file} does not name {missing:?}");
    }
}

#[test]
fn the_lists_of_baremap_memmap2_are_those_with_stable_assembly() {
    let stable: BTreeSet<String> = architectures().difference(&unstable()).cloned().collect();
    let manifest = read("memmap2/Cargo.toml");
    let lists = manifest.lines().filter(|line| line.starts_with("[target.'cfg("));
    let lists: Vec<_> = lists.map(|line| quoted(line, "target_arch = ")).collect();
    assert_eq!(lists, [stable.clone(), stable.clone()], "memmap2/Cargo.toml");
    assert_eq!(quoted(&read("memmap2/src/lib.rs"), "target_arch = "), stable, "memmap2/src/lib.rs");
}
