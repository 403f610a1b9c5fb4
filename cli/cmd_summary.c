/* cornu summary: a model's layers, shapes and parameters, and the memory of a prediction. */
#include "summary.h"

#include "cornu/formats.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct settings {
    subject_options subject;
    const char *weights;
    bool json, ascii, memory;
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
    {.name = "memory",
     .kind = CLI_FLAG,
     AT(memory),
     .help = "show what memory a prediction takes, too"},
    SUBJECT_OPTIONS(settings, "--memory: of this many samples at a time (default 1)",
                    "--memory: extents of the inputs that have open ones"),
    {.name = "json", .kind = CLI_FLAG, AT(json), .help = "print JSON"},
    {0},
};

/* The library's JSON without its closing brace, then what it does not know. */
static int print_json(char *text, const summary_memory *memory)
{
    char *end = strrchr(text, '}');
    cli_json json = {.depth = 1, .inside = true};
    while (end > text && strchr("\n ", end[-1]))
        end--;
    *end = '\0';
    (void)fputs(text, stdout);
    int code = summary_json_memory(&json, memory);
    cli_json_close(&json, '}');
    return code;
}

static int print(const cn_model *model, const settings *s, const summary_memory *memory)
{
    cn_summary_options table = {.width = (int)s->width, .ascii = s->ascii};
    char *text = s->json ? cn_model_summary_json(model) : cn_model_summary(model, &table);
    if (!text)
        return cli_fail_library();
    int code = CLI_OK;
    if (memory && s->json)
        code = print_json(text, memory);
    else
        (void)fputs(text, stdout);
    cn_free_text(text);
    return memory && !s->json ? summary_print_memory(memory) : code;
}

static int show(cn_model *model, const settings *s)
{
    if (s->weights && cn_model_load_weights(model, s->weights, NULL) != CN_OK)
        return cli_fail_library();
    if (!s->memory)
        return print(model, s, NULL);
    int code = CLI_OK;
    summary_memory memory = {.model = model};
    memory.shapes = subject_shapes(model, &s->subject, &code);
    if (code == CLI_OK && cn_model_plan(model, memory.shapes, NULL, NULL, &memory.plan) != CN_OK)
        code = cli_fail_library();
    if (code == CLI_OK)
        code = print(model, s, &memory);
    free(memory.shapes);
    return code;
}

static int run(const void *given, int count, char **arguments)
{
    (void)count;
    const settings *s = given;
    if (s->width < 0 || s->width > 1000)
        return cli_fail_usage(NULL, "--width takes a number up to 1000, but got %" PRId64,
                              s->width);
    if (!s->memory && (s->subject.batch || s->subject.size.rank))
        return cli_fail_usage(NULL, "%s goes with --memory",
                              s->subject.batch ? "--batch" : "--size");
    int code = CLI_OK;
    cn_model *model = subject_open(arguments[0], &code);
    if (model)
        code = show(model, s);
    cn_model_free(model);
    return code;
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
        "of `cornu train`, such as question.\n\n"
        "The memory is that of the weights, of kernels packed for reading, of the workspace for\n"
        "the values between operations, of inputs and of outputs. No plan can do with less\n"
        "workspace than the values that are in use at a time.\n",
    .settings_size = sizeof(settings),
    .run = run,
};
