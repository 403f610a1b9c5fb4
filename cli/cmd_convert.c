/* cornu convert: a model from one of Keras' files into another. */
#include "cli.h"
#include "feed.h"

#include <stdio.h>
#include <sys/stat.h>

typedef struct settings {
    const char *weights;
    int backend; /* cn_backend */
    bool tensorflow_same;
} settings;

#define AT(member) .offset = offsetof(settings, member)

static const cli_option options[] = {
    {.name = "weights",
     .letter = 'w',
     .kind = CLI_TEXT,
     AT(weights),
     .value = "FILE",
     .help = "read the weights from this file, such as for a .json"},
    {.name = "backend",
     .kind = CLI_CHOICE,
     AT(backend),
     .value = "auto|tensorflow|theano",
     .help = "what Keras ran on when it wrote IN (default: what the\n"
             "file says); Theano's kernels are turned round"},
    {.name = "tensorflow-same",
     .kind = CLI_FLAG,
     AT(tensorflow_same),
     .help = "let `same` pad as on TensorFlow, though IN is from\n"
             "Theano: Keras 3 cannot pad as Theano did"},
    {0},
};

static int check_output(const char *out)
{
    if (feed_ends(out, ".keras") || feed_ends(out, ".h5") || feed_ends(out, ".json"))
        return CLI_OK;
    return cli_fail_usage(NULL, "OUT ends in .keras, .h5, .weights.h5 or .json, but is `%s`", out);
}

static bool same_file(const char *a, const char *b)
{
    struct stat first, second;
    return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

static int convert(cn_model *model, const settings *s, const char *in, const char *out)
{
    const cn_load_options o = {.backend = (cn_backend)s->backend,
                               .tensorflow_same = s->tensorflow_same};
    if (s->weights && cn_model_load_weights(model, s->weights, &o) != CN_OK)
        return cli_fail_library();
    if (!s->weights && feed_ends(in, ".json") && !feed_ends(out, ".json"))
        return cli_fail_usage("--weights FILE reads them from another file.",
                              "%s has no weights to write to %s", in, out);
    if (cn_model_save(model, out) != CN_OK)
        return cli_fail_library();
    (void)printf("%s: %lld parameters in %s\n", in,
                 (long long)cn_model_parameter_count(model, false), out);
    return CLI_OK;
}

static int run(const void *given, int count, char **arguments)
{
    (void)count;
    const settings *s = given;
    int code = check_output(arguments[1]);
    if (code == CLI_OK && same_file(arguments[0], arguments[1]))
        code = cli_fail_usage(NULL, "IN and OUT are the same file, %s", arguments[1]);
    if (code != CLI_OK)
        return code;
    const cn_load_options o = {.backend = (cn_backend)s->backend,
                               .tensorflow_same = s->tensorflow_same};
    cn_model *model = cn_model_load(arguments[0], &o);
    code = model ? convert(model, s, arguments[0], arguments[1]) : cli_fail_library();
    cn_model_free(model);
    return code;
}

const cli_command cli_convert = {
    .name = "convert",
    .help = "write a model as another of Keras' files",
    .arguments = "IN OUT",
    .least = 2,
    .most = 2,
    .options = options,
    .details =
        "IN is a file of Keras 1, 2 or 3: .keras, .h5, .hdf5 or .json. OUT is written for\n"
        "Keras 3, by its ending: .keras or .h5 (the model with its weights), .weights.h5 or\n"
        ".json (one of both).\n\n"
        "examples:\n"
        "  cornu convert old-theano-model.h5 model.keras\n"
        "  cornu convert model.json model.keras --weights model-weights.h5\n",
    .settings_size = sizeof(settings),
    .run = run,
};
