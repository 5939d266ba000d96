#!/bin/bash
# ext4 and xfs, Linux 6.18: lseek(2) SEEK_DATA in a file that was preallocated and never written says
# ENXIO, no data. After one byte was *loaded* through a mapping, the same call finds data, because
# pages of an unwritten extent that are in the page cache count as data.
# Expected: reading does not change where data is. Seen: "none" before, an offset afterwards.
# Needs: root, python3, xfsprogs, e2fsprogs.
set -eu
dir=$(mktemp -d)
trap 'umount -q "$dir/mount" || true; rm -rf "$dir"' EXIT
mkdir "$dir/mount"
ask() {
    python3 - "$dir/mount/file" <<'P'
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
os.posix_fallocate(fd, 0, 1 << 20)
os.fsync(fd)
def data():
    try:
        return os.lseek(fd, 0, os.SEEK_DATA)
    except OSError:
        return "none"
before = data()
memory = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
memory[512 << 10]
after = data()
print(before, "then", "none" if after == "none" else "data")
P
}
uname -sr
for make in "mkfs.ext4 -q -F" "mkfs.xfs -q -f"; do
    truncate -s 400M "$dir/image"
    $make "$dir/image"
    mount -o loop "$dir/image" "$dir/mount"
    seen=$(ask)
    echo "${make%% *}: $seen"
    umount "$dir/mount"
    rm "$dir/image"
    [ "$seen" = "none then data" ]
done
