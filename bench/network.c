/* Reads networks.txt: see network.h. */
#include "network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { most_kept = 16, most_words = 6, word_size = 32 };

typedef struct line {
    int count; /* of words, the first being the layer's kind */
    char words[most_words][word_size];
    char name[16]; /* of the layer */
} line;

typedef struct builder {
    cn_tensor *input, *at;
    bool dropout;
    int kept_count;
    struct {
        char name[word_size];
        cn_tensor *tensor;
    } kept[most_kept];
} builder;

static int64_t number(const line *l, int index)
{
    return index < l->count ? atoll(l->words[index]) : 0;
}

static const char *activation(const line *l, int index)
{
    return index < l->count ? l->words[index] : NULL;
}

/* ---- layers ---- */

static cn_layer *make_conv(const line *l)
{
    return cn_conv2d(number(l, 1), {number(l, 2), number(l, 2)},
                     .strides = {number(l, 3), number(l, 3)}, .padding = CN_SAME,
                     .activation = activation(l, 4), .name = l->name);
}

static cn_layer *make_up(const line *l)
{
    return cn_conv2d_transpose(number(l, 1), {number(l, 2), number(l, 2)},
                               .strides = {number(l, 3), number(l, 3)}, .padding = CN_SAME,
                               .activation = activation(l, 4), .name = l->name);
}

static cn_layer *make_separable(const line *l)
{
    return cn_separable_conv2d(number(l, 1), {number(l, 2), number(l, 2)}, .padding = CN_SAME,
                               .use_bias = CN_FALSE, .name = l->name);
}

static cn_layer *make_dense(const line *l)
{
    return cn_dense(number(l, 1), .activation = activation(l, 2), .name = l->name);
}

static cn_layer *make_activation(const line *l)
{
    return cn_activation(l->words[0], .name = l->name);
}

static cn_layer *make_prelu(const line *l)
{
    return cn_prelu(.alpha_initializer = "Constant(value=0.25)", .shared_axes = {1, 2},
                    .name = l->name);
}

static cn_layer *make_batch_norm(const line *l)
{
    return cn_batch_normalization(.name = l->name);
}

static cn_layer *make_dropout(const line *l)
{
    return cn_dropout((float)atof(l->words[1]), .name = l->name);
}

static cn_layer *make_max_pool(const line *l)
{
    return cn_max_pooling2d({number(l, 1), number(l, 1)}, .strides = {number(l, 2), number(l, 2)},
                            .padding = CN_SAME, .name = l->name);
}

static cn_layer *make_mean(const line *l)
{
    return cn_global_average_pooling2d(.name = l->name);
}

static cn_layer *make_flatten(const line *l)
{
    return cn_flatten(.name = l->name);
}

static cn_layer *make_reshape(const line *l)
{
    return cn_reshape({number(l, 1), number(l, 2), number(l, 3)}, .name = l->name);
}

static const struct {
    const char *word;
    int arguments;
    cn_layer *(*make)(const line *l);
} kinds[] = {
    {"conv", 3, make_conv},           {"up", 3, make_up},
    {"separable", 2, make_separable}, {"dense", 1, make_dense},
    {"relu", 0, make_activation},     {"tanh", 0, make_activation},
    {"softmax", 0, make_activation},  {"sigmoid", 0, make_activation},
    {"prelu", 0, make_prelu},         {"batch_norm", 0, make_batch_norm},
    {"dropout", 1, make_dropout},     {"max_pool", 2, make_max_pool},
    {"mean", 0, make_mean},           {"flatten", 0, make_flatten},
    {"reshape", 3, make_reshape},
};

/* ---- the graph ---- */

static cn_tensor *find_kept(const builder *b, const char *name)
{
    for (int i = b->kept_count - 1; i >= 0; i--)
        if (strcmp(b->kept[i].name, name) == 0)
            return b->kept[i].tensor;
    return NULL;
}

static bool keep(builder *b, const char *name)
{
    if (b->kept_count == most_kept)
        return false;
    snprintf(b->kept[b->kept_count].name, word_size, "%s", name);
    b->kept[b->kept_count++].tensor = b->at;
    return true;
}

static cn_tensor *join(const builder *b, const line *l)
{
    cn_tensor *kept = find_kept(b, l->words[1]);
    cn_layer *layer =
        strcmp(l->words[0], "add") == 0 ? cn_add(.name = l->name) : cn_concatenate(.name = l->name);
    return cn_apply_list(layer, cn_tensors(b->at, kept));
}

/* Lets the line work on the current tensor. False if it cannot. */
static bool apply(builder *b, const line *l)
{
    const char *word = l->words[0];
    if (strcmp(word, "input") == 0)
        b->input = b->at = l->count == 2
                               ? cn_input_tensor({number(l, 1)})
                               : cn_input_tensor({number(l, 1), number(l, 2), number(l, 3)});
    else if (strcmp(word, "save") == 0)
        return keep(b, l->words[1]);
    else if (strcmp(word, "load") == 0)
        b->at = find_kept(b, l->words[1]);
    else if (strcmp(word, "add") == 0 || strcmp(word, "concat") == 0)
        b->at = join(b, l);
    else {
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
            if (strcmp(word, kinds[i].word) == 0 && l->count > kinds[i].arguments) {
                bool skip = kinds[i].make == make_dropout && !b->dropout;
                b->at = skip ? b->at : cn_apply(kinds[i].make(l), b->at);
                return b->at != NULL;
            }
        return false;
    }
    return b->at != NULL;
}

static bool read_line(const char *text, line *l)
{
    l->count = 0;
    if (text[0] == '#')
        return false;
    l->count = sscanf(text, "%31s %31s %31s %31s %31s %31s", l->words[0], l->words[1], l->words[2],
                      l->words[3], l->words[4], l->words[5]);
    return l->count > 0;
}

/* The lines from the network's first to where a case or another network begins. */
static bool build(FILE *file, const char *name, builder *b, char reason[256])
{
    char text[256];
    bool inside = false;
    int number_of_line = 0;
    for (line l; fgets(text, sizeof text, file) != NULL;) {
        if (!read_line(text, &l))
            continue;
        if (inside && (strcmp(l.words[0], "case") == 0 || strcmp(l.words[0], "network") == 0))
            break;
        if (inside) {
            snprintf(l.name, sizeof l.name, "l%d", ++number_of_line);
            text[strcspn(text, "\n")] = '\0';
            if (!apply(b, &l)) {
                snprintf(reason, 256, "network %s, line '%.60s': %.120s", name, text,
                         cn_error_message());
                return false;
            }
        }
        inside = inside || (strcmp(l.words[0], "network") == 0 && l.count > 1 &&
                            strcmp(l.words[1], name) == 0);
    }
    if (b->at == NULL)
        snprintf(reason, 256, "there is no network '%s'", name);
    return b->at != NULL;
}

cn_model *network_make(const char *path, const char *name, bool dropout, char reason[256])
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        snprintf(reason, 256, "cannot open %.200s", path);
        return NULL;
    }
    builder b = {.dropout = dropout};
    cn_model *model = NULL;
    cn_clear_error();
    if (build(file, name, &b, reason)) {
        model = cn_model_new(cn_tensors(b.input), cn_tensors(b.at));
        if (model == NULL)
            snprintf(reason, 256, "%.250s", cn_error_message());
    } else {
        cn_tensor_release(b.input);
    }
    fclose(file);
    return model;
}
