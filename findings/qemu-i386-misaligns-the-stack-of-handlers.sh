#!/bin/bash
# Debian's qemu-user 1:7.2+dfsg-7+deb12u18+b3, qemu-i386: a signal handler is called with a stack that is
# not aligned. The i386 ABI (and the kernel) have (esp + 4) % 16 == 0 at a function's first instruction,
# and compilers rely on it: a handler that clears a structure with movaps crashes.
# Seen: 0 from this kernel (126 if it runs no i386 programs), and 4 from qemu-i386.
# Needs: gcc with -m32 for freestanding code (Debian's has it), and Debian 12 with apt.
set -eu
version=1:7.2+dfsg-7+deb12u18+b3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"
(cd "$dir" && apt-get download -q "qemu-user=$version" > log 2>&1 && dpkg -x ./*.deb .) || {
    cat "$dir/log"; echo "qemu-user $version cannot be downloaded"; exit 2; }
cat > "$dir/handler.c" <<'C'
/* rt_sigaction, raise by kill, and exit with the remainder: no libc. */
struct action { void *handler; unsigned long flags; void *restorer; unsigned long mask[2]; };

static int call(int number, long one, long two, long three, long four)
{
    int result;
    __asm__ volatile("int $0x80" : "=a"(result)
                     : "a"(number), "b"(one), "c"(two), "d"(three), "S"(four) : "memory");
    return result;
}

/* The first instruction sees the stack as the kernel left it. */
__asm__("handler: lea 4(%esp), %ebx; and $15, %ebx; mov $1, %eax; int $0x80");
extern char handler[];

void _start(void)
{
    struct action action = {handler, 0, 0, {0, 0}};
    call(174, 10, (long)&action, 0, 8);
    call(37, call(20, 0, 0, 0, 0), 10, 0, 0);
    for (;;)
        ;
}
C
gcc -m32 -O1 -ffreestanding -fno-pie -no-pie -fno-stack-protector -nostdlib -static \
    -o "$dir/handler" "$dir/handler.c"
remainder() {
    status=0
    env -i timeout 10 "$@" 2> /dev/null || status=$?
    echo "$status"
}
uname -sr
here=$(remainder "$dir/handler")
emulated=$(remainder "$dir/usr/bin/qemu-i386" "$dir/handler")
echo "this kernel: $here, qemu-i386: $emulated"
[ "$here" = 0 ] || [ "$here" = 126 ]
[ "$emulated" = 4 ]
