/* Several named arrays: a zip file of .npy members, over libzip. */
#include "formats/file.h"
#include "formats/npy.h"

#include "cornu/formats.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zip.h>

#define SUFFIX ".npy"

/* Deflate makes at most 1032 bytes of one, so that a member whose stated size is beyond this many
 * times the whole file is a lie, told to make its reader take memory. */
#define MAX_EXPANSION 1040

/* What is taken before any of a member has been seen; from there on memory follows the data. */
#define FIRST_CHUNK ((size_t)16 << 20)

typedef struct member {
    const char *name; /* in the arena, without ".npy" */
    zip_uint64_t index;
} member;

struct cn_npz {
    zip_t *zip;
    char *path;
    uint64_t file_size;
    cn__arena *names;
    member *members;
    size_t count, capacity;
};

/* ---- opening ---- */

static cn_status fail_zip_code(const char *path, const char *action, int code)
{
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    bool system = zip_error_system_type(&error) == ZIP_ET_SYS || code == ZIP_ER_NOENT;
    cn_status status = system ? CN_ERROR_IO : CN_ERROR_FORMAT;
    status = cn__fail(status, "%s: cannot %s: %s", path, action, zip_error_strerror(&error));
    zip_error_fini(&error);
    return status;
}

/* The member's name without ".npy"; other members are passed over. */
static cn_status list_member(cn_npz *npz, zip_uint64_t index)
{
    const char *name = zip_get_name(npz->zip, index, 0);
    size_t length = name ? strlen(name) : 0, suffix = strlen(SUFFIX);
    if (length < suffix || strcmp(name + length - suffix, SUFFIX) != 0)
        return CN_OK;
    CN__TRY(
        cn__grow(&npz->members, &npz->capacity, npz->count, npz->count + 1, sizeof *npz->members));
    char *copy = cn__arena_strdup(npz->names, name);
    if (!copy)
        return CN_ERROR_MEMORY;
    copy[length - suffix] = '\0';
    npz->members[npz->count++] = (member){copy, index};
    return CN_OK;
}

static cn_status open_npz(cn_npz *npz, const char *path)
{
    npz->path = cn__strdup(path);
    npz->names = cn__arena_new();
    if (!npz->path || !npz->names)
        return CN_ERROR_MEMORY;
    struct stat info;
    int code;
    npz->zip = zip_open(path, ZIP_RDONLY, &code);
    if (!npz->zip)
        return fail_zip_code(path, "open as npz", code);
    npz->file_size = stat(path, &info) == 0 ? (uint64_t)info.st_size : 0;
    zip_int64_t members = zip_get_num_entries(npz->zip, 0);
    for (zip_int64_t i = 0; i < members; i++)
        CN__TRY(list_member(npz, (zip_uint64_t)i));
    return CN_OK;
}

cn_npz *cn_npz_open(const char *path)
{
    if (!path)
        return (void)cn__fail_null_argument("cn_npz_open"), NULL;
    cn_npz *npz = cn__calloc(1, sizeof *npz);
    cn_status status = npz ? open_npz(npz, path) : CN_ERROR_MEMORY;
    if (status == CN_OK)
        return npz;
    if (status == CN_ERROR_MEMORY)
        (void)cn__fail_within("%s", path);
    cn_npz_close(npz);
    return NULL;
}

void cn_npz_close(cn_npz *npz)
{
    if (!npz)
        return;
    if (npz->zip)
        zip_discard(npz->zip);
    cn__arena_free(npz->names);
    cn__free(npz->members);
    cn__free(npz->path);
    cn__free(npz);
}

size_t cn_npz_count(const cn_npz *npz)
{
    return npz ? npz->count : 0;
}

const char *cn_npz_name(const cn_npz *npz, size_t index)
{
    return npz && index < npz->count ? npz->members[index].name : NULL;
}

/* ---- reading a member ---- */

static cn_status member_size(cn_npz *npz, const member *m, size_t *size)
{
    zip_stat_t info;
    const zip_uint64_t needed = ZIP_STAT_SIZE | ZIP_STAT_COMP_METHOD;
    if (zip_stat_index(npz->zip, m->index, 0, &info) != 0 || (info.valid & needed) != needed)
        return cn__fail(CN_ERROR_FORMAT, "the zip file does not tell its size");
    if (info.comp_method != ZIP_CM_STORE && info.comp_method != ZIP_CM_DEFLATE)
        return cn__fail(CN_ERROR_UNSUPPORTED,
                        "compressed by method %d; stored (0) and deflated (8) are supported",
                        info.comp_method);
    if (info.size / MAX_EXPANSION > npz->file_size)
        return cn__fail(
            CN_ERROR_FORMAT, "its stated size of %llu bytes is more than %d times the file's %llu",
            (unsigned long long)info.size, MAX_EXPANSION, (unsigned long long)npz->file_size);
    *size = (size_t)info.size;
    return CN_OK;
}

/* Reads up to `wanted` bytes, fewer only at the member's end. At the end libzip checks the sum. */
static cn_status read_bytes(zip_file_t *file, char *bytes, size_t wanted, size_t *got)
{
    for (*got = 0; *got < wanted;) {
        zip_int64_t more = zip_fread(file, bytes + *got, wanted - *got);
        if (more < 0)
            return cn__fail(CN_ERROR_FORMAT, "cannot read: %s", zip_file_strerror(file));
        if (more == 0)
            break;
        *got += (size_t)more;
    }
    return CN_OK;
}

/* Reads the member of `size` stated bytes. The npy header is checked as soon as it is there, and
 * memory grows only as data really come. */
static cn_status read_member(zip_file_t *file, size_t size, char **bytes)
{
    size_t capacity = 0, used = 0, got = 0, called_for = 0;
    for (bool first = true; used < size; first = false) {
        size_t chunk = first ? CN__NPY_MAX_HEADER : FIRST_CHUNK;
        chunk = (size_t)cn__min((int64_t)(size - used), (int64_t)cn__max(chunk, used));
        CN__TRY(cn__grow(bytes, &capacity, used, used + chunk, 1));
        CN__TRY(read_bytes(file, *bytes + used, chunk, &got));
        if (got < chunk)
            return cn__fail(CN_ERROR_FORMAT, "cut short: %zu of %zu bytes", used + got, size);
        used += got;
        if (!first)
            continue;
        CN__TRY(cn__npy_size(*bytes, used, &called_for));
        if (called_for != size)
            return cn__fail(CN_ERROR_FORMAT, "its header calls for %zu bytes, the zip states %zu",
                            called_for, size);
    }
    char beyond;
    CN__TRY(read_bytes(file, &beyond, 1, &got));
    return got ? cn__fail(CN_ERROR_FORMAT, "more than its stated %zu bytes", size) : CN_OK;
}

static cn_array *read_array(cn_npz *npz, const member *m)
{
    size_t size = 0;
    if (member_size(npz, m, &size) != CN_OK)
        return NULL;
    zip_file_t *file = zip_fopen_index(npz->zip, m->index, 0);
    if (!file)
        return cn__fail_null(CN_ERROR_FORMAT, "cannot read: %s", zip_strerror(npz->zip));
    char *bytes = NULL;
    cn_status status = read_member(file, size, &bytes);
    (void)zip_fclose(file);
    cn_array *array = status == CN_OK ? cn__npy_parse(bytes, size) : NULL;
    cn__free(bytes);
    return array;
}

cn_array *cn_npz_read(cn_npz *npz, const char *name)
{
    if (!npz || !name)
        return (void)cn__fail_null_argument("cn_npz_read"), NULL;
    for (size_t i = 0; i < npz->count; i++) {
        if (strcmp(npz->members[i].name, name) != 0)
            continue;
        cn_array *array = read_array(npz, &npz->members[i]);
        if (!array)
            (void)cn__fail_within("%s: array '%s'", npz->path, name);
        return array;
    }
    return cn__fail_null(CN_ERROR_NOT_FOUND, "%s: there is no array '%s'; the first of %zu is '%s'",
                         npz->path, name, npz->count, npz->count ? npz->members[0].name : "");
}

/* ---- writing ---- */

/* libzip keeps what it is given until zip_close, which writes another file in the same folder and
 * renames it. */
struct cn_npz_writer {
    zip_t *zip;
    char *path;
    size_t count;
    cn_status status; /* of the additions so far */
};

cn_npz_writer *cn_npz_create(const char *path)
{
    if (!path)
        return (void)cn__fail_null_argument("cn_npz_create"), NULL;
    if (cn__file_may_replace(path) != CN_OK)
        return NULL;
    cn_npz_writer *writer = cn__calloc(1, sizeof *writer);
    if (!writer || !(writer->path = cn__strdup(path))) {
        cn__free(writer);
        return (void)cn__fail_within("%s", path), NULL;
    }
    int code;
    writer->zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &code);
    if (writer->zip)
        return writer;
    (void)fail_zip_code(path, "write", code);
    cn_npz_discard(writer);
    return NULL;
}

void cn_npz_discard(cn_npz_writer *writer)
{
    if (!writer)
        return;
    if (writer->zip)
        zip_discard(writer->zip);
    cn__free(writer->path);
    cn__free(writer);
}

/* The npy in one piece of the C library's memory, which libzip frees. */
static zip_source_t *new_source(zip_t *zip, const cn_array *array)
{
    char header[CN__NPY_HEADER_SPACE];
    size_t size, length = cn__npy_header(array, header);
    const void *elements = cn__npy_elements(array, &size);
    char *bytes = malloc(length + size);
    if (!bytes)
        return (void)cn__fail_memory("npy", length + size), NULL;
    memcpy(bytes, header, length);
    memcpy(bytes + length, elements, size);
    zip_source_t *source = zip_source_buffer(zip, bytes, length + size, 1);
    if (!source) {
        free(bytes);
        (void)cn__fail_memory("zip", length + size);
    }
    return source;
}

static cn_status add(cn_npz_writer *writer, const char *name, const cn_array *array)
{
    enum { DOS_1980_01_01 = 1 << 5 | 1 }; /* the first date of zip files */
    size_t size = strlen(name) + sizeof SUFFIX;
    char *member_name = cn__alloc(size);
    if (!member_name)
        return CN_ERROR_MEMORY;
    (void)snprintf(member_name, size, "%s" SUFFIX, name);
    zip_source_t *source = new_source(writer->zip, array);
    cn_status status = source ? CN_OK : CN_ERROR_MEMORY;
    zip_int64_t index = -1;
    if (source)
        index = zip_file_add(writer->zip, member_name, source, ZIP_FL_ENC_UTF_8);
    if (source && index < 0)
        zip_source_free(source);
    if (source && (index < 0 ||
                   zip_set_file_compression(writer->zip, (zip_uint64_t)index, ZIP_CM_DEFLATE, 0) ||
                   zip_file_set_dostime(writer->zip, (zip_uint64_t)index, 0, DOS_1980_01_01, 0)))
        status = cn__fail(CN_ERROR_ARGUMENT, "cannot add: %s", zip_strerror(writer->zip));
    cn__free(member_name);
    return status;
}

cn_status cn_npz_add(cn_npz_writer *writer, const char *name, const cn_array *array)
{
    if (!writer)
        return cn__fail_null_argument("cn_npz_add");
    if (writer->status != CN_OK)
        return writer->status;
    if (!name || !array)
        return writer->status = cn__fail_null_argument("cn_npz_add");
    writer->status = add(writer, name, array);
    if (writer->status != CN_OK)
        return cn__fail_within("%s: array '%s'", writer->path, name);
    writer->count++;
    return CN_OK;
}

cn_status cn_npz_finish(cn_npz_writer *writer)
{
    if (!writer)
        return cn__fail_null_argument("cn_npz_finish");
    cn_status status = writer->status;
    if (status == CN_OK && writer->count == 0)
        status = cn__fail(CN_ERROR_ARGUMENT, "%s: an npz needs at least one array", writer->path);
    if (status == CN_OK && zip_close(writer->zip) != 0)
        status =
            cn__fail(CN_ERROR_IO, "%s: cannot write: %s", writer->path, zip_strerror(writer->zip));
    else if (status == CN_OK)
        writer->zip = NULL;
    cn_npz_discard(writer);
    return status;
}
