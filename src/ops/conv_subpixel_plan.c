/* Planning sub-pixel convolution; see conv_subpixel.h. */
#include "ops/conv_subpixel.h"
#include "ops/conv_winograd.h"
#include "ops/conv_winograd_plan.h"

enum {
    most_used = 64 /* floats of a cell */
};

/* Measured: cycles to move a float between pixels and cells. */
static const double move_cycles = 0.5;

static int64_t floor_div(int64_t a, int64_t b)
{
    return a >= 0 ? a / b : -((b - 1 - a) / b);
}

static int64_t whole_lines(int64_t floats)
{
    return cn__ceil_div(floats, cn__line_floats) * cn__line_floats;
}

/* Taps of zero before the kernel move the grid of cells. As many as need no more taps with stride
 * 1, and leave the fewest pixels of the first cell outside the image. */
static int64_t best_lead(const cn_conv *conv, int axis)
{
    int64_t stride = conv->stride[axis], before = conv->before[axis];
    int64_t spare = cn__ceil_div(conv->kernel[axis], stride) * stride - conv->kernel[axis];
    int64_t shift = before - floor_div(before, stride) * stride, wanted = (stride - shift) % stride;
    return wanted <= spare ? wanted : 0;
}

/* The extents of both sides and of the kernel with stride 1. */
static void plan_extents(const cn_conv_plan *plan, struct cn__subpixel *s, cn_conv *inner)
{
    const cn_conv *conv = &plan->conv;
    bool transposed = plan->pass == CN_CONV_TRANSPOSE;
    const int64_t *fine = transposed ? conv->out : conv->in;
    s->used = transposed ? conv->out_channels : conv->in_channels;
    for (int i = 0; i < 3; i++) {
        int64_t stride = conv->stride[i], before = conv->before[i] + best_lead(conv, i);
        s->lead[i] = before - conv->before[i];
        inner->before[i] = floor_div(before, stride);
        inner->kernel[i] = cn__ceil_div(conv->kernel[i], stride);
        inner->stride[i] = 1;
        s->shift[i] = before - inner->before[i] * stride;
        s->cells[i] = cn__ceil_div(fine[i] + s->shift[i], stride);
        (transposed ? inner->out : inner->in)[i] = s->cells[i];
        s->used *= stride;
    }
}

/* The cells of an output are written by vectors; those of an input are read by vectors, which may
 * reach beyond the last. */
static void plan_cells(const cn_conv_plan *plan, struct cn__subpixel *s, cn_conv *inner)
{
    bool transposed = plan->pass == CN_CONV_TRANSPOSE;
    int64_t lanes = plan->kernels->lanes, taps = 1, cells = plan->conv.batch;
    s->cell = transposed ? cn__ceil_div(s->used, lanes) * lanes : s->used;
    *(transposed ? &inner->out_channels : &inner->in_channels) = s->cell;
    for (int i = 0; i < 3; i++) {
        taps *= inner->kernel[i];
        cells *= s->cells[i];
    }
    s->cell_floats = whole_lines(cells * s->cell + lanes);
    s->kernel_floats = whole_lines(taps * inner->in_channels * inner->out_channels);
    s->bias_floats = transposed ? whole_lines(s->cell) : 0;
}

static bool suits(const cn_conv_plan *plan)
{
    const cn_conv *conv = &plan->conv;
    bool transposed = plan->pass == CN_CONV_TRANSPOSE;
    double used = (double)(transposed ? conv->out_channels : conv->in_channels);
    int64_t many = transposed ? conv->in_channels : conv->out_channels, longest = 1;
    for (int i = 0; i < 3; i++) {
        used *= (double)conv->stride[i];
        longest = cn__max(longest, conv->stride[i]);
    }
    return longest > 1 && used <= most_used && many >= plan->kernels->lanes && conv->groups == 1 &&
           cn__winograd_possible(plan);
}

/* The memory of a run: cells, bias, for a gradient the kernel's, and what minimal filtering takes.
 */
static int64_t own_scratch(const cn_conv_plan *plan, const struct cn__subpixel *s)
{
    bool runs = plan->pass == CN_CONV_FORWARD || plan->pass == CN_CONV_TRANSPOSE;
    return s->cell_floats + s->bias_floats + (runs ? 0 : s->kernel_floats);
}

static cn_status plan_inner(const cn_conv_plan *plan, struct cn__subpixel *s)
{
    cn_conv_plan *inner = &s->inner;
    int64_t room = cn__winograd_room(plan) - own_scratch(plan, s);
    if (room <= 0)
        return CN_OK;
    inner->conv.most_scratch = room * (int64_t)sizeof(float);
    inner->pass = plan->pass;
    inner->kernels = plan->kernels;
    inner->arena = plan->arena;
    inner->depth = inner->conv.in_channels;
    inner->columns = inner->conv.out_channels;
    inner->roomy = true;
    bool runs = plan->pass == CN_CONV_FORWARD || plan->pass == CN_CONV_TRANSPOSE;
    return runs ? cn__winograd_plan(inner) : cn__winograd_gradient_plan(inner);
}

cn_status cn__subpixel_plan(cn_conv_plan *plan)
{
    if (!suits(plan))
        return CN_OK;
    struct cn__subpixel *s = cn__arena_alloc(plan->arena, sizeof *s);
    if (s == NULL)
        return cn_error_status();
    s->inner.conv = plan->conv;
    plan_extents(plan, s, &s->inner.conv);
    plan_cells(plan, s, &s->inner.conv);
    CN__TRY(plan_inner(plan, s));
    if (s->inner.winograd == NULL)
        return CN_OK;
    double cycles = s->inner.cycles + move_cycles * (double)s->cell_floats;
    cn__plan_weigh(plan, "sub-pixel", cycles);
    bool alone = plan->winograd != NULL || plan->line_filter != NULL;
    if (cn__winograd_preferred() != 0 ? alone : cycles >= plan->cycles)
        return CN_OK;
    bool runs = plan->pass == CN_CONV_FORWARD || plan->pass == CN_CONV_TRANSPOSE;
    plan->subpixel = s;
    plan->path = &cn__subpixel_path;
    plan->algorithm = "sub-pixel";
    plan->cycles = cycles;
    plan->packed_floats = runs ? s->inner.packed_floats + s->kernel_floats : 0;
    plan->scratch_floats = own_scratch(plan, s) + s->inner.scratch_floats;
    return CN_OK;
}
