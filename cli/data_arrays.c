/* Samples from the arrays in an .npz. */
#include "data.h"
#include "feed.h"

#include <stdio.h>
#include <string.h>

static bool has_array(const cn_npz *npz, const char *name)
{
    for (size_t i = 0; i < cn_npz_count(npz); i++)
        if (strcmp(cn_npz_name(npz, i), name) == 0)
            return true;
    return false;
}

/* The name that array `index` has: x0 or, for the first, x; the same with the next letter; or that
 * of the tensor. NULL if it is not there. */
static const char *name_in(const cn_npz *npz, const char *letters, int index, const char *tensor,
                           char name[16])
{
    for (const char *letter = letters; *letter; letter++) {
        (void)snprintf(name, 16, "%c%d", *letter, index);
        if (has_array(npz, name))
            return name;
        name[1] = '\0';
        if (index == 0 && has_array(npz, name))
            return name;
    }
    return has_array(npz, tensor) ? tensor : NULL;
}

/* Samples of fewer axes are taken if there are as many numbers. */
static bool fits(const cn_shape *samples, const cn_shape *takes)
{
    int64_t has = 1, needs = 1;
    bool same = samples->rank == takes->rank, open = false;
    for (int i = 1; i < samples->rank; i++)
        has *= samples->dim[i];
    for (int i = 1; i < takes->rank; i++) {
        bool known = takes->dim[i] >= 0;
        needs *= known ? takes->dim[i] : 1;
        open = open || !known;
        same = same && (!known || takes->dim[i] == samples->dim[i]);
    }
    return same || (samples->rank < takes->rank && !open && has == needs);
}

/* The axes of pictures whose channels stand at the wrong end, in the order in which they fit; or
 * NULL. */
static const char *turned(const cn_shape *s, const cn_shape *takes)
{
    if (s->rank != 4 || takes->rank != 4)
        return NULL;
    cn_shape last = cn_shape_of(s->dim[0], s->dim[2], s->dim[3], s->dim[1]);
    cn_shape first = cn_shape_of(s->dim[0], s->dim[3], s->dim[1], s->dim[2]);
    if (fits(&last, takes))
        return "The model takes channels last: transpose the array by (0, 2, 3, 1).";
    return fits(&first, takes) ? "The model takes channels first: transpose the array by "
                                 "(0, 3, 1, 2)."
                               : NULL;
}

static int check_input(const data *d, const char *name, const cn_array *array,
                       const cn_tensor *input)
{
    char has[200], needs[200];
    const cn_shape *shape = cn_array_shape(array), *takes = cn_tensor_shape(input);
    if (fits(shape, takes))
        return CLI_OK;
    const char *hint = turned(shape, takes);
    (void)cli_fail_usage(hint, "%s: %s has the shape %s, but the input '%s' takes %s", d->spec,
                         name, cn_shape_text(shape, has, sizeof has), cn_tensor_name(input),
                         cn_shape_text(takes, needs, sizeof needs));
    return CLI_FAILED;
}

/* Reads array `name`; NULL with a message of the library. */
static cn_array *take_array(data *d, cn_npz *npz, const char *name)
{
    cn_array *array = d->arrays[d->array_count] = cn_npz_read(npz, name);
    size_t used = strlen(d->used);
    if (!array)
        return NULL;
    (void)snprintf(d->used + used, sizeof d->used - used, "%s%s", d->array_count > 0 ? ", " : "",
                   name);
    d->array_count++;
    return array;
}

static int read_inputs(data *d, cn_npz *npz, cn_tensor_list inputs)
{
    char name[16];
    for (int i = 0; i < inputs.count; i++) {
        const char *found = name_in(npz, "x", i, cn_tensor_name(inputs.items[i]), name);
        if (!found)
            return cli_fail("%s: there is no array x%d, for the input '%s', only %s", d->spec, i,
                            cn_tensor_name(inputs.items[i]), d->names);
        const cn_array *array = take_array(d, npz, found);
        int code = array ? check_input(d, found, array, inputs.items[i]) : cli_fail_library();
        if (code != CLI_OK)
            return code;
    }
    return CLI_OK;
}

static void name_arrays(data *d, const cn_npz *npz)
{
    size_t used = 0;
    (void)snprintf(d->names, sizeof d->names, "no arrays");
    for (size_t i = 0; i < cn_npz_count(npz) && used < sizeof d->names; i++)
        used += (size_t)snprintf(d->names + used, sizeof d->names - used, "%s%s", i ? ", " : "",
                                 cn_npz_name(npz, i));
}

static int read_targets(data *d, cn_npz *npz, cn_tensor_list outputs)
{
    char name[16];
    for (int i = 0; i < outputs.count; i++) {
        const char *found = name_in(npz, "ty", i, cn_tensor_name(outputs.items[i]), name);
        if (!found)
            continue;
        d->field[i] = d->array_count;
        if (!take_array(d, npz, found))
            return cli_fail_library();
    }
    return CLI_OK;
}

int data_read_npz(data *d, const cn_model *model)
{
    cn_tensor_list inputs = cn_model_inputs(model), outputs = cn_model_outputs(model);
    if (inputs.count + outputs.count > CN_MOST_FIELDS || outputs.count > CN_MOST_LOSSES)
        return cli_fail("a model with %d inputs and %d outputs is too large", inputs.count,
                        outputs.count);
    cn_npz *npz = cn_npz_open(d->spec);
    if (npz)
        name_arrays(d, npz);
    int code = npz ? read_inputs(d, npz, inputs) : cli_fail_library();
    if (code == CLI_OK)
        code = read_targets(d, npz, outputs);
    cn_npz_close(npz);
    if (code == CLI_OK)
        code = data_append_arrays(d, inputs.count);
    if (code == CLI_OK)
        data_found(d, "samples in %s: %s", feed_name(d->spec), d->used);
    return code;
}
