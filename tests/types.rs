//! The types of errors and results do not depend on features.
//!
//! The tests are compiled with and without the feature `std`, so that one source, with the types
//! written out, fits both.

use std::ffi::CStr;

use baremap::{
    Advice, Mmap, MmapMut, MmapOptions, MmapRaw, RemapOptions, UncheckedAdvice,
    fd::{BorrowedFd, OwnedFd},
    map::{
        self, Arena, CodeMut, ConversionError, Fault, FileMap, FlushOptions, GuardedMmap, Mapping,
        Maps, Memfd, Pagemap, Reservation, Ring,
        guard::{self, Installation, Policy},
    },
    syscall::{Errno, IoVec, Pid, Seals},
};

#[test]
fn every_result_of_a_map_has_an_errno() {
    type Fd = BorrowedFd<'static>;

    let _: unsafe fn(&MmapOptions, Fd) -> Result<Mmap, Errno> = MmapOptions::map;
    let _: unsafe fn(&MmapOptions, Fd) -> Result<Mmap, Errno> = MmapOptions::map_exec;
    let _: unsafe fn(&MmapOptions, Fd) -> Result<MmapMut, Errno> = MmapOptions::map_mut;
    let _: unsafe fn(&MmapOptions, Fd) -> Result<MmapMut, Errno> = MmapOptions::map_copy;
    let _: unsafe fn(&MmapOptions, Fd) -> Result<Mmap, Errno> = MmapOptions::map_copy_read_only;
    let _: fn(&MmapOptions) -> Result<MmapMut, Errno> = MmapOptions::map_anon;
    let _: fn(&MmapOptions, Fd) -> Result<MmapRaw, Errno> = MmapOptions::map_raw;
    let _: fn(&MmapOptions, Fd) -> Result<MmapRaw, Errno> = MmapOptions::map_raw_read_only;

    let _: unsafe fn(Fd) -> Result<Mmap, Errno> = Mmap::map;
    let _: fn(Mmap) -> Result<MmapMut, Errno> = Mmap::make_mut;
    let _: unsafe fn(Fd) -> Result<MmapMut, Errno> = MmapMut::map_mut;
    let _: fn(usize) -> Result<MmapMut, Errno> = MmapMut::map_anon;
    let _: fn(MmapMut) -> Result<Mmap, Errno> = MmapMut::make_read_only;
    let _: fn(MmapMut) -> Result<Mmap, Errno> = MmapMut::make_exec;
    let _: fn(Fd) -> Result<MmapRaw, Errno> = MmapRaw::map_raw;
    let _: fn(usize) -> Result<MmapRaw, Errno> = MmapRaw::map_secret;
    let _: fn(usize) -> Result<MmapRaw, Errno> = MmapRaw::map_droppable;
    let _: fn(usize) -> Result<MmapRaw, Errno> = MmapRaw::map_anon_shared;

    let _: fn(&MmapRaw, Advice) -> Result<(), Errno> = MmapRaw::advise;
    let _: fn(&MmapRaw, Advice, usize, usize) -> Result<(), Errno> = MmapRaw::advise_range;
    let _: unsafe fn(&MmapRaw, UncheckedAdvice) -> Result<(), Errno> = MmapRaw::unchecked_advise;
    let _: fn(&MmapRaw) -> Result<(), Errno> = MmapRaw::lock;
    let _: fn(&MmapRaw) -> Result<(), Errno> = MmapRaw::unlock;
    let _: unsafe fn(&mut MmapRaw, usize, RemapOptions) -> Result<(), Errno> = MmapRaw::remap;
    let _: fn(&MmapRaw) -> Result<(), Errno> = MmapRaw::flush;
    let _: fn(&MmapRaw, usize, usize) -> Result<(), Errno> = MmapRaw::flush_range;
    let _: fn(&MmapRaw, usize, usize) -> Result<(), Errno> = MmapRaw::flush_async_range;
    let _: fn(&MmapRaw, FlushOptions) -> Result<(), Errno> = MmapRaw::flush_with;

    let _: fn(&CStr) -> Result<FileMap, Errno> = FileMap::open;
    let _: fn(OwnedFd) -> Result<FileMap, Errno> = FileMap::new;
    let _: fn(Fd, u64, usize) -> Result<FileMap, Errno> = FileMap::map_range;
    let _: fn(Fd, u64, usize) -> Result<FileMap, Errno> = FileMap::with_capacity;
    let _: fn(OwnedFd) -> Result<FileMap, ConversionError<OwnedFd>> = FileMap::from_fd;
    let _: fn(&FileMap, u64) -> Result<(), Errno> = FileMap::grow;
    let _: fn(&FileMap) -> Result<usize, Errno> = FileMap::update_len;
    let _: fn(&mut FileMap) -> Result<usize, Errno> = FileMap::refresh;
    let _: fn(&mut FileMap, u64) -> Result<(), Errno> = FileMap::set_len;
    let _: fn(&FileMap) -> Result<(), Errno> = FileMap::flush;
    let _: fn(&FileMap, Advice) -> Result<(), Errno> = FileMap::advise;
    let _: fn(&FileMap, Advice, usize, usize) -> Result<(), Errno> = FileMap::advise_range;
    let _: fn(&FileMap) -> Result<(), Errno> = FileMap::lock;
    let _: fn(&FileMap) -> Result<(), Errno> = FileMap::unlock;
    let _: unsafe fn(FileMap) -> Result<GuardedMmap, ConversionError<FileMap>> = GuardedMmap::new;
    let _: fn(&mut GuardedMmap) -> Result<usize, Errno> = GuardedMmap::refresh;
    let _: fn(&GuardedMmap) -> Result<(), Fault> = GuardedMmap::check;
    let _: fn() -> Result<Installation, Errno> = guard::install;
    let _: fn() -> Result<(), Errno> = guard::reinstall;
    let _: fn(Policy) -> Result<(), Errno> = guard::set_policy;

    let _: fn(usize) -> Result<Arena, Errno> = Arena::new;
    let _: fn(&mut Arena, usize) -> Result<(), Errno> = Arena::resize;
    let _: fn(usize) -> Result<CodeMut, Errno> = CodeMut::new;
    let _: fn(&CStr, u64) -> Result<Memfd, Errno> = Memfd::new;
    let _: fn(&Memfd, Seals) -> Result<(), Errno> = Memfd::seal;
    let _: fn(usize) -> Result<Reservation, Errno> = Reservation::new;
    let _: fn(&mut Reservation, usize) -> Result<Reservation, Errno> = Reservation::split_off;
    let _: fn(usize) -> Result<Ring, Errno> = Ring::new;

    let _: fn() -> Result<Maps, Errno> = map::maps;
    let _: fn(Pid) -> Result<Maps, Errno> = map::maps_of;
    let _: fn(&mut Maps) -> Result<Option<Mapping<'_>>, Errno> = Maps::next;
    let _: fn(*const u8, usize) -> Result<Pagemap, Errno> = map::pagemap;
    let _: fn(Fd, &[IoVec], Advice) -> Result<usize, Errno> = map::advise_process;

    let _: fn(ConversionError<Mmap>) -> Errno = From::from;
    let _: fn(map::MapIfSafeError) -> Errno = From::from;
    let _: fn(map::Fault) -> Errno = From::from;
}

/// Every error of the library can be returned by `?` as a boxed error.
#[test]
fn errors_are_errors_without_the_standard_library() {
    fn error<T: core::error::Error>() {}
    error::<Errno>();
    error::<ConversionError<Mmap>>();
    error::<map::MapIfSafeError>();
    error::<map::Fault>();
    fn boxed() -> Result<(), Box<dyn core::error::Error>> {
        Err(Errno::EINVAL)?
    }
    assert_eq!(boxed().unwrap_err().downcast_ref(), Some(&Errno::EINVAL));
}

/// The feature `std` adds conversions, and uses the descriptor types of the standard library.
#[cfg(feature = "std")]
#[test]
fn the_standard_library_converts_every_error() {
    use std::{fs::File, io, os::fd};
    fn converts<E: Into<io::Error>>() {}
    converts::<Errno>();
    converts::<ConversionError<Mmap>>();
    converts::<map::MapIfSafeError>();
    converts::<map::Fault>();
    fn question_mark() -> io::Result<MmapMut> {
        let file = File::open("Cargo.toml")?;
        // SAFETY: nobody changes the file meanwhile.
        Ok(unsafe { Mmap::map(&file) }?.make_mut()?)
    }
    assert_eq!(question_mark().unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    let _: fn(fd::OwnedFd) -> OwnedFd = |fd| fd;
    let _: fn(fd::BorrowedFd<'static>) -> BorrowedFd<'static> = |fd| fd;
    fn number(file: &File) -> i32 {
        baremap::fd::AsRawFd::as_raw_fd(file)
    }
    assert!(number(&File::open("Cargo.toml").unwrap()) >= 0);
}
