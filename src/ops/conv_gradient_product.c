/* The products of a kernel gradient. For a chunk of pixels and a line of taps the runs of pixels
 * that read inside the image are listed: along a line both operands lie at constant steps. The
 * kernel then sums over all runs, for each block of columns and strip of rows.
 *
 * Where the lines of a kernel have all their taps merged, a run whose taps leave the image reads a
 * copy of the input's line with zeros around it. With a dilation d the copy holds every d-th cell
 * and the run every pixel that reads those. Short lines are copied whole, into slots whose zeros
 * stay, so that listing the runs takes little beside few channels' products. */
#include <string.h>

#include "ops/conv_gradient.h"

enum {
    known_bits = 6,
    known_copies = 1 << known_bits,
    most_regions = 16,
    most_lanes = 16,
    cache_line = 64
};

/* Memory that the next chunk reads. */
typedef struct region {
    uintptr_t at, end;
} region;

/* A copy of what some pixels of a line read. */
typedef struct copy {
    const float *row; /* NULL: none */
    int64_t x, pixels;
    const float *values;
} copy;

/* What a task goes through line by line of its taps, chunk by chunk. */
typedef struct job {
    const cn__gradient_work *work;
    const cn_conv_plan *plan;
    const float *in_end, *b_end; /* of the arrays */
    int64_t rows, columns;       /* of the product */
    int64_t a_step, b_step;
    int64_t apart, cells; /* a run's pixels along the output's line, and along the input's */
    bool direct;          /* merged lines inside the image are read where they are */

    int64_t tz, ty, tx; /* the line's first tap */
    bool first;         /* it is the task's first line */
    bool ends;          /* a vector of b may reach behind the end of its array */
    int64_t runs, pixels;
    cn__run run[cn__gradient_runs];

    int64_t regions, asked;
    region region[most_regions];

    bool whole;                 /* chunks of whole lines, which are copied whole: */
    int64_t slots, slot_floats; /* copies, each in its slot; known[slot].row: the line it holds */
    int64_t left, inside, inside_from; /* its floats: zeros, then those of the line from .. on */

    copy known[known_copies];
    int64_t copied;
    float copies[cn__gradient_copied + CN__MAX_VECTORS * most_lanes];
} job;

/* The widest block: as far as the last vectors may reach. */
static int64_t slack(const job *j)
{
    return CN__MAX_VECTORS * j->plan->kernels->lanes;
}

static int64_t greatest_divisor(int64_t a, int64_t b)
{
    return b == 0 ? a : greatest_divisor(b, a % b);
}

/* ---- the runs ---- */

static void add_run(job *j, const float *in, const float *gradient, int64_t pixels)
{
    const cn__gradient *g = &j->plan->gradient;
    const float *b = g->swapped ? in : gradient;
    j->pixels += pixels;
    j->run[j->runs++] = (cn__run){.a = g->swapped ? gradient : in, .b = b, .pixels = pixels};
    if (!g->swapped || g->merged == 1) /* else add_merged sees to it */
        j->ends |= j->b_end - b < (pixels - 1) * j->b_step + j->columns + slack(j);
}

/* The group's channels of `cells` cells. Of few channels more are copied, in one go; the next cell
 * takes their place. */
static void copy_channels(const job *j, const float *from, int64_t step, int64_t cells, float *to)
{
    enum { few = 16 };
    int64_t depth = j->plan->depth;
    for (; cells > 0; cells--, from += step, to += depth)
        if (depth <= few && j->in_end - from >= few)
            memcpy(to, from, few * sizeof(float));
        else
            memcpy(to, from, (size_t)depth * sizeof(float));
}

/* Copies `cells` cells of a line from cell number `cell` on, `dilation` apart; zeros for those
 * outside. A vector may reach behind the last. */
static const float *copy_cells(job *j, const float *row, int64_t cell, int64_t cells)
{
    const cn_conv *conv = &j->plan->conv;
    int64_t depth = j->plan->depth, channels = conv->in_channels, step = conv->dilation[2];
    int64_t left = cn__max(-cell, 0), right = cn__max(conv->in[2] - cell, 0);
    int64_t first = cn__min(cells, step == 1 ? left : cn__ceil_div(left, step));
    int64_t end = cn__max(first, cn__min(cells, step == 1 ? right : cn__ceil_div(right, step)));
    float *to = j->copies + j->copied;
    memset(to, 0, (size_t)(first * depth) * sizeof(float));
    if (j->direct)
        memcpy(to + first * depth, row + (cell + first) * depth,
               (size_t)((end - first) * depth) * sizeof(float));
    else
        copy_channels(j, row + (cell + first * step) * channels, step * channels, end - first,
                      to + first * depth);
    memset(to + end * depth, 0, (size_t)((cells - end) * depth) * sizeof(float));
    j->copied += cells * depth;
    return to;
}

/* A run of pixels from x on that reads a copy, perhaps one that is there already. */
static void add_copied(job *j, const float *row, const float *gradient, int64_t x, int64_t pixels)
{
    const cn_conv *conv = &j->plan->conv;
    int64_t cell = x * conv->stride[2] - conv->before[2];
    int64_t cells = (pixels - 1) * j->cells + j->plan->gradient.merged;
    uint64_t hash = ((uint64_t)(uintptr_t)row + (uint64_t)x) * 0x9E3779B97F4A7C15u;
    copy *known = &j->known[hash >> (64 - known_bits)];
    if (known->row != row || known->x != x || known->pixels != pixels)
        *known = (copy){row, x, pixels, copy_cells(j, row, cell, cells)};
    add_run(j, known->values, gradient + x * conv->out_channels, pixels);
}

/* The pixels x to `end` of a line for all taps of its kernel line. */
static void add_merged(job *j, const float *row, const float *gradient, int64_t x, int64_t end)
{
    const cn_conv_plan *plan = j->plan;
    const cn_conv *conv = &plan->conv;
    const cn__gradient *g = &plan->gradient;
    if (!j->direct) {
        for (int64_t first = x; first < cn__min(x + j->apart, end); first++)
            add_copied(j, row, gradient, first, cn__ceil_div(end - first, j->apart));
        return;
    }
    int64_t first = cn__max(x, cn__min(end, g->inside[0].first));
    int64_t last = cn__max(first, cn__min(end, g->inside[0].end));
    const float *in = row + (first * conv->stride[2] - conv->before[2]) * plan->depth;
    bool inside = first == x && last == end;
    while (g->swapped && last > first &&
           j->in_end - in < (last - 1 - first) * j->b_step + j->columns + slack(j))
        last--;
    if (!inside && ((end - x - 1) * j->cells + g->merged) * plan->depth <= cn__gradient_whole)
        first = last = end;
    if (x < first)
        add_copied(j, row, gradient, x, first - x);
    if (first < last)
        add_run(j, in, gradient + first * conv->out_channels, last - first);
    if (last < end)
        add_copied(j, row, gradient, last, end - last);
}

/* The same for a single tap: the pixels at which it reads inside the image. */
static void add_single(job *j, const float *row, const float *gradient, int64_t x, int64_t end)
{
    const cn_conv_plan *plan = j->plan;
    const cn__axis_phase *axis = plan->phase[0].axis[2];
    int64_t first = cn__max(x, plan->gradient.inside[j->tx].first);
    int64_t last = cn__min(end, plan->gradient.inside[j->tx].end);
    if (first < last)
        add_run(j, row + axis->in[first * axis->taps + j->tx],
                gradient + first * plan->conv.out_channels, last - first);
}

/* The next copies overwrite the others. */
static void forget(job *j)
{
    j->copied = 0;
    memset(j->known, 0, sizeof j->known);
}

/* What is done with the pixels x to `end` of a line: `row` is that of the input, `gradient` that of
 * the output. */
typedef void (*line_visit)(job *j, const float *row, const float *gradient, int64_t x, int64_t end);

/* Visits the lines of `pixels` pixels from `at` on at which the line of taps reads inside. */
static void visit_lines(job *j, cn__pixel at, int64_t pixels, line_visit visit)
{
    const cn_conv_plan *plan = j->plan;
    const cn_conv *conv = &plan->conv;
    const cn__conv_phase *phase = &plan->phase[0];
    const cn__axis_phase *az = phase->axis[0], *ay = phase->axis[1];
    int64_t in_image = conv->in[0] * conv->in[1] * conv->in[2] * conv->in_channels;
    int64_t out_image = conv->out[0] * conv->out[1] * conv->out[2] * conv->out_channels;
    const float *in = j->work->in + j->work->group * plan->depth;
    const float *gradient = j->work->gradient + j->work->group * plan->columns;
    for (int64_t count; pixels > 0; pixels -= count) {
        count = cn__min(pixels, conv->out[2] - at.x);
        int64_t z = az->in[at.z * az->taps + j->tz], y = ay->in[at.y * ay->taps + j->ty];
        if (z >= 0 && y >= 0)
            visit(j, in + at.image * in_image + z + y,
                  gradient + at.image * out_image + az->out[at.z] + ay->out[at.y], at.x,
                  at.x + count);
        at.x += count - 1;
        cn__pixel_next(phase, &at);
    }
}

/* The copy of a line of the input. */
static const float *copied_line(job *j, const float *row, int64_t slot)
{
    float *to = j->copies + slot * j->slot_floats;
    copy *known = &j->known[slot];
    if (known->row == row)
        return to;
    if (known->row == NULL)
        memset(to, 0, (size_t)j->slot_floats * sizeof(float));
    known->row = row;
    memcpy(to + j->left, row + j->inside_from, (size_t)j->inside * sizeof(float));
    return to;
}

/* Lists the runs of whole lines: slots follow the lines of the input that a line of taps reads, so
 * that those of the lines of taps before are found again. */
static void list_whole(job *j, cn__pixel at, int64_t pixels)
{
    const cn_conv *conv = &j->plan->conv;
    const cn__axis_phase *az = j->plan->phase[0].axis[0], *ay = j->plan->phase[0].axis[1];
    int64_t width = conv->out[2], height = conv->out[1], depth = conv->out[0];
    int64_t in_image = conv->in[0] * conv->in[1] * conv->in[2] * conv->in_channels;
    int64_t line = (at.image * depth + at.z) * height + at.y;
    int64_t slot = (line * conv->stride[1] + j->ty * conv->dilation[1]) % j->slots;
    int64_t slot_step = conv->stride[1] % j->slots, line_floats = width * conv->out_channels;
    const float *image = j->work->in + at.image * in_image;
    const float *gradient = j->work->gradient + line * line_floats;
    bool swapped = j->plan->gradient.swapped;
    cn__run *run = j->run;
    for (; pixels > 0; pixels -= width, gradient += line_floats) {
        int64_t z = az->in[at.z * az->taps + j->tz], y = ay->in[at.y * ay->taps + j->ty];
        if (z >= 0 && y >= 0) {
            const float *in = copied_line(j, image + z + y, slot);
            *run++ = (cn__run){swapped ? gradient : in, swapped ? in : gradient, width};
        }
        slot += slot_step;
        slot -= slot >= j->slots ? j->slots : 0;
        if (++at.y < height)
            continue;
        at.y = 0;
        if (++at.z < depth)
            continue;
        at.z = 0;
        image += in_image;
    }
    j->runs = run - j->run;
    j->pixels = j->runs * width;
    j->ends = !swapped && j->b_end - gradient < slack(j);
}

/* Lists the runs of `pixels` pixels from `at` on. */
static void list_runs(job *j, cn__pixel at, int64_t pixels)
{
    const cn__gradient *g = &j->plan->gradient;
    j->runs = j->pixels = 0;
    j->ends = false;
    if (j->whole) {
        list_whole(j, at, pixels);
        return;
    }
    if (j->copied + g->copied > cn__gradient_copied)
        forget(j);
    visit_lines(j, at, pixels, g->merged > 1 ? add_merged : add_single);
}

/* ---- what is needed next ---- */

static void add_region(job *j, const float *from, const float *to)
{
    if (from < to && j->regions < most_regions)
        j->region[j->regions++] = (region){(uintptr_t)from, (uintptr_t)to};
}

/* What a line reads of the input, and of the gradient: once for all lines of the task. */
static void add_ahead(job *j, const float *row, const float *gradient, int64_t x, int64_t end)
{
    const cn_conv *conv = &j->plan->conv;
    int64_t shift = j->tx * conv->dilation[2] - conv->before[2], stride = conv->stride[2];
    if (j->tx == 0)
        add_region(j, row + cn__max(0, x * stride + shift) * conv->in_channels,
                   row + cn__min(conv->in[2], end * stride + shift) * conv->in_channels);
    if (j->first)
        add_region(j, gradient + x * conv->out_channels, gradient + end * conv->out_channels);
}

/* Has the product ask for a line of the regions at each pixel. */
static void ask(job *j, cn__product *product)
{
    product->ahead = (const char *)product->out;
    product->ahead_step = 0;
    if (j->asked == j->regions)
        return;
    region *r = &j->region[j->asked];
    product->ahead = (const char *)r->at;
    product->ahead_step = cache_line;
    r->at += (uintptr_t)(cache_line * j->pixels);
    j->asked += r->at >= r->end;
}

/* ---- the products ---- */

/* The pixels whose last vector would be read beyond the end of b, as runs of their own that read
 * copies: fewer than a vector's floats lie behind them, so that they are few. */
typedef struct tail {
    cn__run run[cn__gradient_runs + most_lanes];
    float copies[most_lanes * CN__MAX_VECTORS * most_lanes];
} tail;

/* Has a block's product read them. */
static void cut_tail(const job *j, const cn__column_block *b, cn__product *product, tail *t)
{
    int64_t runs = 0, width = b->vectors * j->plan->kernels->lanes;
    float *to = t->copies;
    for (int64_t r = 0; r < j->runs; r++) {
        cn__run run = j->run[r];
        run.b += b->first;
        const float *last = run.b + (run.pixels - 1) * j->b_step;
        for (; run.pixels > 0 && j->b_end - last < width; last -= j->b_step, to += width) {
            run.pixels--;
            memcpy(to, last, (size_t)b->columns * sizeof(float));
            t->run[runs++] = (cn__run){run.a + run.pixels * j->a_step, to, 1};
        }
        if (run.pixels > 0)
            t->run[runs++] = run;
    }
    product->b_at = 0;
    product->run = t->run;
    product->runs = runs;
}

/* One block of columns of all rows. */
static void multiply(job *j, const cn__column_block *b, bool accumulate, float *out)
{
    const cn_conv_plan *plan = j->plan;
    const cn__gradient *g = &plan->gradient;
    int64_t step = g->strip_rows[b->vectors];
    tail t;
    cn__product product = {.runs = j->runs,
                           .run = j->run,
                           .a_step = j->a_step,
                           .b_step = j->b_step,
                           .b_at = b->first,
                           .stride = g->swapped ? g->rows : plan->conv.out_channels,
                           .columns = b->columns,
                           .accumulate = accumulate};
    if (j->ends && b->columns < b->vectors * plan->kernels->lanes)
        cut_tail(j, b, &product, &t);
    int64_t end = cn__min(j->rows, j->work->end_row);
    for (int64_t first = j->work->row; first < end; first += step) {
        product.a_at = first;
        product.out = out + first * product.stride + b->first;
        ask(j, &product);
        plan->kernels->product[b->vectors][cn__min(step, end - first)](&product);
    }
}

static void start_job(job *j, const cn__gradient_work *work)
{
    const cn_conv_plan *plan = work->plan;
    const cn_conv *conv = &plan->conv;
    const cn__gradient *g = &plan->gradient;
    bool merged = g->merged > 1;
    int64_t common = greatest_divisor(conv->stride[2], conv->dilation[2]);
    const float *end = work->gradient + cn_conv_out_count(conv);
    j->direct = conv->dilation[2] == 1 && conv->groups == 1;
    j->apart = merged ? conv->dilation[2] / common : 1;
    j->cells = merged ? conv->stride[2] / common : conv->stride[2];
    int64_t in_step = j->cells * (merged ? plan->depth : conv->in_channels);
    int64_t step = j->apart * conv->out_channels;
    j->in_end = work->in + cn_conv_in_count(conv);
    j->work = work;
    j->plan = plan;
    j->rows = g->swapped ? plan->columns : g->rows;
    j->columns = g->swapped ? g->rows : plan->columns;
    j->a_step = g->swapped ? step : in_step;
    j->b_step = g->swapped ? in_step : step;
    j->b_end = g->swapped ? j->in_end : end;
}

/* Finds out whether lines are copied whole, and how. The lines of a chunk have different slots. */
static void start_whole(job *j)
{
    const cn_conv *conv = &j->plan->conv;
    const cn__gradient *g = &j->plan->gradient;
    int64_t width = conv->out[2], depth = j->plan->depth, stride = conv->stride[1];
    int64_t lines = g->chunk / width, cells = (width - 1) * j->cells + g->merged;
    bool padded = g->inside[0].first > 0 || g->inside[0].end < width;
    j->whole = false;
    if (g->merged == 1 || !j->direct || !padded || lines == 0 || cells * depth > cn__gradient_whole)
        return;
    j->slot_floats = cells * depth;
    j->slots = cn__min(cn__min(known_copies, cn__gradient_copied / j->slot_floats),
                       lines * stride + conv->kernel[1] * conv->dilation[1]);
    while (j->slots > lines && greatest_divisor(j->slots, stride) > 1)
        j->slots--;
    j->whole = j->slots >= lines && greatest_divisor(j->slots, stride) == 1;
    int64_t left = cn__max(0, cn__min(cells, conv->before[2]));
    int64_t right = cn__max(left, cn__min(cells, conv->in[2] + conv->before[2]));
    j->left = left * depth;
    j->inside = (right - left) * depth;
    j->inside_from = (left - conv->before[2]) * depth;
}

/* Goes on to the next line of taps. */
static void next_line(job *j)
{
    const cn__conv_phase *phase = &j->plan->phase[0];
    j->tx += j->plan->gradient.merged;
    if (j->tx < phase->axis[2]->taps)
        return;
    j->tx = 0;
    if (++j->ty < phase->axis[1]->taps)
        return;
    j->ty = 0;
    j->tz++;
}

/* A chunk of pixels. */
static void add_chunk(job *j, int64_t first, int64_t pixels)
{
    const cn__gradient_work *work = j->work;
    const cn__conv_phase *phase = &j->plan->phase[0];
    const cn__gradient *g = &j->plan->gradient;
    int64_t x = phase->axis[2]->taps, y = phase->axis[1]->taps, tap = work->line * g->merged;
    int64_t line = g->rows * j->plan->conv.out_channels;
    float *out = work->sums + work->line * line +
                 work->group * j->plan->columns * (g->swapped ? g->rows : 1);
    cn__pixel at = cn__pixel_at(phase, first), next = cn__pixel_at(phase, first + pixels);
    int64_t ahead = cn__min(pixels, work->end - first - pixels);
    j->tx = tap % x;
    j->ty = tap / x % y;
    j->tz = tap / x / y;
    for (int64_t l = work->line; l < work->end_line; l++, out += line, next_line(j)) {
        list_runs(j, at, pixels);
        j->regions = j->asked = 0;
        j->first = l == work->line;
        if (g->ahead && ahead > 0)
            visit_lines(j, next, ahead, add_ahead);
        for (int64_t b = work->block; b < work->end_block; b++)
            multiply(j, &g->block[b], first > work->first, out);
    }
}

void cn__gradient_products(const cn__gradient_work *work)
{
    int64_t chunk = work->plan->gradient.chunk;
    job j;
    start_job(&j, work);
    start_whole(&j);
    forget(&j);
    for (int64_t m = work->first; m < work->end; m += chunk)
        add_chunk(&j, m, cn__min(chunk, work->end - m));
}
