/* From what was read to what the model takes. */
#include "data.h"

#include "cornu/inspect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int data_open(data *d, const char *spec, const data_options *options)
{
    *d = (data){.spec = spec, .size = options->size};
    for (int i = 0; i < CN_MOST_LOSSES; i++)
        d->field[i] = -1;
    int code = data_read(d, options);
    if (code == CLI_OK && cn_dataset_count(d->set) < 1)
        code = cli_fail("%s: there are no samples", spec);
    return code;
}

void data_tell(const data *d, const char *kind)
{
    (void)fprintf(stderr, "%s: %s\n", kind, d->found);
}

void data_close(data *d)
{
    while (d->made_count > 0)
        cn_dataset_free(d->made[--d->made_count]);
    while (d->array_count > 0)
        cn_array_free(d->arrays[--d->array_count]);
    d->set = NULL;
}

int data_split(data *d, double part, data *held)
{
    int64_t count = cn_dataset_count(d->set);
    int64_t trained = (int64_t)floor((double)count * (1 - part));
    if (trained < 1 || trained >= count)
        return cli_fail("a --validation-split of %g leaves none of %lld samples to train on or to "
                        "validate with",
                        part, (long long)count);
    cn_dataset *whole = d->set;
    *held = *d;
    held->made_count = held->array_count = 0;
    int code = data_append(held, cn_dataset_part(whole, trained, count - trained));
    return code == CLI_OK ? data_append(d, cn_dataset_part(whole, 0, trained)) : code;
}

/* ---- augmentation ---- */

typedef struct change {
    const char *name;
    float *amount; /* NULL for flips */
    bool *flip;
} change;

/* "flip" or "shift=0.1", up to `length`. */
static bool take_change(const change *changes, const char *text, size_t length)
{
    for (const change *c = changes; c->name; c++) {
        size_t width = strlen(c->name);
        if (strncmp(text, c->name, width) != 0)
            continue;
        if (c->flip && width == length)
            return *c->flip = true;
        if (c->amount && text[width] == '=') {
            char *end;
            *c->amount = strtof(text + width + 1, &end);
            return end == text + length && *c->amount >= 0;
        }
    }
    return false;
}

/* True if a target is a picture of the input's size, such as a mask. */
static bool has_masks(const cn_dataset *set)
{
    const cn_shape *input = cn_dataset_shape(set, 0);
    int inputs = cn_dataset_inputs(set), targets = cn_dataset_targets(set);
    for (int i = inputs; i < inputs + targets; i++) {
        const cn_shape *shape = cn_dataset_shape(set, i);
        if (shape->rank >= 2 && input->rank >= 2 &&
            memcmp(shape->dim, input->dim, 2 * sizeof *shape->dim) == 0)
            return true;
    }
    return false;
}

int data_augment(data *d, const char *text, uint64_t seed)
{
    cn_augment_options o = {.size_ = sizeof o, .targets_too = has_masks(d->set), .seed = seed};
    const change changes[] = {{"flip", NULL, &o.horizontal_flip},
                              {"vertical-flip", NULL, &o.vertical_flip},
                              {"shift", &o.shift, NULL},
                              {"rotate", &o.rotation, NULL},
                              {"zoom", &o.zoom, NULL},
                              {"brightness", &o.brightness, NULL},
                              {NULL, NULL, NULL}};
    for (const char *at = text; *at;) {
        size_t length = strcspn(at, ",");
        if (!take_change(changes, at, length))
            return cli_fail_usage(NULL,
                                  "--augment takes a list of flip, vertical-flip, shift=0.1, "
                                  "rotate=10, zoom=0.1 and brightness=0.1, but got `%.*s`",
                                  (int)length, at);
        at += length + (at[length] == ',');
    }
    /* The last data set is taken over. */
    cn_dataset *plain = d->made[--d->made_count];
    return data_append(d, cn_dataset_augment(plain, &o));
}

/* ---- what outputs are compared with ---- */

static bool has_shape(const cn_shape *sample, const cn_tensor *tensor)
{
    cn_shape batch = *cn_tensor_shape(tensor);
    if (batch.rank != sample->rank + 1)
        return false;
    for (int i = 0; i < sample->rank; i++)
        if (batch.dim[i + 1] != sample->dim[i] && batch.dim[i + 1] >= 0)
            return false;
    return true;
}

/* Tells of class numbers where one value for each class is taken, and of the reverse. */
static int check_classes(const data *d, const cn_tensor *output, const char *loss,
                         const cn_shape *sample)
{
    char text[200];
    const cn_shape *shape = cn_tensor_shape(output);
    int64_t classes = shape->rank > 1 ? shape->dim[shape->rank - 1] : 1;
    bool numbers =
        sample->rank == 0 || sample->dim[sample->rank - 1] == 1 || sample->rank == shape->rank - 2;
    bool sparse = strncasecmp(loss, "sparse", 6) == 0;
    bool crossed = strncasecmp(loss, "categorical", 11) == 0;
    if (classes < 2 || numbers == sparse || !(crossed || sparse))
        return CLI_OK;
    (void)cn_shape_text(sample, text, sizeof text);
    if (crossed)
        return cli_fail_usage("Use --loss sparse_categorical_crossentropy.",
                              "%s: the output '%s' is compared with the numbers of classes, but "
                              "its loss, %s, takes %lld values for each sample",
                              d->spec, cn_tensor_name(output), loss, (long long)classes);
    return cli_fail_usage("Use --loss categorical_crossentropy.",
                          "%s: the output '%s' is compared with samples of shape %s, but its loss, "
                          "%s, takes the numbers of classes",
                          d->spec, cn_tensor_name(output), text, loss);
}

/* The field that an output is compared with, DATA_PICTURE for the picture. */
static int choose_field(const data *d, const data_form *form, int index, const cn_tensor *output,
                        int *field)
{
    char text[200];
    bool same = has_shape(form->pictures ? &form->picture : cn_dataset_shape(d->set, 0), output);
    *field = d->field[index];
    if (d->pictures)
        *field = !same ? 1 : form->pictures ? DATA_PICTURE : 0;
    if (d->pictures && !same && cn_tensor_shape(output)->rank > 2)
        return cli_fail_usage("Give an .npz with the arrays x0 ... and t0, t1 ...",
                              "%s: the output '%s' %s is neither like the picture nor classes",
                              d->spec, cn_tensor_name(output),
                              cn_shape_text(cn_tensor_shape(output), text, sizeof text));
    if (d->pictures)
        return CLI_OK;
    if (*field < 0 && same)
        *field = 0;
    else if (*field < 0)
        return cli_fail("%s: there is no array t%d, for the output '%s', only %s", d->spec, index,
                        cn_tensor_name(output), d->names);
    return CLI_OK;
}

static int add_target(const data *d, data_form *form, int index, const cn_tensor *output,
                      const char *loss)
{
    int field, i = form->targets;
    int code = choose_field(d, form, index, output, &field);
    if (code != CLI_OK)
        return code;
    bool picture = field == DATA_PICTURE;
    form->from[i] = field;
    form->dtypes[i] = picture ? CN_FLOAT32 : cn_dataset_dtype(d->set, field);
    form->shapes[i] = picture ? form->picture : *cn_dataset_shape(d->set, field);
    form->targets++;
    return picture ? CLI_OK : check_classes(d, output, loss, &form->shapes[i]);
}

/* Pictures that the model takes in another shape, such as in one row. */
static void reshape_input(const data *d, const cn_model *model, data_form *form)
{
    const cn_shape *takes = cn_tensor_shape(cn_model_input(model));
    cn_shape sample = {.rank = takes->rank - 1};
    memcpy(sample.dim, takes->dim + 1, (size_t)sample.rank * sizeof *sample.dim);
    if (cn_shape_count(&sample) == cn_shape_count(cn_dataset_shape(d->set, 0)))
        form->input = sample;
}

/* Tries the model on the first sample (or batch, if it takes no other), so that what does not fit
 * is told before a file is written. */
static int try_sample(data *d, cn_model *model)
{
    int64_t fixed = cn_tensor_shape(cn_model_input(model))->dim[0], all = cn_dataset_count(d->set);
    int64_t count = fixed < 1 ? 1 : fixed < all ? fixed : all;
    cn_dataset *first = cn_dataset_part(d->set, 0, count);
    bool good = first && cn_model_evaluate_dataset(model, first, count, NULL, NULL) == CN_OK;
    cn_dataset_free(first);
    return good ? CLI_OK : cli_fail("%s: %s", d->spec, cn_error_message());
}

int data_fit(data *d, cn_model *model)
{
    data_form form;
    cn_compile_options compiled;
    cn_tensor_list outputs = cn_model_outputs(model);
    bool picture = data_picture_form(model, &d->size, &form);
    form.base = d->set;
    form.pictures = picture && d->pictures;
    form.inputs = cn_dataset_inputs(d->set);
    if (!form.pictures)
        form.input = (cn_shape){0};
    if (d->pictures && !picture)
        reshape_input(d, model, &form);
    int code = cn_model_compile_options(model, &compiled) == CN_OK ? CLI_OK : cli_fail_library();
    for (int i = 0; i < outputs.count && i < CN_MOST_LOSSES && code == CLI_OK; i++)
        if (strcmp(compiled.loss[i], "none") != 0)
            code = add_target(d, &form, i, outputs.items[i], compiled.loss[i]);
    if (code == CLI_OK)
        code = data_append(d, data_formed(&form));
    return code == CLI_OK ? try_sample(d, model) : code;
}
