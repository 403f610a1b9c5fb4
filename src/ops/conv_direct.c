/* Running a convolution or a transposed convolution: each task computes a range of output pixels of
 * one phase and one block of output channels with the tile kernel. */
#include <math.h>
#include <string.h>

#include "ops/conv_direct.h"

enum {
    /* Bytes of the packed kernel that are used together: about half of a second-level cache. */
    panel_bytes = 512 * 1024,
    /* Products of a sum from which on asking for the output ahead costs less than it gains. */
    least_depth = 128
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

/* Input channels `first` to `first + depth` of one tap and one block: (depth, vectors * lanes), the
 * columns filled up with zeros. */
static void pack_tap(const cn_conv_plan *plan, const cn__column_block *block, int64_t group,
                     const float *tap, int64_t first, int64_t depth, float *packed)
{
    int64_t width = block->vectors * plan->kernels->lanes;
    int64_t row = plan->conv.out_channels;
    const float *from = tap + group * plan->columns + block->first + first * row;
    for (int64_t k = 0; k < depth; k++) {
        float *to = packed + k * width;
        memcpy(to, from + k * row, (size_t)block->columns * sizeof(float));
        for (int64_t n = block->columns; n < width; n++)
            to[n] = 0;
    }
}

/* The same for a transposed convolution, whose kernel has the axes the other way round. A few rows
 * at a time, so that they stay in the first-level cache while they fill up column by column. */
static void pack_tap_transposed(const cn_conv_plan *plan, const cn__column_block *block,
                                int64_t group, const float *tap, int64_t first, int64_t depth,
                                float *packed)
{
    enum { rows = 16 };
    int64_t width = block->vectors * plan->kernels->lanes;
    int64_t column = plan->conv.in_channels;
    const float *from = tap + group * plan->depth + block->first * column + first;
    for (int64_t k = 0; k < depth; k += rows) {
        float *to = packed + k * width;
        int64_t count = cn__min(rows, depth - k);
        plan->kernels->transpose(block->columns, count, from + k, column, to, width);
        for (int64_t i = 0; i < count; i++)
            for (int64_t n = block->columns; n < width; n++)
                to[i * width + n] = 0;
    }
}

/* Taps `first` to `first + taps`, input channels `channel` to `channel + depth` of a group's sum.
 * The first tap's places along the axes are z, y, x. */
typedef struct panel {
    int64_t first, taps;
    int64_t channel, depth;
    int64_t z, y, x;
} panel;

/* A panel of one block: (taps, depth, vectors * lanes). */
static void pack_panel(const cn_conv_plan *plan, const cn__conv_phase *phase, int64_t group,
                       const cn__column_block *block, const panel *part, const float *kernel,
                       float *packed)
{
    int64_t tap_floats = plan->conv.in_channels * plan->conv.out_channels / plan->conv.groups;
    int64_t step = part->depth * block->vectors * plan->kernels->lanes;
    bool transposed = plan->pass == CN_CONV_TRANSPOSE;
    for (int64_t t = 0; t < part->taps; t++)
        (transposed ? pack_tap_transposed : pack_tap)(
            plan, block, group, kernel + kernel_tap(plan, phase, part->first + t) * tap_floats,
            part->channel, part->depth, packed + t * step);
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
    panel all = {.taps = phase->taps, .depth = plan->depth};
    pack_panel(plan, phase, group, block, &all, c->kernel,
               packed_block(plan, c->packed, phase, group, block));
}

int64_t cn__direct_packed_floats(const cn_conv_plan *plan)
{
    const cn__conv_phase *last = &plan->phase[plan->phases - 1];
    return last->packed + last->taps * plan->conv.groups * plan->depth * plan->packed_columns;
}

void cn__direct_pack(const cn_conv_plan *plan, const float *kernel, float *packed, cn_pool *pool)
{
    pack_context context = {plan, kernel, packed};
    cn__pool_run(pool, pack_task, &context,
                 (size_t)(plan->phases * plan->conv.groups * plan->blocks));
}

/* ---- running ---- */

typedef struct run_context {
    const cn_conv_plan *plan;
    const float *in, *bias;
    float *packed;
    const float *kernel; /* if not NULL, each panel is packed when it is needed, over the last */
    float *out;
    cn_clamp clamp;
} run_context;

static int64_t image_floats(const int64_t *extents, int64_t channels)
{
    return extents[0] * extents[1] * extents[2] * channels;
}

/* Turns the taps of a panel (numbered z, y, x) into pointers for `run` pixels of one line, `pixel`
 * the first of them: to[t * step + r] for tap t and pixel r. Padding points to zeros. */
static void point_line(const cn_conv_plan *plan, const cn__conv_phase *phase, const float *in,
                       const cn__pixel *pixel, int64_t run, const panel *part, const float **to,
                       int64_t step)
{
    const cn__axis_phase *az = phase->axis[0], *ay = phase->axis[1], *ax = phase->axis[2];
    const int64_t *z = az->in + pixel->z * az->taps;
    const int64_t *y = ay->in + pixel->y * ay->taps;
    const int64_t *x = ax->in + pixel->x * ax->taps;
    int64_t tz = part->z, ty = part->y, tx = part->x;
    for (int64_t t = 0; t < part->taps; t++, to += step) {
        bool outside = z[tz] < 0 || y[ty] < 0;
        const float *line = outside ? plan->zeros : in + z[tz] + y[ty];
        for (int64_t r = 0; r < run; r++) {
            int64_t offset = x[r * ax->taps + tx];
            to[r] = outside || offset < 0 ? plan->zeros : line + offset;
        }
        if (++tx == ax->taps) {
            tx = 0;
            if (++ty == ay->taps) {
                ty = 0;
                tz++;
            }
        }
    }
}

/* Input and output pointers of the next `rows` pixels, which may lie on several lines and in
 * several images: in[t * rows + r], out[r]. Moves `pixel` behind them. */
static void point_pixels(const cn_conv_plan *plan, const cn__conv_phase *phase, const float *in,
                         float *out, const panel *part, int64_t rows, cn__pixel *pixel,
                         const float **ins, float **outs)
{
    const cn_conv *conv = &plan->conv;
    int64_t in_image = image_floats(conv->in, conv->in_channels);
    int64_t out_image = image_floats(conv->out, conv->out_channels);
    for (int64_t r = 0; r < rows;) {
        int64_t run = cn__min(rows - r, phase->axis[2]->count - pixel->x);
        point_line(plan, phase, in + pixel->image * in_image, pixel, run, part, ins + r, rows);
        float *line = out + pixel->image * out_image + phase->axis[0]->out[pixel->z] +
                      phase->axis[1]->out[pixel->y];
        for (int64_t i = 0; i < run; i++)
            outs[r + i] = line + phase->axis[2]->out[pixel->x + i];
        r += run;
        pixel->x += run - 1;
        cn__pixel_next(phase, pixel);
    }
}

/* The pixels of one tile, made ready. */
typedef struct tile_pixels {
    int64_t rows;
    bool inside; /* all in one line, with all taps inside the input */
    const float *in[cn__most_pointers];
    float *out[CN__MAX_ROWS];
} tile_pixels;

/* What all tiles of a task have in common. */
typedef struct place {
    const cn__conv_phase *phase;
    int64_t in, out; /* offsets of the group's and block's channels */
    const cn__column_block *block;
} place;

/* Asks for the output of a tile that is not in the second-level cache. */
static void own_output(const tile_pixels *tile, int64_t columns)
{
    enum { line = 16 };
    for (int64_t r = 0; r < tile->rows; r++)
        for (int64_t n = 0; n < columns; n += line)
            __builtin_prefetch(tile->out[r] + n, 1, 2);
}

static bool lies_inside(const cn__axis_phase *axis, int64_t first, int64_t count)
{
    return first >= axis->inside && first + count <= axis->inside_end;
}

/* The pixels behind those of the tile before, in the same line. */
static void go_along(const place *at, const panel *part, const tile_pixels *before,
                     cn__pixel *pixel, tile_pixels *tile)
{
    int64_t rows = tile->rows, in = rows * at->phase->axis[2]->in_step;
    int64_t out = rows * at->phase->axis[2]->out_step;
    for (int64_t i = 0; i < part->taps * rows; i++)
        tile->in[i] = before->in[i] + in;
    for (int64_t r = 0; r < rows; r++)
        tile->out[r] = before->out[r] + out;
    pixel->x += rows - 1;
    cn__pixel_next(at->phase, pixel);
}

/* `before`: the tile whose pixels come before these; NULL for the first. */
static void make_ready(const run_context *c, const place *at, const panel *part, int64_t rows,
                       const tile_pixels *before, cn__pixel *pixel, tile_pixels *tile)
{
    const cn__axis_phase *const *axis = at->phase->axis;
    tile->rows = rows;
    tile->inside = lies_inside(axis[0], pixel->z, 1) && lies_inside(axis[1], pixel->y, 1) &&
                   lies_inside(axis[2], pixel->x, rows);
    if (tile->inside && before != NULL && before->inside && before->rows == rows && pixel->x > 0) {
        go_along(at, part, before, pixel, tile);
        return;
    }
    point_pixels(c->plan, at->phase, c->in + at->in + part->channel, c->out + at->out, part, rows,
                 pixel, tile->in, tile->out);
}

/* All tiles of the pixels `first` to `end` for one panel. Each is made ready before its predecessor
 * is computed, which asks for its input meanwhile. */
static void run_panel(const run_context *c, const place *at, int64_t first, int64_t end,
                      const panel *part, cn__tile tile)
{
    const cn__kernels *kernels = c->plan->kernels;
    tile_pixels two[2], *now = &two[0], *next = &two[1];
    int64_t most = kernels->rows[at->block->vectors];
    cn__pixel pixel = cn__pixel_at(at->phase, first);
    bool own_ahead = c->plan->large_output && part->taps * part->depth >= least_depth;
    make_ready(c, at, part, cn__min(most, end - first), NULL, &pixel, now);
    for (int64_t m = first; m < end; m += most) {
        int64_t left = end - m - most;
        if (left > 0)
            make_ready(c, at, part, cn__min(most, left), now, &pixel, next);
        if (left > 0 && own_ahead)
            own_output(next, at->block->columns);
        tile.in = now->in;
        tile.out = now->out;
        tile.next = left >= most ? next->in : NULL;
        kernels->tile[at->block->vectors][now->rows](&tile);
        tile_pixels *done = now;
        now = next;
        next = done;
    }
}

/* `total` in as few equal parts as parts of at most `most` allow: the size of one. */
static int64_t equal_parts(int64_t total, int64_t most)
{
    return cn__ceil_div(total, cn__max(1, cn__ceil_div(total, cn__max(1, most))));
}

static void place_first_tap(const cn__conv_phase *phase, panel *part)
{
    if (phase->taps == 0)
        return;
    int64_t lines = part->first / phase->axis[2]->taps;
    part->x = part->first % phase->axis[2]->taps;
    part->y = lines % phase->axis[1]->taps;
    part->z = lines / phase->axis[1]->taps;
}

/* The next panel of a phase: as many taps as the cache and the pointer list hold, or a part of the
 * channels of one tap. False after the last. */
static bool next_panel(const cn_conv_plan *plan, const cn__conv_phase *phase, int64_t width,
                       int64_t rows, panel *part)
{
    int64_t channels = panel_bytes / ((int64_t)sizeof(float) * width);
    int64_t taps = cn__min(channels / plan->depth, cn__most_pointers / rows);
    part->channel += part->depth;
    if (part->taps == 0 || part->channel == plan->depth) {
        part->first += part->taps;
        part->channel = 0;
        part->taps = cn__min(phase->taps - part->first, equal_parts(phase->taps, taps));
        place_first_tap(phase, part);
    }
    part->depth = cn__min(plan->depth - part->channel, equal_parts(plan->depth, channels));
    return part->first < phase->taps;
}

static void run_tile_task(const run_context *c, const cn__conv_phase *phase, int64_t group,
                          const cn__column_block *block, int64_t first, int64_t end)
{
    const cn_conv_plan *plan = c->plan;
    int64_t width = block->vectors * plan->kernels->lanes;
    place at = {phase, group * plan->depth, group * plan->columns + block->first, block};
    float *weights = packed_block(plan, c->packed, phase, group, block);
    _Alignas(64) float start[CN__MAX_VECTORS * 16] = {0};
    if (c->bias != NULL)
        memcpy(start, c->bias + at.out, (size_t)block->columns * sizeof(float));
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
        if (c->kernel != NULL) {
            pack_panel(plan, phase, group, block, &now, c->kernel, weights);
            tile.weights = weights;
            tile.weights_tap = now.depth * width;
        }
        if (!more) {
            tile.low = c->clamp.low;
            tile.high = c->clamp.high;
        }
        run_panel(c, &at, first, end, &now, tile);
        tile.start = NULL;
    } while (more);
}

/* Tasks are numbered by phase, group and block, and by chunks of pixels outside or inside these. */
static void run_task(void *context, size_t index)
{
    const run_context *c = context;
    const cn_conv_plan *plan = c->plan;
    int64_t task = (int64_t)index, groups = plan->conv.groups;
    int64_t parts = plan->phases * groups * plan->blocks;
    int64_t chunk = plan->chunk_first ? task / parts : task % plan->chunks;
    int64_t part = plan->chunk_first ? task % parts : task / plan->chunks;
    const cn__conv_phase *phase = &plan->phase[part / plan->blocks / groups];
    int64_t pixels = plan->conv.batch * phase->image_pixels;
    int64_t rows = plan->kernels->rows[plan->block[0].vectors], tiles = cn__ceil_div(pixels, rows);
    int64_t first = tiles * chunk / plan->chunks * rows;
    int64_t end = cn__min(tiles * (chunk + 1) / plan->chunks * rows, pixels);
    if (first < end)
        run_tile_task(c, phase, part / plan->blocks % groups, &plan->block[part % plan->blocks],
                      first, end);
}

static void run_direct(const cn_conv_plan *plan, const cn__conv_run *run, cn_pool *pool)
{
    run_context context = {.plan = plan,
                           .in = run->in,
                           .packed = (float *)(uintptr_t)run->packed, /* read only */
                           .bias = run->bias,
                           .out = run->out,
                           .clamp = run->clamp};
    cn__pool_run(pool, run_task, &context, (size_t)plan->tasks);
}

const cn__conv_path cn__direct_path = {cn__direct_pack, run_direct};

bool cn__direct_packs_once(const cn_conv_plan *plan)
{
    return plan->path == &cn__direct_path && plan->chunks == 1;
}

void cn__direct_pack_and_run(const cn_conv_plan *plan, const cn__conv_run *run, const float *kernel,
                             float *packed, cn_pool *pool)
{
    run_context context = {.plan = plan,
                           .in = run->in,
                           .packed = packed,
                           .kernel = kernel,
                           .bias = run->bias,
                           .out = run->out,
                           .clamp = run->clamp};
    cn__pool_run(pool, run_task, &context, (size_t)plan->tasks);
}
