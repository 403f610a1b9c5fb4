/* Minimal filtering: transforming windows of the input, and the sums to outputs. */
#include <string.h>

#include "ops/conv_winograd_plan.h"

enum {
    short_cell = 256 /* floats */
};

/* Cells that lie partly outside the image, copied, with zeros for what is outside: at most one on
 * either side of each row. */
typedef struct edges {
    float *next;
    float of[2 * cn__winograd_most * cn__most_merged];
} edges;

/* The cell at x of a row, which does not lie inside it as a whole. */
static const float *point_edge(const cn__winograd_context *c, const float *row, int64_t x,
                               edges *copies)
{
    const cn__winograd_conv *w = c->plan->winograd;
    int64_t channels = c->plan->conv.in_channels;
    int64_t first = cn__max(0, -x), end = cn__min(w->in_cells, c->plan->conv.in[2] - x);
    if (first >= end)
        return w->zeros;
    float *to = copies->next;
    copies->next += w->depth;
    memset(to, 0, (size_t)w->depth * sizeof *to);
    memcpy(to + first * channels, row + (x + first) * channels,
           (size_t)((end - first) * channels) * sizeof *to);
    return to;
}

/* Windows of all tiles: where the first tile's begins, and the tile to come. */
typedef struct windows {
    int64_t first[3];
    cn__winograd_place place;
} windows;

static windows windows_from(const cn__winograd_conv *w, int64_t input, int64_t tile)
{
    windows all = {.place = cn__winograd_place_of(w, tile)};
    for (int i = 2; i >= 0; i--) {
        all.first[i] = w->axis[i].first[input % w->axis[i].inputs];
        input /= w->axis[i].inputs;
    }
    return all;
}

/* The cells of a tile's window; outside the image zeros. */
static void point_window(const cn__winograd_context *c, const windows *all, const float *in,
                         edges *copies, const float **cells)
{
    const cn_conv *conv = &c->plan->conv;
    const cn__winograd_conv *w = c->plan->winograd;
    const cn__winograd_axis *rows = &w->axis[1], *columns = &w->axis[2];
    const cn__winograd_place *p = &all->place;
    int64_t from[3];
    for (int i = 0; i < 3; i++)
        from[i] = all->first[i] + p->at[i] * w->axis[i].step * w->axis[i].spacing;
    bool inside = from[0] >= 0 && from[0] < conv->in[0];
    const float *image =
        in + (p->image * conv->in[0] + from[0]) * conv->in[1] * conv->in[2] * conv->in_channels;
    int64_t last = conv->in[2] - w->in_cells, channels = conv->in_channels;
    copies->next = copies->of;
    for (int64_t i = 0, y = from[1]; i < rows->points; i++, y += rows->spacing) {
        bool within = inside && y >= 0 && y < conv->in[1];
        const float *row = image + y * conv->in[2] * channels;
        for (int64_t j = 0, x = from[2]; j < columns->points; j++, x += columns->spacing)
            *cells++ = !within               ? w->zeros
                       : x >= 0 && x <= last ? row + x * channels
                                             : point_edge(c, row, x, copies);
    }
}

/* A window made ready. */
typedef struct window {
    const float *cells[cn__most_points];
    edges copies;
} window;

/* Points at the next window, and asks for its cells if they come from memory. Short cells that are
 * far apart are read instead: that teaches the processor's own prefetchers, which asking does not.
 */
static void make_ready(const cn__winograd_context *c, const cn__winograd_chunk *of, windows *all,
                       window *next)
{
    const cn__winograd_conv *w = c->plan->winograd;
    point_window(c, all, c->in + of->group * w->depth, &next->copies, next->cells);
    cn__winograd_next(w, &all->place);
    bool read = w->merged > 1 && w->depth <= short_cell;
    for (int64_t i = 0; w->far && i < w->points; i++)
        for (int64_t k = 0; k < w->depth; k += cn__line_floats)
            if (read)
                (void)*(const volatile float *)(next->cells[i] + k);
            else
                __builtin_prefetch(next->cells[i] + k, 0, 2);
}

/* The windows of a round. Each is made ready while its predecessor is still to be transformed, so
 * that its cells arrive in time. */
void cn__winograd_inputs(const cn__winograd_context *c, const cn__winograd_chunk *of, int64_t round,
                         float *transformed)
{
    const cn__winograd_conv *w = c->plan->winograd;
    window two[2], *now = &two[0], *next = &two[1];
    int64_t first = round * w->round_inputs, end = cn__min(first + w->round_inputs, w->inputs);
    for (int64_t input = first; input < end; input++) {
        windows all = windows_from(w, input, of->first);
        make_ready(c, of, &all, now);
        for (int64_t tile = of->first; tile < of->end; tile++) {
            if (tile + 1 < of->end)
                make_ready(c, of, &all, next);
            w->kernels->input(now->cells, w->depth,
                              transformed + (input - first) * w->points * w->in_step +
                                  (tile - of->first) * w->row,
                              w->in_step);
            window *done = now;
            now = next;
            next = done;
        }
    }
}

/* A block of columns of a phase. */
typedef struct target {
    int64_t group;
    int64_t first[3]; /* where the first tile's outputs begin */
    const cn__column_block *block;
} target;

/* Where a tile's outputs go: into the image, into nowhere if they are outside it, and if merged
 * ones lie partly inside first into a row of their own, of which a part is copied. */
typedef struct destination {
    float *out[cn__most_points];
    int64_t copies;
    struct {
        float *to;
        const float *from;
        int64_t count;
    } copy[2 * cn__winograd_most];
    _Alignas(64) float rows[2 * cn__winograd_most][cn__widest_block], nowhere[cn__widest_block];
} destination;

/* The block's columns of the outputs that begin at x of a row and do not lie inside it as a whole.
 */
static float *point_edge_output(const cn__winograd_context *c, const cn__column_block *block,
                                float *row, int64_t x, destination *d)
{
    const cn__winograd_conv *w = c->plan->winograd;
    int64_t channels = c->plan->conv.out_channels, width = c->plan->conv.out[2];
    int64_t first = cn__max(cn__max(0, -x) * channels, block->first);
    int64_t end =
        cn__min(cn__min(w->out_cells, width - x) * channels, block->first + block->columns);
    if (first >= end)
        return d->nowhere;
    float *of = d->rows[d->copies];
    d->copy[d->copies].to = row + x * channels + first;
    d->copy[d->copies].from = of + first - block->first;
    d->copy[d->copies++].count = end - first;
    return of;
}

static void point_outputs(const cn__winograd_context *c, const target *to,
                          const cn__winograd_place *p, destination *d)
{
    const cn_conv *conv = &c->plan->conv;
    const cn__winograd_axis *axis = c->plan->winograd->axis;
    int64_t from[3];
    for (int i = 0; i < 3; i++)
        from[i] = to->first[i] + p->at[i] * axis[i].step * axis[i].out_step;
    bool inside = from[0] >= 0 && from[0] < conv->out[0];
    float **out = d->out, *image = c->out + to->group * c->plan->columns;
    int64_t slice = p->image * conv->out[0] + from[0];
    int64_t last = conv->out[2] - c->plan->winograd->out_cells, channels = conv->out_channels;
    d->copies = 0;
    for (int64_t i = 0, y = from[1]; i < axis[1].step; i++, y += axis[1].out_step) {
        bool within = inside && y >= 0 && y < conv->out[1];
        float *row = image + (slice * conv->out[1] + y) * conv->out[2] * channels;
        for (int64_t j = 0, x = from[2]; j < axis[2].step; j++, x += axis[2].out_step)
            *out++ = !within               ? d->nowhere
                     : x >= 0 && x <= last ? row + x * channels + to->block->first
                                           : point_edge_output(c, to->block, row, x, d);
    }
}

/* The sums at each point of the first tile; zeros where the phase's kernel is zero. */
static void point_sums(const cn_conv_plan *plan, int64_t phase, const float *sums, int64_t width,
                       const float **in, int64_t *step)
{
    const cn__winograd_conv *w = plan->winograd;
    for (int64_t p = 0; p < w->points; p++) {
        bool used = cn__any_used(w, w->first_part[phase * w->rounds],
                                 w->first_part[(phase + 1) * w->rounds], p);
        in[p] = used ? sums + p * w->sum_step : w->zeros;
        step[p] = used ? width : 0;
    }
}

/* Asks for the outputs of the next tile of a line, which come from memory. Inline, because a
 * compiler may leave out the call of a function that does nothing but ask. */
static inline __attribute__((always_inline)) void
own_next(const cn__winograd_context *c, const cn__column_block *block, const destination *d)
{
    const cn__winograd_axis *axis = c->plan->winograd->axis;
    int64_t next = axis[2].step * axis[2].out_step * c->plan->conv.out_channels;
    for (int64_t i = 0; i < axis[1].step * axis[2].step; i++)
        for (int64_t n = 0; d->out[i] != d->nowhere && n < block->columns; n += cn__line_floats)
            __builtin_prefetch(d->out[i] + next + n, 1, 2);
}

void cn__winograd_outputs(const cn__winograd_context *c, const cn__winograd_chunk *of,
                          int64_t phase, const cn__column_block *block, const float *sums)
{
    const cn__winograd_conv *w = c->plan->winograd;
    const float *in[cn__most_points];
    int64_t step[cn__most_points];
    target to = {.group = of->group, .block = block};
    for (int64_t i = 2, rest = phase; i >= 0; rest /= w->axis[i--].phases)
        to.first[i] = w->axis[i].out_first + rest % w->axis[i].phases;
    cn__winograd_place place = cn__winograd_place_of(w, of->first);
    destination d;
    _Alignas(64) float start[cn__widest_block] = {0};
    for (int64_t n = 0; c->bias != NULL && n < block->columns; n++)
        start[n] = c->bias[of->group * c->plan->columns + (block->first + n) % c->plan->columns];
    cn__winograd_output work = {.in = in,
                                .start = start,
                                .out = d.out,
                                .channels = block->columns,
                                .low = c->clamp.low,
                                .high = c->clamp.high};
    point_sums(c->plan, phase, sums, block->vectors * c->plan->kernels->lanes, in, step);
    for (int64_t tile = of->first; tile < of->end; tile++) {
        point_outputs(c, &to, &place, &d);
        cn__winograd_next(w, &place);
        if (w->far_out)
            own_next(c, block, &d);
        w->kernels->output(&work);
        for (int64_t i = 0; i < d.copies; i++)
            memcpy(d.copy[i].to, d.copy[i].from, (size_t)d.copy[i].count * sizeof(float));
        for (int64_t i = 0; i < w->points; i++)
            in[i] += step[i];
    }
}
