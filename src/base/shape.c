/* Shapes: the extents of tensors. */
#include "base/base.h"

#include <inttypes.h>
#include <stdio.h>

static bool rank_is_legal(int rank)
{
    return rank >= 0 && rank <= CN_MAX_RANK;
}

/* A rank beyond CN_MAX_RANK gives a shape that nothing accepts: a value cannot say NULL. */
cn_shape cn_shape_of_(int rank, const int64_t *dims)
{
    cn_shape shape = {.rank = rank};
    if (!rank_is_legal(rank)) {
        (void)cn__fail(CN_ERROR_SHAPE, "cn_shape_of: a shape has at most %d extents, not %d",
                       CN_MAX_RANK, rank);
        shape.rank = -1;
    }
    for (int i = 0; i < shape.rank; i++)
        shape.dim[i] = dims[i];
    return shape;
}

/* An extent of 0 makes the product 0 however large the others are. */
int64_t cn_shape_count(const cn_shape *shape)
{
    if (!shape || !rank_is_legal(shape->rank))
        return -1;
    int64_t count = 1;
    bool empty = false, overflow = false;
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dim[i] < 0)
            return -1;
        empty = empty || shape->dim[i] == 0;
        overflow = __builtin_mul_overflow(count, shape->dim[i], &count) || overflow;
    }
    if (empty)
        return 0;
    return overflow ? -1 : count;
}

bool cn__shape_is_legal(const cn_shape *shape)
{
    bool legal = rank_is_legal(shape->rank);
    for (int i = 0; legal && i < shape->rank; i++)
        legal = shape->dim[i] >= -1;
    return legal;
}

bool cn__shapes_agree(const cn_shape *a, const cn_shape *b)
{
    bool agree = a->rank == b->rank;
    for (int i = 0; agree && i < a->rank; i++)
        agree = a->dim[i] == b->dim[i] || a->dim[i] < 0 || b->dim[i] < 0;
    return agree;
}

bool cn_shape_equal(const cn_shape *a, const cn_shape *b)
{
    if (!a || !b || a->rank != b->rank || !rank_is_legal(a->rank))
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return true;
}

/* Python's spelling: a comma after a lone extent, None for an unknown one. */
char *cn_shape_text(const cn_shape *shape, char *text, size_t size)
{
    /* 20 characters for the longest number and 2 for its separator */
    char all[CN_MAX_RANK * 22 + 3] = "(no shape)";
    if (shape && rank_is_legal(shape->rank)) {
        size_t used = 1;
        all[1] = '\0';
        for (int i = 0; i < shape->rank; i++) {
            char extent[24] = "None";
            if (shape->dim[i] != -1)
                (void)snprintf(extent, sizeof extent, "%" PRId64, shape->dim[i]);
            used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", extent);
        }
        (void)snprintf(all + used, sizeof all - used, "%s)", shape->rank == 1 ? "," : "");
    }
    if (size)
        (void)snprintf(text, size, "%s", all);
    return text;
}
