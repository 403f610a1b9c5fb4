/* Models to look at. */
#include "subject.h"

#include "architectures.h"

#include "cornu/formats.h"
#include "cornu/inspect.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

cn_model *subject_open(const char *path, int *code)
{
    const architecture *built_in = architecture_named(path);
    if (built_in)
        return architecture_make(built_in, &(architecture_options){0}, code);
    *code = architecture_check_name(path);
    if (*code != CLI_OK)
        return NULL;
    cn_model *model = cn_model_load(path, &(cn_load_options){.no_compile = true});
    *code = model ? CLI_OK : cli_fail_library();
    return model;
}

/* ---- shapes ---- */

static int take_batch(const cn_tensor *input, int64_t batch, cn_shape *shape)
{
    if (batch && shape->dim[0] > 0 && shape->dim[0] != batch)
        return cli_fail_usage(
            NULL, "--batch %" PRId64 ": the input `%s` has a batch of its own, %" PRId64, batch,
            cn_tensor_name(input), shape->dim[0]);
    if (shape->dim[0] < 0)
        shape->dim[0] = batch ? batch : 1;
    return CLI_OK;
}

static int fail_open(const cn_tensor *input, int count)
{
    char text[200], hint[100];
    (void)snprintf(hint, sizeof hint, "--size gives them, as in --size %s.",
                   count == 1   ? "64"
                   : count == 2 ? "64x64"
                                : "16x64x64");
    return cli_fail_usage(hint, "the input `%s` %s has open extents", cn_tensor_name(input),
                          cn_shape_text(cn_tensor_shape(input), text, sizeof text));
}

/* Into the `count` spatial axes from `first` on. One number counts for every open one. */
static int take_size(const cn_tensor *input, const cli_extents *size, int first, int count,
                     cn_shape *shape)
{
    char text[200];
    (void)cn_shape_text(cn_tensor_shape(input), text, sizeof text);
    if (size->rank > 1 && size->rank != count)
        return cli_fail_usage(NULL, "--size takes 1 number or %d for the input `%s`, but got %d",
                              count, cn_tensor_name(input), size->rank);
    for (int i = 0; i < count; i++) {
        int64_t *extent = &shape->dim[first + i], wanted = size->dim[size->rank == 1 ? 0 : i];
        if (size->rank == 0 && *extent < 0)
            return fail_open(input, count);
        if (size->rank > 0 && wanted < 1)
            return cli_fail_usage(NULL, "--size takes numbers from 1, but got %" PRId64, wanted);
        if (size->rank > 1 && *extent >= 0 && *extent != wanted)
            return cli_fail_usage(NULL, "--size: %" PRId64 " does not fit the input `%s` %s",
                                  wanted, cn_tensor_name(input), text);
        if (*extent < 0)
            *extent = wanted;
    }
    return CLI_OK;
}

/* True if an extent besides the batch is open. */
static bool is_open(const cn_shape *shape)
{
    for (int i = 1; i < shape->rank; i++)
        if (shape->dim[i] < 0)
            return true;
    return false;
}

static int complete(const cn_model *model, const cn_tensor *input, const subject_options *o,
                    cn_shape *shape)
{
    char text[200];
    int first = cn_model_data_format(model) == CN_CHANNELS_FIRST ? 2 : 1;
    *shape = *cn_tensor_shape(input);
    int code = take_batch(input, o->batch, shape);
    if (code == CLI_OK && is_open(shape))
        code = take_size(input, &o->size, first, shape->rank - 2, shape);
    if (code == CLI_OK && is_open(shape))
        code = cli_fail("the input `%s` %s has channels that are not known", cn_tensor_name(input),
                        cn_shape_text(cn_tensor_shape(input), text, sizeof text));
    return code;
}

/* --size for a model whose inputs have no open extent. */
static int check_size(const cn_model *model, const cli_extents *size)
{
    char text[200];
    cn_tensor_list inputs = cn_model_inputs(model);
    for (int i = 0; i < inputs.count; i++)
        if (!size->rank || is_open(cn_tensor_shape(inputs.items[i])))
            return CLI_OK;
    return cli_fail_usage("Leave it out.",
                          "--size is for inputs with open extents; the model takes %s only",
                          cn_shape_text(cn_tensor_shape(inputs.items[0]), text, sizeof text));
}

cn_shape *subject_shapes(const cn_model *model, const subject_options *options, int *code)
{
    cn_tensor_list inputs = cn_model_inputs(model);
    cn_shape *shapes = calloc((size_t)inputs.count + 1, sizeof *shapes);
    *code = shapes ? check_size(model, &options->size) : cli_fail("no memory");
    for (int i = 0; i < inputs.count && *code == CLI_OK; i++)
        *code = complete(model, inputs.items[i], options, &shapes[i]);
    if (*code == CLI_OK)
        return shapes;
    free(shapes);
    return NULL;
}

/* ---- bytes ---- */

const char *subject_bytes(size_t bytes, char text[SUBJECT_BYTES])
{
    static const char *const units[] = {"KiB", "MiB", "GiB"};
    double value = (double)bytes / 1024;
    int unit = 0;
    for (; unit < 2 && value >= 1024; unit++)
        value /= 1024;
    if (bytes < 1024)
        (void)snprintf(text, SUBJECT_BYTES, "%zu B", bytes);
    else
        (void)snprintf(text, SUBJECT_BYTES, "%.1f %s", value, units[unit]);
    return text;
}
