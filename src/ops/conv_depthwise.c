/* Running depthwise convolutions and kernel gradients: see conv_depthwise.h. */
#include <math.h>
#include <string.h>

#include "ops/conv_depthwise.h"

typedef struct context {
    const cn_conv_plan *plan;
    const struct cn__depthwise_conv *d;
    const float *in;
    float *out;     /* of a kernel gradient: the output's gradient, read only */
    float *weights; /* packed, read only; of a kernel gradient: the sums of all tasks */
    const float *bias;
    const float *merged_bias; /* for merged pixels */
    cn_clamp clamp;
    float *kernel; /* a kernel gradient's result */
    bool first;    /* the first image of a kernel gradient */
} context;

/* ---- weights ---- */

static int64_t taps_of(const cn__depthwise_weights *w)
{
    return w->axis[0]->taps * w->axis[1]->taps * w->axis[2]->taps;
}

/* The kernel's number of a phase's tap. */
static int64_t kernel_tap(const cn_conv *conv, const cn__depthwise_weights *w, int64_t tap)
{
    int64_t number = 0, rest = taps_of(w);
    for (int i = 0; i < 3; i++) {
        const cn__depthwise_axis *a = w->axis[i];
        rest /= a->taps;
        number = number * conv->kernel[i] + a->tap_first + tap / rest * a->tap_step;
        tap %= rest;
    }
    return number;
}

/* One vector of weights of pixels with `channels` channels, which repeat those of the kernel: the
 * channels from `first` to `end`, and the lane of the first. Those before it the vector shares with
 * the one before. */
typedef struct vector_place {
    int64_t first, end, lane;
} vector_place;

static vector_place place_of(const cn_conv_plan *plan, int64_t channels, int64_t vector)
{
    int64_t lanes = plan->kernels->lanes, first = vector * lanes;
    int64_t begin = cn__min(first, cn__max(0, channels - lanes));
    return (vector_place){first, cn__min(channels, first + lanes), first - begin};
}

/* The weights of `merge` pixels: [vector][tap][lanes]. */
static void pack(const cn_conv_plan *plan, const cn__depthwise_weights *w, int64_t merge,
                 const float *kernel, float *to)
{
    int64_t channels = plan->depthwise->conv.out_channels, lanes = plan->kernels->lanes,
            taps = taps_of(w);
    for (int64_t v = 0; v * lanes < merge * channels; v++) {
        vector_place at = place_of(plan, merge * channels, v);
        int64_t first = at.first - at.lane;
        for (int64_t t = 0; t < taps; t++, to += lanes) {
            const float *from = kernel + kernel_tap(&plan->depthwise->conv, w, t) * channels;
            memset(to, 0, (size_t)lanes * sizeof *to);
            for (int64_t c = first, run; c < at.end; c += run) {
                run = cn__min(at.end - c, channels - c % channels);
                memcpy(to + c - first, from + c % channels, (size_t)run * sizeof *to);
            }
        }
    }
}

static void pack_weights(const cn_conv_plan *plan, const float *kernel, float *packed,
                         cn_pool *pool)
{
    (void)pool; /* they are few */
    const struct cn__depthwise_conv *d = plan->depthwise;
    for (int64_t i = 0; i < d->phases[0] * d->phases[1] * d->phases[2]; i++) {
        const cn__depthwise_weights *w = &d->weights[i];
        pack(plan, w, 1, kernel, packed + w->packed);
        if (d->merge > 1)
            pack(plan, w, d->merge, kernel, packed + w->merged);
    }
}

/* ---- units of work ---- */

/* Where a unit stands: the image, the output line along the first axis, the strip and its phase
 * along the second, the part of the strip. */
typedef struct unit {
    int64_t image, z, strip, phase, chunk;
} unit;

static unit unit_at(const struct cn__depthwise_conv *d, const cn_conv *conv, int64_t index)
{
    unit u;
    u.chunk = index % d->chunks;
    index /= d->chunks;
    u.phase = index % d->phases[1];
    index /= d->phases[1];
    u.strip = index % d->strips;
    index /= d->strips;
    u.z = index % conv->out[0];
    u.image = index / conv->out[0];
    return u;
}

/* A strip of one phase of the last axis. */
typedef struct strip {
    cn__depthwise work;
    const cn__depthwise_axis *x;
    const cn__depthwise_weights *w;
    float *line[cn__depthwise_rows]; /* of the output, where positions are counted from */
} strip;

/* The positions from `first` to `end`, `merge` of them as one. */
static void run_columns(const context *c, const strip *s, int64_t first, int64_t end, int64_t merge)
{
    const cn__kernels *kernels = c->plan->kernels;
    cn__depthwise work = s->work;
    float *out[cn__depthwise_rows];
    if (first >= end)
        return;
    for (int64_t r = 0; r < work.rows; r++)
        out[r] = s->line[r] + first * work.out_step * (work.pair != 0 ? 2 : 1);
    work.out = out;
    work.channels *= merge;
    work.first = s->x->first + first * s->x->step;
    work.step = s->x->step * merge;
    work.width -= merge - 1;
    work.columns = (end - first) / merge;
    work.out_step *= merge;
    work.weights = c->weights + (merge > 1 ? s->w->merged : s->w->packed);
    work.start = merge > 1 ? c->merged_bias : c->bias;
    (c->kernel != NULL ? kernels->depthwise_gradient : kernels->depthwise)(&work);
}

/* Merged pixels have to lie inside with all they read. What they leave over at the end is computed
 * by itself, or, if that does no harm, together with pixels that are computed already. */
static void run_strip(const context *c, const strip *s, int64_t first, int64_t end)
{
    const cn__depthwise_axis *x = s->x;
    int64_t merge = c->d->merge, last = x->first + (x->taps - 1) * x->gap;
    int64_t inside = cn__max(first, -x->first);
    int64_t inside_end = cn__min(end, c->d->conv.in[2] - last);
    if (merge == 1 || x->taps == 0 || inside_end - inside < merge) {
        run_columns(c, s, first, end, 1);
        return;
    }
    int64_t merged_end = inside_end - (inside_end - inside) % merge;
    run_columns(c, s, first, inside, 1);
    run_columns(c, s, inside, merged_end, merge);
    if (c->kernel == NULL && merged_end < inside_end) {
        run_columns(c, s, inside_end - merge, inside_end, merge);
        merged_end = inside_end;
    }
    run_columns(c, s, merged_end, end, 1);
}

/* The lines of cells that each line of weights meets for each row; NULL outside the image. */
static void point_lines(const context *c, const unit *u, const cn__depthwise_weights *w,
                        int64_t z_position, const float **lines)
{
    const cn_conv *conv = &c->d->conv;
    const cn__depthwise_axis *az = w->axis[0], *ay = w->axis[1];
    for (int64_t tz = 0; tz < az->taps; tz++)
        for (int64_t ty = 0; ty < ay->taps; ty++)
            for (int64_t r = 0; r < cn__depthwise_rows; r++) {
                int64_t position = u->strip * cn__depthwise_rows + r;
                int64_t z = az->first + z_position * az->step + tz * az->gap;
                int64_t y = ay->first + position * ay->step + ty * ay->gap;
                bool inside = z >= 0 && z < conv->in[0] && y >= 0 && y < conv->in[1];
                int64_t line = (u->image * conv->in[0] + z) * conv->in[1] + y;
                *lines++ = inside ? c->in + line * conv->in[2] * conv->in_channels : NULL;
            }
}

/* Both phases of stride 2 along the last axis write whole lines together, if they have as many taps
 * and positions, and any weights at all. */
static bool are_pair(const struct cn__depthwise_conv *d, const cn__depthwise_weights *w)
{
    if (d->phases[2] != 2)
        return false;
    const cn__depthwise_axis *even = w[0].axis[2], *odd = w[1].axis[2];
    return even->count == odd->count && even->taps == odd->taps && even->first <= odd->first &&
           w[0].packed < w[1].packed;
}

/* The strip of one phase of the last axis; its lines of cells are those of all of them. */
static strip strip_of(const context *c, const unit *u, const cn__depthwise_weights *w,
                      const float *const *lines)
{
    const cn_conv *conv = &c->d->conv;
    const cn__depthwise_axis *y = w->axis[1], *x = w->axis[2];
    int64_t row = u->strip * cn__depthwise_rows, channels = conv->out_channels;
    bool square = w->axis[0]->taps == 1 && y->step % y->gap == 0;
    strip s = {.x = x, .w = w};
    s.work = (cn__depthwise){.channels = channels,
                             .rows = cn__min(cn__depthwise_rows, y->count - row),
                             .lines = w->axis[0]->taps * y->taps,
                             .taps = x->taps,
                             .in = lines,
                             .square = square ? y->step / y->gap : 0,
                             .in_end = c->in + cn_conv_in_count(conv),
                             .width = conv->in[2],
                             .cell = channels,
                             .gap = x->gap,
                             .out_step = x->out_step * channels,
                             .low = c->clamp.low,
                             .high = c->clamp.high};
    for (int64_t r = 0; r < s.work.rows; r++) {
        int64_t line = (u->image * conv->out[0] + u->z) * conv->out[1] + y->out_first +
                       (row + r) * y->out_step;
        s.line[r] = c->out + (line * conv->out[2] + x->out_first) * channels;
    }
    return s;
}

static void run_unit(const context *c, int64_t index)
{
    const struct cn__depthwise_conv *d = c->d;
    const float *lines[cn__depthwise_lines * cn__depthwise_rows];
    unit u = unit_at(d, &c->d->conv, index);
    const cn__depthwise_weights *w =
        &d->weights[(u.z % d->phases[0] * d->phases[1] + u.phase) * d->phases[2]];
    if (u.strip * cn__depthwise_rows >= w->axis[1]->count)
        return;
    point_lines(c, &u, w, u.z / d->phases[0], lines);
    bool pair = are_pair(d, w);
    for (int64_t p = 0; p < (pair ? 1 : d->phases[2]); p++) {
        strip s = strip_of(c, &u, &w[p], lines);
        if (pair) {
            s.work.pair = w[1].packed - w[0].packed;
            s.work.shift = w[1].axis[2]->first - w[0].axis[2]->first;
            s.work.out_step = d->conv.out_channels;
        }
        run_strip(c, &s, cn__min(s.x->count, u.chunk * d->columns),
                  cn__min(s.x->count, (u.chunk + 1) * d->columns));
    }
}

static void run_task(void *opaque, size_t task)
{
    context own = *(const context *)opaque;
    float bias[cn__depthwise_merged];
    int64_t channels = own.d->conv.out_channels, merge = own.d->merge;
    if (own.bias != NULL && merge > 1) {
        for (int64_t i = 0; i < merge; i++)
            memcpy(bias + i * channels, own.bias, (size_t)channels * sizeof *bias);
        own.merged_bias = bias;
    }
    int64_t first = (int64_t)task * own.d->task_units;
    for (int64_t i = first; i < cn__min(first + own.d->task_units, own.d->units); i++)
        run_unit(&own, i);
}

/* ---- repeated channels ---- */

static int64_t image_floats(const int64_t *extents, int64_t channels)
{
    return extents[0] * extents[1] * extents[2] * channels;
}

/* One plane of an image with every channel `repeat` times. */
typedef struct repeated {
    const context *c;
    const float *from;
    float *to;
    int64_t pixels;
} repeated;

static void repeat_task(void *opaque, size_t plane)
{
    const repeated *r = opaque;
    int64_t repeat = r->c->d->repeat, floats = r->pixels * r->c->d->conv.groups / repeat;
    r->c->plan->kernels->transpose(repeat, floats, r->from + (int64_t)plane * floats, 0,
                                   r->to + (int64_t)plane * floats * repeat, repeat);
}

static float clamped(float x, cn_clamp clamp)
{
    x = x < clamp.low ? clamp.low : x;
    return x > clamp.high ? clamp.high : x;
}

/* Adds the channels up that stand for one. */
static void add_up_task(void *opaque, size_t plane)
{
    const repeated *r = opaque;
    const context *c = r->c;
    int64_t repeat = c->d->repeat, channels = c->d->conv.groups / repeat;
    const float *from = r->from + (int64_t)plane * r->pixels * channels * repeat;
    float *to = r->to + (int64_t)plane * r->pixels * channels;
    for (int64_t p = 0; p < r->pixels; p++)
        for (int64_t n = 0; n < channels; n++, from += repeat) {
            float sum = c->bias != NULL ? c->bias[n] : 0;
            for (int64_t i = 0; i < repeat; i++)
                sum += from[i];
            *to++ = clamped(sum, c->clamp);
        }
}

/* Runs a task for each line of an image. */
static void for_lines(const context *c, void (*task)(void *, size_t), const float *from, float *to,
                      const int64_t *extents, cn_pool *pool)
{
    repeated r = {c, from, to, extents[2]};
    cn__pool_run(pool, task, &r, (size_t)(extents[0] * extents[1]));
}

static void run_images(const cn_conv_plan *plan, const cn__conv_run *run, cn_pool *pool)
{
    const float *in = run->in;
    float *out = run->out, *scratch = run->scratch;
    const struct cn__depthwise_conv *d = plan->depthwise;
    int64_t in_floats = image_floats(plan->conv.in, plan->conv.in_channels);
    int64_t out_floats = image_floats(plan->conv.out, plan->conv.out_channels);
    bool before = d->repeat > 1 && plan->pass == CN_CONV_FORWARD;
    bool after = d->repeat > 1 && plan->pass == CN_CONV_TRANSPOSE;
    const context whole = {.plan = plan,
                           .d = d,
                           .weights = (float *)(uintptr_t)run->packed,
                           .bias = run->bias,
                           .clamp = run->clamp};
    for (int64_t i = 0; i < d->images; i++, in += in_floats, out += out_floats) {
        context c = whole;
        c.in = before ? scratch : in;
        c.out = after ? scratch : out;
        if (after) {
            c.bias = NULL;
            c.clamp = (cn_clamp){-INFINITY, INFINITY};
        }
        if (before)
            for_lines(&whole, repeat_task, in, scratch, d->conv.in, pool);
        cn__pool_run(pool, run_task, &c, (size_t)plan->tasks);
        if (after)
            for_lines(&whole, add_up_task, scratch, out, d->conv.out, pool);
    }
}

const cn__conv_path cn__depthwise_path = {pack_weights, run_images};

/* ---- kernel gradients ---- */

/* Every task has sums of its own. */
static void gradient_task(void *opaque, size_t task)
{
    context own = *(const context *)opaque;
    own.weights += (int64_t)task * own.d->sums;
    if (own.first)
        memset(own.weights, 0, (size_t)own.d->sums * sizeof(float));
    run_task(&own, task);
}

/* Adds the sums of one tap, of `merge` pixels and the vectors from `first` to `end`, to those of
 * the kernel. */
static void add_sums(const context *c, const float *sums, int64_t merge, int64_t first, int64_t end,
                     int64_t tap, float *kernel)
{
    const cn_conv_plan *plan = c->plan;
    int64_t channels = plan->depthwise->conv.out_channels, lanes = plan->kernels->lanes;
    int64_t taps = taps_of(c->d->weights);
    for (int64_t v = first; v < end; v++) {
        vector_place at = place_of(plan, merge * channels, v);
        const float *from = sums + (v * taps + tap) * lanes + at.lane;
        for (int64_t n = at.first, run; n < at.end; n += run) {
            run = cn__min(at.end - n, channels - n % channels);
            plan->kernels->add_scaled(1, from + n - at.first, kernel + n % channels, run);
        }
    }
}

/* Vectors whose sums are added up at once: all of those that share channels. */
static int64_t sum_vectors(const context *c)
{
    return c->d->merge > 1 ? c->d->sums / (taps_of(c->d->weights) * c->plan->kernels->lanes) : 1;
}

/* Some vectors of the result: the sums of all tasks are added to those of the first, in the tasks'
 * order, and go where the kernel has them. */
static void sum_task(void *opaque, size_t part)
{
    const context *c = opaque;
    const cn__depthwise_weights *w = c->d->weights;
    int64_t channels = c->d->conv.out_channels, lanes = c->plan->kernels->lanes, taps = taps_of(w);
    int64_t count = sum_vectors(c), first = (int64_t)part * count;
    float *sums = c->weights + first * taps * lanes;
    for (int64_t task = 1; task < c->plan->tasks; task++)
        c->plan->kernels->add_scaled(1, sums + task * c->d->sums, sums, count * taps * lanes);
    int64_t end = cn__min(first + count, cn__ceil_div(channels, lanes));
    int64_t n = first * lanes, merged = cn__ceil_div(c->d->merge * channels, lanes);
    for (int64_t tap = 0; tap < taps; tap++) {
        float *kernel = c->kernel + tap * channels;
        memset(kernel + n, 0, (size_t)cn__min(channels - n, count * lanes) * sizeof *kernel);
        add_sums(c, c->weights + w->packed, 1, first, end, tap, kernel);
        if (c->d->merge > 1)
            add_sums(c, c->weights + w->merged, c->d->merge, 0, merged, tap, kernel);
    }
}

void cn__depthwise_kernel_gradient(const cn_conv_plan *plan, const float *in,
                                   const float *out_gradient, float *kernel_gradient,
                                   float *scratch, cn_pool *pool)
{
    const struct cn__depthwise_conv *d = plan->depthwise;
    float *image = scratch + plan->tasks * d->sums; /* with repeated channels */
    context c = {.plan = plan, .d = d, .weights = scratch, .kernel = kernel_gradient};
    for (int64_t i = 0; i < d->images; i++) {
        c.first = i == 0;
        c.in = in + i * image_floats(plan->conv.in, plan->conv.in_channels);
        c.out = (float *)(uintptr_t)out_gradient +
                i * image_floats(plan->conv.out, plan->conv.out_channels);
        if (d->repeat > 1) {
            for_lines(&c, repeat_task, c.in, image, d->conv.in, pool);
            c.in = image;
        }
        cn__pool_run(pool, gradient_task, &c, (size_t)plan->tasks);
    }
    int64_t vectors = d->sums / (taps_of(d->weights) * plan->kernels->lanes);
    cn__pool_run(pool, sum_task, &c, (size_t)(vectors / sum_vectors(&c)));
}
