/* Whole files in, whole files out: nothing half-written remains. */
#include "formats/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_READ ((size_t)64 << 10)
#define NAME_ATTEMPTS 100

cn_status cn__file_fail(const char *path, const char *action)
{
    char reason[128] = "";
    int error = errno;
    if (strerror_r(error, reason, sizeof reason) != 0)
        (void)snprintf(reason, sizeof reason, "error %d", error);
    return cn__fail(CN_ERROR_IO, "%s: cannot %s: %s", path, action, reason);
}

/* ---- reading ---- */

static cn_status read_stream(FILE *stream, const char *path, size_t limit, void **bytes,
                             size_t *size)
{
    /* The size of a regular file saves growing; one byte more shows its end. */
    struct stat info;
    bool regular = fstat(fileno(stream), &info) == 0 && S_ISREG(info.st_mode);
    if (regular && (uintmax_t)info.st_size > limit)
        return cn__fail(CN_ERROR_UNSUPPORTED, "%s: %lld bytes are more than the %zu Cornu reads",
                        path, (long long)info.st_size, limit);
    size_t capacity = 0, used = 0;
    CN__TRY(cn__grow(bytes, &capacity, 0, regular ? (size_t)info.st_size + 1 : FIRST_READ, 1));
    for (;;) {
        size_t got = fread((char *)*bytes + used, 1, capacity - used, stream);
        used += got;
        if (ferror(stream))
            return cn__file_fail(path, "read");
        if (used > limit)
            return cn__fail(CN_ERROR_UNSUPPORTED, "%s: more than the %zu bytes Cornu reads", path,
                            limit);
        if (feof(stream))
            break;
        CN__TRY(cn__grow(bytes, &capacity, used, used + 1, 1));
    }
    *size = used;
    return CN_OK;
}

cn_status cn__file_read(const char *path, size_t limit, void **bytes, size_t *size)
{
    *bytes = NULL;
    *size = 0;
    FILE *stream = fopen(path, "rbe");
    if (!stream)
        return cn__file_fail(path, "open");
    cn_status status = read_stream(stream, path, limit, bytes, size);
    (void)fclose(stream);
    if (status != CN_OK) {
        cn__free(*bytes);
        *bytes = NULL;
    }
    return status == CN_ERROR_MEMORY ? cn__fail_within("%s", path) : status;
}

/* ---- writing ---- */

cn_status cn__file_may_replace(const char *path)
{
    struct stat info;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return cn__fail(CN_ERROR_IO, "%s: cannot write: it exists and is not a regular file", path);
    return CN_OK;
}

/* Not mkstemp: that makes a file for its owner only, whatever the umask. */
cn_status cn__file_create(cn__file_writer *writer, const char *path)
{
    *writer = (cn__file_writer){.path = path};
    CN__TRY(cn__file_may_replace(path));
    static atomic_uint names;
    size_t size = strlen(path) + 40;
    writer->temporary = cn__alloc(size);
    if (!writer->temporary)
        return cn__fail_within("%s", path);
    int file = -1;
    for (int i = 0; file < 0 && i < NAME_ATTEMPTS; i++) {
        unsigned number = atomic_fetch_add(&names, 1);
        (void)snprintf(writer->temporary, size, "%s.%lld-%u", path, (long long)getpid(), number);
        file = open(writer->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file < 0 && errno != EEXIST)
            break;
    }
    writer->stream = file < 0 ? NULL : fdopen(file, "wb");
    if (writer->stream)
        return CN_OK;
    cn_status status = cn__file_fail(path, "write");
    if (file >= 0) {
        (void)close(file);
        (void)unlink(writer->temporary);
    }
    cn__free(writer->temporary);
    return status;
}

cn_status cn__file_finish(cn__file_writer *writer, cn_status status)
{
    /* On the disk before it gets its name: a crash must not leave an empty file under it. */
    bool written = fflush(writer->stream) == 0 && !ferror(writer->stream) &&
                   (status != CN_OK || fsync(fileno(writer->stream)) == 0);
    written = fclose(writer->stream) == 0 && written;
    if (status == CN_OK && (!written || rename(writer->temporary, writer->path) != 0))
        status = cn__file_fail(writer->path, "write");
    if (status != CN_OK)
        (void)unlink(writer->temporary);
    cn__free(writer->temporary);
    return status;
}
