/* Simplification, node by node, while a graph is copied into a program:
 *   - a bias added to a convolution, batch normalisation outside training, and a relu after it,
 *     become part of the convolution;
 *   - transpositions move behind elementwise operations and concatenations, where they meet the
 * next layer's and cancel: a channels-first network is transposed at its edges only;
 *   - the gradient of a relu before max pooling is taken from the pooled values: there are fewer;
 *   - reshapes of reshapes, identities, sums and repetitions over no axis, and dropout outside
 *     training disappear.
 */
#include <string.h>

#include "graph/map.h"
#include "graph/ops.h"
#include "graph/program.h"

static cn_status give(cn_tensor *tensor, cn_tensor **out)
{
    out[0] = tensor;
    return tensor != NULL ? CN_OK : cn_error_status();
}

static bool used_once(const cn__copying *copying, const cn_tensor *original)
{
    return (uintptr_t)cn__map_get(copying->uses, original) == 1;
}

static cn_status copy_node(const cn__node *node, cn_tensor *const *in, cn_tensor **out)
{
    cn_tensor *first = cn__node_new(node->op, node->attributes, node->inputs, in);
    if (first == NULL)
        return cn_error_status();
    for (int i = 0; i < node->outputs; i++)
        out[i] = first->node->out[i];
    return CN_OK;
}

/* ---- transpositions ---- */

static bool is_transposed(const cn_tensor *tensor)
{
    return tensor->node->op == &cn__transpose_op;
}

static const int *order_of(const cn_tensor *tensor)
{
    return ((const cn__transpose_attributes *)tensor->node->attributes)->order;
}

static bool same_order(const cn_tensor *a, const cn_tensor *b)
{
    return is_transposed(a) && is_transposed(b) && a->shape.rank == b->shape.rank &&
           memcmp(order_of(a), order_of(b), (size_t)a->shape.rank * sizeof(int)) == 0;
}

static bool is_identity(const int *order, int rank)
{
    for (int i = 0; i < rank; i++)
        if (order[i] != i)
            return false;
    return true;
}

/* transpose(transpose(x)) is one transposition, or x. */
static cn_status simplify_transpose(const cn__node *node, cn_tensor *const *in, cn_tensor **out)
{
    const cn__transpose_attributes *a = node->attributes;
    int rank = in[0]->shape.rank, order[CN_MAX_RANK];
    cn_tensor *x = in[0];
    memcpy(order, a->order, sizeof order);
    if (is_transposed(x)) {
        for (int i = 0; i < rank; i++)
            order[i] = order_of(x)[a->order[i]];
        x = x->node->in[0];
    }
    return give(is_identity(order, rank) ? x : cn_op_transpose(x, order), out);
}

/* f(transpose(x)) = transpose(f(x)) */
static cn_status simplify_unary(const cn__node *node, cn_tensor *const *in, cn_tensor **out)
{
    if (((const cn_function1 *)node->attributes)->op == CN_IDENTITY)
        return give(in[0], out);
    if (!is_transposed(in[0]))
        return copy_node(node, in, out);
    cn_tensor *inner = cn__node_new(node->op, node->attributes, 1, in[0]->node->in);
    return give(inner == NULL ? NULL : cn_op_transpose(inner, order_of(in[0])), out);
}

/* The same for two operands of equal order, or one and a single number. */
static cn_status simplify_pair(const cn__node *node, cn_tensor *const *in, cn_tensor **out)
{
    cn_tensor *inner[2] = {in[0], in[1]}, *moved = NULL;
    for (int i = 0; i < 2; i++)
        if (is_transposed(in[i]) && (same_order(in[0], in[1]) || in[1 - i]->shape.rank == 0))
            moved = in[i];
    if (moved == NULL)
        return copy_node(node, in, out);
    for (int i = 0; i < 2; i++)
        if (is_transposed(in[i]))
            inner[i] = in[i]->node->in[0];
    cn_tensor *y = cn__node_new(node->op, node->attributes, 2, inner);
    return give(y == NULL ? NULL : cn_op_transpose(y, order_of(moved)), out);
}

static cn_status simplify_concatenate(const cn__node *node, cn_tensor *const *in, cn_tensor **out)
{
    cn_tensor *inner[cn__most_inputs];
    for (int i = 0; i < node->inputs; i++) {
        if (!same_order(in[0], in[i]))
            return copy_node(node, in, out);
        inner[i] = in[i]->node->in[0];
    }
    int axis = order_of(in[0])[*(const int *)node->attributes];
    cn_tensor *y = cn__node_new(node->op, &axis, node->inputs, inner);
    return give(y == NULL ? NULL : cn_op_transpose(y, order_of(in[0])), out);
}

/* ---- into the convolution ---- */

static bool is_conv(const cn_tensor *tensor)
{
    return tensor->node->op == &cn__conv_op;
}

/* A dense layer's product is a convolution, reshaped: the convolution, whose last axis is the same;
 * else the tensor itself. */
static cn_tensor *under_reshape(cn_tensor *tensor)
{
    const cn__node *node = tensor->node;
    if (node->op != &cn__reshape_op && node->op != &cn__reshape_like_op)
        return tensor;
    const cn_shape *x = &node->in[0]->shape, *y = &tensor->shape;
    bool same = x->rank > 0 && y->rank > 0 && x->dim[x->rank - 1] == y->dim[y->rank - 1];
    return same && is_conv(node->in[0]) ? node->in[0] : tensor;
}

/* `tensor`, made from what lies under the reshape `like`, in its shape. */
static cn_tensor *over_reshape(cn_tensor *tensor, cn_tensor *like)
{
    bool reshaped = tensor != NULL && !cn_shape_equal(&tensor->shape, &like->shape);
    return reshaped ? cn__op_reshape_like(tensor, like) : tensor;
}

static const cn__conv_attributes *conv_of(const cn_tensor *tensor)
{
    return tensor->node->attributes;
}

/* A convolution in the place of another. */
static cn_tensor *instead_of(cn_tensor *conv, const cn__conv_attributes *attributes, int inputs,
                             cn_tensor *const *in)
{
    cn_tensor *made = cn__node_new(&cn__conv_op, attributes, inputs, in);
    if (made != NULL)
        made->name = conv->name;
    return made;
}

/* conv(x, w) + b, where b counts along the channels. */
static cn_tensor *with_bias(cn_tensor *conv, cn_tensor *bias)
{
    const cn_shape *y = &conv->shape, *b = &bias->shape;
    cn__conv_attributes attributes = *conv_of(conv);
    if (attributes.biased || attributes.normalised || attributes.clamped || b->rank != 1 ||
        b->dim[0] != y->dim[y->rank - 1])
        return NULL;
    attributes.biased = true;
    return instead_of(conv, &attributes, 3,
                      (cn_tensor *[]){conv->node->in[0], conv->node->in[1], bias});
}

/* True if the outputs but the first are not asked for, and all weights stay on most runs. */
static bool can_be_folded(const cn__copying *copying, const cn__node *norm, cn_tensor *const *in)
{
    const cn__conv_attributes *conv = conv_of(in[0]);
    if (copying->training || conv->normalised || conv->clamped ||
        !used_once(copying, norm->in[0]) || cn__version_of(in[0]->node->in[1]) == NULL)
        return false;
    for (int i = 1; i < norm->outputs; i++)
        if (cn__map_get(copying->uses, norm->out[i]) != NULL)
            return false;
    for (int i = 1; i < norm->inputs; i++)
        if (cn__version_of(in[i]) == NULL)
            return false;
    return !conv->biased || cn__version_of(in[0]->node->in[2]) != NULL;
}

static cn_status simplify_batch_norm(const cn__copying *copying, const cn__node *node,
                                     cn_tensor *const *in, cn_tensor **out)
{
    if (!is_conv(in[0]) || !can_be_folded(copying, node, in))
        return copy_node(node, in, out);
    const cn__node *conv = in[0]->node;
    cn__conv_attributes attributes = *conv_of(in[0]);
    attributes.normalised = true;
    attributes.norm = *(const cn__batch_norm_attributes *)node->attributes;
    cn_tensor *inputs[cn__most_inputs];
    int count = conv->inputs;
    memcpy(inputs, conv->in, (size_t)count * sizeof *inputs);
    for (int i = 1; i < node->inputs; i++)
        inputs[count++] = in[i];
    for (int i = 1; i < node->outputs; i++)
        out[i] = in[0]; /* nobody asks for it */
    return give(instead_of(in[0], &attributes, count, inputs), out);
}

static cn_status simplify_binary(const cn__copying *copying, const cn__node *node,
                                 cn_tensor *const *in, cn_tensor **out)
{
    bool adds = *(const cn_binary *)node->attributes == CN_ADD;
    cn_tensor *conv = under_reshape(in[0]);
    if (adds && is_conv(conv) && used_once(copying, node->in[0])) {
        out[0] = over_reshape(with_bias(conv, in[1]), in[0]);
        if (out[0] != NULL)
            return CN_OK;
    }
    return simplify_pair(node, in, out);
}

/* min(max(conv, 0), maximum): a relu without a slope or threshold. */
static cn_tensor *clamp_conv(cn_function1 relu, cn_tensor *conv)
{
    cn__conv_attributes attributes = *conv_of(conv);
    attributes.clamp = (cn_clamp){0, relu.p[1]};
    attributes.clamped = true;
    return instead_of(conv, &attributes, conv->node->inputs, conv->node->in);
}

static cn_status simplify_activation(const cn__copying *copying, const cn__node *node,
                                     cn_tensor *const *in, cn_tensor **out)
{
    cn_function1 f = *(const cn_function1 *)node->attributes;
    bool plain_relu = f.op == CN_RELU && f.p[0] == 0 && f.p[1] >= 0 && f.p[2] == 0;
    cn_tensor *conv = under_reshape(in[0]);
    if (plain_relu && is_conv(conv) && !conv_of(conv)->clamped && used_once(copying, node->in[0]))
        return give(over_reshape(clamp_conv(f, conv), in[0]), out);
    return simplify_unary(node, in, out);
}

/* The gradient of a relu y, told from y, for a signal that comes out of the maxima of y: every
 * value that is not 0 stands where its maximum stood. */
static cn_status simplify_unary_gradient(const cn__copying *copying, const cn__node *node,
                                         cn_tensor *const *in, cn_tensor **out)
{
    const cn__unary_gradient_attributes *a = node->attributes;
    const cn__node *unpool = in[0]->node;
    if (a->function.op != CN_RELU || unpool->op != &cn__max_unpool_op ||
        unpool->in[1]->node->op != &cn__max_pool_op || unpool->in[1]->node->in[0] != in[1] ||
        !used_once(copying, node->in[0]))
        return simplify_pair(node, in, out);
    cn_tensor *pooled = unpool->in[1]->node->out[0];
    cn_tensor *signal = cn__node_new(node->op, a, 2, (cn_tensor *[]){unpool->in[0], pooled});
    return give(cn__node_new(unpool->op, unpool->attributes, 3,
                             (cn_tensor *[]){signal, unpool->in[1], unpool->in[2]}),
                out);
}

/* ---- the rest ---- */

static cn_status simplify_reshape(const cn__node *node, cn_tensor *const *in, cn_tensor **out)
{
    cn_tensor *copied[cn__most_outputs];
    CN__TRY(copy_node(node, in, copied));
    if (cn_shape_equal(&copied[0]->shape, &in[0]->shape))
        return give(in[0], out);
    if (in[0]->node->op != &cn__reshape_op && in[0]->node->op != &cn__reshape_like_op)
        return give(copied[0], out);
    return give(cn__op_reshape_like(in[0]->node->in[0], copied[0]), out);
}

/* Sums x over, or repeats it along, the axes in which its shape differs from the second input's. */
static cn_status simplify_like(const cn__node *node, cn_tensor *const *in, cn_tensor **out)
{
    if (cn_shape_equal(&in[0]->shape, &in[1]->shape))
        return give(in[0], out);
    return copy_node(node, in, out);
}

/* Outside training dropout and noise are their input; their masks are ones or zeros. */
static cn_status simplify_random(const cn__copying *copying, const cn__node *node,
                                 cn_tensor *const *in, cn_tensor **out)
{
    CN__TRY(copy_node(node, in, out));
    if (!copying->training)
        out[0] = in[0];
    return CN_OK;
}

cn_status cn__simplify(const cn__copying *copying, const cn__node *node, cn_tensor *const *in,
                       cn_tensor **out)
{
    const cn__op *op = node->op;
    if (op == &cn__transpose_op)
        return simplify_transpose(node, in, out);
    if (op == &cn__unary_op)
        return simplify_activation(copying, node, in, out);
    if (op == &cn__binary_op)
        return simplify_binary(copying, node, in, out);
    if (op == &cn__unary_gradient_op)
        return simplify_unary_gradient(copying, node, in, out);
    if (op == &cn__batch_norm_op)
        return simplify_batch_norm(copying, node, in, out);
    if (op == &cn__concatenate_op)
        return simplify_concatenate(node, in, out);
    if (op == &cn__reshape_op || op == &cn__reshape_like_op)
        return simplify_reshape(node, in, out);
    if (op == &cn__reduce_like_op || op == &cn__broadcast_like_op)
        return simplify_like(node, in, out);
    if (op == &cn__dropout_op || op == &cn__noise_op)
        return simplify_random(copying, node, in, out);
    return copy_node(node, in, out);
}
