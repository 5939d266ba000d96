//! The programs of `docs/c.md`, whose file is truncated while they run.

mod common;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Stdio},
};

use common::{VARIANTS, Variant, root, temporary};

/// More than a pipe and the buffers of a program can hold.
const LEN: usize = 4 << 20;

/// What the file keeps when it is truncated: whole pages of any size.
const KEPT: u64 = 1 << 16;

const HANDLERS: &[(&str, &[&str])] =
    &[("none", &[]), ("before", &["-DBEFORE"]), ("after", &["-DAFTER"])];

/// Extracts a program from the document.
fn extract(name: &str) -> PathBuf {
    let text = fs::read_to_string(root().join("docs/c.md")).unwrap();
    let (_, rest) = text.split_once(&format!("<!-- file: {name} -->\n```c\n")).unwrap();
    let (program, _) = rest.split_once("\n```\n").unwrap();
    let path = temporary(name);
    fs::write(&path, format!("{program}\n")).unwrap();
    path
}

/// Writes a file whose bytes differ from page to page, of which the last is `!`.
fn file(name: &str) -> (PathBuf, Vec<u8>) {
    let mut bytes: Vec<u8> = (0..LEN).map(|at| b'a' + (at / 100 % 26) as u8).collect();
    bytes[LEN - 1] = b'!';
    let path = temporary(name);
    fs::write(&path, &bytes).unwrap();
    (path, bytes)
}

fn truncate(path: &Path) {
    fs::File::options().write(true).open(path).unwrap().set_len(KEPT).unwrap();
}

/// Compiles a program in every way, and calls a function with each, and with what it is.
fn each(name: &str, check: impl Fn(&Variant, &Path, &str)) {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/own_handlers.c");
    let source = extract(&format!("{name}.c"));
    for variant in VARIANTS {
        for (handler, flags) in HANDLERS {
            let what = format!("{name}, {}, own handler: {handler}", variant.name);
            println!("{what}");
            let sources: &[&Path] = if flags.is_empty() { &[&source] } else { &[&source, &own] };
            let program = variant.compile(&format!("{name}-{handler}"), sources, flags);
            check(variant, &program, &what);
        }
    }
}

fn start(variant: &Variant, program: &Path, file: &Path) -> Child {
    let mut command = variant.command(program);
    // An error that valgrind finds is a status.
    command.arg(file).env("VALGRIND_OPTS", "--error-exitcode=99");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Waits for the end of a program. Returns its status, and what it has written since.
fn end(child: Child) -> (Option<i32>, String, String) {
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), None, "{}", String::from_utf8_lossy(&output.stderr));
    let [text, errors] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    (output.status.code(), text, errors)
}

/// Sends a line, and returns the one that answers it.
fn ask(stdin: &mut ChildStdin, stdout: &mut impl BufRead, line: &str) -> String {
    writeln!(stdin, "{line}").unwrap();
    let mut answer = String::new();
    stdout.read_line(&mut answer).unwrap();
    answer
}

#[test]
fn cat() {
    each("cat", |variant, program, what| {
        let (path, bytes) = file("cat.txt");
        // It is intact.
        let mut child = start(variant, program, &path);
        drop(child.stdin.take());
        let (status, text, errors) = end(child);
        assert_eq!((status, errors), (Some(0), String::new()), "{what}");
        assert!(text.as_bytes() == bytes, "{what}");

        // The program has written something, and waits until more of it is read.
        let mut child = start(variant, program, &path);
        drop(child.stdin.take());
        let mut begin = [0; 100];
        child.stdout.as_mut().unwrap().read_exact(&mut begin).unwrap();
        truncate(&path);
        let (status, text, errors) = end(child);
        let copied = [&begin, text.as_bytes()].concat();
        assert!(bytes.starts_with(&copied), "{what}");
        assert!(copied.len() >= KEPT as usize && copied.len() < LEN, "{what}");
        let at = copied.len();
        let message = format!("{}: byte {at}: Bad address\n", path.display());
        assert_eq!((status, errors), (Some(1), message), "{what}");

        let (status, text, errors) = end(start(variant, program, Path::new("/nonexistent")));
        assert_eq!((status, text), (Some(1), String::new()), "{what}");
        assert_eq!(errors, "/nonexistent: No such file or directory\n", "{what}");
    });
}

#[test]
fn memchr() {
    each("memchr", |variant, program, what| {
        let (path, _) = file("memchr.txt");
        let mut child = start(variant, program, &path);
        let (mut stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut stdout = BufReader::new(stdout);
        for (line, answer) in [("a", "a: 0\n"), ("!", "!: 4194303\n"), ("?", "?: absent\n")] {
            assert_eq!(ask(&mut stdin, &mut stdout, line), answer, "{what}");
        }
        truncate(&path);
        // What is found before the missing page is still true.
        assert_eq!(ask(&mut stdin, &mut stdout, "b"), "b: 100\n", "{what}");
        assert_eq!(ask(&mut stdin, &mut stdout, "!"), "", "{what}");
        let (status, _, errors) = end(child);
        let message = format!("{}: byte {KEPT}: Bad address\n", path.display());
        assert_eq!((status, errors), (Some(1), message), "{what}");
    });
}

#[test]
fn daemon() {
    each("daemon", |variant, program, what| {
        let (path, bytes) = file("daemon.txt");
        let mut child = start(variant, program, &path);
        let (mut stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut stdout = BufReader::new(stdout);
        let at = KEPT as usize - 8;
        let text = |range: std::ops::Range<usize>| String::from_utf8(bytes[range].into()).unwrap();
        let whole = format!("{at}: {}\n", text(at..at + 16));
        assert_eq!(ask(&mut stdin, &mut stdout, &at.to_string()), whole, "{what}");
        truncate(&path);
        let cut = format!("{at}: {}\n", text(at..at + 8));
        assert_eq!(ask(&mut stdin, &mut stdout, &at.to_string()), cut, "{what}");
        assert_eq!(ask(&mut stdin, &mut stdout, "100000"), "100000: Bad address\n", "{what}");
        assert_eq!(ask(&mut stdin, &mut stdout, "0"), format!("0: {}\n", text(0..16)), "{what}");
        drop(stdin);
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        let (status, _, errors) = end(child);
        assert_eq!((status, rest, errors), (Some(0), "end\n".into(), String::new()), "{what}");
    });
}

/// A later handler that does not ask the library has the fault, until the library takes the signal back.
#[test]
fn a_later_handler_that_does_not_chain() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/own_handlers.c");
    let source = extract("memchr.c");
    for (flags, status) in [(&["-DREFUSES"][..], 77), (&["-DREFUSES", "-DREINSTALL"], 1)] {
        let program = VARIANTS[0].compile("refuses", &[&source, &own], flags);
        let (path, _) = file("refuses.txt");
        let mut child = start(&VARIANTS[0], &program, &path);
        let (mut stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut stdout = BufReader::new(stdout);
        assert_eq!(ask(&mut stdin, &mut stdout, "!"), "!: 4194303\n");
        truncate(&path);
        assert_eq!(ask(&mut stdin, &mut stdout, "!"), "");
        assert_eq!(end(child).0, Some(status), "{flags:?}");
    }
}

/// The guarded `memchr` with a plain mapping, which shows that the truncation is one.
#[test]
fn without_the_library_the_program_is_killed() {
    let guarded = fs::read_to_string(extract("memchr.c")).unwrap();
    let mut plain = String::from(PLAIN);
    plain.push_str(guarded.split_once("\n\n").unwrap().1);
    let source = temporary("plain.c");
    fs::write(&source, plain).unwrap();
    let program = VARIANTS[0].compile("plain", &[&source], &[]);
    let (path, _) = file("plain.txt");
    let mut child = start(&VARIANTS[0], &program, &path);
    let (mut stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut stdout = BufReader::new(stdout);
    assert_eq!(ask(&mut stdin, &mut stdout, "!"), "!: 4194303\n");
    truncate(&path);
    assert_eq!(ask(&mut stdin, &mut stdout, "!"), "");
    assert_eq!(child.wait().unwrap().signal(), Some(7), "SIGBUS");
}

const PLAIN: &str = r"
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <stddef.h>
#include <sys/mman.h>
typedef const char baremap_watch;
static int baremap_watch_open(const char *path, baremap_watch **bytes)
{
    *bytes = mmap(0, 4 << 20, PROT_READ, MAP_SHARED, open(path, O_RDONLY), 0);
    return 0;
}
static const char *baremap_watch_ptr(baremap_watch *bytes) { return bytes; }
static size_t baremap_watch_len(baremap_watch *bytes) { (void)bytes; return 4 << 20; }
static int baremap_watch_check(baremap_watch *bytes, uint64_t *at) { (void)bytes; *at = 0; return 0; }
static void baremap_watch_close(baremap_watch *bytes) { (void)bytes; }
";
