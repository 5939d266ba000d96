//! Compares the parser of `mapcp`'s command line with a plain model, on random arguments.

#[path = "../src/bin/mapcp/args.rs"]
mod args;
#[path = "../src/fuzz.rs"]
mod fuzz;

use std::ffi::CString;

use args::{Settings, When};
use baremap::copy::Method;
use fuzz::{Random, fuzz};

/// Returns arguments, most of which are valid or nearly so.
fn arguments(random: &mut Random) -> Vec<CString> {
    const NAMES: &[&str] = &[
        "help",
        "version",
        "no-clobber",
        "preserve",
        "in-place",
        "sync",
        "sparse",
        "method",
        "jobs",
        "progress",
        "verbose",
        "quiet",
        "",
        "hhelp",
        "1in-place",
        "help jobs",
        "wrong",
    ];
    const VALUES: &[&str] = &[
        "auto",
        "never",
        "always",
        "clone",
        "kernel",
        "map",
        "write",
        "read",
        "1",
        "64",
        "65",
        "0",
        "007",
        "-1",
        "+2",
        "1x",
        "",
        "4294967297",
        "00000000000000000000000000000000064",
        "--",
        "-",
        "-n",
        "file",
        "=",
        "1=2",
    ];
    let mut arguments = random.list(7, |random| match random.below(8) {
        0 | 1 => {
            let name = random.one_of(NAMES);
            let value = if random.once_in(2) {
                format!("={}", random.one_of(VALUES))
            } else {
                String::new()
            };
            format!("--{name}{value}").into_bytes()
        }
        2 | 3 => {
            let letters = random.text(4, b"hVnpvqj15=");
            [b"-", &letters[..], random.one_of(VALUES).as_bytes()].concat()
        }
        4 | 5 => random.one_of(VALUES).as_bytes().to_vec(),
        6 => [b"-", &random.text(3, b"hVnpvqj")[..]].concat(),
        _ => random.text(8, b"-=jn"),
    });
    // Inserts a byte.
    if random.once_in(4)
        && let Some(argument) = arguments.first_mut()
    {
        let at = random.below(argument.len() + 1);
        argument.insert(at, random.one_of(b"-=j1x"));
    }
    arguments.into_iter().map(|argument| CString::new(argument).unwrap()).collect()
}

/// A word of the message, and the text that the message is about.
type UsageError = (&'static str, Vec<u8>);

/// Parses by the rules of getopt_long(3), without its abbreviated names.
fn model(arguments: &[CString], operands: &mut Vec<CString>) -> Result<Settings, UsageError> {
    let mut settings = Settings::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let text = argument.to_bytes();
        if text == b"--" {
            operands.extend(rest.by_ref().cloned());
        } else if !text.starts_with(b"-") || text == b"-" {
            operands.push(argument.clone());
        } else if let Some(long) = text.strip_prefix(b"--") {
            let equals = long.iter().position(|&byte| byte == b'=');
            let name = &long[..equals.unwrap_or(long.len())];
            let name = str::from_utf8(name).map_err(|_| ("unknown", text.to_vec()))?;
            let value = equals.map(|at| long[at + 1..].to_vec());
            set(&mut settings, name, value, text, &mut rest)?;
        } else {
            let mut at = 1;
            while at < text.len() {
                let name = match text[at] {
                    b'h' => "help",
                    b'V' => "version",
                    b'n' => "no-clobber",
                    b'p' => "preserve",
                    b'v' => "verbose",
                    b'q' => "quiet",
                    b'j' => "jobs",
                    _ => "unknown",
                };
                at += 1;
                let mut value = None;
                if name == "jobs" && at < text.len() {
                    value = Some(text[at..].to_vec());
                    at = text.len();
                }
                set(&mut settings, name, value, text, &mut rest)?;
            }
        }
    }
    Ok(settings)
}

fn set<'a>(
    settings: &mut Settings,
    name: &str,
    value: Option<Vec<u8>>,
    text: &[u8],
    rest: &mut impl Iterator<Item = &'a CString>,
) -> Result<(), UsageError> {
    let options = &mut settings.options;
    let flag = match name {
        "help" => &mut settings.help,
        "version" => &mut settings.version,
        "no-clobber" => &mut options.no_clobber,
        "preserve" => &mut options.preserve,
        "in-place" => &mut options.in_place,
        "sync" => &mut options.sync,
        "verbose" => &mut settings.verbose,
        "quiet" => &mut settings.quiet,
        "progress" if value.is_none() => {
            settings.progress = When::Always;
            return Ok(());
        }
        "jobs" | "sparse" | "method" | "progress" => {
            let value = value.or_else(|| rest.next().map(|next| next.to_bytes().to_vec()));
            let value = value.ok_or(("missing", text.to_vec()))?;
            let word = String::from_utf8_lossy(&value).into_owned();
            match (name, word.as_str()) {
                ("sparse", "auto") => options.fill_holes = false,
                ("sparse", "never") => options.fill_holes = true,
                ("method", "auto") => options.method = None,
                ("method", "clone") => options.method = Some(Method::Clone),
                ("method", "kernel") => options.method = Some(Method::Kernel),
                ("method", "map") => options.method = Some(Method::Map),
                ("method", "write") => options.method = Some(Method::Write),
                ("progress", "auto") => settings.progress = When::Auto,
                ("progress", "always") => settings.progress = When::Always,
                ("progress", "never") => settings.progress = When::Never,
                ("jobs", digits) => {
                    let digits = Some(digits).filter(|d| d.chars().all(|c| c.is_ascii_digit()));
                    match digits.and_then(|digits| digits.parse().ok()) {
                        Some(jobs @ 1..=64) => options.jobs = jobs,
                        _ => return Err(("takes", value)),
                    }
                }
                _ => return Err(("takes", value)),
            }
            return Ok(());
        }
        _ => return Err(("unknown", text.to_vec())),
    };
    if value.is_some() {
        return Err(("unexpected value", text.to_vec()));
    }
    *flag = true;
    Ok(())
}

#[test]
fn fuzz_arguments() {
    fuzz("arguments", arguments, |arguments| {
        let mut operands = Vec::new();
        let mut list = arguments.iter().map(|argument| argument.as_c_str());
        let found = args::parse(&mut list, &mut |operand| operands.push(operand.to_owned()));
        let mut wanted_operands = Vec::new();
        let wanted = model(arguments, &mut wanted_operands);
        assert_eq!(operands, wanted_operands);
        match (found, wanted) {
            (Ok(found), Ok(wanted)) => assert_eq!(format!("{found:?}"), format!("{wanted:?}")),
            (Err(found), Err((what, text))) => {
                let line = found.to_string();
                assert!(found.text == text && line.contains(what), "{found:?}: {what} {text:?}");
                assert!(!line.contains(|char: char| char.is_ascii_control()), "{line}");
            }
            (found, wanted) => panic!("{found:?} is not {wanted:?}"),
        }
    });
}
