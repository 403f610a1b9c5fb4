/* Sums, means and maxima over axes.
 *
 * Neighbouring axes that are all reduced or all kept are made one. What remains is, for each of the
 * `groups` outer kept positions, a set of `rows` of `run` consecutive values: if the innermost axis
 * is kept, the rows are added up column by column, else all their values are. */
#include "cornu/ops.h"

#include <math.h>

#include "kernels/kernels.h"
#include "ops/split.h"

enum {
    most_columns = 512, /* columns of a task */
    most_totals = 4096, /* totals of parts, on the stack */
    most_parts = 64,
    piece = 4096 /* values of a row that are summed in one go */
};

/* One nest of loops: the offsets of its positions in the input. */
typedef struct loops {
    int rank;
    int64_t extent[CN_MAX_RANK], stride[CN_MAX_RANK]; /* innermost first */
    int64_t count;
} loops;

typedef struct reduce_context {
    cn_reduction reduction;
    const cn__kernels *kernels;
    const float *in;
    float *out;
    loops groups, rows;
    bool by_column;
    int64_t run;
    int64_t pieces;           /* by value: pieces of a row */
    int64_t columns, blocks;  /* by column: columns of a block, blocks of a row */
    int64_t per_task;         /* groups of a task */
    int64_t parts, part_rows; /* parts of a group's rows (or pieces) that are summed apart */
    double *totals;           /* [output][part], NULL for one part */
    double divisor;
} reduce_context;

static void add_loop(loops *nest, int64_t extent, int64_t stride)
{
    if (nest->rank > 0 && stride == nest->stride[nest->rank - 1] * nest->extent[nest->rank - 1]) {
        nest->extent[nest->rank - 1] *= extent;
    } else {
        nest->extent[nest->rank] = extent;
        nest->stride[nest->rank++] = stride;
    }
    nest->count *= extent;
}

static int64_t offset_of(const loops *nest, int64_t index)
{
    int64_t offset = 0;
    for (int i = 0; i < nest->rank; i++) {
        offset += index % nest->extent[i] * nest->stride[i];
        index /= nest->extent[i];
    }
    return offset;
}

/* Axes of extent 1 are passed over. */
static void find_loops(reduce_context *c, const cn_shape *shape, unsigned axes)
{
    c->groups = c->rows = (loops){.count = 1};
    c->run = 1;
    bool inner = true, inner_reduced = true, first = true;
    int64_t stride = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        int64_t extent = shape->dim[i];
        bool reduced = axes >> i & 1;
        if (extent == 1)
            continue;
        if (first)
            inner_reduced = reduced;
        first = false;
        inner = inner && reduced == inner_reduced;
        if (inner)
            c->run *= extent;
        else
            add_loop(reduced ? &c->rows : &c->groups, extent, stride);
        stride *= extent;
    }
    c->by_column = !inner_reduced;
}

/* ---- the values of one group ---- */

static void take_in(const reduce_context *c, const float *x, double *totals, float *maxima,
                    int64_t count)
{
    if (c->reduction == CN_MAX)
        c->kernels->binary[CN_MAXIMUM](maxima, 1, x, 1, maxima, count);
    else
        c->kernels->add_to_doubles(x, totals, count);
}

/* Column totals over the rows [row, end) of a block. Where a block is a whole row, neighbouring
 * rows lie one after another, and several are taken in at once: `width` is a multiple of the
 * columns. */
static void reduce_columns(const reduce_context *c, const float *in, int64_t row, int64_t end,
                           int64_t columns, double *totals)
{
    float maxima[most_columns];
    int64_t together = c->blocks == 1 ? most_columns / columns : 1, width = together * columns;
    for (int64_t i = 0; i < width; i++) {
        totals[i] = 0;
        maxima[i] = -INFINITY;
    }
    while (row < end) {
        int64_t span = c->rows.rank > 0 ? c->rows.extent[0] : 1;
        int64_t count = cn__min(cn__min(together, end - row), span - row % span);
        take_in(c, in + offset_of(&c->rows, row), totals, maxima, count * columns);
        row += count;
    }
    for (int64_t i = 0; i < width; i++) {
        int64_t column = i % columns;
        double m = (double)maxima[i];
        if (c->reduction == CN_MAX)
            totals[column] = i == column || m > totals[column] || m != m ? m : totals[column];
        else if (i != column)
            totals[column] += totals[i];
    }
}

/* The total over the pieces [from, end) of a group's rows. */
static double reduce_values(const reduce_context *c, const float *in, int64_t from, int64_t end)
{
    double total = c->reduction == CN_MAX ? (double)-INFINITY : 0;
    for (int64_t i = from; i < end; i++) {
        int64_t start = i % c->pieces * piece, count = cn__min(piece, c->run - start);
        const float *x = in + offset_of(&c->rows, i / c->pieces) + start;
        if (c->reduction == CN_MAX) {
            double m = (double)c->kernels->maximum(x, count);
            total = m > total || m != m ? m : total;
        } else {
            total += c->kernels->sum(x, count);
        }
    }
    return total;
}

static void put(const reduce_context *c, int64_t output, int64_t part, double total)
{
    if (c->totals)
        c->totals[output * c->parts + part] = total;
    else
        c->out[output] = (float)(total / c->divisor);
}

static void reduce_group(const reduce_context *c, int64_t group, int64_t block, int64_t part)
{
    const float *in = c->in + offset_of(&c->groups, group);
    int64_t units = c->rows.count * (c->by_column ? 1 : c->pieces);
    int64_t from = part * c->part_rows, end = cn__min(from + c->part_rows, units);
    if (!c->by_column) {
        put(c, group, part, reduce_values(c, in, from, end));
        return;
    }
    double totals[most_columns];
    int64_t column = block * c->columns, columns = cn__min(c->columns, c->run - column);
    reduce_columns(c, in + column, from, end, columns, totals);
    for (int64_t i = 0; i < columns; i++)
        put(c, group * c->run + column + i, part, totals[i]);
}

static void reduce_task(void *context, size_t index)
{
    const reduce_context *c = context;
    int64_t part = (int64_t)index % c->parts, rest = (int64_t)index / c->parts;
    int64_t block = rest % c->blocks, group = rest / c->blocks * c->per_task;
    int64_t end = cn__min(group + c->per_task, c->groups.count);
    for (; group < end; group++)
        reduce_group(c, group, block, part);
}

static void add_parts(const reduce_context *c, int64_t outputs)
{
    for (int64_t i = 0; i < outputs; i++) {
        const double *part = c->totals + i * c->parts;
        double total = part[0];
        for (int64_t p = 1; p < c->parts; p++) {
            if (c->reduction != CN_MAX)
                total += part[p];
            else if (part[p] > total || part[p] != part[p])
                total = part[p];
        }
        c->out[i] = (float)(total / c->divisor);
    }
}

/* Few outputs of many values are computed in parts. */
static void cut(reduce_context *c, int64_t outputs)
{
    c->pieces = cn__ceil_div(c->run, piece);
    c->columns = c->by_column ? cn__min(c->run, most_columns) : 1;
    c->blocks = c->by_column ? cn__ceil_div(c->run, c->columns) : 1;
    int64_t units = c->rows.count * (c->by_column ? 1 : c->pieces);
    int64_t values = c->rows.count * (c->by_column ? c->columns : c->run);
    c->per_task = cn__units_per_task(values);
    int64_t parts = cn__min(most_totals / outputs, most_parts);
    parts = cn__max(cn__min(parts, values / CN__CHUNK), 1);
    c->part_rows = cn__max(cn__ceil_div(units, parts), 1);
    c->parts = cn__max(cn__ceil_div(units, c->part_rows), 1);
}

cn_status cn_reduce_f32(cn_reduction reduction, const cn_shape *shape, unsigned axes,
                        const float *in, float *out, cn_pool *pool)
{
    if (!shape)
        return cn__fail_null_argument("cn_reduce_f32");
    if ((size_t)reduction > CN_MAX)
        return cn__fail(CN_ERROR_ARGUMENT, "cn_reduce_f32: there is no reduction %d",
                        (int)reduction);
    int64_t count = cn_shape_count(shape);
    if (count < 0)
        return cn__fail(CN_ERROR_SHAPE, "cn_reduce_f32: every extent must be known");
    if (axes >> shape->rank)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "cn_reduce_f32: the axes 0x%x name some that a shape of %d axes lacks",
                        axes, shape->rank);
    int64_t outputs = 1, reduced = 1;
    for (int i = 0; i < shape->rank; i++)
        *(axes >> i & 1 ? &reduced : &outputs) *= shape->dim[i];
    if (outputs == 0)
        return CN_OK;
    reduce_context c = {.reduction = reduction,
                        .kernels = cn__kernels_get(),
                        .in = in,
                        .out = out,
                        .divisor = reduction == CN_MEAN ? (double)reduced : 1};
    find_loops(&c, shape, axes);
    cut(&c, outputs);
    double totals[most_totals];
    c.totals = c.parts > 1 ? totals : NULL;
    int64_t tasks = cn__ceil_div(c.groups.count, c.per_task) * c.blocks * c.parts;
    cn__pool_run(pool, reduce_task, &c, (size_t)tasks);
    if (c.totals)
        add_parts(&c, outputs);
    return CN_OK;
}
