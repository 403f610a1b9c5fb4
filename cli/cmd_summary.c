/* cornu summary: a model's layers, shapes and parameters. */
#include "cli.h"

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

static int run(const void *given, int count, char **arguments)
{
    (void)count;
    const settings *s = given;
    if (s->width < 0 || s->width > 1000)
        return cli_fail_usage(NULL, "--width takes a number up to 1000, but got %" PRId64,
                              s->width);
    cn_summary_options table = {.width = (int)s->width, .ascii = s->ascii};
    cn_model *model = cn_model_load(arguments[0], &(cn_load_options){.no_compile = true});
    if (!model)
        return cli_fail_library();
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
    .details = "MODEL is a file of Keras 1, 2 or 3: .keras, .h5, .hdf5 or .json.\n",
    .settings_size = sizeof(settings),
    .run = run,
};
