#!/bin/bash
# xfs, Linux 6.18: fallocate(2), which promises that later writes into the range do not fail for lack
# of space, succeeds at once for blocks that a reflink shares, also on a full disk. The write that it
# vouched for then fails with ENOSPC, because shared blocks are copied first. FALLOC_FL_UNSHARE_RANGE
# asks the right question: ENOSPC.
# Seen: "fallocate: OK, write: ENOSPC, unshare: ENOSPC".
# Needs: root, python3, xfsprogs.
set -eu
dir=$(mktemp -d)
trap 'umount -q "$dir/mount" || true; rm -rf "$dir"' EXIT
mkdir "$dir/mount"
truncate -s 400M "$dir/image"
mkfs.xfs -q -f "$dir/image"
mount -o loop "$dir/image" "$dir/mount"
head -c 4M /dev/urandom > "$dir/mount/one"
cp --reflink=always "$dir/mount/one" "$dir/mount/two"
sync -f "$dir/mount"
dd if=/dev/zero of="$dir/mount/filler" bs=1M status=none 2>/dev/null || true
dd if=/dev/zero of="$dir/mount/small" bs=4k status=none 2>/dev/null || true
sync -f "$dir/mount"
uname -sr
seen=$(python3 - "$dir/mount/two" <<'P'
import ctypes, errno, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
def allocate(flags):
    result = libc.fallocate(fd, flags, 0, 4096)
    return "OK" if result == 0 else errno.errorcode[ctypes.get_errno()]
def write():
    try:
        at = 0
        while at < 4 << 20:
            at += os.pwrite(fd, bytes(1 << 20), at)
        os.fsync(fd)
        return "OK"
    except OSError as error:
        return errno.errorcode[error.errno]
KEEP_SIZE, UNSHARE_RANGE = 1, 0x40
unshare = lambda: allocate(KEEP_SIZE | UNSHARE_RANGE)
print("fallocate: %s, write: %s, unshare: %s" % (allocate(KEEP_SIZE), write(), unshare()))
P
)
echo "$seen"
[ "$seen" = "fallocate: OK, write: ENOSPC, unshare: ENOSPC" ]
