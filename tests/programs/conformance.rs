//! What the kernel does, asked by a program with nothing between: `conformance`.
//!
//! ```text
//! conformance [--qemu-user] [-- WORD...]
//! ```
//!
//! One source for every architecture. Each case is one function, written so that a
//! fault in the architecture's file gives another answer: arguments that are told apart
//! by position, offsets whose halves differ, values kept in registers. The groups are
//! modules, in the order in which they run, and each ends with the table of its cases.
//!
//! The report is TAP, one line for each case, `# SKIP` with what the system lacks, and a
//! closing line; the exit status is 0 only if no case failed. It begins with the arguments
//! and the environment as the program sees them, for whoever started it to compare.
//!
//! With `--qemu-user` the cases run as ever; those marked as different there are then not
//! counted as failed. Without it nothing is excused.
//!
//! The working directory must be writable. Files are made there, without a name wherever
//! that will do, and removed.
//!
//! Booted as `/init`, it prepares the system and leaves the emulator: `init.rs`.

#![no_std]
#![no_main]
#![cfg_attr(baremap_unstable_asm, feature(asm_experimental_arch))]

use core::{
    ffi::CStr,
    fmt::{self, Debug, Write},
    panic::Location,
    ptr,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use baremap::{
    fd::{AsFd, BorrowedFd, CWD, FromRawFd, OwnedFd},
    rt::{ExitCode, Start, eprintln, println},
    syscall::{
        self, Access, AtFlags, Errno, MapFlags, MemfdFlags, Mode, OFlags, ProtFlags, raw, raw::nr,
    },
};

#[path = "init.rs"]
mod init;

baremap::entry!(main);

/// The groups, in order: a later one relies on what an earlier one has shown.
const GROUPS: &[(&str, &[Case])] = &[
    ("start", start::CASES),
    ("memory functions", memory_functions::CASES),
    ("arguments", arguments::CASES),
    ("results", results::CASES),
    ("registers", registers::CASES),
    ("files", files::CASES),
    ("offsets", offsets::CASES),
    ("stat", stat::CASES),
    ("mmap", mmap::CASES),
    ("mremap", mremap::CASES),
    ("mm calls", mm_calls::CASES),
    ("mm errors", mm_errors::CASES),
    ("newer calls", newer::CASES),
    ("signals", signals::CASES),
    ("faults", faults::CASES),
    ("processes", processes::CASES),
    ("guarded", guarded::CASES),
    ("model", model::CASES),
    ("time and limits", time_and_limits::CASES),
    ("space", space::CASES),
];

/// Whether the system calls are qemu-user's.
static EMULATED: AtomicBool = AtomicBool::new(false);

fn main(start: Start) -> ExitCode {
    if !init::is_booted(start) {
        return run(start);
    }
    if let Err(errno) = init::prepare() {
        println!("# the system could not be prepared: {errno:?}");
    }
    init::leave(run(start) == ExitCode::SUCCESS)
}

/// Runs all cases.
fn run(start: Start) -> ExitCode {
    for argument in start.args().skip(1) {
        match argument.to_bytes() {
            b"--" => break,
            b"--qemu-user" => EMULATED.store(true, Relaxed),
            _ => {
                eprintln!("Usage: conformance [--qemu-user] [-- WORD...]");
                return ExitCode(2);
            }
        }
    }
    for (number, word) in start.args().enumerate() {
        println!("# argument {number}: {}", word.to_bytes().escape_ascii());
    }
    for (number, word) in start.env().enumerate() {
        println!("# environment {number}: {}", word.to_bytes().escape_ascii());
    }

    if let Ok(kernel) = init::Kernel::running() {
        println!("# kernel: {kernel}, pages of {} bytes", page());
    }

    let (mut count, mut failed) = (0, 0);
    for (group, cases) in GROUPS {
        for case in *cases {
            count += 1;
            let outcome = (case.run)(start);
            if !report(count, group, case, outcome) {
                failed += 1;
            }
        }
    }
    println!("1..{count}");
    println!("conformance: {count} cases, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints the line of one case, and tells whether it counts as passed.
fn report(number: usize, group: &str, case: &Case, outcome: Outcome) -> bool {
    let what = case.what;
    let emulated = EMULATED.load(Relaxed);
    match (outcome, case.qemu_user) {
        (Ok(()), _) => println!("ok {number} - {group}: {what}"),
        (Err(Trouble::Missing(it)), _) => println!("ok {number} - {group}: {what} # SKIP no {it}"),
        (Err(Trouble::Wrong(_)), Some((reason, when))) if emulated && when() => {
            println!("ok {number} - {group}: {what} # qemu-user differs: {reason}");
        }
        (Err(Trouble::Wrong(text)), _) => {
            println!("not ok {number} - {group}: {what} # {}", text.as_str());
            return false;
        }
    }
    true
}

// ---------------------------------------------------------------------------------------
// What a case is made of.

/// One question, and what a right answer shows.
struct Case {
    what: &'static str,
    run: fn(Start) -> Outcome,
    /// Why the answer is another one under qemu-user, and whether it is on this machine.
    qemu_user: Option<Excuse>,
}

type Excuse = (&'static str, fn() -> bool);

/// A case of the table: `case!("what it shows", function)`; `start function` if it takes
/// [`Start`]; and a reason if qemu-user differs, everywhere or `if` some condition holds.
macro_rules! case {
    ($what:literal, start $run:path $(, qemu_user: $reason:literal $(, if $when:expr)?)?) => {
        Case { what: $what, run: $run, qemu_user: case!(@ $($reason $(, $when)?)?) }
    };
    ($what:literal, $run:path $(, qemu_user: $reason:literal $(, if $when:expr)?)?) => {
        Case { what: $what, run: |_| $run(), qemu_user: case!(@ $($reason $(, $when)?)?) }
    };
    (@) => { None };
    (@ $reason:literal) => { Some(($reason, || true)) };
    (@ $reason:literal, $when:expr) => { Some(($reason, || $when)) };
}

type Outcome = Result<(), Trouble>;

/// Why a case did not pass.
enum Trouble {
    /// Something was otherwise than wanted.
    Wrong(Text),
    /// The system lacks what the case needs.
    Missing(&'static str),
}

/// A short text without allocation. What does not fit is cut off.
struct Text {
    bytes: [u8; 110],
    used: usize,
}

impl Text {
    fn as_str(&self) -> &str {
        self.bytes.get(..self.used).and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or("?")
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Nothing but ASCII without line ends, so that it can be cut anywhere and stays on
        // the case's line.
        for byte in text.bytes().map(|b| if b.is_ascii_graphic() { b } else { b' ' }) {
            let Some(room) = self.bytes.get_mut(self.used) else { break };
            *room = byte;
            self.used += 1;
        }
        Ok(())
    }
}

/// The trouble with what stands in the line that called.
#[track_caller]
fn wrong(what: fmt::Arguments<'_>) -> Trouble {
    let mut text = Text { bytes: [0; 110], used: 0 };
    let _ = write!(text, "line {}: {what}", Location::caller().line());
    Trouble::Wrong(text)
}

/// A call that was to succeed, and was followed by `?`.
impl From<Errno> for Trouble {
    #[track_caller]
    fn from(errno: Errno) -> Trouble {
        wrong(format_args!("got {errno:?}, wanted success"))
    }
}

/// Both are the same.
#[track_caller]
fn same<T: PartialEq + Debug>(got: T, wanted: T) -> Outcome {
    if got == wanted { Ok(()) } else { Err(wrong(format_args!("got {got:?}, wanted {wanted:?}"))) }
}

/// The call fails, and with this error.
#[track_caller]
fn fails<T>(result: syscall::Result<T>, wanted: Errno) -> Outcome {
    match result {
        Err(errno) if errno == wanted => Ok(()),
        Err(errno) => Err(wrong(format_args!("got {errno:?}, wanted {wanted:?}"))),
        Ok(_) => Err(wrong(format_args!("got success, wanted {wanted:?}"))),
    }
}

/// It is so; `what` says what is wrong if not.
#[track_caller]
fn ensure(so: bool, what: &str) -> Outcome {
    if so { Ok(()) } else { Err(wrong(format_args!("got {what}"))) }
}

// ---------------------------------------------------------------------------------------
// Memory and files for the cases.

use baremap::syscall::page_size as page;

const READ_WRITE: ProtFlags = ProtFlags::READ.union(ProtFlags::WRITE);
const ANONYMOUS: MapFlags = MapFlags::PRIVATE.union(MapFlags::ANONYMOUS);
const SHARED_ANONYMOUS: MapFlags = MapFlags::SHARED.union(MapFlags::ANONYMOUS);

/// Room for what `mincore` tells of four pages. Under qemu-user with pages larger than the
/// host's it is the host that tells, a byte for each of its own, into whatever room there is:
/// with less, the emulator writes over what lies behind.
const PRESENT: usize = 4 * 64 / 4;

/// A mapping that is unmapped when it is dropped. Never a reference: the kernel, and for a
/// file anybody, changes it.
struct Pages {
    addr: *mut u8,
    length: usize,
}

impl Pages {
    /// A mapping where the kernel likes.
    fn map(
        length: usize,
        prot: ProtFlags,
        flags: MapFlags,
        fd: Option<BorrowedFd<'_>>,
        offset: u64,
    ) -> syscall::Result<Pages> {
        // SAFETY: nobody passes a fixed address here, so nothing is replaced.
        let addr = unsafe { syscall::mmap(ptr::null_mut(), length, prot, flags, fd, offset)? };
        Ok(Pages { addr, length })
    }

    /// So many pages of zeros, private.
    fn zeros(pages: usize) -> syscall::Result<Pages> {
        Pages::map(pages * page(), READ_WRITE, ANONYMOUS, None, 0)
    }

    /// So many pages of addresses, that may not be touched.
    fn reserve(pages: usize) -> syscall::Result<Pages> {
        Pages::map(pages * page(), ProtFlags::empty(), ANONYMOUS, None, 0)
    }

    /// The address of a page, counted from the first.
    fn page(&self, number: usize) -> *mut u8 {
        self.addr.wrapping_add(number * page())
    }

    /// The address of a byte.
    fn at(&self, index: usize) -> *mut u8 {
        assert!(index < self.length);
        self.addr.wrapping_add(index)
    }

    fn get(&self, index: usize) -> u8 {
        // SAFETY: inside the mapping; a fault is what some cases are about.
        unsafe { self.at(index).read_volatile() }
    }

    fn set(&self, index: usize, value: u8) {
        // SAFETY: inside the mapping, to which there are no references.
        unsafe { self.at(index).write_volatile(value) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping was this value's own.
        let _ = unsafe { syscall::munmap(self.addr, self.length) };
    }
}

/// Whether the kernel can read at an address: it is asked for a file by that name, and
/// fails with `EFAULT` only if it cannot.
fn readable(addr: *const u8) -> bool {
    // SAFETY: the kernel checks the address, and reads no further than a path is long.
    let result = unsafe { raw::syscall3(nr::faccessat, cwd(), addr as usize, 0) };
    check(result).err() != Some(Errno::EFAULT)
}

/// Whether the kernel can write at an address. If it can, the byte there is random after.
fn writable(addr: *mut u8) -> bool {
    // SAFETY: the kernel checks the address; the caller does without the byte.
    check(unsafe { raw::syscall3(nr::getrandom, addr as usize, 1, 0) }) == Ok(1)
}

/// The working directory as a raw argument.
fn cwd() -> usize {
    number(CWD)
}

/// A descriptor as a raw argument.
fn number(fd: BorrowedFd<'_>) -> usize {
    use baremap::fd::AsRawFd;
    fd.as_raw_fd() as usize
}

/// A raw result: a value, or an errno from −4095 to −1.
fn check(result: usize) -> syscall::Result<usize> {
    match result.wrapping_neg() {
        errno @ 1..=4095 => Err(Errno::new(errno as u16)),
        _ => Ok(result),
    }
}

/// An empty file of the working directory's file system, without a name.
fn file() -> syscall::Result<OwnedFd> {
    let name = c".baremap conformance \xff~";
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let fd = syscall::open(name, flags, Mode::RUSR | Mode::WUSR)?;
    syscall::unlinkat(CWD, name, AtFlags::empty())?;
    Ok(fd)
}

/// An empty file in memory. It can be sparse, and mapped, whatever the file system is.
fn memory() -> syscall::Result<OwnedFd> {
    syscall::memfd_create(c"conformance", MemfdFlags::CLOEXEC)
}

/// A file in memory of so many pages, each beginning with its number, counted from one.
fn numbered(pages: usize) -> syscall::Result<OwnedFd> {
    let fd = memory()?;
    syscall::ftruncate(fd.as_fd(), (pages * page()) as u64)?;
    for number in 0..pages {
        syscall::pwrite(fd.as_fd(), &[number as u8 + 1], (number * page()) as u64)?;
    }
    Ok(fd)
}

/// A name in the working directory that is removed when it is dropped.
struct Name(&'static CStr);

impl Name {
    fn new(name: &'static CStr) -> Name {
        let _ = syscall::unlinkat(CWD, name, AtFlags::empty());
        Name(name)
    }

    fn exists(&self) -> bool {
        syscall::faccessat(CWD, self.0, Access::empty()).is_ok()
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = syscall::unlinkat(CWD, self.0, AtFlags::empty());
    }
}

// ---------------------------------------------------------------------------------------

/// From the kernel's first instruction to `main`.
mod start {
    use super::*;
    use baremap::rt::Auxv;
    use core::{hint::black_box, sync::atomic::AtomicPtr, sync::atomic::Ordering::Relaxed};
    use linux_raw_sys::{
        auxvec::{AT_ENTRY, AT_NULL, AT_PAGESZ, AT_PHDR, AT_PHENT, AT_PHNUM, AT_RANDOM},
        elf::{Elf_Ehdr, Elf_Phdr, PF_X, PT_GNU_RELRO, PT_LOAD},
        general::MS_ASYNC,
    };

    fn find(auxv: Auxv, kind: u32) -> Result<usize, Trouble> {
        let mut auxv = auxv;
        auxv.find(|&(k, _)| k == kind as usize)
            .map(|(_, value)| value)
            .ok_or_else(|| wrong(format_args!("got no AT_ {kind}")))
    }

    /// The count and the null at the end of the pointers are told separately.
    fn arguments_end_with_null(start: Start) -> Outcome {
        let count = start.args().count();
        ensure(count >= 1, "no argument, not even the program's name")?;
        // The environment begins where the count says that the arguments end: were the
        // count wrong, an argument would be its first string, or the null its only one.
        let last = start.args().last().map(CStr::to_bytes_with_nul);
        let next = start.env().next().map(CStr::to_bytes_with_nul);
        if let (Some(last), Some(next)) = (last, next) {
            // The kernel puts all strings one after the other.
            same(next.as_ptr() as usize, last.as_ptr_range().end as usize)?;
        }
        Ok(())
    }

    fn environment_has_names(start: Start) -> Outcome {
        for variable in start.env() {
            ensure(variable.to_bytes().contains(&b'='), "a variable without '='")?;
        }
        Ok(())
    }

    /// /proc tells the same vector, byte for byte.
    fn auxv_is_that_of_proc(start: Start) -> Outcome {
        let fd = match syscall::open(c"/proc/self/auxv", OFlags::RDONLY, Mode::empty()) {
            Err(Errno::ENOENT) => return Err(Trouble::Missing("/proc")),
            result => result?,
        };
        for (kind, value) in start.auxv().chain([(AT_NULL as usize, 0)]) {
            for wanted in [kind, value] {
                let mut word = [0; size_of::<usize>()];
                same(syscall::read(fd.as_fd(), &mut word)?, word.len())?;
                same(usize::from_ne_bytes(word), wanted)?;
            }
        }
        Ok(())
    }

    fn page_size_is_told(start: Start) -> Outcome {
        let size = find(start.auxv(), AT_PAGESZ)?;
        ensure(size.is_power_of_two() && size >= 4096, "a page size that is none")?;
        same(page(), size)
    }

    /// `msync` of no bytes succeeds at the addresses of pages alone.
    fn page_size_is_that_of_the_kernel() -> Outcome {
        // SAFETY: a range of no bytes is not touched.
        let msync = |at| check(unsafe { raw::syscall3(nr::msync, at, 0, MS_ASYNC as usize) });
        same(msync(page()), Ok(0))?;
        same(msync(3 * page()), Ok(0))?;
        fails(msync(page() / 2), Errno::EINVAL)?;
        fails(msync(page() + page() / 2), Errno::EINVAL)
    }

    /// The program headers, and what the linker's addresses have to be added to.
    fn image(start: Start) -> Result<(&'static [Elf_Phdr], usize), Trouble> {
        let headers = find(start.auxv(), AT_PHDR)?;
        let count = find(start.auxv(), AT_PHNUM)?;
        same(find(start.auxv(), AT_PHENT)?, size_of::<Elf_Phdr>())?;
        // SAFETY: the kernel says that there is an array of so many.
        let headers = unsafe { core::slice::from_raw_parts(headers as *const Elf_Phdr, count) };
        let first = headers.iter().find(|h| h.p_type == PT_LOAD && h.p_offset == 0);
        let Some(first) = first else {
            return Err(wrong(format_args!("got no segment with the file's header")));
        };
        let file = (headers.as_ptr() as usize).wrapping_sub(size_of::<Elf_Ehdr>());
        Ok((headers, file.wrapping_sub(first.p_vaddr)))
    }

    /// The program headers follow the file's header, and the code that runs lies where
    /// they say.
    fn program_headers(start: Start) -> Outcome {
        let (headers, bias) = image(start)?;
        let file = headers.as_ptr().cast::<u8>().wrapping_sub(size_of::<Elf_Ehdr>());
        // SAFETY: the file's header begins a segment that is readable.
        same(unsafe { file.cast::<[u8; 4]>().read() }, *b"\x7fELF")?;
        for address in [main as *const () as usize, find(start.auxv(), AT_ENTRY)?] {
            let inside = headers.iter().any(|h| {
                let begin = h.p_vaddr.wrapping_add(bias);
                let executable = h.p_type == PT_LOAD && h.p_flags & PF_X != 0;
                executable && address.wrapping_sub(begin) < h.p_memsz
            });
            ensure(inside, "code outside of the executable segments")?;
        }
        Ok(())
    }

    fn random_bytes(start: Start) -> Outcome {
        let at = find(start.auxv(), AT_RANDOM)?;
        // SAFETY: the kernel put sixteen bytes there.
        let bytes = unsafe { (at as *const [u8; 16]).read() };
        ensure(bytes != [0; 16], "zeros")
    }

    /// The compiler relies on the alignment that the entry point gives the stack.
    fn stack_is_aligned() -> Outcome {
        ensure(super::aligned_local(), "a local variable that is not aligned")
    }

    fn data_is_initialised() -> Outcome {
        static mut DATA: [u32; 4] = [0x0102_0304, 5, 6, 7];
        // SAFETY: one thread, and no reference.
        unsafe {
            same((&raw const DATA).read_volatile(), [0x0102_0304, 5, 6, 7])?;
            (&raw mut DATA[3]).write_volatile(8);
            same((&raw const DATA[3]).read_volatile(), 8)
        }
    }

    fn bss_is_zero() -> Outcome {
        static mut BSS: [u8; 70_000] = [0; 70_000];
        for index in 0..70_000 {
            // SAFETY: one thread, inside the array, and no reference.
            let byte = unsafe { (&raw const BSS).cast::<u8>().add(index).read_volatile() };
            same(byte, 0)?;
        }
        // SAFETY: as above.
        unsafe { (&raw mut BSS[69_999]).write_volatile(1) };
        Ok(())
    }

    fn one() -> usize {
        1
    }
    fn two() -> usize {
        2
    }

    /// Where programs are linked at a fixed address.
    const FIXED: bool = cfg!(any(target_arch = "mips", target_arch = "mips64"));

    static STRINGS: [&str; 3] = ["the first", "", "the third"];
    static FUNCTIONS: [fn() -> usize; 3] = [two, one, two];
    static TARGET: u32 = 0x600d_f00d;
    /// Relocated, and changed later.
    static POINTER: AtomicPtr<u32> = AtomicPtr::new(&raw const TARGET as *mut u32);

    /// Addresses in data: of strings, of functions, of other data.
    fn tables_are_relocated() -> Outcome {
        let strings = black_box(&STRINGS);
        same(strings[0], "the first")?;
        same(strings[1], "")?;
        same(strings[2], "the third")?;
        let functions = black_box(&FUNCTIONS);
        same([functions[0](), functions[1](), functions[2]()], [2, 1, 2])?;
        let pointer = black_box(&POINTER).load(Relaxed);
        same(pointer.addr(), (&raw const TARGET).addr())?;
        // SAFETY: the address is that of the static.
        same(unsafe { pointer.read_volatile() }, 0x600d_f00d)?;
        // A table that is not relocated holds numbers near zero, and a program that is not
        // position independent would show nothing here.
        ensure(FIXED || strings[0].as_ptr().addr() > 0x10_0000, "the linker's address")
    }

    /// What is never written again after the relocation is protected, in whole pages.
    fn relocated_data_is_read_only(start: Start) -> Outcome {
        let table = (&raw const STRINGS).cast_mut().cast::<u8>();
        let (headers, bias) = image(start)?;
        let relro = headers.iter().find(|header| header.p_type == PT_GNU_RELRO);
        let Some(relro) = relro else {
            return Err(wrong(format_args!("got no part that is read-only after relocation")));
        };
        let begin = relro.p_vaddr.wrapping_add(bias);
        let end = begin.wrapping_add(relro.p_memsz);
        ensure((begin..end).contains(&table.addr()), "a table outside of that part")?;
        ensure(readable(table), "an unreadable table")?;
        ensure(!writable(table), "a writable table")
    }

    pub const CASES: &[Case] = &[
        case!("the arguments end with a null", start arguments_end_with_null),
        case!("the environment has names", start environment_has_names),
        case!("the auxiliary vector is that of /proc", start auxv_is_that_of_proc),
        case!("the page size is AT_PAGESZ", start page_size_is_told),
        case!("the page size is the one that msync takes", page_size_is_that_of_the_kernel,
            qemu_user: "msync takes any multiple of the smallest page",
            if page() > 4096),
        case!("the code lies where AT_PHDR says", start program_headers),
        case!("AT_RANDOM points to bytes", start random_bytes),
        case!("the stack is aligned", stack_is_aligned),
        case!("data is initialised, and can be changed", data_is_initialised),
        case!("BSS is zero", bss_is_zero),
        case!("tables of strings, functions and pointers work", tables_are_relocated),
        case!("relocated tables are read-only", start relocated_data_is_read_only),
    ];
}

/// Whether a local variable has the alignment that its type asks for: as much as the
/// architecture gives the stack, so that the compiler does not align it itself.
#[inline(never)]
fn aligned_local() -> bool {
    #[cfg_attr(
        any(target_arch = "arm", target_arch = "mips", target_arch = "s390x"),
        repr(align(8))
    )]
    #[cfg_attr(
        not(any(target_arch = "arm", target_arch = "mips", target_arch = "s390x")),
        repr(align(16))
    )]
    struct Aligned([u8; 32]);

    let mut local = Aligned([0; 32]);
    let at = core::hint::black_box(&raw mut local);
    // SAFETY: stores sixteen bytes into a variable that has room for them. The instruction
    // faults if the address is not a multiple of sixteen.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("movaps [{at}], xmm0", at = in(reg) at, options(nostack));
    }
    // SAFETY: the variable is still there.
    let last = unsafe { (&raw const (*at).0[31]).read_volatile() };
    at.addr().is_multiple_of(align_of::<Aligned>()) && last == 0
}

// ---------------------------------------------------------------------------------------

/// The symbols that the compiler calls, with all small sizes and misalignments.
mod memory_functions {
    use super::*;
    use core::{
        ffi::{c_char, c_int},
        hint::black_box,
    };

    // `entry!` defines them in this very program.
    unsafe extern "C" {
        fn memcpy(dest: *mut u8, src: *const u8, n: usize) -> *mut u8;
        fn memmove(dest: *mut u8, src: *const u8, n: usize) -> *mut u8;
        fn memset(dest: *mut u8, byte: c_int, n: usize) -> *mut u8;
        fn memcmp(a: *const u8, b: *const u8, n: usize) -> c_int;
        fn bcmp(a: *const u8, b: *const u8, n: usize) -> c_int;
        fn strlen(string: *const c_char) -> usize;
    }

    /// Small sizes, and those around where another way is taken.
    fn sizes() -> impl Iterator<Item = usize> {
        (0..=40).chain(250..=262).chain(4090..=4100)
    }

    /// Longer than the largest size, with room at both ends.
    const ROOM: usize = 4100 + 2 * EDGE;
    const EDGE: usize = 32;

    /// A byte for each place, with no period that a word could have.
    fn pattern(index: usize) -> u8 {
        (index % 251) as u8 + 1
    }

    /// Bytes that neither pattern nor a value to fill with has.
    const OTHER: u8 = 0;

    fn copies() -> Outcome {
        let source: [u8; ROOM] = core::array::from_fn(pattern);
        for size in sizes() {
            for (to, from) in (0..8).flat_map(|to| (0..8).map(move |from| (to, from))) {
                let mut dest = [OTHER; ROOM];
                let at = dest.as_mut_ptr().wrapping_add(EDGE + to);
                // SAFETY: both ranges lie in their arrays.
                let result =
                    unsafe { memcpy(black_box(at), source.as_ptr().add(from), black_box(size)) };
                same(result, at)?;
                for (index, &got) in dest.iter().enumerate().take(EDGE + to + size + EDGE) {
                    let inside = index.wrapping_sub(EDGE + to);
                    let wanted = if inside < size { pattern(from + inside) } else { OTHER };
                    if got != wanted {
                        return Err(wrong(format_args!("size {size}, {to} from {from}, {index}")));
                    }
                }
            }
        }
        Ok(())
    }

    /// Every distance within two words, both ways.
    fn moves() -> Outcome {
        for size in (0..=40).chain([255, 256, 257, 1023, 4096]) {
            for (to, from) in (0..33).map(|to| (to, 16)).chain((0..9).map(|from| (7, from))) {
                let mut bytes: [u8; ROOM] = core::array::from_fn(pattern);
                let at = bytes.as_mut_ptr();
                // SAFETY: both ranges lie in the array.
                let result =
                    unsafe { memmove(black_box(at.add(to)), at.add(from), black_box(size)) };
                same(result, at.wrapping_add(to))?;
                for (index, &got) in bytes.iter().enumerate().take(size + 64) {
                    let inside = index.wrapping_sub(to);
                    let wanted = pattern(if inside < size { from + inside } else { index });
                    if got != wanted {
                        return Err(wrong(format_args!("size {size}, {to} from {from}, {index}")));
                    }
                }
            }
        }
        Ok(())
    }

    fn fills() -> Outcome {
        for size in sizes() {
            for to in 0..8 {
                let mut dest = [OTHER; ROOM];
                let at = dest.as_mut_ptr().wrapping_add(EDGE + to);
                // SAFETY: the range lies in the array. Only the low byte of the value counts.
                let result = unsafe { memset(black_box(at), 0x1a5, black_box(size)) };
                same(result, at)?;
                for (index, &got) in dest.iter().enumerate().take(EDGE + to + size + EDGE) {
                    let inside = index.wrapping_sub(EDGE + to) < size;
                    if got != if inside { 0xa5 } else { OTHER } {
                        return Err(wrong(format_args!("size {size} at {to}, {index}")));
                    }
                }
            }
        }
        Ok(())
    }

    /// The first difference decides, as unsigned bytes; what follows the range does not.
    fn compares() -> Outcome {
        let left: [u8; ROOM] = core::array::from_fn(pattern);
        for size in (0..=40).chain([255, 256, 257]) {
            for offset in 0..8 {
                let mut right = [OTHER; ROOM];
                right[..size].copy_from_slice(&left[offset..offset + size]);
                let (a, b) = (left.as_ptr().wrapping_add(offset), right.as_mut_ptr());
                // SAFETY: both ranges lie in their arrays.
                unsafe {
                    same(memcmp(black_box(a), b, black_box(size)), 0)?;
                    same(bcmp(black_box(a), b, black_box(size)), 0)?;
                    for index in 0..size {
                        let kept = *b.add(index);
                        *b.add(index) = kept ^ 0x80;
                        let order = kept.cmp(&(kept ^ 0x80)) as c_int;
                        same(memcmp(black_box(a), b, black_box(size)).signum(), order)?;
                        same(memcmp(black_box(b), a, black_box(size)).signum(), -order)?;
                        ensure(bcmp(black_box(a), b, black_box(size)) != 0, "bcmp equal")?;
                        *b.add(index) = kept;
                    }
                }
            }
        }
        Ok(())
    }

    fn lengths() -> Outcome {
        for length in (0..=40).chain([255, 256, 257]) {
            for offset in 0..8 {
                let mut bytes = [0xffu8; 300];
                bytes[offset + length] = 0;
                let at = bytes.as_ptr().wrapping_add(offset);
                // SAFETY: the string ends inside the array.
                same(unsafe { strlen(black_box(at).cast()) }, length)?;
            }
        }
        Ok(())
    }

    pub const CASES: &[Case] = &[
        case!("memcpy", copies),
        case!("memmove, overlapping both ways", moves),
        case!("memset", fills),
        case!("memcmp and bcmp", compares),
        case!("strlen", lengths),
    ];
}

// ---------------------------------------------------------------------------------------

/// Raw calls with none to six arguments. Each argument has an effect of its own, so that
/// two of them cannot be exchanged unseen.
mod arguments {
    use super::*;
    use baremap::fd::IntoRawFd;
    use baremap::syscall::{MremapFlags, Resource};
    use linux_raw_sys::general::{__NR_copy_file_range, F_GETFD};

    /// In a process with one thread both are one number, which is not zero.
    fn none() -> Outcome {
        // SAFETY: touches no memory.
        let (process, thread) = unsafe { (raw::syscall0(nr::getpid), raw::syscall0(nr::gettid)) };
        ensure(process != 0, "process 0")?;
        same(process, thread)?;
        same(process, syscall::getpid() as usize)
    }

    /// Of three descriptors the middle one is closed.
    fn one() -> Outcome {
        let fds = [memory()?, memory()?, memory()?].map(IntoRawFd::into_raw_fd);
        // SAFETY: the descriptor is nobody's any more.
        let close = |fd: i32| check(unsafe { raw::syscall1(nr::close, fd as usize) });
        same(close(fds[1]), Ok(0))?;
        // SAFETY: asks for flags.
        let flags = |fd: i32| unsafe { raw::syscall2(nr::fcntl, fd as usize, F_GETFD as usize) };
        same(fds.map(|fd| check(flags(fd)).is_ok()), [true, false, true])?;
        fails(close(fds[1]), Errno::EBADF)?;
        same(close(fds[0]), Ok(0))?;
        same(close(fds[2]), Ok(0))?;
        fails(close(-1), Errno::EBADF)
    }

    /// Of four pages the second and third are unmapped.
    fn two() -> Outcome {
        let pages = Pages::zeros(4)?;
        // SAFETY: the pages are this function's own.
        let result = unsafe { raw::syscall2(nr::munmap, pages.page(1) as usize, 2 * page()) };
        same(check(result), Ok(0))?;
        same([0, 1, 2, 3].map(|n| readable(pages.page(n))), [true, false, false, true])
    }

    /// Of four pages the second and third become read-only.
    fn three() -> Outcome {
        let pages = Pages::zeros(4)?;
        let (at, prot) = (pages.page(1) as usize, ProtFlags::READ.bits() as usize);
        // SAFETY: the pages are this function's own.
        same(check(unsafe { raw::syscall3(nr::mprotect, at, 2 * page(), prot) }), Ok(0))?;
        same([0, 1, 2, 3].map(|n| readable(pages.page(n))), [true; 4])?;
        same([0, 1, 2, 3].map(|n| writable(pages.page(n))), [true, false, false, true])
    }

    /// A descriptor, an address, a count.
    fn three_of_write() -> Outcome {
        let fd = memory()?;
        let text = b"abcdefgh";
        // SAFETY: five bytes inside the array.
        let result =
            unsafe { raw::syscall3(nr::write, number(fd.as_fd()), &raw const text[2] as usize, 5) };
        same(check(result), Ok(5))?;
        let mut back = [0; 8];
        same(syscall::pread(fd.as_fd(), &mut back, 0)?, 5)?;
        same(&back, b"cdefg\0\0\0")
    }

    /// The flags make a file, or refuse one that exists; the mode is its own.
    fn four_of_openat() -> Outcome {
        let name = Name::new(c"conformance mode");
        let flags = (OFlags::RDWR | OFlags::CREATE | OFlags::EXCL).bits() as usize;
        let mode = (Mode::RUSR | Mode::XUSR).bits() as usize;
        let path = name.0.as_ptr() as usize;
        // SAFETY: the path is a C string, and the descriptor nobody else's.
        let open = || check(unsafe { raw::syscall4(nr::openat, cwd(), path, flags, mode) });
        let fd = open()?;
        // SAFETY: as above.
        same(check(unsafe { raw::syscall1(nr::close, fd) }), Ok(0))?;
        fails(open(), Errno::EEXIST)?;
        let stat = syscall::statx(CWD, name.0, AtFlags::empty())?;
        same(stat.permissions(), Mode::RUSR | Mode::XUSR)
    }

    /// The third argument is the new limit, the fourth has the old one written to.
    fn four_of_prlimit64() -> Outcome {
        let before = syscall::prlimit(0, Resource::CORE, None)?;
        let new = [before.current.min(1), before.maximum];
        let mut old = [7u64; 2];
        let (core, new_at, old_at) =
            (Resource::CORE.0 as usize, &raw const new as usize, &raw mut old as usize);
        // SAFETY: both are the kernel's structure, two words of 64 bits.
        same(check(unsafe { raw::syscall4(nr::prlimit64, 0, core, new_at, old_at) }), Ok(0))?;
        let after = syscall::prlimit(0, Resource::CORE, Some(before))?;
        same(old, [before.current, before.maximum])?;
        same([after.current, after.maximum], new)
    }

    #[cfg(target_pointer_width = "64")]
    fn four_of_pread64() -> Outcome {
        let fd = memory()?;
        syscall::write(fd.as_fd(), b"abcdefgh")?;
        let mut back = [b'-'; 8];
        // SAFETY: three bytes inside the array.
        let result = unsafe {
            raw::syscall4(nr::pread64, number(fd.as_fd()), &raw mut back[1] as usize, 3, 4)
        };
        same(check(result), Ok(3))?;
        same(&back, b"-efg----")
    }

    /// Two pages become three, at an address of the caller's choice.
    fn five() -> Outcome {
        let room = Pages::reserve(6)?;
        let old = Pages::zeros(3)?;
        old.set(0, 1);
        old.set(page(), 2);
        old.set(2 * page(), 3);
        let flags = (MremapFlags::MAYMOVE | MremapFlags::FIXED).bits() as usize;
        let to = room.page(1);
        // SAFETY: both places are this function's own.
        let result = unsafe {
            raw::syscall5(nr::mremap, old.addr as usize, 2 * page(), 3 * page(), flags, to as usize)
        };
        same(check(result), Ok(to as usize))?;
        same([1, 2, 3].map(|n| room.get(n * page())), [1, 2, 0])?;
        same(
            [0, 1, 2, 3, 4, 5].map(|n| readable(room.page(n))),
            [false, true, true, true, false, false],
        )?;
        same([0, 1, 2].map(|n| readable(old.page(n))), [false, false, true])?;
        same(old.get(2 * page()), 3)
    }

    /// `mmap`, in whatever way the architecture takes its six arguments.
    fn six_of_mmap() -> Outcome {
        let room = Pages::reserve(6)?;
        let fd = numbered(4)?;
        let (flags, offset) = (MapFlags::SHARED | MapFlags::FIXED, page() as u64);
        // SAFETY: the room is this function's own.
        let at = unsafe {
            let fd = Some(fd.as_fd());
            syscall::mmap(room.page(2), 2 * page(), ProtFlags::READ, flags, fd, offset)?
        };
        same(at, room.page(2))?; // the address
        same(
            [0, 1, 2, 3, 4, 5].map(|n| readable(room.page(n))),
            [
                false, false, true, true, false, false, // the length
            ],
        )?;
        ensure(!writable(room.page(2)), "a writable mapping")?; // the protection
        same([2, 3].map(|n| room.get(n * page())), [2, 3])?; // the offset
        syscall::pwrite(fd.as_fd(), &[9], offset)?;
        same(room.get(2 * page()), 9) // the flags: shared, and the descriptor
    }

    /// The same, as the raw call that the architecture has.
    #[cfg(not(target_arch = "s390x"))] // where it takes one argument
    fn six_of_raw_mmap() -> Outcome {
        #[cfg(target_pointer_width = "64")]
        let (call, unit) = (nr::mmap, 1);
        #[cfg(target_pointer_width = "32")]
        let (call, unit) = (nr::mmap2, 4096);

        let room = Pages::reserve(3)?;
        let fd = numbered(4)?;
        let prot = ProtFlags::READ.bits() as usize;
        let flags = (MapFlags::PRIVATE | MapFlags::FIXED).bits() as usize;
        let (at, fd, offset) = (room.page(1) as usize, number(fd.as_fd()), 2 * page() / unit);
        // SAFETY: the room is this function's own.
        let result = unsafe { raw::syscall6(call, at, page(), prot, flags, fd, offset) };
        same(check(result), Ok(at))?;
        same(room.get(page()), 3)?;
        same([0, 1, 2].map(|n| readable(room.page(n))), [false, true, false])?;
        ensure(!writable(room.page(1)), "a writable mapping")
    }

    /// Two descriptors, two offsets, a length, and flags that must be zero.
    fn six_of_copy_file_range() -> Outcome {
        let (from, to) = (memory()?, memory()?);
        syscall::write(from.as_fd(), b"0123456789abcdef")?;
        let (mut from_at, mut to_at) = (3u64, 5u64);
        let mut copy = |length, flags| {
            let (a, b) = (number(from.as_fd()), &raw mut from_at as usize);
            let (c, d) = (number(to.as_fd()), &raw mut to_at as usize);
            // SAFETY: the offsets are 64-bit numbers that the kernel may change.
            check(unsafe {
                raw::syscall6(__NR_copy_file_range as usize, a, b, c, d, length, flags)
            })
        };
        same(copy(7, 0), Ok(7))?;
        fails(copy(7, 1), Errno::EINVAL)?;
        same((from_at, to_at), (10, 12))?;
        let mut back = [0; 16];
        same(syscall::pread(to.as_fd(), &mut back, 0)?, 12)?;
        same(&back, b"\0\0\0\0\x003456789\0\0\0\0")
    }

    pub const CASES: &[Case] = &[
        case!("none: getpid and gettid", none),
        case!("one: close", one),
        case!("two: munmap", two),
        case!("three: mprotect", three),
        case!("three: write", three_of_write),
        case!("four: openat", four_of_openat),
        case!("four: prlimit64", four_of_prlimit64),
        #[cfg(target_pointer_width = "64")]
        case!("four: pread64", four_of_pread64),
        case!("five: mremap", five),
        case!("six: mmap", six_of_mmap),
        #[cfg(not(target_arch = "s390x"))]
        case!("six: mmap, raw", six_of_raw_mmap),
        case!("six: copy_file_range", six_of_copy_file_range),
    ];
}

// ---------------------------------------------------------------------------------------

/// What is an error, and what is none.
mod results {
    use super::*;
    use linux_raw_sys::prctl::{PR_GET_TIMERSLACK, PR_SET_TIMERSLACK};

    /// Has the kernel return a number: the slack of this thread's timers, which is any.
    fn returned(number: usize) -> (usize, syscall::Result<usize>) {
        // SAFETY: neither option takes a pointer. Zero gives the slack back its default.
        unsafe {
            let _ = syscall::prctl(PR_SET_TIMERSLACK, [number, 0, 0, 0]);
            let raw = raw::syscall2(nr::prctl, PR_GET_TIMERSLACK as usize, 0);
            let typed = syscall::prctl(PR_GET_TIMERSLACK, [0; 4]);
            let _ = syscall::prctl(PR_SET_TIMERSLACK, [0; 4]);
            (raw, typed)
        }
    }

    /// The kernel keeps these for itself (`include/linux/errno.h`), and may act on them.
    const INTERNAL: core::ops::RangeInclusive<usize> = 512..=531;

    fn errors() -> Outcome {
        for errno in (2..=4095).filter(|errno| !INTERNAL.contains(errno)) {
            let (raw, typed) = returned(errno.wrapping_neg());
            same(raw, errno.wrapping_neg())?;
            same(typed, Err(Errno::new(errno as u16)))?;
        }
        Ok(())
    }

    /// Alone, since a C library in between returns it for every error.
    fn minus_one() -> Outcome {
        same(returned(usize::MAX), (usize::MAX, Err(Errno::EPERM)))
    }

    fn values() -> Outcome {
        for value in [1, 4095, 4096, i32::MAX as usize, 4096usize.wrapping_neg()] {
            same(returned(value), (value, Ok(value)))?;
        }
        Ok(())
    }

    fn top_bit() -> Outcome {
        let top = 1 << (usize::BITS - 1);
        for value in [top, top | 4095, usize::MAX - 0xffff] {
            same(returned(value), (value, Ok(value)))?;
        }
        Ok(())
    }

    /// A mapping in the upper half of the addresses is no error. (On mips that half is the
    /// kernel's.)
    #[cfg(all(target_pointer_width = "32", not(target_arch = "mips")))]
    fn high_address() -> Outcome {
        let flags = ANONYMOUS | MapFlags::FIXED_NOREPLACE;
        for at in (0x8000_0000..0xf000_0000usize).step_by(0x0410_0000) {
            let at = at as *mut u8;
            // SAFETY: nothing is replaced.
            if let Ok(addr) = unsafe { syscall::mmap(at, page(), READ_WRITE, flags, None, 0) } {
                let pages = Pages { addr, length: page() };
                same(pages.addr, at)?;
                pages.set(5, 6);
                return same(pages.get(5), 6);
            }
        }
        Err(wrong(format_args!("got no address with the top bit set")))
    }

    /// A number that is no system call's.
    fn no_such_call() -> Outcome {
        // SAFETY: there is none.
        fails(check(unsafe { raw::syscall0(nr::getpid | 0xf000) }), Errno::ENOSYS)
    }

    pub const CASES: &[Case] = &[
        case!(
            "-4095 to -2 are errors, and which",
            errors,
            qemu_user: "it translates them, as errors of the host's",
            if cfg!(target_arch = "mips64")
        ),
        case!(
            "-1 is EPERM",
            minus_one,
            qemu_user: "its C library puts another error there",
            if cfg!(target_pointer_width = "32")
        ),
        case!("-4096 and positive numbers are none", values),
        case!("a number with the top bit set is none", top_bit,
            qemu_user: "prctl returns 32 bits",
            if cfg!(target_pointer_width = "64")),
        #[cfg(all(target_pointer_width = "32", not(target_arch = "mips")))]
        case!("an address with the top bit set is none", high_address),
        case!("a call that does not exist is ENOSYS", no_such_call),
    ];
}

// ---------------------------------------------------------------------------------------

/// A system call changes no register but those that it says.
mod registers {
    use super::*;
    use core::hint::black_box;
    use linux_raw_sys::general::__NR_copy_file_range;

    /// Makes a function that keeps many values at once, changes them in a way of their own
    /// around each call, and returns them. More than any architecture has registers.
    macro_rules! keep {
        ($($int:ident)*; $($float:ident)*) => {
            #[inline(always)]
            pub fn keep(rounds: usize, mut call: impl FnMut(usize) -> usize) -> Kept {
                let mut seed = 0x9e37usize;
                $(seed = seed.wrapping_mul(0x0101_0107); let mut $int = black_box(seed);)*
                let mut number = 1.5f64;
                $(number *= 1.0625; let mut $float = black_box(number);)*
                for round in 0..rounds {
                    let zero = call(round);
                    $($int = $int.rotate_left(5).wrapping_add(round) ^ zero;)*
                    $($float = $float * 1.0078125 - round as f64;)*
                }
                ([$($int),*], [$($float),*])
            }
        };
    }
    type Kept = ([usize; 24], [f64; 24]);
    keep!(
        a b c d e f g h i j k l m n o p q r s t u v w x;
        aa ba ca da ea fa ga ha ia ja ka la ma na oa pa qa ra sa ta ua va wa xa
    );

    /// Another function, so that the compiler cannot do both at once.
    #[inline(never)]
    pub fn undisturbed(rounds: usize) -> Kept {
        keep(rounds, |_| black_box(0))
    }

    const ROUNDS: usize = 50;

    // Each of these keeps the values across one piece of assembly, which is inlined: the
    // registers that it does not name are those that the compiler uses.
    macro_rules! across {
        ($($name:ident: $call:expr;)*) => {$(
            #[inline(never)]
            fn $name() -> Outcome {
                same(keep(ROUNDS, $call), undisturbed(ROUNDS))
            }
        )*};
    }

    /// A descriptor that is never open: every call with it fails, and changes nothing.
    const BAD: usize = usize::MAX;
    const EBADF: usize = (Errno::EBADF.number() as usize).wrapping_neg();

    across! {
        // SAFETY: touches no memory.
        none: |_| unsafe { raw::syscall0(nr::getpid) ^ raw::syscall0(nr::gettid) };
        // SAFETY: no such descriptor.
        one: |_| unsafe { raw::syscall1(nr::close, BAD) ^ EBADF };
        // SAFETY: no such descriptor.
        two: |mode| unsafe { raw::syscall2(nr::fchmod, BAD, mode) ^ EBADF };
        // SAFETY: no such descriptor, and the path is a C string.
        three: |_| unsafe { raw::syscall3(nr::faccessat, BAD, NAME.as_ptr() as usize, 0) ^ EBADF };
        // SAFETY: no such descriptor, and the path is a C string.
        four: |mode| unsafe {
            raw::syscall4(nr::openat, BAD, NAME.as_ptr() as usize, 0, mode) ^ EBADF
        };
        // SAFETY: no such descriptor, and the paths are C strings.
        five: |_| unsafe {
            let name = NAME.as_ptr() as usize;
            raw::syscall5(nr::linkat, BAD, name, BAD, name, 0) ^ EBADF
        };
        // SAFETY: no such descriptor.
        six: |length| unsafe {
            raw::syscall6(__NR_copy_file_range as usize, BAD, 0, BAD, 0, length + 1, 0) ^ EBADF
        };
    }
    const NAME: &CStr = c"conformance none";

    /// Frames below frames, each with a call in it and values that outlive it.
    #[inline(never)]
    fn frames(depth: usize) -> usize {
        let values: [usize; 5] = black_box([depth, depth * 3, depth * 5, depth * 7, depth * 11]);
        // SAFETY: touches no memory.
        let zero = unsafe { raw::syscall2(nr::fchmod, BAD, depth) ^ EBADF };
        let below = if depth == 0 { 0 } else { frames(depth - 1) };
        // SAFETY: touches no memory.
        let also_zero = unsafe { raw::syscall0(nr::getpid) ^ raw::syscall0(nr::gettid) };
        below + values.iter().sum::<usize>() + zero + also_zero
    }

    fn frame_pointer() -> Outcome {
        same(frames(50), 27 * 50 * 51 / 2)
    }

    /// String instructions go upwards, in every function.
    #[cfg(target_arch = "x86_64")]
    fn direction_flag() -> Outcome {
        // SAFETY: touches no memory.
        let _ = unsafe { raw::syscall0(nr::getpid) };
        let flags: u64;
        // SAFETY: pushes and pops one word.
        unsafe { core::arch::asm!("pushfq", "pop {flags}", flags = out(reg) flags) };
        same(flags & 1 << 10, 0)
    }

    pub const CASES: &[Case] = &[
        case!("values survive a call without arguments", none),
        case!("values survive a call with one argument", one),
        case!("values survive a call with two arguments", two),
        case!("values survive a call with three arguments", three),
        case!("values survive a call with four arguments", four),
        case!("values survive a call with five arguments", five),
        case!("values survive a call with six arguments", six),
        case!("frames and the frame pointer survive calls", frame_pointer),
        #[cfg(target_arch = "x86_64")]
        case!("the direction flag is clear after a call", direction_flag),
    ];
}

// ---------------------------------------------------------------------------------------

/// Names, reading and writing.
mod files {
    use super::*;
    use baremap::fd::AsRawFd;
    use baremap::syscall::{RenameFlags, SyncFileRangeFlags, Timespec};
    use linux_raw_sys::{
        general::{F_GETFD, FD_CLOEXEC, POLLNVAL, pollfd},
        ioctl::FIONREAD,
    };

    fn create(name: &Name) -> syscall::Result<OwnedFd> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        syscall::open(name.0, flags, Mode::RUSR | Mode::WUSR)
    }

    fn open_flags() -> Outcome {
        let name = Name::new(c"conformance \xf0\x9f\x97\xba flags");
        fails(syscall::open(name.0, OFlags::RDONLY, Mode::empty()), Errno::ENOENT)?;
        syscall::write(create(&name)?.as_fd(), b"old")?;
        fails(create(&name), Errno::EEXIST)?;
        let open = |flags| syscall::open(name.0, flags, Mode::empty());
        fails(open(OFlags::RDONLY | OFlags::DIRECTORY), Errno::ENOTDIR)?;
        fails(syscall::open(c".", OFlags::WRONLY, Mode::empty()), Errno::EISDIR)?;
        syscall::open(c".", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
        fails(syscall::write(open(OFlags::RDONLY)?.as_fd(), b"x"), Errno::EBADF)?;
        fails(syscall::read(open(OFlags::WRONLY)?.as_fd(), &mut [0]), Errno::EBADF)?;
        syscall::write(open(OFlags::WRONLY | OFlags::APPEND)?.as_fd(), b" new")?;
        let size = |fd: OwnedFd| syscall::fstat(fd.as_fd()).map(|stat| stat.size);
        same(size(open(OFlags::RDONLY)?)?, 7)?;
        same(size(open(OFlags::WRONLY | OFlags::TRUNC)?)?, 0)
    }

    fn cloexec() -> Outcome {
        let flag = |fd: &OwnedFd| {
            // SAFETY: the command takes no argument.
            unsafe { syscall::fcntl(fd.as_fd(), F_GETFD, 0) }
        };
        let plain = syscall::open(c".", OFlags::RDONLY, Mode::empty())?;
        let closing = syscall::open(c".", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        same(flag(&plain)?, 0)?;
        same(flag(&closing)?, FD_CLOEXEC as usize)
    }

    fn read_and_write() -> Outcome {
        let fd = file()?;
        same(syscall::write(fd.as_fd(), b"0123456789")?, 10)?;
        same(syscall::pwrite(fd.as_fd(), b"ab", 3)?, 2)?;
        let mut buf = [b'-'; 8];
        same(syscall::pread(fd.as_fd(), &mut buf[..6], 2)?, 6)?;
        same(&buf, b"2ab567--")?;
        same(syscall::read(fd.as_fd(), &mut buf)?, 0) // the position is still the end
    }

    /// Two names of one file, and one less.
    fn link_and_unlink() -> Outcome {
        let (old, new) = (Name::new(c"conformance: old"), Name::new(c"conformance: new"));
        let fd = create(&old)?;
        syscall::linkat(CWD, old.0, CWD, new.0, AtFlags::empty())?;
        same(syscall::fstat(fd.as_fd())?.nlink, 2)?;
        syscall::unlinkat(CWD, old.0, AtFlags::empty())?;
        same((old.exists(), new.exists()), (false, true))?;
        same(syscall::fstat(fd.as_fd())?.nlink, 1)?;
        fails(syscall::unlinkat(CWD, old.0, AtFlags::empty()), Errno::ENOENT)?;
        let file = syscall::unlinkat(CWD, new.0, AtFlags::REMOVEDIR);
        fails(file, Errno::ENOTDIR)
    }

    fn rename() -> Outcome {
        let (old, new) = (Name::new(c"conformance -from"), Name::new(c"conformance -to"));
        let ino = |name: &Name| syscall::statx(CWD, name.0, AtFlags::empty()).map(|s| s.ino);
        create(&old)?;
        let rename = |flags| syscall::renameat2(CWD, old.0, CWD, new.0, flags);
        let first = ino(&old)?;
        rename(RenameFlags::NOREPLACE)?;
        same((old.exists(), ino(&new)?), (false, first))?;
        create(&old)?;
        fails(rename(RenameFlags::NOREPLACE), Errno::EEXIST)?;
        let second = ino(&old)?;
        rename(RenameFlags::empty())?;
        same((old.exists(), ino(&new)?), (false, second))
    }

    fn read_link() -> Outcome {
        let mut path = [0; 256];
        match syscall::readlinkat(CWD, c"/proc/self/cwd", &mut path) {
            Err(Errno::ENOENT) => return Err(Trouble::Missing("/proc")),
            result => {
                let length = result?;
                same(path[0], b'/')?;
                same(syscall::readlinkat(CWD, c"/proc/self/cwd", &mut path[..1])?, 1)?;
                ensure(length < path.len() && path[length] == 0, "a path that does not end")?;
            }
        }
        fails(syscall::readlinkat(CWD, c".", &mut path), Errno::EINVAL)
    }

    fn access() -> Outcome {
        let name = Name::new(c"conformance #access");
        fails(syscall::faccessat(CWD, name.0, Access::empty()), Errno::ENOENT)?;
        create(&name)?;
        syscall::faccessat(CWD, name.0, Access::READ | Access::WRITE)?;
        fails(syscall::faccessat(CWD, name.0, Access::EXEC), Errno::EACCES)
    }

    /// How much is left to read, written by the kernel through the third argument.
    fn ioctl() -> Outcome {
        let fd = file()?;
        syscall::write(fd.as_fd(), b"0123456789")?;
        syscall::lseek(fd.as_fd(), 3, syscall::Whence::SET)?;
        let mut left = -1i32;
        // SAFETY: the request takes a pointer to a C `int`.
        unsafe { syscall::ioctl(fd.as_fd(), FIONREAD, &raw mut left as usize)? };
        same(left, 7)
    }

    fn poll() -> Outcome {
        let (open, closed) = (memory()?, memory()?);
        let fds = [open.as_raw_fd(), closed.as_raw_fd(), 1_000_000, 0];
        syscall::close(closed)?;
        let mut polls = fds.map(|fd| pollfd { fd, events: 0, revents: 0 });
        let (at, now) = (polls.as_mut_ptr() as usize, Timespec::default());
        let now = &raw const now as usize;
        // SAFETY: the kernel fills in the array, and is given neither time nor mask.
        same(check(unsafe { raw::syscall5(nr::ppoll, at, fds.len(), now, 0, 0) }), Ok(2))?;
        same(polls.map(|poll| poll.revents as u32), [0, POLLNVAL, POLLNVAL, 0])
    }

    fn sync() -> Outcome {
        let fd = file()?;
        syscall::write(fd.as_fd(), b"x")?;
        syscall::fsync(fd.as_fd())?;
        syscall::fdatasync(fd.as_fd())?;
        // Its effect depends on the file system: tests/conformance.rs looks at the arguments.
        let (offset, length) = (0x1_2345_6000, 0x2_0000_1000);
        match syscall::sync_file_range(fd.as_fd(), offset, length, SyncFileRangeFlags::WRITE) {
            // There it takes seven registers.
            Err(Errno::ENOSYS) if cfg!(target_arch = "mips") => Ok(()),
            result => Ok(result?),
        }
    }

    pub const CASES: &[Case] = &[
        case!("the flags of open", open_flags),
        case!("O_CLOEXEC", cloexec),
        case!("read, write, pread and pwrite", read_and_write),
        case!("linkat and unlinkat", link_and_unlink),
        case!("renameat2, and not over a file", rename),
        case!("readlinkat", read_link),
        case!("faccessat", access),
        case!("ioctl FIONREAD", ioctl),
        case!("ppoll finds closed descriptors", poll),
        case!("fsync, fdatasync and sync_file_range", sync),
    ];
}

// ---------------------------------------------------------------------------------------

/// 64-bit offsets and lengths. Both halves are different and not zero, and exchanged they
/// are an offset as good as before, so that only the right one passes.
mod offsets {
    use super::*;
    use baremap::syscall::{FallocateFlags, Whence};

    const GIB_4: u64 = 1 << 32;
    /// Exchanged, their halves are each other.
    const ONE_TWO: u64 = GIB_4 + 2;
    const TWO_ONE: u64 = 2 * GIB_4 + 1;

    fn size(fd: &OwnedFd) -> syscall::Result<u64> {
        Ok(syscall::fstat(fd.as_fd())?.size)
    }

    fn truncate() -> Outcome {
        let fd = file()?;
        for length in [ONE_TWO, TWO_ONE, GIB_4 - 1, GIB_4, 5, u64::from(u32::MAX) + 2, 0] {
            syscall::ftruncate(fd.as_fd(), length)?;
            same(size(&fd)?, length)?;
        }
        fails(syscall::ftruncate(fd.as_fd(), 1 << 63), Errno::EINVAL)
    }

    /// What is written far off is the file's end, as `fstat` tells.
    fn write_at() -> Outcome {
        for fd in [file()?, memory()?] {
            syscall::pwrite(fd.as_fd(), b"1", ONE_TWO)?;
            same(size(&fd)?, ONE_TWO + 1)?;
            syscall::pwrite(fd.as_fd(), b"2", TWO_ONE)?;
            same(size(&fd)?, TWO_ONE + 1)?;
        }
        Ok(())
    }

    /// What was written at the position is read at the offset.
    fn read_at() -> Outcome {
        let fd = memory()?;
        for (offset, byte) in [(ONE_TWO, b"1"), (TWO_ONE, b"2"), (2, b"3"), (1, b"4")] {
            same(syscall::lseek(fd.as_fd(), offset as i64, Whence::SET)?, offset)?;
            syscall::write(fd.as_fd(), byte)?;
        }
        for (offset, byte) in [(ONE_TWO, b"1"), (TWO_ONE, b"2"), (2, b"3"), (1, b"4")] {
            let mut got = [0];
            same(syscall::pread(fd.as_fd(), &mut got, offset)?, 1)?;
            same(&got, byte)?;
        }
        fails(syscall::pread(fd.as_fd(), &mut [0], 1 << 63), Errno::EINVAL)?;
        fails(syscall::pwrite(fd.as_fd(), &[0], 1 << 63), Errno::EINVAL)
    }

    fn seek() -> Outcome {
        let fd = memory()?;
        let seek = |offset, whence| syscall::lseek(fd.as_fd(), offset, whence);
        syscall::ftruncate(fd.as_fd(), TWO_ONE)?;
        same(seek(ONE_TWO as i64, Whence::SET), Ok(ONE_TWO))?;
        same(seek(-3, Whence::CUR), Ok(ONE_TWO - 3))?;
        same(seek(GIB_4 as i64, Whence::CUR), Ok(ONE_TWO - 3 + GIB_4))?;
        same(seek(-(ONE_TWO as i64), Whence::END), Ok(TWO_ONE - ONE_TWO))?;
        same(seek(0, Whence::END), Ok(TWO_ONE))?;
        fails(seek(-1, Whence::SET), Errno::EINVAL)?;
        fails(seek(-(GIB_4 as i64), Whence::SET), Errno::EINVAL)?;
        fails(seek(-(TWO_ONE as i64) - 1, Whence::END), Errno::EINVAL)?;
        fails(seek(0, Whence(99)), Errno::EINVAL)?;
        same(seek(0, Whence::CUR), Ok(TWO_ONE)) // an error moves nothing
    }

    /// A position that would be an error, were it returned in 32 bits.
    fn seek_to_where_errors_are() -> Outcome {
        let fd = memory()?;
        for offset in [u64::from(u32::MAX), u64::from(u32::MAX) - 21, GIB_4 - 4096] {
            same(syscall::lseek(fd.as_fd(), offset as i64, Whence::SET), Ok(offset))?;
        }
        Ok(())
    }

    /// Data that begins above 4 GiB, in a file in memory, which knows its holes.
    fn data_and_holes() -> Outcome {
        let fd = memory()?;
        let (begin, length) = (GIB_4 + 0x3_0000, 0x1_0000);
        static ZEROS: [u8; 0x1_0000] = [0; 0x1_0000];
        let mut done = 0;
        while done < ZEROS.len() {
            done += syscall::pwrite(fd.as_fd(), &ZEROS[done..], begin + done as u64)?;
        }
        syscall::ftruncate(fd.as_fd(), TWO_ONE)?;
        let seek = |offset: u64, whence| syscall::lseek(fd.as_fd(), offset as i64, whence);
        same(seek(0, Whence::DATA), Ok(begin))?;
        same(seek(begin + 1, Whence::DATA), Ok(begin + 1))?;
        same(seek(begin, Whence::HOLE), Ok(begin + length))?;
        same(seek(7, Whence::HOLE), Ok(7))?;
        fails(seek(begin + length, Whence::DATA), Errno::ENXIO)?;
        fails(seek(TWO_ONE, Whence::HOLE), Errno::ENXIO)
    }

    /// A little space at a large offset: the file ends after it, and takes no more.
    fn allocate() -> Outcome {
        let fd = file()?;
        let (offset, length) = (GIB_4 + 0x2_0000, 0x1_0000);
        match syscall::fallocate(fd.as_fd(), FallocateFlags::empty(), offset, length) {
            Err(Errno::EOPNOTSUPP) => return Err(Trouble::Missing("fallocate here")),
            result => result?,
        }
        same(size(&fd)?, offset + length)?;
        let blocks = syscall::fstat(fd.as_fd())?.blocks;
        ensure((1..=4 * length / 512).contains(&blocks), "another amount of space")?;
        let keep = FallocateFlags::KEEP_SIZE;
        syscall::fallocate(fd.as_fd(), keep, 2 * GIB_4 + 0x1_0000, length)?;
        same(size(&fd)?, offset + length)?;
        fails(syscall::fallocate(fd.as_fd(), keep, offset, 0), Errno::EINVAL)?;
        fails(syscall::fallocate(fd.as_fd(), keep, 1 << 63, 1), Errno::EINVAL)
    }

    /// A hole of more than 4 GiB. Nothing is allocated, even if the arguments are wrong.
    fn punch() -> Outcome {
        let fd = memory()?;
        let (offset, length) = (GIB_4 + 0x2_0000, 3 * GIB_4 + 0x1_0000);
        let end = offset + length;
        let marks = [offset - 1, offset, offset + GIB_4, end - 1, end];
        for at in marks {
            syscall::pwrite(fd.as_fd(), b"x", at)?;
        }
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        syscall::fallocate(fd.as_fd(), flags, offset, length)?;
        let mut left = [0; 5];
        for (at, byte) in marks.into_iter().zip(&mut left) {
            same(syscall::pread(fd.as_fd(), core::slice::from_mut(byte), at)?, 1)?;
        }
        same(&left, b"x\0\0\0x")?;
        same(size(&fd)?, end + 1)
    }

    /// Maps a page at each of some offsets, and finds what was written there.
    fn pages_at(fd: &OwnedFd, offsets: &[u64]) -> Outcome {
        for &offset in offsets {
            syscall::pwrite(fd.as_fd(), &offset.to_ne_bytes(), offset + 8)?;
        }
        for &offset in offsets {
            let pages =
                Pages::map(page(), ProtFlags::READ, MapFlags::SHARED, Some(fd.as_fd()), offset)?;
            let got = u64::from_ne_bytes(core::array::from_fn(|index| pages.get(8 + index)));
            same(got, offset)?;
        }
        Ok(())
    }

    fn map_below() -> Outcome {
        let (fd, page) = (file()?, page() as u64);
        pages_at(&fd, &[0, page, GIB_4 / 2 - page, GIB_4 / 2, GIB_4 - 2 * page, GIB_4 - page])
    }

    fn map_above() -> Outcome {
        let (fd, page) = (file()?, page() as u64);
        let offsets = [
            0,
            page,
            GIB_4 - page,
            GIB_4,
            GIB_4 + page,
            2 * GIB_4 + 3 * page,
            3 * GIB_4 + 2 * page,
        ];
        pages_at(&fd, &offsets)
    }

    /// The largest file that a 32-bit kernel maps, and what its page cache reaches.
    fn map_at_the_end() -> Outcome {
        let (fd, page) = (memory()?, page() as u64);
        let end = (1 << 44) - page;
        syscall::ftruncate(fd.as_fd(), end)?;
        pages_at(&fd, &[end - page, 1 << 43, (1 << 40) + page, end - 2 * page])
    }

    fn map_unaligned(fd: &OwnedFd, offset: u64) -> Outcome {
        let map = |sharing| {
            Pages::map(page(), ProtFlags::READ, sharing, Some(fd.as_fd()), offset).map(drop)
        };
        fails(map(MapFlags::SHARED), Errno::EINVAL)?;
        fails(map(MapFlags::PRIVATE), Errno::EINVAL)
    }

    fn unaligned() -> Outcome {
        let fd = memory()?;
        syscall::ftruncate(fd.as_fd(), 2 * GIB_4)?;
        for offset in [1, 512, 2048, 4095, 4097, GIB_4 + 1, GIB_4 - 1, GIB_4 + 2048] {
            map_unaligned(&fd, offset)?;
        }
        Ok(())
    }

    /// Where pages are larger than 4 KiB, a multiple of that is not enough.
    fn unaligned_large_page() -> Outcome {
        let fd = memory()?;
        syscall::ftruncate(fd.as_fd(), 2 * GIB_4)?;
        let mut offset = 4096;
        while offset < page() as u64 {
            map_unaligned(&fd, offset)?;
            map_unaligned(&fd, GIB_4 + offset)?;
            offset *= 2;
        }
        Ok(())
    }

    /// Beyond what any file has.
    fn map_too_far() -> Outcome {
        let fd = memory()?;
        let map = |offset| {
            Pages::map(page(), ProtFlags::READ, MapFlags::SHARED, Some(fd.as_fd()), offset)
        };
        fails(map(!0 << 16), Errno::EOVERFLOW)?;
        fails(map(1 << 63), Errno::EOVERFLOW)
    }

    /// 2⁴⁴ is 2³² units of `mmap2`, and would be zero.
    #[cfg(target_pointer_width = "32")]
    fn map_beyond_units() -> Outcome {
        let fd = numbered(1)?;
        for offset in [1u64 << 44, (1 << 44) + page() as u64, 1 << 50] {
            let map =
                Pages::map(page(), ProtFlags::READ, MapFlags::SHARED, Some(fd.as_fd()), offset);
            fails(map, Errno::EOVERFLOW)?;
        }
        Ok(())
    }

    /// A file of more than 2 GiB does not open on 32-bit architectures without asking.
    fn large_file_opens() -> Outcome {
        let name = Name::new(c"conformance large");
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let fd = syscall::open(name.0, flags, Mode::RUSR | Mode::WUSR)?;
        syscall::ftruncate(fd.as_fd(), ONE_TWO)?;
        let again = syscall::open(name.0, OFlags::RDONLY, Mode::empty())?;
        same(size(&again)?, ONE_TWO)
    }

    pub const CASES: &[Case] = &[
        case!("ftruncate above 4 GiB", truncate),
        case!("pwrite above 4 GiB", write_at),
        case!("pread above 4 GiB", read_at),
        case!("lseek above 4 GiB, and below zero", seek),
        case!("lseek to just below 4 GiB", seek_to_where_errors_are),
        case!("SEEK_DATA and SEEK_HOLE above 4 GiB", data_and_holes),
        case!("fallocate a little above 4 GiB", allocate),
        case!("fallocate a hole of more than 4 GiB", punch),
        case!("mmap just below 4 GiB", map_below),
        case!(
            "mmap around and above 4 GiB",
            map_above,
            qemu_user: "the offset of mmap2 has 32 bits",
            if cfg!(target_pointer_width = "32")
        ),
        case!(
            "mmap just below 16 TiB",
            map_at_the_end,
            qemu_user: "the offset of mmap2 has 32 bits",
            if cfg!(target_pointer_width = "32")
        ),
        case!("mmap of an unaligned offset is EINVAL", unaligned),
        case!("mmap of a part of a large page is EINVAL", unaligned_large_page,
            qemu_user: "offsets are multiples of the smallest page",
            if page() > 4096),
        case!(
            "mmap beyond the largest file is EOVERFLOW",
            map_too_far,
            qemu_user: "ENOMEM where its pages are larger than the host's",
            if page() > 4096
        ),
        #[cfg(target_pointer_width = "32")]
        case!("mmap of 16 TiB and more is EOVERFLOW", map_beyond_units),
        case!("a file above 4 GiB opens by its name", large_file_opens),
    ];
}

// ---------------------------------------------------------------------------------------

/// What is known of a file, through both calls.
mod stat {
    use super::*;
    use baremap::syscall::{ClockId, FileType, Stat, Timespec, clock_gettime};

    /// All calls tell the same, by descriptor and by name; but for parts of seconds.
    #[track_caller]
    fn both(name: &CStr, fd: &OwnedFd) -> Result<Stat, Trouble> {
        let stat = syscall::fstat(fd.as_fd())?;
        let by_name = syscall::statx(CWD, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let by_fd = syscall::statx(fd.as_fd(), c"", AtFlags::EMPTY_PATH)?;
        let seconds = |time| Timespec { nsec: 0, ..time };
        let whole = |mut stat: Stat| {
            for time in [&mut stat.atime, &mut stat.mtime, &mut stat.ctime] {
                *time = seconds(*time);
            }
            stat
        };
        ensure(whole(stat) == whole(by_name), "another answer by statx with a name")?;
        ensure(whole(stat) == whole(by_fd), "another answer by statx with a descriptor")?;
        let by_name = syscall::fstatat(CWD, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let by_fd = syscall::fstatat(fd.as_fd(), c"", AtFlags::EMPTY_PATH)?;
        ensure(whole(stat) == whole(by_name), "another answer by fstatat with a name")?;
        ensure(whole(stat) == whole(by_fd), "another answer by fstatat with a descriptor")?;
        Ok(stat)
    }

    fn regular_file() -> Outcome {
        let name = Name::new(c"conformance stat");
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let before = clock_gettime(ClockId::Realtime)?;
        let fd = syscall::open(name.0, flags, Mode::RUSR | Mode::WUSR)?;
        syscall::fchmod(fd.as_fd(), Mode::RWXU | Mode::RGRP | Mode::XOTH)?;
        syscall::ftruncate(fd.as_fd(), 0x3_8000_0001)?;
        let stat = both(name.0, &fd)?;
        same(stat.file_type(), FileType::Regular)?;
        same(stat.permissions(), Mode::RWXU | Mode::RGRP | Mode::XOTH)?;
        same(stat.size, 0x3_8000_0001)?;
        same((stat.nlink, stat.rdev), (1, 0))?;
        ensure(stat.blocks < 1024, "space taken by a hole")?;
        ensure(stat.blksize >= 512 && stat.blksize <= 1 << 30, "a strange block size")?;
        ensure(stat.ino != 0, "inode 0")?;
        // A file system's clock may be a tick behind.
        let after = clock_gettime(ClockId::Realtime)?;
        for time in [stat.atime, stat.mtime, stat.ctime] {
            ensure((before.sec - 2..=after.sec).contains(&time.sec), "another time")?;
            ensure((0..1_000_000_000).contains(&time.nsec), "nanoseconds out of range")?;
        }
        ensure(stat.mtime <= stat.ctime, "a change after the last change")
    }

    fn nanoseconds() -> Outcome {
        let fd = file()?;
        // Until the clock is not at a whole second. Some file systems keep no more.
        for _ in 0..3 {
            syscall::pwrite(fd.as_fd(), b"x", 0)?;
            let stat = syscall::fstat(fd.as_fd())?;
            let other = syscall::statx(fd.as_fd(), c"", AtFlags::EMPTY_PATH)?;
            same([stat.atime, stat.mtime, stat.ctime], [other.atime, other.mtime, other.ctime])?;
            if stat.mtime.nsec != 0 {
                return Ok(());
            }
            syscall::nanosleep(Timespec { sec: 0, nsec: 20_000_000 })?;
        }
        Err(Trouble::Missing("parts of a second here"))
    }

    fn directory() -> Outcome {
        let fd = syscall::open(c".", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
        let stat = both(c".", &fd)?;
        same(stat.file_type(), FileType::Directory)?;
        ensure(stat.permissions().contains(Mode::WUSR), "a directory that is not writable")
    }

    /// The device with the numbers 1 and 3.
    fn device() -> Outcome {
        let fd = match syscall::open(c"/dev/null", OFlags::RDONLY, Mode::empty()) {
            Err(Errno::ENOENT) => return Err(Trouble::Missing("/dev/null")),
            result => result?,
        };
        let stat = both(c"/dev/null", &fd)?;
        same(stat.file_type(), FileType::CharacterDevice)?;
        same(stat.rdev, 1 << 8 | 3)?;
        same(stat.size, 0)
    }

    /// The owner is the creator, and two files are two.
    fn owner_and_identity() -> Outcome {
        let (one, other) = (file()?, file()?);
        let (one, other) = (syscall::fstat(one.as_fd())?, syscall::fstat(other.as_fd())?);
        ensure(one.is_same_file(&one) && !one.is_same_file(&other), "one file for two")?;
        same(one.uid, other.uid)?;
        same(one.nlink, 0)
    }

    /// Owner and group, in this order, set to what they are.
    fn change_owner() -> Outcome {
        let fd = file()?;
        let stat = syscall::fstat(fd.as_fd())?;
        syscall::fchown(fd.as_fd(), Some(stat.uid), None)?;
        syscall::fchown(fd.as_fd(), None, Some(stat.gid))?;
        if stat.uid == 0 {
            // More than 16 bits, and different.
            match syscall::fchown(fd.as_fd(), Some(0x1_0002), Some(0x3_0004)) {
                // In a user namespace that has no such numbers, or without the capability.
                Err(Errno::EINVAL | Errno::EPERM) => {}
                result => {
                    result?;
                    let stat = syscall::fstat(fd.as_fd())?;
                    same((stat.uid, stat.gid), (0x1_0002, 0x3_0004))?;
                }
            }
        }
        Ok(())
    }

    fn errors() -> Outcome {
        // SAFETY: used for nothing but to be refused.
        let bad = unsafe { BorrowedFd::borrow_raw(1_000_000) };
        fails(syscall::fstat(bad), Errno::EBADF)?;
        fails(syscall::statx(bad, c"", AtFlags::EMPTY_PATH), Errno::EBADF)?;
        fails(syscall::statx(CWD, c"", AtFlags::empty()), Errno::ENOENT)?;
        fails(syscall::statx(CWD, c"conformance/none", AtFlags::empty()), Errno::ENOENT)
    }

    pub const CASES: &[Case] = &[
        case!("fstat and statx agree on a regular file", regular_file),
        case!("fstat and statx agree on a directory", directory),
        case!("fstat and statx agree on a device", device),
        case!(
            "fstat and statx agree on nanoseconds",
            nanoseconds,
            qemu_user: "its fstat has none",
            if cfg!(target_arch = "s390x")
        ),
        case!("owner and identity", owner_and_identity),
        case!("fchown, with more than 16 bits", change_owner),
        case!("no file: EBADF and ENOENT", errors),
    ];
}

// ---------------------------------------------------------------------------------------

/// What mappings are.
mod mmap {
    use super::*;

    fn zeroed() -> Outcome {
        let pages = Pages::zeros(3)?;
        for index in (0..pages.length).step_by(509).chain([pages.length - 1]) {
            same(pages.get(index), 0)?;
            pages.set(index, 0xff);
            same(pages.get(index), 0xff)?;
        }
        same(pages.addr as usize % page(), 0)
    }

    fn private_is_a_copy() -> Outcome {
        let fd = numbered(2)?;
        let private = Pages::map(2 * page(), READ_WRITE, MapFlags::PRIVATE, Some(fd.as_fd()), 0)?;
        same(private.get(0), 1)?;
        private.set(0, 9);
        let mut byte = [0];
        syscall::pread(fd.as_fd(), &mut byte, 0)?;
        same((byte[0], private.get(0)), (1, 9))?;
        let again = Pages::map(2 * page(), READ_WRITE, MapFlags::PRIVATE, Some(fd.as_fd()), 0)?;
        same(again.get(0), 1)
    }

    fn shared_is_the_file() -> Outcome {
        let fd = file()?;
        syscall::ftruncate(fd.as_fd(), page() as u64)?;
        let one = Pages::map(page(), READ_WRITE, MapFlags::SHARED, Some(fd.as_fd()), 0)?;
        let other = Pages::map(page(), ProtFlags::READ, MapFlags::SHARED, Some(fd.as_fd()), 0)?;
        one.set(77, 7);
        let mut byte = [0];
        syscall::pread(fd.as_fd(), &mut byte, 77)?;
        same((byte[0], other.get(77)), (7, 7))?;
        syscall::pwrite(fd.as_fd(), &[8], 78)?;
        same((one.get(78), other.get(78)), (8, 8))
    }

    fn outlives_its_descriptor() -> Outcome {
        let fd = numbered(1)?;
        let pages = Pages::map(page(), READ_WRITE, MapFlags::SHARED, Some(fd.as_fd()), 0)?;
        syscall::close(fd)?;
        same(pages.get(0), 1)?;
        pages.set(0, 2);
        same(pages.get(0), 2)
    }

    /// What the mapping has beyond the end of the file is zero, and stays out of it.
    fn tail_is_zero() -> Outcome {
        let fd = file()?;
        syscall::write(fd.as_fd(), b"0123456789")?;
        let pages = Pages::map(page(), READ_WRITE, MapFlags::SHARED, Some(fd.as_fd()), 0)?;
        same(pages.get(9), b'9')?;
        for index in 10..page() {
            same(pages.get(index), 0)?;
        }
        pages.set(10, b'!');
        same(syscall::fstat(fd.as_fd())?.size, 10)?;
        let mut back = [0; 16];
        same(syscall::pread(fd.as_fd(), &mut back, 0)?, 10)
    }

    /// The kernel rounds the length up.
    fn length_is_rounded() -> Outcome {
        let pages = Pages::reserve(3)?;
        let flags = ANONYMOUS | MapFlags::FIXED;
        // SAFETY: the room is this function's own.
        unsafe { syscall::mmap(pages.addr, page() + 1, READ_WRITE, flags, None, 0)? };
        same([0, 1, 2].map(|n| readable(pages.page(n))), [true, true, false])
    }

    fn fixed_replaces() -> Outcome {
        let pages = Pages::zeros(3)?;
        for number in 0..3 {
            pages.set(number * page(), 5);
        }
        let flags = ANONYMOUS | MapFlags::FIXED;
        // SAFETY: the page is this function's own.
        let at = unsafe { syscall::mmap(pages.page(1), page(), READ_WRITE, flags, None, 0)? };
        same(at, pages.page(1))?;
        same([0, 1, 2].map(|n| pages.get(n * page())), [5, 0, 5])
    }

    fn fixed_noreplace_does_not() -> Outcome {
        let pages = Pages::zeros(3)?;
        pages.set(page(), 5);
        let map = |at| {
            let flags = ANONYMOUS | MapFlags::FIXED_NOREPLACE;
            // SAFETY: nothing is replaced, and the range is this function's own.
            unsafe { syscall::mmap(at, page(), READ_WRITE, flags, None, 0) }
        };
        fails(map(pages.page(1)), Errno::EEXIST)?;
        same(pages.get(page()), 5)?;
        // SAFETY: the page is this function's own.
        unsafe { syscall::munmap(pages.page(1), page())? };
        same(map(pages.page(1)), Ok(pages.page(1)))?;
        same(pages.get(page()), 0)
    }

    /// A wish for an address that is free comes true; for one that is not, another does.
    fn hint() -> Outcome {
        let pages = Pages::zeros(2)?;
        // SAFETY: without `FIXED` nothing is replaced.
        let addr = unsafe { syscall::mmap(pages.addr, page(), READ_WRITE, ANONYMOUS, None, 0)? };
        let other = Pages { addr, length: page() };
        let apart = other.addr.addr().abs_diff(pages.addr.addr()) >= page();
        ensure(apart, "a mapping in place of another")
    }

    fn protections() -> Outcome {
        let pages = Pages::zeros(2)?;
        pages.set(0, 3);
        let protect = |prot| {
            // SAFETY: the page is this function's own.
            unsafe { syscall::mprotect(pages.addr, page(), prot) }
        };
        protect(ProtFlags::empty())?;
        ensure(!readable(pages.addr) && !writable(pages.at(8)), "an accessible page")?;
        protect(ProtFlags::READ)?;
        ensure(readable(pages.addr) && !writable(pages.at(8)), "a page that is not read-only")?;
        protect(READ_WRITE)?;
        ensure(writable(pages.at(8)), "a page that is read-only")?;
        same(pages.get(0), 3)?;
        ensure(writable(pages.page(1)), "another page changed")
    }

    /// Code that is written and then called: two instructions that return.
    #[cfg(any(target_arch = "x86_64", target_arch = "s390x"))] // instructions need no flush
    fn executable() -> Outcome {
        #[cfg(target_arch = "x86_64")]
        let code = [0xb8, 0x2a, 0, 0, 0, 0xc3]; // mov eax, 42; ret
        #[cfg(target_arch = "s390x")]
        let code = [0xa7, 0x29, 0, 0x2a, 0x07, 0xfe]; // lghi %r2, 42; br %r14
        let pages = Pages::zeros(1)?;
        for (index, byte) in code.into_iter().enumerate() {
            pages.set(index, byte);
        }
        // SAFETY: the page is this function's own, and holds a function.
        unsafe {
            syscall::mprotect(pages.addr, page(), ProtFlags::READ | ProtFlags::EXEC)?;
            let function: extern "C" fn() -> i32 = core::mem::transmute(pages.addr);
            same(function(), 42)
        }
    }

    fn unmapped() -> Outcome {
        let pages = Pages::zeros(3)?;
        // SAFETY: the pages are this function's own.
        unsafe {
            syscall::munmap(pages.page(1), page())?;
            syscall::munmap(pages.page(1), page())?; // again: no error
        }
        same([0, 1, 2].map(|n| readable(pages.page(n))), [true, false, true])
    }

    pub const CASES: &[Case] = &[
        case!("anonymous memory is zero and can be changed", zeroed),
        case!("a private mapping is a copy", private_is_a_copy),
        case!("a shared mapping is the file", shared_is_the_file),
        case!("a mapping outlives its descriptor", outlives_its_descriptor),
        case!("the tail of the last page is zero", tail_is_zero),
        case!("a length is rounded up to pages", length_is_rounded),
        case!("MAP_FIXED replaces", fixed_replaces),
        case!("MAP_FIXED_NOREPLACE does not", fixed_noreplace_does_not),
        case!("an address is a wish", hint),
        case!("mprotect takes and gives access", protections),
        #[cfg(any(target_arch = "x86_64", target_arch = "s390x"))]
        case!("PROT_EXEC makes code of data", executable),
        case!("munmap takes a page out of the middle", unmapped),
    ];
}

// ---------------------------------------------------------------------------------------

/// Mappings that grow, shrink and move.
mod mremap {
    use super::*;
    use baremap::syscall::MremapFlags;

    /// `mremap` of all of a mapping, which becomes what the kernel made of it.
    fn remap(pages: &mut Pages, length: usize, flags: MremapFlags) -> syscall::Result<()> {
        // SAFETY: the mapping is the caller's own, and forgets its old address here.
        let result =
            unsafe { syscall::mremap(pages.addr, pages.length, length, flags, ptr::null_mut()) };
        pages.addr = result?;
        pages.length = length;
        Ok(())
    }

    fn grows() -> Outcome {
        let mut pages = Pages::zeros(2)?;
        pages.set(0, 1);
        pages.set(2 * page() - 1, 2);
        remap(&mut pages, 9 * page(), MremapFlags::MAYMOVE)?;
        same((pages.get(0), pages.get(2 * page() - 1)), (1, 2))?;
        same((pages.get(2 * page()), pages.get(9 * page() - 1)), (0, 0))?;
        pages.set(9 * page() - 1, 3);
        same(pages.get(9 * page() - 1), 3)
    }

    fn shrinks() -> Outcome {
        let mut pages = Pages::zeros(3)?;
        let (at, gone) = (pages.addr, pages.page(1));
        pages.set(0, 1);
        remap(&mut pages, page(), MremapFlags::empty())?;
        same((pages.addr, pages.get(0)), (at, 1))?;
        ensure(!readable(gone), "a page that is still there")
    }

    fn stays_if_it_may_not_move() -> Outcome {
        let pages = Pages::zeros(3)?;
        pages.set(0, 1);
        let mut first = core::mem::ManuallyDrop::new(Pages { addr: pages.addr, length: page() });
        fails(remap(&mut first, 2 * page(), MremapFlags::empty()), Errno::ENOMEM)?;
        same((pages.get(0), pages.get(page())), (1, 0))
    }

    /// With an old length of zero a shared mapping is doubled.
    fn doubles() -> Outcome {
        let pages = Pages::map(page(), READ_WRITE, SHARED_ANONYMOUS, None, 0)?;
        // SAFETY: nothing is unmapped.
        let addr = unsafe {
            syscall::mremap(pages.addr, 0, page(), MremapFlags::MAYMOVE, ptr::null_mut())?
        };
        let twin = Pages { addr, length: page() };
        pages.set(5, 6);
        same(twin.get(5), 6)
    }

    fn errors() -> Outcome {
        let pages = Pages::zeros(2)?;
        let mremap = |at, old, new, flags| {
            // SAFETY: fails, or leaves the mapping as it is.
            unsafe { syscall::mremap(at, old, new, flags, ptr::null_mut()) }
        };
        let none = MremapFlags::empty();
        fails(mremap(pages.at(1), page(), page(), none), Errno::EINVAL)?;
        fails(mremap(pages.addr, page(), page(), MremapFlags::FIXED), Errno::EINVAL)?;
        same(mremap(pages.addr, page(), page(), none), Ok(pages.addr))
    }

    fn to_nothing() -> Outcome {
        let pages = Pages::zeros(1)?;
        let none = MremapFlags::empty();
        // SAFETY: refused.
        let result = unsafe { syscall::mremap(pages.addr, page(), 0, none, ptr::null_mut()) };
        fails(result, Errno::EINVAL)?;
        ensure(readable(pages.addr), "a page that is gone")
    }

    fn unmapped() -> Outcome {
        let hole = Pages::zeros(3)?;
        // SAFETY: the pages are this function's own.
        let result = unsafe {
            syscall::munmap(hole.page(1), page())?;
            let flags = MremapFlags::MAYMOVE;
            syscall::mremap(hole.page(1), page(), 2 * page(), flags, ptr::null_mut())
        };
        fails(result, Errno::EFAULT)
    }

    pub const CASES: &[Case] = &[
        case!("growing keeps the contents", grows),
        case!("shrinking gives the end back", shrinks),
        case!("what may not move does not grow over others", stays_if_it_may_not_move),
        case!("an old length of zero doubles", doubles,
            qemu_user: "an old length of zero is refused"),
        case!("wrong addresses and flags are EINVAL", errors),
        case!(
            "a new length of zero is EINVAL",
            to_nothing,
            qemu_user: "a range of no bytes is ENOMEM"
        ),
        case!(
            "of what is not mapped is EFAULT",
            unmapped,
            qemu_user: "it has reserved all addresses",
            if cfg!(target_pointer_width = "32")
        ),
    ];
}

// ---------------------------------------------------------------------------------------

/// The other calls about memory.
mod mm_calls {
    use super::*;
    use baremap::syscall::{Advice, MlockFlags, MsyncFlags};

    fn dontneed() -> Outcome {
        let pages = Pages::zeros(3)?;
        for number in 0..3 {
            pages.set(number * page(), 5);
        }
        // SAFETY: the page is this function's own, and its contents are not needed.
        unsafe { syscall::madvise(pages.page(1), page(), Advice::DONTNEED)? };
        same([0, 1, 2].map(|n| pages.get(n * page())), [5, 0, 5])
    }

    /// A private mapping of a file shows the file again.
    fn dontneed_of_a_file() -> Outcome {
        let fd = numbered(1)?;
        let pages = Pages::map(page(), READ_WRITE, MapFlags::PRIVATE, Some(fd.as_fd()), 0)?;
        pages.set(0, 9);
        // SAFETY: as above.
        unsafe { syscall::madvise(pages.addr, page(), Advice::DONTNEED)? };
        same(pages.get(0), 1)
    }

    fn harmless_advice() -> Outcome {
        let pages = Pages::zeros(2)?;
        pages.set(0, 5);
        let advice = [Advice::NORMAL, Advice::RANDOM, Advice::SEQUENTIAL, Advice::WILLNEED];
        for advice in advice {
            // SAFETY: changes no contents.
            unsafe { syscall::madvise(pages.addr, pages.length, advice)? };
        }
        same(pages.get(0), 5)
    }

    fn mincore() -> Outcome {
        let pages = Pages::zeros(3)?;
        pages.set(page(), 1);
        let mut present = [0xaa; PRESENT];
        syscall::mincore(pages.addr, 3 * page(), &mut present[..3])?;
        same(present[1] & 1, 1)?;
        same(present[3], 0xaa)?;
        fails(syscall::mincore(pages.at(1), page(), &mut present), Errno::EINVAL)
    }

    /// Only touched pages are there.
    fn mincore_of_untouched() -> Outcome {
        let pages = Pages::zeros(3)?;
        // Huge pages, where they are always given, would bring all three.
        // SAFETY: changes no contents.
        let _ = unsafe { syscall::madvise(pages.addr, pages.length, Advice::NOHUGEPAGE) };
        pages.set(page(), 1);
        let mut present = [0xaa; PRESENT];
        syscall::mincore(pages.addr, 3 * page(), &mut present)?;
        same([0, 1, 2].map(|page| present[page] & 1), [0, 1, 0])
    }

    fn msync() -> Outcome {
        let fd = file()?;
        syscall::ftruncate(fd.as_fd(), 2 * page() as u64)?;
        let pages = Pages::map(2 * page(), READ_WRITE, MapFlags::SHARED, Some(fd.as_fd()), 0)?;
        pages.set(page(), 4);
        let msync = |at, length, flags| {
            // SAFETY: the range is this function's own.
            unsafe { syscall::msync(at, length, flags) }
        };
        msync(pages.addr, 2 * page(), MsyncFlags::SYNC)?;
        msync(pages.addr, 2 * page(), MsyncFlags::ASYNC)?;
        msync(pages.addr, 0, MsyncFlags::SYNC)?;
        fails(msync(pages.at(1), page(), MsyncFlags::SYNC), Errno::EINVAL)?;
        fails(msync(pages.addr, page(), MsyncFlags::SYNC | MsyncFlags::ASYNC), Errno::EINVAL)
    }

    fn lock() -> Outcome {
        let pages = Pages::zeros(2)?;
        // SAFETY: the pages are this function's own.
        unsafe {
            syscall::mlock(pages.page(1), page())?;
            let mut present = [0; PRESENT];
            syscall::mincore(pages.page(1), page(), &mut present)?;
            same(present[0] & 1, 1)?;
            syscall::munlock(pages.page(1), page())?;
        }
        Ok(())
    }

    fn lock_on_fault() -> Outcome {
        let pages = Pages::zeros(2)?;
        // SAFETY: the pages are this function's own.
        unsafe {
            syscall::mlock2(pages.addr, pages.length, MlockFlags::ONFAULT)?;
            fails(
                syscall::mlock2(pages.addr, page(), MlockFlags::from_bits_retain(2)),
                Errno::EINVAL,
            )?;
            syscall::munlock(pages.addr, pages.length)?;
        }
        Ok(())
    }

    fn memfd() -> Outcome {
        let fd = memory()?;
        same(syscall::fstat(fd.as_fd())?.size, 0)?;
        same(syscall::write(fd.as_fd(), b"abc")?, 3)?;
        let pages = Pages::map(page(), ProtFlags::READ, MapFlags::SHARED, Some(fd.as_fd()), 0)?;
        same((pages.get(2), pages.get(3)), (b'c', 0))?;
        fails(syscall::memfd_create(c"x", MemfdFlags::from_bits_retain(1 << 20)), Errno::EINVAL)
    }

    pub const CASES: &[Case] = &[
        case!("MADV_DONTNEED zeroes anonymous memory", dontneed),
        case!("MADV_DONTNEED drops changes to a file's copy", dontneed_of_a_file),
        case!("other advice changes nothing", harmless_advice),
        case!(
            "mincore tells one byte for each page",
            mincore,
            qemu_user: "a byte for each of the host's pages",
            if page() > 4096
        ),
        case!("mincore tells what was touched", mincore_of_untouched,
            qemu_user: "a byte for each of the host's pages",
            if page() > 4096),
        case!("msync", msync),
        case!("mlock and munlock", lock),
        case!("mlock2 MLOCK_ONFAULT", lock_on_fault, qemu_user: "it has no mlock2"),
        case!("memfd_create", memfd),
    ];
}

// ---------------------------------------------------------------------------------------

/// What the calls about memory refuse, and how.
mod mm_errors {
    use super::*;
    use baremap::syscall::{Advice, MsyncFlags};

    fn map(
        length: usize,
        prot: ProtFlags,
        flags: MapFlags,
        fd: Option<&OwnedFd>,
    ) -> syscall::Result<()> {
        Pages::map(length, prot, flags, fd.map(AsFd::as_fd), 0).map(drop)
    }

    fn zero_length() -> Outcome {
        let fd = numbered(1)?;
        fails(map(0, READ_WRITE, ANONYMOUS, None), Errno::EINVAL)?;
        fails(map(0, READ_WRITE, MapFlags::SHARED, Some(&fd)), Errno::EINVAL)?;
        let pages = Pages::zeros(1)?;
        // SAFETY: nothing is unmapped, and nothing changed.
        unsafe {
            fails(syscall::munmap(pages.addr, 0), Errno::EINVAL)?;
            syscall::madvise(pages.addr, 0, Advice::DONTNEED)?;
        }
        ensure(readable(pages.addr), "a page that is gone")
    }

    fn zero_length_of_mprotect() -> Outcome {
        let pages = Pages::zeros(1)?;
        // SAFETY: nothing is changed.
        unsafe { syscall::mprotect(pages.addr, 0, ProtFlags::empty())? };
        ensure(readable(pages.addr), "a page that may not be read")
    }

    fn descriptors() -> Outcome {
        fails(map(page(), ProtFlags::READ, MapFlags::SHARED, None), Errno::EBADF)?;
        let directory = syscall::open(c".", OFlags::RDONLY, Mode::empty())?;
        let result = map(page(), ProtFlags::READ, MapFlags::PRIVATE, Some(&directory));
        fails(result, Errno::ENODEV)?;
        // Whatever the descriptor is, anonymous memory does not look at it.
        map(page(), ProtFlags::READ, ANONYMOUS, Some(&directory))?;
        Ok(())
    }

    fn access() -> Outcome {
        let name = Name::new(c"conformance access");
        let open = |flags| syscall::open(name.0, flags, Mode::RUSR | Mode::WUSR);
        let write_only = open(OFlags::WRONLY | OFlags::CREATE)?;
        syscall::ftruncate(write_only.as_fd(), page() as u64)?;
        let read_only = open(OFlags::RDONLY)?;
        let result = map(page(), ProtFlags::READ, MapFlags::PRIVATE, Some(&write_only));
        fails(result, Errno::EACCES)?;
        fails(map(page(), READ_WRITE, MapFlags::SHARED, Some(&write_only)), Errno::EACCES)?;
        fails(map(page(), READ_WRITE, MapFlags::SHARED, Some(&read_only)), Errno::EACCES)?;
        map(page(), READ_WRITE, MapFlags::PRIVATE, Some(&read_only))?;

        let pages =
            Pages::map(page(), ProtFlags::READ, MapFlags::SHARED, Some(read_only.as_fd()), 0)?;
        // SAFETY: the page is this function's own.
        fails(unsafe { syscall::mprotect(pages.addr, page(), READ_WRITE) }, Errno::EACCES)
    }

    fn sharing() -> Outcome {
        fails(map(page(), READ_WRITE, MapFlags::ANONYMOUS, None), Errno::EINVAL)
    }

    fn addresses() -> Outcome {
        let pages = Pages::zeros(2)?;
        let at = pages.at(1);
        let flags = ANONYMOUS | MapFlags::FIXED;
        // SAFETY: all are refused.
        unsafe {
            fails(syscall::mmap(at, page(), READ_WRITE, flags, None, 0), Errno::EINVAL)?;
            fails(syscall::munmap(at, page()), Errno::EINVAL)?;
            fails(syscall::mprotect(at, page(), READ_WRITE), Errno::EINVAL)?;
            fails(syscall::madvise(at, page(), Advice::NORMAL), Errno::EINVAL)
        }
    }

    /// Three pages with none in the middle.
    fn gap() -> syscall::Result<Pages> {
        let pages = Pages::zeros(3)?;
        // SAFETY: the page is this function's own.
        unsafe { syscall::munmap(pages.page(1), page())? };
        Ok(pages)
    }

    fn not_mapped() -> Outcome {
        let pages = gap()?;
        let (at, length) = (pages.addr, pages.length);
        // SAFETY: the range is this function's own.
        unsafe {
            fails(syscall::mprotect(at, length, READ_WRITE), Errno::ENOMEM)?;
            fails(syscall::msync(at, length, MsyncFlags::ASYNC), Errno::ENOMEM)?;
            fails(syscall::mlock(at, length), Errno::ENOMEM)?;
            fails(syscall::munlock(at, length), Errno::ENOMEM)?;
            let _ = syscall::munlock(at, page());
        }
        let mut present = [0; PRESENT];
        fails(syscall::mincore(at, length, &mut present), Errno::ENOMEM)?;
        fails(syscall::mincore(at, length, &mut present[..2]), Errno::EFAULT)
    }

    fn advice_for_nothing() -> Outcome {
        let pages = gap()?;
        // SAFETY: changes no contents.
        fails(unsafe { syscall::madvise(pages.addr, pages.length, Advice::NORMAL) }, Errno::ENOMEM)
    }

    fn advice_that_is_none() -> Outcome {
        let pages = Pages::zeros(1)?;
        // SAFETY: refused.
        fails(unsafe { syscall::madvise(pages.addr, page(), Advice(999)) }, Errno::EINVAL)
    }

    fn too_much() -> Outcome {
        fails(map(usize::MAX - page(), READ_WRITE, ANONYMOUS, None), Errno::ENOMEM)?;
        // A 64-bit kernel leaves all of 4 GiB to a 32-bit program, but for its stack.
        fails(map(usize::MAX << 20, READ_WRITE, ANONYMOUS, None), Errno::ENOMEM)
    }

    pub const CASES: &[Case] = &[
        case!("a length of zero", zero_length),
        case!(
            "mprotect of no bytes does nothing",
            zero_length_of_mprotect,
            qemu_user: "a range of no bytes is ENOMEM"
        ),
        case!("no descriptor, or that of a directory", descriptors),
        case!("a descriptor not open for that is EACCES", access),
        case!("neither shared nor private is EINVAL", sharing),
        case!("an address inside a page is EINVAL", addresses),
        case!(
            "a range with a gap is ENOMEM",
            not_mapped,
            qemu_user: "it has reserved all addresses",
            if cfg!(target_pointer_width = "32")
        ),
        case!("advice for a gap is ENOMEM", advice_for_nothing,
            qemu_user: "advice for what is not mapped succeeds"),
        case!("advice that does not exist is EINVAL", advice_that_is_none,
            qemu_user: "unknown advice succeeds"),
        case!("more than there are addresses is ENOMEM", too_much),
    ];
}

// ---------------------------------------------------------------------------------------

#[path = "newer.rs"]
mod newer;

// ---------------------------------------------------------------------------------------

/// Signals that are sent.
mod signals {
    use super::*;
    use baremap::syscall::{
        Disposition, Handler, InfoHandler, SaFlags, SigHow, SigInfo, SigSet, SigStack, Sigaction,
        Signal, SsFlags,
    };
    use core::{
        ffi::{c_int, c_void},
        sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering::SeqCst},
    };
    use linux_raw_sys::general::{SI_TKILL, SI_USER};

    // What the handlers saw. There is one thread, which they interrupt.
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    static SIGNAL: AtomicI32 = AtomicI32::new(0);
    static TOLD: AtomicI32 = AtomicI32::new(0);
    static CODE: AtomicI32 = AtomicI32::new(0);
    static STACK: AtomicUsize = AtomicUsize::new(0);
    static ALIGNED: AtomicBool = AtomicBool::new(false);
    /// Which of USR1 and USR2 were blocked: bits 0 and 1.
    static BLOCKED: AtomicUsize = AtomicUsize::new(0);
    /// What the values that the handler kept became; zero if they were right.
    static CHANGED: AtomicUsize = AtomicUsize::new(0);

    /// Records, and uses all registers.
    unsafe extern "C" fn record(signal: c_int) {
        let local = 0u8;
        STACK.store((&raw const local).addr(), SeqCst);
        COUNT.fetch_add(1, SeqCst);
        SIGNAL.store(signal, SeqCst);
        ALIGNED.store(aligned_local(), SeqCst);
        if registers::undisturbed(3) != registers::undisturbed(3) {
            CHANGED.fetch_add(1, SeqCst);
        }
        BLOCKED.store(blocked().unwrap_or(99), SeqCst);
    }

    unsafe extern "C" fn record_info(signal: c_int, info: *mut SigInfo, _: *mut c_void) {
        // SAFETY: the structure is the kernel's, as long as the handler runs.
        unsafe {
            CODE.store((*info).code(), SeqCst);
            TOLD.store((*info).signal().0 as i32, SeqCst);
            record(signal);
        }
    }

    fn blocked() -> syscall::Result<usize> {
        // SAFETY: asks only.
        let mask = unsafe { syscall::rt_sigprocmask(SigHow::BLOCK, None)? };
        let (one, two) = (mask.contains(Signal::USR1), mask.contains(Signal::USR2));
        Ok(usize::from(one) | usize::from(two) << 1)
    }

    /// An action that is undone when it is dropped.
    pub struct Acting {
        signal: Signal,
        before: Sigaction,
    }

    impl Acting {
        pub fn new(
            signal: Signal,
            disposition: Disposition,
            flags: SaFlags,
            mask: SigSet,
        ) -> syscall::Result<Acting> {
            #[cfg(target_arch = "x86")]
            let disposition = realigned::instead_of(signal, disposition);
            let action = Sigaction { disposition, flags, mask };
            // SAFETY: the handlers of this program touch atomics and make system calls.
            let before = unsafe { syscall::rt_sigaction(signal, Some(&action))? };
            COUNT.store(0, SeqCst);
            Ok(Acting { signal, before })
        }
    }

    impl Drop for Acting {
        fn drop(&mut self) {
            // SAFETY: it was the action before.
            let _ = unsafe { syscall::rt_sigaction(self.signal, Some(&self.before)) };
        }
    }

    /// On x86 qemu-user calls handlers on a stack that is not aligned, where what the compiler
    /// makes of them goes astray. There they are called from one that aligns it.
    #[cfg(target_arch = "x86")]
    mod realigned {
        use super::*;

        static HANDLERS: [AtomicUsize; 65] = [const { AtomicUsize::new(0) }; 65];

        pub fn instead_of(signal: Signal, disposition: Disposition) -> Disposition {
            let Some(place) = HANDLERS.get(signal.0 as usize).filter(|_| EMULATED.load(SeqCst))
            else {
                return disposition;
            };
            match disposition {
                Disposition::Handler(handler) => {
                    place.store(handler as usize, SeqCst);
                    // SAFETY: a C function may be called with more arguments than it takes.
                    Disposition::Handler(unsafe { core::mem::transmute(enter as InfoHandler) })
                }
                Disposition::Info(handler) => {
                    place.store(handler as usize, SeqCst);
                    Disposition::Info(enter)
                }
                as_it_is => as_it_is,
            }
        }

        #[unsafe(naked)]
        unsafe extern "C" fn enter(_: c_int, _: *mut SigInfo, _: *mut c_void) {
            core::arch::naked_asm!(
                "push ebp",
                "mov ebp, esp",
                "and esp, -16",
                "push eax",             // with three arguments, sixteen bytes
                "push [ebp + 16]",
                "push [ebp + 12]",
                "push [ebp + 8]",
                "call {call}",
                "leave",
                "ret",
                call = sym call,
            )
        }

        unsafe extern "C" fn call(signal: c_int, info: *mut SigInfo, context: *mut c_void) {
            let handler = HANDLERS[signal as usize].load(SeqCst);
            // SAFETY: one that was set; what it does not take is left on the stack.
            unsafe { core::mem::transmute::<usize, InfoHandler>(handler)(signal, info, context) }
        }
    }

    fn plain(signal: Signal) -> syscall::Result<Acting> {
        Acting::new(signal, Disposition::Handler(record), SaFlags::empty(), SigSet::empty())
    }

    /// An alternate stack that is given up when it is dropped.
    pub struct AltStack(pub Pages);

    impl AltStack {
        pub fn new() -> syscall::Result<AltStack> {
            // Room for the largest frame of any architecture, twice.
            let pages = Pages::map(0x4_0000, READ_WRITE, ANONYMOUS, None, 0)?;
            let stack = SigStack { base: pages.addr, size: pages.length, flags: SsFlags::empty() };
            // SAFETY: the memory is for this alone, and stays until `drop`.
            unsafe { syscall::sigaltstack(Some(&stack))? };
            Ok(AltStack(pages))
        }

        pub fn holds(&self, address: usize) -> bool {
            address.wrapping_sub(self.0.addr.addr()) < self.0.length
        }
    }

    impl Drop for AltStack {
        fn drop(&mut self) {
            let none = SigStack { base: ptr::null_mut(), size: 0, flags: SsFlags::DISABLE };
            // SAFETY: no handler is running.
            let _ = unsafe { syscall::sigaltstack(Some(&none)) };
        }
    }

    fn seen() -> (usize, i32) {
        (COUNT.load(SeqCst), SIGNAL.load(SeqCst))
    }

    fn handler() -> Outcome {
        for signal in [Signal::USR1, Signal::USR2, Signal::TERM] {
            let _acting = plain(signal)?;
            syscall::kill(syscall::getpid(), Some(signal))?;
            same(seen(), (1, signal.0 as i32))?;
            syscall::raise(signal)?;
            same(seen(), (2, signal.0 as i32))?;
            ensure(ALIGNED.load(SeqCst), "a handler's stack that is not aligned")?;
        }
        Ok(())
    }

    fn handler_with_information() -> Outcome {
        let info = Disposition::Info(record_info);
        let _acting = Acting::new(Signal::USR1, info, SaFlags::empty(), SigSet::empty())?;
        let usr1 = Signal::USR1.0 as i32;
        syscall::kill(syscall::getpid(), Some(Signal::USR1))?;
        same(seen(), (1, usr1))?;
        same((TOLD.load(SeqCst), CODE.load(SeqCst)), (usr1, SI_USER as i32))?;
        syscall::raise(Signal::USR1)?;
        same(seen(), (2, usr1))?;
        same((TOLD.load(SeqCst), CODE.load(SeqCst)), (usr1, SI_TKILL))
    }

    /// Integers and floating-point numbers in registers, across calls that raise a signal.
    #[inline(never)]
    fn values_survive() -> Outcome {
        let _acting = plain(Signal::USR1)?;
        let (me, signal) = (syscall::getpid() as usize, Signal::USR1.0 as usize);
        // SAFETY: the handler is set.
        let kept = registers::keep(20, |_| unsafe { raw::syscall2(nr::kill, me, signal) });
        same(kept, registers::undisturbed(20))?;
        same((COUNT.load(SeqCst), CHANGED.load(SeqCst)), (20, 0))
    }

    fn a_hundred_times() -> Outcome {
        let _acting = plain(Signal::USR1)?;
        for count in 1..=100 {
            syscall::raise(Signal::USR1)?;
            same(COUNT.load(SeqCst), count)?;
        }
        Ok(())
    }

    fn mask() -> Outcome {
        let _acting = plain(Signal::USR1)?;
        let set = SigSet::empty().with(Signal::USR1);
        // SAFETY: nothing relies on the mask.
        unsafe { syscall::rt_sigprocmask(SigHow::BLOCK, Some(&set))? };
        syscall::raise(Signal::USR1)?;
        let (waiting, mask) = (COUNT.load(SeqCst), blocked()?);
        // SAFETY: as above.
        let before = unsafe { syscall::rt_sigprocmask(SigHow::UNBLOCK, Some(&set))? };
        same((waiting, mask), (0, 1))?;
        ensure(before.contains(Signal::USR1), "another mask before")?;
        same((COUNT.load(SeqCst), blocked()?), (1, 0))
    }

    fn set_mask() -> Outcome {
        let set = SigSet::empty().with(Signal::USR2);
        // SAFETY: nothing relies on the mask, and it is set back.
        unsafe {
            let before = syscall::rt_sigprocmask(SigHow::SETMASK, Some(&set))?;
            let between = blocked()?;
            syscall::rt_sigprocmask(SigHow::SETMASK, Some(&before))?;
            same((between, blocked()?), (2, 0))?;
            fails(syscall::rt_sigprocmask(SigHow(77), Some(&set)), Errno::EINVAL)
        }
    }

    /// While the handler runs its own signal is blocked, and those of its action.
    fn mask_of_the_handler() -> Outcome {
        let with_usr2 = SigSet::empty().with(Signal::USR2);
        let nothing = SigSet::empty();
        for (flags, mask, wanted) in [
            (SaFlags::empty(), nothing, 1),
            (SaFlags::empty(), with_usr2, 3),
            (SaFlags::NODEFER, nothing, 0),
            (SaFlags::NODEFER, with_usr2, 2),
        ] {
            let _acting = Acting::new(Signal::USR1, Disposition::Handler(record), flags, mask)?;
            syscall::raise(Signal::USR1)?;
            same((BLOCKED.load(SeqCst), blocked()?), (wanted, 0))?;
        }
        Ok(())
    }

    fn alternate_stack() -> Outcome {
        let stack = AltStack::new()?;
        let onstack = SaFlags::ONSTACK;
        for disposition in [Disposition::Handler(record), Disposition::Info(record_info)] {
            let _acting = Acting::new(Signal::USR1, disposition, onstack, SigSet::empty())?;
            syscall::raise(Signal::USR1)?;
            same(seen(), (1, Signal::USR1.0 as i32))?;
            ensure(stack.holds(STACK.load(SeqCst)), "a handler on another stack")?;
            ensure(ALIGNED.load(SeqCst), "a handler's stack that is not aligned")?;
        }
        let _acting = plain(Signal::USR1)?;
        syscall::raise(Signal::USR1)?;
        ensure(!stack.holds(STACK.load(SeqCst)), "a handler on the alternate stack")
    }

    fn alternate_stack_is_told() -> Outcome {
        // SAFETY: asks only.
        let told = || unsafe { syscall::sigaltstack(None) };
        let stack = AltStack::new()?;
        let now = told()?;
        same((now.base, now.size, now.flags), (stack.0.addr, stack.0.length, SsFlags::empty()))?;
        drop(stack);
        ensure(told()?.flags.contains(SsFlags::DISABLE), "a stack that is still set")?;
        let tiny = SigStack { base: ptr::null_mut(), size: 16, flags: SsFlags::empty() };
        // SAFETY: refused.
        fails(unsafe { syscall::sigaltstack(Some(&tiny)) }, Errno::ENOMEM)
    }

    /// Where qemu-user believes that the action has one.
    const RESTORER: bool = cfg!(any(
        target_arch = "loongarch64",
        target_arch = "mips",
        target_arch = "riscv32",
        target_arch = "riscv64"
    ));

    /// The old action has the size that the kernel's headers say.
    fn structure_has_its_size() -> Outcome {
        use linux_raw_sys::general::{kernel_sigaction, kernel_sigset_t};
        const WORDS: usize = size_of::<kernel_sigaction>() / size_of::<usize>();
        let mut old = [0x5a5a_5a5ausize; WORDS + 2];
        let (signal, size) = (Signal::USR2.0 as usize, size_of::<kernel_sigset_t>());
        // SAFETY: asks only, and there is more than enough room.
        let result =
            unsafe { raw::syscall4(nr::rt_sigaction, signal, 0, &raw mut old as usize, size) };
        same(check(result), Ok(0))?;
        same(&old[WORDS..], &[0x5a5a_5a5a; 2])?;
        ensure(old[WORDS - 1] != 0x5a5a_5a5a, "a structure with room left")
    }

    fn current(signal: Signal) -> syscall::Result<Sigaction> {
        // SAFETY: asks only.
        unsafe { syscall::rt_sigaction(signal, None) }
    }

    fn reset() -> Outcome {
        let flags = SaFlags::RESETHAND;
        let _acting =
            Acting::new(Signal::USR1, Disposition::Handler(record), flags, SigSet::empty())?;
        syscall::raise(Signal::USR1)?;
        same(seen(), (1, Signal::USR1.0 as i32))?;
        let default = matches!(current(Signal::USR1)?.disposition, Disposition::Default);
        ensure(default, "an action that is still set")
    }

    /// What was set is told: the kind of handler, its address, the flags and the mask.
    fn actions_are_told() -> Outcome {
        let set = SigSet::empty().with(Signal::HUP).with(Signal::XFSZ);
        let flags = SaFlags::RESTART | SaFlags::ONSTACK;
        let _plain = Acting::new(Signal::USR1, Disposition::Handler(record), flags, set)?;
        let told = current(Signal::USR1)?;
        let Disposition::Handler(handler) = told.disposition else {
            return Err(wrong(format_args!("got another disposition")));
        };
        same(handler as usize, record as Handler as usize)?;
        ensure(told.flags.contains(flags), "other flags")?;
        ensure(!told.flags.intersects(SaFlags::NODEFER | SaFlags::RESETHAND), "more flags")?;
        let others = [Signal::HUP, Signal::XFSZ, Signal::USR2, Signal::INT];
        same(others.map(|signal| told.mask.contains(signal)), [true, true, false, false])?;

        let info = Disposition::Info(record_info);
        let _info = Acting::new(Signal::USR2, info, SaFlags::empty(), SigSet::empty())?;
        match current(Signal::USR2)?.disposition {
            Disposition::Info(function) => {
                same(function as usize, record_info as InfoHandler as usize)?;
            }
            _ => return Err(wrong(format_args!("got another disposition"))),
        }
        let ignore = Disposition::Ignore;
        let before = Acting::new(Signal::USR2, ignore, SaFlags::empty(), SigSet::empty())?.before;
        ensure(matches!(before.disposition, Disposition::Info(_)), "another one before")
    }

    /// A libc's own restorer is not kept with an action that is set again.
    #[cfg(not(any(
        target_arch = "loongarch64",
        target_arch = "mips",
        target_arch = "mips64",
        target_arch = "riscv32",
        target_arch = "riscv64"
    )))]
    fn restorer_is_not_kept() -> Outcome {
        use linux_raw_sys::general::SA_RESTORER;
        let handler = Disposition::Handler(record);
        let flags = SaFlags::from_bits_retain(SA_RESTORER);
        let _acting = Acting::new(Signal::USR1, handler, flags, SigSet::empty())?;
        syscall::raise(Signal::USR1)?;
        same(seen(), (1, Signal::USR1.0 as i32))?;
        ensure(!current(Signal::USR1)?.flags.contains(flags), "a flag that is the kernel's")
    }

    fn ignored() -> Outcome {
        let ignore = Disposition::Ignore;
        let _acting = Acting::new(Signal::TERM, ignore, SaFlags::empty(), SigSet::empty())?;
        syscall::raise(Signal::TERM)?; // would end this process
        let ignored = matches!(current(Signal::TERM)?.disposition, Disposition::Ignore);
        ensure(ignored, "another disposition")
    }

    fn errors() -> Outcome {
        let (ignore, none) = (Disposition::Ignore, SaFlags::empty());
        fails(Acting::new(Signal::KILL, ignore, none, SigSet::empty()), Errno::EINVAL)?;
        fails(Acting::new(Signal(999), ignore, none, SigSet::empty()), Errno::EINVAL)?;
        let me = syscall::getpid();
        syscall::kill(me, None)?;
        fails(syscall::kill(me, Some(Signal(999))), Errno::EINVAL)?;
        fails(syscall::kill(i32::MAX, Some(Signal::USR1)), Errno::ESRCH)?;
        fails(syscall::tgkill(me, i32::MAX, Signal::USR1), Errno::ESRCH)?;
        fails(syscall::tgkill(me, 0, Signal::USR1), Errno::EINVAL)?;
        fails(syscall::tgkill(0, me, Signal::USR1), Errno::EINVAL)
    }

    pub const CASES: &[Case] = &[
        case!(
            "rt_sigaction writes its structure and no more",
            structure_has_its_size,
            qemu_user: "it takes this for an architecture with a restorer",
            if RESTORER
        ),
        case!(
            "a handler is called with the number",
            handler,
            qemu_user: "it aligns the stack to 8 bytes",
            if cfg!(target_arch = "mips64")
        ),
        case!("a handler is told who sent it", handler_with_information),
        case!("values in registers survive a handler", values_survive),
        case!("a handler returns a hundred times", a_hundred_times),
        case!("a blocked signal waits until unblocked", mask),
        case!("the mask is set as a whole, and told", set_mask),
        case!(
            "the mask while a handler runs",
            mask_of_the_handler,
            qemu_user: "it looks for the mask behind a restorer",
            if cfg!(target_arch = "riscv32")
        ),
        case!(
            "SA_ONSTACK runs on the alternate stack",
            alternate_stack,
            qemu_user: "it aligns the stack to 8 bytes",
            if cfg!(target_arch = "mips64")
        ),
        case!("sigaltstack tells what was set", alternate_stack_is_told),
        case!("SA_RESETHAND", reset),
        case!(
            "rt_sigaction tells what was set",
            actions_are_told,
            qemu_user: "handlers are called from another, on an aligned stack",
            if cfg!(target_arch = "x86")
        ),
        #[cfg(not(any(
            target_arch = "loongarch64",
            target_arch = "mips",
            target_arch = "mips64",
            target_arch = "riscv32",
            target_arch = "riscv64"
        )))]
        case!("a restorer is not kept", restorer_is_not_kept),
        case!("an ignored signal does nothing", ignored),
        case!("no such signal, no such process", errors),
    ];
}

// ---------------------------------------------------------------------------------------

/// Signals that the memory management raises.
mod faults {
    use super::signals::{Acting, AltStack};
    use super::*;
    use baremap::syscall::{BUS_ADRERR, Disposition, SaFlags, SigInfo, SigSet, Signal};
    use core::{
        ffi::{c_int, c_void},
        sync::atomic::{AtomicI32, AtomicUsize, Ordering::SeqCst},
    };
    use linux_raw_sys::general::{SEGV_ACCERR, SEGV_MAPERR};

    // What the handler saw.
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    static SIGNAL: AtomicI32 = AtomicI32::new(0);
    static CODE: AtomicI32 = AtomicI32::new(0);
    static ADDRESS: AtomicUsize = AtomicUsize::new(0);
    static STACK: AtomicUsize = AtomicUsize::new(0);
    /// The page that is missing. Not taken from what the handler is told: that is in question.
    static PAGE: AtomicUsize = AtomicUsize::new(0);
    /// The descriptor of a file to make a page longer, or −1: then a page is mapped.
    static FILE: AtomicI32 = AtomicI32::new(-1);

    /// Records, and mends what was wrong, so that the access succeeds the second time.
    unsafe extern "C" fn mend(signal: c_int, info: *mut SigInfo, _: *mut c_void) {
        let local = 0u8;
        STACK.store((&raw const local).addr(), SeqCst);
        // SAFETY: the structure is the kernel's, as long as the handler runs.
        let (code, at) = unsafe { ((*info).code(), (*info).addr()) };
        SIGNAL.store(signal, SeqCst);
        CODE.store(code, SeqCst);
        ADDRESS.store(at.addr(), SeqCst);
        let before = COUNT.fetch_add(1, SeqCst);
        if before > 3 {
            eprintln!("conformance: a fault at {at:?} that cannot be mended");
            syscall::exit_group(99); // or it would go on for ever
        }
        let _ = match FILE.load(SeqCst) {
            // Also if growing did not help: then the case fails, but ends.
            fd if fd == -1 || before > 0 => {
                let at = ptr::without_provenance_mut(PAGE.load(SeqCst));
                let flags = ANONYMOUS | MapFlags::FIXED;
                // SAFETY: the page is the one that the case is about.
                unsafe { syscall::mmap(at, page(), READ_WRITE, flags, None, 0).map(drop) }
            }
            fd => {
                // SAFETY: the case has it open.
                let fd = unsafe { BorrowedFd::borrow_raw(fd) };
                syscall::ftruncate(fd, 2 * page() as u64)
            }
        };
    }

    /// Does what faults at an address, and finds that it succeeds after one signal.
    fn fault(signal: Signal, at: *mut u8, code: i32, access: impl FnOnce()) -> Outcome {
        let stack = AltStack::new()?;
        let acting = |signal| {
            let flags = SaFlags::ONSTACK;
            Acting::new(signal, Disposition::Info(mend), flags, SigSet::empty())
        };
        let _both = (acting(Signal::SEGV)?, acting(Signal::BUS)?);
        COUNT.store(0, SeqCst);
        PAGE.store(at.addr() & !(page() - 1), SeqCst);
        access();
        same((COUNT.load(SeqCst), SIGNAL.load(SeqCst)), (1, signal.0 as i32))?;
        same(CODE.load(SeqCst), code)?;
        ensure(stack.holds(STACK.load(SeqCst)), "a handler on another stack")
    }

    /// The address that the last fault told.
    fn told(wanted: *mut u8) -> Outcome {
        // s390x tells no more of an address than its page.
        let whole = if cfg!(target_arch = "s390x") { !(page() - 1) } else { !0 };
        same(ADDRESS.load(SeqCst) & whole, wanted.addr() & whole)
    }

    /// One page of a file, mapped as two.
    fn short() -> syscall::Result<(OwnedFd, Pages)> {
        let fd = numbered(1)?;
        let pages = Pages::map(2 * page(), READ_WRITE, MapFlags::SHARED, Some(fd.as_fd()), 0)?;
        Ok((fd, pages))
    }

    fn beyond_the_end() -> Outcome {
        let (_fd, pages) = short()?;
        same((pages.get(0), pages.get(page() - 1)), (1, 0))?;
        let index = page() + 40;
        let mut got = 0xff;
        fault(Signal::BUS, pages.at(index), BUS_ADRERR, || got = pages.get(index))?;
        same(got, 0)
    }

    fn beyond_the_end_where() -> Outcome {
        let (_fd, pages) = short()?;
        let at = pages.at(page() + 48);
        fault(Signal::BUS, at, BUS_ADRERR, || pages.set(page() + 48, 1))?;
        told(at)
    }

    fn beyond_the_end_until_it_grows() -> Outcome {
        use baremap::fd::AsRawFd;
        let (fd, pages) = short()?;
        let index = 2 * page() - 8;
        FILE.store(fd.as_raw_fd(), SeqCst);
        let outcome = fault(Signal::BUS, pages.at(index), BUS_ADRERR, || pages.set(index, 7));
        FILE.store(-1, SeqCst);
        outcome?;
        let mut byte = [0];
        syscall::pread(fd.as_fd(), &mut byte, index as u64)?;
        same((byte[0], pages.get(index)), (7, 7))
    }

    /// A file that became shorter under a mapping that was used.
    fn after_it_shrinks() -> Outcome {
        let fd = numbered(2)?;
        let pages = Pages::map(2 * page(), READ_WRITE, MapFlags::SHARED, Some(fd.as_fd()), 0)?;
        same(pages.get(page()), 2)?;
        syscall::ftruncate(fd.as_fd(), 1)?;
        same(pages.get(0), 1)?;
        let mut got = 0xff;
        fault(Signal::BUS, pages.at(page()), BUS_ADRERR, || got = pages.get(page()))?;
        same(got, 0)
    }

    fn no_access() -> Outcome {
        let pages = Pages::reserve(3)?;
        let index = page() + 24;
        fault(Signal::SEGV, pages.at(index), SEGV_ACCERR as i32, || pages.set(index, 3))?;
        same(pages.get(index), 3)?;
        told(pages.at(index))
    }

    fn read_only() -> Outcome {
        let pages = Pages::map(2 * page(), ProtFlags::READ, ANONYMOUS, None, 0)?;
        let index = page() + 16;
        same(pages.get(index), 0)?;
        fault(Signal::SEGV, pages.at(index), SEGV_ACCERR as i32, || pages.set(index, 3))?;
        same(pages.get(index), 3)?;
        told(pages.at(index))
    }

    fn not_mapped() -> Outcome {
        // The alternate stack is mapped after the gap is made: it is larger than the gap, and
        // cannot take it.
        let pages = Pages::zeros(3)?;
        // SAFETY: the page is this function's own.
        unsafe { syscall::munmap(pages.page(1), page())? };
        let index = page() + 8;
        let mut got = 0xff;
        fault(Signal::SEGV, pages.at(index), SEGV_MAPERR as i32, || got = pages.get(index))?;
        same(got, 0)?;
        told(pages.at(index))
    }

    /// A call gives an error where an access would raise a signal.
    fn calls_do_not_raise() -> Outcome {
        let (fd, pages) = short()?;
        // SAFETY: nothing else uses the mapping.
        unsafe {
            fails(syscall::write_raw(memory()?.as_fd(), pages.page(1), 1), Errno::EFAULT)?;
            fails(syscall::read_raw(fd.as_fd(), pages.page(1), 1), Errno::EFAULT)?;
        }
        let none = Pages::reserve(1)?;
        // SAFETY: as above.
        fails(unsafe { syscall::write_raw(fd.as_fd(), none.addr, 1) }, Errno::EFAULT)
    }

    pub const CASES: &[Case] = &[
        case!(
            "SIGBUS beyond the end of a file",
            beyond_the_end,
            qemu_user: "SIGSEGV where its pages are larger than the host's",
            if page() > 4096
        ),
        case!(
            "SIGBUS tells the address",
            beyond_the_end_where,
            qemu_user: "SIGBUS is passed on with the host's address",
            if page() > 4096 || cfg!(any(target_pointer_width = "32", target_endian = "big"))
        ),
        case!(
            "SIGBUS until the file grows",
            beyond_the_end_until_it_grows,
            qemu_user: "SIGSEGV where its pages are larger than the host's",
            if page() > 4096
        ),
        case!(
            "SIGBUS after the file shrinks",
            after_it_shrinks,
            qemu_user: "SIGSEGV where its pages are larger than the host's",
            if page() > 4096
        ),
        case!(
            "SIGSEGV where nothing is allowed",
            no_access,
            qemu_user: "it says that nothing is mapped",
            if cfg!(any(target_arch = "powerpc", target_arch = "powerpc64"))
        ),
        case!(
            "SIGSEGV where writing is not allowed",
            read_only,
            qemu_user: "it says that nothing is mapped",
            if cfg!(any(target_arch = "powerpc", target_arch = "powerpc64"))
        ),
        case!("SIGSEGV where nothing is mapped", not_mapped),
        case!("system calls give EFAULT instead", calls_do_not_raise),
    ];
}

// ---------------------------------------------------------------------------------------

/// Processes: copies of this one.
mod processes {
    use super::*;
    use baremap::syscall::{
        CloneFlags, Pid, Signal, Timespec, WaitFlags, WaitStatus, exit, exit_group, fork, nanosleep,
    };
    use core::sync::atomic::{AtomicU32, Ordering::SeqCst};

    const MILLISECOND: Timespec = Timespec { sec: 0, nsec: 1_000_000 };

    /// A child that runs a function and exits with what it returns.
    pub fn child(run: impl FnOnce() -> i32) -> syscall::Result<Pid> {
        // SAFETY: this process has one thread.
        match unsafe { fork()? } {
            Some(pid) => Ok(pid),
            None => exit_group(run()),
        }
    }

    pub fn ended(pid: Pid) -> Result<WaitStatus, Trouble> {
        match syscall::waitid(Some(pid), WaitFlags::EXITED)? {
            Some((of, status)) if of == pid => Ok(status),
            other => Err(wrong(format_args!("got {other:?}, wanted {pid}"))),
        }
    }

    /// A number that parent and child have in common.
    struct Common(Pages);

    impl Common {
        fn new() -> syscall::Result<Common> {
            Pages::map(page(), READ_WRITE, SHARED_ANONYMOUS, None, 0).map(Common)
        }

        fn number(&self) -> &AtomicU32 {
            // SAFETY: aligned, zeroed, mapped as long as the borrow, and used as an atomic
            // by both processes.
            unsafe { AtomicU32::from_ptr(self.0.addr.cast()) }
        }
    }

    fn exit_status() -> Outcome {
        for (status, wanted) in [(0, 0), (42, 42), (0x1ff, 0xff), (-1, 0xff)] {
            same(ended(child(|| status)?)?, WaitStatus::Exited(wanted))?;
        }
        Ok(())
    }

    /// Of the only thread, `exit` ends the process.
    fn exit_of_a_thread() -> Outcome {
        // SAFETY: nothing else uses this stack.
        same(ended(child(|| unsafe { exit(43) })?)?, WaitStatus::Exited(43))
    }

    fn killed() -> Outcome {
        for signal in [Signal::KILL, Signal::TERM, Signal::USR1] {
            let pid = child(|| {
                let _ = syscall::raise(signal);
                77
            })?;
            same(ended(pid)?, WaitStatus::Killed(signal, false))?;
        }
        Ok(())
    }

    fn killed_by_the_parent() -> Outcome {
        let pid = child(|| {
            loop {
                let _ = nanosleep(MILLISECOND);
            }
        })?;
        syscall::kill(pid, Some(Signal::KILL))?;
        same(ended(pid)?, WaitStatus::Killed(Signal::KILL, false))
    }

    fn numbers() -> Outcome {
        let common = Common::new()?;
        let parent = syscall::getpid();
        let pid = child(|| {
            common.number().store(syscall::getpid() as u32, SeqCst);
            i32::from(syscall::getpid() == parent || syscall::gettid() != syscall::getpid())
        })?;
        same(ended(pid)?, WaitStatus::Exited(0))?;
        ensure(pid > 0 && pid != parent, "the parent's number")?;
        same(common.number().load(SeqCst) as Pid, pid)?;
        same(syscall::getpid(), parent)
    }

    fn memory_is_copied() -> Outcome {
        let private = Pages::zeros(1)?;
        private.set(0, 1);
        let pid = child(|| {
            let before = private.get(0);
            private.set(0, 2);
            i32::from(before) * 10 + i32::from(private.get(0))
        })?;
        same(ended(pid)?, WaitStatus::Exited(12))?;
        same(private.get(0), 1)
    }

    fn memory_is_shared() -> Outcome {
        let common = Common::new()?;
        common.number().store(0x0102_0304, SeqCst);
        let pid = child(|| {
            common.number().fetch_add(0x1020_3040, SeqCst);
            0
        })?;
        same(ended(pid)?, WaitStatus::Exited(0))?;
        same(common.number().load(SeqCst), 0x1122_3344)
    }

    /// The child has the parent's values in its registers. Each of five calls doubles the
    /// processes, all of which go on with the values that they have.
    fn registers_are_copied() -> Outcome {
        let common = Common::new()?;
        let parent = syscall::getpid();
        let kept = registers::keep(5, |_| {
            // SAFETY: this process has one thread.
            match unsafe { fork() } {
                Ok(None) => 0,
                Ok(Some(pid)) if matches!(ended(pid), Ok(WaitStatus::Exited(0))) => 0,
                _ => 1,
            }
        });
        let right = kept == registers::undisturbed(5);
        if right {
            common.number().fetch_add(1, SeqCst);
        }
        if syscall::getpid() != parent {
            exit_group(i32::from(!right));
        }
        ensure(right, "other values in the parent")?;
        same(common.number().load(SeqCst), 32)
    }

    fn wait_flags() -> Outcome {
        let common = Common::new()?;
        let pid = child(|| {
            while common.number().load(SeqCst) == 0 {
                let _ = nanosleep(MILLISECOND);
            }
            5
        })?;
        let wait = |flags| syscall::waitid(Some(pid), WaitFlags::EXITED | flags);
        let running = wait(WaitFlags::NOHANG);
        common.number().store(1, SeqCst);
        same(running, Ok(None))?;
        let end = Ok(Some((pid, WaitStatus::Exited(5))));
        same(wait(WaitFlags::NOWAIT), end)?;
        same(wait(WaitFlags::empty()), end)?;
        fails(wait(WaitFlags::empty()), Errno::ECHILD)?;
        fails(syscall::waitid(Some(pid), WaitFlags::empty()), Errno::EINVAL)
    }

    /// The kernel writes the child's number where it is told to: for the child into the
    /// child's memory, of which the address is an argument whose place differs.
    fn number_for(flag: u32) -> Outcome {
        use linux_raw_sys::general::{CLONE_CHILD_SETTID, CLONE_PARENT_SETTID, SIGCHLD};
        let (in_parent, in_child) = (Common::new()?, Common::new()?);
        let [parent, child] = [&in_parent, &in_child].map(|place| place.0.addr as usize);
        // SAFETY: a process of its own, on a copy of this stack; both places are this case's.
        let pid = check(unsafe { raw::clone((flag | SIGCHLD) as usize, 0, parent, child, 0) })?;
        if pid == 0 {
            exit_group((in_child.number().load(SeqCst) == syscall::getpid() as u32).into());
        }
        let told = |by| if flag == by { pid as u32 } else { 0 };
        same(in_parent.number().load(SeqCst), told(CLONE_PARENT_SETTID))?;
        let in_time = i32::from(flag == CLONE_CHILD_SETTID);
        same(ended(pid as Pid)?, WaitStatus::Exited(in_time))?;
        same(in_child.number().load(SeqCst), told(CLONE_CHILD_SETTID))
    }

    fn number_for_the_child() -> Outcome {
        number_for(linux_raw_sys::general::CLONE_CHILD_SETTID)
    }

    fn number_for_the_parent() -> Outcome {
        number_for(linux_raw_sys::general::CLONE_PARENT_SETTID)
    }

    /// A child ends with the signal that `clone` was told, and the parent hears it.
    fn end_is_signalled() -> Outcome {
        use baremap::syscall::{Disposition, SaFlags, SigSet};
        use core::ffi::c_int;
        static HEARD: AtomicU32 = AtomicU32::new(0);
        unsafe extern "C" fn hear(signal: c_int) {
            HEARD.store(signal as u32, SeqCst);
        }
        let action = Disposition::Handler(hear);
        let flags = SaFlags::RESTART;
        let _acting = signals::Acting::new(Signal::CHLD, action, flags, SigSet::empty())?;
        same(ended(child(|| 0)?)?, WaitStatus::Exited(0))?;
        same(HEARD.load(SeqCst), Signal::CHLD.0)
    }

    /// `CLONE_VFORK`: the parent goes on when the child has ended, and not before.
    fn vfork() -> Outcome {
        let common = Common::new()?;
        // SAFETY: this process has one thread, and its memory is copied.
        match unsafe { syscall::clone(CloneFlags::VFORK, Some(Signal::CHLD))? } {
            None => {
                let _ = nanosleep(Timespec { nsec: 5_000_000, ..MILLISECOND });
                common.number().store(1, SeqCst);
                exit_group(6)
            }
            Some(pid) => {
                let there = common.number().load(SeqCst);
                same(ended(pid)?, WaitStatus::Exited(6))?;
                same(there, 1)
            }
        }
    }

    fn shared_stack_is_refused() -> Outcome {
        for flags in [CloneFlags::VM, CloneFlags::SETTLS, CloneFlags::CHILD_SETTID] {
            // SAFETY: refused.
            fails(unsafe { syscall::clone(flags, Some(Signal::CHLD)) }, Errno::EINVAL)?;
        }
        Ok(())
    }

    /// Descriptors are copied, the positions behind them are common.
    fn descriptors_are_copied() -> Outcome {
        let fd = memory()?;
        let pid = child(|| {
            let written = syscall::write(fd.as_fd(), b"child");
            i32::from(written != Ok(5))
        })?;
        same(ended(pid)?, WaitStatus::Exited(0))?;
        same(syscall::write(fd.as_fd(), b"!")?, 1)?;
        let mut back = [0; 8];
        same(syscall::pread(fd.as_fd(), &mut back, 0)?, 6)?;
        same(&back, b"child!\0\0")
    }

    pub const CASES: &[Case] = &[
        case!("CLONE_CHILD_SETTID tells the child its number", number_for_the_child),
        case!(
            "CLONE_PARENT_SETTID tells the parent the number",
            number_for_the_parent,
            qemu_user: "it tells the child"
        ),
        case!("the exit status, of which eight bits", exit_status),
        case!("exit of the only thread", exit_of_a_thread),
        case!("a signal of its own ends a child", killed),
        case!("a signal of the parent ends a child", killed_by_the_parent),
        case!("getpid and gettid of a child", numbers),
        case!("private memory is copied", memory_is_copied),
        case!("shared memory is common", memory_is_shared),
        case!("values in registers are copied", registers_are_copied),
        case!("descriptors are copied", descriptors_are_copied),
        case!("WNOHANG and WNOWAIT", wait_flags),
        case!("the end of a child is signalled", end_is_signalled),
        case!("CLONE_VFORK waits", vfork, qemu_user: "it does not wait"),
        case!("clone on one stack, or without an address, is refused", shared_stack_is_refused),
    ];
}

// ---------------------------------------------------------------------------------------

#[path = "guarded.rs"]
mod guarded;

#[path = "model.rs"]
mod model;

// ---------------------------------------------------------------------------------------

/// Clocks, chance, and what a process may use.
mod time_and_limits {
    use super::*;
    use baremap::syscall::{
        ClockId, GetrandomFlags, Resource, Rlimit, Timespec, clock_gettime, nanosleep,
    };
    use linux_raw_sys::prctl::{PR_GET_NAME, PR_SET_NAME};

    fn monotonic() -> Outcome {
        let mut before = clock_gettime(ClockId::Monotonic)?;
        for _ in 0..1000 {
            let now = clock_gettime(ClockId::Monotonic)?;
            ensure(now >= before, "an earlier time")?;
            ensure((0..1_000_000_000).contains(&now.nsec), "nanoseconds out of range")?;
            before = now;
        }
        Ok(())
    }

    /// While suspended only the second runs.
    fn boottime() -> Outcome {
        let monotonic = clock_gettime(ClockId::Monotonic)?;
        let boot = clock_gettime(ClockId::Boottime)?;
        ensure(boot >= monotonic, "less time since the start")?;
        // SAFETY: refused.
        let bad = unsafe { raw::syscall2(nr::clock_gettime, 999, &raw const boot as usize) };
        fails(check(bad), Errno::EINVAL)
    }

    fn nanoseconds(time: Timespec) -> i128 {
        i128::from(time.sec) * 1_000_000_000 + i128::from(time.nsec)
    }

    fn sleep() -> Outcome {
        for (sec, nsec, wanted) in [(0, 1_000_000, 1_000_000), (0, 0, 0)] {
            let before = clock_gettime(ClockId::Monotonic)?;
            nanosleep(Timespec { sec, nsec })?;
            let slept = nanoseconds(clock_gettime(ClockId::Monotonic)?) - nanoseconds(before);
            ensure((wanted..wanted + 5_000_000_000).contains(&slept), "another time slept")?;
        }
        fails(nanosleep(Timespec { sec: 0, nsec: 1_000_000_000 }), Errno::EINVAL)?;
        fails(nanosleep(Timespec { sec: 0, nsec: -1 }), Errno::EINVAL)?;
        fails(nanosleep(Timespec { sec: -1, nsec: 0 }), Errno::EINVAL)
    }

    fn random() -> Outcome {
        let (mut one, mut other) = ([0; 33], [0; 33]);
        same(syscall::getrandom(&mut one[..32], GetrandomFlags::empty())?, 32)?;
        same(syscall::getrandom(&mut other[..32], GetrandomFlags::NONBLOCK)?, 32)?;
        ensure(one != other, "the same twice")?;
        same((one[32], other[32]), (0, 0))?;
        let unknown = GetrandomFlags::from_bits_retain(1 << 20);
        fails(syscall::getrandom(&mut one, unknown), Errno::EINVAL)
    }

    fn affinity() -> Outcome {
        let mut mask = [0usize; 128];
        let bytes = syscall::sched_getaffinity(0, &mut mask)?;
        ensure(bytes > 0 && bytes.is_multiple_of(size_of::<usize>()), "a strange size")?;
        let (inside, outside) = mask.split_at(bytes / size_of::<usize>());
        ensure(inside.iter().any(|&word| word != 0), "no processor")?;
        ensure(outside.iter().all(|&word| word == 0), "words beyond the size")?;
        fails(syscall::sched_getaffinity(0, &mut []), Errno::EINVAL)
    }

    /// A limit is read, set lower, and set back.
    fn limits() -> Outcome {
        let stack = syscall::prlimit(0, Resource::STACK, None)?;
        ensure(stack.current > 0 && stack.current <= stack.maximum, "no stack")?;
        let before = syscall::prlimit(0, Resource::NOFILE, None)?;
        let less = Rlimit { current: before.current - 3, ..before };
        same(syscall::prlimit(0, Resource::NOFILE, Some(less))?, before)?;
        same(syscall::prlimit(0, Resource::NOFILE, Some(before))?, less)?;
        let crossed = Rlimit { current: 2, maximum: 1 };
        fails(syscall::prlimit(0, Resource::NOFILE, Some(crossed)), Errno::EINVAL)?;
        fails(syscall::prlimit(0, Resource(999), None), Errno::EINVAL)
    }

    /// The kernel keeps fifteen bytes and a NUL.
    fn name() -> Outcome {
        let (mut before, mut now) = ([0u8; 16], [0u8; 16]);
        let new = c"a name that is too long";
        // SAFETY: both options take sixteen bytes at most, and a C string.
        unsafe {
            syscall::prctl(PR_GET_NAME, [before.as_mut_ptr() as usize, 0, 0, 0])?;
            syscall::prctl(PR_SET_NAME, [new.as_ptr() as usize, 0, 0, 0])?;
            syscall::prctl(PR_GET_NAME, [now.as_mut_ptr() as usize, 0, 0, 0])?;
            syscall::prctl(PR_SET_NAME, [before.as_ptr() as usize, 0, 0, 0])?;
        }
        same(&now, b"a name that is \0")
    }

    pub const CASES: &[Case] = &[
        case!("CLOCK_MONOTONIC does not go back", monotonic),
        case!("CLOCK_BOOTTIME, and a clock that is none", boottime),
        case!("nanosleep sleeps, and not for wrong spans", sleep),
        case!("getrandom fills, and differs", random),
        case!("sched_getaffinity tells a processor", affinity),
        case!("prlimit reads and sets", limits),
        case!("prctl sets and gets the name", name),
    ];
}

// ---------------------------------------------------------------------------------------

#[path = "space.rs"]
mod space;
