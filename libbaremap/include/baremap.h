/*
 * baremap: mapped files whose faults are errors.
 *
 * Generated from the source of libbaremap by `cargo xtask libbaremap --update`. docs/c.md of the
 * repository is the guide.
 *
 * Results. A function that returns int or ssize_t returns a negative error number of the kernel, such
 * as -ENOENT, if it fails. errno is not used. -EFAULT has two causes: a page is missing, because a file
 * was truncated, or an address that the caller passed is not valid.
 *
 * Out-parameters. A value is stored at an address that is passed only if the function succeeds. If the
 * address is not valid, the function returns -EFAULT. Other pointers must be valid, unless the
 * function says that it checks them.
 *
 * Handles. Each handle is freed exactly once, by the function whose name ends with _close or _free.
 *
 * Blocked signals. A thread that blocks SIGBUS or SIGSEGV is killed by a fault, because the kernel does
 * not run the signal handler. baremap_read_blocked() works there.
 */


#ifndef BAREMAP_H
#define BAREMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * The library installs its signal handler when it is first needed. The default.
 */
#define BAREMAP_POLICY_INSTALL 0

/**
 * The library installs no signal handler, because a handler of the program calls
 * baremap_on_fault(). Without such a handler, a fault kills the process.
 */
#define BAREMAP_POLICY_DELEGATE 1

/**
 * The library installs no signal handler, and access that needs one fails with -EPERM.
 */
#define BAREMAP_POLICY_FORBID 2

/**
 * A mapped file that other processes may change and truncate.
 *
 * Any number of threads may use one map at the same time, except for baremap_map_refresh(),
 * baremap_map_set_len() and baremap_map_close(), during which no other thread uses it.
 */
typedef struct baremap_map baremap_map;

/**
 * The mappings of a process in ascending order of their addresses.
 */
typedef struct baremap_maps baremap_maps;

/**
 * A reserved range of address space, in which memory is committed page by page and does not move.
 *
 * One thread at a time may call functions for a reservation. Any thread may use committed memory.
 */
typedef struct baremap_reservation baremap_reservation;

/**
 * The runs of pages of a range that are in memory, and of those that are not.
 */
typedef struct baremap_residency baremap_residency;

/**
 * A ring buffer in which all readable bytes are contiguous, and so is all free space.
 *
 * One thread at a time may use a ring. A child created by fork(2) does not have the memory: there
 * the functions return -EFAULT.
 */
typedef struct baremap_ring baremap_ring;

/**
 * A mapped file that is read through a pointer, and survives a truncation of the file.
 *
 * If a thread accesses a page that is missing, because the file was truncated or its disk failed,
 * that page and all pages after it are replaced by zero pages. The access then reads zeros, and
 * baremap_watch_check() returns an error from then on. Call it before an effect that cannot be
 * undone, such as output, and before a result is used.
 *
 * Bytes that are output are copied first, then the map is checked, and then the copy is output:
 * otherwise a page can get lost between the check and the output.
 *
 * While the map is used, nobody may change its bytes, extend the file after a truncation, or
 * truncate it within a page: such changes are not detected, as with any other mapping.
 *
 * Any number of threads may use one map at the same time, except for baremap_watch_refresh() and
 * baremap_watch_close(), during which no other thread uses it. A thread that blocks SIGBUS is
 * killed by an access to a missing page.
 */
typedef struct baremap_watch baremap_watch;

/**
 * A mapping of a process.
 */
typedef struct baremap_mapping {
    /**
     * The first address, and the address after the last byte.
     */
    uint64_t start;
    uint64_t end;
    /**
     * The offset of the mapping in its file in bytes, or zero if it has no file.
     */
    uint64_t offset;
    /**
     * The inode number of the file, or zero if the mapping has no file.
     */
    uint64_t inode;
    /**
     * The major and minor number of the file's device, or zeros if the mapping has no file.
     */
    uint32_t device_major;
    uint32_t device_minor;
    /**
     * PROT_READ, PROT_WRITE and PROT_EXEC.
     */
    uint32_t prot;
    /**
     * Whether the mapping is shared (MAP_SHARED).
     */
    bool shared;
    /**
     * Whether the name is longer than PATH_MAX. In this case, `name` is truncated or empty.
     */
    bool name_is_cut;
    /**
     * The path of the file, or a name by the kernel such as "[heap]", or an empty string. Valid
     * until the next call for these mappings.
     */
    const char *name;
} baremap_mapping;

/**
 * A run of consecutive pages.
 */
typedef struct baremap_run {
    /**
     * The offset of the run in the range, in bytes.
     */
    size_t offset;
    /**
     * The number of bytes of the range that are in these pages.
     */
    size_t len;
    /**
     * Whether the pages are in memory.
     */
    bool resident;
} baremap_run;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Returns the version of the library, such as "0.1.0".
 */
const char *baremap_version(void);

/**
 * Copies `len` bytes from memory that may be missing, such as a mapped file, to a buffer. Returns
 * the number of bytes before the first one that is missing.
 *
 * The two ranges may be anywhere, and need not be mapped. Other threads and processes may change
 * the bytes meanwhile. If the ranges overlap, the contents of `to` are unspecified afterwards.
 *
 * Errors:
 *
 * * -EFAULT if the first byte cannot be read or written.
 * * -EINVAL if `len` is more than SSIZE_MAX.
 * * An error of baremap_install().
 */
ssize_t baremap_read(void *to, const void *from, size_t len);

/**
 * Copies `len` bytes from a buffer to memory that may be missing or have no room on the disk, such
 * as a mapped file. Returns the number of bytes before the first one that is missing.
 *
 * The two ranges may be anywhere, and need not be mapped. If the ranges overlap, the contents of
 * `to` are unspecified afterwards.
 *
 * Errors:
 *
 * * -EFAULT if the first byte cannot be read or written.
 * * -EINVAL if `len` is more than SSIZE_MAX.
 * * An error of baremap_install().
 */
ssize_t baremap_write(void *to, const void *from, size_t len);

/**
 * Copies `len` bytes between two ranges of memory that may both be missing, such as two mapped
 * files. Returns the number of bytes before the first one that is missing.
 *
 * The two ranges may be anywhere, and need not be mapped. If the ranges overlap, the contents of
 * `to` are unspecified afterwards.
 *
 * Errors:
 *
 * * -EFAULT if the first byte cannot be read or written.
 * * -EINVAL if `len` is more than SSIZE_MAX.
 * * An error of baremap_install().
 */
ssize_t baremap_copy(void *to, const void *from, size_t len);

/**
 * Copies `len` bytes like baremap_copy(), by a system call, which works where no signal handler can
 * run: in a thread that blocks SIGBUS, and where the policy forbids a handler. Returns the number
 * of bytes before the first one that is missing.
 *
 * A call takes some microseconds. Source: process_vm_readv(2), on the process itself.
 *
 * Errors:
 *
 * * -EFAULT if the first byte cannot be read or written.
 * * -EINVAL if `len` is more than SSIZE_MAX.
 * * -ENOSYS if the kernel was built without CONFIG_CROSS_MEMORY_ATTACH, and under qemu-user.
 * * -EPERM, or another error of the filter, if a seccomp filter forbids the call.
 */
ssize_t baremap_read_blocked(void *to, const void *from, size_t len);

/**
 * Installs the signal handler for SIGBUS and SIGSEGV, unless it is installed. Returns 0, or 1 if
 * another handler was installed later for one of the signals. Faults are then errors only if that
 * handler chains to this library's handler or calls baremap_on_fault().
 *
 * The other functions install the handler when they are first used. A program calls this function
 * to choose the moment: before a seccomp filter forbids rt_sigaction(2), or before the program
 * installs a handler of its own, which then receives the signals first.
 *
 * The handler chains to the previous handler for every fault that is not one of this library. It
 * stays installed, and the shared library stays loaded after dlclose(3).
 *
 * Errors:
 *
 * * -EPERM if the policy is BAREMAP_POLICY_FORBID.
 * * -EPERM, or another error of the filter, if a seccomp filter forbids rt_sigaction(2) or
 *   rt_sigprocmask(2).
 */
int baremap_install(void);

/**
 * Returns whether the handler of this library receives SIGBUS and SIGSEGV first.
 *
 * It asks the kernel, by two system calls. The result is false before the handler is installed,
 * and after another handler was installed for one of the signals.
 */
bool baremap_installed(void);

/**
 * Installs the signal handler again if another handler has taken one of the signals since.
 *
 * The handler then receives the signals first. What it does not handle goes to the other handler,
 * and if that one chains back to this one, to the handler that was there before. No chain of
 * handlers becomes a circle.
 *
 * Errors:
 *
 * * -EPERM if the policy is BAREMAP_POLICY_FORBID, and -EBUSY if it is BAREMAP_POLICY_DELEGATE.
 * * -EBUSY if four different handlers have taken the signal before.
 * * -EPERM, or another error of the filter, if a seccomp filter forbids rt_sigaction(2) or
 *   rt_sigprocmask(2).
 */
int baremap_reinstall(void);

/**
 * Sets who handles the signals of faults: one of the BAREMAP_POLICY_ constants. Call it before
 * other functions are used.
 *
 * Errors:
 *
 * * -EBUSY if the handler is installed, and `policy` is not BAREMAP_POLICY_INSTALL.
 * * -EINVAL if there is no such policy.
 * * An error of rt_sigprocmask(2) if a seccomp filter forbids it.
 */
int baremap_set_policy(int policy);

/**
 * Handles the signal of a fault, and returns whether it was one of this library. For signal
 * handlers of the program.
 *
 * A handler that is installed after the library's, or in its place, calls this function first with
 * its three arguments, of which `info` is a `siginfo_t *`. It returns at once if the result is
 * true: the access that faulted then continues. If the result is false, nothing has changed, and
 * the handler does what it does for all other faults.
 *
 * Install such a handler for SIGBUS and SIGSEGV, with the flags SA_SIGINFO and SA_ONSTACK, and with
 * all signals in its mask. The function is async-signal-safe, and never chains to another handler.
 */
bool baremap_on_fault(int signal, void *info, void *context);

/**
 * Lists the mappings of a process, or of this process if `process` is zero. Stores the list in
 * `*maps`.
 *
 * Errors:
 *
 * * -ENOENT if there is no such process, or /proc is not mounted.
 * * -EACCES if the caller may not inspect the process (ptrace(2)).
 * * -EMFILE or -ENFILE if no file descriptor is free.
 * * -ENOMEM if there is not enough memory.
 * * -EFAULT if `maps` is not a valid address.
 */
int baremap_maps_open(int process, struct baremap_maps **maps);

/**
 * Stores the next mapping in `*mapping`. Returns 1, or 0 after the last mapping.
 *
 * Errors:
 *
 * * -ESRCH if the process has ended.
 * * -EINVAL if `maps` is NULL, or if the kernel's text has an unknown format.
 * * -EFAULT if `mapping` is not a valid address.
 */
int baremap_maps_next(struct baremap_maps *maps, struct baremap_mapping *mapping);

/**
 * Frees the list. A no-op if `maps` is NULL.
 */
void baremap_maps_close(struct baremap_maps *maps);

/**
 * Finds out which pages of a range of the address space are in memory. Stores the runs in
 * `*residency`. An empty range has no runs.
 *
 * A page of a file is in memory if it is in the page cache. Since Linux 5.2, the kernel reveals
 * the page cache of a file only to a process that owns the file or may write to it. To other
 * processes all pages of the file appear to be in memory. Source: mincore(2).
 *
 * Errors:
 *
 * * -ENOMEM if there is not enough memory.
 * * -EFAULT if `residency` is not a valid address.
 */
int baremap_residency_open(const void *start, size_t len, struct baremap_residency **residency);

/**
 * Stores the next run in `*run`. Returns 1, or 0 at the end of the range.
 *
 * Errors:
 *
 * * -ENOMEM if a part of the range is not mapped. All further calls return 0.
 * * -EINVAL if `residency` is NULL.
 * * -EFAULT if `run` is not a valid address.
 */
int baremap_residency_next(struct baremap_residency *residency, struct baremap_run *run);

/**
 * Frees the runs. A no-op if `residency` is NULL.
 */
void baremap_residency_close(struct baremap_residency *residency);

/**
 * Opens a file for reading, and maps all of it. Stores the map in `*map`.
 *
 * Errors:
 *
 * * An error of open(2), such as -ENOENT, -EACCES, or -EFAULT if `path` is not a valid address.
 * * An error of baremap_map_from_fd().
 */
int baremap_map_open(const char *path, struct baremap_map **map);

/**
 * Maps all of a file. Stores the map in `*map`.
 *
 * The map uses a duplicate of `fd`, which the caller may close. It is writable if `fd` is open for
 * both reading and writing, and the file is not sealed against writing. The map of an empty file
 * is empty.
 *
 * Errors:
 *
 * * -EBADF if `fd` is not an open descriptor, or is open with O_PATH.
 * * -EACCES if `fd` is not open for reading.
 * * -ENODEV if such a file cannot be mapped, such as a pipe or a file in /proc.
 * * -EINVAL if `fd` is open for writing, and the length of a file on hugetlbfs is not a multiple
 *   of the huge page size.
 * * -ENOMEM if there is not enough address space or memory.
 * * -EMFILE if the process has reached its limit of descriptors.
 * * -EOVERFLOW if the file is longer than SSIZE_MAX.
 * * -EPERM if the file is sealed against writing, and the kernel is older than Linux 6.7.
 * * -EFAULT if `map` is not a valid address.
 * * An error of baremap_install().
 */
int baremap_map_from_fd(int fd, struct baremap_map **map);

/**
 * Maps `len` bytes of a file from the offset `start` on, or fewer if the file ends before. Stores
 * the map in `*map`.
 *
 * `start` need not be page-aligned. The map is empty if `start` is past the end of the file. The
 * offsets of all functions count from `start`. The map uses a duplicate of `fd`.
 *
 * Errors:
 *
 * * The errors of baremap_map_from_fd(). -EOVERFLOW if the range is longer than SSIZE_MAX.
 */
int baremap_map_range(int fd, uint64_t start, size_t len, struct baremap_map **map);

/**
 * Returns the length of the map in bytes: that of the file when it was mapped or refreshed last.
 * Zero if `map` is NULL.
 */
size_t baremap_map_len(const struct baremap_map *map);

/**
 * Reads up to `len` bytes from `offset` on into a buffer, and returns their number.
 *
 * The number is less than `len` if the map ends before, or if a page is missing: the file was
 * truncated, or its disk failed. It is zero if `offset` is at or past the end of the map. The next
 * call, from the missing byte on, returns the error.
 *
 * A map does not end where the file ends now, but where it ended when it was mapped or refreshed.
 * The rest of the last page reads as zeros after a truncation (mmap(2)).
 *
 * Errors:
 *
 * * -EFAULT if the file ends before `offset` and the map does not.
 * * -EFAULT if `buffer` is NULL. Other memory that cannot be written to may cause -EFAULT, too, but it
 *   is not always detected.
 * * -EIO or another error of pread(2) if the disk failed.
 * * -EINVAL if `map` is NULL, or `len` is more than SSIZE_MAX.
 */
ssize_t baremap_map_read_at(const struct baremap_map *map,
                            void *buffer,
                            size_t len,
                            uint64_t offset);

/**
 * Writes up to `len` bytes to the map from `offset` on, and returns their number.
 *
 * The number is less than `len` if the map ends before, or if a page is missing or has no room on
 * the disk. It is zero if `offset` is at or past the end of the map. The next call, from the
 * missing byte on, returns the error. Writing does not extend the file.
 *
 * The data is visible to other readers immediately. It reaches the disk when the kernel writes it
 * back, or when baremap_map_flush() returns.
 *
 * Errors:
 *
 * * -EBADF if the map is not writable.
 * * -EFAULT if the file ends before `offset` and the map does not.
 * * -EFAULT if `bytes` is NULL. Other memory that cannot be read may cause -EFAULT, too, but it
 *   is not always detected.
 * * -ENOSPC or -EDQUOT if the disk is full, -EIO if it failed.
 * * -EINVAL if `map` is NULL, or `len` is more than SSIZE_MAX.
 */
ssize_t baremap_map_write_at(const struct baremap_map *map,
                             const void *bytes,
                             size_t len,
                             uint64_t offset);

/**
 * Reads up to `len` bytes from `offset` on like baremap_map_read_at(), by a system call, which works
 * in a thread that blocks SIGBUS. Returns the number of bytes.
 *
 * The bytes are read by pread(2), which takes about a microsecond.
 *
 * Errors:
 *
 * * The errors of baremap_map_read_at().
 */
ssize_t baremap_map_read_at_blocked(const struct baremap_map *map,
                                    void *buffer,
                                    size_t len,
                                    uint64_t offset);

/**
 * Writes up to `len` bytes from `offset` on like baremap_map_write_at(), by a system call, which
 * works in a thread that blocks SIGBUS. Returns the number of bytes.
 *
 * The bytes are written by process_vm_readv(2) on the process itself, which takes some microseconds.
 *
 * Errors:
 *
 * * The errors of baremap_map_write_at().
 * * -ENOSYS if the kernel was built without CONFIG_CROSS_MEMORY_ATTACH, and under qemu-user.
 * * -EPERM, or another error of the filter, if a seccomp filter forbids the call.
 */
ssize_t baremap_map_write_at_blocked(const struct baremap_map *map,
                                     const void *bytes,
                                     size_t len,
                                     uint64_t offset);

/**
 * Searches for a byte from `offset` on. Returns 1 and stores the offset of its first occurrence in
 * `*found`, or returns 0 if there is none.
 *
 * Errors:
 *
 * * -EFAULT if a page is missing before the first occurrence, or if `found` is not a valid
 *   address.
 * * -EIO or another error of pread(2) if the disk failed.
 * * -EINVAL if `map` is NULL.
 */
int baremap_map_find(const struct baremap_map *map, int byte, uint64_t offset, uint64_t *found);

/**
 * Maps the file with its present length, and returns the new length of the map in bytes.
 *
 * Afterwards the map also shows the file again where pages were missing. After an error the map
 * is unchanged.
 *
 * Errors:
 *
 * * -ENOMEM if there is not enough address space.
 * * -EOVERFLOW if the map would be longer than SSIZE_MAX.
 * * -EINVAL if `map` is NULL, or if the map is writable, and the length of a file on hugetlbfs is
 *   not a multiple of the huge page size.
 * * -EPERM if the map is writable, and the file was sealed against writing since.
 */
ssize_t baremap_map_refresh(struct baremap_map *map);

/**
 * Sets the length of the file to `len` bytes, counted from the beginning of the file, and
 * refreshes the map.
 *
 * Errors:
 *
 * * An error of ftruncate(2), such as -EINVAL if the file is not open for writing.
 * * An error of baremap_map_refresh(). The file then has its new length, and the map is
 *   unchanged.
 */
int baremap_map_set_len(struct baremap_map *map, uint64_t len);

/**
 * Advises the kernel how the map will be used: one of the `MADV_` constants of madvise(2) that do
 * not change the contents of a file. A no-op if the map is empty.
 *
 * Errors:
 *
 * * -EINVAL if `map` is NULL, or if the advice changes contents, such as MADV_DONTNEED, is
 *   MADV_DONTFORK, or is unknown to the library or to the kernel.
 * * -EFAULT if the advice is MADV_POPULATE_READ or MADV_POPULATE_WRITE, and a page is missing.
 */
int baremap_map_advise(const struct baremap_map *map, int advice);

/**
 * Advises the kernel how `len` bytes of the map from `offset` on will be used. The range is
 * expanded to whole pages. A no-op if `len` is zero.
 *
 * Errors:
 *
 * * -EINVAL if the range is not inside the map.
 * * The errors of baremap_map_advise().
 */
int baremap_map_advise_range(const struct baremap_map *map, int advice, size_t offset, size_t len);

/**
 * Writes the changed pages of the map back to the disk, and waits for it.
 *
 * The kernel reports an error once: the next call succeeds although the data is lost.
 *
 * Errors:
 *
 * * -EIO, -ENOSPC or -EDQUOT if the disk failed or is full.
 * * -EINVAL if `map` is NULL.
 */
int baremap_map_flush(const struct baremap_map *map);

/**
 * Unmaps the file, closes the descriptor of the map, and frees the map. A no-op if `map` is NULL.
 *
 * It does not wait for the disk: see baremap_map_flush().
 */
void baremap_map_close(struct baremap_map *map);

/**
 * Reserves `len` bytes of address space, rounded up to whole pages. Stores the reservation in
 * `*reservation`.
 *
 * The first byte is aligned to `align` bytes, a power of two, or to a page if `align` is zero. No
 * byte can be accessed before it is committed.
 *
 * Errors:
 *
 * * -EINVAL if `align` is not a power of two.
 * * -ENOMEM if there is not enough contiguous address space (RLIMIT_AS), or if the process has too
 *   many mappings (vm.max_map_count).
 * * -EOVERFLOW if `len + align`, rounded up, is more than SSIZE_MAX.
 * * -EFAULT if `reservation` is not a valid address.
 */
int baremap_reservation_new(size_t len, size_t align, struct baremap_reservation **reservation);

/**
 * Returns the address of the first byte. NULL if `reservation` is NULL.
 */
void *baremap_reservation_ptr(const struct baremap_reservation *reservation);

/**
 * Returns the length in bytes, a multiple of the page size. Zero if `reservation` is NULL.
 */
size_t baremap_reservation_len(const struct baremap_reservation *reservation);

/**
 * Commits memory for every page that contains one of the `len` bytes at the offset `start`.
 *
 * Pages that were committed before keep their contents. Other pages are zero. A no-op if `len` is
 * zero.
 *
 * Errors:
 *
 * * -EINVAL if `reservation` is NULL, or if the range is not inside the reservation.
 * * -ENOMEM if the kernel cannot commit the memory, or if the process has too many mappings
 *   (vm.max_map_count). Some of the pages may be committed.
 */
int baremap_reservation_commit(struct baremap_reservation *reservation, size_t start, size_t len);

/**
 * Frees the memory of a range of whole pages, and reserves the pages again. A no-op if `len` is
 * zero.
 *
 * Errors:
 *
 * * -EINVAL if `reservation` is NULL, or if the range is not inside the reservation, or does not
 *   begin and end at multiples of the page size.
 * * -ENOMEM if the process has too many mappings (vm.max_map_count).
 */
int baremap_reservation_decommit(struct baremap_reservation *reservation, size_t start, size_t len);

/**
 * Frees the memory of a range of whole pages, and makes them guard pages, which cannot be
 * accessed. A no-op if `len` is zero.
 *
 * Since Linux 6.13, guard pages need no mappings of their own (MADV_GUARD_INSTALL). On older
 * kernels, the function falls back to baremap_reservation_decommit().
 *
 * Errors:
 *
 * * -EINVAL if `reservation` is NULL, or if the range is not inside the reservation, or does not
 *   begin and end at multiples of the page size.
 * * -ENOMEM if there is no memory for page tables, or if the process has too many mappings
 *   (vm.max_map_count).
 */
int baremap_reservation_guard_pages(struct baremap_reservation *reservation,
                                    size_t start,
                                    size_t len);

/**
 * Unmaps all pages, committed or not, and frees the reservation. A no-op if `reservation` is
 * NULL.
 */
void baremap_reservation_free(struct baremap_reservation *reservation);

/**
 * Creates an empty ring for `capacity` bytes, rounded up to whole pages. Stores the ring in
 * `*ring`.
 *
 * Errors:
 *
 * * -ENOMEM or -ENOSPC if there is not enough memory or contiguous address space.
 * * -EMFILE or -ENFILE if no file descriptor is free. One is used until the ring is created.
 * * -EFBIG if `capacity` is more than RLIMIT_FSIZE. The process is then also sent SIGXFSZ.
 * * -EOVERFLOW if `capacity` is more than half of SSIZE_MAX.
 * * -EINVAL before Linux 4.14.
 * * -EFAULT if `ring` is not a valid address.
 */
int baremap_ring_new(size_t capacity, struct baremap_ring **ring);

/**
 * Returns the capacity in bytes, a multiple of the page size. Zero if `ring` is NULL.
 */
size_t baremap_ring_capacity(const struct baremap_ring *ring);

/**
 * Stores the address and the number of all readable bytes in `*bytes` and `*len`, the oldest byte
 * first. They stay readable until baremap_ring_consume() removes them.
 *
 * Errors:
 *
 * * -EFAULT in a child of the process that created the ring, or if `bytes` or `len` is not a valid
 *   address.
 * * -EINVAL if `ring` is NULL.
 */
int baremap_ring_readable(struct baremap_ring *ring, const void **bytes, size_t *len);

/**
 * Removes the `count` oldest bytes, which makes room for new ones.
 *
 * Errors:
 *
 * * -EINVAL if `ring` is NULL, or if fewer than `count` bytes are readable.
 * * -EFAULT in a child of the process that created the ring.
 */
int baremap_ring_consume(struct baremap_ring *ring, size_t count);

/**
 * Stores the address and the length of all free space in `*space` and `*len`. What is written to
 * its beginning becomes readable by baremap_ring_produce(). The space contains old bytes.
 *
 * Errors:
 *
 * * -EFAULT in a child of the process that created the ring, or if `space` or `len` is not a valid
 *   address.
 * * -EINVAL if `ring` is NULL.
 */
int baremap_ring_writable(struct baremap_ring *ring, void **space, size_t *len);

/**
 * Makes the first `count` bytes of the free space readable.
 *
 * Errors:
 *
 * * -EINVAL if `ring` is NULL, or if the free space is shorter than `count` bytes.
 * * -EFAULT in a child of the process that created the ring.
 */
int baremap_ring_produce(struct baremap_ring *ring, size_t count);

/**
 * Writes up to `len` bytes to the ring, and returns their number: that of the free space if it is
 * less than `len`.
 *
 * Errors:
 *
 * * -EFAULT in a child of the process that created the ring, or if the first byte of `bytes`
 *   cannot be read.
 * * -EINVAL if `ring` is NULL, or if `len` is more than SSIZE_MAX.
 */
ssize_t baremap_ring_push(struct baremap_ring *ring, const void *bytes, size_t len);

/**
 * Removes up to `len` bytes from the ring, copies them to a buffer, and returns their number: that
 * of the readable bytes if it is less than `len`.
 *
 * Errors:
 *
 * * -EFAULT in a child of the process that created the ring, or if the first byte of `buffer`
 *   cannot be written.
 * * -EINVAL if `ring` is NULL.
 */
ssize_t baremap_ring_pop(struct baremap_ring *ring, void *buffer, size_t len);

/**
 * Unmaps and frees the ring. A no-op if `ring` is NULL.
 */
void baremap_ring_free(struct baremap_ring *ring);

extern void *malloc(size_t size);

extern void free(void *memory);

/**
 * Opens a file for reading, and maps all of it. Stores the map in `*watch`.
 *
 * Errors:
 *
 * * The errors of baremap_map_open().
 */
int baremap_watch_open(const char *path, struct baremap_watch **watch);

/**
 * Maps all of a file for reading. Stores the map in `*watch`. The map uses a duplicate of `fd`,
 * which the caller may close.
 *
 * Errors:
 *
 * * The errors of baremap_map_from_fd().
 */
int baremap_watch_from_fd(int fd, struct baremap_watch **watch);

/**
 * Maps `len` bytes of a file for reading from the offset `start` on, or fewer if the file ends
 * before. Stores the map in `*watch`.
 *
 * `start` need not be page-aligned. The map is empty if `start` is past the end of the file. The
 * map uses a duplicate of `fd`.
 *
 * Errors:
 *
 * * The errors of baremap_map_range().
 */
int baremap_watch_range(int fd, uint64_t start, size_t len, struct baremap_watch **watch);

/**
 * Returns the address of the first byte. NULL if `watch` is NULL. No byte can be accessed if the
 * map is empty.
 */
const void *baremap_watch_ptr(const struct baremap_watch *watch);

/**
 * Returns the length of the map in bytes: that of the file when it was mapped or refreshed last.
 * Zero if `watch` is NULL.
 */
size_t baremap_watch_len(const struct baremap_watch *watch);

/**
 * Checks that all bytes that were read so far were those of the file. Returns 0 if no page has
 * been replaced by zeros before the call.
 *
 * Do not read the map through a pointer that is declared `restrict`: the compiler may move such
 * reads behind the call.
 *
 * After an error, `*offset` is the offset of the first replaced page, unless `offset` is NULL.
 *
 * Errors:
 *
 * * -EFAULT if a page was missing because the file was truncated, or if `offset` is neither NULL
 *   nor a valid address.
 * * -EIO or another error of pread(2) if the disk failed.
 * * -EINVAL if `watch` is NULL.
 */
int baremap_watch_check(const struct baremap_watch *watch, uint64_t *offset);

/**
 * Maps the file again with its present length, and returns the new length in bytes.
 *
 * The map has another address afterwards, and shows the file again where pages were missing. After
 * an error the map is unchanged.
 *
 * Errors:
 *
 * * -EMFILE if the process has reached its limit of descriptors.
 * * -ENOMEM if there is not enough address space or memory.
 * * -EOVERFLOW if the map would be longer than SSIZE_MAX.
 * * -EINVAL if `watch` is NULL, or if the file is open for writing, and the length of a file on
 *   hugetlbfs is not a multiple of the huge page size.
 */
ssize_t baremap_watch_refresh(struct baremap_watch *watch);

/**
 * Advises the kernel how the map will be used: one of the MADV_ constants of madvise(2) that do
 * not change the contents of a file. A no-op if the map is empty.
 *
 * Errors:
 *
 * * The errors of baremap_map_advise().
 */
int baremap_watch_advise(const struct baremap_watch *watch, int advice);

/**
 * Unmaps the file, closes the descriptor of the map, and frees the map. A no-op if `watch` is
 * NULL.
 */
void baremap_watch_close(struct baremap_watch *watch);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* BAREMAP_H */
