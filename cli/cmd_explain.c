/* cornu explain: the arithmetic of a convolution or transposed convolution, with its numbers. */
#include "explain.h"

typedef struct settings {
    operation_options operation;
    bool json;
    const char *picture;
} settings;

#define AT(member) .offset = offsetof(settings, member)

static const cli_option options[] = {
    OPERATION_OPTIONS(settings, true),
    {.name = "output",
     .letter = 'o',
     .kind = CLI_TEXT,
     AT(picture),
     .value = "MAP.png",
     .help = "transposed: draw the overlap map"},
    {.name = "json", .kind = CLI_FLAG, AT(json), .help = "print JSON"},
    {0},
};

static int64_t greatest_divisor(int64_t a, int64_t b)
{
    return b ? greatest_divisor(b, a % b) : a;
}

/* PyTorch crops or pads the same number of cells on both sides. */
static void find_torch(explain_axis *a, bool transposed)
{
    if (transposed) {
        int64_t limit = a->stride > a->dilation ? a->stride : a->dilation;
        a->torch_extra = a->out - (a->full - 2 * a->before);
        a->torch = a->before >= 0 && a->torch_extra >= 0 && a->torch_extra < limit;
        return;
    }
    int64_t available = a->in + 2 * a->before;
    a->torch = available >= a->span && (available - a->span) / a->stride + 1 == a->out;
}

static void find_axis(explanation *e, int i)
{
    static const char *const names[3][3] = {
        {"steps"}, {"rows", "columns"}, {"planes", "rows", "columns"}};
    const cn_conv *conv = &e->of.conv;
    explain_axis *a = &e->axis[i];
    *a = (explain_axis){.name = names[conv->rank - 1][i],
                        .in = conv->in[i],
                        .kernel = conv->kernel[i],
                        .stride = conv->stride[i],
                        .dilation = conv->dilation[i],
                        .before = conv->before[i],
                        .out = conv->out[i],
                        .output_padding = e->of.output_padding[i]};
    a->span = (a->kernel - 1) * a->dilation + 1;
    a->full = (a->in - 1) * a->stride + a->span;
    a->after = e->of.transposed ? a->full - a->before - a->out
                                : (a->out - 1) * a->stride + a->span - a->in - a->before;
    a->smallest = (a->in - 1) * a->stride + (e->of.padding == CN_VALID ? a->span : a->span % 2);
    if (e->of.symmetric)
        a->smallest -= 2 * a->before;
    a->step = greatest_divisor(a->dilation, a->stride);
    int64_t phases = a->stride / a->step;
    a->least = a->step > 1 ? 0 : a->kernel / phases;
    a->most = (a->kernel + phases - 1) / phases;
    find_torch(a, e->of.transposed);
}

static int run(const void *given, int count, char **arguments)
{
    (void)count;
    const settings *s = given;
    const operation_kind *kind = operation_kind_named(arguments[0]);
    char hint[100];
    if (!kind)
        return cli_fail_usage(cli_hint(hint, sizeof hint, operation_nearest(arguments[0])),
                              "there is no operation `%s`", arguments[0]);
    explanation e = {0};
    int code = operation_take(&s->operation, kind, &e.of);
    if (code != CLI_OK)
        return code;
    if (s->picture && !e.of.transposed)
        return cli_fail_usage(NULL, "-o is for transposed convolutions; %s is none", e.of.name);
    for (int i = 0; i < e.of.conv.rank; i++)
        find_axis(&e, i);
    e.torch = true;
    for (int i = 0; i < e.of.conv.rank; i++)
        e.torch = e.torch && e.axis[i].torch;
    if (s->picture && explain_draw_overlap(&e, s->picture) != CN_OK)
        return cli_fail_library();
    if (s->json)
        explain_print_json(&e);
    else
        explain_print_text(&e);
    return CLI_OK;
}

const cli_command cli_explain = {
    .name = "explain",
    .help = "explain the shapes of a convolution or transposed convolution",
    .arguments = "OPERATION",
    .least = 1,
    .most = 1,
    .options = options,
    .details =
        "OPERATION is conv1d, conv2d, conv3d, conv1d_transpose, conv2d_transpose or\n"
        "conv3d_transpose; Keras' class names, such as Conv2DTranspose and Deconvolution2D, work\n"
        "too, and so do PyTorch's, such as ConvTranspose2d. A single number counts for every\n"
        "axis.\n\n"
        "example:\n"
        "  cornu explain conv2d_transpose --input 32x32x3 --kernel 3 --stride 2 --padding same\n",
    .settings_size = sizeof(settings),
    .run = run,
};
