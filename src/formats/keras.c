/* Keras' models: which kind of file it is, and the steps of reading it. */
#include "formats/file.h"
#include "formats/keras.h"

#include <stdlib.h>
#include <string.h>

#define MOST_JSON ((size_t)32 << 20) /* bytes of a configuration in a file of its own */

/* More weights than a file can hold are refused before memory is taken for them: two bytes each is
 * the least, unless they are compressed. A configuration alone may ask for 2 GiB. */
#define ALWAYS_ALLOWED ((int64_t)12 << 20)
#define MOST_WITHOUT_FILE ((int64_t)1 << 29)

typedef enum kind { KIND_ZIP, KIND_HDF5, KIND_JSON } kind;

static cn_status start(cn__keras *k, const char *path, const cn_load_options *options)
{
    *k = (cn__keras){.path = path, .arena = cn__arena_new()};
    if (options != NULL)
        k->options = *options;
    return k->arena == NULL ? cn_error_status() : CN_OK;
}

/* Tells the kinds apart by their first bytes. */
static cn_status kind_of(const char *path, kind *found)
{
    unsigned char head[8] = {0};
    FILE *stream = fopen(path, "rbe");
    if (stream == NULL)
        return cn__fail(CN_ERROR_IO, "there is no such file, or it cannot be opened");
    size_t got = fread(head, 1, sizeof head, stream);
    (void)fclose(stream);
    size_t text = 0;
    while (text < got && strchr(" \t\r\n", head[text]) != NULL && head[text] != 0)
        text++;
    if (got >= 4 && memcmp(head, "PK\3\4", 4) == 0)
        *found = KIND_ZIP;
    else if (got >= 4 && memcmp(head, "\x89HDF", 4) == 0)
        *found = KIND_HDF5;
    else if (text < got && head[text] == '{')
        *found = KIND_JSON;
    else
        return cn__fail(CN_ERROR_FORMAT,
                        "it is no model of Keras: neither .keras (zip) nor .h5 (HDF5) nor .json");
    return CN_OK;
}

/* ---- building within bounds ---- */

/* Builds the model. Its weights are read afterwards if `bytes`, the size of the file that holds
 * them, is not 0. */
static cn_model *build(cn__keras *k, json_t *json, size_t bytes)
{
    int64_t allowed = bytes > 0
                          ? ALWAYS_ALLOWED + 4 * (int64_t)cn__min((int64_t)bytes, INT64_MAX / 8)
                          : MOST_WITHOUT_FILE;
    int64_t budget = cn__layer_weight_budget(allowed);
    bool skip = cn__layer_skip_initializers(bytes > 0);
    cn_model *model = cn__keras_model(k, json);
    (void)cn__layer_skip_initializers(skip);
    (void)cn__layer_weight_budget(budget);
    return model;
}

/* Reads the weights into the model, which is freed if that fails. */
static cn_model *with_weights(const cn__keras *k, const cn__h5 *h5, cn_model *model)
{
    if (model == NULL || cn__keras_weights(k, h5, model, true) == CN_OK)
        return model;
    cn_model_free(model);
    return NULL;
}

/* ---- .json ---- */

static cn_model *load_text(cn__keras *k, const char *text, size_t size)
{
    json_t *json = cn__json_parse(text, size);
    if (json == NULL)
        return NULL;
    cn__keras_identify(k, cn__json_text(json, "keras_version"), cn__json_text(json, "backend"),
                       false, false, json);
    cn_model *model = build(k, json, 0);
    json_decref(json);
    return model;
}

static cn_model *load_json(cn__keras *k, const char *path)
{
    void *text = NULL;
    size_t size = 0;
    if (cn__file_read(path, MOST_JSON, &text, &size) != CN_OK)
        return NULL;
    cn_model *model = load_text(k, text, size);
    cn__free(text);
    return model;
}

/* ---- .keras ---- */

/* Compiles the model again, which is freed if that fails. */
static cn_model *with_training(const cn__keras *k, const cn__h5 *h5, cn_model *model,
                               const json_t *config, const json_t *metadata)
{
    if (model == NULL || k->options.no_compile)
        return model;
    const char *optimizer = cn__json_text(metadata, "cornu_optimizer");
    cn_status status = cn__keras_compile(k, model, config, optimizer);
    if (status == CN_OK)
        status = cn__keras_read_optimizer(k, h5, model);
    if (status == CN_OK)
        status = cn__keras_read_records(model, cn__json_get(metadata, "cornu_training"), h5);
    if (status == CN_OK)
        return model;
    cn_model_free(model);
    return NULL;
}

static cn_model *load_zip(cn__keras *k, const char *path)
{
    cn__keras_parts parts;
    if (cn__keras_unzip(path, &parts) != CN_OK)
        return NULL;
    json_t *json = cn__json_parse(parts.config, parts.config_size);
    cn__free(parts.config);
    cn__h5 h5;
    if (json == NULL) {
        cn__free(parts.weights);
        return NULL;
    }
    k->version = parts.version;
    cn_model *model = NULL;
    json_t *metadata = NULL;
    if (cn__h5_open_image(parts.weights, parts.weights_size, &h5) == CN_OK &&
        cn__keras_metadata(path, &metadata) == CN_OK) {
        model = with_weights(k, &h5, build(k, json, h5.size));
        model = with_training(k, &h5, model, cn__json_get(json, "compile_config"), metadata);
    }
    cn__h5_close(&h5);
    json_decref(metadata);
    json_decref(json);
    return model;
}

/* ---- .h5 ---- */

/* What an HDF5 file says of the Keras that wrote it, at its root or beside its weights. */
static cn_status identify(cn__keras *k, const cn__h5 *h5, json_t *json)
{
    const char *root = cn__h5_has(h5, "/model_weights") ? "/model_weights" : "/";
    const char *version = NULL, *backend = NULL;
    bool found = false, end_in_0 = false;
    CN__TRY(cn__h5_text(h5, k->arena, "/", "keras_version", &version));
    CN__TRY(cn__h5_text(h5, k->arena, "/", "backend", &backend));
    if (version == NULL)
        CN__TRY(cn__h5_text(h5, k->arena, root, "keras_version", &version));
    if (backend == NULL)
        CN__TRY(cn__h5_text(h5, k->arena, root, "backend", &backend));
    bool old = cn__h5_has_attribute(h5, root, "layer_names") ||
               cn__h5_has_attribute(h5, root, "layer_names0");
    if (old)
        CN__TRY(cn__keras_weight_names(h5, k->arena, root, &found, &end_in_0));
    if (!old && version == NULL)
        version = "3";
    cn__keras_identify(k, version, backend, found, end_in_0, json);
    return CN_OK;
}

/* The optimizers of Keras within TensorFlow were made anew in 2.11. */
static bool has_old_optimizer(const cn__keras *k, const char *version)
{
    const char *minor = version != NULL ? strchr(version, '.') : NULL;
    return k->version == 1 || (k->version == 2 && (minor == NULL || atoi(minor + 1) < 11));
}

/* How the model was trained, NULL if the file does not tell; to be released with json_decref. */
static cn_status read_training(cn__keras *k, const cn__h5 *h5, json_t **config)
{
    const char *text = NULL, *version = NULL;
    *config = NULL;
    CN__TRY(cn__h5_text(h5, k->arena, "/", "training_config", &text));
    CN__TRY(cn__h5_text(h5, k->arena, "/", "keras_version", &version));
    k->old_optimizer = has_old_optimizer(k, version);
    k->sorted_optimizer = k->version == 1 || (version != NULL && strncmp(version, "2.0.", 4) == 0);
    if (text == NULL)
        return CN_OK;
    *config = cn__json_parse(text, strlen(text));
    return *config != NULL ? CN_OK : cn_error_status();
}

static cn_model *load_config(cn__keras *k, const cn__h5 *h5, const char *text)
{
    json_t *json = cn__json_parse(text, strlen(text));
    if (json == NULL)
        return NULL;
    cn_model *model = NULL;
    json_t *training = NULL;
    if (identify(k, h5, json) == CN_OK && read_training(k, h5, &training) == CN_OK) {
        model = with_weights(k, h5, build(k, json, h5->size));
        model = with_training(k, h5, model, training, NULL);
    }
    json_decref(training);
    json_decref(json);
    return model;
}

static cn_model *load_hdf5(cn__keras *k, const char *path)
{
    cn__h5 h5;
    const char *text = NULL;
    if (cn__h5_open(path, &h5) != CN_OK)
        return NULL;
    cn_model *model = NULL;
    if (cn__h5_text(&h5, k->arena, "/", "model_config", &text) == CN_OK) {
        if (text != NULL)
            model = load_config(k, &h5, text);
        else
            cn__fail(CN_ERROR_FORMAT,
                     "it has no model_config: if it holds weights only, make the model and use "
                     "cn_model_load_weights");
    }
    cn__h5_close(&h5);
    return model;
}

/* ---- public ---- */

static cn_model *load_kind(cn__keras *k, const char *path)
{
    static cn_model *(*const loaders[])(cn__keras *, const char *) = {
        [KIND_ZIP] = load_zip, [KIND_HDF5] = load_hdf5, [KIND_JSON] = load_json};
    kind found = KIND_JSON;
    return kind_of(path, &found) == CN_OK ? loaders[found](k, path) : NULL;
}

cn_model *cn_model_load(const char *path, const cn_load_options *options)
{
    cn__keras k;
    if (path == NULL)
        return cn__fail_null_argument("cn_model_load"), NULL;
    cn_model *model = start(&k, path, options) == CN_OK ? load_kind(&k, path) : NULL;
    cn__arena_free(k.arena);
    if (model == NULL)
        cn__fail_within("%s", path);
    return model;
}

cn_model *cn_model_from_json(const char *text, const cn_load_options *options)
{
    cn__keras k;
    if (text == NULL)
        return cn__fail_null_argument("cn_model_from_json"), NULL;
    cn_model *model = start(&k, NULL, options) == CN_OK ? load_text(&k, text, strlen(text)) : NULL;
    cn__arena_free(k.arena);
    return model;
}

static cn_status load_weights_zip(cn__keras *k, const char *path, cn__h5 *h5)
{
    cn__keras_parts parts;
    CN__TRY(cn__keras_unzip(path, &parts));
    cn__free(parts.config);
    k->version = parts.version;
    return cn__h5_open_image(parts.weights, parts.weights_size, h5);
}

static cn_status load_weights(cn__keras *k, const char *path, cn_model *model)
{
    kind found = KIND_JSON;
    cn__h5 h5;
    CN__TRY(kind_of(path, &found));
    if (found == KIND_JSON)
        return cn__fail(CN_ERROR_FORMAT, "a .json file has no weights");
    h5 = (cn__h5){.file = -1};
    cn_status status = found == KIND_ZIP ? load_weights_zip(k, path, &h5) : cn__h5_open(path, &h5);
    if (status == CN_OK && found == KIND_HDF5)
        status = identify(k, &h5, NULL);
    if (status == CN_OK)
        status = cn__keras_weights(k, &h5, model, false);
    cn__h5_close(&h5);
    return status;
}

cn_status cn_model_load_weights(cn_model *model, const char *path, const cn_load_options *options)
{
    cn__keras k;
    if (model == NULL || path == NULL)
        return cn__fail_null_argument("cn_model_load_weights");
    cn_status status = start(&k, path, options);
    if (status == CN_OK)
        status = load_weights(&k, path, model);
    cn__arena_free(k.arena);
    return status == CN_OK ? CN_OK : cn__fail_within("%s", path);
}
