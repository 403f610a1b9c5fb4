/* .keras: a zip file with config.json and model.weights.h5. */
#include "formats/keras.h"

#include <string.h>
#include <zip.h>

/* Members are as a rule stored, or deflated to not much less: weights are nearly random. */
#define MOST_CONFIG ((size_t)32 << 20)
#define MOST_METADATA ((size_t)16 << 20) /* with what a training has kept */
#define MOST_INFLATION 4
#define ALWAYS_READ ((size_t)32 << 20)

static cn_status fail_open(int code)
{
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    cn_status status =
        cn__fail(zip_error_system_type(&error) == ZIP_ET_SYS ? CN_ERROR_IO : CN_ERROR_FORMAT,
                 "cannot be opened as .keras (zip): %s", zip_error_strerror(&error));
    zip_error_fini(&error);
    return status;
}

static cn_status check_member(const char *name, const zip_stat_t *info, size_t limit)
{
    const zip_uint64_t needed = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    if ((info->valid & needed) != needed)
        return cn__fail(CN_ERROR_FORMAT, "%s: the zip file does not tell its size", name);
    if (info->comp_method != ZIP_CM_STORE && info->comp_method != ZIP_CM_DEFLATE)
        return cn__fail(CN_ERROR_UNSUPPORTED,
                        "%s: compressed with method %d; stored and deflated members can be read",
                        name, (int)info->comp_method);
    if (info->size > limit ||
        (info->size > ALWAYS_READ && info->size / MOST_INFLATION > info->comp_size))
        return cn__fail(CN_ERROR_FORMAT,
                        "%s: %llu bytes, of which the file holds %llu: more than can be meant",
                        name, (unsigned long long)info->size, (unsigned long long)info->comp_size);
    return CN_OK;
}

static cn_status read_all(zip_file_t *file, const char *name, char *bytes, size_t size)
{
    size_t got = 0;
    while (got < size) {
        zip_int64_t more = zip_fread(file, bytes + got, size - got);
        if (more <= 0)
            return cn__fail(CN_ERROR_FORMAT, "%s: cannot be read: %s", name,
                            more < 0 ? zip_file_strerror(file) : "it ends early");
        got += (size_t)more;
    }
    /* Reading on makes libzip compare the checksum. */
    char beyond;
    if (zip_fread(file, &beyond, 1) != 0)
        return cn__fail(CN_ERROR_FORMAT, "%s: its checksum or size is wrong", name);
    return CN_OK;
}

/* Reads a member with a 0 behind it. `*bytes` stays NULL if there is no such member. */
static cn_status read_member(zip_t *zip, const char *name, size_t limit, void **bytes, size_t *size)
{
    zip_stat_t info;
    zip_int64_t index = zip_name_locate(zip, name, 0);
    if (index < 0)
        return CN_OK;
    if (zip_stat_index(zip, (zip_uint64_t)index, 0, &info) != 0)
        return cn__fail(CN_ERROR_FORMAT, "%s: %s", name, zip_strerror(zip));
    CN__TRY(check_member(name, &info, limit));
    zip_file_t *file = zip_fopen_index(zip, (zip_uint64_t)index, 0);
    if (file == NULL)
        return cn__fail(CN_ERROR_FORMAT, "%s: %s", name, zip_strerror(zip));
    *size = (size_t)info.size;
    char *read = cn__alloc(*size + 1);
    cn_status status = read == NULL ? cn_error_status() : read_all(file, name, read, *size);
    (void)zip_fclose(file);
    if (status != CN_OK) {
        cn__free(read);
        return status;
    }
    read[*size] = '\0';
    *bytes = read;
    return CN_OK;
}

/* Keras 2.12 to 2.15 wrote .keras files, too, in Keras 2's words. */
static cn_status read_version(zip_t *zip, int *version)
{
    void *text = NULL;
    size_t size = 0;
    CN__TRY(read_member(zip, "metadata.json", MOST_METADATA, &text, &size));
    json_t *json = text != NULL ? json_loadb(text, size, 0, NULL) : NULL;
    const char *written = cn__json_text(json, "keras_version");
    *version = written != NULL && written[0] == '2' ? 2 : 3;
    json_decref(json);
    cn__free(text);
    return CN_OK;
}

static cn_status read_parts(zip_t *zip, cn__keras_parts *parts)
{
    void *text = NULL;
    CN__TRY(read_version(zip, &parts->version));
    CN__TRY(read_member(zip, "config.json", MOST_CONFIG, &text, &parts->config_size));
    parts->config = text;
    CN__TRY(
        read_member(zip, "model.weights.h5", SIZE_MAX / 2, &parts->weights, &parts->weights_size));
    if (parts->config == NULL || parts->weights == NULL)
        return cn__fail(
            CN_ERROR_FORMAT,
            "the zip file has no %s; a .keras file has config.json and model.weights.h5",
            parts->config == NULL ? "config.json" : "model.weights.h5");
    return CN_OK;
}

cn_status cn__keras_unzip(const char *path, cn__keras_parts *parts)
{
    int code = 0;
    *parts = (cn__keras_parts){0};
    zip_t *zip = zip_open(path, ZIP_RDONLY, &code);
    if (zip == NULL)
        return fail_open(code);
    cn_status status = read_parts(zip, parts);
    zip_discard(zip);
    if (status != CN_OK) {
        cn__free(parts->config);
        cn__free(parts->weights);
        *parts = (cn__keras_parts){0};
    }
    return status;
}

cn_status cn__keras_metadata(const char *path, json_t **metadata)
{
    int code = 0;
    void *text = NULL;
    size_t size = 0;
    *metadata = NULL;
    zip_t *zip = zip_open(path, ZIP_RDONLY, &code);
    if (zip == NULL)
        return fail_open(code);
    cn_status status = read_member(zip, "metadata.json", MOST_METADATA, &text, &size);
    zip_discard(zip);
    if (status == CN_OK && text != NULL) {
        *metadata = cn__json_parse(text, size);
        status = *metadata != NULL ? CN_OK : cn_error_status();
    }
    cn__free(text);
    return status;
}

/* ---- writing ---- */

static cn_status add_member(zip_t *zip, const cn__keras_member *member)
{
    enum { DOS_1980_01_01 = 1 << 5 | 1 }; /* the first date of zip files */
    zip_source_t *source = zip_source_buffer(zip, member->bytes, member->size, 0);
    if (source == NULL)
        return cn__fail_memory("zip", member->size);
    zip_int64_t index = zip_file_add(zip, member->name, source, ZIP_FL_ENC_UTF_8);
    if (index < 0)
        zip_source_free(source);
    if (index < 0 || zip_set_file_compression(zip, (zip_uint64_t)index, ZIP_CM_STORE, 0) != 0 ||
        zip_file_set_dostime(zip, (zip_uint64_t)index, 0, DOS_1980_01_01, 0) != 0)
        return cn__fail(CN_ERROR_MEMORY, "%s: cannot be added: %s", member->name,
                        zip_strerror(zip));
    return CN_OK;
}

/* Closing writes the zip file into the memory of `archive`, which outlives it. */
static cn_status fill_archive(zip_source_t *archive, const cn__keras_member *members, int count)
{
    zip_error_t error;
    zip_error_init(&error);
    zip_source_keep(archive);
    zip_t *zip = zip_open_from_source(archive, ZIP_TRUNCATE, &error);
    if (zip == NULL) {
        zip_source_free(archive);
        zip_error_fini(&error);
        return cn__fail(CN_ERROR_MEMORY, "the zip file cannot be made");
    }
    cn_status status = CN_OK;
    for (int i = 0; i < count && status == CN_OK; i++)
        status = add_member(zip, &members[i]);
    if (status == CN_OK && zip_close(zip) == 0)
        return CN_OK;
    if (status == CN_OK)
        status = cn__fail(CN_ERROR_MEMORY, "the zip file cannot be made: %s", zip_strerror(zip));
    zip_discard(zip);
    return status;
}

static cn_status copy_archive(zip_source_t *archive, FILE *stream)
{
    char piece[65536];
    if (zip_source_open(archive) != 0)
        return cn__fail(CN_ERROR_MEMORY, "the zip file cannot be read back");
    zip_int64_t got = 0;
    bool written = true;
    while (written && (got = zip_source_read(archive, piece, sizeof piece)) > 0)
        written = fwrite(piece, 1, (size_t)got, stream) == (size_t)got;
    (void)zip_source_close(archive);
    return written && got == 0 ? CN_OK
                               : cn__fail(CN_ERROR_IO, "cannot write; the disk may be full");
}

cn_status cn__keras_zip(const cn__keras_member *members, int count, FILE *stream)
{
    zip_source_t *archive = zip_source_buffer_create(NULL, 0, 0, NULL);
    if (archive == NULL)
        return cn__fail_memory("zip", 0);
    cn_status status = fill_archive(archive, members, count);
    if (status == CN_OK)
        status = copy_archive(archive, stream);
    zip_source_free(archive);
    return status;
}
