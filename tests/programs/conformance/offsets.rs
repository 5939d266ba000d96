//! 64-bit offsets and lengths. Their halves differ and are not zero. An offset with exchanged
//! halves is valid as well, so that only the right offset passes.

use super::*;
use baremap::syscall::{FallocateFlags, Whence};

const GIB_4: u64 = 1 << 32;
/// Exchanging the halves of one of these gives the other.
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

/// A write at a large offset extends the file, as `fstat` reports.
fn write_at() -> Outcome {
    for fd in [file()?, memory()?] {
        syscall::pwrite(fd.as_fd(), b"1", ONE_TWO)?;
        same(size(&fd)?, ONE_TWO + 1)?;
        syscall::pwrite(fd.as_fd(), b"2", TWO_ONE)?;
        same(size(&fd)?, TWO_ONE + 1)?;
    }
    Ok(())
}

/// Reads at an offset what was written at the file's position.
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

/// Seeks to a position that would look like an error if it were returned in 32 bits.
fn seek_to_where_errors_are() -> Outcome {
    let fd = memory()?;
    for offset in [u64::from(u32::MAX), u64::from(u32::MAX) - 21, GIB_4 - 4096] {
        same(syscall::lseek(fd.as_fd(), offset as i64, Whence::SET), Ok(offset))?;
    }
    Ok(())
}

/// Finds data above 4 GiB in a file in memory, which reports its holes.
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

/// Allocates a little space at a large offset. The file ends there, and uses no more.
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

/// Punches a hole of more than 4 GiB. Nothing is allocated, even if the arguments are wrong.
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

/// Maps a page at each of some offsets, and checks its contents.
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
    let offsets =
        [0, page, GIB_4 - page, GIB_4, GIB_4 + page, 2 * GIB_4 + 3 * page, 3 * GIB_4 + 2 * page];
    pages_at(&fd, &offsets)
}

/// Maps the end of the largest file that a 32-bit kernel can map: the page cache has no larger
/// index.
fn map_at_the_end() -> Outcome {
    let (fd, page) = (memory()?, page() as u64);
    let end = (1 << 44) - page;
    syscall::ftruncate(fd.as_fd(), end)?;
    pages_at(&fd, &[end - page, 1 << 43, (1 << 40) + page, end - 2 * page])
}

fn map_unaligned(fd: &OwnedFd, offset: u64) -> Outcome {
    let map =
        |sharing| Pages::map(page(), ProtFlags::READ, sharing, Some(fd.as_fd()), offset).map(drop);
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

/// With pages larger than 4 KiB, a multiple of 4 KiB is not enough.
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

/// Maps at an offset that no file reaches.
fn map_too_far() -> Outcome {
    let fd = memory()?;
    let map =
        |offset| Pages::map(page(), ProtFlags::READ, MapFlags::SHARED, Some(fd.as_fd()), offset);
    fails(map(!0 << 16), Errno::EOVERFLOW)?;
    fails(map(1 << 63), Errno::EOVERFLOW)
}

/// 2⁴⁴ bytes are 2³² units of `mmap2`, which would be truncated to zero.
#[cfg(target_pointer_width = "32")]
fn map_beyond_units() -> Outcome {
    let fd = numbered(1)?;
    for offset in [1u64 << 44, (1 << 44) + page() as u64, 1 << 50] {
        let map = Pages::map(page(), ProtFlags::READ, MapFlags::SHARED, Some(fd.as_fd()), offset);
        fails(map, Errno::EOVERFLOW)?;
    }
    Ok(())
}

/// A file of more than 2 GiB needs `O_LARGEFILE` on 32-bit architectures.
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
