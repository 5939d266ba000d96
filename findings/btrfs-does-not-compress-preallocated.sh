#!/bin/bash
# btrfs, Linux 6.18, mounted with compress-force=zstd: what is written into space that was
# preallocated with fallocate(2) is never compressed, although the option says "force". The same
# bytes without preallocation take a small part of the space.
# Expected: compress-force compresses every write. Seen: 64 MiB preallocated take 64 MiB or more of the
# disk, and less than 8 MiB without.
# Needs: root, btrfs-progs, coreutils.
set -eu
dir=$(mktemp -d)
trap 'umount -q "$dir/mount" || true; rm -rf "$dir"' EXIT
mkdir "$dir/mount"
truncate -s 600M "$dir/image"
mkfs.btrfs -q -f "$dir/image"
mount -o loop,compress-force=zstd "$dir/image" "$dir/mount"
used() { sync -f "$dir/mount"; df --output=used -B1M "$dir/mount" | tail -1; }
uname -sr
start=$(used)
yes 'the same line' | head -c 64M > "$dir/mount/written"
written=$(($(used) - start))
start=$(used)
fallocate -l 64M "$dir/mount/preallocated"
yes 'the same line' | head -c 64M | dd of="$dir/mount/preallocated" conv=notrunc bs=1M iflag=fullblock status=none
preallocated=$(($(used) - start))
echo "MiB of the disk: written $written, preallocated and written $preallocated"
[ "$written" -lt 8 ] && [ "$preallocated" -ge 60 ]
