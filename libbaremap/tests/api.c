/* Calls every function of baremap.h that the programs of docs/c.md do not call, and each with what it
 * refuses. Prints the first result that is wrong, and ends with status 1. */
#define _GNU_SOURCE
#include <baremap.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(is, should)                                                                  \
    do {                                                                                   \
        long long is_ = (long long)(is), should_ = (long long)(should);                    \
        if (is_ != should_) {                                                              \
            printf("line %d: %s is %lld and not %lld\n", __LINE__, #is, is_, should_);     \
            exit(1);                                                                       \
        }                                                                                  \
    } while (0)

/* Nothing is mapped at the lowest and the highest address. */
#define NOWHERE ((void *)1)

static size_t page;

/* A file in memory without a name that holds `len` bytes of 'a'. */
static int file(size_t len)
{
    int fd = memfd_create("file", MFD_CLOEXEC);
    char *bytes = malloc(len + 1);
    memset(bytes, 'a', len);
    CHECK(write(fd, bytes, len), len);
    free(bytes);
    return fd;
}

static void copies(void)
{
    int fd = file(2 * page);
    char *mapped = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *buffer = calloc(2, page);
    CHECK(baremap_install(), 0);
    CHECK(baremap_read(buffer, mapped, 2 * page), 2 * page);
    CHECK(memcmp(buffer, mapped, 2 * page), 0);
    CHECK(ftruncate(fd, page), 0);
    CHECK(baremap_read(buffer, mapped + page - 10, 100), 10);
    CHECK(baremap_read(buffer, mapped + page, 100), -EFAULT);
    CHECK(baremap_write(mapped + page - 10, "bbbbbbbbbbbbbbbbbbbb", 20), 10);
    CHECK(mapped[page - 1], 'b');
    CHECK(baremap_write(mapped + page, buffer, 1), -EFAULT);
    CHECK(baremap_copy(mapped, mapped + page - 10, 20), 10);
    CHECK(mapped[9], 'b');
    CHECK(baremap_copy(mapped + page, mapped, 20), -EFAULT);
    CHECK(baremap_copy(buffer, NOWHERE, 1), -EFAULT);
    CHECK(baremap_copy(NULL, buffer, 1), -EFAULT);
    CHECK(baremap_copy(NULL, NULL, 0), 0);
    CHECK(baremap_read(buffer, mapped, SIZE_MAX), -EINVAL);
    CHECK(baremap_read_blocked(buffer, mapped, SIZE_MAX), -EINVAL);
    CHECK(baremap_read_blocked(buffer, mapped + page - 10, 20), 10);
    CHECK(memcmp(buffer, "bbbbbbbbbb", 10), 0);
    CHECK(baremap_read_blocked(buffer, mapped + page, 20), -EFAULT);
    CHECK(baremap_read_blocked(NOWHERE, buffer, 20), -EFAULT);
    CHECK(baremap_read_blocked(NULL, NULL, 0), 0);
    munmap(mapped, 2 * page);
    free(buffer);
    close(fd);
}

static void maps_of_files(void)
{
    baremap_map *map = NULL;
    char buffer[100];
    uint64_t found = 0;
    CHECK(baremap_map_open("/nonexistent", &map), -ENOENT);
    CHECK(baremap_map_open("/proc/self/status", &map), -ENODEV);
    CHECK(baremap_map_open("/", &map), -ENODEV);
    CHECK(baremap_map_open(NOWHERE, &map), -EFAULT);
    CHECK(baremap_map_open(NULL, &map), -EFAULT);
    CHECK(baremap_map_open("/proc/self/exe", NOWHERE), -EFAULT);
    CHECK(baremap_map_from_fd(-1, &map), -EBADF);
    CHECK(baremap_map_from_fd(AT_FDCWD, &map), -EBADF);
    CHECK(baremap_map_from_fd(12345, &map), -EBADF);
    CHECK(map == NULL, 1);

    int fd = file(2 * page);
    CHECK(baremap_map_from_fd(fd, &map), 0);
    CHECK(baremap_map_len(map), 2 * page);
    CHECK(baremap_map_read_at(map, buffer, 100, page), 100);
    CHECK(memcmp(buffer, "aaaaaaaaaa", 10), 0);
    CHECK(baremap_map_read_at(map, buffer, 100, 2 * page - 1), 1);
    CHECK(baremap_map_read_at(map, buffer, 100, 2 * page), 0);
    CHECK(baremap_map_read_at(map, buffer, 100, UINT64_MAX), 0);
    CHECK(baremap_map_read_at(map, NULL, 0, 0), 0);
    CHECK(baremap_map_read_at(map, NULL, 1, 0), -EFAULT);
    CHECK(baremap_map_read_at(map, buffer, SIZE_MAX, 0), -EINVAL);
    CHECK(baremap_map_write_at(map, NULL, 1, 0), -EFAULT);
    CHECK(baremap_map_read_at_blocked(map, NULL, 1, 0), -EFAULT);
    CHECK(baremap_map_write_at_blocked(map, NULL, 1, 0), -EFAULT);
    CHECK(baremap_map_write_at(map, "b", 1, page + 7), 1);
    CHECK(baremap_map_find(map, 'b', 0, &found), 1);
    CHECK(found, page + 7);
    CHECK(baremap_map_find(map, 'b', page + 8, &found), 0);
    CHECK(baremap_map_find(map, 'b', 0, NOWHERE), -EFAULT);
    CHECK(baremap_map_flush(map), 0);
    CHECK(baremap_map_advise(map, MADV_SEQUENTIAL), 0);
    CHECK(baremap_map_advise(map, MADV_DONTNEED), -EINVAL);
    CHECK(baremap_map_advise(map, MADV_DONTFORK), -EINVAL);
    CHECK(baremap_map_advise(map, -1), -EINVAL);

    CHECK(ftruncate(fd, page), 0);
    CHECK(baremap_map_read_at(map, buffer, 100, page - 10), 10);
    CHECK(baremap_map_read_at(map, buffer, 100, page), -EFAULT);
    CHECK(baremap_map_write_at(map, "b", 1, page), -EFAULT);
    CHECK(baremap_map_find(map, 'b', 0, &found), -EFAULT);
    /* The whole page is in the map, and in the file. */
    CHECK(baremap_map_advise_range(map, MADV_WILLNEED, page - 1, 1), 0);
    CHECK(baremap_map_advise_range(map, MADV_WILLNEED, 2 * page, 1), -EINVAL);
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    CHECK(baremap_map_read_at_blocked(map, buffer, 100, page - 10), 10);
    CHECK(baremap_map_read_at_blocked(map, buffer, 100, page), -EFAULT);
    CHECK(baremap_map_read_at_blocked(map, buffer, 100, 2 * page), 0);
    CHECK(baremap_map_write_at_blocked(map, "bb", 2, page - 1), 1);
    CHECK(baremap_map_write_at_blocked(map, "bb", 2, page), -EFAULT);
    sigprocmask(SIG_SETMASK, &before, NULL);
    CHECK(baremap_map_read_at(map, buffer, 1, page - 1), 1);
    CHECK(buffer[0], 'b');
    CHECK(baremap_map_refresh(map), page);
    CHECK(baremap_map_read_at(map, buffer, 100, page), 0);
    CHECK(baremap_map_set_len(map, 3 * page), 0);
    CHECK(baremap_map_len(map), 3 * page);
    baremap_map_close(map);

    /* The map has a descriptor of its own. */
    CHECK(baremap_map_range(fd, page - 10, 20, &map), 0);
    close(fd);
    CHECK(baremap_map_len(map), 20);
    CHECK(baremap_map_read_at(map, buffer, 100, 0), 20);
    CHECK(memcmp(buffer, "aaaaaaaaab\0\0\0\0\0\0\0\0\0\0", 20), 0);
    CHECK(baremap_map_refresh(map), 20);
    baremap_map_close(map);

    CHECK(baremap_map_open("/proc/self/exe", &map), 0);
    CHECK(baremap_map_write_at(map, "b", 1, 0), -EBADF);
    CHECK(baremap_map_set_len(map, 0), -EINVAL);
    baremap_map_close(map);

    CHECK(baremap_map_len(NULL), 0);
    CHECK(baremap_map_read_at(NULL, buffer, 1, 0), -EINVAL);
    CHECK(baremap_map_write_at(NULL, buffer, 1, 0), -EINVAL);
    CHECK(baremap_map_find(NULL, 0, 0, &found), -EINVAL);
    CHECK(baremap_map_refresh(NULL), -EINVAL);
    CHECK(baremap_map_set_len(NULL, 0), -EINVAL);
    CHECK(baremap_map_advise(NULL, MADV_NORMAL), -EINVAL);
    CHECK(baremap_map_flush(NULL), -EINVAL);
    baremap_map_close(NULL);
}

static void watches(void)
{
    baremap_watch *watch = NULL;
    uint64_t offset = 0;
    CHECK(baremap_watch_open("/nonexistent", &watch), -ENOENT);
    CHECK(baremap_watch_open(NOWHERE, &watch), -EFAULT);
    CHECK(baremap_watch_from_fd(-1, &watch), -EBADF);
    int fd = file(3 * page);
    CHECK(baremap_watch_from_fd(fd, NOWHERE), -EFAULT);
    CHECK(baremap_watch_from_fd(fd, &watch), 0);
    CHECK(baremap_watch_len(watch), 3 * page);
    CHECK(baremap_watch_advise(watch, MADV_RANDOM), 0);
    CHECK(baremap_watch_advise(watch, MADV_DONTNEED), -EINVAL);
    const char *bytes = baremap_watch_ptr(watch);
    CHECK(memchr(bytes, 'b', 3 * page) == NULL, 1);
    CHECK(baremap_watch_check(watch, NULL), 0);
    CHECK(ftruncate(fd, page), 0);
    CHECK(bytes[page - 1], 'a');
    CHECK(baremap_watch_check(watch, &offset), 0);
    CHECK(memchr(bytes, 0, 3 * page) == bytes + page, 1);
    CHECK(baremap_watch_check(watch, NULL), -EFAULT);
    CHECK(baremap_watch_check(watch, &offset), -EFAULT);
    CHECK(offset, page);
    CHECK(baremap_watch_check(watch, NOWHERE), -EFAULT);
    CHECK(baremap_watch_refresh(watch), page);
    CHECK(baremap_watch_check(watch, NULL), 0);
    CHECK(*(const char *)baremap_watch_ptr(watch), 'a');
    baremap_watch_close(watch);
    CHECK(baremap_watch_range(fd, page - 7, 100, &watch), 0);
    CHECK(baremap_watch_len(watch), 7);
    baremap_watch_close(watch);
    CHECK(baremap_watch_range(fd, 9 * page, 100, &watch), 0);
    CHECK(baremap_watch_len(watch), 0);
    CHECK(baremap_watch_check(watch, NULL), 0);
    baremap_watch_close(watch);
    close(fd);
    CHECK(baremap_watch_open("/proc/self/exe", &watch), 0);
    CHECK(memcmp(baremap_watch_ptr(watch), "\177ELF", 4), 0);
    baremap_watch_close(watch);
    baremap_watch_close(NULL);
    CHECK(baremap_watch_ptr(NULL) == NULL, 1);
    CHECK(baremap_watch_len(NULL), 0);
    CHECK(baremap_watch_check(NULL, NULL), -EINVAL);
    CHECK(baremap_watch_refresh(NULL), -EINVAL);
    CHECK(baremap_watch_advise(NULL, MADV_NORMAL), -EINVAL);
}

/* Who has the signals, before any other function is called. */
static void policies(void)
{
    char byte;
    baremap_ring *ring = NULL;
    baremap_map *map = NULL;
    CHECK(baremap_installed(), 0);
    CHECK(baremap_set_policy(3), -EINVAL);
    CHECK(baremap_set_policy(BAREMAP_POLICY_FORBID), 0);
    CHECK(baremap_install(), -EPERM);
    CHECK(baremap_reinstall(), -EPERM);
    CHECK(baremap_read(&byte, &page, 1), -EPERM);
    CHECK(baremap_read_blocked(&byte, &page, 1), 1);
    CHECK(baremap_map_open("/proc/self/exe", &map), -EPERM);
    /* Out-parameters need no handler. */
    CHECK(baremap_ring_new(1, NOWHERE), -EFAULT);
    CHECK(baremap_ring_new(1, &ring), 0);
    baremap_ring_free(ring);
    CHECK(baremap_set_policy(BAREMAP_POLICY_DELEGATE), 0);
    CHECK(baremap_install(), 0);
    CHECK(baremap_installed(), 0);
    CHECK(baremap_reinstall(), -EBUSY);
    CHECK(baremap_set_policy(BAREMAP_POLICY_INSTALL), 0);
    CHECK(baremap_install(), 0);
    CHECK(baremap_installed(), 1);
    CHECK(baremap_set_policy(BAREMAP_POLICY_FORBID), -EBUSY);
}

static void rings(void)
{
    baremap_ring *ring = NULL;
    const void *bytes = NULL;
    void *space = NULL;
    size_t len = 0;
    char buffer[100], *much = calloc(3, page);
    CHECK(baremap_ring_new(SIZE_MAX, &ring), -EOVERFLOW);
    CHECK(baremap_ring_new(1, NOWHERE), -EFAULT);
    CHECK(baremap_ring_new(1, &ring), 0);
    CHECK(baremap_ring_capacity(ring), page);
    CHECK(baremap_ring_push(ring, much, page - 10), page - 10);
    CHECK(baremap_ring_consume(ring, page), -EINVAL);
    CHECK(baremap_ring_consume(ring, page - 20), 0);
    CHECK(baremap_ring_push(ring, "hello, around the end", 21), 21);
    CHECK(baremap_ring_readable(ring, &bytes, &len), 0);
    CHECK(len, 31);
    CHECK(memcmp((const char *)bytes + 10, "hello, around the end", 21), 0);
    CHECK(baremap_ring_pop(ring, buffer, 17), 17);
    CHECK(memcmp(buffer + 10, "hello, ", 7), 0);
    CHECK(baremap_ring_pop(ring, NOWHERE, 17), -EFAULT);
    CHECK(baremap_ring_push(ring, NOWHERE, 17), -EFAULT);
    CHECK(baremap_ring_writable(ring, &space, &len), 0);
    CHECK(len, page - 14);
    memcpy(space, "!!", 2);
    CHECK(baremap_ring_produce(ring, page), -EINVAL);
    CHECK(baremap_ring_produce(ring, 2), 0);
    CHECK(baremap_ring_pop(ring, buffer, 100), 16);
    CHECK(memcmp(buffer, "around the end!!", 16), 0);
    CHECK(baremap_ring_pop(ring, buffer, 100), 0);
    CHECK(baremap_ring_push(ring, much, 3 * page), page);
    CHECK(baremap_ring_push(ring, much, 3 * page), 0);
    CHECK(baremap_ring_readable(ring, NOWHERE, &len), -EFAULT);
    CHECK(baremap_ring_writable(ring, &space, NULL), -EFAULT);

    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        CHECK(baremap_ring_pop(ring, buffer, 1), -EFAULT);
        CHECK(baremap_ring_push(ring, buffer, 1), -EFAULT);
        CHECK(baremap_ring_readable(ring, &bytes, &len), -EFAULT);
        CHECK(baremap_ring_writable(ring, &space, &len), -EFAULT);
        CHECK(baremap_ring_consume(ring, 1), -EFAULT);
        CHECK(baremap_ring_produce(ring, 1), -EFAULT);
        baremap_ring_free(ring);
        _exit(0);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0), child);
    CHECK(status, 0);
    baremap_ring_free(ring);
    baremap_ring_free(NULL);
    CHECK(baremap_ring_capacity(NULL), 0);
    CHECK(baremap_ring_push(NULL, buffer, 1), -EINVAL);
    CHECK(baremap_ring_pop(NULL, buffer, 1), -EINVAL);
    CHECK(baremap_ring_consume(NULL, 0), -EINVAL);
    CHECK(baremap_ring_produce(NULL, 0), -EINVAL);
    CHECK(baremap_ring_readable(NULL, &bytes, &len), -EINVAL);
    CHECK(baremap_ring_writable(NULL, &space, &len), -EINVAL);
    free(much);
}

static void reservations(void)
{
    baremap_reservation *it = NULL;
    CHECK(baremap_reservation_new(1, 3, &it), -EINVAL);
    CHECK(baremap_reservation_new(SIZE_MAX, 0, &it), -EOVERFLOW);
    CHECK(baremap_reservation_new(1, 0, NOWHERE), -EFAULT);
    CHECK(baremap_reservation_new(100 * page + 1, 1 << 20, &it), 0);
    char *bytes = baremap_reservation_ptr(it);
    CHECK((uintptr_t)bytes % (1 << 20), 0);
    CHECK(baremap_reservation_len(it), 101 * page);
    char buffer[1];
    CHECK(baremap_read(buffer, bytes, 1), -EFAULT);
    CHECK(baremap_reservation_commit(it, page + 1, page), 0);
    memset(bytes + page, 1, 2 * page);
    CHECK(baremap_reservation_commit(it, 100 * page, page + 1), -EINVAL);
    CHECK(baremap_reservation_commit(it, SIZE_MAX, 2), -EINVAL);
    CHECK(baremap_reservation_decommit(it, 1, page), -EINVAL);
    CHECK(baremap_reservation_decommit(it, page, page), 0);
    CHECK(baremap_read(buffer, bytes + page, 1), -EFAULT);
    CHECK(bytes[2 * page], 1);
    CHECK(baremap_reservation_guard_pages(it, 2 * page, page), 0);
    CHECK(baremap_read(buffer, bytes + 2 * page, 1), -EFAULT);
    CHECK(baremap_reservation_guard_pages(it, 2 * page, 1), -EINVAL);
    baremap_reservation_free(it);
    baremap_reservation_free(NULL);
    CHECK(baremap_reservation_len(NULL), 0);
    CHECK(baremap_reservation_ptr(NULL) == NULL, 1);
    CHECK(baremap_reservation_commit(NULL, 0, 0), -EINVAL);
    CHECK(baremap_reservation_decommit(NULL, 0, 0), -EINVAL);
    CHECK(baremap_reservation_guard_pages(NULL, 0, 0), -EINVAL);
}

static void inspections(void)
{
    char *memory =
        mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memory[page] = memory[2 * page] = 1;

    baremap_maps *maps = NULL;
    baremap_mapping mapping;
    int next = 0, found = 0, stacks = 0;
    CHECK(baremap_maps_open(0, NOWHERE), -EFAULT);
    CHECK(baremap_maps_open(-1, &maps), -ENOENT);
    CHECK(baremap_maps_open(0, &maps), 0);
    while ((next = baremap_maps_next(maps, &mapping)) > 0) {
        stacks += strcmp(mapping.name, "[stack]") == 0;
        if (mapping.start <= (uintptr_t)memory && (uintptr_t)memory < mapping.end) {
            found += 1;
            CHECK(mapping.prot, PROT_READ | PROT_WRITE);
            CHECK(mapping.shared, 0);
        }
    }
    CHECK(next, 0);
    CHECK(found, 1);
    CHECK(stacks, 1);
    CHECK(baremap_maps_next(maps, &mapping), 0);
    baremap_maps_close(maps);
    CHECK(baremap_maps_open(getpid(), &maps), 0);
    CHECK(baremap_maps_next(maps, NOWHERE), -EFAULT);
    baremap_maps_close(maps);
    baremap_maps_close(NULL);
    CHECK(baremap_maps_next(NULL, &mapping), -EINVAL);

    baremap_residency *residency = NULL;
    baremap_run run;
    size_t end = 0;
    CHECK(baremap_residency_open(memory, 4 * page, NOWHERE), -EFAULT);
    CHECK(baremap_residency_open(memory, 4 * page, &residency), 0);
    while ((next = baremap_residency_next(residency, &run)) > 0) {
        CHECK(run.offset, end);
        end += run.len;
    }
    CHECK(next, 0);
    CHECK(end, 4 * page);
    baremap_residency_close(residency);
    CHECK(baremap_residency_open(memory, 4 * page, &residency), 0);
    CHECK(baremap_residency_next(residency, NOWHERE), -EFAULT);
    baremap_residency_close(residency);
    munmap(memory, 4 * page);
    CHECK(baremap_residency_open(memory, page, &residency), 0);
    CHECK(baremap_residency_next(residency, &run), -ENOMEM);
    CHECK(baremap_residency_next(residency, &run), 0);
    baremap_residency_close(residency);
    baremap_residency_close(NULL);
    CHECK(baremap_residency_next(NULL, &run), -EINVAL);
}

/* Has the stack grow. valgrind 3.19 ends a program if the stack must grow for the frame of a signal
 * handler with SA_ONSTACK, and there is no alternate stack. */
static void grow_stack(void)
{
    volatile char deep[1 << 16];
    deep[0] = 0;
    (void)deep[0];
}

int main(void)
{
    grow_stack();
    page = (size_t)sysconf(_SC_PAGESIZE);
    CHECK(strcmp(baremap_version(), VERSION), 0);
    policies();
    copies();
    maps_of_files();
    watches();
    rings();
    reservations();
    inspections();
    puts("all as declared");
    return 0;
}
