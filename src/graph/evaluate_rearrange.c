/* Rearrangements in double, element by element, and the counting of elements. */
#include "graph/evaluate_node.h"

#include <string.h>

/* ---- counting ---- */

void cn__indices_of(const cn_shape *shape, int64_t number, int64_t *indices)
{
    for (int i = shape->rank - 1; i >= 0; i--) {
        indices[i] = number % shape->dim[i];
        number /= shape->dim[i];
    }
}

int64_t cn__number_of(const cn_shape *shape, const int64_t *indices)
{
    int64_t number = 0;
    for (int i = 0; i < shape->rank; i++)
        number = number * shape->dim[i] + indices[i];
    return number;
}

int64_t cn__repeated_from(const cn_shape *shape, int64_t number, const cn_shape *smaller)
{
    int64_t indices[CN_MAX_RANK], own[CN_MAX_RANK] = {0};
    int missing = shape->rank - smaller->rank;
    cn__indices_of(shape, number, indices);
    for (int i = 0; i < smaller->rank; i++)
        own[i] = smaller->dim[i] == 1 ? 0 : indices[missing + i];
    return cn__number_of(smaller, own);
}

/* ---- the operations ---- */

cn_status cn__evaluate_copy(const cn__evaluated *e)
{
    memcpy(e->out[0], e->in[0], (size_t)e->out_count[0] * sizeof(double));
    return CN_OK;
}

cn_status cn__evaluate_transpose(const cn__evaluated *e)
{
    const cn__transpose_attributes *a = e->node->attributes;
    const cn_shape *from = &e->node->in[0]->shape, *to = &e->node->out[0]->shape;
    int64_t at[CN_MAX_RANK], was[CN_MAX_RANK];
    for (int64_t i = 0; i < e->out_count[0]; i++) {
        cn__indices_of(to, i, at);
        for (int k = 0; k < to->rank; k++)
            was[a->order[k]] = at[k];
        e->out[0][i] = e->in[0][cn__number_of(from, was)];
    }
    return CN_OK;
}

/* The element of the first input that stands `before` cells nearer to the start than element i of
 * the output; `otherwise` where there is none. */
static double shifted(const cn__evaluated *e, int64_t i, const int64_t *before, double otherwise)
{
    const cn_shape *from = &e->node->in[0]->shape;
    int64_t at[CN_MAX_RANK];
    cn__indices_of(&e->node->out[0]->shape, i, at);
    for (int k = 0; k < from->rank; k++) {
        at[k] -= before[k];
        if (at[k] < 0 || at[k] >= from->dim[k])
            return otherwise;
    }
    return e->in[0][cn__number_of(from, at)];
}

cn_status cn__evaluate_pad(const cn__evaluated *e)
{
    const cn__pad_attributes *a = e->node->attributes;
    for (int64_t i = 0; i < e->out_count[0]; i++)
        e->out[0][i] = shifted(e, i, a->before, (double)a->value);
    return CN_OK;
}

cn_status cn__evaluate_concatenate(const cn__evaluated *e)
{
    int axis = *(const int *)e->node->attributes;
    int64_t begin = 0, at[CN_MAX_RANK];
    for (int input = 0; input < e->node->inputs; input++) {
        const cn_shape *from = &e->node->in[input]->shape;
        for (int64_t i = 0; i < e->in_count[input]; i++) {
            cn__indices_of(from, i, at);
            at[axis] += begin;
            e->out[0][cn__number_of(&e->node->out[0]->shape, at)] = e->in[input][i];
        }
        begin += from->dim[axis];
    }
    return CN_OK;
}

/* (x, like, the tensors before) */
cn_status cn__evaluate_part_like(const cn__evaluated *e)
{
    int axis = *(const int *)e->node->attributes;
    int64_t before[CN_MAX_RANK] = {0};
    for (int i = 2; i < e->node->inputs; i++)
        before[axis] -= e->node->in[i]->shape.dim[axis];
    for (int64_t i = 0; i < e->out_count[0]; i++)
        e->out[0][i] = shifted(e, i, before, 0);
    return CN_OK;
}

cn_status cn__evaluate_one_hot(const cn__evaluated *e)
{
    int64_t classes = *(const int64_t *)e->node->attributes;
    for (int64_t i = 0; i < e->in_count[0]; i++) {
        double x = e->in[0][i];
        if (!(x >= 0 && x < (double)classes))
            return cn__fail(CN_ERROR_ARGUMENT,
                            "evaluate: one_hot: element %lld is %g, but the classes are the "
                            "numbers from 0 to %lld",
                            (long long)i, x, (long long)classes - 1);
        e->out[0][i * classes + (int64_t)x] = 1;
    }
    return CN_OK;
}
