/* Writing Keras' files: which kind it is, and the parts it is made of. All is made in memory, then
 * written under another name, then renamed. */
#include "formats/file.h"
#include "formats/keras.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What old readers take: the forms are those of the first Keras 3. */
#define VERSION "3.0.0"

static cn_status start(cn__keras_saving *s, bool legacy, bool has_weights)
{
    *s = (cn__keras_saving){legacy, has_weights, cn__arena_new()};
    return s->arena != NULL ? CN_OK : cn_error_status();
}

static cn_status print(json_t *json, char **text)
{
    *text = json != NULL ? cn__json_print(json) : NULL;
    json_decref(json);
    return *text != NULL ? CN_OK : cn_error_status();
}

static cn_status write_bytes(FILE *stream, const void *bytes, size_t size)
{
    bool written = fwrite(bytes, 1, size, stream) == size;
    return written ? CN_OK : cn__fail(CN_ERROR_IO, "cannot write; the disk may be full");
}

/* ---- .json ---- */

static cn_status make_json(const cn_model *model, char **text)
{
    cn__keras_saving s;
    *text = NULL;
    cn_status status = start(&s, false, false);
    if (status == CN_OK)
        status = print(cn__keras_save_config(&s, model), text);
    cn__arena_free(s.arena);
    return status;
}

static cn_status save_json(cn_model *model, FILE *stream)
{
    char *text = NULL;
    CN__TRY(make_json(model, &text));
    cn_status status = write_bytes(stream, text, strlen(text));
    cn__free(text);
    return status;
}

/* ---- .h5 and .weights.h5 ---- */

static cn_status save_image(bool legacy, cn__h5_filler *fill, const cn_model *model, FILE *stream)
{
    cn__keras_saving s;
    void *bytes = NULL;
    size_t size = 0;
    cn_status status = start(&s, legacy, true);
    if (status == CN_OK)
        status = cn__h5_make(&s, fill, model, &bytes, &size);
    if (status == CN_OK)
        status = write_bytes(stream, bytes, size);
    cn__free(bytes);
    cn__arena_free(s.arena);
    return status;
}

static cn_status save_weights(cn_model *model, FILE *stream)
{
    return save_image(false, cn__keras_put_weights, model, stream);
}

static cn_status put_json(const cn__h5 *h5, const char *name, json_t *json)
{
    char *text = NULL;
    CN__TRY(print(json, &text));
    cn_status status = cn__h5_put_text(h5, "/", name, text);
    cn__free(text);
    return status;
}

static cn_status put_training(const cn__keras_saving *s, const cn__h5 *h5, const cn_model *model)
{
    json_t *config = json_object();
    cn_status status = config != NULL
                           ? cn__keras_put_compile(s, model, config)
                           : cn__fail(CN_ERROR_MEMORY, "no memory for the configuration");
    if (status == CN_OK)
        status = put_json(h5, "training_config", json_incref(config));
    json_decref(config);
    return status == CN_OK ? cn__keras_put_old_optimizer(s, h5, model) : status;
}

/* Who wrote it, at the root and beside the weights. */
static cn_status put_versions(const cn__h5 *h5, const char *group)
{
    CN__TRY(cn__h5_put_text(h5, group, "keras_version", VERSION));
    return cn__h5_put_text(h5, group, "backend", "tensorflow");
}

static cn_status put_whole(const cn__keras_saving *s, const cn__h5 *h5, const cn_model *model)
{
    CN__TRY(put_versions(h5, "/"));
    CN__TRY(put_json(h5, "model_config", cn__keras_save_config(s, model)));
    CN__TRY(cn__keras_put_old_weights(s, h5, model));
    CN__TRY(put_versions(h5, "/model_weights"));
    return cn_model_is_compiled(model) ? put_training(s, h5, model) : CN_OK;
}

static cn_status save_h5(cn_model *model, FILE *stream)
{
    return save_image(true, put_whole, model, stream);
}

/* ---- .keras ---- */

/* The time now, or that of SOURCE_DATE_EPOCH, so that the same model can give the same bytes. */
static cn_status put_date(json_t *metadata)
{
    const char *given = getenv("SOURCE_DATE_EPOCH");
    time_t now = given != NULL ? (time_t)strtoll(given, NULL, 10) : time(NULL);
    struct tm parts = {0};
    char text[64] = "";
    if (gmtime_r(&now, &parts) == NULL ||
        strftime(text, sizeof text, "%Y-%m-%d@%H:%M:%S", &parts) == 0)
        (void)strcpy(text, "1970-01-01@00:00:00");
    return cn__json_put(metadata, "date_saved", json_string(text));
}

static cn_status fill_metadata(const cn__keras_saving *s, const cn_model *model, json_t *metadata)
{
    const cn__compiled *c = cn__model_compiled(model);
    const char *optimizer = NULL;
    bool decays;
    CN__TRY(cn__json_put(metadata, "keras_version", json_string(VERSION)));
    CN__TRY(put_date(metadata));
    if (c == NULL)
        return CN_OK;
    CN__TRY(cn__keras_own_optimizer(s, c->optimizer, &optimizer, &decays));
    if (optimizer != NULL)
        CN__TRY(cn__json_put(metadata, "cornu_optimizer", json_string(optimizer)));
    return cn__keras_put_records(model, metadata, "cornu_training");
}

static cn_status make_metadata(const cn__keras_saving *s, const cn_model *model, char **text)
{
    json_t *metadata = json_object();
    cn_status status = metadata != NULL ? fill_metadata(s, model, metadata)
                                        : cn__fail(CN_ERROR_MEMORY, "no memory for the metadata");
    if (status == CN_OK)
        return print(metadata, text);
    json_decref(metadata);
    return status;
}

static cn_status make_config(const cn__keras_saving *s, const cn_model *model, char **text)
{
    json_t *json = cn__keras_save_config(s, model);
    cn_status status = json != NULL ? CN_OK : cn_error_status();
    if (status == CN_OK && cn_model_is_compiled(model)) {
        json_t *config = cn__json_put_object(json, "compile_config");
        status = config != NULL ? cn__keras_put_compile(s, model, config) : cn_error_status();
    }
    if (status == CN_OK)
        return print(json, text);
    json_decref(json);
    return status;
}

static cn_status put_state(const cn__keras_saving *s, const cn__h5 *h5, const cn_model *model)
{
    CN__TRY(cn__keras_put_weights(s, h5, model));
    if (!cn_model_is_compiled(model))
        return CN_OK;
    CN__TRY(cn__keras_put_optimizer(s, h5, model));
    return cn__keras_put_long_records(s, h5, model);
}

/* The members, made one after the other; NULL until then. */
typedef struct parts {
    char *metadata, *config;
    void *weights;
    size_t weights_size;
} parts;

static cn_status make_parts(const cn__keras_saving *s, const cn_model *model, parts *p)
{
    CN__TRY(make_metadata(s, model, &p->metadata));
    CN__TRY(make_config(s, model, &p->config));
    return cn__h5_make(s, put_state, model, &p->weights, &p->weights_size);
}

static cn_status save_keras(cn_model *model, FILE *stream)
{
    cn__keras_saving s;
    parts p = {NULL, NULL, NULL, 0};
    cn_status status = start(&s, false, true);
    if (status == CN_OK)
        status = make_parts(&s, model, &p);
    if (status == CN_OK)
        status = cn__keras_zip(
            (const cn__keras_member[]){{"metadata.json", p.metadata, strlen(p.metadata)},
                                       {"config.json", p.config, strlen(p.config)},
                                       {"model.weights.h5", p.weights, p.weights_size}},
            3, stream);
    cn__free(p.metadata);
    cn__free(p.config);
    cn__free(p.weights);
    cn__arena_free(s.arena);
    return status;
}

/* ---- public ---- */

static const struct {
    const char *ending;
    cn_status (*save)(cn_model *model, FILE *stream);
} kinds[] = {
    {".weights.h5", save_weights}, {".keras", save_keras}, {".h5", save_h5}, {".hdf5", save_h5},
    {".json", save_json},
};

static bool ends_in(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static cn_status save(cn_model *model, const char *path)
{
    size_t kind = 0;
    while (kind < CN__COUNT(kinds) && !ends_in(path, kinds[kind].ending))
        kind++;
    if (kind == CN__COUNT(kinds))
        return cn__fail(CN_ERROR_ARGUMENT,
                        "the name tells no kind of file; it should end in .keras, .h5, .weights.h5 "
                        "or .json");
    cn__file_writer writer;
    cn_status status = cn__file_create(&writer, path);
    if (status != CN_OK)
        return status;
    return cn__file_finish(&writer, kinds[kind].save(model, writer.stream));
}

cn_status cn_model_save(cn_model *model, const char *path)
{
    if (model == NULL || path == NULL)
        return cn__fail_null_argument("cn_model_save");
    cn_status status = save(model, path);
    if (status != CN_OK && strstr(cn_error_message(), path) != cn_error_message())
        return cn__fail_within("%s", path);
    return status;
}

char *cn_model_to_json(const cn_model *model)
{
    char *text = NULL;
    if (model == NULL)
        return cn__fail_null_argument("cn_model_to_json"), NULL;
    return make_json(model, &text) == CN_OK ? text : NULL;
}
