/* cornu summary: a model's layers, shapes and parameters. */
#include "architectures.h"

#include "cornu/formats.h"
#include "cornu/models.h"

#include <inttypes.h>
#include <stdio.h>

typedef struct settings {
    const char *weights;
    bool json, ascii;
    int64_t width;
} settings;

#define AT(member) .offset = offsetof(settings, member)

static const cli_option options[] = {
    {.name = "width",
     .letter = 'w',
     .kind = CLI_INTEGER,
     AT(width),
     .value = "N",
     .help = "columns of the table (default 76)"},
    {.name = "weights",
     .kind = CLI_TEXT,
     AT(weights),
     .value = "FILE",
     .help = "read the weights from this file, and fail if they are\nnot those of MODEL"},
    {.name = "ascii", .kind = CLI_FLAG, AT(ascii), .help = "draw the table with - + |"},
    {.name = "json", .kind = CLI_FLAG, AT(json), .help = "print JSON"},
    {0},
};

/* NULL with *code set and a message. */
static cn_model *open_model(const char *path, int *code)
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

static int run(const void *given, int count, char **arguments)
{
    (void)count;
    const settings *s = given;
    if (s->width < 0 || s->width > 1000)
        return cli_fail_usage(NULL, "--width takes a number up to 1000, but got %" PRId64,
                              s->width);
    cn_summary_options table = {.width = (int)s->width, .ascii = s->ascii};
    int code = CLI_OK;
    cn_model *model = open_model(arguments[0], &code);
    if (!model)
        return code;
    if (s->weights && cn_model_load_weights(model, s->weights, NULL) != CN_OK) {
        cn_model_free(model);
        return cli_fail_library();
    }
    char *text = s->json ? cn_model_summary_json(model) : cn_model_summary(model, &table);
    cn_model_free(model);
    if (!text)
        return cli_fail_library();
    (void)fputs(text, stdout);
    cn_free_text(text);
    return CLI_OK;
}

const cli_command cli_summary = {
    .name = "summary",
    .help = "show a model's layers, shapes and parameters",
    .arguments = "MODEL",
    .least = 1,
    .most = 1,
    .options = options,
    .details =
        "MODEL is a file of Keras 1, 2 or 3: .keras, .h5, .hdf5 or .json; or a built-in model\n"
        "of `cornu train`, such as question.\n",
    .settings_size = sizeof(settings),
    .run = run,
};
