/* Running minimal filtering along the line; see conv_line_filter.h. */
#include <string.h>

#include "ops/conv_line_filter.h"

/* ---- packing ---- */

enum { widest_block = CN__MAX_VECTORS * 16 };

typedef struct pack_context {
    const cn_conv_plan *plan;
    const float *kernel;
    float *packed;
} pack_context;

/* Channel k of a tap, (z, y, x) counted in one, of a block's columns. */
static void gather(const pack_context *c, const cn__column_block *block, int64_t tap, int64_t k,
                   float *to)
{
    const cn_conv_plan *plan = c->plan;
    const cn_conv *conv = &plan->conv;
    int64_t taps = conv->kernel[0] * conv->kernel[1] * conv->kernel[2], columns = plan->columns;
    if (plan->pass != CN_CONV_TRANSPOSE) {
        memcpy(to, c->kernel + (tap * plan->depth + k) * columns + block->first,
               (size_t)block->columns * sizeof *to);
        return;
    }
    const float *from = c->kernel + (taps - 1 - tap) * columns * plan->depth + k;
    for (int64_t n = 0; n < block->columns; n++)
        to[n] = from[(block->first + n) * plan->depth];
}

/* The packed kernel: [block][lines][across][channels][points][vectors * lanes]. */
static void pack_task(void *context, size_t index)
{
    const pack_context *c = context;
    const cn_conv_plan *plan = c->plan;
    const struct cn__line_filter *f = plan->line_filter;
    const cn__column_block *block = &plan->block[index];
    int64_t width = block->vectors * plan->kernels->lanes, across = plan->conv.kernel[2];
    _Alignas(64) float rows[cn__filter_taps][widest_block] = {0};
    const float *in[cn__filter_taps] = {rows[0], rows[1], rows[2]};
    float *out[cn__filter_points], *to = c->packed + f->column * block->packed;
    for (int64_t i = 0; i < f->taps; i++) {
        int64_t part = i / plan->depth, k = i % plan->depth;
        int64_t first = part % f->across * cn__filter_taps;
        for (int64_t t = 0; t < cn__filter_taps; t++)
            if (first + t < across)
                gather(c, block, part / f->across * across + first + t, k, rows[t]);
            else
                memset(rows[t], 0, (size_t)block->columns * sizeof(float));
        for (int64_t p = 0; p < cn__filter_points; p++, to += width)
            out[p] = to;
        f->filter->kernel(in, width, out);
    }
}

static void pack_kernel(const cn_conv_plan *plan, const float *kernel, float *packed, cn_pool *pool)
{
    pack_context context = {plan, kernel, packed};
    cn__pool_run(pool, pack_task, &context, (size_t)plan->blocks);
}

/* ---- the input at the points ---- */

/* Moves every fourth pixel to its phase, where they lie side by side. What is moved together may
 * have more floats than a pixel, which the next one overwrites. */
static inline void part_phases(const float *from, int64_t cells, int64_t channels, int64_t moves,
                               float *phases, int64_t phase)
{
    enum { together = 4 };
    for (; cells > 0; cells--, phases += channels)
        for (int64_t r = 0; r < cn__filter_pixels; r++, from += channels)
            for (int64_t m = 0; m < moves; m++)
                memcpy(phases + r * phase + m * together, from + m * together,
                       together * sizeof(float));
}

/* What a strip reads of a line, at the points; `phases` is room for all of its pixels. */
static void transform_line(const cn_conv_plan *plan, const float *pixels, float *phases, float *to)
{
    const struct cn__line_filter *f = plan->line_filter;
    int64_t channels = plan->depth, cells = f->copied / (cn__filter_pixels * channels);
    if (channels <= 4) /* a constant, which a compiler makes a single move of */
        part_phases(pixels, cells, channels, 1, phases, f->phase);
    else
        part_phases(pixels, cells, channels, cn__ceil_div(channels, 4), phases, f->phase);
    for (int64_t t = 0; t < f->across; t++, to += cn__filter_floats) {
        const float *in[cn__filter_points];
        for (int64_t i = 0; i < cn__filter_points; i++) {
            int64_t u = cn__filter_taps * t + i;
            in[i] = phases + u % cn__filter_pixels * f->phase + u / cn__filter_pixels * channels;
        }
        f->filter->input(in, f->row, to, cn__filter_row);
    }
}

/* ---- running ---- */

typedef struct run_context {
    const cn_conv_plan *plan;
    const float *in, *packed, *bias;
    float *out;
    cn_clamp clamp;
} run_context;

enum { none = -1, outside = -2 };

/* A strip of a task's lines. Of a line of the input it reads floats from `offset` on; those from
 * `from` to `end` of them lie inside the image. */
typedef struct strip {
    int64_t first, pixels;
    int64_t offset, from, end;
    cn__line line;
    int64_t holds[cn__filter_copies]; /* which line each copy is of; or none, or one outside */
    const float *in[cn__filter_most_taps];
    /* What the taps of each copy read, all twice, so that they follow each other from any copy on.
     */
    const float *ring[2 * cn__filter_most_taps];
    _Alignas(64) float start[CN__MAX_VECTORS * 16]; /* of the last block, which may not be full */
    float *phases, *inside; /* behind the copies: a line's pixels, and these in phases */
    _Alignas(64) float copies[cn__filter_copied];
} strip;

/* Where an output line stands. */
typedef struct line_at {
    int64_t image, z, y;
} line_at;

/* Of the input's lines; `outside` if it is none of them. */
static int64_t line_number(const cn_conv *conv, int64_t image, int64_t z, int64_t y)
{
    bool inside = z >= 0 && z < conv->in[0] && y >= 0 && y < conv->in[1];
    return inside ? (image * conv->in[0] + z) * conv->in[1] + y : outside;
}

/* Makes a copy the strip's part of a line at the points, or zeros. */
static void fill_copy(const run_context *c, int64_t number, int64_t slot, strip *s)
{
    const cn_conv *conv = &c->plan->conv;
    const struct cn__line_filter *f = c->plan->line_filter;
    float *copy = s->copies + slot * f->slot;
    if (s->holds[slot] == number)
        return;
    s->holds[slot] = number;
    if (number == outside || s->from == s->end) {
        memset(copy, 0, (size_t)f->slot * sizeof(float));
        return;
    }
    const float *line = c->in + number * conv->in[2] * conv->in_channels;
    memcpy(s->inside + s->from, line + (s->offset + s->from),
           (size_t)(s->end - s->from) * sizeof(float));
    transform_line(c->plan, s->inside, s->phases, copy);
}

/* The taps of one slice of the kernel, on lines inside the image: where what they read is listed.
 * `skipped` lines of taps come before them. */
static const float *const *point_slice(const run_context *c, const line_at *at, strip *s,
                                       int64_t *skipped)
{
    const cn_conv *conv = &c->plan->conv;
    const struct cn__line_filter *f = c->plan->line_filter;
    int64_t first = at->y * conv->stride[1] - f->before[1], span = f->span;
    int64_t z = at->z * conv->stride[0] - f->before[0];
    int64_t from = cn__min(cn__max(-first, 0), span);
    int64_t end = cn__max(from, cn__min(span, conv->in[1] - first));
    int64_t place = ((first + from) % span + span) % span, each = f->across * c->plan->depth;
    for (int64_t j = from, slot = place; j < end; j++, slot = slot + 1 < span ? slot + 1 : 0)
        fill_copy(c, line_number(conv, at->image, z, first + j), slot, s);
    s->line.taps = (end - from) * each;
    *skipped = from;
    return s->ring + place * each;
}

/* All taps, where the kernel has several slices. */
static const float *const *point_slices(const run_context *c, const line_at *at, strip *s)
{
    const cn_conv *conv = &c->plan->conv;
    const struct cn__line_filter *f = c->plan->line_filter;
    int64_t span = f->span, each = f->across * c->plan->depth;
    int64_t first = at->y * conv->stride[1] - f->before[1], place = (first % span + span) % span;
    int64_t z = at->z * conv->stride[0] - f->before[0];
    for (int64_t i = 0; i < conv->kernel[0]; i++, z++) {
        for (int64_t j = 0, slot = place; j < span; j++, slot = slot + 1 < span ? slot + 1 : 0)
            fill_copy(c, line_number(conv, at->image, z, first + j), i * span + slot, s);
        memcpy(s->in + i * span * each, s->ring + (2 * i * span + place) * each,
               (size_t)(span * each) * sizeof *s->in);
    }
    return s->in;
}

static void run_line(const run_context *c, const line_at *at, strip *s)
{
    const cn_conv_plan *plan = c->plan;
    const cn_conv *conv = &plan->conv;
    int64_t skipped = 0, slices = conv->kernel[0];
    s->line.in = slices == 1 ? point_slice(c, at, s, &skipped) : point_slices(c, at, s);
    skipped *= plan->line_filter->across * plan->depth * cn__filter_points;
    int64_t number = (at->image * conv->out[0] + at->z) * conv->out[1] + at->y;
    float *out = c->out + (number * conv->out[2] + s->first) * conv->out_channels;
    for (int64_t b = 0; b < plan->blocks; b++) {
        const cn__column_block *block = &plan->block[b];
        bool own = c->bias == NULL || b == plan->blocks - 1;
        s->line.weights = c->packed + plan->line_filter->column * block->packed +
                          skipped * block->vectors * plan->kernels->lanes;
        s->line.start = own ? s->start : c->bias + block->first;
        s->line.out = out + block->first;
        s->line.columns = block->columns;
        plan->kernels->line_filter[block->vectors](&s->line, s->pixels);
    }
}

static void point_ring(const cn_conv_plan *plan, strip *s)
{
    const struct cn__line_filter *f = plan->line_filter;
    int64_t span = f->span, found = 0;
    for (int64_t i = 0; i < 2 * f->copies; i++)
        for (int64_t t = 0; t < f->across; t++)
            for (int64_t k = 0; k < plan->depth; k++)
                s->ring[found++] = s->copies + (i / (2 * span) * span + i % span) * f->slot +
                                   t * cn__filter_floats + k;
}

static void start_strip(const run_context *c, int64_t number, strip *s)
{
    const cn_conv_plan *plan = c->plan;
    const cn_conv *conv = &plan->conv;
    const struct cn__line_filter *f = plan->line_filter;
    int64_t phases = cn__filter_pixels * f->phase;
    s->first = number * f->pixels;
    s->pixels = cn__min(f->pixels, conv->out[2] - s->first);
    s->offset = (s->first - f->before[2]) * conv->in_channels;
    s->from = cn__min(cn__max(-s->offset, 0), f->copied);
    s->end = cn__min(cn__max(conv->in[2] * conv->in_channels - s->offset, s->from), f->copied);
    for (int64_t i = 0; i < f->copies; i++)
        s->holds[i] = none;
    s->line = (cn__line){.taps = f->taps,
                         .depth = 1,
                         .in_step = conv->in_channels,
                         .out_step = conv->out_channels,
                         .far = f->far,
                         .low = c->clamp.low,
                         .high = c->clamp.high};
    const cn__column_block *last = &plan->block[plan->blocks - 1];
    memset(s->start, 0, sizeof s->start);
    if (c->bias != NULL)
        memcpy(s->start, c->bias + last->first, (size_t)last->columns * sizeof(float));
    s->phases = s->copies + f->copies * f->slot;
    s->inside = s->phases + phases;
    memset(s->phases, 0, (size_t)(phases + f->copied + cn__filter_spare) * sizeof(float));
    point_ring(plan, s);
}

/* Tasks are numbered by lines, strip. */
static void run_task(void *context, size_t index)
{
    const run_context *c = context;
    const cn_conv *conv = &c->plan->conv;
    const struct cn__line_filter *f = c->plan->line_filter;
    int64_t task = (int64_t)index, all = conv->batch * conv->out[0] * conv->out[1];
    int64_t first = task / f->strips * f->lines, end = cn__min(first + f->lines, all);
    strip s;
    start_strip(c, task % f->strips, &s);
    line_at at = {.y = first % conv->out[1],
                  .z = first / conv->out[1] % conv->out[0],
                  .image = first / conv->out[1] / conv->out[0]};
    for (int64_t i = first; i < end && s.pixels > 0; i++) {
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

static void run_lines(const cn_conv_plan *plan, const cn__conv_run *run, cn_pool *pool)
{
    run_context context = {.plan = plan,
                           .in = run->in,
                           .packed = run->packed,
                           .bias = run->bias,
                           .out = run->out,
                           .clamp = run->clamp};
    cn__pool_run(pool, run_task, &context, (size_t)plan->line_filter->tasks);
}

const cn__conv_path cn__line_filter_path = {pack_kernel, run_lines};
