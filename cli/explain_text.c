/* The text of `cornu explain`. */
#include "explain.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define D PRId64

/* ---- axes with the same numbers are told together ---- */

static bool same_numbers(const explain_axis *a, const explain_axis *b)
{
    return a->in == b->in && a->kernel == b->kernel && a->stride == b->stride &&
           a->dilation == b->dilation && a->before == b->before && a->out == b->out &&
           a->output_padding == b->output_padding;
}

void explain_each_axis(const explanation *e, explain_print_axis *print)
{
    for (int i = 0; i < e->of.conv.rank; i++) {
        bool told = false;
        for (int j = 0; j < i; j++)
            told = told || same_numbers(&e->axis[i], &e->axis[j]);
        if (told)
            continue;
        char label[64] = "";
        for (int j = i; j < e->of.conv.rank; j++)
            if (same_numbers(&e->axis[i], &e->axis[j]))
                (void)snprintf(label + strlen(label), sizeof label - strlen(label), "%s%s",
                               *label ? ", " : "", e->axis[j].name);
        print(e, &e->axis[i], label);
    }
}

/* "(3, 3" and what follows. */
static void print_extents(const int64_t *extents, int rank, const char *end)
{
    for (int i = 0; i < rank; i++)
        (void)printf("%s%" D, i ? ", " : "(", extents[i]);
    (void)printf("%s", end);
}

/* PyTorch takes one number, or one for each axis in parentheses. */
static void print_setting(const char *name, const int64_t *values, int rank, int64_t usual)
{
    bool equal = true, needed = false;
    for (int i = 0; i < rank; i++) {
        equal = equal && values[i] == values[0];
        needed = needed || values[i] != usual;
    }
    if (!needed)
        return;
    (void)printf(", %s=", name);
    if (equal)
        (void)printf("%" D, values[0]);
    else
        print_extents(values, rank, ")");
}

/* What formulas call the extent of the kernel. */
static const char *span_name(const explain_axis *a)
{
    return a->dilation == 1 ? "kernel" : "span";
}

static void print_title(const explanation *e)
{
    const cn_conv *c = &e->of.conv;
    (void)printf("%s of (", e->of.name);
    for (int i = 0; i < c->rank; i++)
        (void)printf("%" D ", ", c->in[i]);
    (void)printf("%" D "): %" D " filter%s, kernel ", c->in_channels, c->out_channels,
                 c->out_channels == 1 ? "" : "s");
    print_extents(c->kernel, c->rank, "), stride ");
    print_extents(c->stride, c->rank, ")");
    print_setting("dilation", c->dilation, c->rank, 1);
    if (c->groups > 1)
        (void)printf(", groups %" D, c->groups);
    (void)printf(", padding `%s`\n", e->of.padding_name);
}

/* ---- output ---- */

static void print_convolution_output(const explanation *e, const explain_axis *a, const char *label)
{
    const char *span = span_name(a);
    (void)printf("  %s: out = ", label);
    if (e->of.symmetric)
        (void)printf("floor((in + 2 * padding - %s) / stride) + 1 = floor((%" D " + 2 * %" D
                     " - %" D ") / %" D ") + 1",
                     span, a->in, a->before, a->span, a->stride);
    else if (e->of.padding == CN_VALID)
        (void)printf("floor((in - %s) / stride) + 1 = floor((%" D " - %" D ") / %" D ") + 1", span,
                     a->in, a->span, a->stride);
    else
        (void)printf("ceil(in / stride) = ceil(%" D " / %" D ")", a->in, a->stride);
    (void)printf(" = %" D "\n", a->out);
}

static void print_transpose_output(const explanation *e, const explain_axis *a, const char *label)
{
    const char *span = span_name(a);
    bool given = a->output_padding >= 0;
    (void)printf("  %s: out = ", label);
    if (e->of.sized)
        (void)printf("the size asked for");
    else if (e->of.symmetric)
        (void)printf("(in - 1) * stride - 2 * padding + %s + output_padding = (%" D " - 1) * %" D
                     " - 2 * %" D " + %" D " + %" D,
                     span, a->in, a->stride, a->before, a->span, given ? a->output_padding : 0);
    else if (e->of.padding != CN_VALID && !given)
        (void)printf("in * stride = %" D " * %" D, a->in, a->stride);
    else if (e->of.padding != CN_VALID)
        (void)printf("(in - 1) * stride + %s mod 2 + output_padding = (%" D " - 1) * %" D " + %" D
                     " + %" D,
                     span, a->in, a->stride, a->span % 2, a->output_padding);
    else if (given)
        (void)printf("(in - 1) * stride + %s + output_padding = (%" D " - 1) * %" D " + %" D
                     " + %" D,
                     span, a->in, a->stride, a->span, a->output_padding);
    else
        (void)printf("(in - 1) * stride + max(%s, stride) = (%" D " - 1) * %" D " + max(%" D ", %" D
                     ")",
                     span, a->in, a->stride, a->span, a->stride);
    (void)printf(" = %" D "\n", a->out);
}

static void print_span(const explanation *e, const explain_axis *a, const char *label)
{
    (void)e;
    if (a->dilation != 1)
        (void)printf("  %s: span = (kernel - 1) * dilation + 1 = (%" D " - 1) * %" D " + 1 = %" D
                     "\n",
                     label, a->kernel, a->dilation, a->span);
}

static void print_output(const explanation *e)
{
    (void)printf("\noutput ");
    print_extents(e->of.conv.out, e->of.conv.rank, "");
    (void)printf(", %" D ")\n", e->of.conv.out_channels);
    explain_each_axis(e, print_span);
    explain_each_axis(e, e->of.transposed ? print_transpose_output : print_convolution_output);
}

/* ---- padding and crops ---- */

static void print_convolution_padding(const explanation *e, const explain_axis *a,
                                      const char *label)
{
    const char *span = span_name(a);
    (void)printf("  %s: before = ", label);
    if (e->of.padding == CN_CAUSAL)
        (void)printf("%s - 1 = ", span);
    else if (e->of.padding == CN_SAME_THEANO)
        (void)printf("floor(%s / 2) = ", span);
    else if (e->of.padding == CN_SAME)
        (void)printf("floor(max((out - 1) * stride + %s - in, 0) / 2)\n"
                     "    = floor(max((%" D " - 1) * %" D " + %" D " - %" D ", 0) / 2) = ",
                     span, a->out, a->stride, a->span, a->in);
    (void)printf("%" D ", after = %" D "\n", a->before, a->after > 0 ? a->after : 0);
    if (a->after < 0)
        (void)printf("  %s: cells at the end that are not read: %" D "\n", label, -a->after);
}

static void print_crop(const explanation *e, const explain_axis *a, const char *label)
{
    const char *span = span_name(a);
    (void)printf("  %s: full = (in - 1) * stride + %s = (%" D " - 1) * %" D " + %" D " = %" D "\n",
                 label, span, a->in, a->stride, a->span, a->full);
    (void)printf("  %s: before = ", label);
    if (e->of.padding == CN_SAME_THEANO)
        (void)printf("floor(%s / 2) = ", span);
    else if (e->of.padding == CN_SAME)
        (void)printf("floor(max(full - out, 0) / 2) = floor(max(%" D " - %" D ", 0) / 2) = ",
                     a->full, a->out);
    (void)printf("%" D "\n  %s: after = full - out - before = %" D " - %" D " - %" D " = %" D "\n",
                 a->before, label, a->full, a->out, a->before, a->after);
    if (a->after < 0)
        (void)printf("  %s: cells at the end that hold the bias alone: %" D "\n", label, -a->after);
}

static void print_output_padding(const explanation *e, const explain_axis *a, const char *label)
{
    (void)printf("  %s: ", label);
    int64_t last = a->stride - 1, step = last <= 3 ? 1 : last;
    for (int64_t extra = 0; extra <= last; extra += step)
        (void)printf("%s%" D " gives %" D,
                     extra == 0 ? ""
                     : step > 1 ? " ... "
                                : ", ",
                     extra, a->smallest + extra);
    (void)putchar('\n');
    if (e->of.padding != CN_VALID && a->span % 2 == 0)
        (void)printf("  %s: TensorFlow refuses 0 with an even kernel\n", label);
}

static void print_sides(const explanation *e)
{
    if (!e->of.transposed) {
        (void)printf("\npadding with zeros\n");
        explain_each_axis(e, print_convolution_padding);
        return;
    }
    (void)printf("\ncrop: in[i] times tap t goes to out[i * stride + t * dilation - before]\n");
    explain_each_axis(e, print_crop);
    (void)printf("\noutput_padding: legal from 0 to stride - 1%s\n",
                 e->axis[0].output_padding < 0 ? ", not given" : "");
    explain_each_axis(e, print_output_padding);
}

/* ---- kernel and work ---- */

static void print_kernel(const explanation *e)
{
    const cn_conv *c = &e->of.conv;
    int64_t weights = cn_conv_kernel_count(c, e->of.transposed);
    int64_t before_last = (e->of.transposed ? c->out_channels : c->in_channels) / c->groups;
    (void)printf("\nkernel ");
    print_extents(c->kernel, c->rank, "");
    (void)printf(", %" D ", %" D "): (", before_last,
                 e->of.transposed ? c->in_channels : c->out_channels);
    for (int i = 0; i < c->rank; i++)
        (void)printf("%s, ", e->axis[i].name);
    const char *split = c->groups > 1 ? " / groups" : "";
    (void)printf(e->of.transposed ? "filters%s, channels)\n" : "channels%s, filters)\n", split);
    (void)printf("  %" D " weights + %" D " bias%s = %" D " parameters\n", weights, c->out_channels,
                 c->out_channels == 1 ? "" : "es", weights + c->out_channels);
    (void)printf("\nmultiplications %.15g for one image: %" D " weights at each of the ",
                 cn_conv_multiplications(c, e->of.transposed), weights);
    for (int i = 0; i < c->rank; i++)
        (void)printf("%s%" D, i ? " x " : "", e->of.transposed ? c->in[i] : c->out[i]);
    (void)printf(" %s cells\n", e->of.transposed ? "input" : "output");
}

/* ---- PyTorch ---- */

static void print_torch_call(const explanation *e, const char *input, bool padded)
{
    const cn_conv *c = &e->of.conv;
    int64_t extra[3];
    for (int i = 0; i < c->rank; i++)
        extra[i] = e->axis[i].torch_extra;
    (void)printf("      y = F.conv%s%dd(%s, w, b", e->of.transposed ? "_transpose" : "", c->rank,
                 input);
    print_setting("stride", c->stride, c->rank, 1);
    if (padded)
        print_setting("padding", c->before, c->rank, 0);
    if (padded && e->of.transposed)
        print_setting("output_padding", extra, c->rank, 0);
    print_setting("dilation", c->dilation, c->rank, 1);
    print_setting("groups", &c->groups, 1, 1);
    (void)printf(")\n");
}

/* F.pad takes the last axis first; negative numbers cut off. */
static void print_torch_pad(const explanation *e, const char *in, const char *out)
{
    int sign = e->of.transposed ? -1 : 1;
    (void)printf("      %s = F.pad(%s, (", out, in);
    for (int i = e->of.conv.rank - 1; i >= 0; i--)
        (void)printf("%" D ", %" D "%s", sign * e->axis[i].before, sign * e->axis[i].after,
                     i ? ", " : "))\n");
}

/* Where the output goes on behind the last tap, F.pad adds zeros: in Keras these cells have the
 * bias. */
static void print_torch_warning(const explanation *e)
{
    for (int i = 0; i < e->of.conv.rank; i++)
        if (e->of.transposed && e->axis[i].after < 0) {
            (void)printf("  the cells that F.pad adds are 0 there and the bias here\n");
            return;
        }
}

static void print_torch_reason(const explanation *e)
{
    for (int i = 0; i < e->of.conv.rank; i++) {
        const explain_axis *a = &e->axis[i];
        if (!a->torch) {
            (void)printf(
                "  not by `padding` alone, which %s as many cells after as before: %s here "
                "%" D " before and %" D " after\n",
                e->of.transposed ? "crops" : "adds", a->name, a->before, a->after);
            return;
        }
    }
}

static void print_torch(const explanation *e)
{
    static const char *const orders[] = {"(2, 1, 0)", "(3, 2, 0, 1)", "(4, 3, 0, 1, 2)"};
    (void)printf("\nPyTorch (channels first; w is the kernel with its axes permuted to %s)\n",
                 orders[e->of.conv.rank - 1]);
    if (e->torch) {
        print_torch_call(e, "x", true);
        return;
    }
    print_torch_reason(e);
    if (!e->of.transposed)
        print_torch_pad(e, "x", "z");
    print_torch_call(e, e->of.transposed ? "x" : "z", false);
    if (e->of.transposed)
        print_torch_pad(e, "y", "y");
    print_torch_warning(e);
}

void explain_print_text(const explanation *e)
{
    print_title(e);
    print_output(e);
    print_sides(e);
    print_kernel(e);
    print_torch(e);
    if (e->of.transposed)
        explain_print_overlap(e);
}
