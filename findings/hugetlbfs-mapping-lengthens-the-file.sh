#!/bin/bash
# hugetlbfs, Linux 6.18: mmap(2) itself changes the length of a file. A mapping of 5,000 bytes of an empty
# file, before any access, makes the file 2 MiB long, and a private mapping does so, too. A mapping of a
# file on any other file system never changes its length (mmap(2)).
# Seen: "empty file: 0, shared: 2097152, private: 2097152".
# Needs: root, python3, two free huge pages of 2 MiB (the script reserves four for a moment).
set -eu
dir=$(mktemp -d)
before=$(cat /proc/sys/vm/nr_hugepages)
trap 'umount -q "$dir" || true; rmdir "$dir"; echo "$before" > /proc/sys/vm/nr_hugepages' EXIT
echo $((before + 4)) > /proc/sys/vm/nr_hugepages
mount -t hugetlbfs none "$dir"
uname -sr
seen=$(python3 - "$dir" <<'P'
import mmap, os, sys
def length(name, flags):
    fd = os.open(os.path.join(sys.argv[1], name), os.O_RDWR | os.O_CREAT, 0o600)
    empty = os.fstat(fd).st_size
    if flags:
        # The module refuses a length beyond the end, so libc is called.
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mmap.restype = ctypes.c_void_p
        libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
        at = libc.mmap(None, 5000, mmap.PROT_READ | mmap.PROT_WRITE, flags, fd, 0)
        assert at != ctypes.c_void_p(-1).value, os.strerror(ctypes.get_errno())
    return os.fstat(fd).st_size if flags else empty
print("empty file: %d, shared: %d, private: %d" % (
    length("a", 0), length("b", mmap.MAP_SHARED), length("c", mmap.MAP_PRIVATE)))
P
)
echo "$seen"
[ "$seen" = "empty file: 0, shared: 2097152, private: 2097152" ]
