/* Running a convolution or a transposed convolution: each task computes a range of output pixels of
 * one phase and one block of output channels with the tile kernel. */
#include <math.h>
#include <string.h>

#include "ops/conv_plan.h"

enum {
    /* Pointers that a task keeps on its stack. */
    most_pointers = 1024,
    /* Bytes of the packed kernel that are used together: about half of a second-level cache. */
    panel_bytes = 512 * 1024
};

/* ---- packing ---- */

typedef struct pack_context {
    const cn_conv_plan *plan;
    const float *kernel;
    float *packed;
} pack_context;

/* The kernel's tap number for the t-th tap of a phase. */
static int64_t kernel_tap(const cn_conv_plan *plan, const cn__conv_phase *phase, int64_t t)
{
    int64_t x = t % phase->axis[2]->taps, rest = t / phase->axis[2]->taps;
    int64_t y = rest % phase->axis[1]->taps, z = rest / phase->axis[1]->taps;
    return (phase->axis[0]->tap[z] * plan->conv.kernel[1] + phase->axis[1]->tap[y]) *
               plan->conv.kernel[2] +
           phase->axis[2]->tap[x];
}

/* One tap of one block: (depth, vectors * lanes), the columns filled up with zeros. */
static void pack_tap(const cn_conv_plan *plan, const cn__column_block *block, int64_t group,
                     const float *tap, float *packed)
{
    int64_t width = block->vectors * plan->kernels->lanes;
    bool transposed = plan->pass == CN_CONV_TRANSPOSE;
    int64_t row = transposed ? 1 : plan->conv.out_channels;
    int64_t column = transposed ? plan->conv.in_channels : 1;
    const float *from = transposed ? tap + group * plan->depth + block->first * column
                                   : tap + group * plan->columns + block->first;
    for (int64_t k = 0; k < plan->depth; k++) {
        float *to = packed + k * width;
        for (int64_t n = 0; n < block->columns; n++)
            to[n] = from[k * row + n * column];
        for (int64_t n = block->columns; n < width; n++)
            to[n] = 0;
    }
}

/* The packed kernel: [phase][group][block][tap][depth][vectors * lanes]. */
static float *packed_block(const cn_conv_plan *plan, float *packed, const cn__conv_phase *phase,
                           int64_t group, const cn__column_block *block)
{
    int64_t tap_depth = phase->taps * plan->depth;
    return packed + phase->packed + tap_depth * (group * plan->packed_columns + block->packed);
}

static void pack_task(void *context, size_t index)
{
    const pack_context *c = context;
    const cn_conv_plan *plan = c->plan;
    const cn_conv *conv = &plan->conv;
    int64_t b = (int64_t)index % plan->blocks, rest = (int64_t)index / plan->blocks;
    int64_t group = rest % conv->groups;
    const cn__conv_phase *phase = &plan->phase[rest / conv->groups];
    const cn__column_block *block = &plan->block[b];
    float *to = packed_block(plan, c->packed, phase, group, block);
    int64_t tap_floats = conv->in_channels * conv->out_channels / conv->groups;
    int64_t step = plan->depth * block->vectors * plan->kernels->lanes;
    for (int64_t t = 0; t < phase->taps; t++)
        pack_tap(plan, block, group, c->kernel + kernel_tap(plan, phase, t) * tap_floats,
                 to + t * step);
}

static void pack_depthwise(const cn_conv_plan *plan, const float *kernel, float *packed)
{
    int64_t channels = plan->conv.out_channels;
    for (int64_t p = 0; p < plan->phases; p++) {
        const cn__conv_phase *phase = &plan->phase[p];
        for (int64_t t = 0; t < phase->taps; t++)
            memcpy(packed + phase->packed + t * channels,
                   kernel + kernel_tap(plan, phase, t) * channels,
                   (size_t)channels * sizeof(float));
    }
}

void cn_conv_plan_pack(const cn_conv_plan *plan, const float *kernel, float *packed, cn_pool *pool)
{
    if (plan->packed_floats == 0)
        return;
    if (cn__conv_is_depthwise(&plan->conv)) {
        pack_depthwise(plan, kernel, packed);
        return;
    }
    pack_context context = {plan, kernel, packed};
    cn__pool_run(pool, pack_task, &context,
                 (size_t)(plan->phases * plan->conv.groups * plan->blocks));
}

/* ---- running ---- */

typedef struct run_context {
    const cn_conv_plan *plan;
    const float *in, *packed, *bias;
    float *out;
    cn_clamp clamp;
} run_context;

/* Taps `first` to `first + taps`, input channels `channel` to `channel + depth` of a group's sum.
 */
typedef struct panel {
    int64_t first, taps;
    int64_t channel, depth;
} panel;

/* The taps (numbered z, y, x) and the image of one pixel, turned into pointers: one for each tap of
 * the panel, `step` apart. Padding points to zeros. */
static void point_pixel(const cn_conv_plan *plan, const cn__conv_phase *phase, const float *in,
                        const cn__pixel *pixel, const panel *part, const float **to, int64_t step)
{
    const cn__axis_phase *az = phase->axis[0], *ay = phase->axis[1], *ax = phase->axis[2];
    if (part->taps == 0)
        return; /* no tap reaches this phase: its outputs are the bias */
    const int64_t *z = az->in + pixel->z * az->taps;
    const int64_t *y = ay->in + pixel->y * ay->taps;
    const int64_t *x = ax->in + pixel->x * ax->taps;
    int64_t tx = part->first % ax->taps, rest = part->first / ax->taps;
    int64_t ty = rest % ay->taps, tz = rest / ay->taps;
    for (int64_t left = part->taps; left > 0;) {
        int64_t run = cn__min(left, ax->taps - tx);
        bool outside = z[tz] < 0 || y[ty] < 0;
        const float *line = outside ? plan->zeros : in + z[tz] + y[ty];
        for (int64_t i = 0; i < run; i++, to += step) {
            int64_t offset = x[tx + i];
            *to = outside || offset < 0 ? plan->zeros : line + offset;
        }
        left -= run;
        tx = 0;
        if (++ty == ay->taps) {
            ty = 0;
            tz++;
        }
    }
}

static float *pixel_out(const cn_conv_plan *plan, const cn__conv_phase *phase, float *out,
                        const cn__pixel *pixel)
{
    int64_t image = plan->conv.out[0] * plan->conv.out[1] * plan->conv.out[2];
    return out + pixel->image * image * plan->conv.out_channels + phase->axis[0]->out[pixel->z] +
           phase->axis[1]->out[pixel->y] + phase->axis[2]->out[pixel->x];
}

static int64_t image_floats(const cn_conv *conv)
{
    return conv->in[0] * conv->in[1] * conv->in[2] * conv->in_channels;
}

/* All tiles of the pixels `first` to `end` for one panel. */
static void run_panel(const run_context *c, const cn__conv_phase *phase, int64_t first, int64_t end,
                      int64_t in_offset, int64_t out_offset, int vectors, const panel *part,
                      cn__tile tile)
{
    const cn_conv_plan *plan = c->plan;
    const float *in[most_pointers];
    float *out[CN__MAX_ROWS];
    int64_t most = plan->kernels->rows[vectors], image = image_floats(&plan->conv);
    cn__pixel pixel = cn__pixel_at(phase, first);
    tile.in = in;
    tile.out = out;
    for (int64_t m = first; m < end; m += most) {
        int64_t rows = cn__min(most, end - m);
        for (int64_t r = 0; r < rows; r++) {
            point_pixel(plan, phase, c->in + pixel.image * image + in_offset + part->channel,
                        &pixel, part, in + r, rows);
            out[r] = pixel_out(plan, phase, c->out + out_offset, &pixel);
            cn__pixel_next(phase, &pixel);
        }
        plan->kernels->tile[vectors][rows](&tile);
    }
}

/* `total` in as few equal parts as parts of at most `most` allow: the size of one. */
static int64_t equal_parts(int64_t total, int64_t most)
{
    return cn__ceil_div(total, cn__max(1, cn__ceil_div(total, cn__max(1, most))));
}

/* The next panel of a phase: as many taps as the cache and the pointer list hold, or a part of the
 * channels of one tap. False after the last. */
static bool next_panel(const cn_conv_plan *plan, const cn__conv_phase *phase, int64_t width,
                       int64_t rows, panel *part)
{
    int64_t channels = panel_bytes / ((int64_t)sizeof(float) * width);
    int64_t taps = cn__min(channels / plan->depth, most_pointers / rows);
    part->channel += part->depth;
    if (part->taps == 0 || part->channel == plan->depth) {
        part->first += part->taps;
        part->channel = 0;
        part->taps = cn__min(phase->taps - part->first, equal_parts(phase->taps, taps));
    }
    part->depth = cn__min(plan->depth - part->channel, equal_parts(plan->depth, channels));
    return part->first < phase->taps;
}

static void run_tile_task(const run_context *c, const cn__conv_phase *phase, int64_t group,
                          const cn__column_block *block, int64_t first, int64_t end)
{
    const cn_conv_plan *plan = c->plan;
    int64_t width = block->vectors * plan->kernels->lanes;
    int64_t in_offset = group * plan->depth;
    int64_t out_offset = group * plan->columns + block->first;
    const float *weights = packed_block(plan, (float *)(uintptr_t)c->packed, phase, group, block);
    _Alignas(64) float start[CN__MAX_VECTORS * 16] = {0};
    if (c->bias != NULL)
        memcpy(start, c->bias + out_offset, (size_t)block->columns * sizeof(float));
    cn__tile tile = {.start = start,
                     .columns = block->columns,
                     .weights_tap = plan->depth * width,
                     .low = -INFINITY,
                     .high = INFINITY};
    panel part = {0};
    int64_t rows = plan->kernels->rows[block->vectors];
    bool more = next_panel(plan, phase, width, rows, &part);
    do {
        panel now = part;
        more = more && next_panel(plan, phase, width, rows, &part);
        tile.taps = now.taps;
        tile.depth = now.depth;
        tile.weights = weights + (now.first * plan->depth + now.channel) * width;
        if (!more) {
            tile.low = c->clamp.low;
            tile.high = c->clamp.high;
        }
        run_panel(c, phase, first, end, in_offset, out_offset, block->vectors, &now, tile);
        tile.start = NULL;
    } while (more);
}

static void run_depthwise_task(const run_context *c, const cn__conv_phase *phase, int64_t first,
                               int64_t end)
{
    enum { most = 16 };
    const cn_conv_plan *plan = c->plan;
    const float *in[most_pointers];
    float *out[most];
    int64_t pixels = cn__max(1, cn__min(most, most_pointers / cn__max(1, phase->taps)));
    panel all = {0, phase->taps, 0, 1};
    cn__depthwise work = {.taps = phase->taps,
                          .channels = plan->conv.out_channels,
                          .in = in,
                          .weights = c->packed + phase->packed,
                          .start = c->bias,
                          .out = out,
                          .low = c->clamp.low,
                          .high = c->clamp.high};
    cn__pixel pixel = cn__pixel_at(phase, first);
    int64_t image = image_floats(&plan->conv);
    for (int64_t m = first; m < end; m += pixels) {
        work.pixels = cn__min(pixels, end - m);
        for (int64_t r = 0; r < work.pixels; r++) {
            point_pixel(plan, phase, c->in + pixel.image * image, &pixel, &all, in + r,
                        work.pixels);
            out[r] = pixel_out(plan, phase, c->out, &pixel);
            cn__pixel_next(phase, &pixel);
        }
        plan->kernels->depthwise(&work);
    }
}

/* Tasks are numbered by phase, group, block, pixels. */
static void run_task(void *context, size_t index)
{
    const run_context *c = context;
    const cn_conv_plan *plan = c->plan;
    const cn__conv_phase *phase = plan->phase;
    int64_t task = (int64_t)index;
    while (task >= phase->first_task + phase->tasks)
        phase++;
    task -= phase->first_task;
    int64_t pixels = plan->conv.batch * phase->image_pixels;
    int64_t chunks = cn__ceil_div(pixels, plan->chunk_pixels);
    int64_t first = task % chunks * plan->chunk_pixels;
    int64_t end = cn__min(first + plan->chunk_pixels, pixels);
    if (cn__conv_is_depthwise(&plan->conv)) {
        run_depthwise_task(c, phase, first, end);
        return;
    }
    int64_t block = task / chunks % plan->blocks, group = task / chunks / plan->blocks;
    run_tile_task(c, phase, group, &plan->block[block], first, end);
}

void cn_conv_plan_run(const cn_conv_plan *plan, const float *in, const float *packed,
                      const float *bias, const cn_clamp *clamp, float *out, void *scratch,
                      cn_pool *pool)
{
    (void)scratch;
    run_context context = {.plan = plan, .in = in, .packed = packed, .bias = bias, .out = out};
    context.clamp = clamp != NULL ? *clamp : (cn_clamp){-INFINITY, INFINITY};
    cn__pool_run(pool, run_task, &context, (size_t)plan->tasks);
}

/* ---- one call ---- */

static cn_status run_once(const cn_conv *conv, cn_conv_pass pass, const float *in,
                          const float *kernel, const float *bias, float *out, cn_pool *pool)
{
    cn_conv_plan *plan = cn_conv_plan_new(conv, pass);
    if (plan == NULL)
        return cn_error_status();
    float *packed = cn__alloc(cn_conv_plan_packed_bytes(plan));
    if (packed != NULL) {
        cn_conv_plan_pack(plan, kernel, packed, pool);
        cn_conv_plan_run(plan, in, packed, bias, NULL, out, NULL, pool);
    }
    cn_status status = packed != NULL ? CN_OK : cn_error_status();
    cn__free(packed);
    cn_conv_plan_free(plan);
    return status;
}

cn_status cn_conv_f32(const cn_conv *conv, const float *in, const float *kernel, const float *bias,
                      float *out, cn_pool *pool)
{
    return run_once(conv, CN_CONV_FORWARD, in, kernel, bias, out, pool);
}

cn_status cn_conv_transpose_f32(const cn_conv *conv, const float *in, const float *kernel,
                                const float *bias, float *out, cn_pool *pool)
{
    return run_once(conv, CN_CONV_TRANSPOSE, in, kernel, bias, out, pool);
}
