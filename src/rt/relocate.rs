//! Relocates a static position-independent program, from inside the program.
//!
//! The linker does not know the address at which the kernel will load the program. It writes every
//! address in the program's data (for example a pointer in a table, or an entry of the global
//! offset table) as if the program were loaded at the address zero, and lists the words that hold
//! such addresses in relocation tables, to which the dynamic section refers. A dynamic linker would
//! add the load address to each word. A static program has no dynamic linker, so it adds the load
//! address itself, before any other code runs.
//!
//! Until [`relocate`] returns, the code must not:
//!
//! * call a function of another crate, because in a debug build the call goes through the global
//!   offset table, which is not yet relocated;
//! * panic, because the panic message contains addresses;
//! * contain a loop that the compiler replaces with a call to `memset` or `memcpy`.
//!
//! The code therefore uses no slices, iterators or `for` loops, all arithmetic wraps, and every
//! function that it calls is `inline(always)`, except the one that ends the process.

use core::{
    mem::{MaybeUninit, offset_of},
    ptr,
};

use linux_raw_sys::auxvec::{AT_NULL, AT_PHDR, AT_PHNUM};
use linux_raw_sys::elf::{
    DT_NULL, DT_REL, DT_RELA, DT_RELASZ, DT_RELSZ, Elf_Dyn, Elf_Ehdr, Elf_Phdr, Elf_Rel, Elf_Rela,
    PT_DYNAMIC, PT_GNU_RELRO, PT_LOAD,
};

use crate::arch::R_RELATIVE;
use crate::syscall::{self, ProtFlags, raw};

// The tags of packed relative relocations in the generic ELF ABI. linux-raw-sys does not define
// them, so a test compares them with the constants of the crate `object`.
const DT_RELRSZ: usize = 35;
const DT_RELR: usize = 36;

const WORD: usize = size_of::<usize>();

/// Returns the address of the auxiliary vector, which follows the environment on the stack.
///
/// # Safety
///
/// `stack` is the value of the stack pointer when the kernel entered the program, or the address of
/// memory with an equal layout: the number of arguments; a pointer for each argument, and null; a
/// pointer for each variable of the environment, and null; the auxiliary vector.
#[inline(always)]
pub(super) unsafe fn auxv(stack: *const usize) -> *const [usize; 2] {
    // SAFETY: no word after the null pointer that ends the environment is read.
    unsafe {
        let mut next = stack.wrapping_add(1 + *stack + 1);
        while *next != 0 {
            next = next.wrapping_add(1);
        }
        next.wrapping_add(1).cast()
    }
}

/// The load address of the program, and the addresses of two of its segments.
struct Image {
    /// The difference between a run-time address and the linker's address. Zero if the program is
    /// not position independent.
    bias: usize,
    /// The run-time address of the dynamic section, or zero if there is none.
    dynamic: usize,
    /// The run-time address and the length in bytes of the data that is read-only after relocation
    /// (RELRO). The length is zero if there is none.
    relro: (usize, usize),
}

/// Reads the program headers, whose address and number are in the auxiliary vector.
///
/// # Safety
///
/// * `stack` is the value of the stack pointer when the kernel entered the program.
/// * The program headers that AT_PHDR and AT_PHNUM describe are mapped.
#[inline(always)]
unsafe fn image(stack: *const usize) -> Image {
    // SAFETY: the auxiliary vector ends with AT_NULL. AT_PHNUM program headers are mapped at
    // AT_PHDR.
    unsafe {
        let (mut headers, mut count) = (0, 0);
        let mut entry = auxv(stack);
        while (*entry)[0] != AT_NULL as usize {
            if (*entry)[0] == AT_PHDR as usize {
                headers = (*entry)[1];
            }
            if (*entry)[0] == AT_PHNUM as usize {
                count = (*entry)[1];
            }
            entry = entry.wrapping_add(1);
        }

        // The linkers put the program headers directly after the ELF header, which is at the start
        // of the segment that maps the beginning of the file.
        let file = headers.wrapping_sub(size_of::<Elf_Ehdr>());
        let (mut bias, mut dynamic, mut relro) = (0, 0, (0, 0));
        let mut header = ptr::with_exposed_provenance::<Elf_Phdr>(headers);
        while count != 0 {
            let (kind, at) = ((*header).p_type, (*header).p_vaddr);
            if kind == PT_LOAD && (*header).p_offset == 0 {
                bias = file.wrapping_sub(at);
            }
            if kind == PT_DYNAMIC {
                dynamic = at;
            }
            if kind == PT_GNU_RELRO {
                relro = (at, (*header).p_memsz);
            }
            header = header.wrapping_add(1);
            count = count.wrapping_sub(1);
        }

        if dynamic != 0 {
            dynamic = dynamic.wrapping_add(bias);
        }
        Image { bias, dynamic, relro: (relro.0.wrapping_add(bias), relro.1) }
    }
}

/// Relocates the running program, and returns `stack`.
///
/// Does nothing if the program is not position independent.
///
/// Only relative relocations are supported, because a static program has no other kind. Any other
/// relocation ends the process with status 127, unless the feature `std` is enabled, with which it
/// is ignored.
///
/// # Safety
///
/// * `stack` is the value of the stack pointer when the kernel entered the program.
/// * It is called once, before any other code of the program.
#[must_use]
pub unsafe extern "C" fn relocate(stack: *const usize) -> *const usize {
    // SAFETY: the caller passes the initial stack pointer.
    let Image { bias, dynamic, .. } = unsafe { image(stack) };
    if dynamic == 0 {
        return stack;
    }

    // SAFETY: the dynamic section ends with DT_NULL. The relocation tables are mapped at the
    // addresses that it contains, and list words of the program's writable data.
    unsafe {
        let (mut rel, mut rel_size) = (0, 0);
        let (mut rela, mut rela_size) = (0, 0);
        let (mut relr, mut relr_size) = (0, 0);
        let mut entry = ptr::with_exposed_provenance::<Elf_Dyn>(dynamic);
        while (*entry).d_tag != DT_NULL {
            let (tag, value) = ((*entry).d_tag, (*entry).d_un.d_ptr);
            // The compiler could turn a `match` into a table of addresses, which is not yet
            // relocated.
            if tag == DT_REL {
                rel = value.wrapping_add(bias);
            }
            if tag == DT_RELSZ {
                rel_size = value;
            }
            if tag == DT_RELA {
                rela = value.wrapping_add(bias);
            }
            if tag == DT_RELASZ {
                rela_size = value;
            }
            if tag == DT_RELR {
                relr = value.wrapping_add(bias);
            }
            if tag == DT_RELRSZ {
                relr_size = value;
            }
            entry = entry.wrapping_add(1);
        }

        // REL: the addend is in the word that is relocated.
        let end = rel.wrapping_add(rel_size);
        while rel != end {
            let this = ptr::with_exposed_provenance::<Elf_Rel>(rel);
            if is_relative((*this).r_info as usize) {
                add((*this).r_offset.wrapping_add(bias), bias);
            }
            rel = rel.wrapping_add(size_of::<Elf_Rel>());
        }

        // RELA: the addend is in the table.
        let end = rela.wrapping_add(rela_size);
        while rela != end {
            let this = ptr::with_exposed_provenance::<Elf_Rela>(rela);
            if is_relative((*this).r_info as usize) {
                let word = (*this).r_offset.wrapping_add(bias);
                let word = ptr::with_exposed_provenance_mut::<usize>(word);
                *word = (*this).r_addend.wrapping_add(bias);
            }
            rela = rela.wrapping_add(size_of::<Elf_Rela>());
        }

        // RELR: an even entry is the address of a word to relocate. An odd entry is a bitmap of the
        // words after the last address or bitmap: bit 1 is for the first of these words, and bit 0
        // only marks the entry as a bitmap.
        let end = relr.wrapping_add(relr_size);
        let mut next = 0;
        while relr != end {
            let mut entry = *ptr::with_exposed_provenance::<usize>(relr);
            if entry & 1 == 0 {
                next = entry.wrapping_add(bias);
                add(next, bias);
                next = next.wrapping_add(WORD);
            } else {
                let mut word = next;
                entry >>= 1;
                while entry != 0 {
                    if entry & 1 != 0 {
                        add(word, bias);
                    }
                    entry >>= 1;
                    word = word.wrapping_add(WORD);
                }
                next = next.wrapping_add((usize::BITS as usize).wrapping_sub(1).wrapping_mul(WORD));
            }
            relr = relr.wrapping_add(WORD);
        }
    }
    stack
}

/// Returns `stack`. Replaces [`relocate`] in a program that is linked at a fixed address, which
/// needs no relocation.
#[doc(hidden)]
#[must_use]
pub extern "C" fn keep(stack: *const usize) -> *const usize {
    stack
}

/// Adds the bias to a word.
///
/// # Safety
///
/// `address` is the address of an aligned, writable word to which no reference exists.
#[inline(always)]
unsafe fn add(address: usize, bias: usize) {
    let word = ptr::with_exposed_provenance_mut::<usize>(address);
    // SAFETY: the caller passes the address of an aligned, writable word.
    unsafe { *word = (*word).wrapping_add(bias) };
}

/// Returns whether a relocation is relative. Returns `false` for an empty relocation (type zero).
///
/// Any other relocation ends the process with status 127, unless the feature `std` is enabled. A
/// program that is linked with `std` has relocations for symbols of libc, which only the panic
/// handler of `std` uses. They are ignored.
#[inline(always)]
fn is_relative(info: usize) -> bool {
    if cfg!(all(feature = "std", not(test))) {
        return info == R_RELATIVE as usize;
    }
    // The type is in the low 8 bits on 32-bit architectures, and in the low 32 bits on 64-bit
    // architectures. The other bits are the index of a symbol, which is zero for a relative
    // relocation.
    if info != R_RELATIVE as usize && info != 0 {
        // SAFETY: the call only ends the process.
        unsafe { raw::syscall1(raw::nr::exit_group, 127) };
    }
    info != 0
}

/// Makes the data that is only written by relocation read-only (RELRO). Best effort.
///
/// # Safety
///
/// * `stack` is the value of the stack pointer when the kernel entered the program.
/// * [`relocate`] has returned.
pub(super) unsafe fn protect(stack: *const usize) {
    // SAFETY: the caller passes the initial stack pointer.
    let (start, length) = unsafe { image(stack) }.relro;
    if length == 0 {
        return;
    }
    // The page that contains the end may also contain writable data, so the end is rounded down. If
    // the kernel's pages are larger than the linker assumed, no whole page may remain.
    let page = syscall::page_size();
    let (start, end) = (start & !(page - 1), (start + length) & !(page - 1));
    if start >= end {
        return;
    }
    let at = ptr::with_exposed_provenance_mut(start);
    // SAFETY: the linker guarantees that only relocation writes to this data. If the call fails,
    // the data stays writable, and the program is otherwise unaffected.
    let _ = unsafe { syscall::mprotect(at, end - start, ProtFlags::READ) };
}

// `image` relies on the size of the ELF header, and `relocate` on the layout of the entries: the
// structures of C have no padding.
static_assertions::const_assert_eq!(size_of::<Elf_Ehdr>(), if WORD == 8 { 64 } else { 52 });
static_assertions::const_assert_eq!(offset_of!(Elf_Dyn, d_un), WORD);
static_assertions::const_assert_eq!(size_of::<MaybeUninit<Elf_Rel>>(), 2 * WORD);
static_assertions::const_assert_eq!(size_of::<Elf_Rela>(), 3 * WORD);

#[cfg(test)]
mod tests {
    #[test]
    fn tags_of_packed_relocations() {
        assert_eq!(super::DT_RELR as i64, object::elf::DT_RELR.0);
        assert_eq!(super::DT_RELRSZ as i64, object::elf::DT_RELRSZ.0);
    }
}
