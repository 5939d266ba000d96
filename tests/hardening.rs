//! The memory of a running `mapcp`, as an attacker would find it: what is writable, what is
//! executable, and at which addresses.

mod common;

use std::{collections::BTreeSet, fs, ops::Range, process::Command};

use common::{Scratch, noise, outcome, program};
use object::{
    Object, ObjectSegment, ReadRef, SegmentFlags, elf,
    read::elf::{FileHeader, ProgramHeader},
};

/// A line of `/proc/PID/maps`.
struct Mapping {
    range: Range<u64>,
    /// The permissions, such as `r-xp`.
    prot: String,
    name: String,
}

/// Returns the mappings of a `mapcp` that copies `/proc/self/maps`. An emulator presents the
/// mappings of its program.
fn maps(test: &str) -> Vec<Mapping> {
    let dir = Scratch::new(test);
    let dest = dir.path("maps");
    let output = program("mapcp").arg("/proc/self/maps").arg(&dest).output().unwrap();
    let (_, errors, status) = outcome(&output);
    assert_eq!((errors.as_str(), status), ("", Some(0)));
    let text = fs::read_to_string(dest).unwrap();
    let mapping = |line: &str| {
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let number = |digits| u64::from_str_radix(digits, 16).ok();
        let range = number(start)?..number(end)?;
        let prot = words.next()?.to_owned();
        Some(Mapping { range, prot, name: words.skip(3).collect() })
    };
    text.lines().map(|line| mapping(line).unwrap_or_else(|| panic!("{line}"))).collect()
}

/// Returns whether an emulator has larger pages than this machine. It then lists some of its own
/// mappings instead of the program's.
fn told_wrongly() -> bool {
    let lie = common::runner().is_some() && common::page_size() > 4096;
    if lie {
        println!("not checked: qemu-user tells other mappings than there are with such pages");
    }
    lie
}

/// The memory of the program, according to its file.
struct File {
    /// The addresses before relocation, and whether they are writable and executable.
    segments: Vec<(Range<u64>, bool, bool)>,
    /// The addresses that are read-only after the relocation.
    relro: Range<u64>,
    position_independent: bool,
}

fn file() -> File {
    fn relro<'a, H: FileHeader, R: ReadRef<'a>>(header: &H, data: R) -> Range<u64> {
        let endian = header.endian().unwrap();
        let segments = header.program_headers(endian, data).unwrap();
        let relro = segments.iter().find(|s| s.p_type(endian) == elf::PT_GNU_RELRO).unwrap();
        let start = relro.p_vaddr(endian).into();
        start..start + relro.p_memsz(endian).into()
    }
    let data = fs::read(common::path("mapcp")).unwrap();
    let file = object::File::parse(&*data).unwrap();
    let segments = file.segments().map(|segment| {
        let SegmentFlags::Elf { p_flags, .. } = segment.flags() else { panic!() };
        let range = segment.address()..segment.address() + segment.size();
        (range, p_flags.contains(elf::PF_W), p_flags.contains(elf::PF_X))
    });
    File {
        segments: segments.collect(),
        relro: match &file {
            object::File::Elf32(file) => relro(file.elf_header(), &*data),
            object::File::Elf64(file) => relro(file.elf_header(), &*data),
            other => panic!("{:?}", other.format()),
        },
        position_independent: file.kind() == object::ObjectKind::Dynamic,
    }
}

/// Returns the load bias of the program.
fn bias(maps: &[Mapping], file: &File) -> u64 {
    let path = fs::canonicalize(common::path("mapcp")).unwrap();
    let own = maps.iter().find(|mapping| mapping.name == path.to_str().unwrap());
    own.unwrap().range.start - (file.segments[0].0.start & !(common::page_size() - 1))
}

#[test]
fn no_memory_is_writable_and_executable() {
    let maps = maps("writable");
    for Mapping { range, prot, name } in &maps {
        assert!(!(prot.contains('w') && prot.contains('x')), "{range:x?} {prot} {name}");
    }
    if told_wrongly() {
        return;
    }
    let stack: Vec<_> = maps.iter().filter(|mapping| mapping.name == "[stack]").collect();
    assert_eq!((stack.len(), stack[0].prot.as_str()), (1, "rw-p"));
}

/// The protection of each page is that of the file, and relocated data is read-only.
#[test]
fn every_page_of_the_program_is_what_it_should_be() {
    if told_wrongly() {
        return;
    }
    let (maps, file) = (maps("pages"), file());
    let bias = bias(&maps, &file);
    let page = common::page_size();
    let mut protected = 0;
    for (range, writable, executable) in &file.segments {
        for at in (range.start & !(page - 1)..range.end).step_by(page as usize) {
            let relro = at + page > file.relro.start && at < file.relro.end;
            let wanted = match (writable, executable) {
                (false, true) => "r-xp",
                (true, false) if !relro => "rw-p",
                _ => "r--p",
            };
            let mapping = maps.iter().find(|mapping| mapping.range.contains(&(at + bias)));
            let found = mapping.map(|mapping| mapping.prot.as_str());
            assert_eq!(found, Some(wanted), "at {at:#x}, of {range:x?}");
            protected += u64::from(relro && *writable);
        }
    }
    assert!(protected > 0, "nothing was protected");

    // Only the program's code and the kernel's vDSO are executable. An emulator has its code for
    // the return from a signal handler in a page without a name.
    let file: Vec<_> = file.segments.iter().filter(|segment| segment.2).collect();
    for Mapping { range, prot, name } in maps.iter().filter(|m| m.prot.contains('x')) {
        let own = file.iter().any(|(code, ..)| {
            (code.start & !(page - 1)) + bias <= range.start && range.end < code.end + bias + page
        });
        let kernel = name == "[vdso]"
            || (name == "[vsyscall]" && prot == "--xp")
            || name == "[sigpage]"
            || (name.is_empty() && common::runner().is_some());
        assert!(own || kernel, "{range:x?} {prot} {name}");
    }
}

#[test]
fn the_load_address_differs_in_every_run() {
    if told_wrongly() {
        return;
    }
    let file = file();
    let bias = || bias(&maps("address"), &file);
    if !file.position_independent {
        println!("mips: programs are at a fixed address");
        return assert_eq!(bias(), 0);
    }
    if let Some(runner) = common::runner() {
        println!("{runner} has one address for all programs: that it is relocated is all");
        return assert_ne!(bias(), 0);
    }
    let places: BTreeSet<u64> = (0..8).map(|_| bias()).collect();
    let read = |path| fs::read_to_string(path).unwrap();
    assert!(
        places.len() > 1,
        "8 runs at {places:x?}; randomize_va_space is {}, the personality {} (40000: no \
         randomisation)",
        read("/proc/sys/kernel/randomize_va_space").trim(),
        read("/proc/self/personality").trim(),
    );
}

/// The program never requests memory that is writable and executable, not even for a moment.
#[test]
fn nothing_becomes_executable_during_a_copy() {
    if common::runner().is_some() {
        println!("not checked: the calls of a program under an emulator are the emulator's");
        return;
    }
    let dir = Scratch::new("calls");
    let source = dir.file("source", noise(9 << 20));
    let trace = dir.path("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-e", "trace=execve,mmap,mprotect,pkey_mprotect,mremap,shmat,personality"]);
    strace.arg("-o").arg(&trace).arg(common::path("mapcp")).args(["--method=map", "--jobs=2"]);
    strace.arg(source).arg(dir.path("dest"));
    let output = strace.output().expect("strace runs: apt-get install strace");
    assert_eq!(outcome(&output).2, Some(0));
    let trace = fs::read_to_string(trace).unwrap();
    assert!(trace.contains("mprotect(") && trace.contains("mmap("), "{trace}");
    for call in ["PROT_EXEC", "personality("] {
        assert!(!trace.contains(call), "{trace}");
    }
}
