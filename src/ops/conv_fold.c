/* Packing and running a folded convolution; see conv_fold.h. */
#include <string.h>

#include "ops/conv_planar.h"
#include "ops/conv_spread.h"

enum { most_rows = CN__MAX_ROWS, widest = 64 };

/* ---- packing ---- */

typedef struct pack_context {
    const cn_conv_plan *plan;
    const float *kernel;
    float *packed;
} pack_context;

/* The kernel's tap that member m of a run (counted over the three axes) has for a cell, -1 for
 * none. */
static int64_t tap_of(const cn_conv_plan *plan, const cn__fold_phase *phase, int64_t m,
                      int64_t cell)
{
    int64_t tap = 0, members[3], cells[3];
    for (int axis = 2; axis >= 0; axis--) {
        members[axis] = m % phase->axis[axis]->members;
        m /= phase->axis[axis]->members;
        cells[axis] = cell % phase->axis[axis]->cells;
        cell /= phase->axis[axis]->cells;
    }
    for (int axis = 0; axis < 3; axis++) {
        int64_t t = cn__fold_tap(plan, axis, phase->axis[axis], members[axis], cells[axis]);
        if (t < 0)
            return -1;
        tap = tap * plan->conv.kernel[axis] + t;
    }
    return tap;
}

/* Output channels `first` to `first + count` of one tap: (depth, width), or zeros. */
static void pack_channels(const cn_conv_plan *plan, const float *kernel, int64_t tap, int64_t first,
                          int64_t count, int64_t width, float *packed)
{
    int64_t depth = plan->depth, channels = plan->columns;
    const float *from = kernel + tap * depth * channels;
    if (tap >= 0 && plan->pass == CN_CONV_TRANSPOSE) {
        plan->kernels->transpose(count, depth, from + first * depth, depth, packed, width);
        return;
    }
    for (int64_t k = 0; k < depth; k++)
        for (int64_t n = 0; n < count; n++)
            packed[k * width + n] = tap < 0 ? 0 : from[k * channels + first + n];
}

/* One block of one phase: (cells, depth, vectors * lanes). */
static void pack_task(void *context, size_t index)
{
    const pack_context *c = context;
    const cn_conv_plan *plan = c->plan;
    const cn__fold_phase *phase = plan->fold->phase;
    int64_t b = (int64_t)index;
    for (; b >= phase->blocks; phase++)
        b -= phase->blocks;
    const cn__column_block *block = &phase->block[b];
    int64_t end = block->first + block->columns;
    int64_t width = plan->fold->kind == CN__FOLD_PLANES ? block->columns
                                                        : block->vectors * plan->kernels->lanes;
    int64_t cells = phase->taps * phase->merged;
    float *packed = c->packed + phase->packed + phase->taps * phase->depth * block->packed;
    for (int64_t cell = 0; cell < cells; cell++, packed += plan->depth * width) {
        for (int64_t n = block->first, count; n < end; n += count) {
            int64_t first = n % plan->columns;
            count = cn__min(plan->columns - first, end - n);
            pack_channels(plan, c->kernel, tap_of(plan, phase, n / plan->columns, cell), first,
                          count, width, packed + n - block->first);
        }
        for (int64_t k = 0; k < plan->depth; k++)
            for (int64_t n = block->columns; n < width; n++)
                packed[k * width + n] = 0;
    }
}

void cn__fold_pack(const cn_conv_plan *plan, const float *kernel, float *packed, cn_pool *pool)
{
    pack_context context = {plan, kernel, packed};
    cn__pool_run(pool, pack_task, &context, (size_t)plan->fold->blocks);
}

/* ---- running ---- */

typedef struct run_context {
    const cn_conv_plan *plan;
    const float *in, *packed, *bias;
    float *out;
    cn_clamp clamp;
} run_context;

/* Neighbouring columns of a block whose values are neighbours in the output, too: those of one line
 * of a run's positions. */
typedef struct segment {
    int64_t z, y;   /* which line */
    int64_t from;   /* the first column, counted from the block's */
    int64_t within; /* and from the line's */
    int64_t count;
    int64_t offset; /* in the output, from the run's first value */
} segment;

/* What all tiles of a task have in common. */
typedef struct place {
    const cn__fold_phase *phase;
    const cn__column_block *block;
    int64_t in_step[3], out_step[3]; /* floats between neighbours along the axes */
    int64_t segments;
    segment segment[widest];
} place;

/* Where a run stands. */
typedef struct run_at {
    int64_t image, z, y, x;
} run_at;

/* The pixels of one tile. */
typedef struct tile_pixels {
    int64_t rows;
    const float *in[cn__most_pointers];
    float *out[most_rows];
    int64_t copied, scattered;
    struct {
        int64_t row, live[3]; /* positions of the run that lie inside the output */
        float *out;
    } scatter[most_rows];
    float copies[cn__fold_copied];
    _Alignas(64) float sums[most_rows * widest];
} tile_pixels;

static void find_segments(const cn_conv_plan *plan, place *at)
{
    const cn__fold_phase *phase = at->phase;
    int64_t line = phase->axis[2]->members * plan->columns, n = at->block->first;
    int64_t end = n + at->block->columns;
    while (n < end) {
        segment *s = &at->segment[at->segments++];
        s->y = n / line % phase->axis[1]->members;
        s->z = n / line / phase->axis[1]->members;
        s->from = n - at->block->first;
        s->within = n % line;
        s->count = cn__min(line - s->within, end - n);
        s->offset = s->z * at->out_step[0] + s->y * at->out_step[1] + s->within;
        n += s->count;
    }
}

static place place_of(const cn_conv_plan *plan, const cn__fold_phase *phase,
                      const cn__column_block *block)
{
    const cn_conv *conv = &plan->conv;
    place at = {.phase = phase, .block = block};
    at.in_step[2] = conv->in_channels;
    at.out_step[2] = conv->out_channels;
    for (int axis = 1; axis >= 0; axis--) {
        at.in_step[axis] = at.in_step[axis + 1] * conv->in[axis + 1];
        at.out_step[axis] = at.out_step[axis + 1] * conv->out[axis + 1];
    }
    find_segments(plan, &at);
    return at;
}

/* A tap at the image's edge: the cells inside, zeros for the others. `line` is the input's line. */
static const float *edge_tap(const cn_conv_plan *plan, const cn__fold_phase *phase,
                             const float *line, int64_t cell, tile_pixels *tile)
{
    int64_t depth = plan->depth;
    if (phase->merged == 1)
        return cell < 0 || cell >= plan->conv.in[2] ? plan->fold->zeros : line + cell * depth;
    float *copy = tile->copies + tile->copied;
    tile->copied += phase->depth;
    int64_t first = cn__min(cn__max(-cell, 0), phase->merged);
    int64_t end = cn__max(first, cn__min(plan->conv.in[2] - cell, phase->merged));
    memset(copy, 0, (size_t)(first * depth) * sizeof(float));
    if (first < end)
        memcpy(copy + first * depth, line + (cell + first) * depth,
               (size_t)((end - first) * depth) * sizeof(float));
    memset(copy + end * depth, 0, (size_t)((phase->merged - end) * depth) * sizeof(float));
    return copy;
}

/* Pointers to the input for `count` runs of a line, for the taps of one line of cells:
 * to[t * rows + r]. `line` is NULL outside the image. */
static void point_line(const cn_conv_plan *plan, const place *at, const float *line, int64_t x,
                       int64_t count, const float **to, tile_pixels *tile)
{
    const cn__fold_phase *phase = at->phase;
    const cn__fold_class *ax = phase->axis[2];
    int64_t taps = ax->cells / phase->merged, first = ax->inside_first - x;
    first = cn__min(cn__max(first, 0), count);
    int64_t end = cn__max(first, cn__min(count, ax->inside_end - x));
    for (int64_t t = 0; t < taps; t++, to += tile->rows) {
        int64_t cell = x * ax->scale + ax->cell + t;
        if (line == NULL) {
            for (int64_t r = 0; r < count; r++)
                to[r] = plan->fold->zeros;
            continue;
        }
        for (int64_t r = 0; r < first; r++)
            to[r] = edge_tap(plan, phase, line, cell + r * ax->scale, tile);
        const float *in = line + (first < end ? (cell + first * ax->scale) * at->in_step[2] : 0);
        int64_t step = ax->scale * at->in_step[2];
        for (int64_t r = first; r < end; r++)
            to[r] = in + (r - first) * step;
        for (int64_t r = end; r < count; r++)
            to[r] = edge_tap(plan, phase, line, cell + r * ax->scale, tile);
    }
}

/* Pointers to the input for `count` runs of a line, from row `row` of the tile on. */
static void point_in(const run_context *c, const place *at, const run_at *run, int64_t row,
                     int64_t count, tile_pixels *tile)
{
    const cn_conv *conv = &c->plan->conv;
    const cn__fold_class *az = at->phase->axis[0], *ay = at->phase->axis[1];
    const float *image = c->in + run->image * conv->in[0] * at->in_step[0];
    const float **to = tile->in + row;
    int64_t taps = at->phase->axis[2]->cells / at->phase->merged;
    for (int64_t z = 0; z < az->cells; z++)
        for (int64_t y = 0; y < ay->cells; y++, to += taps * tile->rows) {
            int64_t in_z = run->z * az->scale + az->cell + z;
            int64_t in_y = run->y * ay->scale + ay->cell + y;
            bool inside = in_z >= 0 && in_z < conv->in[0] && in_y >= 0 && in_y < conv->in[1];
            const float *line =
                inside ? image + in_z * at->in_step[0] + in_y * at->in_step[1] : NULL;
            point_line(c->plan, at, line, run->x, count, to, tile);
        }
}

static int64_t live(const cn_conv_plan *plan, const cn__fold_phase *phase, int axis, int64_t run)
{
    const cn__fold_class *of = phase->axis[axis];
    return cn__min(of->members, plan->conv.out[axis] - run * of->step - of->first);
}

/* Where the tile stores: into the output, or, if the values of a run lie on several lines or beyond
 * the output's end, beside it. */
static void point_out(const run_context *c, const place *at, const run_at *run, int64_t row,
                      int64_t count, tile_pixels *tile)
{
    const cn_conv_plan *plan = c->plan;
    const cn__fold_phase *phase = at->phase;
    const cn__fold_class *az = phase->axis[0], *ay = phase->axis[1], *ax = phase->axis[2];
    float *out = c->out + run->image * plan->conv.out[0] * at->out_step[0] +
                 (run->z * az->step + az->first) * at->out_step[0] +
                 (run->y * ay->step + ay->first) * at->out_step[1] +
                 (run->x * ax->step + ax->first) * at->out_step[2];
    int64_t step = ax->step * at->out_step[2], width = at->block->vectors * plan->kernels->lanes;
    bool one_line = az->members * ay->members == 1;
    for (int64_t r = row; r < row + count; r++, out += step) {
        int64_t live_x = live(plan, phase, 2, run->x + r - row);
        if (one_line && live_x == ax->members) {
            tile->out[r] = out + at->block->first;
            continue;
        }
        tile->out[r] = tile->sums + r * width;
        tile->scatter[tile->scattered].row = r;
        tile->scatter[tile->scattered].out = out;
        tile->scatter[tile->scattered].live[0] = live(plan, phase, 0, run->z);
        tile->scatter[tile->scattered].live[1] = live(plan, phase, 1, run->y);
        tile->scatter[tile->scattered++].live[2] = live_x;
    }
}

/* The next `rows` runs, which may lie on several lines and in several images. */
static void make_ready(const run_context *c, const place *at, int64_t rows, run_at *run,
                       tile_pixels *tile)
{
    const cn__fold_class *const *axis = at->phase->axis;
    tile->rows = rows;
    tile->copied = tile->scattered = 0;
    for (int64_t r = 0; r < rows;) {
        int64_t count = cn__min(rows - r, axis[2]->count - run->x);
        point_in(c, at, run, r, count, tile);
        point_out(c, at, run, r, count, tile);
        r += count;
        run->x += count;
        if (run->x < axis[2]->count)
            continue;
        run->x = 0;
        if (++run->y < axis[1]->count)
            continue;
        run->y = 0;
        if (++run->z < axis[0]->count)
            continue;
        run->z = 0;
        run->image++;
    }
}

/* Asks for the input of the last tap of the tile after this one: what the other taps read was read
 * by tiles before. */
static void fetch_ahead(const place *at, const tile_pixels *tile)
{
    enum { line = 16 };
    int64_t cells = at->phase->axis[2]->scale * at->in_step[2];
    const float *const *last = tile->in + (at->phase->taps - 1) * tile->rows;
    for (int64_t r = 0; r < tile->rows; r++) {
        uintptr_t next = (uintptr_t)last[r] + (uintptr_t)(tile->rows * cells) * sizeof(float);
        for (int64_t k = 0; k < at->phase->depth; k += line)
            __builtin_prefetch((const char *)next + (size_t)k * sizeof(float), 0, 2);
    }
}

/* Brings the runs of a tile that were stored beside the output to their places. */
static void scatter(const cn_conv_plan *plan, const place *at, const tile_pixels *tile)
{
    int64_t width = at->block->vectors * plan->kernels->lanes, channels = plan->columns;
    for (int64_t i = 0; i < tile->scattered; i++) {
        const int64_t *inside = tile->scatter[i].live;
        const float *sums = tile->sums + tile->scatter[i].row * width;
        for (int64_t j = 0; j < at->segments; j++) {
            const segment *s = &at->segment[j];
            if (s->z >= inside[0] || s->y >= inside[1])
                continue;
            float *out = tile->scatter[i].out + s->offset;
            int64_t count = cn__min(s->count, inside[2] * channels - s->within);
            for (int64_t n = 0; n < count; n++)
                out[n] = sums[s->from + n];
        }
    }
}

/* Rows of the tile that begins at a run: as many as there are, or, at the image's edge, as there is
 * room to copy. */
static int64_t rows_at(const place *at, const run_at *run, int64_t most)
{
    const cn__fold_class *ax = at->phase->axis[2];
    int64_t floats = at->phase->merged > 1 ? at->phase->taps * at->phase->depth : 0;
    if (floats * most <= cn__fold_copied ||
        (run->x >= ax->inside_first && run->x + most <= ax->inside_end))
        return most;
    return cn__fold_copied / floats;
}

static void run_block(const run_context *c, const cn__fold_phase *phase,
                      const cn__column_block *block, int64_t first, int64_t end)
{
    const cn_conv_plan *plan = c->plan;
    int64_t width = block->vectors * plan->kernels->lanes,
            most = plan->kernels->rows[block->vectors];
    place at = place_of(plan, phase, block);
    _Alignas(64) float start[CN__MAX_VECTORS * 16] = {0};
    for (int64_t n = 0; c->bias != NULL && n < block->columns; n++)
        start[n] = c->bias[(block->first + n) % plan->columns];
    cn__tile tile = {.taps = phase->taps,
                     .depth = phase->depth,
                     .weights =
                         c->packed + phase->packed + phase->taps * phase->depth * block->packed,
                     .weights_tap = phase->depth * width,
                     .start = start,
                     .columns = block->columns,
                     .low = c->clamp.low,
                     .high = c->clamp.high};
    run_at run = {.x = first % phase->axis[2]->count};
    int64_t rest = first / phase->axis[2]->count;
    run.y = rest % phase->axis[1]->count;
    rest /= phase->axis[1]->count;
    run.z = rest % phase->axis[0]->count;
    run.image = rest / phase->axis[0]->count;
    tile_pixels pixels;
    tile.in = pixels.in;
    tile.out = pixels.out;
    for (int64_t m = first; m < end; m += pixels.rows) {
        make_ready(c, &at, cn__min(rows_at(&at, &run, most), end - m), &run, &pixels);
        if (phase->taps > 0 && plan->depth >= 16)
            fetch_ahead(&at, &pixels);
        plan->kernels->tile[block->vectors][pixels.rows](&tile);
        scatter(plan, &at, &pixels);
    }
}

/* Tasks are numbered by phase, runs, block. */
static void run_task(void *context, size_t index)
{
    const run_context *c = context;
    const cn_conv_plan *plan = c->plan;
    const cn__fold_phase *phase = plan->fold->phase;
    int64_t task = (int64_t)index;
    while (task >= phase->first_task + phase->tasks)
        phase++;
    task -= phase->first_task;
    int64_t first = task / phase->blocks * phase->chunk_runs;
    int64_t end = cn__min(first + phase->chunk_runs, plan->conv.batch * phase->image_runs);
    run_block(c, phase, &phase->block[task % phase->blocks], first, end);
}

static void run_tiles(const cn_conv_plan *plan, const cn__conv_run *run, cn_pool *pool)
{
    run_context context = {.plan = plan,
                           .in = run->in,
                           .packed = run->packed,
                           .bias = run->bias,
                           .out = run->out,
                           .clamp = run->clamp};
    cn__pool_run(pool, run_task, &context, (size_t)plan->fold->tasks);
}

const cn__conv_path cn__fold_path = {cn__fold_pack, run_tiles};
