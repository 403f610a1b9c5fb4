/* cornu predict: runs a model on pictures or arrays. */
#include "look.h"
#include "predict.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct settings {
    feed_options feed;
    const char *output, *classes;
    int64_t top, batch;
    bool json;
} settings;

static const settings defaults = {.top = 5};

#define AT(member) .offset = offsetof(settings, member)

static const cli_option options[] = {
    {.name = "output",
     .letter = 'o',
     .kind = CLI_TEXT,
     AT(output),
     .value = "OUT",
     .help = "write the output: a picture (.png, .jpg), an array\n(.npy), or all outputs as y0, y1 "
             "... (.npz)"},
    {.name = "classes",
     .kind = CLI_TEXT,
     AT(classes),
     .value = "FILE",
     .help = "names of the classes, one in a line"},
    {.name = "top",
     .letter = 't',
     .kind = CLI_INTEGER,
     AT(top),
     .value = "N",
     .help = "classes to show (default 5)"},
    {.name = "batch",
     .kind = CLI_INTEGER,
     AT(batch),
     .value = "N",
     .help = "samples that are computed at a time (default 32)"},
    {.name = "json", .kind = CLI_FLAG, AT(json), .help = "print the classes as JSON"},
    FEED_OPTIONS(settings),
    {0},
};

typedef struct job {
    const settings *s;
    feed f;
    int files, outputs;
    bool told;   /* which outputs are not shown */
    bool arrays; /* --output is .npy or .npz: what came out is kept in `all` */
    cn_array **all;
    predict_classes classes;
    predict_table table;
    cli_json json;
} job;

/* ---- arrays out ---- */

/* Appends rows to an array; takes `more` over. NULL, freeing both, after a failure. */
static cn_array *joined(cn_array *array, cn_array *more)
{
    if (!array)
        return more;
    const cn_shape shapes[2] = {*cn_array_shape(array), *cn_array_shape(more)};
    const float *parts[2] = {cn_array_const_floats(array), cn_array_const_floats(more)};
    cn_shape shape = shapes[0];
    shape.dim[0] += shapes[1].dim[0];
    cn_array *both = cn_array_new(CN_FLOAT32, &shape);
    if (both && cn_concatenate_f32(2, shapes, parts, 0, cn_array_floats(both), NULL) != CN_OK) {
        cn_array_free(both);
        both = NULL;
    }
    cn_array_free(array);
    cn_array_free(more);
    return both;
}

static bool rows_fit(const cn_array *a, const cn_array *b)
{
    cn_shape first = *cn_array_shape(a), second = *cn_array_shape(b);
    first.dim[0] = second.dim[0] = 1;
    return cn_shape_equal(&first, &second);
}

/* Takes the outputs over. */
static int keep(job *j, const char *file, cn_array **out)
{
    for (int i = 0; i < j->outputs; i++) {
        char has[200], had[200];
        if (j->all[i] && !rows_fit(j->all[i], out[i]))
            return cli_fail("%s: the output %s does not fit those before it, %s, into one array; "
                            "--size HxW makes all pictures alike",
                            file, cn_shape_text(cn_array_shape(out[i]), has, sizeof has),
                            cn_shape_text(cn_array_shape(j->all[i]), had, sizeof had));
        j->all[i] = joined(j->all[i], out[i]);
        out[i] = NULL;
        if (!j->all[i])
            return cli_fail_library();
    }
    return CLI_OK;
}

static int write_npz(const job *j)
{
    cn_npz_writer *npz = cn_npz_create(j->s->output);
    if (!npz)
        return cli_fail_library();
    for (int i = 0; i < j->outputs; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "y%d", i);
        (void)cn_npz_add(npz, name, j->all[i]);
    }
    return cn_npz_finish(npz) == CN_OK ? CLI_OK : cli_fail_library();
}

static int write_arrays(const job *j)
{
    char shape[200];
    int code = CLI_OK;
    if (feed_ends(j->s->output, ".npz"))
        code = write_npz(j);
    else if (cn_npy_write(j->s->output, j->all[0]) != CN_OK)
        code = cli_fail_library();
    for (int i = 0; i < j->outputs && code == CLI_OK; i++)
        (void)printf("%s: %s %s\n", j->s->output,
                     cn_tensor_name(cn_model_outputs(j->f.model).items[i]),
                     cn_shape_text(cn_array_shape(j->all[i]), shape, sizeof shape));
    return code;
}

/* ---- pictures out ---- */

static int write_picture(const job *j, const char *file, const cn_array *output, const char *what)
{
    char path[LOOK_PATH], shape[200];
    look_path(path, j->s->output, file, what, j->files > 1);
    if (cn_array_shape(output)->dim[0] != 1)
        return cli_fail("%s: %" PRId64 " pictures come out; -o OUT.npy takes them all", file,
                        cn_array_shape(output)->dim[0]);
    cn_array *picture = feed_picture(&j->f, output, 0);
    bool good = picture && cn_image_write(path, picture) == CN_OK;
    if (good && !j->s->json)
        (void)printf("%s: %s in %s\n", file,
                     cn_shape_text(cn_array_shape(picture), shape, sizeof shape), path);
    cn_array_free(picture);
    return good ? CLI_OK : cli_fail_library();
}

/* ---- one file ---- */

/* Names the outputs that are neither printed nor written as a picture, if others are. */
static void tell_rest(job *j, cn_array *const *out, const cn_array *picture)
{
    char shape[200];
    for (int i = 0; i < j->outputs && j->outputs > 1 && !j->told; i++)
        if (!predict_is_scores(out[i]) && out[i] != picture)
            cli_note("the output `%s` %s is not shown: -o OUT.npz writes all",
                     cn_tensor_name(cn_model_outputs(j->f.model).items[i]),
                     cn_shape_text(cn_array_shape(out[i]), shape, sizeof shape));
    j->told = true;
}

/* Scores are printed. The first picture is written, if nothing was printed or one is asked for. */
static int deliver(job *j, const char *file, cn_array **out)
{
    cn_tensor_list outputs = cn_model_outputs(j->f.model);
    const cn_array *picture = NULL;
    int printed = 0;
    char shape[200];
    for (int i = 0; i < j->outputs; i++) {
        if (predict_is_scores(out[i])) {
            predict_print_scores(&j->table, file,
                                 j->outputs > 1 ? cn_tensor_name(outputs.items[i]) : NULL, out[i]);
            printed++;
        } else if (!picture && feed_is_picture(&j->f, cn_array_shape(out[i]))) {
            picture = out[i];
        }
    }
    tell_rest(j, out, picture && (j->s->output || !printed) ? picture : NULL);
    if (picture && (j->s->output || !printed))
        return write_picture(j, file, picture, "predicted");
    if (j->s->output)
        return cli_fail_usage("An array goes to an .npy or .npz.",
                              "-o %s: the output %s is no picture", j->s->output,
                              cn_shape_text(cn_array_shape(out[0]), shape, sizeof shape));
    if (!printed)
        return cli_fail_usage("-o OUT.npy writes it.", "%s: the output is an array %s", file,
                              cn_shape_text(cn_array_shape(out[0]), shape, sizeof shape));
    return CLI_OK;
}

static int predict(job *j, const char *file)
{
    cn_array **in = NULL, **out = calloc((size_t)j->outputs + 1, sizeof *out);
    if (!out)
        return cli_fail("no memory");
    int code = feed_read(&j->f, file, &in);
    if (code == CLI_OK && cn_model_predict(j->f.model, (const cn_array *const *)in, out,
                                           j->s->batch, j->f.pool) != CN_OK)
        code = cli_fail_library();
    if (code == CLI_OK)
        code = j->arrays ? keep(j, file, out) : deliver(j, file, out);
    feed_free(in, cn_model_inputs(j->f.model).count);
    feed_free(out, j->outputs);
    return code;
}

/* ---- all files ---- */

static int check_output(const job *j, int count, char *const *files)
{
    const char *output = j->s->output;
    bool picture = output && (feed_ends(output, ".png") || feed_ends(output, ".jpg") ||
                              feed_ends(output, ".jpeg"));
    if (j->s->top < 1 || j->s->batch < 0)
        return cli_fail_usage(NULL, "--top and --batch take numbers from 1");
    if (output && !picture && !j->arrays)
        return cli_fail_usage(NULL, "-o takes a .png, .jpg, .npy or .npz, but got `%s`", output);
    return j->arrays ? CLI_OK : look_check_names(count, files);
}

static int open_job(job *j, char *const *arguments)
{
    int code = feed_open(&j->f, &j->s->feed, arguments[0]);
    if (code == CLI_OK && j->s->classes)
        code = predict_read_classes(j->s->classes, &j->classes);
    if (code != CLI_OK)
        return code;
    j->outputs = cn_model_outputs(j->f.model).count;
    if (j->arrays && j->outputs > 1 && feed_ends(j->s->output, ".npy"))
        return cli_fail_usage("An .npz takes them all.", "%s has %d outputs, and -o %s takes one",
                              arguments[0], j->outputs, j->s->output);
    j->all = calloc((size_t)j->outputs + 1, sizeof *j->all);
    j->table = (predict_table){&j->classes, j->s->top, j->s->json ? &j->json : NULL};
    return j->all ? CLI_OK : cli_fail("no memory");
}

static int run_job(job *j, int count, char **arguments)
{
    int code = check_output(j, count - 1, arguments + 1);
    if (code == CLI_OK)
        code = open_job(j, arguments);
    if (code != CLI_OK)
        return code;
    if (j->s->json)
        cli_json_open(&j->json, NULL, '[');
    for (int i = 1; i < count && code == CLI_OK; i++)
        code = predict(j, arguments[i]);
    if (j->s->json && code == CLI_OK)
        cli_json_close(&j->json, ']');
    return code == CLI_OK && j->arrays ? write_arrays(j) : code;
}

static int run(const void *given, int count, char **arguments)
{
    const settings *s = given;
    job j = {.s = s, .files = count - 1};
    j.arrays = s->output && (feed_ends(s->output, ".npy") || feed_ends(s->output, ".npz"));
    int code = run_job(&j, count, arguments);
    feed_free(j.all, j.outputs);
    predict_free_classes(&j.classes);
    feed_close(&j.f);
    return code;
}

const cli_command cli_predict = {
    .name = "predict",
    .help = "run a model on pictures or arrays",
    .arguments = "MODEL FILE...",
    .least = 2,
    .most = 100000,
    .options = options,
    .details =
        "FILE is a PNG or JPEG, an .npy that holds what the model takes, or an .npz with the\n"
        "arrays x0, x1 ... in the order of the model's inputs. Of scores the highest are\n"
        "printed; a picture is written to FILE-predicted.png if -o does not tell where.\n\n"
        "examples:\n"
        "  cornu predict classifier.h5 cat.png --classes names.txt\n"
        "  cornu predict fsrcnn-x2.keras low.png -o high.png --color ycbcr\n"
        "  cornu predict model.keras in.npz -o out.npz\n",
    .settings_size = sizeof(settings),
    .defaults = &defaults,
    .run = run,
};
