#!/bin/bash
# tmpfs, Linux 6.18 (also 6.1 and 7.2): a byte that is stored through a shared mapping behind the end of
# a file, within its last page, becomes a byte of the file when the file grows. ext4 shows a zero.
# Expected from mmap(2) ("the effect ... is unspecified") and seen of ext4: zeros.
# Seen: tmpfs 55, ext4 00.
# Needs: python3, and a directory on ext4 (the current one, or $EXT4).
set -eu
dir=$(mktemp -d -p "${EXT4:-.}")
tmp=$(mktemp -d -p /dev/shm)
trap 'rm -rf "$dir" "$tmp"' EXIT
[ "$(stat -f -c %T "$dir")" = ext2/ext3 ] || { echo "$dir is not on ext4: set EXT4"; exit 2; }
[ "$(stat -f -c %T "$tmp")" = tmpfs ] || { echo "/dev/shm is not a tmpfs"; exit 2; }
ask() {
    python3 - "$1/file" <<'P'
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
os.ftruncate(fd, 4096)
memory = mmap.mmap(fd, 4096)
os.ftruncate(fd, 100)
memory[200] = 0x55
os.ftruncate(fd, 4096)
print("%02x" % os.pread(fd, 1, 200)[0])
P
}
uname -sr
seen="tmpfs $(ask "$tmp"), ext4 $(ask "$dir")"
echo "$seen"
[ "$seen" = "tmpfs 55, ext4 00" ]
