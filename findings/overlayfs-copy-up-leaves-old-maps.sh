#!/bin/bash
# overlayfs, Linux 6.18: a shared mapping that was made before the first write to a file of the lower
# layer keeps showing the old bytes for ever. The descriptor that it was made with reads the new bytes,
# because overlayfs opens the copied file behind it, but even a new mapping of that descriptor shows the
# old ones: read(2) and mmap(2) of one descriptor disagree.
# Expected: a shared mapping of a file shows what others write to it (mmap(2), MAP_SHARED).
# Seen: "old map: old, its descriptor: new, new map of it: old".
# Needs: root, python3.
set -eu
dir=$(mktemp -d)
trap 'umount -q "$dir" || true; rmdir "$dir"' EXIT
mount -t tmpfs none "$dir"
mkdir "$dir/lower" "$dir/upper" "$dir/work" "$dir/merged"
printf old > "$dir/lower/file"
unshare --mount bash -eu -c '
    cd "$0"
    mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work none merged
    python3 - merged/file <<P
import mmap, os, sys
path = sys.argv[1]
before = os.open(path, os.O_RDONLY)
old = mmap.mmap(before, 3, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
writer = os.open(path, os.O_WRONLY)
os.pwrite(writer, b"new", 0)
new = mmap.mmap(before, 3, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
texts = [bytes(old[:]), os.pread(before, 3, 0), bytes(new[:])]
print("old map: %s, its descriptor: %s, new map of it: %s" % tuple(text.decode() for text in texts))
P
' "$dir" > "$dir/seen"
uname -sr
cat "$dir/seen"
[ "$(cat "$dir/seen")" = "old map: old, its descriptor: new, new map of it: old" ]
