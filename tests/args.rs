//! Compares the parser of `mapcp`'s command line with a plain model, on random arguments.

#[path = "../src/bin/mapcp/args.rs"]
mod args;
#[path = "../src/fuzz.rs"]
mod fuzz;

use std::ffi::{CStr, CString};

use args::{Settings, When};
use baremap::copy::{Content, Follow, Method, Preserve, Update};
use fuzz::{Random, fuzz};

/// Whether an option takes a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    None,
    Required,
    /// After `=` only.
    Optional,
}

/// The options: the letter, the name, and the value.
const OPTIONS: &[(&str, &str, Value)] = &[
    ("h", "help", Value::None),
    ("V", "version", Value::None),
    ("n", "no-clobber", Value::None),
    ("p", "preserve", Value::Optional),
    ("v", "verbose", Value::None),
    ("q", "quiet", Value::None),
    ("j", "jobs", Value::Required),
    ("", "in-place", Value::None),
    ("", "atomic", Value::None),
    ("", "sync", Value::None),
    ("", "sparse", Value::Required),
    ("", "method", Value::Required),
    ("", "progress", Value::Optional),
    ("a", "archive", Value::None),
    ("rR", "recursive", Value::None),
    ("P", "no-dereference", Value::None),
    ("L", "dereference", Value::None),
    ("H", "", Value::None),
    ("d", "", Value::None),
    ("f", "force", Value::None),
    ("i", "interactive", Value::None),
    ("u", "update", Value::Optional),
    ("T", "no-target-directory", Value::None),
    ("t", "target-directory", Value::Required),
    ("x", "one-file-system", Value::None),
    ("l", "link", Value::None),
    ("s", "symbolic-link", Value::None),
    ("", "reflink", Value::Optional),
];

/// Returns arguments, most of which are valid or nearly so.
fn arguments(random: &mut Random) -> Vec<CString> {
    const WRONG: &[&str] =
        &["", "hhelp", "1in-place", "help jobs", "wrong", "s", "no-", "preservex"];
    const VALUES: &[&str] = &[
        "auto",
        "never",
        "always",
        "clone",
        "kernel",
        "map",
        "write",
        "read",
        "all",
        "none",
        "none-fail",
        "older",
        "mode",
        "mode,links",
        "xattr,timestamps,ownership",
        "links,",
        ",",
        "mode,wrong",
        "context",
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
    const LETTERS: &[u8] = b"hVnpvqjarRPLHdfiuTtxls15=";
    let mut arguments = random.list(7, |random| match random.below(8) {
        0..=2 => {
            let all = OPTIONS.iter().map(|option| option.1).chain(WRONG.iter().copied());
            let all: Vec<&str> = all.collect();
            let mut name: &str = random.one_of(&all);
            if random.once_in(3) {
                name = &name[..random.below(name.len() + 1)];
            }
            let value = if random.once_in(2) {
                format!("={}", random.one_of(VALUES))
            } else {
                String::new()
            };
            format!("--{name}{value}").into_bytes()
        }
        3 | 4 => {
            let letters = random.text(4, LETTERS);
            [b"-", &letters[..], random.one_of(VALUES).as_bytes()].concat()
        }
        5 => random.one_of(VALUES).as_bytes().to_vec(),
        6 => [b"-", &random.text(3, LETTERS)[..]].concat(),
        _ => random.text(8, b"-=jnt"),
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

/// Parses by the rules of getopt_long(3).
fn model<'a>(
    settings: &mut Settings<'a>,
    arguments: &'a [CString],
    operands: &mut Vec<CString>,
) -> Result<(), UsageError> {
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
            let named = |option: &&(&str, &str, Value)| !option.1.is_empty();
            let all: Vec<_> = OPTIONS.iter().filter(named).collect();
            let exact = all.iter().find(|option| option.1.as_bytes() == name);
            let mut begin = all.iter().filter(|option| option.1.as_bytes().starts_with(name));
            let only = begin.next().filter(|_| begin.next().is_none());
            let option = exact.or(only).ok_or(("unknown", text.to_vec()))?;
            let at = equals.map(|at| at + 3);
            set(settings, option, at, argument, &mut rest)?;
        } else {
            let mut at = 1;
            while at < text.len() {
                let letter = char::from(text[at]);
                let option = OPTIONS.iter().find(|option| option.0.contains(letter));
                let option = option.ok_or(("unknown", text.to_vec()))?;
                at += 1;
                let mut value = None;
                if option.2 == Value::Required && at < text.len() {
                    value = Some(at);
                    at = text.len();
                }
                // A letter that is an alias without another effect.
                let option = if letter == 'R' { &("r", option.1, option.2) } else { option };
                set(settings, option, value, argument, &mut rest)?;
            }
        }
    }
    Ok(())
}

/// Sets an option. Its value is the part of `argument` from `at` on, or the next argument.
fn set<'a>(
    settings: &mut Settings<'a>,
    &(letter, name, kind): &(&str, &str, Value),
    at: Option<usize>,
    argument: &'a CString,
    rest: &mut std::slice::Iter<'a, CString>,
) -> Result<(), UsageError> {
    let text = argument.to_bytes();
    let mut value = at.map(|at| {
        let tail = &argument.as_bytes_with_nul()[at..];
        std::ffi::CStr::from_bytes_with_nul(tail).unwrap()
    });
    if kind == Value::Required && value.is_none() {
        value = rest.next().map(|next| next.as_c_str());
        value.ok_or(("missing", text.to_vec()))?;
    }
    if kind == Value::None && value.is_some() {
        return Err(("unexpected value", text.to_vec()));
    }
    let word = value.map(|value| value.to_string_lossy().into_owned());
    let (tree, follow) = (&mut settings.tree, &mut settings.follow);
    let wrong = || Err(("is not one of", value.unwrap().to_bytes().to_vec()));
    match (name, letter, word.as_deref()) {
        ("help", ..) => settings.help = true,
        ("version", ..) => settings.version = true,
        ("no-clobber", ..) => tree.file.no_clobber = true,
        ("verbose", ..) => settings.verbose = true,
        ("quiet", ..) => settings.quiet = true,
        ("in-place", ..) => (tree.file.in_place, tree.file.atomic) = (true, false),
        ("atomic", ..) => (tree.file.atomic, tree.file.in_place) = (true, false),
        ("sync", ..) => tree.file.sync = true,
        ("archive", ..) => {
            (tree.recursive, tree.file.preserve) = (true, Preserve::all());
            *follow = Some(Follow::Never);
        }
        ("recursive", ..) => tree.recursive = true,
        ("no-dereference", ..) => *follow = Some(Follow::Never),
        ("dereference", ..) => *follow = Some(Follow::Always),
        ("", "H", _) => *follow = Some(Follow::Sources),
        ("", "d", _) => {
            tree.file.preserve |= Preserve::LINKS;
            *follow = Some(Follow::Never);
        }
        ("force", ..) => tree.force = true,
        ("interactive", ..) => (tree.ask, tree.file.no_clobber) = (true, false),
        ("no-target-directory", ..) => settings.no_target = true,
        ("target-directory", ..) => settings.target = value,
        ("one-file-system", ..) => tree.one_file_system = true,
        ("link", ..) => tree.content = Content::HardLink,
        ("symbolic-link", ..) => tree.content = Content::Symlink,
        ("preserve", _, None) => tree.file.preserve |= Preserve::all() - Preserve::LINKS,
        ("preserve", _, Some(_)) => {
            for word in value.unwrap().to_bytes().split(|&byte| byte == b',') {
                tree.file.preserve |= match word {
                    b"mode" => Preserve::MODE,
                    b"ownership" => Preserve::OWNERSHIP,
                    b"timestamps" => Preserve::TIMESTAMPS,
                    b"links" => Preserve::LINKS,
                    b"xattr" | b"context" => Preserve::XATTR,
                    b"all" => Preserve::all(),
                    _ => return Err(("is not one of", word.to_vec())),
                };
            }
        }
        ("update", _, None | Some("older")) => tree.update = Update::Older,
        ("update", _, Some("all")) => tree.update = Update::All,
        ("update", _, Some("none")) => tree.update = Update::None,
        ("update", _, Some("none-fail")) => tree.update = Update::NoneFail,
        ("progress", _, None | Some("always")) => settings.progress = When::Always,
        ("progress", _, Some("auto")) => settings.progress = When::Auto,
        ("progress", _, Some("never")) => settings.progress = When::Never,
        ("sparse", _, Some(word @ ("auto" | "always" | "never"))) => {
            tree.file.fill_holes = word == "never";
            tree.file.make_holes = word == "always";
        }
        ("method", _, Some(word)) => {
            tree.file.method = match word {
                "auto" => None,
                "clone" => Some(Method::Clone),
                "kernel" => Some(Method::Kernel),
                "map" => Some(Method::Map),
                "write" => Some(Method::Write),
                _ => return wrong(),
            }
        }
        ("reflink", _, None | Some("always")) => tree.file.method = Some(Method::Clone),
        ("reflink", _, Some("auto")) => tree.file.method = None,
        ("reflink", _, Some("never")) => tree.file.method = Some(Method::Write),
        ("jobs", _, Some(digits)) if digits.chars().all(|char| char.is_ascii_digit()) => {
            match digits.parse() {
                Ok(jobs @ 1..=64) => tree.file.jobs = jobs,
                _ => return wrong(),
            }
        }
        _ => return wrong(),
    }
    Ok(())
}

#[test]
fn fuzz_arguments() {
    fuzz("arguments", arguments, |arguments| {
        let (mut found, mut operands) = (Settings::default(), Vec::new());
        let mut list = arguments.iter().map(|argument| argument.as_c_str());
        let mut operand = |operand: &std::ffi::CStr| operands.push(operand.to_owned());
        let result = args::parse(&mut found, &mut list, &mut operand);
        let (mut wanted, mut wanted_operands) = (Settings::default(), Vec::new());
        let wanted_result = model(&mut wanted, arguments, &mut wanted_operands);
        assert_eq!(operands, wanted_operands);
        match (result, wanted_result) {
            (Ok(()), Ok(())) => assert_eq!(format!("{found:?}"), format!("{wanted:?}")),
            (Err(found), Err((what, text))) => {
                let line = found.to_string();
                assert!(found.text == text && line.contains(what), "{found:?}: {what} {text:?}");
                assert!(!line.contains(|char: char| char.is_ascii_control()), "{line}");
            }
            (found, wanted) => panic!("{found:?} is not {wanted:?}"),
        }
    });
}

/// The options that depend on others are those of GNU cp.
#[test]
fn defaults_that_depend_on_other_options() {
    let complete = |arguments: &[&std::ffi::CStr]| {
        let mut settings = Settings::default();
        let parsed = args::parse(&mut settings, &mut arguments.iter().copied(), &mut |_| {});
        parsed.unwrap();
        settings.complete();
        (settings.tree.follow, settings.tree.update, settings.tree.file.no_clobber)
    };
    assert_eq!(complete(&[]), (Follow::Always, Update::All, false));
    assert_eq!(complete(&[c"-r"]), (Follow::Never, Update::All, false));
    assert_eq!(complete(&[c"-rl"]), (Follow::Always, Update::All, false));
    assert_eq!(complete(&[c"-rH"]), (Follow::Sources, Update::All, false));
    assert_eq!(complete(&[c"-aL"]), (Follow::Always, Update::All, false));
    assert_eq!(complete(&[c"-un"]), (Follow::Always, Update::None, true));
    assert_eq!(complete(&[c"-ni"]), (Follow::Always, Update::All, false));
    assert_eq!(complete(&[c"--update=none-fail"]), (Follow::Always, Update::NoneFail, true));
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
