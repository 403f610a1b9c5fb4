/* Planning minimal filtering along the line; see conv_line_filter.h. */
#include <math.h>

#include "ops/conv_line.h"
#include "ops/conv_line_filter.h"
#include "ops/conv_winograd.h"
#include "ops/conv_winograd_plan.h"

/* Costs in multiply-adds of one vector, two of which a processor does at a time. Found by timing.
 */
enum {
    line_cost = 60,      /* beginning a line */
    tap_cost = 8,        /* finding the input of a tap */
    finish_cost = 20,    /* the outputs of a tile of a vector */
    group_cost = 30,     /* beginning and ending some tiles */
    transform_cost = 28, /* a vector at the points */
    pixel_cost = 3       /* moving a pixel to its phase */
};

enum {
    most_depth = 16,          /* input channels */
    most_weights = 256 * 1024 /* floats of the kernel */
};

static const cn__winograd *filter_of(const cn_conv_plan *plan)
{
    const cn__winograd *filter = plan->kernels->winograd;
    while (filter->axes != 1 || filter->points != cn__filter_points ||
           filter->taps != cn__filter_taps)
        filter++;
    return filter;
}

/* A transposed convolution with stride 1 is a correlation with the kernel turned round. */
static bool suits(const cn_conv_plan *plan)
{
    const cn_conv *conv = &plan->conv;
    bool transposed = plan->pass == CN_CONV_TRANSPOSE;
    bool strided = conv->stride[0] > 1 || conv->stride[1] > 1;
    return !(transposed && strided) && conv->stride[2] == 1 && conv->groups == 1 &&
           plan->depth <= most_depth && cn__winograd_possible(plan);
}

/* Equal strips of whole tiles. Of the pixels that a strip reads, every fourth lies beside the other
 * in a phase: the pixel number i of all tiles. */
static void cut_into_strips(const cn_conv_plan *plan, struct cn__line_filter *f)
{
    int64_t out = plan->conv.out[2], lanes = plan->kernels->lanes;
    int64_t most = cn__min(cn__filter_row / plan->depth * cn__filter_pixels, out);
    f->strips = cn__ceil_div(out, most);
    int64_t tiles = cn__ceil_div(cn__ceil_div(out, f->strips), cn__filter_pixels);
    int64_t behind = (cn__filter_taps * f->across + 2) / cn__filter_pixels;
    f->pixels = tiles * cn__filter_pixels;
    f->copied = (tiles + behind) * cn__filter_pixels * plan->depth;
    f->row = cn__ceil_div(tiles * plan->depth, lanes) * lanes;
    f->phase = f->row + behind * plan->depth + cn__filter_spare;
}

/* All but the tasks; no strips if it cannot be done. */
static struct cn__line_filter shape_of(const cn_conv_plan *plan)
{
    const cn_conv *conv = &plan->conv;
    bool transposed = plan->pass == CN_CONV_TRANSPOSE;
    struct cn__line_filter f = {.filter = filter_of(plan)};
    double kernel = (double)conv->kernel[0] * (double)conv->kernel[1] * (double)conv->kernel[2];
    if (!suits(plan) || kernel > cn__filter_most_taps)
        return f;
    for (int i = 0; i < 3; i++)
        f.before[i] = transposed ? conv->kernel[i] - 1 - conv->before[i] : conv->before[i];
    f.across = cn__ceil_div(conv->kernel[2], cn__filter_taps);
    f.taps = conv->kernel[0] * conv->kernel[1] * f.across * plan->depth;
    f.column = f.taps * cn__filter_points;
    f.span = conv->kernel[1];
    f.copies = conv->kernel[0] * f.span;
    f.slot = f.across * cn__filter_floats;
    f.widest = CN__MAX_VECTORS;
    while (plan->kernels->filter_tiles[f.widest] == 0)
        f.widest--;
    if (f.taps > cn__filter_most_taps || f.copies > cn__filter_copies ||
        f.column * plan->packed_columns > most_weights)
        return f;
    cut_into_strips(plan, &f);
    int64_t copied = f.copies * f.slot + cn__filter_pixels * f.phase + f.copied + cn__filter_spare;
    if (copied > cn__filter_copied)
        f.strips = 0;
    return f;
}

/* The tiles of a strip, which load more than they multiply in narrow blocks. */
static double tiles_cost(const cn_conv_plan *plan, const struct cn__line_filter *f)
{
    int64_t vectors = cn__ceil_div(plan->columns, plan->kernels->lanes);
    int64_t blocks = cn__ceil_div(vectors, f->widest);
    double cost = 0;
    for (int64_t b = 0; b < blocks; b++) {
        int64_t wide = vectors * (b + 1) / blocks - vectors * b / blocks;
        int64_t left = cn__ceil_div(f->pixels, cn__filter_pixels);
        for (int64_t tiles = plan->kernels->filter_tiles[wide]; tiles > 0; tiles /= 2) {
            int64_t step = cn__filter_points * cn__max(tiles * wide, tiles + wide);
            cost += (double)(left / tiles) *
                    (double)(f->taps * step + tiles * wide * finish_cost + group_cost);
            left %= tiles;
        }
    }
    return cost;
}

double cn__line_filter_cost(const cn_conv_plan *plan)
{
    const cn_conv *conv = &plan->conv;
    const struct cn__line_filter f = shape_of(plan);
    if (f.strips == 0)
        return HUGE_VAL;
    if (cn__winograd_preferred() != 0)
        return cn__winograd_preferred() == cn__filter_points ? 0 : HUGE_VAL;
    int64_t input = f.across * (f.row / plan->kernels->lanes) * transform_cost +
                    f.copied / plan->depth * pixel_cost;
    double strip = (double)(line_cost + f.taps * tap_cost) +
                   (double)(conv->kernel[0] * conv->stride[1] * input) + tiles_cost(plan, &f);
    return strip * (double)(f.strips * conv->out[0] * conv->out[1]);
}

cn_status cn__line_filter_plan(cn_conv_plan *plan)
{
    struct cn__line_filter *f = cn__arena_alloc(plan->arena, sizeof *f);
    if (f == NULL)
        return cn_error_status();
    *f = shape_of(plan);
    CN__TRY(cn__plan_blocks(plan, plan->columns, f->widest, &plan->blocks, &plan->block,
                            &plan->packed_columns));
    const cn__line_tasks cut = cn__line_cut(plan, f->strips);
    f->lines = cut.lines;
    f->tasks = cut.tasks;
    f->far = cut.far;
    plan->packed_floats = f->column * plan->packed_columns;
    plan->line_filter = f;
    plan->path = &cn__line_filter_path;
    plan->algorithm = "filtered by line";
    return CN_OK;
}
