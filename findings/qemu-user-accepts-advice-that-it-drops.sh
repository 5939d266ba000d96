#!/bin/bash
# Debian's qemu-user 1:7.2+dfsg-7+deb12u18+b3: madvise(2) answers 0 to advice that it does not carry out,
# also to advice that other code relies on for its safety. After MADV_WIPEONFORK a child still sees the
# parent's bytes, after MADV_GUARD_INSTALL the page can be read, and a number that no kernel knows is
# accepted as well. Linux 6.18 wipes, guards, and says EINVAL.
# Seen, this kernel: "wipe: 0, child sees 0; guard: 0, killed; 9999: EINVAL".
# Seen, qemu-x86_64: "wipe: 0, child sees 7; guard: 0, read; 9999: 0".
# Needs: gcc, and Debian 12 with apt, for the package; Linux 6.13 or later for this kernel's line.
set -eu
version=1:7.2+dfsg-7+deb12u18+b3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"
(cd "$dir" && apt-get download -q "qemu-user=$version" > log 2>&1 && dpkg -x ./*.deb .) || {
    cat "$dir/log"; echo "qemu-user $version cannot be downloaded"; exit 2; }
cat > "$dir/advice.c" <<'C'
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child reads the byte. Its status is the byte, or -1 if it is killed. */
static int child_sees(volatile char *page)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(*page);
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const char *answer(char *page, int advice)
{
    return madvise(page, 4096, advice) == 0 ? "0" : errno == EINVAL ? "EINVAL" : strerror(errno);
}

int main(void)
{
    char *page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    page[0] = page[4096] = 7;
    printf("wipe: %s, child sees ", answer(page, 18));
    printf("%d; ", child_sees(page));
    printf("guard: %s, ", answer(page + 4096, 102));
    printf("%s; 9999: %s\n", child_sees(page + 4096) < 0 ? "killed" : "read", answer(page, 9999));
}
C
# A child must not write the parent's output again.
gcc -static -O1 -o "$dir/advice" "$dir/advice.c"
uname -sr
here=$("$dir/advice" | tail -1)
emulated=$("$dir/usr/bin/qemu-x86_64" "$dir/advice" 2> /dev/null | tail -1)
printf 'this kernel: %s\nqemu-x86_64: %s\n' "$here" "$emulated"
[ "$here" = "wipe: 0, child sees 0; guard: 0, killed; 9999: EINVAL" ]
[ "$emulated" = "wipe: 0, child sees 7; guard: 0, read; 9999: 0" ]
