//! The example programs as processes: their output, their exit statuses, and the files that they
//! leave.

mod common;

use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    process::Command,
};

use common::{
    Scratch,
    case::{self, case},
    copied, noise, outcome, program, run_program as run,
};
use object::Architecture;

#[test]
fn the_example_programs_print_what_they_document() {
    let dir = Scratch::new("seed");
    let text = dir.file("text", "line\n");
    assert_eq!(run(program("cat").arg(&text)), ("line\n".into(), String::new(), Some(0)));
    let empty = dir.file("empty", "");
    assert_eq!(run(program("cat").arg(&empty)), (String::new(), String::new(), Some(0)));

    let anonymous = "First byte: 0\nAll zero: true\nHello from anonymous mapping!\n\
        Child exited with 7: true\nNumber after the child added to it: 42\n";
    assert_eq!(run(&mut program("anonymous")), (anonymous.into(), String::new(), Some(0)));

    let (out, err, status) = run(program("write").current_dir(dir.path("")));
    let done = "Done. Check testfile.txt\n";
    assert_eq!((out.as_str(), err.as_str(), status), (done, "", Some(0)));
    let mut written = b"Written via mmap!".to_vec();
    written.resize(64, 0);
    assert_eq!(fs::read(dir.path("testfile.txt")).unwrap(), written);

    let source = dir.file("source", noise(100_001));
    for dest in ["dest", "source"] {
        let _case = case!(dest);
        let mut copy = program("tiny-copy");
        assert_eq!(run(copy.arg(&source).arg(dir.path(dest))), copied(100_001));
        assert!(fs::read(dir.path(dest)).unwrap() == noise(100_001));
    }
}

#[test]
fn code_that_a_program_writes_runs() {
    let result = run(&mut program("jit"));
    if !matches!(
        common::architecture(),
        Architecture::X86_64 | Architecture::Aarch64 | Architecture::Riscv64
    ) {
        let error = "jit: knows the instructions of x86_64, aarch64 and riscv64 alone\n";
        return assert_eq!(result, (String::new(), error.into(), Some(1)));
    }
    let lines = [(1, 1), (20, 210), (300, 45150)].map(|(number, sum)| {
        format!("{number} added to 1000: {}\nAll up to {number}: {sum}\n", 1000 + number)
    });
    assert_eq!(result, (lines.concat(), String::new(), Some(0)));
}

/// The addresses differ from run to run, the parts do not.
#[test]
fn the_layout_program_prints_every_part_from_high_to_low() {
    let (out, err, status) = run(&mut program("layout"));
    assert_eq!((err.as_str(), status), ("", Some(0)));
    let rows: Vec<(&str, &str)> =
        out.lines().map(|line| line.split_once("  | ").unwrap()).collect();
    assert!(rows.is_sorted_by(|(a, _), (b, _)| a > b), "{out}");
    let mut parts: Vec<&str> =
        rows.iter().map(|(_, what)| what.split(' ').next().unwrap()).collect();
    parts.sort();
    assert_eq!(parts, ["BSS", "data", "heap", "mappings", "stack", "text"]);
}

#[test]
fn the_layout_program_prints_sizes() {
    let (out, ..) = run(&mut program("layout"));
    for line in out.lines() {
        let size = line.split_once(" KiB").unwrap().0.rsplit(' ').next().unwrap();
        // With larger pages than the host's, qemu-user lists some of its own mappings.
        assert!(size.parse::<u64>().unwrap() > 0 || common::page_size() > 4096, "{line}");
    }
    if common::runner().is_none() {
        assert!(out.contains("[vdso]"), "{out}");
    }
}

#[test]
fn the_parallel_sum_program_adds_up_the_bytes_of_a_file() {
    let dir = Scratch::new("parallel-sum");
    // qemu-user with larger pages than this kernel's does not map an empty file.
    let least = usize::from(common::runner().is_some());
    for len in [least, 1, 16_385, 3_000_001] {
        let bytes = noise(len);
        let sum: u64 = bytes.iter().map(|&byte| u64::from(byte)).sum();
        let file = dir.file("file", bytes);
        let printed = (format!("{sum}\n"), String::new(), Some(0));
        assert_eq!(run(program("parallel-sum").arg(&file)), printed, "{len} bytes");
    }
}

#[test]
fn the_words_program_finds_words_on_their_lines() {
    let dir = Scratch::new("words");
    let text = dir.file("text", b"Two words.\nTwo more words, words\xff!\n\n\xc3\x84rger");
    let index = "more 2\ntwo 1 2\nwords 1 2\n\u{e4}rger 4\n";
    assert_eq!(run(program("words").arg(&text)), (index.into(), String::new(), Some(0)));

    // More than a block of memory, and thousands of different words.
    let long: String = (0..40_000).map(|number| format!("word{:05}\n", number % 20_000)).collect();
    let text = dir.file("long", &long);
    let (out, err, status) = run(program("words").arg(&text));
    assert_eq!((err.as_str(), status), ("", Some(0)));
    let wanted =
        (0..20_000).map(|number| format!("word{number:05} {} {}", number + 1, number + 20_001));
    assert!(out.lines().eq(wanted));
}

#[test]
fn out_of_memory_is_one_line_and_a_failure() {
    let dir = Scratch::new("memory");
    let text = dir.path("text");
    File::create(&text).unwrap().set_len(64 << 30).unwrap();
    let words = program("words");
    let mut shell = Command::new("sh");
    // An emulator needs memory of its own.
    let limit = if common::runner().is_none() { 64 << 10 } else { 4 << 20 };
    shell.args(["-c", "ulimit -v $0; exec \"$@\"", &limit.to_string()]);
    shell.arg(words.get_program()).args(words.get_args()).arg(&text);
    if common::words() == 32 {
        // No machine has this much memory.
        let message = format!(
            "words: {}: Value too large for defined data type (EOVERFLOW)\n",
            text.display()
        );
        let mut words = words;
        assert_eq!(run(words.arg(&text)), (String::new(), message, Some(1)));
        return;
    }
    let output = shell.output().unwrap();
    let (out, err, _) = outcome(&output);
    assert_eq!((out.as_str(), output.status.signal()), ("", Some(6)), "{err}");
    let mut lines = err.lines().filter(|line| !line.starts_with("qemu: uncaught target signal 6"));
    let line = lines.next().unwrap_or_default();
    assert!(line.starts_with("words: panicked at "), "{err}");
    assert!(line.ends_with(": memory allocation of 68719476736 bytes failed"), "{err}");
    assert_eq!(lines.next(), None);
}

#[test]
fn wrong_arguments_of_the_examples_fail() {
    for name in ["cat", "tiny-copy", "words"] {
        let (out, err, status) = run(program(name).arg("/no/such/file"));
        assert_eq!(out, "");
        assert!(!err.is_empty() && status != Some(0), "{name}");
    }
}
