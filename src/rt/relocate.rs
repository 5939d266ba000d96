//! Self-relocation of a static position-independent program.
//!
//! The linker does not know where the kernel will put the program, so every
//! address that stands in its data (a string in a table, an entry of the global
//! offset table) is a number relative to the program's own start, and listed in the
//! dynamic section. A dynamic linker would add the start to each; here the program
//! does it itself, before anything else.
//!
//! Until [`relocate`] is done, a function in another crate cannot be called (in a
//! debug build such a call goes through the global offset table), nothing may
//! panic, and no loop may become a call of `memset`. So there are no slices,
//! iterators or `for` loops here, all arithmetic wraps, and every function that it
//! calls is `inline(always)`, but for the one that ends the process.

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

// Packed relative relocations, from the generic ELF ABI; not in linux-raw-sys, so a test
// compares them with the crate `object`.
const DT_RELRSZ: usize = 35;
const DT_RELR: usize = 36;

const WORD: usize = size_of::<usize>();

/// The auxiliary vector: it stands after the arguments and the environment.
///
/// # Safety
///
/// `stack` is the kernel's block: a count, so many pointers, null; pointers, null;
/// pairs.
#[inline(always)]
pub(super) unsafe fn auxv(stack: *const usize) -> *const [usize; 2] {
    // SAFETY: each step stays in the block.
    unsafe {
        let mut next = stack.wrapping_add(1 + *stack + 1);
        while *next != 0 {
            next = next.wrapping_add(1);
        }
        next.wrapping_add(1).cast()
    }
}

/// Where the program is, and two of its parts.
struct Image {
    /// What the linker's addresses have to be added to. Zero if the program is not
    /// position independent.
    bias: usize,
    /// Address of the dynamic section, or zero.
    dynamic: usize,
    /// First address and length of what is read-only after relocation, or zeros.
    relro: (usize, usize),
}

/// Reads the program headers, which the kernel tells of.
///
/// # Safety
///
/// `stack` is the kernel's block.
#[inline(always)]
unsafe fn image(stack: *const usize) -> Image {
    // SAFETY: the vector ends with AT_NULL; the kernel mapped the headers where
    // AT_PHDR says, as many as AT_PHNUM says.
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

        // The program headers follow the file's header, which is at the start of the
        // segment that maps the start of the file.
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

/// Relocates the running program, and returns what it was given.
///
/// A program that is not position independent has nothing to relocate. Only
/// relative relocations are understood, which are all that a static program has;
/// another kind ends the process with status 127.
///
/// # Safety
///
/// Called once, first of all, with the stack pointer that the kernel gave.
#[must_use]
pub unsafe extern "C" fn relocate(stack: *const usize) -> *const usize {
    // SAFETY: the caller's promise.
    let Image { bias, dynamic, .. } = unsafe { image(stack) };
    if dynamic == 0 {
        return stack;
    }

    // SAFETY: the section ends with DT_NULL; the tables are where it says, and list
    // words of the program's own writable data.
    unsafe {
        let (mut rel, mut rel_size) = (0, 0);
        let (mut rela, mut rela_size) = (0, 0);
        let (mut relr, mut relr_size) = (0, 0);
        let mut entry = ptr::with_exposed_provenance::<Elf_Dyn>(dynamic);
        while (*entry).d_tag != DT_NULL {
            let (tag, value) = ((*entry).d_tag, (*entry).d_un.d_ptr);
            // No `match`: it could become a table of addresses, not yet relocated.
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

        // REL: the number to add to stands in the word itself.
        let end = rel.wrapping_add(rel_size);
        while rel != end {
            let this = ptr::with_exposed_provenance::<Elf_Rel>(rel);
            if is_relative((*this).r_info as usize) {
                add((*this).r_offset.wrapping_add(bias), bias);
            }
            rel = rel.wrapping_add(size_of::<Elf_Rel>());
        }

        // RELA: it stands in the table.
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

        // RELR: an even number is the address of a word; an odd one a bit map of
        // those that follow the last, of which its lowest bit says only that.
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

/// In the place of [`relocate`] in a program at a fixed address, which has nothing to
/// relocate.
#[doc(hidden)]
#[must_use]
pub extern "C" fn keep(stack: *const usize) -> *const usize {
    stack
}

/// Adds the bias to a word.
///
/// # Safety
///
/// The address is that of a word of the program's data.
#[inline(always)]
unsafe fn add(address: usize, bias: usize) {
    let word = ptr::with_exposed_provenance_mut::<usize>(address);
    // SAFETY: the caller's promise.
    unsafe { *word = (*word).wrapping_add(bias) };
}

/// Returns whether the relocation is a relative one, and not an empty one. Any other ends the
/// process, unless the program is linked with `std`: then it has relocations for the symbols of
/// libc, which only `std`'s own panic handler uses.
#[inline(always)]
fn is_relative(info: usize) -> bool {
    if cfg!(feature = "std") {
        return info == R_RELATIVE as usize;
    }
    // The type is the low byte where words have 32 bits, and half the word where they
    // have 64; the rest is a symbol, of which a relative one has none.
    if info != R_RELATIVE as usize && info != 0 {
        // SAFETY: ends the process.
        unsafe { raw::syscall1(raw::nr::exit_group, 127) };
    }
    info != 0
}

/// Makes what is never written again after relocation read-only.
///
/// # Safety
///
/// Relocation is over. `stack` is the kernel's block.
pub(super) unsafe fn protect(stack: *const usize) {
    // SAFETY: the caller's promise.
    let (start, length) = unsafe { image(stack) }.relro;
    if length == 0 {
        return;
    }
    // What follows the part's end, in its last page, may be writable data: round down.
    // With pages larger than those that the linker had in mind, nothing may be left.
    let page = syscall::page_size();
    let (start, end) = (start & !(page - 1), (start + length) & !(page - 1));
    if start >= end {
        return;
    }
    let at = ptr::with_exposed_provenance_mut(start);
    // SAFETY: by its definition, nothing writes there any more. A failure leaves the
    // program less well protected, and as right.
    let _ = unsafe { syscall::mprotect(at, end - start, ProtFlags::READ) };
}

// The header's size is what `image` relies on: the C structure has no padding.
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
