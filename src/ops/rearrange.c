/* Transposing, padding, joining: values move, none changes. */
#include "cornu/ops.h"

#include <inttypes.h>
#include <string.h>

#include "kernels/kernels.h"
#include "ops/split.h"

static cn_status check_shape(const char *where, const cn_shape *shape)
{
    if (!shape)
        return cn__fail_null_argument(where);
    if (cn_shape_count(shape) < 0)
        return cn__fail(CN_ERROR_SHAPE, "%s: every extent must be known", where);
    return CN_OK;
}

/* ---- transpose ---- */

enum { tile_rows = 32, tile_columns = 512 };

/* The output's loops, innermost first, with their strides in the input. */
typedef struct transpose_context {
    const float *in;
    float *out;
    int rank;
    int64_t extent[CN_MAX_RANK], in_stride[CN_MAX_RANK], out_stride[CN_MAX_RANK];
    /* Of the output's innermost loop (columns) and the loop along which the input is contiguous
     * (rows), both cut into tiles. */
    int64_t columns, column_stride, rows, row_stride;
    int64_t row_tiles, column_tiles;
    int64_t units, per_task;
} transpose_context;

/* Removes loop `i`, which the units' own loops take care of. */
static void remove_loop(transpose_context *c, int i)
{
    c->rank--;
    for (; i < c->rank; i++) {
        c->extent[i] = c->extent[i + 1];
        c->in_stride[i] = c->in_stride[i + 1];
        c->out_stride[i] = c->out_stride[i + 1];
    }
}

/* Loops of one round are left out; neighbours that are neighbours in the input too are made one. */
static void find_loops(transpose_context *c, const cn_shape *shape, const int *order)
{
    int64_t stride[CN_MAX_RANK], out_stride = 1;
    int64_t size = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        stride[i] = size;
        size *= shape->dim[i];
    }
    for (int i = shape->rank - 1; i >= 0; i--) {
        int64_t extent = shape->dim[order[i]];
        int last = c->rank - 1;
        if (extent == 1)
            continue;
        if (c->rank > 0 && stride[order[i]] == c->in_stride[last] * c->extent[last]) {
            c->extent[last] *= extent;
        } else {
            c->extent[c->rank] = extent;
            c->in_stride[c->rank] = stride[order[i]];
            c->out_stride[c->rank++] = out_stride;
        }
        out_stride *= extent;
    }
}

/* Takes the two loops of the tiles out of the nest and counts the units. */
static void cut_transpose(transpose_context *c)
{
    c->columns = c->rows = 1;
    c->column_stride = 1;
    c->row_stride = 0;
    if (c->rank > 0) {
        c->columns = c->extent[0];
        c->column_stride = c->in_stride[0];
        remove_loop(c, 0);
    }
    for (int i = 0; i < c->rank && c->column_stride != 1; i++)
        if (c->in_stride[i] == 1) {
            c->rows = c->extent[i];
            c->row_stride = c->out_stride[i];
            remove_loop(c, i);
        }
    c->row_tiles = cn__ceil_div(c->rows, tile_rows);
    c->column_tiles = cn__ceil_div(c->columns, tile_columns);
    c->units = c->row_tiles * c->column_tiles;
    for (int i = 0; i < c->rank; i++)
        c->units *= c->extent[i];
    c->per_task =
        cn__units_per_task(cn__min(c->rows, tile_rows) * cn__min(c->columns, tile_columns));
}

static void transpose_tile(const transpose_context *c, const float *in, float *out, int64_t rows,
                           int64_t columns)
{
    if (c->column_stride == 1) {
        memcpy(out, in, (size_t)columns * sizeof *out);
        return;
    }
    /* 16 columns at a time, so that the lines of the input stay at hand for all rows */
    for (int64_t first = 0; first < columns; first += 16) {
        int64_t end = cn__min(first + 16, columns);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t i = first; i < end; i++)
                out[r * c->row_stride + i] = in[r + i * c->column_stride];
    }
}

static void transpose_task(void *context, size_t index)
{
    const transpose_context *c = context;
    int64_t unit = (int64_t)index * c->per_task, end = cn__min(unit + c->per_task, c->units);
    for (; unit < end; unit++) {
        int64_t column = unit % c->column_tiles * tile_columns, rest = unit / c->column_tiles;
        int64_t row = rest % c->row_tiles * tile_rows;
        rest /= c->row_tiles;
        const float *in = c->in + row + column * c->column_stride;
        float *out = c->out + row * c->row_stride + column;
        for (int i = 0; i < c->rank; i++) {
            in += rest % c->extent[i] * c->in_stride[i];
            out += rest % c->extent[i] * c->out_stride[i];
            rest /= c->extent[i];
        }
        transpose_tile(c, in, out, cn__min(tile_rows, c->rows - row),
                       cn__min(tile_columns, c->columns - column));
    }
}

static cn_status check_order(const cn_shape *shape, const int *order)
{
    unsigned seen = 0;
    for (int i = 0; i < shape->rank; i++) {
        if (order[i] < 0 || order[i] >= shape->rank || seen >> order[i] & 1)
            return cn__fail(CN_ERROR_ARGUMENT,
                            "cn_transpose_f32: the order must name each of the %d axes once, but "
                            "its entry %d is %d",
                            shape->rank, i, order[i]);
        seen |= 1u << order[i];
    }
    return CN_OK;
}

cn_status cn_transpose_f32(const cn_shape *shape, const int *order, const float *in, float *out,
                           cn_pool *pool)
{
    CN__TRY(check_shape("cn_transpose_f32", shape));
    CN__TRY(check_order(shape, order));
    if (cn_shape_count(shape) == 0)
        return CN_OK;
    transpose_context context = {.in = in, .out = out};
    find_loops(&context, shape, order);
    cut_transpose(&context);
    cn__run_split(pool, transpose_task, &context, context.units, context.per_task);
    return CN_OK;
}

/* ---- pad ---- */

/* Axes from the outside in; the last one is the run that is copied. Neighbours are made one where
 * the inner one is not padded. */
typedef struct pad_context {
    const float *in;
    float *out;
    float value;
    int rank;
    int64_t in_extent[CN_MAX_RANK + 1], out_extent[CN_MAX_RANK + 1], before[CN_MAX_RANK + 1];
    int64_t rows, per_task;
} pad_context;

static void fill(float *to, int64_t count, float value)
{
    for (int64_t i = 0; i < count; i++)
        to[i] = value;
}

/* The offset of the input row that belongs to an output row, -1 if that is padding. */
static int64_t input_row(const pad_context *c, int64_t row)
{
    int64_t offset = 0, stride = c->in_extent[c->rank - 1];
    for (int i = c->rank - 2; i >= 0; i--) {
        int64_t at = row % c->out_extent[i] - c->before[i];
        if (at < 0 || at >= c->in_extent[i])
            return -1;
        row /= c->out_extent[i];
        offset += at * stride;
        stride *= c->in_extent[i];
    }
    return offset;
}

static void pad_row(const pad_context *c, int64_t row)
{
    int last = c->rank - 1;
    int64_t width = c->out_extent[last], offset = input_row(c, row);
    float *out = c->out + row * width;
    int64_t first = cn__min(cn__max(c->before[last], 0), width);
    int64_t end = cn__min(c->before[last] + c->in_extent[last], width);
    if (offset < 0 || end <= first) {
        fill(out, width, c->value);
        return;
    }
    fill(out, first, c->value);
    memcpy(out + first, c->in + offset + first - c->before[last],
           (size_t)(end - first) * sizeof *out);
    fill(out + end, width - end, c->value);
}

static void pad_task(void *context, size_t index)
{
    const pad_context *c = context;
    int64_t row = (int64_t)index * c->per_task, end = cn__min(row + c->per_task, c->rows);
    for (; row < end; row++)
        pad_row(c, row);
}

/* Puts axis `i` of the shape into the context and its padded extent into `padded`; fails where
 * cells beyond all are cut off. */
static cn_status add_pad_axis(pad_context *c, int i, int64_t extent, int64_t before, int64_t after,
                              int64_t *padded)
{
    int64_t sum, out;
    if (__builtin_add_overflow(before, after, &sum) || __builtin_add_overflow(extent, sum, &out) ||
        out < 0)
        return cn__fail(CN_ERROR_SHAPE,
                        "cn_pad_f32: %" PRId64 " cells before and %" PRId64
                        " after leave less than nothing of the %" PRId64 " of axis %d",
                        before, after, extent, i);
    *padded = out;
    before = cn__max(-extent, cn__min(before, out)); /* beyond that nothing of the input is left */
    int last = c->rank - 1;
    if (c->rank > 0 && before == 0 && out == extent) {
        c->in_extent[last] *= extent;
        c->out_extent[last] *= extent;
        c->before[last] *= extent;
    } else {
        c->in_extent[c->rank] = extent;
        c->out_extent[c->rank] = out;
        c->before[c->rank++] = before;
    }
    return CN_OK;
}

cn_status cn_pad_f32(const cn_shape *shape, const int64_t *before, const int64_t *after,
                     float value, const float *in, float *out, cn_pool *pool)
{
    CN__TRY(check_shape("cn_pad_f32", shape));
    pad_context c = {.in = in, .out = out, .value = value};
    cn_shape padded = {.rank = shape->rank};
    for (int i = 0; i < shape->rank; i++) {
        CN__TRY(add_pad_axis(&c, i, shape->dim[i], before[i], after[i], &padded.dim[i]));
    }
    int64_t count = cn_shape_count(&padded);
    if (count < 0)
        return cn__fail(CN_ERROR_SHAPE, "cn_pad_f32: the result is too large");
    if (count == 0)
        return CN_OK;
    if (c.rank == 0)
        CN__TRY(add_pad_axis(&c, 0, 1, 0, 0, &count));
    c.rows = count / c.out_extent[c.rank - 1];
    c.per_task = cn__units_per_task(c.out_extent[c.rank - 1]);
    cn__run_split(pool, pad_task, &c, c.rows, c.per_task);
    return CN_OK;
}

/* ---- concatenate ---- */

typedef struct join_context {
    int axis;
    const cn_shape *shapes;
    const float *const *in;
    float *out;
    int64_t inner; /* values behind one position of the axis */
    int64_t row;   /* values of an output row */
    int64_t total;
} join_context;

/* Copies into out[at, end) and returns how far it got: to the end of one input's part of a row. */
static int64_t copy_part(const join_context *c, int64_t at, int64_t end)
{
    int64_t row = at / c->row, column = at % c->row;
    int i = 0;
    int64_t width = c->shapes[0].dim[c->axis] * c->inner;
    while (column >= width) {
        column -= width;
        width = c->shapes[++i].dim[c->axis] * c->inner;
    }
    int64_t count = cn__min(width - column, end - at);
    memcpy(c->out + at, c->in[i] + row * width + column, (size_t)count * sizeof(float));
    return at + count;
}

static void join_task(void *context, size_t index)
{
    const join_context *c = context;
    int64_t at = (int64_t)index * CN__CHUNK, end = cn__min(at + CN__CHUNK, c->total);
    while (at < end)
        at = copy_part(c, at, end);
}

/* All shapes must be the first one's but for the axis; adds up the axis. */
static cn_status join_shapes(int count, const cn_shape *shapes, int axis, cn_shape *out)
{
    CN__TRY(check_shape("cn_concatenate_f32", &shapes[0]));
    *out = shapes[0];
    out->dim[axis] = 0;
    for (int i = 0; i < count; i++) {
        CN__TRY(check_shape("cn_concatenate_f32", &shapes[i]));
        cn_shape like = shapes[i];
        if (like.rank == out->rank)
            like.dim[axis] = out->dim[axis];
        if (!cn_shape_equal(&like, out)) {
            char a[128], b[128];
            return cn__fail(CN_ERROR_SHAPE,
                            "cn_concatenate_f32: shapes may differ in axis %d alone, but input 0 "
                            "is %s and input %d is %s",
                            axis, cn_shape_text(&shapes[0], a, sizeof a), i,
                            cn_shape_text(&shapes[i], b, sizeof b));
        }
        if (__builtin_add_overflow(out->dim[axis], shapes[i].dim[axis], &out->dim[axis]))
            return cn__fail(CN_ERROR_SHAPE, "cn_concatenate_f32: the result is too large");
    }
    return CN_OK;
}

cn_status cn_concatenate_f32(int count, const cn_shape *shapes, const float *const *in, int axis,
                             float *out, cn_pool *pool)
{
    if (!shapes)
        return cn__fail_null_argument("cn_concatenate_f32");
    if (count < 1 || axis < 0 || axis >= shapes[0].rank)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "cn_concatenate_f32: joining takes at least one input and an axis of it, "
                        "but received %d inputs and axis %d",
                        count, axis);
    cn_shape shape;
    CN__TRY(join_shapes(count, shapes, axis, &shape));
    join_context c = {.axis = axis,
                      .shapes = shapes,
                      .in = in,
                      .out = out,
                      .inner = 1,
                      .total = cn_shape_count(&shape)};
    if (c.total < 0)
        return cn__fail(CN_ERROR_SHAPE, "cn_concatenate_f32: the result is too large");
    if (c.total == 0)
        return CN_OK;
    for (int i = axis + 1; i < shape.rank; i++)
        c.inner *= shape.dim[i];
    c.row = shape.dim[axis] * c.inner;
    cn__run_split(pool, join_task, &c, c.total, CN__CHUNK);
    return CN_OK;
}
