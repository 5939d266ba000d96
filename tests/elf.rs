//! The linked programs, as the kernel and the runtime read them.

mod common;

use std::{fs, ops::Range};

use object::{
    Endianness, FileKind, Object, ObjectSection, ObjectSymbol, Pod,
    elf::{self, FileHeader32, FileHeader64},
    pod,
    read::elf::{Dyn, ElfFile, FileHeader, ProgramHeader, Rel, Rela, RelrIterator, Sym},
};

/// All but the last are position independent. The last has a fixed address, which makes it smaller.
const PROGRAMS: [&str; 8] =
    ["mapcp", "anonymous", "cat", "conformance", "jit", "layout", "write", FIXED];
const FIXED: &str = "tiny-copy";

/// Runs a block with the file of each program, for 32-bit and 64-bit files.
macro_rules! for_each_program {
    ($check:ident) => {
        for name in PROGRAMS {
            let data = fs::read(common::path(name)).unwrap();
            match FileKind::parse(&*data).unwrap() {
                FileKind::Elf32 => $check(&Program::<FileHeader32<Endianness>>::new(name, &data)),
                FileKind::Elf64 => $check(&Program::<FileHeader64<Endianness>>::new(name, &data)),
                other => panic!("{name}: {other:?}"),
            }
        }
    };
}

struct Program<'a, H: FileHeader> {
    name: &'a str,
    file: ElfFile<'a, H>,
    endian: H::Endian,
}

impl<'a, H: FileHeader> Program<'a, H> {
    fn new(name: &'a str, data: &'a [u8]) -> Self {
        let file = ElfFile::<H>::parse(data).unwrap();
        Program { name, endian: file.endian(), file }
    }

    fn segments(&self, kind: elf::ProgramType) -> impl Iterator<Item = &'a H::ProgramHeader> {
        let segments = self.file.elf_program_headers().iter();
        segments.filter(move |segment| segment.p_type(self.endian) == kind)
    }

    /// Returns the addresses of a segment.
    fn range(&self, segment: &H::ProgramHeader) -> Range<u64> {
        let start = segment.p_vaddr(self.endian).into();
        start..start + segment.p_memsz(self.endian).into()
    }

    /// Returns the values of a tag in the dynamic section.
    fn dynamic(&self, tag: elf::DynamicTag) -> Vec<u64> {
        self.segments(elf::PT_DYNAMIC)
            .flat_map(|segment| segment.dynamic(self.endian, self.file.data()).unwrap().unwrap())
            .take_while(|entry| entry.d_tag(self.endian) != elf::DT_NULL)
            .filter(|entry| entry.d_tag(self.endian) == tag)
            .map(|entry| entry.val(self.endian))
            .collect()
    }

    /// Returns the addresses of all relocated words.
    fn relocated(&self) -> Vec<u64> {
        let endian = self.endian;
        let rel: &[H::Rel] = self.table(elf::DT_REL, elf::DT_RELSZ);
        let rela: &[H::Rela] = self.table(elf::DT_RELA, elf::DT_RELASZ);
        let packed: &[H::Relr] = self.table(elf::DT_RELR, elf::DT_RELRSZ);
        let rel = rel.iter().map(|rel| rel.r_offset(endian).into());
        let rela = rela.iter().map(|rela| rela.r_offset(endian).into());
        let packed = RelrIterator::<H>::new(endian, packed).map(Into::into);
        rel.chain(rela).chain(packed).collect()
    }

    /// Returns the relocation table whose address and size two tags give.
    fn table<T: Pod>(&self, at: elf::DynamicTag, size: elf::DynamicTag) -> &'a [T] {
        let (at, size) = (self.dynamic(at), self.dynamic(size));
        let (&[at], &[size]) = (&at[..], &size[..]) else {
            assert!(at.is_empty() && size.is_empty(), "{}", self.name);
            return &[];
        };
        let data = self
            .segments(elf::PT_LOAD)
            .find_map(|s| s.data_range(self.endian, self.file.data(), at, size).unwrap());
        pod::slice_from_all_bytes(data.unwrap()).unwrap()
    }
}

#[test]
fn programs_need_no_shared_library() {
    fn check<H: FileHeader>(program: &Program<'_, H>) {
        let name = program.name;
        assert_eq!(program.segments(elf::PT_INTERP).count(), 0, "{name}: an interpreter");
        assert_eq!(program.dynamic(elf::DT_NEEDED), [0; 0], "{name}: a shared library");
        // The runtime does not set up thread-local storage.
        assert_eq!(program.segments(elf::PT_TLS).count(), 0, "{name}: thread-local storage");
        let symbols = program.file.elf_symbol_table();
        let dynamic = program.file.elf_dynamic_symbol_table();
        for table in [symbols, dynamic] {
            // The first symbol is reserved.
            for symbol in table.iter().skip(1) {
                let symbol_name = symbol.name(program.endian, table.strings()).unwrap();
                let symbol_name = symbol_name.escape_ascii();
                assert!(!symbol.is_undefined(program.endian), "{name}: {symbol_name} is missing");
            }
        }
    }
    for_each_program!(check);
}

/// Every libc contains its own name.
#[test]
fn programs_contain_no_libc() {
    for name in PROGRAMS {
        let data = fs::read(common::path(name)).unwrap();
        for trace in ["__libc_start", "GLIBC", "GNU C Library", "musl", "libc.so", "ld-linux"] {
            let found = data.windows(trace.len()).any(|window| window == trace.as_bytes());
            assert!(!found, "{name} contains {trace:?}");
        }
    }
}

#[test]
fn no_memory_is_writable_and_executable() {
    fn check<H: FileHeader>(program: &Program<'_, H>) {
        let (name, endian) = (program.name, program.endian);
        let entry: u64 = program.file.elf_header().e_entry(endian).into();
        let mut entered = false;
        for segment in program.segments(elf::PT_LOAD) {
            let flags = segment.p_flags(endian);
            let executable = flags.contains(elf::PF_X);
            assert!(!(executable && flags.contains(elf::PF_W)), "{name}: {segment:?}");
            entered |= executable && program.range(segment).contains(&entry);
        }
        assert!(entered, "{name} begins at {entry:#x}, which is not executable");

        let stacks: Vec<_> = program.segments(elf::PT_GNU_STACK).collect();
        assert_eq!(stacks.len(), 1, "{name}: without it the kernel makes the stack executable");
        assert!(!stacks[0].p_flags(endian).contains(elf::PF_X), "{name}: executable stack");
    }
    for_each_program!(check);
}

#[test]
fn programs_are_position_independent() {
    fn check<H: FileHeader>(program: &Program<'_, H>) {
        let (name, endian) = (program.name, program.endian);
        let kind = program.file.elf_header().e_type(endian);
        // On mips, relocations are not listed.
        if name == FIXED || program.file.elf_header().e_machine(endian) == elf::EM_MIPS {
            assert_eq!(kind, elf::ET_EXEC, "{name}");
            assert_eq!(program.segments(elf::PT_DYNAMIC).count(), 0, "{name}");
            return;
        }
        assert_eq!(kind, elf::ET_DYN, "{name}");
        assert_eq!(program.segments(elf::PT_GNU_RELRO).count(), 1, "{name}: none is read-only");
        assert_eq!(program.dynamic(elf::DT_TEXTREL), [0; 0], "{name}: relocations in the text");
        // The table is found by the segment that maps the start of the file.
        let start = program.segments(elf::PT_LOAD).filter(|s| s.p_offset(endian).into() == 0);
        assert_eq!(start.count(), 1, "{name}: where it is cannot be told");
    }
    for_each_program!(check);
}

/// Relocated data is not written afterwards, and the runtime can make the kernel protect it: in
/// whole pages that contain nothing else, even with the largest pages.
#[test]
fn relocated_data_can_be_made_read_only() {
    fn check<H: FileHeader>(program: &Program<'_, H>) {
        let (name, endian) = (program.name, program.endian);
        let relro: Vec<_> = program.segments(elf::PT_GNU_RELRO).collect();
        if name == FIXED {
            // The program has no runtime to protect the data, and nothing is relocated.
            return assert_eq!((relro.len(), program.segments(elf::PT_DYNAMIC).count()), (0, 0));
        }
        assert_eq!(relro.len(), 1, "{name}");
        let relro = program.range(relro[0]);
        // The page size that the linker assumed.
        let loaded = || program.segments(elf::PT_LOAD);
        let page = loaded().map(|segment| segment.p_align(endian).into()).max().unwrap();
        assert!(
            page >= 4096 && relro.end.is_multiple_of(page),
            "{name}: {relro:x?} of pages of {page}"
        );
        let pages = relro.start & !(page - 1)..relro.end;
        let inside = loaded().filter(|segment| {
            let range = program.range(segment);
            range.start < pages.end && pages.start < range.end
        });
        let inside: Vec<_> = inside.map(|segment| program.range(segment)).collect();
        let alone = inside.len() == 1 && inside[0] == relro;
        assert!(alone, "{name}: with {relro:x?} other memory would be protected: {inside:x?}");

        // On powerpc, linkers put a table of addresses into the data.
        let table = program.file.section_by_name(".got2");
        let table = table.map_or(0..0, |table| table.address()..table.address() + table.size());
        let is_powerpc = program.file.elf_header().e_machine(endian) == elf::EM_PPC;
        assert!(table.is_empty() || is_powerpc, "{name}");
        // Debug builds have data for unwinding.
        let unwinding = program.file.symbol_by_name("DW.ref.rust_eh_personality");
        let unwinding = unwinding.map(|symbol| symbol.address());
        let mut others = program.relocated();
        others.retain(|word| !relro.contains(word) && !table.contains(word));
        others.retain(|&word| unwinding != Some(word));
        // A case of `conformance` has a variable that holds an address. On mips the relocation is
        // not listed.
        let is_mips = program.file.elf_header().e_machine(endian) == elf::EM_MIPS;
        let count = usize::from(name == "conformance" && !is_mips);
        assert_eq!(others.len(), count, "{name}: {others:#x?} stay writable");
    }
    for_each_program!(check);
}

/// The runtime handles no other type of relocation.
#[test]
fn relocations_are_relative_and_of_writable_words() {
    fn check<H: FileHeader>(program: &Program<'_, H>) {
        let (name, endian) = (program.name, program.endian);
        let rel: &[H::Rel] = program.table(elf::DT_REL, elf::DT_RELSZ);
        let rela: &[H::Rela] = program.table(elf::DT_RELA, elf::DT_RELASZ);
        // The address, the type and the symbol.
        let rel =
            rel.iter().map(|r| (r.r_offset(endian).into(), r.r_type(endian), r.r_sym(endian)));
        let rela = rela
            .iter()
            .map(|r| (r.r_offset(endian).into(), r.r_type(endian, false), r.r_sym(endian, false)));
        let mut count = 0;
        let mut relative = None;
        for (offset, kind, symbol) in rel.chain(rela) {
            // The test of the program's start checks that this type is the relative one.
            let only = *relative.get_or_insert(kind);
            assert_eq!((kind, symbol), (only, 0), "{name}, at {offset:#x}");
            let mut segments = program.segments(elf::PT_LOAD);
            let inside = segments.find(|segment| program.range(segment).contains(&offset)).unwrap();
            assert!(inside.p_flags(endian).contains(elf::PF_W), "{name}, at {offset:#x}");
            count += 1;
        }
        let packed: &[H::Relr] = program.table(elf::DT_RELR, elf::DT_RELRSZ);
        // The programs have both kinds of tables, so that the tests run both.
        match name {
            // On mips, programs have a fixed address.
            _ if program.file.elf_header().e_machine(endian) == elf::EM_MIPS => {}
            "mapcp" => assert!(!packed.is_empty() && count == 0, "{name}: not packed"),
            "conformance" => assert!(packed.is_empty() && count > 0, "{name}: packed"),
            _ => {}
        }
    }
    for_each_program!(check);
}
