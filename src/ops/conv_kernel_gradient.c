/* The gradient of a convolution's kernel: for every tap, the outer product of what the tap reads
 * and the output's gradient, summed over the output pixels. The plan is that of the convolution;
 * for a transposed convolution the two buffers change places.
 *
 * Tasks and parts are here; conv_gradient_product.c does the products. */
#include <string.h>

#include "ops/conv_depthwise.h"
#include "ops/conv_gradient.h"
#include "ops/conv_subpixel.h"
#include "ops/conv_winograd.h"

enum {
    slice = 8192 /* floats of the kernel that a task sums over the parts */
};

typedef struct context {
    const cn_conv_plan *plan;
    const float *in;       /* the convolution's input */
    const float *gradient; /* of the convolution's output */
    float *sums;           /* [parts] kernels; if swapped, (line, out channel, row) */
    float *kernel;         /* the result */
    int64_t kernel_floats;
} context;

/* The first pixel of a part: that of a line if chunks are made of lines. */
static int64_t first_of(const cn_conv_plan *plan, int64_t part)
{
    int64_t width = plan->conv.out[2], unit = plan->gradient.chunk >= width ? width : 1;
    return plan->conv.batch * plan->phase[0].image_pixels / unit * part / plan->parts * unit;
}

/* Tasks are numbered by part, group, lines, rows, blocks. Those of a part follow each other, so
 * that its pixels stay in the cache. */
static void gradient_task(void *opaque, size_t index)
{
    const context *c = opaque;
    const cn_conv_plan *plan = c->plan;
    const cn__gradient *g = &plan->gradient;
    int64_t task = (int64_t)index, groups = plan->conv.groups;
    int64_t block = task % g->block_tasks * g->task_blocks;
    task /= g->block_tasks;
    int64_t row = task % g->row_tasks * g->task_rows;
    task /= g->row_tasks;
    int64_t line = task % g->line_tasks * g->task_lines;
    task /= g->line_tasks;
    int64_t group = task % groups, part = task / groups;
    cn__gradient_work work = {.plan = plan,
                              .in = c->in,
                              .gradient = c->gradient,
                              .sums = c->sums + part * c->kernel_floats,
                              .first = first_of(plan, part),
                              .end = first_of(plan, part + 1),
                              .group = group,
                              .line = line,
                              .end_line = cn__min(line + g->task_lines, g->lines),
                              .block = block,
                              .end_block = cn__min(block + g->task_blocks, g->blocks),
                              .row = row,
                              .end_row = row + g->task_rows};
    cn__gradient_products(&work);
}

/* Adds the parts of one slice up, in their order. */
static void sum_task(void *opaque, size_t index)
{
    const context *c = opaque;
    int64_t first = (int64_t)index * slice, count = cn__min(slice, c->kernel_floats - first);
    float *sum = c->plan->gradient.swapped ? c->sums : c->kernel;
    if (sum != c->sums)
        memcpy(sum + first, c->sums + first, (size_t)count * sizeof(float));
    for (int64_t p = 1; p < c->plan->parts; p++)
        c->plan->kernels->add_scaled(1, c->sums + p * c->kernel_floats + first, sum + first, count);
}

/* A line of a swapped sum, (out channel, row), goes to the kernel's (row, out channel). */
static void turn_task(void *opaque, size_t index)
{
    const context *c = opaque;
    int64_t rows = c->plan->gradient.rows, columns = c->plan->conv.out_channels;
    int64_t line = (int64_t)index * rows * columns;
    c->plan->kernels->transpose(columns, rows, c->sums + line, rows, c->kernel + line, columns);
}

void cn_conv_plan_kernel_gradient(const cn_conv_plan *plan, const float *in,
                                  const float *out_gradient, float *kernel_gradient, void *scratch,
                                  cn_pool *pool)
{
    bool transposed = plan->pass == CN_CONV_TRANSPOSE_KERNEL_GRADIENT;
    if (plan->depthwise != NULL) {
        cn__depthwise_kernel_gradient(plan, transposed ? out_gradient : in,
                                      transposed ? in : out_gradient, kernel_gradient, scratch,
                                      pool);
        return;
    }
    context c = {.plan = plan,
                 .in = transposed ? out_gradient : in,
                 .gradient = transposed ? in : out_gradient,
                 .sums = plan->scratch_floats > 0 ? scratch : kernel_gradient,
                 .kernel = kernel_gradient,
                 .kernel_floats = cn_conv_kernel_count(&plan->conv, false)};
    if (plan->subpixel != NULL) {
        cn__subpixel_kernel_gradient(plan, c.in, c.gradient, kernel_gradient, scratch, pool);
        return;
    }
    if (plan->winograd != NULL) {
        cn__winograd_gradient_run(plan, c.in, c.gradient, kernel_gradient, scratch, pool);
        return;
    }
    cn__pool_run(pool, gradient_task, &c, (size_t)plan->tasks);
    if (plan->parts > 1)
        cn__pool_run(pool, sum_task, &c, (size_t)cn__ceil_div(c.kernel_floats, slice));
    if (plan->gradient.swapped)
        cn__pool_run(pool, turn_task, &c, (size_t)plan->gradient.lines);
}

static cn_status gradient_once(const cn_conv *conv, cn_conv_pass pass, const float *in,
                               const float *out_gradient, float *kernel_gradient, cn_pool *pool)
{
    if (in == NULL || out_gradient == NULL || kernel_gradient == NULL)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "conv: the input, the output's gradient and the kernel's "
                        "must be given, none may be NULL");
    cn_conv_plan *plan = cn_conv_plan_new(conv, pass);
    if (plan == NULL)
        return cn_error_status();
    float *scratch = cn__alloc(cn_conv_plan_scratch_bytes(plan));
    cn_status status = scratch != NULL ? CN_OK : cn_error_status();
    if (scratch != NULL)
        cn_conv_plan_kernel_gradient(plan, in, out_gradient, kernel_gradient, scratch, pool);
    cn__free(scratch);
    cn_conv_plan_free(plan);
    return status;
}

cn_status cn_conv_kernel_gradient_f32(const cn_conv *conv, const float *in,
                                      const float *out_gradient, float *kernel_gradient,
                                      cn_pool *pool)
{
    return gradient_once(conv, CN_CONV_KERNEL_GRADIENT, in, out_gradient, kernel_gradient, pool);
}

cn_status cn_conv_transpose_kernel_gradient_f32(const cn_conv *conv, const float *in,
                                                const float *out_gradient, float *kernel_gradient,
                                                cn_pool *pool)
{
    return gradient_once(conv, CN_CONV_TRANSPOSE_KERNEL_GRADIENT, in, out_gradient, kernel_gradient,
                         pool);
}
