/* cornu explain: the arithmetic of a convolution or transposed convolution, with its numbers. */
#include "cli.h"
#include "explain.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct settings {
    cli_extents input, kernel, stride, dilation, output_padding, output_size;
    int64_t filters, groups;
    const char *padding;
    bool json;
    const char *picture;
} settings;

/* In the order of cn_padding. */
static const char *const padding_names[] = {"valid", "same", "causal", "same_theano"};

enum { PADDINGS = sizeof padding_names / sizeof *padding_names };

static const settings defaults = {.filters = 1, .groups = 1, .padding = "valid"};

#define AT(member) .offset = offsetof(settings, member)

static const cli_option options[] = {
    {.name = "input",
     .letter = 'i',
     .kind = CLI_EXTENTS,
     AT(input),
     .value = "HxW[xC]",
     .help = "extents of the input, channels last (default 1 channel)",
     .required = true},
    {.name = "kernel",
     .letter = 'k',
     .kind = CLI_EXTENTS,
     AT(kernel),
     .value = "N[xN]",
     .help = "kernel size",
     .required = true},
    {.name = "stride",
     .letter = 's',
     .kind = CLI_EXTENTS,
     AT(stride),
     .value = "N[xN]",
     .help = "stride (default 1)"},
    {.name = "padding",
     .letter = 'p',
     .kind = CLI_TEXT,
     AT(padding),
     .value = "valid|same|causal|same_theano|N[xN]",
     .help = "padding (default valid); causal is for conv1d,\n"
             "same_theano is what Keras did on Theano, and numbers\n"
             "are the cells on either side, as PyTorch counts them"},
    {.name = "dilation",
     .letter = 'd',
     .kind = CLI_EXTENTS,
     AT(dilation),
     .value = "N[xN]",
     .help = "dilation rate (default 1)"},
    {.name = "output-padding",
     .kind = CLI_EXTENTS,
     AT(output_padding),
     .value = "N[xN]",
     .help = "transposed: Keras' output_padding (default None)"},
    {.name = "output-size",
     .kind = CLI_EXTENTS,
     AT(output_size),
     .value = "HxW",
     .help = "transposed: the wanted output, instead of\noutput_padding"},
    {.name = "filters",
     .letter = 'f',
     .kind = CLI_INTEGER,
     AT(filters),
     .value = "N",
     .help = "channels of the output (default 1)"},
    {.name = "groups",
     .kind = CLI_INTEGER,
     AT(groups),
     .value = "N",
     .help = "groups of channels (default 1)"},
    {.name = "output",
     .letter = 'o',
     .kind = CLI_TEXT,
     AT(picture),
     .value = "MAP.png",
     .help = "transposed: draw the overlap map"},
    {.name = "json", .kind = CLI_FLAG, AT(json), .help = "print JSON"},
    {0},
};

/* Other names are those of Keras 1 and of PyTorch. */
static const struct operation {
    const char *name, *keras1, *pytorch;
    int rank;
    bool transposed;
} operations[] = {
    {"conv1d", "convolution1d", NULL, 1, false},
    {"conv2d", "convolution2d", NULL, 2, false},
    {"conv3d", "convolution3d", NULL, 3, false},
    {"conv1d_transpose", "deconvolution1d", "conv_transpose1d", 1, true},
    {"conv2d_transpose", "deconvolution2d", "conv_transpose2d", 2, true},
    {"conv3d_transpose", "deconvolution3d", "conv_transpose3d", 3, true},
};

enum { OPERATIONS = sizeof operations / sizeof *operations };

/* Conv2DTranspose is conv2d_transpose: case and underscores do not count. */
static bool same_name(const char *a, const char *b)
{
    for (;; a++, b++) {
        while (*a == '_')
            a++;
        while (*b == '_')
            b++;
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b))
            return false;
        if (*a == '\0')
            return true;
    }
}

static const struct operation *find_operation(const char *name)
{
    for (int i = 0; i < OPERATIONS; i++)
        if (same_name(name, operations[i].name) || same_name(name, operations[i].keras1) ||
            (operations[i].pytorch && same_name(name, operations[i].pytorch)))
            return &operations[i];
    const char *nearest = cli_nearest(name, &operations->name, OPERATIONS, sizeof *operations);
    char hint[100];
    (void)cli_fail_usage(cli_hint(hint, sizeof hint, nearest), "there is no operation `%s`", name);
    return NULL;
}

/* Spreads one number over all axes. False, after a message, if their count does not fit or one is
 * below `least`. */
static bool spread(const char *option, const cli_extents *given, int rank, int64_t least,
                   int64_t *out)
{
    if (given->rank != 1 && given->rank != rank) {
        (void)cli_fail_usage(NULL, "--%s takes 1 number or %d, but got %d", option, rank,
                             given->rank);
        return false;
    }
    for (int i = 0; i < rank; i++) {
        out[i] = given->dim[given->rank == 1 ? 0 : i];
        if (out[i] < least) {
            (void)cli_fail_usage(NULL, "--%s must be at least %" PRId64 ", but got %" PRId64,
                                 option, least, out[i]);
            return false;
        }
    }
    return true;
}

/* The input may end with its channels. */
static bool take_input(const settings *s, cn_conv *conv)
{
    cli_extents input = s->input;
    conv->in_channels = 1;
    if (input.rank == conv->rank + 1)
        conv->in_channels = input.dim[--input.rank];
    return spread("input", &input, conv->rank, 1, conv->in);
}

static bool take_settings(const settings *s, const struct operation *operation, cn_conv *conv)
{
    *conv = (cn_conv){
        .rank = operation->rank, .batch = 1, .out_channels = s->filters, .groups = s->groups};
    const struct {
        const char *name;
        const cli_extents *given;
        int64_t *out;
    } lists[] = {{"kernel", &s->kernel, conv->kernel},
                 {"stride", &s->stride, conv->stride},
                 {"dilation", &s->dilation, conv->dilation}};
    for (int i = 0; i < 3; i++)
        conv->stride[i] = conv->dilation[i] = 1;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (lists[i].given->rank &&
            !spread(lists[i].name, lists[i].given, conv->rank, 1, lists[i].out))
            return false;
    if (s->filters < 1 || s->groups < 1) {
        (void)cli_fail_usage(NULL, "--filters and --groups must be at least 1");
        return false;
    }
    return take_input(s, conv);
}

/* "1" or "1x2": cells on either side. */
static bool read_cells(const char *text, cli_extents *cells)
{
    *cells = (cli_extents){0};
    for (;;) {
        char *end;
        cells->dim[cells->rank++] = strtoll(text, &end, 10);
        if (end == text || cells->rank == CN_MAX_RANK)
            return false;
        if (*end == '\0')
            return true;
        if (*end != 'x' && *end != ',')
            return false;
        text = end + 1;
    }
}

/* The padding's name, or the cells on either side in conv.before. */
static bool take_padding(const settings *s, explanation *e)
{
    cli_extents cells;
    e->padding_name = s->padding;
    for (int i = 0; i < PADDINGS; i++)
        if (strcmp(s->padding, padding_names[i]) == 0) {
            e->padding = (cn_padding)i;
            return true;
        }
    e->symmetric = true;
    if (read_cells(s->padding, &cells))
        return spread("padding", &cells, e->conv.rank, 0, e->conv.before);
    (void)cli_fail_usage(NULL,
                         "--padding takes valid, same, causal, same_theano or numbers such as 1 or "
                         "1x1, but got `%s`",
                         s->padding);
    return false;
}

/* Below this, no product of two of them overflows. */
static bool are_small(const cn_conv *c)
{
    const int64_t most = INT64_C(1) << 30;
    for (int i = 0; i < c->rank; i++)
        if (c->in[i] > most || c->kernel[i] > most || c->stride[i] > most ||
            c->dilation[i] > most || c->before[i] > most)
            return false;
    return true;
}

/* The output with as many cells on either side, as PyTorch computes it. */
static void find_symmetric(cn_conv *c, bool transposed, const int64_t *extra, const int64_t *size)
{
    for (int i = 0; i < c->rank; i++) {
        int64_t span = (c->kernel[i] - 1) * c->dilation[i] + 1, cells = 2 * c->before[i];
        if (size)
            c->out[i] = size[i];
        else if (transposed)
            c->out[i] = (c->in[i] - 1) * c->stride[i] - cells + span + (extra ? extra[i] : 0);
        else
            c->out[i] = c->in[i] + cells < span ? 0 : (c->in[i] + cells - span) / c->stride[i] + 1;
    }
}

/* Padding and output by the convention asked for; an exit code. */
static int find_output(const settings *s, explanation *e)
{
    int64_t extra[3], size[3];
    if (!e->transposed && (s->output_padding.rank || s->output_size.rank || s->picture))
        return cli_fail_usage(NULL,
                              "--output-padding, --output-size and -o are for transposed "
                              "convolutions; %s is none",
                              e->operation);
    if (s->output_padding.rank && s->output_size.rank)
        return cli_fail_usage(NULL, "--output-padding and --output-size exclude each other");
    if (s->output_padding.rank &&
        !spread("output-padding", &s->output_padding, e->conv.rank, 0, extra))
        return CLI_USAGE;
    if (s->output_size.rank && !spread("output-size", &s->output_size, e->conv.rank, 1, size))
        return CLI_USAGE;
    e->sized = s->output_size.rank != 0;
    cn_status status = CN_OK;
    if (e->symmetric && !are_small(&e->conv))
        return cli_fail_usage(NULL, "a padding in numbers goes with numbers up to 2^30");
    if (e->symmetric)
        find_symmetric(&e->conv, e->transposed, s->output_padding.rank ? extra : NULL,
                       e->sized ? size : NULL);
    else if (e->sized)
        status = cn_conv_transpose_out(&e->conv, e->padding, size);
    else if (e->transposed)
        status = cn_conv_transpose_pad_keras(&e->conv, e->padding,
                                             s->output_padding.rank ? extra : NULL);
    else
        status = cn_conv_pad_keras(&e->conv, e->padding);
    if (status != CN_OK || cn_conv_check(&e->conv, e->transposed) != CN_OK)
        return cli_fail_library();
    for (int i = 0; i < e->conv.rank; i++)
        e->axis[i].output_padding = s->output_padding.rank ? extra[i] : -1;
    return CLI_OK;
}

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
    const cn_conv *conv = &e->conv;
    explain_axis *a = &e->axis[i];
    *a = (explain_axis){.name = names[conv->rank - 1][i],
                        .in = conv->in[i],
                        .kernel = conv->kernel[i],
                        .stride = conv->stride[i],
                        .dilation = conv->dilation[i],
                        .before = conv->before[i],
                        .out = conv->out[i],
                        .output_padding = a->output_padding};
    a->span = (a->kernel - 1) * a->dilation + 1;
    a->full = (a->in - 1) * a->stride + a->span;
    a->after = e->transposed ? a->full - a->before - a->out
                             : (a->out - 1) * a->stride + a->span - a->in - a->before;
    a->smallest = (a->in - 1) * a->stride + (e->padding == CN_VALID ? a->span : a->span % 2);
    if (e->symmetric)
        a->smallest -= 2 * a->before;
    a->step = greatest_divisor(a->dilation, a->stride);
    int64_t phases = a->stride / a->step;
    a->least = a->step > 1 ? 0 : a->kernel / phases;
    a->most = (a->kernel + phases - 1) / phases;
    find_torch(a, e->transposed);
}

static int run(const void *given, int count, char **arguments)
{
    (void)count;
    const settings *s = given;
    const struct operation *operation = find_operation(arguments[0]);
    if (!operation)
        return CLI_USAGE;
    explanation e = {.operation = operation->name, .transposed = operation->transposed};
    if (!take_settings(s, operation, &e.conv) || !take_padding(s, &e))
        return CLI_USAGE;
    int code = find_output(s, &e);
    if (code != CLI_OK)
        return code;
    for (int i = 0; i < e.conv.rank; i++)
        find_axis(&e, i);
    e.torch = true;
    for (int i = 0; i < e.conv.rank; i++)
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
    .defaults = &defaults,
    .run = run,
};
