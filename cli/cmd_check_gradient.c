/* cornu check-gradient: backpropagation against differences of the loss. */
#include "json.h"
#include "lesson.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

typedef struct settings {
    lesson_options lesson;
    const char *data;
    int64_t samples, seed;
    bool json;
} settings;

static const settings defaults = {.samples = 2};

#define AT(member) .offset = offsetof(settings, member)

static const cli_option options[] = {
    {.name = "data",
     .letter = 'd',
     .kind = CLI_TEXT,
     AT(data),
     .value = "DATA",
     .help = "what to compute with, see below (default: random\nnumbers)"},
    {.name = "samples",
     .letter = 'n',
     .kind = CLI_INTEGER,
     AT(samples),
     .value = "N",
     .help = "how many to compute with (default 2)"},
    {.name = "seed",
     .kind = CLI_INTEGER,
     AT(seed),
     .value = "N",
     .help = "of the initial weights and random numbers (default 0)"},
    {.name = "json", .kind = CLI_FLAG, AT(json), .help = "print JSON"},
    LESSON_OPTIONS(settings),
    {0},
};

static const double bound = 1e-4;

/* ---- random samples ---- */

/* 0 to 1, from the number of the element: splitmix64, Steele et al., OOPSLA 2014. */
static double random_part(uint64_t seed, uint64_t index)
{
    uint64_t z = (seed << 32) + (index + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

/* Numbers of classes below `classes`, or with 0 numbers from 0 to 1. */
static cn_array *random_array(cn_dtype dtype, const cn_shape *shape, int64_t classes, uint64_t seed)
{
    cn_array *array = cn_array_new(dtype, shape);
    for (int64_t i = 0; array && i < cn_array_count(array); i++) {
        double value = random_part(seed, (uint64_t)i);
        if (dtype == CN_INT32)
            cn_array_ints(array)[i] = (int32_t)(value * (double)classes);
        else
            cn_array_floats(array)[i] = (float)value;
    }
    return array;
}

/* A batch of what a tensor takes; other unknown extents are those of `size`, or 8. */
static cn_shape batch_of(const cn_tensor *tensor, int64_t samples, const cli_extents *size)
{
    cn_shape shape = *cn_tensor_shape(tensor);
    if (shape.dim[0] < 0)
        shape.dim[0] = samples;
    for (int i = 1, unknown = 0; i < shape.rank; i++)
        if (shape.dim[i] < 0)
            shape.dim[i] = unknown < size->rank ? size->dim[unknown++] : 8;
    return shape;
}

/* Inputs, and then targets of the shapes that `outputs` (what the model predicts) have. */
static bool add_random(data *d, cn_dtype dtype, const cn_shape *shape, int64_t classes,
                       uint64_t seed)
{
    cn_array *array = random_array(dtype, shape, classes, seed * 1000 + (uint64_t)d->array_count);
    d->arrays[d->array_count] = array;
    d->array_count += array != NULL;
    return array != NULL;
}

static bool add_targets(data *d, const cn_model *model, cn_array *const *predicted, uint64_t seed)
{
    cn_compile_options c;
    bool good = cn_model_compile_options(model, &c) == CN_OK;
    for (int i = 0; i < cn_model_outputs(model).count && i < CN_MOST_LOSSES && good; i++) {
        cn_shape shape = *cn_array_shape(predicted[i]);
        bool sparse = strncasecmp(c.loss[i], "sparse", 6) == 0;
        int64_t classes = sparse ? shape.dim[shape.rank - 1] : 0;
        shape.rank -= sparse;
        if (strcmp(c.loss[i], "none") != 0)
            good = add_random(d, sparse ? CN_INT32 : CN_FLOAT32, &shape, classes, seed);
    }
    return good;
}

static bool make_random(data *d, lesson *l, const settings *s)
{
    cn_tensor_list inputs = cn_model_inputs(l->model), outputs = cn_model_outputs(l->model);
    cn_array *predicted[CN_MOST_FIELDS] = {0};
    bool good = inputs.count + outputs.count <= CN_MOST_FIELDS;
    for (int i = 0; i < inputs.count && good; i++) {
        cn_shape shape = batch_of(inputs.items[i], s->samples, &s->lesson.size);
        good = add_random(d, cn_tensor_dtype(inputs.items[i]), &shape, 2, (uint64_t)s->seed);
    }
    good = good && cn_model_predict(l->model, (const cn_array *const *)d->arrays, predicted, 0,
                                    l->pool) == CN_OK;
    good = good && add_targets(d, l->model, predicted, (uint64_t)s->seed);
    for (int i = 0; i < outputs.count && i < CN_MOST_FIELDS; i++)
        cn_array_free(predicted[i]);
    return good;
}

/* ---- samples of data ---- */

/* The first samples of the data, in arrays. */
static int take_samples(data *d, data *from, const settings *s)
{
    int64_t count = cn_dataset_count(from->set);
    cn_dataset *first = cn_dataset_part(from->set, 0, s->samples < count ? s->samples : count);
    bool good = first && cn_dataset_arrays(first, d->arrays) == CN_OK;
    if (good)
        d->array_count = cn_dataset_inputs(first) + cn_dataset_targets(first);
    cn_dataset_free(first);
    return good ? CLI_OK : cli_fail_library();
}

/* Compiles the model and fills d->arrays. */
static int prepare(data *d, lesson *l, const settings *s)
{
    data from = {0};
    data_options o = {.model = l->model, .size = s->lesson.size};
    int code = s->data ? data_open(&from, s->data, &o) : CLI_OK;
    if (code == CLI_OK)
        code = lesson_compile(l, &s->lesson, s->data ? &from : NULL, "mse");
    if (code == CLI_OK && s->data)
        code = data_fit(&from, l->model);
    if (code == CLI_OK)
        code = s->data                ? take_samples(d, &from, s)
               : make_random(d, l, s) ? CLI_OK
                                      : cli_fail_library();
    data_close(&from);
    return code;
}

/* ---- the check ---- */

static void print(const cn_gradient_check *check, bool good, bool json)
{
    if (!json) {
        (void)printf("worst relative difference %.3g, at %s, of %" PRId64 " derivatives\n"
                     "%s: the bound is %g\n",
                     check->worst, check->weight, check->derivatives, good ? "good" : "WRONG",
                     bound);
        return;
    }
    cli_json out = {0};
    cli_json_open(&out, NULL, '{');
    cli_json_number(&out, "worst", check->worst);
    cli_json_text(&out, "weight", check->weight);
    cli_json_integer(&out, "derivatives", check->derivatives);
    cli_json_number(&out, "bound", bound);
    cli_json_bool(&out, "good", good);
    cli_json_close(&out, '}');
}

static int check_gradient(lesson *l, data *d, const settings *s)
{
    cn_gradient_check check;
    int code = prepare(d, l, s);
    if (code != CLI_OK)
        return code;
    int inputs = cn_model_inputs(l->model).count;
    cn_array_list x = {inputs, (const cn_array *const *)d->arrays};
    cn_array_list y = {d->array_count - inputs, (const cn_array *const *)d->arrays + inputs};
    if (cn_check_gradient(l->model, x, y, &check, l->pool) != CN_OK)
        return cli_fail_library();
    bool good = check.worst <= bound;
    print(&check, good, s->json);
    return good ? CLI_OK : CLI_FAILED;
}

static int run(const void *given, int count, char **arguments)
{
    (void)count;
    const settings *s = given;
    lesson l;
    data d = {0};
    if (s->samples < 1 || s->seed < 0)
        return cli_fail_usage(NULL, "--samples takes a number from 1 and --seed one from 0");
    cn_set_random_seed((uint64_t)s->seed);
    int code = lesson_open(&l, &s->lesson, arguments[0]);
    if (code == CLI_OK)
        code = check_gradient(&l, &d, s);
    data_close(&d);
    lesson_close(&l);
    return code;
}

const cli_command cli_check_gradient = {
    .name = "check-gradient",
    .help = "compare a model's gradient with differences of its loss",
    .arguments = "MODEL",
    .least = 1,
    .most = 1,
    .options = options,
    .details = LESSON_MODELS
    "\n" DATA_HELP "\n"
    "A model without a loss is checked with mse. For each weight, and some directions, the\n"
    "derivative of the loss by backpropagation is compared with central differences in\n"
    "double precision. The exit code is 1 if one is further off than 1e-4, relatively.\n\n"
    "example:\n"
    "  cornu check-gradient model.keras\n",
    .settings_size = sizeof(settings),
    .defaults = &defaults,
    .run = run,
};
