//! Compares the parser of `mapcp`'s command line with a plain model, on random arguments.

#[path = "../src/bin/mapcp/args.rs"]
mod args;
#[path = "../src/fuzz.rs"]
mod fuzz;

use std::ffi::{CStr, CString};

use args::{Settings, When};
use baremap::copy::{Content, Follow, Method, Preserve, Update};
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
        "atomic",
        "archive",
        "recursive",
        "no-dereference",
        "dereference",
        "force",
        "interactive",
        "update",
        "no-target-directory",
        "target-directory",
        "one-file-system",
        "link",
        "symbolic-link",
        "pre",
        "pr",
        "no-",
        "s",
        "up",
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
        "older",
        "none",
        "none-fail",
        "all",
        "mode,xattr",
        "links",
        "ownership,,timestamps",
        "context,wrong",
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
            let letters = random.text(4, b"hVnpvqjarRdPLHfiuTtxls15=");
            [b"-", &letters[..], random.one_of(VALUES).as_bytes()].concat()
        }
        4 | 5 => random.one_of(VALUES).as_bytes().to_vec(),
        6 => [b"-", &random.text(3, b"hVnpvqjarRdPLHfiuTtxls")[..]].concat(),
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

/// Whether an option takes a value.
#[derive(Clone, Copy, PartialEq)]
enum Value {
    None,
    Required,
    /// The value follows the long name and an equals sign, or is missing.
    Optional,
}

/// The letters of options, their long names, and their values. A hyphen stands for a missing one.
const OPTIONS: &[(char, &str, Value)] = &[
    ('h', "help", Value::None),
    ('V', "version", Value::None),
    ('n', "no-clobber", Value::None),
    ('p', "preserve", Value::Optional),
    ('v', "verbose", Value::None),
    ('q', "quiet", Value::None),
    ('j', "jobs", Value::Required),
    ('-', "in-place", Value::None),
    ('-', "atomic", Value::None),
    ('-', "sync", Value::None),
    ('-', "sparse", Value::Required),
    ('-', "method", Value::Required),
    ('-', "progress", Value::Optional),
    ('a', "archive", Value::None),
    ('r', "recursive", Value::None),
    ('R', "recursive", Value::None),
    ('d', "-", Value::None),
    ('P', "no-dereference", Value::None),
    ('L', "dereference", Value::None),
    ('H', "-", Value::None),
    ('f', "force", Value::None),
    ('i', "interactive", Value::None),
    ('u', "update", Value::Optional),
    ('T', "no-target-directory", Value::None),
    ('t', "target-directory", Value::Required),
    ('x', "one-file-system", Value::None),
    ('l', "link", Value::None),
    ('s', "symbolic-link", Value::None),
];

/// Finds a long name, or the only one that begins so.
fn long_option(name: &str) -> Option<(&'static str, Value)> {
    let mut found: Vec<_> = OPTIONS
        .iter()
        .filter(|(.., long, _)| *long != "-" && long.starts_with(name))
        .map(|&(_, long, value)| (long, value))
        .collect();
    found.dedup();
    let exact = found.iter().copied().find(|(long, _)| *long == name);
    exact.or(if found.len() == 1 { found.pop() } else { None })
}

/// Returns the end of a string, from an offset on.
fn tail(string: &CStr, from: usize) -> &CStr {
    CStr::from_bytes_with_nul(&string.to_bytes_with_nul()[from..]).unwrap()
}

/// Parses by the rules of getopt_long(3).
fn model<'a>(
    arguments: &'a [CString],
    operands: &mut Vec<CString>,
) -> Result<Settings<'a>, UsageError> {
    let mut settings = Settings::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let text = argument.to_bytes();
        let unknown = || ("unknown", text.to_vec());
        let missing = || ("missing", text.to_vec());
        if text == b"--" {
            operands.extend(rest.by_ref().cloned());
        } else if !text.starts_with(b"-") || text == b"-" {
            operands.push(argument.clone());
        } else if let Some(long) = text.strip_prefix(b"--") {
            let equals = long.iter().position(|&byte| byte == b'=');
            let name = str::from_utf8(&long[..equals.unwrap_or(long.len())]);
            let (name, takes) = name.ok().and_then(long_option).ok_or_else(unknown)?;
            let mut value = equals.map(|at| tail(argument, 2 + at + 1));
            match takes {
                Value::None if value.is_some() => return Err(("unexpected value", text.to_vec())),
                Value::Required if value.is_none() => {
                    value = Some(rest.next().ok_or_else(missing)?);
                }
                _ => {}
            }
            set(&mut settings, name, value)?;
        } else {
            let mut at = 1;
            while at < text.len() {
                let letter = char::from(text[at]);
                let option = OPTIONS.iter().find(|option| option.0 == letter && letter != '-');
                let &(_, name, takes) = option.ok_or_else(unknown)?;
                at += 1;
                let mut value = None;
                if takes == Value::Required {
                    value = Some(if at < text.len() {
                        tail(argument, at)
                    } else {
                        rest.next().ok_or_else(missing)?
                    });
                    at = text.len();
                }
                let letter = letter.to_string();
                set(&mut settings, if name == "-" { &letter } else { name }, value)?;
            }
        }
    }
    Ok(settings)
}

fn set<'a>(
    settings: &mut Settings<'a>,
    name: &str,
    value: Option<&'a CStr>,
) -> Result<(), UsageError> {
    let bytes = value.map(|value| value.to_bytes().to_vec());
    let word = value.map(|value| value.to_string_lossy());
    let takes = || ("takes", bytes.clone().unwrap_or_default());
    let tree = &mut settings.tree;
    let file = &mut tree.file;
    match (name, word.as_deref()) {
        ("help", _) => settings.help = true,
        ("version", _) => settings.version = true,
        ("verbose", _) => settings.verbose = true,
        ("quiet", _) => settings.quiet = true,
        ("no-clobber", _) => file.no_clobber = true,
        ("sync", _) => file.sync = true,
        ("in-place", _) => (file.in_place, file.atomic) = (true, false),
        ("atomic", _) => (file.in_place, file.atomic) = (false, true),
        ("preserve", None) => {
            // Hard links are preserved on request only.
            file.preserve |= Preserve::all() - Preserve::LINKS;
        }
        ("preserve", Some(list)) => {
            // The first wrong word is reported, as it was written.
            for (word, bytes) in
                list.split(',').zip(value.unwrap().to_bytes().split(|&b| b == b','))
            {
                file.preserve |= match word {
                    "mode" => Preserve::MODE,
                    "ownership" => Preserve::OWNERSHIP,
                    "timestamps" => Preserve::TIMESTAMPS,
                    "links" => Preserve::LINKS,
                    "context" | "xattr" => Preserve::XATTR,
                    "all" => Preserve::all(),
                    _ => return Err(("takes", bytes.to_vec())),
                };
            }
        }
        ("jobs", Some(digits)) => {
            let digits = Some(digits).filter(|d| d.chars().all(|c| c.is_ascii_digit()));
            match digits.and_then(|digits| digits.parse().ok()) {
                Some(jobs @ 1..=64) => file.jobs = jobs,
                _ => return Err(takes()),
            }
        }
        ("sparse", Some("auto")) => file.fill_holes = false,
        ("sparse", Some("never")) => file.fill_holes = true,
        ("method", Some("auto")) => file.method = None,
        ("method", Some("clone")) => file.method = Some(Method::Clone),
        ("method", Some("kernel")) => file.method = Some(Method::Kernel),
        ("method", Some("map")) => file.method = Some(Method::Map),
        ("method", Some("write")) => file.method = Some(Method::Write),
        ("progress", None | Some("always")) => settings.progress = When::Always,
        ("progress", Some("auto")) => settings.progress = When::Auto,
        ("progress", Some("never")) => settings.progress = When::Never,
        ("archive", _) => {
            file.preserve = Preserve::all();
            tree.recursive = true;
            settings.follow = Some(Follow::Never);
        }
        ("recursive", _) => tree.recursive = true,
        ("d", _) => {
            file.preserve |= Preserve::LINKS;
            settings.follow = Some(Follow::Never);
        }
        ("no-dereference", _) => settings.follow = Some(Follow::Never),
        ("dereference", _) => settings.follow = Some(Follow::Always),
        ("H", _) => settings.follow = Some(Follow::Sources),
        ("force", _) => tree.force = true,
        ("interactive", _) => (file.no_clobber, tree.ask) = (false, true),
        ("update", None | Some("older")) => tree.update = Update::Older,
        ("update", Some("all")) => tree.update = Update::All,
        ("update", Some("none")) => tree.update = Update::None,
        ("update", Some("none-fail")) => tree.update = Update::NoneFail,
        ("no-target-directory", _) => settings.no_target = true,
        ("target-directory", _) => settings.target = value,
        ("one-file-system", _) => tree.one_file_system = true,
        ("link", _) => tree.content = Content::HardLink,
        ("symbolic-link", _) => tree.content = Content::Symlink,
        _ => return Err(takes()),
    }
    Ok(())
}

#[test]
fn fuzz_arguments() {
    fuzz("arguments", arguments, |arguments| {
        let mut operands = Vec::new();
        let mut list = arguments.iter().map(|argument| argument.as_c_str());
        let mut settings = args::Settings::default();
        let found = args::parse(&mut settings, &mut list, &mut |operand: &std::ffi::CStr| {
            operands.push(operand.to_owned());
        })
        .map(|()| settings);
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

/// Which symbolic links are followed, and when existing files are kept, depend on several options.
#[test]
fn options_that_depend_on_others_are_those_of_cp() {
    let cases: [(&[&CStr], Follow, Update); 9] = [
        (&[], Follow::Always, Update::All),
        (&[c"-r"], Follow::Never, Update::All),
        (&[c"-rl"], Follow::Always, Update::All),
        (&[c"-L", c"-r"], Follow::Always, Update::All),
        (&[c"-rH"], Follow::Sources, Update::All),
        (&[c"-a"], Follow::Never, Update::All),
        (&[c"-d"], Follow::Never, Update::All),
        (&[c"-n"], Follow::Always, Update::None),
        (&[c"-un"], Follow::Always, Update::None),
    ];
    for (arguments, follow, update) in cases {
        let mut settings = args::Settings::default();
        args::parse(&mut settings, &mut arguments.iter().copied(), &mut |_| ()).unwrap();
        settings.complete();
        let tree = settings.tree;
        assert_eq!((tree.follow, tree.update), (follow, update), "{arguments:?}");
        assert_eq!(tree.file.no_clobber, update == Update::None, "{arguments:?}");
    }
}
