/* Convolutions from the command line. */
#include "operation.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* In the order of cn_padding. */
static const char *const padding_names[] = {"valid", "same", "causal", "same_theano"};

enum { PADDINGS = sizeof padding_names / sizeof *padding_names };

/* Other names are those of Keras 1 and of PyTorch. */
struct operation_kind {
    const char *name, *keras1, *pytorch;
    int rank;
    bool transposed;
};

static const operation_kind kinds[] = {
    {"conv1d", "convolution1d", NULL, 1, false},
    {"conv2d", "convolution2d", NULL, 2, false},
    {"conv3d", "convolution3d", NULL, 3, false},
    {"conv1d_transpose", "deconvolution1d", "conv_transpose1d", 1, true},
    {"conv2d_transpose", "deconvolution2d", "conv_transpose2d", 2, true},
    {"conv3d_transpose", "deconvolution3d", "conv_transpose3d", 3, true},
};

enum { KINDS = sizeof kinds / sizeof *kinds };

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

const operation_kind *operation_kind_named(const char *name)
{
    for (int i = 0; i < KINDS; i++)
        if (same_name(name, kinds[i].name) || same_name(name, kinds[i].keras1) ||
            (kinds[i].pytorch && same_name(name, kinds[i].pytorch)))
            return &kinds[i];
    return NULL;
}

const char *operation_nearest(const char *name)
{
    return cli_nearest(name, &kinds->name, KINDS, sizeof *kinds);
}

/* Spreads one number over all axes. False, after a message, if their count does not fit or one is
 * below `least`. */
static bool spread(const char *option, const cli_extents *given, int rank, int64_t least,
                   int64_t *out)
{
    if (given->rank != 1 && given->rank != rank) {
        if (rank == 1)
            (void)cli_fail_usage(NULL, "--%s takes 1 number, but got %d", option, given->rank);
        else
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
static bool take_input(const operation_options *s, cn_conv *conv)
{
    cli_extents input = s->input;
    conv->in_channels = 1;
    if (input.rank > conv->rank + 1) {
        (void)cli_fail_usage(NULL, "--input takes %d number%s, or %d with the channels, but got %d",
                             conv->rank, conv->rank == 1 ? "" : "s", conv->rank + 1, input.rank);
        return false;
    }
    if (input.rank == conv->rank + 1)
        conv->in_channels = input.dim[--input.rank];
    return spread("input", &input, conv->rank, 1, conv->in);
}

static bool take_settings(const operation_options *s, const operation_kind *kind, cn_conv *conv)
{
    *conv = (cn_conv){.rank = kind->rank,
                      .batch = 1,
                      .out_channels = s->filters ? s->filters : 1,
                      .groups = s->groups ? s->groups : 1};
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
static bool take_padding(const operation_options *s, operation *o)
{
    cli_extents cells;
    o->padding_name = s->padding ? s->padding : padding_names[CN_VALID];
    for (int i = 0; i < PADDINGS; i++)
        if (strcmp(o->padding_name, padding_names[i]) == 0) {
            o->padding = (cn_padding)i;
            return true;
        }
    o->symmetric = true;
    if (read_cells(s->padding, &cells))
        return spread("padding", &cells, o->conv.rank, 0, o->conv.before);
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
static int find_output(const operation_options *s, operation *o)
{
    int64_t extra[3], size[3];
    if (!o->transposed && (s->output_padding.rank || s->output_size.rank))
        return cli_fail_usage(NULL,
                              "--output-padding and --output-size are for transposed "
                              "convolutions; %s is none",
                              o->name);
    if (s->output_padding.rank && s->output_size.rank)
        return cli_fail_usage(NULL, "--output-padding and --output-size exclude each other");
    if (s->output_padding.rank &&
        !spread("output-padding", &s->output_padding, o->conv.rank, 0, extra))
        return CLI_USAGE;
    if (s->output_size.rank && !spread("output-size", &s->output_size, o->conv.rank, 1, size))
        return CLI_USAGE;
    o->sized = s->output_size.rank != 0;
    cn_status status = CN_OK;
    if (o->symmetric && !are_small(&o->conv))
        return cli_fail_usage(NULL, "a padding in numbers goes with numbers up to 2^30");
    if (o->symmetric)
        find_symmetric(&o->conv, o->transposed, s->output_padding.rank ? extra : NULL,
                       o->sized ? size : NULL);
    else if (o->sized)
        status = cn_conv_transpose_out(&o->conv, o->padding, size);
    else if (o->transposed)
        status = cn_conv_transpose_pad_keras(&o->conv, o->padding,
                                             s->output_padding.rank ? extra : NULL);
    else
        status = cn_conv_pad_keras(&o->conv, o->padding);
    if (status != CN_OK || cn_conv_check(&o->conv, o->transposed) != CN_OK)
        return cli_fail_library();
    for (int i = 0; i < o->conv.rank; i++)
        o->output_padding[i] = s->output_padding.rank ? extra[i] : -1;
    return CLI_OK;
}

int operation_take(const operation_options *s, const operation_kind *kind, operation *o)
{
    *o = (operation){.name = kind->name, .transposed = kind->transposed};
    if (!take_settings(s, kind, &o->conv) || !take_padding(s, o))
        return CLI_USAGE;
    return find_output(s, o);
}
