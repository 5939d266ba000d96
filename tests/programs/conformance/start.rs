//! From the kernel's first instruction of the program to `main`.

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

/// The number of arguments and the null after them are given separately.
fn arguments_end_with_null(start: Start) -> Outcome {
    let count = start.args().count();
    ensure(count >= 1, "no argument, not even the program's name")?;
    // The environment begins after as many arguments as the count says. With a wrong count, an
    // argument would be its first string, or it would be empty.
    let last = start.args().last().map(CStr::to_bytes_with_nul);
    let next = start.env().next().map(CStr::to_bytes_with_nul);
    if let (Some(last), Some(next)) = (last, next) {
        // The kernel stores all strings one after another.
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

/// `/proc/self/auxv` has the same vector, byte for byte.
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

/// `msync` of zero bytes succeeds only at page boundaries.
fn page_size_is_that_of_the_kernel() -> Outcome {
    // SAFETY: a range of no bytes is not touched.
    let msync = |at| check(unsafe { raw::syscall3(nr::msync, at, 0, MS_ASYNC as usize) });
    same(msync(page()), Ok(0))?;
    same(msync(3 * page()), Ok(0))?;
    fails(msync(page() / 2), Errno::EINVAL)?;
    fails(msync(page() + page() / 2), Errno::EINVAL)
}

/// Returns the program headers, and the load bias.
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

/// The program headers follow the file's header, and the running code lies in the segment that they
/// describe.
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

/// The compiler relies on the alignment of the stack at the entry point.
fn stack_is_aligned() -> Outcome {
    ensure(aligned_local(), "a local variable that is not aligned")
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

/// Whether programs are linked at a fixed address.
const FIXED: bool = cfg!(any(target_arch = "mips", target_arch = "mips64"));

static STRINGS: [&str; 3] = ["the first", "", "the third"];
static FUNCTIONS: [fn() -> usize; 3] = [two, one, two];
static TARGET: u32 = 0x600d_f00d;
/// A pointer that is relocated, and changed later.
static POINTER: AtomicPtr<u32> = AtomicPtr::new(&raw const TARGET as *mut u32);

/// Checks addresses in data: of strings, of functions and of other data.
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
    // A table that was not relocated has numbers near zero. A program at a fixed address needs no
    // relocation.
    ensure(FIXED || strings[0].as_ptr().addr() > 0x10_0000, "the linker's address")
}

/// Data that is not written after the relocation is protected, in whole pages.
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

/// Returns whether a local variable has the alignment of its type. It is the alignment that the
/// architecture gives the stack, so that the compiler does not align the variable itself.
#[inline(never)]
pub fn aligned_local() -> bool {
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
