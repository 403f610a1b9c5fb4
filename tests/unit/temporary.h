/* A temporary folder for tests of files. */
#ifndef CORNU_TESTS_TEMPORARY_H
#define CORNU_TESTS_TEMPORARY_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char temporary_folder[200];

static inline int make_temporary_folder(void **state)
{
    (void)state;
    const char *where = getenv("TMPDIR");
    snprintf(temporary_folder, sizeof temporary_folder, "%.150s/cornu-test-XXXXXX",
             where ? where : P_tmpdir);
    return mkdtemp(temporary_folder) ? 0 : -1;
}

/* The path of a file in the folder, in memory that is used again eight calls later. */
static inline const char *temporary_path(const char *name)
{
    static char paths[8][520];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%.300s", temporary_folder, name);
    return path;
}

/* The number of files in the folder; removes them if `remove_them`. */
static inline int count_temporary_files(int remove_them)
{
    DIR *folder = opendir(temporary_folder);
    int count = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (entry->d_name[0] == '.')
            continue;
        count++;
        if (remove_them)
            (void)remove(temporary_path(entry->d_name));
    }
    if (folder)
        (void)closedir(folder);
    return count;
}

static inline int remove_temporary_folder(void **state)
{
    (void)state;
    (void)count_temporary_files(1);
    return rmdir(temporary_folder);
}

static inline int empty_temporary_folder(void **state)
{
    (void)state;
    (void)count_temporary_files(1);
    return 0;
}

/* Writes the file and returns its path. */
static inline const char *write_temporary(const char *name, const void *bytes, size_t size)
{
    const char *path = temporary_path(name);
    FILE *stream = fopen(path, "wb");
    if (!stream || fwrite(bytes, 1, size, stream) != size || fclose(stream) != 0)
        return NULL;
    return path;
}

/* Reads at most `capacity` bytes and returns their number. */
static inline size_t read_temporary(const char *name, void *bytes, size_t capacity)
{
    FILE *stream = fopen(temporary_path(name), "rb");
    size_t size = stream ? fread(bytes, 1, capacity, stream) : 0;
    if (stream)
        (void)fclose(stream);
    return size;
}

#endif
