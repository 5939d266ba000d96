//! Compares the runtime's readers of the initial stack and of the program image with plain models,
//! on random input.
//!
//! The input ends directly before an inaccessible page, so a read past its end is a page fault.

use core::{ops::Range, ptr, slice};
use std::{ffi::CString, ops::Deref, vec, vec::Vec};

use linux_raw_sys::auxvec::{AT_NULL, AT_PHDR, AT_PHNUM};
use linux_raw_sys::elf::{
    DT_NULL, DT_REL, DT_RELA, DT_RELASZ, DT_RELSZ, Elf_Dyn, Elf_Ehdr, Elf_Phdr, Elf_Rel, Elf_Rela,
    PT_DYNAMIC, PT_GNU_RELRO, PT_LOAD,
};

use super::{Start, relocate::protect};
use crate::arch::R_RELATIVE;
use crate::fd::AsFd;
use crate::fuzz::{Random, fuzz};
use crate::syscall::{self, Errno, MapFlags, Mode, OFlags, ProtFlags, WaitFlags, WaitStatus};

const WORD: usize = size_of::<usize>();

/// Writable memory between two inaccessible pages.
struct Memory {
    start: *mut usize,
    /// The number of words.
    len: usize,
}

impl Memory {
    /// Maps memory that ends with `words`. `sharing` is `MapFlags::SHARED` if a child process is to
    /// write to it, and `MapFlags::PRIVATE` otherwise.
    fn new(words: &[usize], sharing: MapFlags) -> Memory {
        let page = syscall::page_size();
        let len = (words.len() * WORD).next_multiple_of(page);
        let (flags, prot) = (MapFlags::ANONYMOUS | sharing, ProtFlags::READ | ProtFlags::WRITE);
        // SAFETY: `mmap` replaces no mapping, and `mprotect` changes a part of the new mapping.
        let start = unsafe {
            let all =
                syscall::mmap(ptr::null_mut(), len + 2 * page, ProtFlags::empty(), flags, None, 0)
                    .unwrap();
            syscall::mprotect(all.add(page), len, prot).unwrap();
            all.add(page).cast::<usize>()
        };
        let memory = Memory { start, len: len / WORD };
        let first = memory.len - words.len();
        // SAFETY: the memory has at least `words.len()` words from `first` on.
        unsafe { start.add(first).copy_from_nonoverlapping(words.as_ptr(), words.len()) };
        memory
    }
}

impl Deref for Memory {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        // SAFETY: the memory is mapped, and not written to while the reference exists.
        unsafe { slice::from_raw_parts(self.start, self.len) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let page = syscall::page_size();
        // SAFETY: `new` mapped the memory and the page on either side of it.
        unsafe {
            let all = self.start.cast::<u8>().sub(page);
            syscall::munmap(all, self.len * WORD + 2 * page).unwrap();
        }
    }
}

/// Returns the words of an initial stack: the number of arguments, their pointers, null, the
/// pointers of the environment, null, and the auxiliary vector.
fn block(args: &[CString], env: &[CString], auxv: &[(usize, usize)]) -> Vec<usize> {
    let address = |string: &CString| string.as_ptr().expose_provenance();
    let mut words = vec![args.len()];
    words.extend(args.iter().map(address));
    words.push(0);
    words.extend(env.iter().map(address));
    words.push(0);
    words.extend(auxv.iter().flat_map(|&(kind, value)| [kind, value]));
    words
}

#[test]
fn the_initial_stack_is_read_like_the_model() {
    let make = |random: &mut Random| {
        let string = |random: &mut Random| CString::new(random.text(12, b"=-/a")).unwrap();
        let args = random.list(6, string);
        let env = random.list(6, string);
        // Three of four types are below 40, so that some types occur twice.
        let mut auxv = random.list(24, |random| {
            let kind = if random.once_in(4) { random.number() as usize } else { random.below(40) };
            (kind.max(1), random.number() as usize)
        });
        auxv.push((AT_NULL as usize, random.number() as usize));
        (args, env, auxv)
    };
    fuzz("auxiliary vector", make, |(args, env, auxv)| {
        let words = block(args, env, auxv);
        let memory = Memory::new(&words, MapFlags::PRIVATE);
        let stack = &memory[memory.len() - words.len()..];
        let start = Start { stack: stack.as_ptr() };
        let (mut strings, mut actual) = (start.args(), Vec::new());
        actual.extend(strings.by_ref());
        assert!(actual.iter().copied().eq(args.iter().map(Deref::deref)), "{actual:?}");
        assert_eq!(strings.next(), None);
        let (mut strings, mut actual) = (start.env(), Vec::new());
        actual.extend(strings.by_ref());
        assert!(actual.iter().copied().eq(env.iter().map(Deref::deref)), "{actual:?}");
        assert_eq!(strings.next(), None);
        let mut entries = start.auxv();
        let actual: Vec<_> = entries.by_ref().collect();
        assert_eq!(actual, auxv[..auxv.len() - 1]);
        assert_eq!(entries.next(), None);
        assert_eq!(*stack, words);
    });
}

/// A program as the kernel loads it, before relocation.
#[derive(Debug)]
struct Image {
    /// The address that the linker assumed for the start of the image.
    base: usize,
    /// The contents.
    words: Vec<usize>,
    /// The index of each word that is relocated, and its expected value.
    relocated: Vec<(usize, Expected)>,
    /// Whether a relocation has an unsupported type.
    unsupported: bool,
    /// The number of program headers.
    headers: usize,
    /// The range that becomes read-only, in bytes from the start of the image.
    relro: Option<Range<usize>>,
}

/// The expected value of a relocated word.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// The bias is added to the word's previous value.
    InPlace,
    /// The word is the sum of the bias and this addend.
    Addend(usize),
}

impl Image {
    /// Writes a value at the word with the index `at`.
    fn put<T>(&mut self, at: usize, value: T) {
        let place = &mut self.words[at..at + size_of::<T>() / WORD];
        // SAFETY: the slice is as long as the value, and a word's alignment is sufficient for every
        // structure of ELF.
        unsafe { place.as_mut_ptr().cast::<T>().write(value) };
    }

    /// Creates an image of one to six pages.
    fn random(random: &mut Random) -> Image {
        let page = syscall::page_size();
        let pages = 1 + random.below(6);
        let len = pages * page / WORD;
        let base = random.number() as usize & !(WORD - 1);
        let mut image = Image {
            base,
            words: Vec::new(),
            relocated: Vec::new(),
            unsupported: random.once_in(25),
            headers: 0,
            relro: None,
        };
        image.words.resize_with(len, || random.number() as usize);

        // The words that are relocated are clustered, like the pointers of a table, or far apart.
        let mut words: Vec<usize> = Vec::new();
        let mut at = size_of::<Elf_Ehdr>() / WORD + 12 * size_of::<Elf_Phdr>() / WORD;
        let data = at..at + (len - at) / 4;
        while at < data.end {
            words.push(at);
            at += 1 + if random.once_in(6) { random.below(200) } else { random.below(3) };
        }
        let mut kinds: [Vec<usize>; 3] = Default::default();
        let only = random.once_in(2).then(|| random.below(3));
        for word in words {
            kinds[only.unwrap_or_else(|| random.below(3))].push(word);
        }
        let [mut rel, mut rela, relr] = kinds;
        random.shuffle(&mut rel);
        random.shuffle(&mut rela);

        // The relocation tables and the dynamic section follow the data, in a random order.
        let mut tables = [0, 1, 2, 3];
        random.shuffle(&mut tables);
        let mut at = data.end;
        let mut dynamic: Vec<(usize, usize)> = Vec::new();
        let (mut section, mut unsupported) = (0, image.unsupported);
        for table in tables {
            at += random.below(5);
            let address = base.wrapping_add(at * WORD);
            let start = at;
            // Adds empty relocations, and at most one relocation with an unsupported type, with any
            // address.
            let mut entries = |random: &mut Random, words: &[usize]| {
                let mut entries: Vec<_> =
                    words.iter().map(|&word| (word * WORD, R_RELATIVE as usize)).collect();
                for _ in 0..if random.once_in(4) { 1 + random.below(2) } else { 0 } {
                    let place = random.below(entries.len() + 1);
                    entries.insert(place, (random.word() as usize, 0));
                }
                if unsupported && random.once_in(2) {
                    let kind = random.number() as usize;
                    let kind = if kind == R_RELATIVE as usize || kind == 0 { 1 << 8 } else { kind };
                    let place = random.below(entries.len() + 1);
                    let anywhere = [random.word() as usize, random.below(len) * WORD];
                    entries.insert(place, (random.one_of(&anywhere), kind));
                    unsupported = false;
                }
                entries
            };
            match table {
                0 => {
                    for (offset, info) in entries(random, &rel) {
                        let r_offset = base.wrapping_add(offset) as _;
                        image.put(at, Elf_Rel { r_offset, r_info: info as _ });
                        at += size_of::<Elf_Rel>() / WORD;
                    }
                    image.relocated.extend(rel.iter().map(|&word| (word, Expected::InPlace)));
                    dynamic.extend([(DT_REL, address), (DT_RELSZ, (at - start) * WORD)]);
                }
                1 => {
                    for (offset, info) in entries(random, &rela) {
                        let r_offset = base.wrapping_add(offset) as _;
                        let r_addend = random.number() as usize;
                        let entry =
                            Elf_Rela { r_offset, r_info: info as _, r_addend: r_addend as _ };
                        image.put(at, entry);
                        at += size_of::<Elf_Rela>() / WORD;
                        if info == R_RELATIVE as usize {
                            image.relocated.push((offset / WORD, Expected::Addend(r_addend)));
                        }
                    }
                    dynamic.extend([(DT_RELA, address), (DT_RELASZ, (at - start) * WORD)]);
                }
                2 => {
                    for entry in packed(random, base, &relr) {
                        image.put(at, entry);
                        at += 1;
                    }
                    image.relocated.extend(relr.iter().map(|&word| (word, Expected::InPlace)));
                    dynamic.extend([(36, address), (35, (at - start) * WORD)]);
                }
                _ => {
                    // Reserves space for the dynamic section, which is written when the addresses
                    // of all tables are known.
                    section = at;
                    at += (6 + 5 + 1) * size_of::<Elf_Dyn>() / WORD;
                }
            }
        }
        assert!(at <= len, "{at} words of {len}");
        image.unsupported = image.unsupported && !unsupported;
        image.relocated.sort_by_key(|&(word, _)| word);

        // The dynamic section need not refer to an empty table.
        let unused: Vec<_> =
            dynamic.chunks(2).filter(|pair| pair[1].1 == 0).map(|p| p[0].0).collect();
        if random.once_in(2) {
            dynamic = dynamic
                .chunks(2)
                .filter(|pair| !unused.contains(&pair[0].0))
                .flatten()
                .copied()
                .collect();
        }
        for _ in 0..random.below(6) {
            // Linkers also write other tags, for example DT_SYMTAB, DT_FLAGS and DT_GNU_HASH.
            let tag = random.one_of(&[4, 5, 6, 10, 11, 21, 30, 0x6fff_fef5, 0x6fff_fffb]);
            dynamic.push((tag, random.number() as usize));
        }
        random.shuffle(&mut dynamic);
        let entry = |tag: usize, value: usize| {
            // SAFETY: all fields are integers, for which zero is valid.
            let mut entry: Elf_Dyn = unsafe { core::mem::zeroed() };
            entry.d_tag = tag as _;
            entry.d_un.d_ptr = value as _;
            entry
        };
        dynamic.push((DT_NULL, random.number() as usize));
        for (index, &(tag, value)) in dynamic.iter().enumerate() {
            image.put(section + index * size_of::<Elf_Dyn>() / WORD, entry(tag, value));
        }

        // The program headers follow the ELF header.
        if random.once_in(2) {
            let start = random.below(pages * page);
            let relro = start..start + random.below(pages * page - start + 1);
            // Linkers usually end RELRO at a page boundary.
            let end = if random.once_in(3) { relro.end } else { relro.end.next_multiple_of(page) };
            image.relro = Some(relro.start..end);
        }
        let relro = image.relro.clone();
        let mut headers = vec![
            (PT_LOAD, 0, base, page),
            (
                PT_DYNAMIC,
                section * WORD,
                base.wrapping_add(section * WORD),
                dynamic.len() * 2 * WORD,
            ),
        ];
        let part = |r: Range<usize>| (PT_GNU_RELRO, r.start, base.wrapping_add(r.start), r.len());
        headers.extend(relro.map(part));
        for _ in 0..random.below(8) {
            // Other segments: PT_LOAD, PT_NOTE, PT_PHDR, PT_GNU_EH_FRAME and PT_GNU_STACK.
            let kind = random.one_of(&[PT_LOAD, 4, 6, 0x6474_e550, 0x6474_e551]);
            let at = WORD + random.below(len) * WORD;
            headers.push((kind, at, random.number() as usize, random.number() as usize));
        }
        random.shuffle(&mut headers);
        image.headers = headers.len();
        for (index, (kind, offset, at, size)) in headers.into_iter().enumerate() {
            // SAFETY: all fields are integers, for which zero is valid.
            let mut header: Elf_Phdr = unsafe { core::mem::zeroed() };
            (header.p_type, header.p_offset, header.p_vaddr) = (kind as _, offset as _, at as _);
            (header.p_filesz, header.p_memsz) = (size as _, size as _);
            let first = size_of::<Elf_Ehdr>() / WORD;
            image.put(first + index * size_of::<Elf_Phdr>() / WORD, header);
        }
        image
    }

    /// Returns the words of the initial stack of a program that is loaded at `start`.
    fn block(&self, start: *const usize) -> Vec<usize> {
        let headers = start.wrapping_byte_add(size_of::<Elf_Ehdr>()).expose_provenance();
        block(
            &[c"program".into()],
            &[c"A=b".into()],
            &[
                (6, syscall::page_size()),
                (AT_PHDR as usize, headers),
                (4, 0),
                (AT_PHNUM as usize, self.headers),
                (AT_NULL as usize, 0),
            ],
        )
    }
}

/// Encodes ascending word indices as packed relocations (RELR), in a random one of the valid
/// encodings.
fn packed(random: &mut Random, base: usize, words: &[usize]) -> Vec<usize> {
    let bits = WORD * 8 - 1;
    let mut entries = Vec::new();
    let mut words = words.iter().copied().peekable();
    while let Some(word) = words.next() {
        entries.push(base.wrapping_add(word * WORD));
        let mut next = word + 1;
        // Appends zero or more bitmaps, the last of which may be empty.
        while !random.once_in(5) {
            let mut map = 1;
            while let Some(word) = words.next_if(|&word| word < next + bits) {
                map |= 2 << (word - next);
            }
            if map == 1 && !random.once_in(3) {
                break;
            }
            entries.push(map);
            next += bits;
        }
    }
    entries
}

#[test]
fn relocations_are_applied_like_the_model() {
    let zeros = syscall::open(c"/dev/zero", OFlags::RDONLY, Mode::empty()).unwrap();
    fuzz("relocation table", Image::random, |image| {
        let sharing = if image.unsupported { MapFlags::SHARED } else { MapFlags::PRIVATE };
        let memory = Memory::new(&image.words, sharing);
        let stack = image.block(memory.start);
        let bias = memory.start.addr().wrapping_sub(image.base);
        let mut expected = image.words.clone();
        for &(word, value) in &image.relocated {
            expected[word] = bias.wrapping_add(match value {
                Expected::InPlace => expected[word],
                Expected::Addend(addend) => addend,
            });
        }

        if image.unsupported {
            // SAFETY: the child only relocates the shared image and exits. It takes no lock and
            // allocates nothing.
            let child = match unsafe { syscall::fork() }.unwrap() {
                None => {
                    // SAFETY: the stack describes the image, which no other code accesses.
                    let _ = unsafe { super::relocate(stack.as_ptr()) };
                    syscall::exit_group(0)
                }
                Some(child) => child,
            };
            let (_, status) = syscall::waitid(Some(child), WaitFlags::EXITED).unwrap().unwrap();
            assert_eq!(status, WaitStatus::Exited(127));
            // Relocations before the unsupported one have been applied.
            for (word, now) in memory.iter().enumerate() {
                assert!([expected[word], image.words[word]].contains(now), "word {word}: {now:#x}");
            }
            return;
        }

        // SAFETY: the stack describes the image, which no other code accesses.
        let returned = unsafe { super::relocate(stack.as_ptr()) };
        assert_eq!(returned, stack.as_ptr());
        for (word, now) in memory.iter().enumerate() {
            assert_eq!(*now, expected[word], "word {word}");
        }

        // SAFETY: the stack describes the image, which has been relocated.
        unsafe { protect(stack.as_ptr()) };
        let page = syscall::page_size();
        let relro = image.relro.clone().unwrap_or(0..0);
        for at in (0..image.words.len() * WORD).step_by(page) {
            // The start of the range is rounded down to a page, and so is its end.
            let read_only = !relro.is_empty() && relro.start < at + page && at + page <= relro.end;
            // read(2) writes a byte to the page, or fails with EFAULT if the page is read-only.
            let byte = memory.start.cast::<u8>().wrapping_add(at);
            // SAFETY: the byte is mapped, and no other reference to it exists.
            let byte = unsafe { slice::from_raw_parts_mut(&raw mut *byte, 1) };
            let written = syscall::read(zeros.as_fd(), byte);
            assert_eq!(written, if read_only { Err(Errno::EFAULT) } else { Ok(1) }, "at {at:#x}");
        }
    });
}
