/* Running a folded convolution with few columns the other way round: vectors of neighbouring pixels
 * instead of vectors of columns, so that no lane is idle. The input's lines are transposed for it,
 * some channels at a time, into planes that stay in the first-level cache; sums of outer products
 * of weights and pixels do the rest. */
#include <math.h>
#include <string.h>

#include "ops/conv_planar.h"

typedef struct context {
    const cn_conv_plan *plan;
    const float *in, *packed, *bias;
    float *out;
    cn_clamp clamp;
} context;

/* Some lines of runs of one image, and a part of their length. */
typedef struct strip {
    const cn__fold_phase *phase;
    int64_t image, z, y, lines; /* runs along the axes */
    int64_t x, runs;            /* at most `width` */
    int64_t width;              /* of the sums' vectors */
    int64_t plane;              /* floats of one channel of one line */
    int64_t in_lines;           /* lines of the input that the strip reads at each depth */
} strip;

typedef struct planes {
    _Alignas(64) float in[cn__planar_in];     /* (line, channel, plane) */
    _Alignas(64) float sums[cn__planar_sums]; /* (line, column, width) */
    const float *a[cn__planar_taps * cn__planar_channels];
    const float *b[cn__planar_taps * cn__planar_channels];
} planes;

/* Channels `first` to `first + count` of one line of cells, from cell x on: (channel, plane). */
static void turn_line(const cn_conv_plan *plan, const strip *s, const float *line, int64_t x,
                      int64_t first, int64_t count, float *to)
{
    int64_t left = line == NULL ? s->plane : cn__min(s->plane, cn__max(0, -x));
    int64_t end = cn__max(left, cn__min(s->plane, plan->conv.in[2] - x));
    for (int64_t k = 0; k < count && first == 0; k++) { /* they stay for the other channels */
        memset(to + k * s->plane, 0, (size_t)left * sizeof(float));
        if (line != NULL)
            memset(to + k * s->plane + end, 0, (size_t)(s->plane - end) * sizeof(float));
    }
    if (line != NULL && left < end)
        plan->kernels->transpose(end - left, count, line + (x + left) * plan->depth + first,
                                 plan->depth, to + left, s->plane);
}

static void turn_lines(const context *c, const strip *s, int64_t first, int64_t count, float *to)
{
    const cn_conv_plan *plan = c->plan;
    const cn_conv *conv = &plan->conv;
    const cn__fold_class *const *axis = s->phase->axis;
    int64_t row = conv->in[2] * plan->depth, x = s->x * axis[2]->scale + axis[2]->cell;
    for (int64_t z = 0; z < axis[0]->cells; z++)
        for (int64_t y = 0; y < s->in_lines; y++) {
            int64_t in_z = s->z * axis[0]->scale + axis[0]->cell + z;
            int64_t in_y = s->y * axis[1]->scale + axis[1]->cell + y;
            bool inside = in_z >= 0 && in_z < conv->in[0] && in_y >= 0 && in_y < conv->in[1];
            int64_t line = (s->image * conv->in[0] + in_z) * conv->in[1] + in_y;
            turn_line(plan, s, inside ? c->in + line * row : NULL, x, first, count, to);
            to += cn__planar_channels * s->plane;
        }
}

/* Pointers for all cells of `count` channels, channel by channel: weights (rows of a block) and
 * pixels of the strip's first line. */
static void point(const cn_conv_plan *plan, const strip *s, const float *weights, int64_t rows,
                  int64_t count, planes *p)
{
    const cn__fold_class *const *axis = s->phase->axis;
    int64_t step = cn__planar_channels * s->plane, i = 0;
    for (int64_t k = 0; k < count; k++) {
        const float *weight = weights + k * rows;
        for (int64_t z = 0; z < axis[0]->cells; z++)
            for (int64_t y = 0; y < axis[1]->cells; y++) {
                const float *line = p->in + (z * s->in_lines + y) * step + k * s->plane;
                for (int64_t x = 0; x < axis[2]->cells; x++, weight += plan->depth * rows) {
                    p->a[i] = weight;
                    p->b[i++] = line + x;
                }
            }
    }
}

/* Adds `count` channels from `first` on to all sums. */
static void add_channels(const context *c, const strip *s, int64_t first, int64_t count, planes *p)
{
    const cn_conv_plan *plan = c->plan;
    const cn__fold_phase *phase = s->phase;
    for (int64_t b = 0; b < phase->blocks; b++) {
        const cn__column_block *block = &phase->block[b];
        const float *weights =
            c->packed + phase->packed + phase->taps * phase->depth * block->packed;
        point(plan, s, weights + first * block->columns, block->columns, count, p);
        cn__outer work = {.pixels = count * phase->taps,
                          .a = p->a,
                          .b = p->b,
                          .stride = s->width,
                          .columns = s->width,
                          .accumulate = true};
        for (int64_t y = 0; y < s->lines; y++) {
            work.out = p->sums + (y * phase->columns + block->first) * s->width;
            plan->kernels->outer[block->vectors][block->columns](&work);
            work.b_at += phase->axis[1]->scale * cn__planar_channels * s->plane;
        }
    }
}

static void start(const context *c, const strip *s, float *sums)
{
    int64_t channels = c->plan->columns;
    for (int64_t n = 0; n < s->lines * s->phase->columns; n++)
        for (int64_t i = 0; i < s->width; i++)
            sums[n * s->width + i] = c->bias != NULL ? c->bias[n % channels] : 0;
}

static void limit(const context *c, float *x, int64_t count)
{
    if (c->clamp.low == -INFINITY && c->clamp.high == INFINITY)
        return;
    for (int64_t i = 0; i < count; i++) {
        float low = x[i] < c->clamp.low ? c->clamp.low : x[i];
        x[i] = low > c->clamp.high ? c->clamp.high : low;
    }
}

/* Positions along an axis that run number `run` has inside the output. */
static int64_t live(const cn_conv_plan *plan, const cn__fold_class *of, int axis, int64_t run)
{
    return cn__min(of->members, plan->conv.out[axis] - run * of->step - of->first);
}

/* One line of positions of all runs of the strip: (values of a run, width) to the output. */
static void store_line(const cn_conv_plan *plan, const strip *s, const float *sums, float *out)
{
    const cn__fold_class *ax = s->phase->axis[2];
    int64_t channels = plan->columns, last = live(plan, ax, 2, s->x + s->runs - 1);
    int64_t whole = s->runs - (last < ax->members);
    out += (s->x * ax->step + ax->first) * channels;
    plan->kernels->transpose(ax->members * channels, whole, sums, s->width, out,
                             ax->step * channels);
    if (whole < s->runs)
        plan->kernels->transpose(last * channels, 1, sums + whole, s->width,
                                 out + whole * ax->step * channels, ax->step * channels);
}

static void store(const context *c, const strip *s, const float *sums)
{
    const cn_conv *conv = &c->plan->conv;
    const cn__fold_class *az = s->phase->axis[0], *ay = s->phase->axis[1];
    int64_t row = conv->out[2] * conv->out_channels;
    int64_t line = s->phase->axis[2]->members * c->plan->columns * s->width;
    for (int64_t y = 0; y < s->lines; y++)
        for (int64_t i = 0; i < az->members; i++)
            for (int64_t j = 0; j < ay->members; j++, sums += line) {
                int64_t out_z = s->z * az->step + az->first + i;
                int64_t out_y = (s->y + y) * ay->step + ay->first + j;
                if (out_z >= conv->out[0] || out_y >= conv->out[1])
                    continue;
                int64_t number = (s->image * conv->out[0] + out_z) * conv->out[1] + out_y;
                store_line(c->plan, s, sums, c->out + number * row);
            }
}

static void run_strip(const context *c, const strip *s, planes *p)
{
    int64_t depth = c->plan->depth;
    start(c, s, p->sums);
    for (int64_t k = 0; k < depth && s->phase->taps > 0; k += cn__planar_channels) {
        int64_t count = cn__min(cn__planar_channels, depth - k);
        turn_lines(c, s, k, count, p->in);
        add_channels(c, s, k, count, p);
    }
    limit(c, p->sums, s->lines * s->phase->columns * s->width);
    store(c, s, p->sums);
}

/* Tasks are numbered by phase and lines of runs; each has `chunk_runs` of the groups of lines that
 * are computed together. */
static void planar_task(void *opaque, size_t index)
{
    const context *c = opaque;
    const cn_conv_plan *plan = c->plan;
    const cn__fold_phase *phase = plan->fold->phase;
    int64_t task = (int64_t)index;
    while (task >= phase->first_task + phase->tasks)
        phase++;
    const cn__fold_class *const *axis = phase->axis;
    int64_t groups = cn__ceil_div(axis[1]->count, phase->lines);
    int64_t first = (task - phase->first_task) * phase->chunk_runs;
    int64_t end = cn__min(first + phase->chunk_runs, plan->conv.batch * axis[0]->count * groups);
    planes p;
    strip s = {.phase = phase, .width = phase->block[0].vectors * plan->kernels->lanes};
    s.plane = s.width + cn__max(1, axis[2]->cells) - 1;
    for (int64_t g = first; g < end; g++) {
        s.y = g % groups * phase->lines;
        s.lines = cn__min(phase->lines, axis[1]->count - s.y);
        s.in_lines = (s.lines - 1) * axis[1]->scale + axis[1]->cells;
        s.z = g / groups % axis[0]->count;
        s.image = g / groups / axis[0]->count;
        for (s.x = 0; s.x < axis[2]->count; s.x += s.width) {
            s.runs = cn__min(s.width, axis[2]->count - s.x);
            run_strip(c, &s, &p);
        }
    }
}

static void run_planes(const cn_conv_plan *plan, const cn__conv_run *run, cn_pool *pool)
{
    context c = {.plan = plan,
                 .in = run->in,
                 .packed = run->packed,
                 .bias = run->bias,
                 .out = run->out,
                 .clamp = run->clamp};
    cn__pool_run(pool, planar_task, &c, (size_t)plan->fold->tasks);
}

const cn__conv_path cn__planar_path = {cn__fold_pack, run_planes};
