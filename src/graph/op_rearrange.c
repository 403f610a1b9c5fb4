/* Reshaping, transposition, padding and cropping, concatenation. */
#include <string.h>

#include "graph/ops.h"

/* ---- reshape ---- */

static cn_status fail_reshape(const cn_shape *from, const cn_shape *to)
{
    char a[128], b[128];
    return cn__fail(CN_ERROR_SHAPE, "reshape: %s does not have the number of elements of %s",
                    cn_shape_text(from, a, sizeof a), cn_shape_text(to, b, sizeof b));
}

/* The product of the known extents, -1 if it is too large. */
static int64_t known_product(const cn_shape *shape)
{
    int64_t product = 1;
    for (int i = 0; i < shape->rank; i++)
        if (shape->dim[i] >= 0 && __builtin_mul_overflow(product, shape->dim[i], &product))
            return -1;
    return product;
}

static int unknown_axes(const cn_shape *shape)
{
    int count = 0;
    for (int i = 0; i < shape->rank; i++)
        count += shape->dim[i] < 0;
    return count;
}

/* An extent of 0 keeps the input's; one -1 takes what remains. If the input's extents are not all
 * known, what remains is not either, unless the unknown ones are taken over. */
static cn_status reshape_shape(const void *attributes, int inputs, cn_tensor *const *in,
                               cn_tensor **out)
{
    const cn_shape *asked = attributes, *from = &in[0]->shape;
    cn_shape to = *asked;
    (void)inputs;
    int kept_unknown = 0, rest = -1;
    for (int i = 0; i < to.rank; i++) {
        if (asked->dim[i] == 0 && i < from->rank) {
            to.dim[i] = from->dim[i];
            kept_unknown += from->dim[i] < 0;
        } else if (asked->dim[i] < 0) {
            rest = i;
        }
    }
    out[0]->dtype = in[0]->dtype;
    out[0]->shape = to;
    int64_t total = known_product(from), product = known_product(&to);
    if (total < 0 || product < 0)
        return fail_reshape(from, &to);
    if (unknown_axes(from) != kept_unknown)
        return CN_OK;
    if (rest < 0)
        return total == product ? CN_OK : fail_reshape(from, &to);
    if (product == 0 ? total != 0 : total % product != 0)
        return fail_reshape(from, &to);
    out[0]->shape.dim[rest] = product == 0 ? 0 : total / product;
    return CN_OK;
}

static cn_status reshape_gradient(const cn__node *node, cn_tensor *const *dy, cn_gradient_rule rule,
                                  cn_tensor **dx)
{
    (void)rule;
    dx[0] = cn__op_reshape_like(dy[0], node->in[0]);
    return dx[0] != NULL ? CN_OK : cn_error_status();
}

static bool always(const cn__node *node)
{
    (void)node;
    return true;
}

const cn__op cn__reshape_op = {.name = "reshape",
                               .attribute_bytes = sizeof(cn_shape),
                               .outputs = 1,
                               .shape = reshape_shape,
                               .gradient = reshape_gradient,
                               .alias = always,
                               .any_type = 1u << 0};

cn_tensor *cn_op_reshape(cn_tensor *x, const cn_shape *shape)
{
    if (shape == NULL)
        return cn__fail_null_argument("reshape"), NULL;
    if (!cn__shape_is_legal(shape))
        return cn__fail_null(CN_ERROR_SHAPE,
                             "reshape: a shape has at most %d extents, which are numbers from 0, "
                             "or -1 for what remains",
                             CN_MAX_RANK);
    if (unknown_axes(shape) > 1) {
        char text[128];
        return cn__fail_null(CN_ERROR_SHAPE, "reshape: only one extent of %s can be left open",
                             cn_shape_text(shape, text, sizeof text));
    }
    return cn__node_new(&cn__reshape_op, shape, 1, &x);
}

static cn_status reshape_like_shape(const void *attributes, int inputs, cn_tensor *const *in,
                                    cn_tensor **out)
{
    (void)attributes;
    (void)inputs;
    out[0]->shape = in[1]->shape;
    out[0]->dtype = in[0]->dtype;
    int64_t from = cn_shape_count(&in[0]->shape), to = cn_shape_count(&in[1]->shape);
    return from < 0 || to < 0 || from == to ? CN_OK : fail_reshape(&in[0]->shape, &in[1]->shape);
}

const cn__op cn__reshape_like_op = {.name = "reshape_like",
                                    .outputs = 1,
                                    .shape = reshape_like_shape,
                                    .gradient = reshape_gradient,
                                    .alias = always,
                                    .shape_only = 1u << 1,
                                    .any_type = 1u << 0};

cn_tensor *cn__op_reshape_like(cn_tensor *x, cn_tensor *like)
{
    return cn__node_new(&cn__reshape_like_op, NULL, 2, (cn_tensor *[]){x, like});
}

/* ---- transpose ---- */

static cn_status transpose_shape(const void *attributes, int inputs, cn_tensor *const *in,
                                 cn_tensor **out)
{
    const cn__transpose_attributes *a = attributes;
    const cn_shape *from = &in[0]->shape;
    (void)inputs;
    unsigned seen = 0;
    out[0]->shape.rank = from->rank;
    out[0]->dtype = in[0]->dtype;
    for (int i = 0; i < from->rank; i++) {
        int axis = a->order[i];
        if (axis < 0 || axis >= from->rank || (seen >> axis & 1))
            return cn__fail(CN_ERROR_ARGUMENT,
                            "transpose: the order must name each of the %d axes once; place %d "
                            "names axis %d",
                            from->rank, i, axis);
        seen |= 1u << axis;
        out[0]->shape.dim[i] = from->dim[axis];
    }
    return CN_OK;
}

static cn_status transpose_gradient(const cn__node *node, cn_tensor *const *dy,
                                    cn_gradient_rule rule, cn_tensor **dx)
{
    const cn__transpose_attributes *a = node->attributes;
    (void)rule;
    int inverse[CN_MAX_RANK] = {0};
    for (int i = 0; i < node->in[0]->shape.rank; i++)
        inverse[a->order[i]] = i;
    dx[0] = cn_op_transpose(dy[0], inverse);
    return dx[0] != NULL ? CN_OK : cn_error_status();
}

static cn_status transpose_run(const cn__step *step, cn_pool *pool)
{
    const cn__transpose_attributes *a = step->node->attributes;
    return cn_transpose_f32(&step->node->in[0]->shape, a->order, step->in[0], step->out[0], pool);
}

/* True if the axes with more than one cell keep their order: nothing moves in memory. */
static bool moves_nothing(const cn__node *node)
{
    const cn__transpose_attributes *a = node->attributes;
    const cn_shape *shape = &node->in[0]->shape;
    int last = -1;
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dim[a->order[i]] == 1)
            continue;
        if (a->order[i] < last)
            return false;
        last = a->order[i];
    }
    return true;
}

const cn__op cn__transpose_op = {.name = "transpose",
                                 .attribute_bytes = sizeof(cn__transpose_attributes),
                                 .outputs = 1,
                                 .shape = transpose_shape,
                                 .gradient = transpose_gradient,
                                 .run = transpose_run,
                                 .alias = moves_nothing,
                                 .any_type = 1u << 0};

cn_tensor *cn_op_transpose(cn_tensor *x, const int *order)
{
    cn__transpose_attributes attributes = {{0}};
    if (x == NULL || order == NULL)
        return cn__fail_null_argument("transpose"), NULL;
    memcpy(attributes.order, order, (size_t)x->shape.rank * sizeof *order);
    return cn__node_new(&cn__transpose_op, &attributes, 1, &x);
}

/* ---- pad ---- */

static cn_status pad_shape(const void *attributes, int inputs, cn_tensor *const *in,
                           cn_tensor **out)
{
    const cn__pad_attributes *a = attributes;
    const cn_shape *from = &in[0]->shape;
    (void)inputs;
    out[0]->shape.rank = from->rank;
    for (int i = 0; i < from->rank; i++) {
        int64_t extent = from->dim[i];
        bool changes = a->before[i] != 0 || a->after[i] != 0;
        if (extent >= 0 && changes) {
            if (__builtin_add_overflow(extent, a->before[i], &extent) ||
                __builtin_add_overflow(extent, a->after[i], &extent))
                return cn__fail(CN_ERROR_SHAPE, "pad: the result is too large");
            if (extent <= 0) {
                char text[128];
                return cn__fail(CN_ERROR_SHAPE,
                                "cropping: nothing remains of axis %d of %s without %lld cells "
                                "before and %lld after",
                                i, cn_shape_text(from, text, sizeof text), -(long long)a->before[i],
                                -(long long)a->after[i]);
            }
        }
        out[0]->shape.dim[i] = extent;
    }
    return CN_OK;
}

static cn_status pad_gradient(const cn__node *node, cn_tensor *const *dy, cn_gradient_rule rule,
                              cn_tensor **dx)
{
    const cn__pad_attributes *a = node->attributes;
    int64_t before[CN_MAX_RANK], after[CN_MAX_RANK];
    (void)rule;
    for (int i = 0; i < CN_MAX_RANK; i++) {
        before[i] = -a->before[i];
        after[i] = -a->after[i];
    }
    dx[0] = cn_op_pad(dy[0], before, after, 0);
    return dx[0] != NULL ? CN_OK : cn_error_status();
}

static cn_status pad_run(const cn__step *step, cn_pool *pool)
{
    const cn__pad_attributes *a = step->node->attributes;
    return cn_pad_f32(&step->node->in[0]->shape, a->before, a->after, a->value, step->in[0],
                      step->out[0], pool);
}

const cn__op cn__pad_op = {.name = "pad",
                           .attribute_bytes = sizeof(cn__pad_attributes),
                           .outputs = 1,
                           .shape = pad_shape,
                           .gradient = pad_gradient,
                           .run = pad_run};

cn_tensor *cn_op_pad(cn_tensor *x, const int64_t *before, const int64_t *after, float value)
{
    cn__pad_attributes attributes = {.value = value};
    if (x == NULL || before == NULL || after == NULL)
        return cn__fail_null_argument("pad"), NULL;
    memcpy(attributes.before, before, (size_t)x->shape.rank * sizeof *before);
    memcpy(attributes.after, after, (size_t)x->shape.rank * sizeof *after);
    return cn__node_new(&cn__pad_op, &attributes, 1, &x);
}

/* ---- concatenate ---- */

static cn_status fail_concatenate(cn_tensor *const *in, int i, int axis)
{
    char a[128], b[128];
    return cn__fail(CN_ERROR_SHAPE, "concatenate: %s and %s differ in more than axis %d",
                    cn_shape_text(&in[0]->shape, a, sizeof a),
                    cn_shape_text(&in[i]->shape, b, sizeof b), axis);
}

static cn_status concatenate_shape(const void *attributes, int inputs, cn_tensor *const *in,
                                   cn_tensor **out)
{
    int axis = *(const int *)attributes;
    cn_shape *to = &out[0]->shape;
    *to = in[0]->shape;
    if (axis < 0 || axis >= to->rank) {
        char text[128];
        return cn__fail(CN_ERROR_SHAPE, "concatenate: %s has no axis %d",
                        cn_shape_text(to, text, sizeof text), axis);
    }
    for (int i = 1; i < inputs; i++) {
        const cn_shape *shape = &in[i]->shape;
        if (shape->rank != to->rank)
            return fail_concatenate(in, i, axis);
        for (int d = 0; d < to->rank; d++) {
            int64_t extent = shape->dim[d];
            if (d == axis && (to->dim[d] < 0 || extent < 0))
                to->dim[d] = -1;
            else if (d == axis && __builtin_add_overflow(to->dim[d], extent, &to->dim[d]))
                return cn__fail(CN_ERROR_SHAPE, "concatenate: the result is too large");
            else if (d == axis)
                continue;
            else if (to->dim[d] < 0)
                to->dim[d] = extent;
            else if (extent >= 0 && extent != to->dim[d])
                return fail_concatenate(in, i, axis);
        }
    }
    return CN_OK;
}

/* The part of dy that belongs to the i-th input: (dy, like input i, the inputs before it). */
static cn_tensor *part(const cn__node *node, cn_tensor *dy, int i)
{
    cn_tensor *in[cn__most_inputs] = {dy, node->in[i]};
    if (i + 2 > cn__most_inputs)
        return cn__fail_null(CN_ERROR_UNSUPPORTED,
                             "concatenate: the gradient takes at most %d inputs",
                             cn__most_inputs - 2);
    memcpy(in + 2, node->in, (size_t)i * sizeof *in);
    return cn__node_new(&cn__part_like_op, node->attributes, i + 2, in);
}

static cn_status concatenate_gradient(const cn__node *node, cn_tensor *const *dy,
                                      cn_gradient_rule rule, cn_tensor **dx)
{
    (void)rule;
    for (int i = 0; i < node->inputs; i++) {
        dx[i] = part(node, dy[0], i);
        if (dx[i] == NULL)
            return cn_error_status();
    }
    return CN_OK;
}

static cn_status concatenate_run(const cn__step *step, cn_pool *pool)
{
    const cn__node *node = step->node;
    cn_shape shapes[cn__most_inputs];
    const float *in[cn__most_inputs];
    for (int i = 0; i < node->inputs; i++) {
        shapes[i] = node->in[i]->shape;
        in[i] = step->in[i];
    }
    return cn_concatenate_f32(node->inputs, shapes, in, *(const int *)node->attributes,
                              step->out[0], pool);
}

const cn__op cn__concatenate_op = {.name = "concatenate",
                                   .attribute_bytes = sizeof(int),
                                   .outputs = 1,
                                   .shape = concatenate_shape,
                                   .gradient = concatenate_gradient,
                                   .run = concatenate_run};

cn_tensor *cn_op_concatenate(cn_tensor_list tensors, int axis)
{
    if (tensors.count > 0 && tensors.items[0] != NULL && axis < 0)
        axis += tensors.items[0]->shape.rank;
    return cn__node_new(&cn__concatenate_op, &axis, tensors.count, tensors.items);
}

static cn_status part_like_shape(const void *attributes, int inputs, cn_tensor *const *in,
                                 cn_tensor **out)
{
    (void)attributes;
    (void)inputs;
    out[0]->shape = in[1]->shape;
    return CN_OK;
}

static cn_status part_like_run(const cn__step *step, cn_pool *pool)
{
    const cn__node *node = step->node;
    int axis = *(const int *)node->attributes;
    int64_t before[CN_MAX_RANK] = {0}, after[CN_MAX_RANK] = {0};
    for (int i = 2; i < node->inputs; i++)
        before[axis] -= node->in[i]->shape.dim[axis];
    after[axis] = node->in[1]->shape.dim[axis] - before[axis] - node->in[0]->shape.dim[axis];
    return cn_pad_f32(&node->in[0]->shape, before, after, 0, step->in[0], step->out[0], pool);
}

const cn__op cn__part_like_op = {.name = "part_like",
                                 .attribute_bytes = sizeof(int),
                                 .outputs = 1,
                                 .shape = part_like_shape,
                                 .run = part_like_run,
                                 .shape_only = ~UINT64_C(1)};
