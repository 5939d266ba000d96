//! `cargo xtask size` shows which functions and sections take the bytes of the release programs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::ExitCode,
};

use object::{Object, ObjectSection, ObjectSymbol, SectionKind};

use crate::{bars::MOST_BYTES, cargo, root};

/// The file of the recorded sizes. A line has a program, a part of it, and the bytes, separated by tabs.
const RECORD: &str = "docs/size.tsv";
const HEAD: &str = "program\twhat\tbytes\n";
/// The name of the part that stands for the whole file, as it is installed.
const FILE: &str = "file";

/// Bytes, by the program and the part.
type Figures = BTreeMap<(String, String), u64>;

pub fn size(update: bool) -> Result<ExitCode, String> {
    // Each program is built twice: as it is installed, and with symbols.
    build(&["--target-dir", "target"], "true")?;
    build(&["--target-dir", "target/size"], "false")?;
    let old = recorded()?;
    let mut new = Figures::new();
    let mut outgrown = false;
    for (program, most) in MOST_BYTES {
        let read = |dir: &str| {
            let path = root().join(dir).join(program);
            fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let (stripped, named) = (read("target/release")?, read("target/size/release")?);
        let mut figures = parts(&named).map_err(|error| format!("{program}: {error}"))?;
        if parts(&stripped).map_err(|error| error.to_string())?.get(".text") != figures.get(".text")
        {
            return Err(format!("{program} has other code with names than without"));
        }
        let bytes = stripped.len() as u64;
        figures.insert(FILE.to_owned(), bytes);
        show(program, &figures, &old);
        let verdict = if bytes <= most { "holds" } else { "is outgrown" };
        println!("{program}: {bytes} bytes; the bar of {most} {verdict}\n");
        outgrown |= bytes > most;
        new.extend(figures.into_iter().map(|(what, bytes)| ((program.to_owned(), what), bytes)));
    }
    if update {
        let lines =
            new.iter().map(|((program, what), bytes)| format!("{program}\t{what}\t{bytes}\n"));
        let text = HEAD.to_owned() + &lines.collect::<String>();
        fs::write(root().join(RECORD), text).map_err(|error| format!("{RECORD}: {error}"))?;
    }
    Ok(if outgrown { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn build(dir: &[&str], strip: &str) -> Result<(), String> {
    let packages = ["build", "--quiet", "--release", "-p", "baremap", "-p", "baremap-examples"];
    let mut build = cargo(&[&packages[..], dir].concat());
    for (program, _) in MOST_BYTES {
        build.args(["--bin", program]);
    }
    let status = build.env("CARGO_PROFILE_RELEASE_STRIP", strip).status();
    if status.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    Err("the programs do not compile".to_owned())
}

fn recorded() -> Result<Figures, String> {
    let text = match fs::read_to_string(root().join(RECORD)) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Figures::new()),
        Err(error) => return Err(format!("{RECORD}: {error}")),
    };
    let line = |line: &str| {
        let mut words = line.split('\t');
        let (program, what, bytes) = (words.next()?, words.next()?, words.next()?);
        Some(((program.to_owned(), what.to_owned()), bytes.parse().ok()?))
    };
    let lines = text.strip_prefix(HEAD).unwrap_or_default().lines();
    lines.map(|text| line(text).ok_or_else(|| format!("{RECORD}: {text}"))).collect()
}

/// Returns the bytes of each section, and of each symbol.
fn parts(file: &[u8]) -> object::Result<BTreeMap<String, u64>> {
    let file = object::File::parse(file)?;
    let mut parts = BTreeMap::new();
    for section in file.sections() {
        // Only sections that are loaded count.
        if section.address() != 0 && section.kind() != SectionKind::Metadata {
            let name = section.name()?;
            let note = if section.kind() == SectionKind::UninitializedData {
                " (not in the file)"
            } else {
                ""
            };
            *parts.entry(format!("{name}{note}")).or_default() += section.size();
        }
    }
    // Some functions have two symbols.
    let mut seen = BTreeSet::new();
    for symbol in file.symbols().filter(|symbol| symbol.size() > 0) {
        let Some(index) = symbol.section_index() else { continue };
        let kind = file.section_by_index(index)?.kind();
        if kind != SectionKind::UninitializedData && seen.insert(symbol.address()) {
            let name = format!("{:#}", rustc_demangle::demangle(symbol.name()?));
            let name = if kind == SectionKind::Text { name } else { format!("static {name}") };
            *parts.entry(name).or_default() += symbol.size();
        }
    }
    Ok(parts)
}

/// Returns the module of a function, or of the type whose method it is.
fn module(function: &str) -> String {
    let path = function.trim_start_matches("static ").trim_start_matches(['<', '&', '[', '*']);
    let path = path.split(['<', ' ', '>', '{']).next().unwrap_or_default().trim_end_matches("::");
    let mut names: Vec<&str> = path.split("::").collect();
    names.pop();
    names.retain(|name| name.starts_with(|first: char| first.is_lowercase()));
    if names.is_empty() { "(no module)".to_owned() } else { names.join("::") }
}

/// Prints the sections, then the functions by modules, the largest first.
fn show(program: &str, figures: &BTreeMap<String, u64>, old: &Figures) {
    let change = |what: &str, bytes: u64| {
        let before = old.get(&(program.to_owned(), what.to_owned()));
        match before {
            _ if !old.keys().any(|(name, _)| name == program) => String::new(),
            None => "new".to_owned(),
            Some(&before) if before == bytes => String::new(),
            Some(&before) => format!("{:+}", bytes as i64 - before as i64),
        }
    };
    let line = |bytes: u64, change: &str, what: &str| println!("{bytes:>8} {change:>7}  {what}");
    let (sections, functions): (Vec<_>, Vec<_>) = figures
        .iter()
        .map(|(what, bytes)| (what.as_str(), *bytes))
        .partition(|(what, _)| what.starts_with('.') || *what == FILE);

    println!("{program}\n\n   bytes  change  section");
    sections.iter().for_each(|&(what, bytes)| line(bytes, &change(what, bytes), what));

    let mut modules: BTreeMap<String, Vec<(&str, u64)>> = BTreeMap::new();
    for function in functions {
        modules.entry(module(function.0)).or_default().push(function);
    }
    let sum = |functions: &[(&str, u64)]| functions.iter().map(|function| function.1).sum::<u64>();
    let mut modules: Vec<_> = modules.into_iter().collect();
    modules.sort_by_key(|(_, functions)| std::cmp::Reverse(sum(functions)));
    println!("\n   bytes          module");
    modules.iter().for_each(|(module, functions)| line(sum(functions), "", module));
    println!("\n   bytes  change  function");
    for (_, mut functions) in modules {
        functions.sort_by_key(|function| std::cmp::Reverse(function.1));
        functions.iter().for_each(|&(what, bytes)| line(bytes, &change(what, bytes), what));
        println!();
    }
    let gone =
        old.iter().filter(|((name, what), _)| name == program && !figures.contains_key(what));
    for ((_, what), &bytes) in gone {
        line(0, &format!("-{bytes}"), &format!("{what} (gone)"));
    }
}
