//! What a fault says, and what a map shows, on file systems made for it: full ones, with holes, with
//! blocks that files share, with files that become immutable, and on devices.
//!
//! All but those on tmpfs need root, because they mount file systems from loop devices.

mod common;

use std::{
    fs::{self, File},
    io::Write,
    os::{fd::AsRawFd, unix::fs::FileExt},
    path::Path,
    process::{Command, Output},
};

use baremap::{
    MmapOptions,
    fd::{AsFd, BorrowedFd},
    map::{FileMap, GuardedMmap},
    syscall::{self, Errno, MemfdFlags, page_size},
};
use common::{
    Scratch,
    again::{again, again_in},
};

fn fd(file: &File) -> BorrowedFd<'_> {
    // SAFETY: the file is borrowed as long as the result.
    unsafe { BorrowedFd::borrow_raw(file.as_raw_fd()) }
}

fn map(file: &File) -> FileMap {
    FileMap::new(fd(file)).unwrap()
}

/// Runs the test again in a process of its own, after a command of the shell that finds the test's
/// directory in `$0`, in mount points of its own.
fn after(test: &str, user: &[&str], script: &str, body: fn(&Path)) {
    if let Some(dir) = again_in() {
        return body(&dir);
    }
    let scratch = Scratch::new("file-systems");
    let script = format!("set -e; PATH=$PATH:/usr/sbin:/sbin; {script}; exec \"$@\"");
    let unshare = [&["unshare", "--mount"], user, &["sh", "-c", &script]].concat();
    let output: Output = again(test, &unshare, &scratch);
    assert!(
        output.status.success(),
        "needs root, loop devices, e2fsprogs, xfsprogs and btrfs-progs: {}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

const USER: &[&str] = &["--user", "--map-root-user"];

fn loop_device(make: &str) -> String {
    format!(
        "cd \"$0\"; truncate -s 400M image; {make} image; mkdir mount; mount -o loop image mount"
    )
}

fn create(path: &Path) -> File {
    File::options().read(true).write(true).create(true).truncate(true).open(path).unwrap()
}

/// Writes until the disk is full.
fn fill(dir: &Path) {
    let mut file = create(&dir.join("much"));
    for size in [1 << 20, 4096, 1] {
        while file.write_all(&vec![1; size]).and_then(|()| file.sync_data()).is_ok() {}
    }
}

#[test]
fn a_hole_of_a_full_tmpfs_is_read() {
    let script = "cd \"$0\"; mkdir mount; mount -t tmpfs -o size=256k none mount";
    after("a_hole_of_a_full_tmpfs_is_read", USER, script, |dir| {
        const LEN: usize = 1 << 20;
        let dir = dir.join("mount");
        let file = create(&dir.join("file"));
        file.write_all_at(b"end", LEN as u64 - 3).unwrap();
        fill(&dir);
        let map = map(&file);
        let mut buffer = vec![1; LEN];
        assert_eq!(map.read_at(&mut buffer, 0), Ok(LEN));
        assert!(buffer[..LEN - 3].iter().all(|&byte| byte == 0) && buffer.ends_with(b"end"));
        assert_eq!(map.find(b'e', 0), Ok(Some(LEN as u64 - 3)));

        let copy = syscall::memfd_create(c"copy", MemfdFlags::empty()).unwrap();
        syscall::ftruncate(copy.as_fd(), LEN as u64).unwrap();
        let copy = FileMap::from_fd(copy).unwrap();
        copy.fill(9, 0, LEN).unwrap();
        assert_eq!(map.copy_to(0, &copy, 0, LEN), Ok(LEN));
        let mut copied = vec![1; LEN];
        assert_eq!(copy.read_at(&mut copied, 0), Ok(LEN));
        assert!(copied == buffer);

        // A slice needs pages, for which there is no room.
        let full = Some(Errno::ENOSPC);
        // SAFETY: nobody else has the file.
        let fault = unsafe { map.with_slice(|bytes| bytes.iter().max().copied()) }.unwrap_err();
        assert_eq!(fault.errno(), full);
        let fault = map.write_at(b"x", 99_999).unwrap_err();
        assert_eq!((fault.offset(), fault.errno()), (99_999, full));
        // SAFETY: nobody else has the file.
        let slice = unsafe { GuardedMmap::new(self::map(&file)) }.unwrap();
        assert_eq!(slice.iter().max(), Some(&0));
        assert_eq!(slice.check().unwrap_err().errno(), full);
    });
}

/// A clone shares its blocks; a store to them needs other ones.
fn write_to_shared_blocks(dir: &Path) {
    let dir = dir.join("mount");
    let one = create(&dir.join("one"));
    let contents = vec![1; 4 << 20];
    one.write_all_at(&contents, 0).unwrap();
    one.sync_all().unwrap();
    let two = create(&dir.join("two"));
    syscall::ficlone(fd(&two), fd(&one)).unwrap();
    two.sync_all().unwrap();
    fill(&dir);
    let map = map(&two);
    let fault = map.write_at(&vec![2; contents.len()], 0).unwrap_err();
    assert_eq!(fault.errno(), Some(Errno::ENOSPC), "{fault:?}");
    assert_eq!(fault.offset(), fault.done() as u64);
    // Nothing but what was asked for has changed.
    let mut found = vec![0; contents.len()];
    two.read_exact_at(&mut found, 0).unwrap();
    let done = fault.done();
    assert!(found[..done].iter().all(|&byte| byte == 2));
    assert!(found[done..].iter().all(|&byte| byte == 1));
    one.read_exact_at(&mut found, 0).unwrap();
    assert!(found == contents);
}

#[test]
fn a_store_to_shared_blocks_of_a_full_xfs_is_told() {
    let test = "a_store_to_shared_blocks_of_a_full_xfs_is_told";
    after(test, &[], &loop_device("mkfs.xfs -q -f"), write_to_shared_blocks);
}

#[test]
fn a_store_to_shared_blocks_of_a_full_btrfs_is_told() {
    let test = "a_store_to_shared_blocks_of_a_full_btrfs_is_told";
    after(test, &[], &loop_device("mkfs.btrfs -q -f"), write_to_shared_blocks);
}

#[test]
fn a_store_to_a_file_that_became_immutable_is_told() {
    let test = "a_store_to_a_file_that_became_immutable_is_told";
    after(test, &[], &loop_device("mkfs.ext4 -q -F"), |dir| {
        let path = dir.join("mount/file");
        let file = create(&path);
        file.set_len(1 << 20).unwrap();
        let map = map(&file);
        let chattr = Command::new("chattr").arg("+i").arg(&path).status().unwrap();
        assert!(chattr.success());
        let fault = map.write_at(b"x", 5).unwrap_err();
        assert_eq!((fault.offset(), fault.errno()), (5, Some(Errno::EPERM)));
        assert!(Command::new("chattr").arg("-i").arg(&path).status().unwrap().success());
    });
}

/// Bytes that were stored behind the end of a file are zeros when it grows.
fn grows_by_zeros(file: &File) {
    let page = page_size();
    file.set_len(page as u64).unwrap();
    let mut map = map(file);
    let stale = |map: &FileMap, len: usize| {
        file.set_len(len as u64).unwrap();
        assert_eq!(map.write_at(&vec![7; page - len], len as u64), Ok(page - len));
    };
    let read = |map: &FileMap| {
        let mut bytes = vec![1; page];
        assert_eq!(map.read_at(&mut bytes, 0), Ok(page));
        bytes
    };
    for len in [100, 1, page - 1] {
        file.set_len(page as u64).unwrap();
        map.fill(3, 0, page).unwrap();
        stale(&map, len);
        map.set_len(2 * page as u64).unwrap();
        let bytes = read(&map);
        assert!(bytes[..len].iter().all(|&byte| byte == 3), "bytes of the file");
        assert!(bytes[len..].iter().all(|&byte| byte == 0), "bytes behind its end, {len}");
    }
    let map = FileMap::with_capacity(fd(file), 0, 10 * page).unwrap();
    stale(&map, 100);
    map.grow(3 * page as u64).unwrap();
    assert!(read(&map)[100..].iter().all(|&byte| byte == 0));
}

#[test]
fn a_file_in_memory_grows_by_zeros() {
    let file = syscall::memfd_create(c"zeros", MemfdFlags::empty()).unwrap();
    let path = format!("/proc/self/fd/{}", baremap::fd::AsRawFd::as_raw_fd(&file));
    grows_by_zeros(&File::options().read(true).write(true).open(path).unwrap());
}

#[test]
fn a_file_on_disk_grows_by_zeros() {
    let scratch = Scratch::new("zeros");
    grows_by_zeros(&create(&scratch.path("file")));
}

#[test]
fn a_block_device_is_mapped_like_a_file() {
    let script = "cd \"$0\"; truncate -s 1M image; printf hello | dd of=image conv=notrunc \
                  status=none; device=$(losetup --find --show image); echo $device >device; \
                  trap 'losetup -d $device' EXIT; \"$@\"; exit";
    after("a_block_device_is_mapped_like_a_file", &[], script, |dir| {
        let device = fs::read_to_string(dir.join("device")).unwrap();
        let file = File::options().read(true).write(true).open(device.trim()).unwrap();
        let map = map(&file);
        let mut bytes = [0; 5];
        assert_eq!((map.len(), map.read_at(&mut bytes, 0)), (1 << 20, Ok(5)));
        assert_eq!(&bytes, b"hello");
        assert_eq!(map.write_at(b"there", (1 << 20) - 3), Ok(3));
        map.flush().unwrap();
        let part = FileMap::map_range(fd(&file), (1 << 20) - 5, 100).unwrap();
        assert_eq!((part.len(), part.read_at(&mut bytes, 0)), (5, Ok(5)));
        assert_eq!(&bytes, b"\0\0the");
        assert_eq!(part.update_len(), Ok(5));
        // SAFETY: nobody else has the device.
        let whole = unsafe { MmapOptions::new().map(fd(&file)) }.unwrap();
        assert_eq!((whole.len(), &whole[..5]), (1 << 20, &b"hello"[..]));
        // SAFETY: nobody else has the device.
        let some = unsafe { MmapOptions::new().offset(1).len(4).map(fd(&file)) }.unwrap();
        assert_eq!(&some[..], b"ello");
    });
}

#[test]
fn a_character_device_is_mapped_by_its_length() {
    let zeros = File::options().read(true).write(true).open("/dev/zero").unwrap();
    let mut map = FileMap::map_range(fd(&zeros), 0, 10_000).unwrap();
    assert_eq!((map.len(), map.write_at(b"x", 9_999)), (10_000, Ok(1)));
    let mut byte = [0];
    assert_eq!((map.read_at(&mut byte, 9_999), byte), (Ok(1), *b"x"));
    assert_eq!((map.update_len(), map.refresh()), (Ok(10_000), Ok(10_000)));
    assert_eq!(FileMap::new(fd(&zeros)).unwrap_err(), Errno::ENODEV);
    // SAFETY: the memory is this map's alone.
    let map = unsafe { MmapOptions::new().len(10_000).map_mut(fd(&zeros)) }.unwrap();
    assert!(map.iter().all(|&byte| byte == 0));
    let null = File::open("/dev/null").unwrap();
    assert_eq!(FileMap::map_range(fd(&null), 0, 10_000).unwrap_err(), Errno::ENODEV);
}

#[test]
fn a_map_grows_while_others_use_it() {
    let scratch = Scratch::new("grow");
    let file = create(&scratch.path("file"));
    file.write_all_at(&[1; 100], 0).unwrap();
    let map = FileMap::with_capacity(fd(&file), 10, 1 << 30).unwrap();
    assert_eq!((map.len(), map.capacity()), (90, 1 << 30));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for len in (1 << 10..1 << 20).step_by(1 << 10) {
                map.grow(len).unwrap();
                assert_eq!(map.write_at(&[2], len - 11), Ok(1));
            }
        });
        let mut byte = [0];
        while map.read_at(&mut byte, (1 << 20) - (1 << 10) - 11) != Ok(1) || byte != [2] {
            assert_eq!((map.read_at(&mut byte, 0), byte), (Ok(1), [1]));
            std::thread::yield_now();
        }
    });
    assert_eq!(map.grow(5), Err(Errno::EINVAL));
    // Another one extends the file.
    file.set_len(2 << 20).unwrap();
    assert_eq!((map.len(), map.update_len()), ((1 << 20) - (1 << 10) - 10, Ok((2 << 20) - 10)));
    // SAFETY: nobody else has the file.
    let len = unsafe { map.with_slice(|bytes| bytes.len()) };
    assert_eq!(len, Ok((2 << 20) - 10));
    map.advise_range(baremap::Advice::WillNeed, 0, 1 << 29).unwrap();
    map.advise_range(baremap::Advice::WillNeed, 1 << 29, (1 << 29) + 1).unwrap_err();
    let mut map = map;
    file.set_len(50).unwrap();
    assert_eq!((map.update_len(), map.refresh()), (Ok((2 << 20) - 10), Ok(40)));
    map.lock().unwrap_err(); // up to its capacity
    map.unlock().unwrap();
    let map = self::map(&file);
    map.lock().unwrap();
    map.unlock().unwrap();
}
