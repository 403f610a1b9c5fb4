/* The gradient of a convolution's kernel: for every tap, the outer product of what the tap reads
 * and the output's gradient, summed over the output pixels. The plan is that of the convolution;
 * for a transposed convolution the two buffers change places.
 *
 * Neighbouring taps of a line read neighbouring cells: where that pays, a whole line of taps is one
 * product, whose rows are all their channels. A pixel whose line leaves the image reads a copy with
 * zeros. */
#include <string.h>

#include "ops/conv_depthwise.h"

enum {
    chunk = 128, /* pixels whose pointers are gathered at a time */
    widest = 64, /* floats of the widest tile */
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

/* The pixels of one chunk that read inside the image with a line of taps. */
typedef struct gathered {
    int64_t count;
    int64_t last; /* how many of them, at the end, a vector of the gradient may reach beyond */
    const float *in[chunk], *gradient[chunk];
    int64_t copied;
    float copies[cn__gradient_copied];
} gathered;

/* What the tasks of a group and a line have in common. */
typedef struct place {
    int64_t tz, ty, tx; /* the line's first tap */
    int64_t in, out;    /* offsets of the group's channels */
    int64_t padded;     /* floats that are read for a pixel, at least those of the line */
    const float *in_end;
} place;

static place place_of(const context *c, int64_t line, int64_t group)
{
    const cn_conv_plan *plan = c->plan;
    const cn_conv *conv = &plan->conv;
    const cn__gradient *g = &plan->gradient;
    const cn__conv_phase *phase = &plan->phase[0];
    int64_t tap = line * g->merged, x = phase->axis[2]->taps, y = phase->axis[1]->taps;
    return (place){.tx = tap % x,
                   .ty = tap / x % y,
                   .tz = tap / x / y,
                   .in = group * plan->depth,
                   .out = group * plan->columns,
                   .padded = g->swapped ? plan->packed_columns : g->rows,
                   .in_end = c->in + cn_conv_in_count(conv)};
}

/* Keeps the line of a pixel that leaves the image, or that a vector would leave: the cells inside,
 * zeros for the others. */
static const float *copy_line(const cn_conv_plan *plan, const place *at, const float *row,
                              const int64_t *x, gathered *found)
{
    float *copy = found->copies + found->copied;
    found->copied += at->padded;
    memset(copy, 0, (size_t)at->padded * sizeof(float));
    for (int64_t t = 0; t < plan->gradient.merged; t++)
        if (x[t] >= 0)
            memcpy(copy + t * plan->depth, row + x[t], (size_t)plan->depth * sizeof(float));
    return copy;
}

static bool any_inside(const int64_t *x, int64_t taps)
{
    for (int64_t t = 0; t < taps; t++)
        if (x[t] >= 0)
            return true;
    return false;
}

/* Adds the pixels x to `end` of a line, some of which lie at the image's edge. Returns the first
 * for which there was no room to copy, or `end`. */
static int64_t gather_edge(const cn_conv_plan *plan, const place *at, const float *row,
                           const float *gradient, int64_t x, int64_t end, gathered *found)
{
    const cn__axis_phase *axis = plan->phase[0].axis[2];
    for (; x < end; x++) {
        const int64_t *cells = axis->in + x * axis->taps + at->tx;
        if (!any_inside(cells, plan->gradient.merged))
            continue;
        if (found->copied + at->padded > cn__gradient_copied)
            return x;
        found->in[found->count] = copy_line(plan, at, row, cells, found);
        found->gradient[found->count++] = gradient + axis->out[x];
    }
    return end;
}

/* Adds the pixels x to `end`, at which whole lines of taps lie inside the image. */
static void gather_inside(const cn_conv_plan *plan, const place *at, const float *row,
                          const float *gradient, int64_t x, int64_t end, gathered *found)
{
    const cn__axis_phase *axis = plan->phase[0].axis[2];
    int64_t in_step = plan->conv.stride[2] * plan->conv.in_channels;
    int64_t out_step = plan->conv.out_channels, count = end - x;
    const float *in = row + axis->in[x * axis->taps + at->tx];
    const float **to_in = found->in + found->count;
    const float **to_gradient = found->gradient + found->count;
    gradient += axis->out[x];
    for (int64_t i = 0; i < count; i++) {
        to_in[i] = in + i * in_step;
        to_gradient[i] = gradient + i * out_step;
    }
    found->count += count;
}

/* The same for any pixels of a line. `row` is the line of the input, `gradient` that of the
 * output. */
static int64_t gather_run(const context *c, const place *at, const float *row,
                          const float *gradient, int64_t x, int64_t end, gathered *found)
{
    const cn_conv_plan *plan = c->plan;
    const cn__axis_phase *axis = plan->phase[0].axis[2];
    int64_t first = cn__max(x, cn__min(end, plan->gradient.inside[at->tx].first));
    int64_t last = cn__max(first, cn__min(end, plan->gradient.inside[at->tx].end));
    while (last > first &&
           at->in_end - (row + axis->in[(last - 1) * axis->taps + at->tx]) < at->padded)
        last--;
    x = gather_edge(plan, at, row, gradient, x, first, found);
    if (x < first)
        return x;
    if (first < last)
        gather_inside(plan, at, row, gradient, first, last, found);
    return gather_edge(plan, at, row, gradient, last, end, found);
}

/* Gathers the pixels from `first` on; returns the first that it did not come to. */
static int64_t gather(const context *c, const place *at, int64_t first, int64_t end,
                      gathered *found)
{
    const cn_conv_plan *plan = c->plan;
    const cn__conv_phase *phase = &plan->phase[0];
    const cn_conv *conv = &plan->conv;
    int64_t in_image = conv->in[0] * conv->in[1] * conv->in[2] * conv->in_channels;
    int64_t out_image = conv->out[0] * conv->out[1] * conv->out[2] * conv->out_channels;
    const cn__axis_phase *az = phase->axis[0], *ay = phase->axis[1];
    cn__pixel pixel = cn__pixel_at(phase, first);
    found->count = found->copied = 0;
    for (int64_t m = first; m < end;) {
        int64_t run = cn__min(end - m, phase->axis[2]->count - pixel.x);
        int64_t z = az->in[pixel.z * az->taps + at->tz], y = ay->in[pixel.y * ay->taps + at->ty];
        if (z >= 0 && y >= 0) {
            const float *gradient = c->gradient + pixel.image * out_image + az->out[pixel.z] +
                                    ay->out[pixel.y] + at->out;
            int64_t done = gather_run(c, at, c->in + pixel.image * in_image + z + y + at->in,
                                      gradient, pixel.x, pixel.x + run, found);
            if (done < pixel.x + run)
                return m + done - pixel.x;
        }
        m += run;
        pixel.x += run - 1;
        cn__pixel_next(phase, &pixel);
    }
    return end;
}

/* Adds the gathered pixels `from` to `to` to all rows of one block of columns. */
static void add_rows(const cn_conv_plan *plan, int vectors, int64_t rows, cn__outer work)
{
    int64_t most = plan->kernels->outer_rows[vectors], strips = cn__ceil_div(rows, most);
    float *out = work.out;
    for (int64_t s = 0; s < strips; s++) {
        int64_t first = rows * s / strips, end = rows * (s + 1) / strips;
        work.a_at = first;
        work.out = out + first * work.stride;
        plan->kernels->outer[vectors][end - first](&work);
    }
}

/* The kernel reads whole vectors: the last pixels' channels, after which the buffer ends, from a
 * copy. */
static void add_last(const cn_conv_plan *plan, const gathered *found, const cn__column_block *block,
                     int64_t rows, cn__outer work)
{
    float padded[16 * widest] = {0};
    const float *copies[16];
    int64_t width = block->vectors * plan->kernels->lanes;
    work.a += work.pixels;
    work.b += work.pixels;
    work.pixels = found->last;
    for (int64_t p = 0; p < found->last; p++) {
        copies[p] = padded + p * width;
        memcpy(padded + p * width, work.b[p] + block->first,
               (size_t)block->columns * sizeof(float));
    }
    work.b = copies;
    work.b_at = 0;
    work.accumulate = true;
    add_rows(plan, block->vectors, rows, work);
}

static void add_block(const cn_conv_plan *plan, const gathered *found,
                      const cn__column_block *block, bool accumulate, float *out)
{
    bool swapped = plan->gradient.swapped;
    bool whole = swapped || block->columns == block->vectors * plan->kernels->lanes;
    int64_t rows = swapped ? plan->columns : plan->gradient.rows;
    cn__outer work = {.pixels = found->count - (whole ? 0 : found->last),
                      .a = swapped ? found->gradient : found->in,
                      .b = swapped ? found->in : found->gradient,
                      .b_at = block->first,
                      .out = out + block->first,
                      .stride = swapped ? plan->gradient.rows : plan->conv.out_channels,
                      .columns = block->columns,
                      .accumulate = accumulate};
    add_rows(plan, block->vectors, rows, work);
    if (!whole && found->last > 0)
        add_last(plan, found, block, rows, work);
}

/* The pixels of a chunk, one line of taps, some blocks of columns. */
static void add_line(const context *c, int64_t line, int64_t group, int64_t block,
                     int64_t end_block, int64_t first, int64_t end, bool accumulate, float *sums)
{
    const cn_conv_plan *plan = c->plan;
    const cn__gradient *g = &plan->gradient;
    int64_t pixels = plan->conv.batch * plan->phase[0].image_pixels;
    place at = place_of(c, line, group);
    gathered found;
    float *out = sums + line * g->rows * plan->conv.out_channels + at.out;
    for (int64_t m = first; m < end; accumulate = true) {
        m = gather(c, &at, m, end, &found);
        /* fewer than a vector's floats lie behind these at most */
        found.last = cn__min(found.count, cn__max(0, m - (pixels - plan->kernels->lanes)));
        for (int64_t b = block; b < end_block; b++)
            add_block(plan, &found, &plan->block[b], accumulate, out);
    }
}

/* Tasks are numbered by part, group, lines, blocks. Those of a part follow each other, so that its
 * pixels stay in the cache. */
static void gradient_task(void *opaque, size_t index)
{
    const context *c = opaque;
    const cn_conv_plan *plan = c->plan;
    const cn__gradient *g = &plan->gradient;
    int64_t task = (int64_t)index, groups = plan->conv.groups;
    int64_t block = task % g->block_tasks * g->task_blocks;
    task /= g->block_tasks;
    int64_t line = task % g->line_tasks * g->task_lines;
    task /= g->line_tasks;
    int64_t group = task % groups, part = task / groups;
    int64_t end_line = cn__min(line + g->task_lines, g->lines);
    int64_t end_block = cn__min(block + g->task_blocks, plan->blocks);
    int64_t pixels = plan->conv.batch * plan->phase[0].image_pixels;
    int64_t first = pixels * part / plan->parts, end = pixels * (part + 1) / plan->parts;
    float *sums = c->sums + part * c->kernel_floats;
    for (int64_t m = first, next; m < end; m = next) {
        next = cn__min(m + chunk, end);
        for (int64_t l = line; l < end_line; l++)
            add_line(c, l, group, block, end_block, m, next, m > first, sums);
    }
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
    int64_t rows = c->plan->gradient.rows, columns = c->plan->columns;
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
