/* cornu bench: how fast a model or an operation is, and which algorithms were chosen. */
#include "bench.h"

#include <inttypes.h>

static const bench_settings defaults = {.seconds = 1, .pass = -1};

#define AT(member) .offset = offsetof(bench_settings, member)

static const cli_option options[] = {
    SUBJECT_OPTIONS(bench_settings, "images at a time (default 1)",
                    "MODEL: extents of the inputs that have open ones"),
    {.name = "seconds",
     .kind = CLI_NUMBER,
     AT(seconds),
     .value = "S",
     .help = "how long to measure (default 1)",
     .range = CLI_ABOVE_0},
    {.name = "threads",
     .kind = CLI_INTEGER,
     AT(threads),
     .value = "N",
     .help = "threads to compute with (default: all processors)"},
    {.name = "explain",
     .kind = CLI_FLAG,
     AT(explain),
     .help = "show, without measuring, which algorithms were weighed\n"
             "against each other for each convolution"},
    {.name = "json", .kind = CLI_FLAG, AT(json), .help = "print JSON"},
    {.name = "pass",
     .kind = CLI_CHOICE,
     AT(pass),
     .value = "forward|input_gradient|kernel_gradient",
     .help = "OPERATION: what is computed (default forward)"},
    OPERATION_OPTIONS(bench_settings, false),
    {0},
};

/* Refuses options of operations for a model, and the other way round. */
static int check_options(const bench_settings *s, const char *subject, bool is_operation)
{
    const operation_options *o = &s->operation;
    const struct {
        const char *name;
        bool given, of_operations;
    } given[] = {
        {"size", s->subject.size.rank > 0, false},
        {"pass", s->pass >= 0, true},
        {"input", o->input.rank > 0, true},
        {"kernel", o->kernel.rank > 0, true},
        {"stride", o->stride.rank > 0, true},
        {"padding", o->padding, true},
        {"dilation", o->dilation.rank > 0, true},
        {"output-padding", o->output_padding.rank > 0, true},
        {"output-size", o->output_size.rank > 0, true},
        {"filters", o->filters > 0, true},
        {"groups", o->groups > 0, true},
    };
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        if (given[i].given && given[i].of_operations != is_operation)
            return cli_fail_usage(NULL,
                                  is_operation ? "--%s is for models; %s is an operation"
                                               : "--%s is for operations; %s is none: they are "
                                                 "conv1d, conv2d, conv3d, conv1d_transpose, "
                                                 "conv2d_transpose and conv3d_transpose",
                                  given[i].name, subject);
    if (is_operation && (!o->input.rank || !o->kernel.rank))
        return cli_fail_usage("usage: cornu bench OPERATION --input HxW[xC] --kernel N[xN] ...",
                              "--%s is missing", o->input.rank ? "kernel" : "input");
    return CLI_OK;
}

static int run(const void *given, int count, char **arguments)
{
    (void)count;
    const bench_settings *s = given;
    const operation_kind *kind = operation_kind_named(arguments[0]);
    if (s->threads < 0 || s->threads > 1024)
        return cli_fail_usage(NULL, "--threads takes a number from 1 to 1024, but got %" PRId64,
                              s->threads);
    int code = check_options(s, arguments[0], kind != NULL);
    if (code != CLI_OK)
        return code;
    cn_pool *pool = cn_pool_new((int)s->threads);
    if (!pool)
        return cli_fail_library();
    code = kind ? bench_operation(s, kind, pool) : bench_model(s, arguments[0], pool);
    cn_pool_free(pool);
    return code;
}

const cli_command cli_bench = {
    .name = "bench",
    .help = "time a model or a convolution, and explain its algorithms",
    .arguments = "MODEL|OPERATION",
    .least = 1,
    .most = 1,
    .options = options,
    .details =
        "MODEL is a file of Keras 1, 2 or 3, or a built-in model of `cornu train`. Its prediction\n"
        "is timed on random numbers, then each of its operations. OPERATION is one that `cornu\n"
        "explain` knows, such as conv2d_transpose. GFLOP/s count multiplications and additions of\n"
        "the definition, so that an algorithm with fewer can be above the FMA peak, which is\n"
        "measured in the same run.\n\n"
        "examples:\n"
        "  cornu bench unet --batch 4\n"
        "  cornu bench conv2d_transpose --input 8x8x512 --kernel 5 --stride 2 --padding same \\\n"
        "      --filters 256 --batch 16 --pass input_gradient\n",
    .settings_size = sizeof(bench_settings),
    .defaults = &defaults,
    .run = run,
};
