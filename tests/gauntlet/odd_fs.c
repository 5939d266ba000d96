/* File systems in user space whose answers are odd. The gauntlet compiles this with libfuse 3.
 *
 *     odd_fs mirror DIR [fuse options] MOUNTPOINT
 *         The files of DIR, which the kernel writes back when it has the time
 *         (FUSE_WRITEBACK_CACHE): until then DIR has neither their blocks nor their data.
 *     odd_fs short SIZE REAL [fuse options] MOUNTPOINT
 *         One file, `f`, that is said to have SIZE bytes, and ends after REAL of them.
 *     odd_fs append FILE SIZE
 *         No file system but a process that appends SIZE bytes to FILE, each an `x`, says `ready`,
 *         and keeps FILE open until its input ends. (A process with children would not do: each of
 *         them closes its descriptor of FILE, and this writes FILE back.)
 */
#define FUSE_USE_VERSION 35
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int dir;
static off_t size, real;

/* A path below DIR, which begins with a slash. */
static const char *below(const char *path) { return path[1] ? path + 1 : "."; }

static int result(int value) { return value < 0 ? -errno : value; }

static void *mirror_init(struct fuse_conn_info *conn, struct fuse_config *config)
{
    conn->want |= conn->capable & FUSE_CAP_WRITEBACK_CACHE;
    config->use_ino = 1;
    return 0;
}

static int mirror_getattr(const char *path, struct stat *stat, struct fuse_file_info *info)
{
    return result(fstatat(dir, below(path), stat, AT_SYMLINK_NOFOLLOW));
}

static int mirror_open(const char *path, struct fuse_file_info *info)
{
    /* The kernel reads the pages that it writes parts of, and appends by itself. */
    int flags = info->flags & ~(O_APPEND | O_ACCMODE);
    int fd = openat(dir, below(path), flags | ((info->flags & O_ACCMODE) ? O_RDWR : O_RDONLY));
    info->fh = fd;
    /* Else the kernel writes back what it has when another opens the file. */
    info->keep_cache = 1;
    return fd < 0 ? -errno : 0;
}

static int mirror_create(const char *path, mode_t mode, struct fuse_file_info *info)
{
    int fd = openat(dir, below(path), O_RDWR | O_CREAT | O_EXCL, mode);
    info->fh = fd;
    return fd < 0 ? -errno : 0;
}

static int mirror_read(const char *path, char *to, size_t len, off_t at, struct fuse_file_info *info)
{
    return result(pread(info->fh, to, len, at));
}

static int mirror_write(const char *path, const char *from, size_t len, off_t at,
                        struct fuse_file_info *info)
{
    return result(pwrite(info->fh, from, len, at));
}

static int mirror_truncate(const char *path, off_t length, struct fuse_file_info *info)
{
    int fd = info ? (int)info->fh : openat(dir, below(path), O_RDWR);
    int failed = fd < 0 ? -errno : result(ftruncate(fd, length));
    if (!info && fd >= 0)
        close(fd);
    return failed;
}

static off_t mirror_lseek(const char *path, off_t at, int whence, struct fuse_file_info *info)
{
    off_t found = lseek(info->fh, at, whence);
    return found < 0 ? -errno : found;
}

static int mirror_release(const char *path, struct fuse_file_info *info)
{
    return result(close(info->fh));
}

static const struct fuse_operations mirror = {
    .init = mirror_init,
    .getattr = mirror_getattr,
    .open = mirror_open,
    .create = mirror_create,
    .read = mirror_read,
    .write = mirror_write,
    .truncate = mirror_truncate,
    .lseek = mirror_lseek,
    .release = mirror_release,
};

static int short_getattr(const char *path, struct stat *stat, struct fuse_file_info *info)
{
    memset(stat, 0, sizeof *stat);
    stat->st_nlink = 1;
    stat->st_mode = path[1] ? S_IFREG | 0444 : S_IFDIR | 0755;
    if (path[1]) {
        stat->st_size = size;
        stat->st_blocks = getenv("NO_BLOCKS") ? 0 : (size + 511) / 512;
    }
    return !path[1] || !strcmp(path, "/f") ? 0 : -ENOENT;
}

static int short_open(const char *path, struct fuse_file_info *info)
{
    info->direct_io = getenv("ODD_FS_DIRECT") != 0;
    return 0;
}

static int short_read(const char *path, char *to, size_t len, off_t at, struct fuse_file_info *info)
{
    size_t rest = at < real ? real - at : 0;
    if (rest > len)
        rest = len;
    memset(to, 'x', rest);
    return rest;
}

static const struct fuse_operations ends_early = {
    .getattr = short_getattr,
    .open = short_open,
    .read = short_read,
};

static int append(const char *path, size_t len)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0644);
    char *bytes = malloc(len);
    memset(bytes, 'x', len);
    if (write(fd, bytes, len) != (ssize_t)len) {
        perror(path);
        return 1;
    }
    puts("ready");
    fflush(stdout);
    return getchar() != EOF;
}

int main(int count, char **arguments)
{
    if (count == 4 && !strcmp(arguments[1], "append"))
        return append(arguments[2], atoll(arguments[3]));
    int is_mirror = count > 3 && !strcmp(arguments[1], "mirror");
    int used = is_mirror ? 2 : 3;
    if (count < 5 && !is_mirror) {
        fprintf(stderr, "odd_fs mirror DIR MOUNTPOINT | short SIZE REAL MOUNTPOINT\n");
        return 2;
    }
    if (is_mirror) {
        dir = open(arguments[2], O_PATH | O_DIRECTORY);
        if (dir < 0) {
            perror(arguments[2]);
            return 2;
        }
    } else {
        size = atoll(arguments[2]);
        real = atoll(arguments[3]);
    }
    arguments[used] = arguments[0];
    return fuse_main(count - used, arguments + used, is_mirror ? &mirror : &ends_early, 0);
}
