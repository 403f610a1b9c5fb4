/* Planning a convolution with few input channels; see conv_line.h. */
#include <math.h>

#include "ops/conv_line.h"

/* Costs in multiply-adds of one vector, two of which a processor does at a time. Found by timing.
 */
enum {
    line_cost = 60,   /* beginning a line */
    tap_cost = 8,     /* finding the input of a tap */
    tile_cost = 40,   /* beginning and ending a tile */
    least_cost = 8,   /* a step of a tile: the latency of a multiply-add */
    copied_cost = 16, /* copying so many floats costs one */
};

enum {
    most_pixels = 4096,        /* of a strip */
    most_depth = 16,           /* input channels */
    near_weights = 6 * 1024,   /* floats of a block's kernel */
    most_weights = 256 * 1024, /* and of the whole */
    wanted_tasks = 32
};
static const double task_multiplications = 1 << 20;

static int64_t weights_of(const cn_conv_plan *plan, const struct cn__line_conv *line)
{
    return line->taps * line->depth * plan->packed_columns;
}

/* All but the tasks; no strips if it cannot be done. */
static struct cn__line_conv shape_of(const cn_conv_plan *plan)
{
    const cn_conv *conv = &plan->conv;
    struct cn__line_conv line = {.merged = conv->dilation[2] == 1 ? conv->kernel[2] : 1};
    line.taps = conv->kernel[0] * conv->kernel[1] * (conv->kernel[2] / line.merged);
    line.depth = line.merged * plan->depth;
    line.span = (conv->kernel[1] - 1) * conv->dilation[1] + 1;
    line.copies = conv->kernel[0] * line.span;
    int64_t step = conv->stride[2] * plan->depth;
    int64_t first = ((conv->kernel[2] - 1) * conv->dilation[2] + 1) * plan->depth;
    int64_t room = cn__line_copied / line.copies - first;
    if (plan->pass != CN_CONV_FORWARD || conv->groups != 1 || plan->depth > most_depth ||
        weights_of(plan, &line) > most_weights || line.taps > cn__line_taps ||
        line.copies > cn__line_copies || room < 0)
        return line;
    line.pixels = cn__min(cn__min(room / step + 1, conv->out[2]), most_pixels);
    line.strips = cn__ceil_div(conv->out[2], line.pixels);
    line.pixels = cn__ceil_div(conv->out[2], line.strips);
    line.copied = first + (line.pixels - 1) * step;
    /* Where a block's kernel does not stay in the first-level cache, more pixels share what is read
     * of it. */
    line.widest = cn__widest(plan->kernels);
    if (line.taps * line.depth * line.widest * plan->kernels->lanes > near_weights)
        line.widest = cn__min(line.widest, 2);
    return line;
}

double cn__line_cost(const cn_conv_plan *plan)
{
    const cn_conv *conv = &plan->conv;
    struct cn__line_conv line = shape_of(plan);
    if (line.strips == 0)
        return HUGE_VAL;
    int64_t vectors = cn__ceil_div(plan->columns, plan->kernels->lanes);
    int64_t blocks = cn__ceil_div(vectors, line.widest);
    double wide = (double)vectors / (double)blocks;
    double tiles =
        (double)cn__ceil_div(line.pixels, plan->kernels->rows[cn__ceil_div(vectors, blocks)]);
    double rows = (double)line.pixels / tiles;
    double step = fmax(fmax(rows * wide, rows + wide), least_cost);
    double tile = (double)(line.taps * line.depth) * step + tile_cost;
    double strip = line_cost + (double)(line.taps * tap_cost) +
                   (double)(conv->kernel[0] * conv->stride[1] * line.copied) / copied_cost +
                   tile * tiles * (double)blocks;
    return strip * (double)(line.strips * conv->out[0] * conv->out[1]);
}

static void cut_into_tasks(const cn_conv_plan *plan, struct cn__line_conv *line)
{
    const cn_conv *conv = &plan->conv;
    int64_t lines = conv->batch * conv->out[0] * conv->out[1];
    double all = cn_conv_multiplications(conv, false);
    double wanted = fmax(all / wanted_tasks, task_multiplications);
    double each = all / (double)(lines * line->strips);
    line->lines = (int64_t)fmax(1, fmin(wanted / each, (double)lines));
    line->tasks = line->strips * cn__ceil_div(lines, line->lines);
}

cn_status cn__line_plan(cn_conv_plan *plan)
{
    struct cn__line_conv *line = cn__arena_alloc(plan->arena, sizeof *line);
    if (line == NULL)
        return cn_error_status();
    *line = shape_of(plan);
    CN__TRY(cn__plan_blocks(plan, plan->columns, line->widest, &plan->blocks, &plan->block,
                            &plan->packed_columns));
    cut_into_tasks(plan, line);
    plan->line = line;
    return CN_OK;
}
