//! Programs like those in memmap2's documentation, and all of its names with their types.

#![allow(clippy::undocumented_unsafe_blocks, reason = "each test maps a file of its own")]

use std::{
    fmt::{Debug, Display},
    fs::{self, File, OpenOptions},
    hash::Hash,
    io::{self, Read, Write},
    ops::{Deref, DerefMut},
    os::fd::RawFd,
    panic::{RefUnwindSafe, UnwindSafe},
    path::PathBuf,
    slice,
};

use super::memmap2;
use super::memmap2::{
    Advice, MapIfSafeError, Mmap, MmapAsRawDesc, MmapMut, MmapOptions, MmapRaw, MmapRawDescriptor,
    RemapOptions, UncheckedAdvice,
};

const LICENSE: &str = "LICENSE-MIT";

fn contents(path: &str) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    File::open(path)?.read_to_end(&mut contents)?;
    Ok(contents)
}

/// Creates a file of zeros, for one test of one crate.
fn new_file(name: &str, len: u64) -> io::Result<File> {
    let name = format!("{}-{name}-{}", module_path!().replace("::", "-"), std::process::id());
    let path: PathBuf = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(true).open(&path)?;
    fs::remove_file(&path)?;
    file.set_len(len)?;
    Ok(file)
}

#[test]
fn the_whole_of_a_file() -> io::Result<()> {
    let file = File::open(LICENSE)?;
    let map = unsafe { Mmap::map(&file)? };
    assert_eq!(&contents(LICENSE)?[..], &map[..]);
    assert_eq!(b"MIT Licen", &map[0..9]);
    let map = unsafe { MmapOptions::new().map(&file)? };
    assert_eq!(&contents(LICENSE)?[..], &map[..]);
    let map = unsafe { memmap2::MmapOptions::new().map_copy_read_only(&file)? };
    assert_eq!(&contents(LICENSE)?[..], &map[..]);
    let mut output = Vec::new();
    output.write_all(&map[..])?;
    assert_eq!(output, contents(LICENSE)?);
    Ok(())
}

#[test]
fn a_builder_in_a_variable() -> io::Result<()> {
    let mut options = MmapOptions::new();
    let mut map: MmapMut = options.len(30).map_anon()?;
    map.copy_from_slice(b"some bytes, as many as it has.");
    assert_eq!(map.last(), Some(&b'.'));
    // The options can be used again.
    let map: MmapMut = options.len(31).map_anon()?;
    assert_eq!(map.len(), 31);
    Ok(())
}

#[test]
fn a_part_of_a_file() -> io::Result<()> {
    let map = unsafe { MmapOptions::new().offset(10).map(&File::open(LICENSE)?)? };
    assert_eq!(&map[..], &contents(LICENSE)?[10..]);
    let map = unsafe { MmapOptions::new().len(9).map(&File::open(LICENSE)?)? };
    assert_eq!(&b"MIT Licen"[..], &map[..]);
    Ok(())
}

#[test]
fn kinds_of_memory() -> io::Result<()> {
    let stack = MmapOptions::new().stack().len(4096).map_anon();
    assert_eq!(stack?.len(), 4096);
    // A system may have no huge pages.
    if let Ok(huge) = MmapOptions::new().huge(Some(21)).len(2 * 1024 * 1024).map_anon() {
        assert_eq!(huge.len(), 1 << 21);
    }
    Ok(())
}

#[test]
fn options_of_files() -> io::Result<()> {
    let file = File::open(LICENSE)?;
    let maps: [Mmap; 2] = unsafe {
        [
            MmapOptions::new().populate().map(&file)?,
            MmapOptions::new().no_probe_handle().map(&file)?,
        ]
    };
    let copy = unsafe { MmapOptions::new().no_reserve_swap().map_copy(&file)? };
    assert_eq!([&b"MIT Licen"[..]; 3], [&maps[0][..9], &maps[1][..9], &copy[..9]]);
    Ok(())
}

#[test]
fn a_file_is_written() -> io::Result<()> {
    let file = new_file("written", 13)?;
    let mut map = unsafe { MmapOptions::new().map_mut(&file)? };
    map.copy_from_slice(b"Hello, world!");
    let mut map = unsafe { MmapMut::map_mut(&file)? };
    assert_eq!(&map[..], b"Hello, world!");
    (&mut map[..]).write_all(b"HELLO")?;
    map.flush()?;
    map.flush_async()?;
    map.flush_range(0, 5)?;
    map.flush_async_range(5, 8)?;
    let mut text = String::new();
    (&file).read_to_string(&mut text)?;
    assert_eq!(text, "HELLO, world!");
    Ok(())
}

#[test]
fn a_copy_is_written() -> io::Result<()> {
    let file = File::open(LICENSE)?;
    let mut map = unsafe { MmapOptions::new().map_copy(&file)? };
    (&mut map[..]).write_all(b"Hello, world!")?;
    assert_eq!(&contents(LICENSE)?[..9], b"MIT Licen");
    Ok(())
}

#[test]
fn a_map_becomes_writable() -> io::Result<()> {
    let file = new_file("writable", 128)?;
    let map = unsafe { Mmap::map(&file)? };
    let mut map = map.make_mut()?;
    map.deref_mut().write_all(b"hello, world!")?;
    assert_eq!(&map.deref()[..5], b"hello");
    Ok(())
}

#[test]
fn a_map_becomes_read_only() -> io::Result<()> {
    let mut map = MmapMut::map_anon(128)?;
    assert_eq!((&mut map[..]).write(b"Hello, world!")?, 13);
    let map: Mmap = map.make_read_only()?;
    assert_eq!(&map[..14], b"Hello, world!\0");
    Ok(())
}

#[test]
#[allow(unused_unsafe, reason = "as it is shown")]
fn pointers() -> io::Result<()> {
    let file = new_file("pointers", 128)?;
    let map = unsafe { MmapRaw::map_raw(&file)? };
    let mut memory = unsafe { slice::from_raw_parts_mut(map.as_mut_ptr(), 128) };
    memory.write_all(b"Hello, world!")?;
    map.flush()?;
    assert_eq!(unsafe { slice::from_raw_parts(map.as_ptr(), 5) }, b"Hello");
    Ok(())
}

/// An error is propagated in each of the usual ways.
#[test]
fn errors_are_those_of_std() {
    #[derive(Debug)]
    struct Mine {
        source: io::Error,
    }
    fn tail(map: Mmap) -> io::Result<MmapMut> {
        map.make_mut()
    }
    fn mapped(map: Mmap) -> Result<MmapMut, Mine> {
        map.make_mut().map_err(|source| Mine { source })
    }
    fn boxed(map: Mmap) -> Result<MmapMut, Box<dyn std::error::Error + Send + Sync>> {
        Ok(map.make_mut()?)
    }
    fn safe(file: &File) -> io::Result<Mmap> {
        Ok(Mmap::map_if_safe(file)?)
    }
    let file = File::open(LICENSE).unwrap();
    let map = || unsafe { Mmap::map(&file) }.unwrap();
    assert_eq!(tail(map()).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    assert_eq!(mapped(map()).unwrap_err().source.kind(), io::ErrorKind::PermissionDenied);
    assert!(boxed(map()).unwrap_err().is::<io::Error>());
    assert_eq!(safe(&file).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    let map = map();
    assert_eq!(
        map.advise_range(Advice::Normal, 1 << 20, 0).unwrap_err().kind(),
        io::ErrorKind::InvalidInput
    );
}

/// A user's type that can be mapped.
struct Log {
    file: File,
}

impl MmapAsRawDesc for &Log {
    fn as_raw_desc(&self) -> MmapRawDescriptor {
        (&self.file).as_raw_desc()
    }
}

#[test]
fn a_type_of_ones_own_is_mapped() -> io::Result<()> {
    let log = Log { file: File::open(LICENSE)? };
    assert_eq!(unsafe { Mmap::map(&log)? }[..9], *b"MIT Licen");
    Ok(())
}

/// All public names of memmap2 0.9 on Linux, with their types.
#[test]
fn names_and_types() {
    type Of = &'static File;

    let _: fn() -> MmapOptions = MmapOptions::new;
    let _: fn(&mut MmapOptions, u64) -> &mut MmapOptions = MmapOptions::offset;
    let _: fn(&mut MmapOptions, usize) -> &mut MmapOptions = MmapOptions::len;
    let _: fn(&mut MmapOptions) -> &mut MmapOptions = MmapOptions::stack;
    let _: fn(&mut MmapOptions, Option<u8>) -> &mut MmapOptions = MmapOptions::huge;
    let _: fn(&mut MmapOptions) -> &mut MmapOptions = MmapOptions::populate;
    let _: fn(&mut MmapOptions) -> &mut MmapOptions = MmapOptions::no_reserve_swap;
    let _: fn(&mut MmapOptions) -> &mut MmapOptions = MmapOptions::no_probe_handle;
    let _: unsafe fn(&MmapOptions, Of) -> io::Result<Mmap> = MmapOptions::map;
    let _: unsafe fn(&MmapOptions, Of) -> io::Result<Mmap> = MmapOptions::map_exec;
    let _: unsafe fn(&MmapOptions, Of) -> io::Result<MmapMut> = MmapOptions::map_mut;
    let _: unsafe fn(&MmapOptions, Of) -> io::Result<MmapMut> = MmapOptions::map_copy;
    let _: unsafe fn(&MmapOptions, RawFd) -> io::Result<Mmap> = MmapOptions::map_copy_read_only;
    let _: fn(&MmapOptions, Of) -> Result<Mmap, MapIfSafeError> = MmapOptions::map_if_safe;
    let _: fn(&MmapOptions) -> io::Result<MmapMut> = MmapOptions::map_anon;
    let _: fn(&MmapOptions, Of) -> io::Result<MmapRaw> = MmapOptions::map_raw;
    let _: fn(&MmapOptions, RawFd) -> io::Result<MmapRaw> = MmapOptions::map_raw_read_only;

    let _: unsafe fn(Of) -> io::Result<Mmap> = Mmap::map;
    let _: fn(Of) -> Result<Mmap, MapIfSafeError> = Mmap::map_if_safe;
    let _: fn(Mmap) -> io::Result<MmapMut> = Mmap::make_mut;

    let _: unsafe fn(Of) -> io::Result<MmapMut> = MmapMut::map_mut;
    let _: fn(usize) -> io::Result<MmapMut> = MmapMut::map_anon;
    let _: fn(MmapMut) -> io::Result<Mmap> = MmapMut::make_read_only;
    let _: fn(MmapMut) -> io::Result<Mmap> = MmapMut::make_exec;

    let _: fn(RawFd) -> io::Result<MmapRaw> = MmapRaw::map_raw;
    let _: fn(&MmapRaw) -> *const u8 = MmapRaw::as_ptr;
    let _: fn(&MmapRaw) -> *mut u8 = MmapRaw::as_mut_ptr;
    let _: fn(&MmapRaw) -> usize = MmapRaw::len;

    macro_rules! all {
        ($($map:ident)*) => {$(
            let _: fn(&$map, Advice) -> io::Result<()> = $map::advise;
            let _: fn(&$map, Advice, usize, usize) -> io::Result<()> = $map::advise_range;
            let _: unsafe fn(&$map, UncheckedAdvice) -> io::Result<()> = $map::unchecked_advise;
            let _: unsafe fn(&$map, UncheckedAdvice, usize, usize) -> io::Result<()> =
                $map::unchecked_advise_range;
            let _: fn(&$map) -> io::Result<()> = $map::lock;
            let _: fn(&$map) -> io::Result<()> = $map::unlock;
            let _: unsafe fn(&mut $map, usize, RemapOptions) -> io::Result<()> = $map::remap;
            is::<$map>(&map_is::<$map>);
        )*};
    }
    macro_rules! writable {
        ($($map:ident)*) => {$(
            let _: fn(&$map) -> io::Result<()> = $map::flush;
            let _: fn(&$map) -> io::Result<()> = $map::flush_async;
            let _: fn(&$map, usize, usize) -> io::Result<()> = $map::flush_range;
            let _: fn(&$map, usize, usize) -> io::Result<()> = $map::flush_async_range;
        )*};
    }
    fn is<T>(_: &dyn Fn()) {}
    fn map_is<T: Debug + Send + Sync + Unpin + UnwindSafe + RefUnwindSafe + 'static>() {}
    fn bytes<T: Deref<Target = [u8]> + AsRef<[u8]> + Into<MmapRaw>>() {}
    fn bytes_mut<T: DerefMut<Target = [u8]> + AsMut<[u8]>>() {}
    fn options<T: Clone + Debug + Default>() {}
    fn advice<T: Copy + Debug + Eq + Hash>() {}
    fn error<T: std::error::Error + Display + Into<io::Error> + Send + Sync + 'static>() {}
    fn described<T: MmapAsRawDesc>() {}
    all!(Mmap MmapMut MmapRaw);
    writable!(MmapMut MmapRaw);
    bytes::<Mmap>();
    bytes::<MmapMut>();
    bytes_mut::<MmapMut>();
    options::<MmapOptions>();
    options::<RemapOptions>();
    advice::<Advice>();
    advice::<UncheckedAdvice>();
    error::<MapIfSafeError>();
    described::<RawFd>();
    described::<&File>();
    described::<&RawFd>();
    let _: fn(&RawFd) -> MmapRawDescriptor = <RawFd as MmapAsRawDesc>::as_raw_desc;

    let _: fn(&MapIfSafeError) -> bool = MapIfSafeError::not_supported;
    let _: fn(&MapIfSafeError) -> bool = MapIfSafeError::not_safe;
    let _: fn(&MapIfSafeError) -> bool = MapIfSafeError::map_failed;

    let _: fn() -> RemapOptions = RemapOptions::new;
    let _: fn(RemapOptions, bool) -> RemapOptions = RemapOptions::may_move;
    let RemapOptions { .. } = { RemapOptions::new() };

    let _: fn(Advice) -> bool = Advice::is_supported;
    let _: fn(UncheckedAdvice) -> bool = UncheckedAdvice::is_supported;
    // A `match` with all variants needs no other arm.
    fn all(advice: Advice, unchecked: UncheckedAdvice) {
        use Advice::*;
        match advice {
            Normal | Random | Sequential | WillNeed | DontFork | DoFork | Mergeable
            | Unmergeable | HugePage | NoHugePage | DontDump | DoDump | PopulateRead
            | PopulateWrite | HwPoison => {}
        }
        match unchecked {
            UncheckedAdvice::DontNeed | UncheckedAdvice::Free | UncheckedAdvice::Remove => {}
        }
    }
    all(Advice::Normal, UncheckedAdvice::DontNeed);
    // The numbers of madvise(2), which are equal on all architectures that run these tests.
    let numbers = [
        (Advice::Normal as i32, 0),
        (Advice::Random as i32, 1),
        (Advice::Sequential as i32, 2),
        (Advice::WillNeed as i32, 3),
        (Advice::DontFork as i32, 10),
        (Advice::DoFork as i32, 11),
        (Advice::Mergeable as i32, 12),
        (Advice::Unmergeable as i32, 13),
        (Advice::HugePage as i32, 14),
        (Advice::NoHugePage as i32, 15),
        (Advice::DontDump as i32, 16),
        (Advice::DoDump as i32, 17),
        (Advice::PopulateRead as i32, 22),
        (Advice::PopulateWrite as i32, 23),
        (Advice::HwPoison as i32, 100),
        (UncheckedAdvice::DontNeed as i32, 4),
        (UncheckedAdvice::Free as i32, 8),
        (UncheckedAdvice::Remove as i32, 9),
    ];
    for (number, expected) in numbers {
        assert_eq!(number, expected);
    }
}
