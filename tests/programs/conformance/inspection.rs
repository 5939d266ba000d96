//! The address space, as the kernel reports it.

use super::*;
use baremap::map::{PageFlags, Run, maps, pagemap, residency};
use baremap::syscall::ProcmapFlags;

/// `maps` reports a mapping, by the query of this kernel or by its text.
fn told() -> Outcome {
    let fd = memory()?;
    syscall::ftruncate(fd.as_fd(), 3 * page() as u64)?;
    let offset = page() as u64;
    let pages = Pages::map(2 * page(), READ_WRITE, MapFlags::SHARED, Some(fd.as_fd()), offset)?;
    let mut maps = maps()?;
    let mut last = 0;
    let mut found = 0;
    while let Some(mapping) = maps.next()? {
        ensure(mapping.start >= last && mapping.end > mapping.start, "no order")?;
        last = mapping.end;
        if mapping.start == pages.addr as u64 {
            found += 1;
            same(mapping.len(), 2 * page() as u64)?;
            same((mapping.prot, mapping.shared), (READ_WRITE, true))?;
            same(mapping.offset, offset)?;
            same(mapping.inode, syscall::fstat(fd.as_fd())?.ino)?;
            ensure(mapping.name.starts_with(b"/memfd:"), "another name")?;
            ensure(mapping.is_deleted(), "a file with a name")?;
        }
    }
    same(found, 1)?;
    ensure(last > (&raw const found) as u64, "no stack")
}

/// All fields of the structure arrive, in both directions.
fn queried() -> Outcome {
    let maps = syscall::open(c"/proc/self/maps", OFlags::RDONLY, Mode::empty())?;
    let fd = memory()?;
    syscall::ftruncate(fd.as_fd(), 3 * page() as u64)?;
    let (file, offset) = (Some(fd.as_fd()), page() as u64);
    let pages = Pages::map(2 * page(), ProtFlags::READ, MapFlags::SHARED, file, offset)?;
    let mut name = [0xaa; 64];
    let mut query = |address: *mut u8, flags| {
        syscall::procmap_query(maps.as_fd(), address as u64, flags, &mut name)
    };
    let none = ProcmapFlags::empty();
    let answer = query(pages.page(1), none);
    if linux()? < (6, 11) {
        return fails(answer, Errno::ENOTTY);
    }
    let answer = answer?;
    same(answer.start, pages.addr as u64)?;
    same(answer.end, pages.page(2) as u64)?;
    same(answer.flags, ProcmapFlags::READABLE | ProcmapFlags::SHARED)?;
    same((answer.page_size, answer.offset), (page() as u64, offset))?;
    same(answer.inode, syscall::fstat(fd.as_fd())?.ino)?;
    fails(query(pages.page(0), ProcmapFlags::WRITABLE), Errno::ENOENT)?;
    fails(query(ptr::without_provenance_mut(1), none), Errno::ENOENT)?;
    let name = name.get(..answer.name_len).unwrap_or_default();
    ensure(name.starts_with(b"/memfd:") && name.ends_with(b" (deleted)"), "another name")
}

/// A run of pages: the offset of the first byte, the number of bytes, and whether they are in
/// memory.
type Stretch = (usize, usize, bool);

/// Returns five pages of which the second and the third have been accessed.
fn touched() -> syscall::Result<(Pages, [Stretch; 3])> {
    let pages = Pages::zeros(5)?;
    // SAFETY: changes no contents.
    let _ = unsafe { syscall::madvise(pages.addr, pages.length, syscall::Advice::NOHUGEPAGE) };
    pages.set(page(), 1);
    pages.set(2 * page(), 1);
    let wanted = [(0, page(), false), (page(), 2 * page(), true), (3 * page(), 2 * page(), false)];
    Ok((pages, wanted))
}

fn resident() -> Outcome {
    let (pages, wanted) = touched()?;
    let mut runs = residency(pages.addr, pages.length);
    for (offset, len, state) in wanted {
        same(runs.next().transpose()?, Some(Run { offset, len, state }))?;
    }
    ensure(runs.next().is_none(), "another run")
}

/// A range past the end of the address space is rejected without a system call, whatever the size
/// of a word.
fn no_end() -> Outcome {
    let mut runs = pagemap(core::ptr::null(), usize::MAX)?;
    fails(runs.next().transpose(), Errno::ENOMEM)?;
    ensure(runs.next().is_none(), "another run")?;
    let mut runs = residency(core::ptr::null(), usize::MAX);
    fails(runs.next().transpose(), Errno::ENOMEM)?;
    ensure(runs.next().is_none(), "another run")
}

fn page_table() -> Outcome {
    let (pages, wanted) = touched()?;
    let mut runs = pagemap(pages.addr, pages.length)?;
    for (offset, len, present) in wanted {
        let Some(run) = runs.next().transpose()? else {
            return ensure(false, "too few runs");
        };
        same((run.offset, run.len), (offset, len))?;
        let flags = run.state - PageFlags::SOFT_DIRTY;
        let alone = PageFlags::PRESENT | PageFlags::EXCLUSIVE;
        same(flags, if present { alone } else { PageFlags::empty() })?;
    }
    ensure(runs.next().is_none(), "another run")
}

pub const CASES: &[Case] = &[
    case!("maps tells a mapping", told),
    case!("PROCMAP_QUERY", queried, qemu_user: "it does not know the request"),
    case!("residency tells runs of pages", resident,
        qemu_user: "a byte for each of the host's pages",
        if page() > 4096),
    case!("no pages of a range without an end", no_end),
    case!("pagemap tells runs of pages", page_table,
        qemu_user: "the page table is that of the emulator"),
];
