/* Running a convolution with few input channels; see conv_line.h. */
#include <string.h>

#include "ops/conv_direct.h"
#include "ops/conv_line.h"
#include "ops/copy.h"

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

/* A strip of a task's lines: of each phase of the last axis `pixels` positions from `first` on, or
 * fewer. They read the cells from `cell` on; those from `from` to `end` of them lie inside the
 * image. */
typedef struct strip {
    int64_t first, cell, from, end;
    bool whole; /* all inside, and one group: lines are read where they are */
    int64_t pixels[cn__line_phases + 1]; /* the last: of all phases */
    split split[cn__line_phases + 1][CN__MAX_VECTORS + 1];
    cn__line line;
    const float *holds[cn__line_copies]; /* which line each copy is of */
    const float *in[cn__line_taps];
    int64_t which[cn__line_taps];
    _Alignas(64) float start[CN__MAX_VECTORS * 16]; /* of a block that may not be full */
    _Alignas(64) float copies[cn__line_copied];
} strip;

/* An output line: its number, its place along the first axes, its phase there and the position in
 * that. */
typedef struct line_at {
    int64_t number, image;
    int64_t at[2], phase[2], position[2];
} line_at;

static line_at line_at_number(const cn_conv_plan *plan, int64_t number)
{
    const cn_conv *conv = &plan->conv;
    const cn__line_axis *axis = plan->line->axis;
    int64_t y = number % conv->out[1], z = number / conv->out[1] % conv->out[0];
    return (line_at){.number = number,
                     .image = number / conv->out[1] / conv->out[0],
                     .at = {z, y},
                     .phase = {z % axis[0].step, y % axis[1].step},
                     .position = {z / axis[0].step, y / axis[1].step}};
}

/* Moves on to the next line. */
static void next_line(const cn_conv_plan *plan, line_at *line)
{
    line->number++;
    for (int i = 1; i >= 0; i--) {
        if (++line->phase[i] == plan->line->axis[i].step) {
            line->phase[i] = 0;
            line->position[i]++;
        }
        if (++line->at[i] < plan->conv.out[i])
            return;
        line->at[i] = line->phase[i] = line->position[i] = 0;
    }
    line->image++;
}

/* The cells of a line that lie inside the image, the channels of each group by themselves. */
static void copy_line(const cn_conv_plan *plan, const strip *s, const float *line, float *copy)
{
    int64_t channels = plan->conv.in_channels, depth = plan->depth, cells = plan->line->cells;
    if (s->from == s->end)
        return;
    const float *from = line + (s->cell + s->from) * channels;
    if (depth == channels) {
        memcpy(copy + s->from * channels, from,
               (size_t)((s->end - s->from) * channels) * sizeof *copy);
        return;
    }
    for (int64_t i = s->from; i < s->end; i++)
        for (int64_t g = 0; g < channels; g += depth, from += depth)
            cn__copy_few(copy + g * cells + i * depth, from, depth);
}

/* What the strip's first pixel reads of a line of the input: of the line itself if it can be, else
 * of a copy with zeros around. */
static const float *line_of(const cn_conv_plan *plan, const float *line, int64_t slot, strip *s)
{
    if (s->whole)
        return line + s->cell * plan->conv.in_channels;
    float *copy = s->copies + slot * plan->line->cells * plan->conv.in_channels;
    if (s->holds[slot] != line)
        copy_line(plan, s, line, copy);
    s->holds[slot] = line;
    return copy;
}

/* The lines of taps that lie inside the image, each with `across` taps; returns how many. */
static int64_t point_in(const run_context *c, const line_at *at, int64_t across, strip *s)
{
    const cn_conv *conv = &c->plan->conv;
    const struct cn__line_conv *line = c->plan->line;
    const cn__line_axis *az = &line->axis[0], *ay = &line->axis[1];
    const cn__line_phase *pz = &az->phase[at->phase[0]], *py = &ay->phase[at->phase[1]];
    int64_t found = 0, apart = line->axis[2].apart * c->plan->depth;
    for (int64_t i = 0; i < pz->taps; i++) {
        int64_t z = at->position[0] * az->scale + pz->cell + i * az->apart;
        if (z < 0 || z >= conv->in[0])
            continue;
        int64_t y = at->position[1] * ay->scale + py->cell;
        for (int64_t j = 0; j < py->taps; j++, y += ay->apart) {
            if (y < 0 || y >= conv->in[1])
                continue;
            int64_t number = (at->image * conv->in[0] + z) * conv->in[1] + y;
            const float *from = line_of(c->plan, c->in + number * conv->in[2] * conv->in_channels,
                                        i * ay->reach + y % ay->reach, s);
            for (int64_t t = 0; t < across; t++, found++) {
                s->in[found] = from + t * apart;
                s->which[found] = (i * py->taps + j) * across + t;
            }
        }
    }
    return found;
}

/* All of a phase's pixels in the strip for one block of output channels. */
static void run_block(const cn__line_kernel *kernel, const split *in_tiles, cn__line *line)
{
    int64_t done = in_tiles->larger * (in_tiles->rows + 1);
    if (done > 0) {
        kernel[in_tiles->rows + 1](line, in_tiles->larger);
        line->in_at += done * line->in_step;
        line->out += done * line->out_step;
    }
    kernel[in_tiles->rows](line, in_tiles->others);
}

/* A phase of a line, or all of them if there are no taps, with a group's kernel of all its blocks,
 * of `taps` taps. */
static void run_phase(const run_context *c, const float *packed, int64_t taps, int64_t group,
                      int64_t x, float *out, strip *s)
{
    const cn_conv_plan *plan = c->plan;
    const cn__line_axis *ax = &plan->line->axis[2];
    int64_t cell = x < ax->phases ? ax->phase[x].cell - ax->first : 0;
    const float *bias = c->bias != NULL ? c->bias + group * plan->columns : NULL;
    cn__line *line = &s->line;
    for (int64_t b = 0; b < plan->blocks; b++) {
        const cn__column_block *block = &plan->block[b];
        bool own = bias == NULL || b == plan->blocks - 1;
        if (own && bias != NULL)
            memcpy(s->start, bias + block->first, (size_t)block->columns * sizeof(float));
        line->weights = packed + taps * plan->depth * block->packed;
        line->start = own ? s->start : bias + block->first;
        line->columns = block->columns;
        line->in_at = (group * plan->line->cells + cell) * plan->depth;
        line->out = out + block->first;
        run_block(plan->kernels->line[block->vectors], &s->split[x][block->vectors], line);
    }
}

/* A line without taps: the bias. */
static void run_empty(const run_context *c, float *out, strip *s)
{
    const cn_conv_plan *plan = c->plan;
    s->line.taps = 0;
    s->line.out_step = plan->conv.out_channels;
    for (int64_t g = 0; g < plan->conv.groups; g++)
        run_phase(c, c->packed, 0, g, plan->line->axis[2].phases, out + g * plan->columns, s);
    s->line.out_step = plan->line->axis[2].step * plan->conv.out_channels;
}

/* An output line: for each phase of the last axis, and group. */
static void run_line(const run_context *c, const line_at *at, strip *s)
{
    const cn_conv_plan *plan = c->plan;
    const struct cn__line_conv *line = plan->line;
    const cn__line_axis *ax = &line->axis[2];
    int64_t lines = at->phase[0] * line->axis[1].phases + at->phase[1], depth = plan->depth;
    int64_t found = point_in(c, at, line->merged ? 1 : ax->phase[0].taps, s);
    float *out =
        c->out + (at->number * plan->conv.out[2] + s->first * ax->step) * plan->conv.out_channels;
    if (found == 0) {
        run_empty(c, out, s);
        return;
    }
    for (int64_t x = 0; x < ax->phases; x++, out += plan->conv.out_channels) {
        const cn__conv_phase *phase = &plan->phase[lines * ax->phases + x];
        const float *packed = c->packed + phase->packed;
        if (s->pixels[x] <= 0)
            continue;
        s->line.taps = ax->phase[x].taps > 0 ? found : 0;
        s->line.depth = (line->merged ? ax->phase[x].taps : 1) * depth;
        for (int64_t g = 0; g < plan->conv.groups; g++) {
            run_phase(c, packed, phase->taps, g, x, out + g * plan->columns, s);
            packed += phase->taps * depth * plan->packed_columns;
        }
    }
}

/* Tiles of as equal numbers of rows as can be. */
static void split_pixels(const cn_conv_plan *plan, int64_t x, strip *s)
{
    for (int v = 1; v <= CN__MAX_VECTORS && plan->kernels->rows[v] > 0; v++) {
        int64_t tiles = cn__ceil_div(s->pixels[x], plan->kernels->rows[v]);
        split *to = &s->split[x][v];
        to->rows = s->pixels[x] / tiles;
        to->larger = s->pixels[x] % tiles;
        to->others = tiles - to->larger;
    }
}

static void start_strip(const run_context *c, int64_t number, strip *s)
{
    const cn_conv_plan *plan = c->plan;
    const cn_conv *conv = &plan->conv;
    const struct cn__line_conv *line = plan->line;
    const cn__line_axis *ax = &line->axis[2];
    s->first = number * line->pixels;
    s->cell = s->first * ax->scale + ax->first;
    s->from = cn__min(cn__max(-s->cell, 0), line->cells);
    s->end = cn__min(cn__max(conv->in[2] - s->cell, s->from), line->cells);
    s->whole = conv->groups == 1 && s->from == 0 && s->end == line->cells;
    for (int64_t x = 0; x < ax->phases; x++) {
        s->pixels[x] = cn__min(line->pixels, ax->phase[x].count - s->first);
        if (s->pixels[x] > 0)
            split_pixels(plan, x, s);
    }
    s->pixels[ax->phases] = cn__min(line->pixels * ax->step, conv->out[2] - s->first * ax->step);
    split_pixels(plan, ax->phases, s);
    if (!s->whole)
        memset(s->copies, 0,
               (size_t)(line->copies * line->cells * conv->in_channels) * sizeof(float));
    memset(s->holds, 0, sizeof s->holds);
    memset(s->start, 0, sizeof s->start);
    s->line = (cn__line){.in = s->in,
                         .which = s->which,
                         .in_step = ax->scale * plan->depth,
                         .out_step = ax->step * conv->out_channels,
                         .far = line->far,
                         .low = c->clamp.low,
                         .high = c->clamp.high};
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
    for (line_at at = line_at_number(c->plan, first); at.number < end; next_line(c->plan, &at))
        run_line(c, &at, &s);
}

static void run_lines(const cn_conv_plan *plan, const cn__conv_run *run, cn_pool *pool)
{
    run_context context = {.plan = plan,
                           .in = run->in,
                           .packed = run->packed,
                           .bias = run->bias,
                           .out = run->out,
                           .clamp = run->clamp};
    cn__pool_run(pool, run_task, &context, (size_t)plan->line->tasks);
}

const cn__conv_path cn__line_path = {cn__direct_pack, run_lines};
