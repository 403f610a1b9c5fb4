/* Models to train and to judge. */
#include "lesson.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- opening ---- */

static cn_model *load(const char *path, const lesson_options *o)
{
    cn_load_options options = {.backend = (cn_backend)o->backend};
    cn_model *model = cn_model_load(path, &options);
    if (!model || !o->weights || cn_model_load_weights(model, o->weights, &options) == CN_OK)
        return model;
    cn_model_free(model);
    return NULL;
}

static int open_model(lesson *l, const lesson_options *o)
{
    int code = CLI_OK;
    l->built_in = architecture_named(l->path);
    if (l->built_in) {
        architecture_options given = {o->input, o->classes, o->scale};
        l->model = architecture_make(l->built_in, &given, &code);
        if (l->model && o->weights && cn_model_load_weights(l->model, o->weights, NULL) != CN_OK)
            code = cli_fail_library();
        return code;
    }
    if (o->input.rank || o->classes || o->scale)
        return cli_fail_usage(NULL,
                              "--input, --classes and --scale are for built-in models; %s "
                              "is a file",
                              l->path);
    code = architecture_check_name(l->path);
    if (code != CLI_OK)
        return code;
    l->model = load(l->path, o);
    return l->model ? CLI_OK : cli_fail_library();
}

int lesson_open(lesson *l, const lesson_options *options, const char *path)
{
    *l = (lesson){.path = path};
    if (options->threads < 0 || options->threads > 1024)
        return cli_fail_usage(NULL, "--threads takes a number from 1 to 1024, but got %" PRId64,
                              options->threads);
    l->pool = cn_pool_new((int)options->threads);
    return l->pool ? open_model(l, options) : cli_fail_library();
}

void lesson_close(lesson *l)
{
    cn_model_free(l->model);
    cn_pool_free(l->pool);
    *l = (lesson){0};
}

/* ---- lists ---- */

/* Splits a copy of "a, B(c=1, d=2)" at the commas outside of parentheses into at most `most` texts.
 * Returns their number, -1 if there are more. */
static int split_list(char *text, const char **items, int most)
{
    int count = 0, depth = 0;
    for (char *begin = text, *at = text;; at++) {
        depth += (*at == '(' || *at == '[') - (*at == ')' || *at == ']');
        bool last = *at == '\0';
        if (!last && (*at != ',' || depth > 0))
            continue;
        *at = '\0';
        begin += strspn(begin, " ");
        if (*begin != '\0' && count == most)
            return -1;
        if (*begin != '\0')
            items[count++] = begin;
        if (last)
            return count;
        begin = at + 1;
    }
}

/* `memory` receives what the texts lie in. */
static int take_list(const char *option, const char *text, const char **items, int most,
                     char **memory)
{
    *memory = strdup(text);
    if (!*memory)
        return cli_fail("no memory");
    memset(items, 0, (size_t)most * sizeof *items);
    if (split_list(*memory, items, most) > 0)
        return CLI_OK;
    return cli_fail_usage(NULL, "--%s takes 1 to %d values with commas between them, but got `%s`",
                          option, most, text);
}

/* One for each of `count` outputs. */
static int take_weights(const char *text, int count, float *weights)
{
    const char *at = text;
    memset(weights, 0, CN_MOST_LOSSES * sizeof *weights);
    for (int i = 0; i < count; i++) {
        char *end;
        float weight = strtof(at, &end);
        if (end == at || !isfinite(weight) || *end != (i + 1 < count ? ',' : '\0'))
            break;
        weights[i] = weight != 0 ? weight : -0.0F;
        if (*end == '\0')
            return CLI_OK;
        at = end + 1;
    }
    return cli_fail_usage(NULL,
                          count == 1
                              ? "--loss-weights takes %d number, for the model's output, but got %s"
                              : "--loss-weights takes %d numbers with commas between them, one for "
                                "each output, but got %s",
                          count, text);
}

/* ---- compiling ---- */

/* The losses of a built-in model take the numbers of classes. For data with a value for each class
 * the rest of the name is the loss. */
static void fit_loss(const lesson *l, const data *d, cn_compile_options *o)
{
    static const char sparse[] = "sparse_";
    const cn_shape *out = cn_tensor_shape(cn_model_output(l->model));
    if (d == NULL || d->pictures || d->field[0] < 0)
        return;
    const cn_shape *has = cn_dataset_shape(d->set, d->field[0]);
    bool one_hot = has->rank == out->rank - 1 && has->dim[has->rank - 1] == out->dim[out->rank - 1];
    if (one_hot && strncmp(o->loss[0], sparse, sizeof sparse - 1) == 0)
        o->loss[0] += sizeof sparse - 1;
}

static int compile(lesson *l, const lesson_options *o, const data *d, const char *loss,
                   char *memory[2])
{
    cn_compile_options c = {.size_ = sizeof c, .optimizer = "adam", .loss = {loss}};
    const architecture *a = l->built_in;
    int outputs = cn_model_outputs(l->model).count;
    outputs = outputs < CN_MOST_LOSSES ? outputs : CN_MOST_LOSSES;
    if (cn_model_is_compiled(l->model) && cn_model_compile_options(l->model, &c) != CN_OK)
        return cli_fail_library();
    bool own = cn_model_is_compiled(l->model) || loss != NULL || a != NULL;
    if (!o->loss && !own)
        return cli_fail_usage("For instance --loss mse, or --loss sparse_categorical_crossentropy "
                              "--metrics accuracy for classes.",
                              "%s was saved without a loss: --loss is needed", l->path);
    const char *losses = o->loss ? o->loss : a ? a->loss : NULL;
    const char *metrics = o->metrics ? o->metrics : a && !o->loss ? a->metrics : NULL;
    int code = CLI_OK;
    if (losses)
        code = take_list("loss", losses, c.loss, CN_MOST_LOSSES, &memory[0]);
    if (code == CLI_OK && metrics)
        code = take_list("metrics", metrics, c.metrics, CN_MOST_METRICS, &memory[1]);
    if (code == CLI_OK && o->loss_weights)
        code = take_weights(o->loss_weights, outputs, c.loss_weights);
    if (code != CLI_OK)
        return code;
    if (a && !o->loss)
        fit_loss(l, d, &c);
    c.optimizer = o->optimizer ? o->optimizer : c.optimizer;
    return cn_model_compile(l->model, &c) == CN_OK ? CLI_OK : cli_fail_library();
}

int lesson_compile(lesson *l, const lesson_options *options, const data *d, const char *loss)
{
    bool told = options->loss || options->loss_weights || options->metrics || options->optimizer;
    if (cn_model_is_compiled(l->model) && !told)
        return CLI_OK;
    char *memory[2] = {0};
    int code = compile(l, options, d, loss, memory);
    free(memory[0]);
    free(memory[1]);
    return code;
}
