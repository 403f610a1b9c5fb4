/* cornu evaluate: losses and metrics of a model on data. */
#include "json.h"
#include "lesson.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct settings {
    lesson_options lesson;
    const char *data;
    bool json;
} settings;

#define AT(member) .offset = offsetof(settings, member)

static const cli_option options[] = {
    {.name = "data",
     .letter = 'd',
     .kind = CLI_TEXT,
     AT(data),
     .value = "DATA",
     .help = "what to judge by, see below",
     .required = true},
    {.name = "json", .kind = CLI_FLAG, AT(json), .help = "print JSON"},
    LESSON_OPTIONS(settings),
    {0},
};

static void print_table(cn_logs logs)
{
    int width = 0;
    for (int i = 0; i < logs.count; i++) {
        int length = (int)strlen(logs.names[i]);
        width = length > width ? length : width;
    }
    for (int i = 0; i < logs.count; i++)
        (void)printf("%-*s  %.6g\n", width, logs.names[i], logs.values[i]);
}

static void print_json(cn_logs logs, int64_t samples)
{
    cli_json json = {0};
    cli_json_open(&json, NULL, '{');
    cli_json_integer(&json, "samples", samples);
    cli_json_open(&json, "logs", '{');
    for (int i = 0; i < logs.count; i++)
        cli_json_number(&json, logs.names[i], logs.values[i]);
    cli_json_close(&json, '}');
    cli_json_close(&json, '}');
}

static int evaluate(lesson *l, data *d, const settings *s)
{
    cn_logs logs;
    data_options o = {.model = l->model, .size = s->lesson.size, .test = true};
    int code = data_open(d, s->data, &o);
    if (code == CLI_OK)
        code = lesson_compile(l, &s->lesson, d, NULL);
    if (code == CLI_OK)
        code = data_fit(d, l->model);
    if (code != CLI_OK)
        return code;
    if (!s->json)
        data_tell(d, "data");
    if (cn_model_evaluate_dataset(l->model, d->set, s->lesson.batch_size, &logs, l->pool) != CN_OK)
        return cli_fail_library();
    if (s->json)
        print_json(logs, cn_dataset_count(d->set));
    else
        print_table(logs);
    return CLI_OK;
}

static int run(const void *given, int count, char **arguments)
{
    (void)count;
    const settings *s = given;
    lesson l;
    data d = {0};
    int code = lesson_open(&l, &s->lesson, arguments[0]);
    if (code == CLI_OK)
        code = evaluate(&l, &d, s);
    data_close(&d);
    lesson_close(&l);
    return code;
}

const cli_command cli_evaluate = {
    .name = "evaluate",
    .help = "compute a model's losses and metrics",
    .arguments = "MODEL",
    .least = 1,
    .most = 1,
    .options = options,
    .details = LESSON_MODELS "\n" DATA_HELP "\n"
                             "examples:\n"
                             "  cornu evaluate model.keras --data test.npz\n"
                             "  cornu evaluate model.h5 --data mnist:folder --loss "
                             "sparse_categorical_crossentropy --metrics accuracy\n",
    .settings_size = sizeof(settings),
    .run = run,
};
