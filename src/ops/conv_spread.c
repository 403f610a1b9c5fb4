/* Running a folded convolution whose runs overlap, for few output channels.
 *
 * A cell of the input reaches as many output positions as the kernel has taps. One matrix product
 * gives all that the cells of a line add to them, (cells) x (taps, channels): no lane is idle and
 * nothing is multiplied by zero. It is then added to the lines of the output, which are kept on the
 * stack until the last line of cells that reaches them is done. */
#include <math.h>
#include <string.h>

#include "ops/conv_spread.h"

typedef struct context {
    const cn_conv_plan *plan;
    const float *in, *packed, *bias;
    float *out;
    cn_clamp clamp;
    int64_t odd; /* which parts run: the even or the odd ones */
} context;

/* A part of an image's lines of cells, and a part of the length of its lines of output. */
typedef struct strip {
    const cn__fold_phase *phase;
    int64_t image, z;   /* z: a run */
    int64_t part;       /* what two parts reach, the odd one adds to what the other wrote */
    int64_t first, end; /* lines of cells */
    int64_t line_first, line_end; /* lines of output that they reach */
    int64_t shared_end, shared; /* those before shared_end and from `shared` on others reach, too */
    int64_t left, right;        /* positions of the lines */
    int64_t cell_first, cell_end; /* cells that reach them */
    int64_t width;                /* floats of a line, margins included */
    int64_t open_end, closed_end; /* lines of output begun and written so far */
} strip;

enum {
    most_cells = 256, /* that are computed together */
    most_pieces = 64  /* of a block: each has a column */
};

typedef struct memory {
    _Alignas(64) float lines[cn__spread_lines];
    _Alignas(64) float sums[cn__spread_sums + 16]; /* a vector beyond the last row is read */
    const float *in[cn__most_pointers];
    float *out[most_cells];
    cn__spread_piece piece[most_pieces];
} memory;

static float *line_of(const strip *s, int64_t y, memory *m)
{
    return m->lines + y % s->phase->lines * s->width;
}

static float *out_of(const context *c, const strip *s, int64_t y)
{
    const cn_conv *conv = &c->plan->conv;
    const cn__fold_class *az = s->phase->axis[0];
    int64_t z = s->z * az->step + az->first;
    return c->out + (((s->image * conv->out[0] + z) * conv->out[1] + y) * conv->out[2] + s->left) *
                        conv->out_channels;
}

/* False for the lines of other phases. */
static bool owns_line(const strip *s, int64_t y)
{
    const cn__fold_class *ay = s->phase->axis[1];
    int64_t member = (y - ay->first) % ay->step;
    return (member < 0 ? member + ay->step : member) < ay->members;
}

/* Begins the lines up to `end`: with the bias, or with what the neighbouring parts have added. */
static void open_lines(const context *c, strip *s, int64_t end, memory *m)
{
    int64_t channels = c->plan->columns, count = (s->right - s->left) * channels;
    for (; s->open_end < end; s->open_end++) {
        int64_t y = s->open_end;
        if (!owns_line(s, y))
            continue;
        float *line = line_of(s, y, m), *first = line + cn__spread_margin(c->plan, s->phase);
        memset(line, 0, (size_t)s->width * sizeof *line);
        if (s->part % 2 == 1 && (y < s->shared_end || y >= s->shared))
            memcpy(first, out_of(c, s, y), (size_t)count * sizeof *line);
        else
            for (int64_t n = 0; n < count && c->bias != NULL; n++)
                first[n] = c->bias[n % channels];
    }
}

static void limit(const context *c, float *x, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        float low = x[i] < c->clamp.low ? c->clamp.low : x[i];
        x[i] = low > c->clamp.high ? c->clamp.high : low;
    }
}

/* Writes the lines up to `end`. */
static void close_lines(const context *c, strip *s, int64_t end, memory *m)
{
    int64_t count = (s->right - s->left) * c->plan->columns;
    bool clamps = c->clamp.low > -INFINITY || c->clamp.high < INFINITY;
    for (; s->closed_end < end; s->closed_end++) {
        int64_t y = s->closed_end;
        open_lines(c, s, y + 1, m);
        if (!owns_line(s, y))
            continue;
        float *line = line_of(s, y, m) + cn__spread_margin(c->plan, s->phase);
        if (clamps && (s->part % 2 == 1 || (y >= s->shared_end && y < s->shared)))
            limit(c, line, count);
        memcpy(out_of(c, s, y), line, (size_t)count * sizeof *line);
    }
}

/* Pointers to `rows` cells of line q from x on: to[t * rows + r]. */
static void point(const context *c, const strip *s, int64_t q, int64_t x, int64_t rows,
                  const float **to)
{
    const cn_conv_plan *plan = c->plan;
    const cn_conv *conv = &plan->conv;
    const cn__fold_class *az = s->phase->axis[0], *ay = s->phase->axis[1], *ax = s->phase->axis[2];
    for (int64_t i = 0; i < az->cells; i++)
        for (int64_t j = 0; j < ay->cells; j++) {
            int64_t z = s->z * az->scale + az->cell + i, y = q * ay->scale + ay->cell + j;
            bool inside = z >= 0 && z < conv->in[0] && y >= 0 && y < conv->in[1];
            int64_t line = ((s->image * conv->in[0] + z) * conv->in[1] + y) * conv->in[2];
            for (int64_t k = 0; k < ax->cells; k++, to += rows) {
                int64_t cell = x * ax->scale + k;
                const float *in = inside ? c->in + (line + cell) * plan->depth : plan->fold->zeros;
                int64_t step = inside ? ax->scale * plan->depth : 0;
                for (int64_t r = 0; r < rows; r++)
                    to[r] = in + r * step;
                if (cell + (rows - 1) * ax->scale >= conv->in[2])
                    to[rows - 1] = plan->fold->zeros;
            }
        }
}

/* Some neighbouring cells of a line, in tiles of nearly equal size. */
typedef struct chunk {
    int64_t x, count, tiles;
} chunk;

static int64_t tile_first(const chunk *cells, int64_t tile)
{
    return cells->count * tile / cells->tiles;
}

/* Pointers to the cells of all tiles, one tile after the other. */
static void point_chunk(const context *c, const strip *s, int64_t q, const chunk *cells, memory *m)
{
    for (int64_t t = 0; t < cells->tiles; t++) {
        int64_t first = tile_first(cells, t), rows = tile_first(cells, t + 1) - first;
        point(c, s, q, cells->x + first, rows, m->in + first * s->phase->taps);
    }
}

/* The products of a chunk with a block of columns. */
static void multiply(const context *c, const strip *s, const cn__column_block *block,
                     const chunk *cells, memory *m)
{
    static const _Alignas(64) float start[CN__MAX_VECTORS * 16];
    const cn_conv_plan *plan = c->plan;
    const cn__fold_phase *phase = s->phase;
    int64_t width = block->vectors * plan->kernels->lanes;
    cn__tile tile = {.taps = phase->taps,
                     .depth = phase->depth,
                     .weights =
                         c->packed + phase->packed + phase->taps * phase->depth * block->packed,
                     .weights_tap = phase->depth * width,
                     .start = start,
                     .columns = width,
                     .low = -INFINITY,
                     .high = INFINITY};
    for (int64_t i = 0; i < cells->count; i++)
        m->out[i] = m->sums + i * width;
    for (int64_t t = 0; t < cells->tiles; t++) {
        int64_t first = tile_first(cells, t), rows = tile_first(cells, t + 1) - first;
        tile.in = m->in + first * phase->taps;
        tile.out = m->out + first;
        /* the cells of the next tile follow those of the last tap */
        tile.ahead = block == phase->block ? tile.in[phase->taps * rows - 1] + plan->depth : NULL;
        plan->kernels->tile[block->vectors][rows](&tile);
    }
}

/* Where the columns of a block belong, for cell x of line q: those of one line are a piece. */
static int64_t find_pieces(const context *c, const strip *s, const cn__column_block *block,
                           int64_t q, int64_t x, memory *m)
{
    const cn__fold_class *ay = s->phase->axis[1], *ax = s->phase->axis[2];
    int64_t channels = c->plan->columns, line = ax->members * channels, pieces = 0, count;
    int64_t end = block->first + block->columns;
    int64_t at =
        cn__spread_margin(c->plan, s->phase) + (x * ax->step + ax->first - s->left) * channels;
    for (int64_t n = block->first; n < end; n += count) {
        int64_t y = q * ay->step + ay->first + n / line;
        count = cn__min(line - n % line, end - n);
        if (y >= s->line_first && y < s->line_end)
            m->piece[pieces++] = (cn__spread_piece){
                .from = n - block->first, .count = count, .to = line_of(s, y, m) + at + n % line};
    }
    return pieces;
}

static void run_chunk(const context *c, const strip *s, int64_t q, const chunk *cells, memory *m)
{
    const cn_conv_plan *plan = c->plan;
    const cn__fold_phase *phase = s->phase;
    point_chunk(c, s, q, cells, m);
    for (int64_t b = 0; b < phase->blocks; b++) {
        const cn__column_block *block = &phase->block[b];
        cn__spread work = {.sums = m->sums,
                           .rows = cells->count,
                           .width = block->vectors * plan->kernels->lanes,
                           .step = phase->axis[2]->step * plan->columns,
                           .pieces = find_pieces(c, s, block, q, cells->x, m),
                           .piece = m->piece};
        if (work.pieces == 0)
            continue;
        multiply(c, s, block, cells, m);
        plan->kernels->spread(&work);
    }
}

/* All that a line of cells adds. */
static void run_line(const context *c, const strip *s, int64_t q, memory *m)
{
    const cn__fold_phase *phase = s->phase;
    const cn__kernels *kernels = c->plan->kernels;
    int vectors = phase->block[phase->blocks - 1].vectors; /* of the widest block */
    int64_t most = cn__spread_sums / (vectors * kernels->lanes);
    most = cn__min(cn__min(most, most_cells), cn__most_pointers / cn__max(1, phase->taps));
    int64_t all = s->cell_end - s->cell_first, chunks = cn__ceil_div(all, most);
    for (int64_t i = 0; i < chunks && phase->taps > 0; i++) {
        int64_t first = all * i / chunks, count = all * (i + 1) / chunks - first;
        chunk cells = {s->cell_first + first, count, cn__ceil_div(count, kernels->rows[vectors])};
        run_chunk(c, s, q, &cells, m);
    }
}

static void run_strip(const context *c, strip *s, memory *m)
{
    const cn__fold_class *ay = s->phase->axis[1];
    s->open_end = s->closed_end = s->line_first;
    for (int64_t q = s->first; q < s->end; q++) {
        int64_t y = q * ay->step + ay->first;
        close_lines(c, s, cn__min(y, s->line_end), m);
        open_lines(c, s, cn__min(y + ay->members, s->line_end), m);
        run_line(c, s, q, m);
    }
    close_lines(c, s, s->line_end, m);
}

/* The lines of a part. */
static strip part_of(const context *c, const cn__fold_phase *phase, int64_t part)
{
    const cn__fold_class *ay = phase->axis[1];
    int64_t overlap = cn__max(0, ay->members - ay->step), out = c->plan->conv.out[1];
    strip s = {.phase = phase, .part = part, .line_end = out, .shared = out};
    s.first = ay->count * part / phase->parts;
    s.end = ay->count * (part + 1) / phase->parts;
    if (part > 0) {
        s.line_first = cn__min(out, cn__max(0, s.first * ay->step + ay->first));
        s.shared_end = s.first * ay->step + ay->first + overlap;
    }
    if (part < phase->parts - 1) {
        s.shared = s.end * ay->step + ay->first;
        s.line_end = cn__min(out, cn__max(0, s.shared + overlap));
    }
    return s;
}

/* The positions from `left` on, as many as there is room for, and the cells that reach them. */
static void place_columns(const cn_conv_plan *plan, int64_t left, strip *s)
{
    const cn__fold_class *ax = s->phase->axis[2];
    s->left = left;
    s->right = cn__min(left + s->phase->positions, plan->conv.out[2]);
    int64_t before = cn__max(0, left - ax->first - ax->members + 1);
    int64_t until = cn__max(0, s->right - ax->first);
    s->cell_first = cn__ceil_div(before, ax->step);
    s->cell_end = cn__min(ax->count, cn__ceil_div(until, ax->step));
    s->width = cn__spread_width(plan, s->phase, s->right - left);
}

/* Tasks are numbered by phase, images and z, part of the lines. */
static void spread_task(void *opaque, size_t index)
{
    const context *c = opaque;
    const cn_conv_plan *plan = c->plan;
    const cn__fold_phase *phase = plan->fold->phase;
    int64_t task = (int64_t)index;
    while (task >= phase->first_task + phase->tasks)
        phase++;
    task -= phase->first_task;
    const cn__fold_class *az = phase->axis[0];
    strip s = part_of(c, phase, task % phase->parts);
    if (s.part % 2 != c->odd)
        return;
    int64_t first = task / phase->parts * phase->chunk_runs;
    int64_t end = cn__min(first + phase->chunk_runs, plan->conv.batch * az->count);
    memory m;
    for (int64_t i = first; i < end; i++) {
        s.image = i / az->count;
        s.z = i % az->count;
        for (int64_t left = 0; left < plan->conv.out[2]; left += phase->positions) {
            place_columns(plan, left, &s);
            run_strip(c, &s, &m);
        }
    }
}

static void run_spread(const cn_conv_plan *plan, const cn__conv_run *run, cn_pool *pool)
{
    context c = {.plan = plan,
                 .in = run->in,
                 .packed = run->packed,
                 .bias = run->bias,
                 .out = run->out,
                 .clamp = run->clamp};
    for (c.odd = 0; c.odd < 2; c.odd++) /* odd parts go on where even ones are done */
        cn__pool_run(pool, spread_task, &c, (size_t)plan->fold->tasks);
}

const cn__conv_path cn__spread_path = {cn__fold_pack, run_spread};
