/*
 * Exercise 49-1 of The Linux Programming Interface, as its reader would write it: maps the
 * whole of both files, and copies memory. What `cargo xtask bench` measures mapcp by.
 *
 * gcc -O2 -o copy copy.c
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void fail(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

int main(int argc, char *argv[])
{
    if (argc != 3) {
        fprintf(stderr, "Usage: %s SOURCE DEST\n", argv[0]);
        return 2;
    }

    int source = open(argv[1], O_RDONLY);
    if (source == -1)
        fail(argv[1]);
    struct stat status;
    if (fstat(source, &status) == -1)
        fail(argv[1]);
    size_t size = status.st_size;

    int dest = open(argv[2], O_RDWR | O_CREAT | O_TRUNC, status.st_mode & 0777);
    if (dest == -1)
        fail(argv[2]);
    if (ftruncate(dest, size) == -1)
        fail("ftruncate");

    /* There is no map of length 0. */
    if (size > 0) {
        void *from = mmap(NULL, size, PROT_READ, MAP_SHARED, source, 0);
        if (from == MAP_FAILED)
            fail("mmap");
        void *to = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, dest, 0);
        if (to == MAP_FAILED)
            fail("mmap");
        memcpy(to, from, size);
        if (munmap(from, size) == -1 || munmap(to, size) == -1)
            fail("munmap");
    }

    if (close(source) == -1 || close(dest) == -1)
        fail("close");
    printf("Copied %zu bytes\n", size);
    if (fflush(stdout) == EOF)
        fail("standard output");
    return EXIT_SUCCESS;
}
