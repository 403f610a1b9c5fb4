/* Running a convolution with few input channels; see conv_line.h. */
#include <string.h>

#include "ops/conv_line.h"

typedef struct run_context {
    const cn_conv_plan *plan;
    const float *in, *packed, *bias;
    float *out;
    cn_clamp clamp;
} run_context;

/* The pixels of a line in tiles of as equal numbers of rows as can be: `larger` tiles of rows + 1,
 * then `others` of `rows`. */
typedef struct split {
    int64_t rows, larger, others;
} split;

/* A strip of a task's lines. Of a line of the input it reads `floats` floats, which begin at
 * `offset`; those from `from` to `end` of them lie inside the image. */
typedef struct strip {
    int64_t first, pixels;
    int64_t offset, from, end, floats;
    split split[CN__MAX_VECTORS + 1];
    cn__line line;
    int64_t holds[cn__line_copies]; /* which line each copy is of */
    const float *in[cn__line_taps];
    int64_t which[cn__line_taps];
    _Alignas(64) float start[CN__MAX_VECTORS * 16]; /* of the last block, which may not be full */
    _Alignas(64) float copies[cn__line_copied];
} strip;

/* Where an output line stands. */
typedef struct line_at {
    int64_t image, z, y;
} line_at;

/* What the strip's first pixel reads of line `number` of the input: of the line itself if all is
 * inside it, else of a copy with zeros around. */
static const float *line_of(const run_context *c, int64_t number, int64_t slot, strip *s)
{
    const cn_conv *conv = &c->plan->conv;
    const float *line = c->in + number * conv->in[2] * conv->in_channels;
    if (s->from == 0 && s->end == s->floats)
        return line + s->offset;
    float *copy = s->copies + slot * s->floats;
    if (s->holds[slot] != number)
        memcpy(copy + s->from, line + (s->offset + s->from),
               (size_t)(s->end - s->from) * sizeof(float));
    s->holds[slot] = number;
    return copy;
}

/* The taps whose lines lie inside the image. */
static void point_in(const run_context *c, const line_at *at, strip *s)
{
    const cn_conv *conv = &c->plan->conv;
    const struct cn__line_conv *line = c->plan->line;
    int64_t across = conv->kernel[2] / line->merged, found = 0;
    for (int64_t i = 0; i < conv->kernel[0]; i++) {
        int64_t z = at->z * conv->stride[0] - conv->before[0] + i * conv->dilation[0];
        if (z < 0 || z >= conv->in[0])
            continue;
        int64_t y = at->y * conv->stride[1] - conv->before[1];
        for (int64_t j = 0; j < conv->kernel[1]; j++, y += conv->dilation[1]) {
            if (y < 0 || y >= conv->in[1])
                continue;
            const float *from = line_of(c, (at->image * conv->in[0] + z) * conv->in[1] + y,
                                        i * line->span + y % line->span, s);
            for (int64_t t = 0; t < across; t++, found++) {
                s->in[found] = from + t * conv->dilation[2] * conv->in_channels;
                s->which[found] = (i * conv->kernel[1] + j) * across + t;
            }
        }
    }
    s->line.taps = found;
}

/* All of the strip's pixels for one block of output channels. */
static void run_block(const cn__line_kernel *kernel, const split *in_tiles, cn__line *line)
{
    int64_t done = in_tiles->larger * (in_tiles->rows + 1);
    line->in_at = 0;
    if (done > 0) {
        kernel[in_tiles->rows + 1](line, in_tiles->larger);
        line->in_at = done * line->in_step;
        line->out += done * line->out_step;
    }
    kernel[in_tiles->rows](line, in_tiles->others);
}

static void run_line(const run_context *c, const line_at *at, strip *s)
{
    const cn_conv_plan *plan = c->plan;
    const cn_conv *conv = &plan->conv;
    point_in(c, at, s);
    int64_t number = (at->image * conv->out[0] + at->z) * conv->out[1] + at->y;
    float *out = c->out + (number * conv->out[2] + s->first) * conv->out_channels;
    for (int64_t b = 0; b < plan->blocks; b++) {
        const cn__column_block *block = &plan->block[b];
        bool own = c->bias == NULL || b == plan->blocks - 1;
        s->line.weights = c->packed + plan->line->taps * plan->line->depth * block->packed;
        s->line.start = own ? s->start : c->bias + block->first;
        s->line.out = out + block->first;
        s->line.columns = block->columns;
        run_block(plan->kernels->line[block->vectors], &s->split[block->vectors], &s->line);
    }
}

static void start_strip(const run_context *c, int64_t number, strip *s)
{
    const cn_conv_plan *plan = c->plan;
    const cn_conv *conv = &plan->conv;
    const struct cn__line_conv *line = plan->line;
    s->first = number * line->pixels;
    s->pixels = cn__min(line->pixels, conv->out[2] - s->first);
    s->floats = line->copied;
    s->offset = (s->first * conv->stride[2] - conv->before[2]) * conv->in_channels;
    s->from = cn__min(cn__max(-s->offset, 0), s->floats);
    s->end = cn__min(cn__max(conv->in[2] * conv->in_channels - s->offset, s->from), s->floats);
    memset(s->copies, 0, (size_t)(line->copies * s->floats) * sizeof(float));
    for (int64_t i = 0; i < line->copies; i++)
        s->holds[i] = -1;
    for (int v = 1; v <= CN__MAX_VECTORS && plan->kernels->rows[v] > 0; v++) {
        int64_t tiles = cn__ceil_div(s->pixels, plan->kernels->rows[v]);
        s->split[v].rows = s->pixels / tiles;
        s->split[v].larger = s->pixels % tiles;
        s->split[v].others = tiles - s->split[v].larger;
    }
    s->line = (cn__line){.depth = line->depth,
                         .in = s->in,
                         .which = s->which,
                         .in_step = conv->stride[2] * conv->in_channels,
                         .out_step = conv->out_channels,
                         .low = c->clamp.low,
                         .high = c->clamp.high};
    const cn__column_block *last = &plan->block[plan->blocks - 1];
    memset(s->start, 0, sizeof s->start);
    if (c->bias != NULL)
        memcpy(s->start, c->bias + last->first, (size_t)last->columns * sizeof(float));
}

/* Tasks are numbered by lines, strip. */
static void run_task(void *context, size_t index)
{
    const run_context *c = context;
    const cn_conv *conv = &c->plan->conv;
    const struct cn__line_conv *line = c->plan->line;
    int64_t task = (int64_t)index, all = conv->batch * conv->out[0] * conv->out[1];
    int64_t first = task / line->strips * line->lines, end = cn__min(first + line->lines, all);
    strip s;
    start_strip(c, task % line->strips, &s);
    line_at at = {.y = first % conv->out[1],
                  .z = first / conv->out[1] % conv->out[0],
                  .image = first / conv->out[1] / conv->out[0]};
    for (int64_t i = first; i < end; i++) {
        run_line(c, &at, &s);
        if (++at.y < conv->out[1])
            continue;
        at.y = 0;
        if (++at.z < conv->out[0])
            continue;
        at.z = 0;
        at.image++;
    }
}

void cn__line_run(const cn_conv_plan *plan, const float *in, const float *packed, const float *bias,
                  cn_clamp clamp, float *out, cn_pool *pool)
{
    run_context context = {
        .plan = plan, .in = in, .packed = packed, .bias = bias, .out = out, .clamp = clamp};
    cn__pool_run(pool, run_task, &context, (size_t)plan->line->tasks);
}
