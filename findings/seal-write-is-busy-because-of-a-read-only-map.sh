#!/bin/bash
# memfd_create(2), Linux 6.18: F_SEAL_WRITE fails with EBUSY while there is a shared mapping that can
# only be *read*, if it was made with a descriptor that is open for writing: mprotect(2) could make it
# writable. With a descriptor that is open for reading, the same mapping is no obstacle.
# Expected from fcntl(2) ("if any writable, shared mapping exists"): a read-only mapping does not count.
# Seen: "writable descriptor: EBUSY, read-only descriptor: sealed".
# Needs: python3.
set -eu
uname -sr
seen=$(python3 - <<'P'
import errno, fcntl, mmap, os
def seal(reopen):
    fd = os.memfd_create("file", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, 4096)
    how = os.open("/proc/self/fd/%d" % fd, os.O_RDONLY) if reopen else fd
    memory = mmap.mmap(how, 4096, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
    try:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
        return "sealed"
    except OSError as error:
        return errno.errorcode[error.errno]
    finally:
        del memory
print("writable descriptor: %s, read-only descriptor: %s" % (seal(False), seal(True)))
P
)
echo "$seen"
[ "$seen" = "writable descriptor: EBUSY, read-only descriptor: sealed" ]
