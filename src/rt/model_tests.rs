//! What the runtime reads of the kernel's block and of its own program, in memory that ends
//! where it must not read on.

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

/// Memory between pages that are nobody's.
struct Memory {
    start: *mut usize,
    len: usize,
}

impl Memory {
    /// At its end are these words; with `shared`, also those of a copy of this process.
    fn new(words: &[usize], shared: MapFlags) -> Memory {
        let page = syscall::page_size();
        let len = (words.len() * WORD).next_multiple_of(page);
        let (flags, prot) = (MapFlags::ANONYMOUS | shared, ProtFlags::READ | ProtFlags::WRITE);
        // SAFETY: new memory, and then a part of it.
        let start = unsafe {
            let all =
                syscall::mmap(ptr::null_mut(), len + 2 * page, ProtFlags::empty(), flags, None, 0)
                    .unwrap();
            syscall::mprotect(all.add(page), len, prot).unwrap();
            all.add(page).cast::<usize>()
        };
        let memory = Memory { start, len: len / WORD };
        let first = memory.len - words.len();
        // SAFETY: they are the last of it.
        unsafe { start.add(first).copy_from_nonoverlapping(words.as_ptr(), words.len()) };
        memory
    }
}

impl Deref for Memory {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        // SAFETY: mapped, and nobody else writes to it.
        unsafe { slice::from_raw_parts(self.start, self.len) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let page = syscall::page_size();
        // SAFETY: its own, and so are the pages around it.
        unsafe {
            let all = self.start.cast::<u8>().sub(page);
            syscall::munmap(all, self.len * WORD + 2 * page).unwrap();
        }
    }
}

/// The block as the kernel lays it out: a count, arguments, null, environment, null, pairs.
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
fn fuzz_auxiliary_vector() {
    let make = |random: &mut Random| {
        let string = |random: &mut Random| CString::new(random.text(12, b"=-/a")).unwrap();
        let args = random.list(6, string);
        let env = random.list(6, string);
        // Few types, so that some come twice, in any order; seldom none.
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
        let (mut found, mut told) = (start.args(), Vec::new());
        told.extend(found.by_ref());
        assert!(told.iter().copied().eq(args.iter().map(Deref::deref)), "{told:?}");
        assert_eq!(found.next(), None);
        let (mut found, mut told) = (start.env(), Vec::new());
        told.extend(found.by_ref());
        assert!(told.iter().copied().eq(env.iter().map(Deref::deref)), "{told:?}");
        assert_eq!(found.next(), None);
        let mut found = start.auxv();
        let told: Vec<_> = found.by_ref().collect();
        assert_eq!(told, auxv[..auxv.len() - 1]);
        assert_eq!(found.next(), None);
        assert_eq!(*stack, words);
    });
}

/// A program in memory, as the linker makes it.
#[derive(Debug)]
struct Image {
    /// What the linker takes for the address of its start.
    base: usize,
    /// All of it.
    words: Vec<usize>,
    /// Which words relocation makes what.
    relocated: Vec<(usize, To)>,
    /// Whether one of the relocations is of a type that is not known.
    wrong: bool,
    headers: usize,
    /// What is to be read-only, in bytes from its start.
    relro: Option<Range<usize>>,
}

#[derive(Clone, Copy, Debug)]
enum To {
    /// The bias is added to what stands there.
    Sum,
    /// The bias is added to this number.
    This(usize),
}

impl Image {
    fn put<T>(&mut self, at: usize, value: T) {
        let place = &mut self.words[at..at + size_of::<T>() / WORD];
        // SAFETY: so many words, whose alignment is enough for the structures of ELF.
        unsafe { place.as_mut_ptr().cast::<T>().write(value) };
    }

    fn random(random: &mut Random) -> Image {
        let page = syscall::page_size();
        let pages = 1 + random.below(6);
        let len = pages * page / WORD;
        let base = random.number() as usize & !(WORD - 1);
        let mut image = Image {
            base,
            words: Vec::new(),
            relocated: Vec::new(),
            wrong: random.once_in(25),
            headers: 0,
            relro: None,
        };
        image.words.resize_with(len, || random.number() as usize);

        // The words that are relocated: in clusters, as those of tables, or far apart.
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

        // Behind them the tables and the dynamic section, in this order or another.
        let mut tables = [0, 1, 2, 3];
        random.shuffle(&mut tables);
        let mut at = data.end;
        let mut dynamic: Vec<(usize, usize)> = Vec::new();
        let (mut section, mut wrong) = (0, image.wrong);
        for table in tables {
            at += random.below(5);
            let address = base.wrapping_add(at * WORD);
            let start = at;
            // Of a relocation that does nothing, or of one that is not known, any address.
            let mut entries = |random: &mut Random, words: &[usize]| {
                let mut entries: Vec<_> =
                    words.iter().map(|&word| (word * WORD, R_RELATIVE as usize)).collect();
                for _ in 0..if random.once_in(4) { 1 + random.below(2) } else { 0 } {
                    let place = random.below(entries.len() + 1);
                    entries.insert(place, (random.word() as usize, 0));
                }
                if wrong && random.once_in(2) {
                    let kind = random.number() as usize;
                    let kind = if kind == R_RELATIVE as usize || kind == 0 { 1 << 8 } else { kind };
                    let place = random.below(entries.len() + 1);
                    let anywhere = [random.word() as usize, random.below(len) * WORD];
                    entries.insert(place, (random.one_of(&anywhere), kind));
                    wrong = false;
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
                    image.relocated.extend(rel.iter().map(|&word| (word, To::Sum)));
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
                            image.relocated.push((offset / WORD, To::This(r_addend)));
                        }
                    }
                    dynamic.extend([(DT_RELA, address), (DT_RELASZ, (at - start) * WORD)]);
                }
                2 => {
                    for entry in packed(random, base, &relr) {
                        image.put(at, entry);
                        at += 1;
                    }
                    image.relocated.extend(relr.iter().map(|&word| (word, To::Sum)));
                    dynamic.extend([(36, address), (35, (at - start) * WORD)]);
                }
                _ => {
                    // It names the tables, but takes its place among them.
                    section = at;
                    at += (6 + 5 + 1) * size_of::<Elf_Dyn>() / WORD;
                }
            }
        }
        assert!(at <= len, "{at} words of {len}");
        image.wrong = image.wrong && !wrong;
        image.relocated.sort_by_key(|&(word, _)| word);

        // A table that is empty need not be named.
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
            // Some of the tags that a linker writes beside them.
            let tag = random.one_of(&[4, 5, 6, 10, 11, 21, 30, 0x6fff_fef5, 0x6fff_fffb]);
            dynamic.push((tag, random.number() as usize));
        }
        random.shuffle(&mut dynamic);
        let entry = |tag: usize, value: usize| {
            // SAFETY: plain numbers, for which zero is right.
            let mut entry: Elf_Dyn = unsafe { core::mem::zeroed() };
            entry.d_tag = tag as _;
            entry.d_un.d_ptr = value as _;
            entry
        };
        dynamic.push((DT_NULL, random.number() as usize));
        for (index, &(tag, value)) in dynamic.iter().enumerate() {
            image.put(section + index * size_of::<Elf_Dyn>() / WORD, entry(tag, value));
        }

        // The headers.
        if random.once_in(2) {
            let start = random.below(pages * page);
            let relro = start..start + random.below(pages * page - start + 1);
            // Seldom by bytes: a linker ends it with a page.
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
            // Other segments of the file, the stack's flags, the unwinder's table, notes.
            let kind = random.one_of(&[PT_LOAD, 4, 6, 0x6474_e550, 0x6474_e551]);
            let at = WORD + random.below(len) * WORD;
            headers.push((kind, at, random.number() as usize, random.number() as usize));
        }
        random.shuffle(&mut headers);
        image.headers = headers.len();
        for (index, (kind, offset, at, size)) in headers.into_iter().enumerate() {
            // SAFETY: plain numbers, for which zero is right.
            let mut header: Elf_Phdr = unsafe { core::mem::zeroed() };
            (header.p_type, header.p_offset, header.p_vaddr) = (kind as _, offset as _, at as _);
            (header.p_filesz, header.p_memsz) = (size as _, size as _);
            let first = size_of::<Elf_Ehdr>() / WORD;
            image.put(first + index * size_of::<Elf_Phdr>() / WORD, header);
        }
        image
    }

    /// The kernel's block for the program at an address.
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

/// Packs the places of words, ascending, in one of the ways that there are.
fn packed(random: &mut Random, base: usize, words: &[usize]) -> Vec<usize> {
    let bits = WORD * 8 - 1;
    let mut entries = Vec::new();
    let mut words = words.iter().copied().peekable();
    while let Some(word) = words.next() {
        entries.push(base.wrapping_add(word * WORD));
        let mut next = word + 1;
        // As many bit maps as are of use, or fewer, or one that is empty.
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
fn fuzz_relocation_table() {
    let zeros = syscall::open(c"/dev/zero", OFlags::RDONLY, Mode::empty()).unwrap();
    fuzz("relocation table", Image::random, |image| {
        let shared = if image.wrong { MapFlags::SHARED } else { MapFlags::PRIVATE };
        let memory = Memory::new(&image.words, shared);
        let stack = image.block(memory.start);
        let bias = memory.start.addr().wrapping_sub(image.base);
        let mut wanted = image.words.clone();
        for &(word, to) in &image.relocated {
            wanted[word] = bias.wrapping_add(match to {
                To::Sum => wanted[word],
                To::This(number) => number,
            });
        }

        if image.wrong {
            // SAFETY: the copy does nothing else, and has a block of its own.
            let child = match unsafe { syscall::fork() }.unwrap() {
                None => {
                    // SAFETY: the image is one of a program.
                    let _ = unsafe { super::relocate(stack.as_ptr()) };
                    syscall::exit_group(0)
                }
                Some(child) => child,
            };
            let (_, status) = syscall::waitid(Some(child), WaitFlags::EXITED).unwrap().unwrap();
            assert_eq!(status, WaitStatus::Exited(127));
            // Some of it was done before.
            for (word, now) in memory.iter().enumerate() {
                assert!([wanted[word], image.words[word]].contains(now), "word {word}: {now:#x}");
            }
            return;
        }

        // SAFETY: the image is one of a program.
        let given = unsafe { super::relocate(stack.as_ptr()) };
        assert_eq!(given, stack.as_ptr());
        for (word, now) in memory.iter().enumerate() {
            assert_eq!(*now, wanted[word], "word {word}");
        }

        // SAFETY: relocation is over.
        unsafe { protect(stack.as_ptr()) };
        let page = syscall::page_size();
        let relro = image.relro.clone().unwrap_or(0..0);
        for at in (0..image.words.len() * WORD).step_by(page) {
            // All of a page up to its end, whatever is before in the first.
            let wanted = !relro.is_empty() && relro.start < at + page && at + page <= relro.end;
            // The kernel writes there, or tells that it cannot.
            let byte = memory.start.cast::<u8>().wrapping_add(at);
            // SAFETY: this memory's, of which nobody has a reference now.
            let byte = unsafe { slice::from_raw_parts_mut(&raw mut *byte, 1) };
            let written = syscall::read(zeros.as_fd(), byte);
            assert_eq!(written, if wanted { Err(Errno::EFAULT) } else { Ok(1) }, "at {at:#x}");
        }
    });
}
