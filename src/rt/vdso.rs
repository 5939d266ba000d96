//! Finds functions in the vDSO, the shared library that the kernel maps into every process.
//!
//! The vDSO reads clocks without a system call. The kernel passes its address in the auxiliary
//! vector, or leaves it out (`vdso=0`, some architectures, qemu-user). The library is an ELF image
//! whose code is mapped ready to run, so only a symbol has to be found.
//!
//! Every offset in the image is checked against the length of its segment before it is used, so that
//! an image of an unexpected form has no functions instead of causing a fault. Sources: vdso(7),
//! elf(5), and the kernel's `arch/*/kernel/vdso/vdso.lds.S`.

use core::{
    ffi::CStr,
    mem::{MaybeUninit, offset_of},
    ptr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use linux_raw_sys::auxvec::AT_SYSINFO_EHDR;
use linux_raw_sys::elf::{
    DT_GNU_HASH, DT_HASH, DT_NULL, DT_STRTAB, DT_SYMTAB, DT_VERDEF, DT_VERSYM, EI_CLASS, EI_DATA,
    ELFCLASS, ELFDATA, ELFMAG, Elf_Dyn, Elf_Ehdr, Elf_Phdr, Elf_Sym, Elf_Verdaux, Elf_Verdef,
    PT_DYNAMIC, PT_LOAD, SHN_UNDEF,
};

use super::auxv;
use crate::arch::VDSO;

/// The address of a function of the vDSO, which is found when it is first needed: [`UNKNOWN`] at
/// first, and [`ABSENT`] if the vDSO lacks the function.
#[derive(Debug)]
pub(super) struct Function(AtomicUsize);

const UNKNOWN: usize = 0;
const ABSENT: usize = 1;

impl Function {
    pub(super) const fn new() -> Function {
        Function(AtomicUsize::new(UNKNOWN))
    }

    /// Returns the address of the function with this name, or `None` if the vDSO lacks it.
    #[inline]
    pub(super) fn address(&self, name: &CStr) -> Option<*const ()> {
        let known = match self.0.load(Relaxed) {
            UNKNOWN => self.find(name),
            known => known,
        };
        (known != ABSENT).then(|| ptr::with_exposed_provenance(known))
    }

    /// Looks the function up and stores the result. Several threads store equal results.
    #[cold]
    #[inline(never)]
    fn find(&self, name: &CStr) -> usize {
        let base = auxv::value(AT_SYSINFO_EHDR as usize);
        // SAFETY: the kernel keeps the vDSO mapped at the address that it passes.
        let image = base.and_then(|base| unsafe { Image::new(base) });
        let found = image.and_then(|image| image.function(name, VDSO.version));
        let found = found.unwrap_or(ABSENT);
        self.0.store(found, Relaxed);
        found
    }
}

/// The segment of an ELF image that contains its headers, tables and code.
struct Image {
    /// The address of the segment.
    base: usize,
    /// The length of the segment in bytes.
    len: usize,
    /// The linker's address of the segment.
    linked: usize,
    /// The offset of the dynamic section in the segment.
    dynamic: usize,
}

/// One entry of a hash table with the System V layout: a whole register on s390x, where the ABI
/// says so, and 32 bits elsewhere.
#[cfg(target_arch = "s390x")]
type HashWord = u64;
#[cfg(not(target_arch = "s390x"))]
type HashWord = u32;

/// A type that is made of integers, for which all bytes are valid.
///
/// # Safety
///
/// * Every sequence of `size_of::<Self>()` bytes is a value of the type.
unsafe trait Plain {}

macro_rules! plain {
    ($($type:ty),*) => {$(
        // SAFETY: the type is an integer, or a structure or array of integers.
        unsafe impl Plain for $type {}
    )*};
}

plain!(
    u8,
    u16,
    u32,
    u64,
    [u32; 4],
    [usize; 2],
    Elf_Ehdr,
    Elf_Phdr,
    Elf_Sym,
    Elf_Verdaux,
    Elf_Verdef
);

/// The largest number of symbols that are compared. A vDSO has about twenty.
const MOST_SYMBOLS: usize = 1024;

impl Image {
    /// Reads the headers of an image. Returns `None` if it is not an image for this architecture
    /// with one segment from its beginning on.
    ///
    /// # Safety
    ///
    /// * The page at `base` is mapped and readable if `base` is a multiple of 4096 other than zero.
    /// * If an ELF image begins there, its first segment is mapped, is readable, and is not unmapped
    ///   as long as the returned value is used.
    unsafe fn new(base: usize) -> Option<Image> {
        if base == 0 || !base.is_multiple_of(4096) {
            return None;
        }
        let mut image = Image { base, len: 4096, linked: 0, dynamic: 0 };
        let header: Elf_Ehdr = image.read(0)?;
        let ident = header.e_ident;
        if !ident.starts_with(&ELFMAG) || ident[EI_CLASS] != ELFCLASS || ident[EI_DATA] != ELFDATA {
            return None;
        }
        let (mut len, mut dynamic) = (None, None);
        for index in 0..usize::from(header.e_phnum) {
            let at = header.e_phoff.checked_add(index * size_of::<Elf_Phdr>())?;
            let header: Elf_Phdr = image.read(at)?;
            if header.p_type == PT_LOAD && header.p_offset == 0 && len.is_none() {
                len = Some(header.p_memsz);
                image.linked = header.p_vaddr;
            }
            if header.p_type == PT_DYNAMIC {
                dynamic = Some(header.p_vaddr);
            }
        }
        image.len = len?;
        image.dynamic = image.offset(dynamic?);
        Some(image)
    }

    /// Converts an address of the linker to an offset.
    fn offset(&self, address: usize) -> usize {
        address.wrapping_sub(self.linked)
    }

    /// Reads a value, or returns `None` if it is not all in the segment.
    fn read<T: Plain>(&self, offset: usize) -> Option<T> {
        let end = offset.checked_add(size_of::<T>())?;
        if end > self.len {
            return None;
        }
        let at = ptr::with_exposed_provenance::<u8>(self.base).wrapping_add(offset);
        // SAFETY: the bytes are in the segment, which is readable, and any bytes are a value.
        Some(unsafe { at.cast::<T>().read_unaligned() })
    }

    /// Returns whether a string is at an offset.
    fn has_string(&self, offset: usize, string: &CStr) -> bool {
        let bytes = string.to_bytes_with_nul().iter();
        bytes.enumerate().all(|(index, &byte)| {
            offset.checked_add(index).and_then(|at| self.read::<u8>(at)) == Some(byte)
        })
    }

    /// Returns the value of an entry of the dynamic section, as an offset.
    fn table(&self, tag: usize) -> Option<usize> {
        for index in 0.. {
            let at = self.dynamic.checked_add(index * size_of::<Elf_Dyn>())?;
            let [found, value]: [usize; 2] = self.read(at)?;
            if found == tag {
                return Some(self.offset(value));
            }
            if found == DT_NULL {
                return None;
            }
        }
        None
    }

    /// Returns the address of a function with a version.
    fn function(&self, name: &CStr, version: &CStr) -> Option<usize> {
        let symbols = self.table(DT_SYMTAB)?;
        let strings = self.table(DT_STRTAB)?;
        let count = self.symbol_count()?.min(MOST_SYMBOLS);
        let versions = self.version_of_symbols(strings, version);
        for index in 0..count {
            let symbol: Elf_Sym = self.read(symbols.checked_add(index * size_of::<Elf_Sym>())?)?;
            let text = strings.checked_add(symbol.st_name as usize)?;
            if symbol.st_shndx == SHN_UNDEF || !self.has_string(text, name) {
                continue;
            }
            if let Some((table, wanted)) = versions {
                let found: u16 = self.read(table.checked_add(index * 2)?)?;
                if found & !HIDDEN != wanted {
                    continue;
                }
            }
            let offset = self.offset(symbol.st_value);
            return (offset < self.len).then(|| self.base + offset);
        }
        None
    }

    /// Returns the number of symbols, which only the hash tables contain.
    fn symbol_count(&self) -> Option<usize> {
        if let Some(table) = self.table(DT_GNU_HASH) {
            return self.gnu_symbol_count(table);
        }
        // The second word, after the number of buckets.
        let chains = self.table(DT_HASH)?.checked_add(size_of::<HashWord>())?;
        usize::try_from(self.read::<HashWord>(chains)?).ok()
    }

    /// Returns one more than the last index in a table with GNU's layout: buckets with the first
    /// index of a chain, and for each index a hash, whose lowest bit ends the chain.
    fn gnu_symbol_count(&self, table: usize) -> Option<usize> {
        let [buckets, first, filter, _]: [u32; 4] = self.read(table)?;
        let start = table.checked_add(16)?;
        let start = start.checked_add((filter as usize).checked_mul(size_of::<usize>())?)?;
        let hashes = start.checked_add((buckets as usize).checked_mul(4)?)?;
        let mut last = 0;
        for bucket in 0..buckets as usize {
            last = last.max(self.read::<u32>(start.checked_add(bucket.checked_mul(4)?)?)?);
        }
        while last >= first {
            let place = ((last - first) as usize).checked_mul(4)?;
            last = last.checked_add(1)?;
            if self.read::<u32>(hashes.checked_add(place)?)? & 1 != 0 {
                break;
            }
        }
        Some(last as usize)
    }

    /// Returns the table of the symbols' versions, and the index that a version has in it. Returns
    /// `None` if symbols have no versions; no symbol has the index zero.
    fn version_of_symbols(&self, strings: usize, version: &CStr) -> Option<(usize, u16)> {
        let table = self.table(DT_VERSYM)?;
        let mut at = self.table(DT_VERDEF)?;
        for _ in 0..MOST_SYMBOLS {
            let Some(definition) = self.read::<Elf_Verdef>(at) else { break };
            let names = at.wrapping_add(definition.vd_aux as usize);
            if let Some(name) = self.read::<Elf_Verdaux>(names) {
                let text = strings.wrapping_add(name.vda_name as usize);
                if self.has_string(text, version) {
                    return Some((table, definition.vd_ndx));
                }
            }
            if definition.vd_next == 0 {
                break;
            }
            at = at.wrapping_add(definition.vd_next as usize);
        }
        Some((table, NO_VERSION))
    }
}

/// The bit of a symbol's version that hides it from the linker.
const HIDDEN: u16 = 0x8000;
/// An index of a version that no symbol has.
const NO_VERSION: u16 = HIDDEN;

// `table` reads entries of the dynamic section as two words.
static_assertions::const_assert_eq!(size_of::<MaybeUninit<Elf_Dyn>>(), 2 * size_of::<usize>());
static_assertions::const_assert_eq!(offset_of!(Elf_Dyn, d_un), size_of::<usize>());

#[cfg(test)]
mod tests {
    use super::*;
    use object::{Object, ObjectSymbol};
    use std::{slice, vec, vec::Vec};

    /// Returns the bytes of this process's vDSO, or none if there is none.
    fn image() -> Option<(usize, &'static [u8])> {
        // SAFETY: reads an entry of the auxiliary vector.
        let base = unsafe { libc::getauxval(AT_SYSINFO_EHDR.into()) } as usize;
        // SAFETY: the kernel maps the vDSO there.
        let len = unsafe { Image::new(base) }?.len.next_multiple_of(4096);
        // SAFETY: whole pages are mapped, and never change.
        Some((base, unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(base), len) }))
    }

    /// A copy at an address that is a multiple of the page size.
    struct Copy {
        memory: Vec<u8>,
        skip: usize,
        len: usize,
    }

    impl Copy {
        fn new(bytes: &[u8]) -> Copy {
            let mut memory = vec![0; bytes.len() + 4096];
            let skip = memory.as_ptr().align_offset(4096);
            memory[skip..skip + bytes.len()].copy_from_slice(bytes);
            Copy { memory, skip, len: bytes.len() }
        }

        fn bytes(&mut self) -> &mut [u8] {
            &mut self.memory[self.skip..self.skip + self.len]
        }

        fn base(&mut self) -> usize {
            self.bytes().as_mut_ptr().expose_provenance()
        }

        fn find(&mut self, name: &CStr, version: &CStr) -> Option<usize> {
            let base = self.base();
            // SAFETY: `len` bytes are there; a longer segment is refused before it is read.
            let image = unsafe { Image::new(base) }?;
            if image.len > self.len {
                return None;
            }
            image.function(name, version)
        }
    }

    #[test]
    fn functions_are_where_the_crate_object_finds_them() {
        let Some((base, bytes)) = image() else { return };
        let file = object::File::parse(bytes).unwrap();
        // SAFETY: the kernel maps the vDSO there.
        let image = unsafe { Image::new(base) }.unwrap();
        for name in [VDSO.clock_gettime, VDSO.getcpu, c"__vdso_time"] {
            let mut symbols = file.dynamic_symbols();
            let theirs = symbols.find(|symbol| symbol.name_bytes() == Ok(name.to_bytes()));
            let theirs = theirs.map(|symbol| base + symbol.address() as usize);
            assert!(theirs.is_some(), "{name:?}");
            assert_eq!(image.function(name, VDSO.version), theirs, "{name:?}");
            assert_eq!(image.function(name, c"LINUX_9.9"), None, "{name:?} of another version");
        }
        assert_eq!(image.function(c"__vdso_clock_gettim", VDSO.version), None);
        assert_eq!(image.function(c"", VDSO.version), None);
    }

    /// The kernel is trusted, but another loader can pass any address.
    #[test]
    fn an_address_without_an_image_has_no_functions() {
        let page = Copy::new(&[0; 4096]).base();
        for base in [0, 1, page + 8] {
            // SAFETY: no address but that of the page is a multiple of the page size.
            assert!(unsafe { Image::new(base) }.is_none(), "{base:#x}");
        }
        assert_eq!(Copy::new(&[0; 4096]).find(VDSO.clock_gettime, VDSO.version), None);
    }

    /// Damages each byte of the headers and tables in turn. No damage may cause a fault, a panic
    /// or an endless loop, or lead outside of the segment.
    #[test]
    fn a_damaged_image_has_no_functions_outside_of_it() {
        let Some((_, bytes)) = image() else { return };
        let mut copy = Copy::new(bytes);
        assert!(copy.find(VDSO.clock_gettime, VDSO.version).is_some());
        for at in 0..bytes.len().min(4096) {
            for wrong in [0, 0x7f, 0xff, bytes[at] ^ 0x10] {
                copy.bytes()[at] = wrong;
                if let Some(found) = copy.find(VDSO.clock_gettime, VDSO.version) {
                    let base = copy.base();
                    assert!((base..base + bytes.len()).contains(&found), "byte {at} is {wrong}");
                }
                copy.bytes()[at] = bytes[at];
            }
        }
    }
}
