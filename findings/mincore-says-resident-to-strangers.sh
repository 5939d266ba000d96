#!/bin/bash
# mincore(2), Linux 6.18 (since 5.2): of a file that the caller may read, but neither owns nor may write
# to, every page is reported as resident, whether it is in the page cache or not. No error says that
# the question was not answered.
# Expected: zeros after the pages were dropped. Seen: "owner 0 of 64, stranger 64 of 64".
# Needs: root, python3, a file system with a page cache that can be dropped, such as ext4.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"
head -c 256K /dev/zero > "$dir/file"
chmod 644 "$dir/file"
cat > "$dir/ask.py" <<'P'
import ctypes, mmap, os, sys
path, user = sys.argv[1], int(sys.argv[2])
fd = os.open(path, os.O_RDONLY)
os.fsync(fd)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
os.setuid(user)
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
length = 256 << 10
start = libc.mmap(None, length, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
pages = (ctypes.c_ubyte * 64)()
assert libc.mincore(ctypes.c_void_p(start), ctypes.c_size_t(length), pages) == 0
print(sum(page & 1 for page in pages), "of 64")
P
uname -sr
seen="owner $(python3 "$dir/ask.py" "$dir/file" 0), stranger $(python3 "$dir/ask.py" "$dir/file" 65534)"
echo "$seen"
[ "$seen" = "owner 0 of 64, stranger 64 of 64" ]
