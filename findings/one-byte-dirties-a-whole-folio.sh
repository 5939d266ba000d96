#!/bin/bash
# cachestat(2), Linux 6.18: after one byte was stored through a mapping of a file that is in the page
# cache, ext4 counts many pages as dirty, because the whole folio is: as many as readahead happened to
# choose. On tmpfs, where folios have one page by default, nothing is counted as dirty more than once.
# Expected from the description ("number of dirty pages"): 1. Seen: ext4 more than 1, up to 256.
# Needs: python3, and a directory on ext4 (the current one, or $EXT4).
set -eu
dir=$(mktemp -d -p "${EXT4:-.}")
trap 'rm -rf "$dir"' EXIT
[ "$(stat -f -c %T "$dir")" = ext2/ext3 ] || { echo "$dir is not on ext4: set EXT4"; exit 2; }
uname -sr
seen=$(python3 - "$dir/file" <<'P'
import ctypes, mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
os.write(fd, bytes(8 << 20))
os.fsync(fd)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
for at in range(0, 8 << 20, 1 << 20):
    os.pread(fd, 1 << 20, at)
memory = mmap.mmap(fd, 8 << 20)
memory[5 << 20] = 1
CACHESTAT = 451
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
whole, counts = (ctypes.c_uint64 * 2)(0, 8 << 20), (ctypes.c_uint64 * 5)()
assert libc.syscall(CACHESTAT, fd, whole, counts, 0) == 0, ctypes.get_errno()
print(counts[1])
P
)
echo "dirty pages after one stored byte: $seen"
[ "$seen" -gt 1 ] && [ "$seen" -le 512 ]
