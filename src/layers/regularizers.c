/* Keras' regularizers: what a weight adds to the loss. Formulas:
 * keras/src/regularizers/regularizers.py at version 3.15. */
#include "layers/keepers.h"

#include <math.h>
#include <string.h>

typedef struct regularizer regularizer;
struct regularizer {
    const char *names;
    const char *keys;
    cn_tensor *(*make)(const cn__expression *e, const regularizer *row, cn_tensor *x);
    const char *l1_keys, *l2_keys; /* Keras 1 had "l" for both */
    double l1, l2;                 /* by default */
};

/* factor * (sum of f(x)) */
static cn_tensor *total(cn_tensor *x, cn_unary f, double factor)
{
    unsigned all = (1u << x->shape.rank) - 1;
    cn_tensor *sum = cn_op_reduce(CN_SUM, cn_op_unary(x, (cn_function1){.op = f}), all, false);
    return cn_op_unary(sum, (cn_function1){CN_AFFINE, {(float)factor, 0, 0}});
}

cn_tensor *cn__penalty_l1_l2(double l1, double l2, cn_tensor *x)
{
    if (l1 == 0 && l2 == 0)
        return cn_op_number(x, 0);
    cn_tensor *absolute = l1 != 0 ? total(x, CN_ABS, l1) : NULL;
    cn_tensor *square = l2 != 0 ? total(x, CN_SQUARE, l2) : NULL;
    if (l1 == 0 || l2 == 0)
        return l1 != 0 ? absolute : square;
    return cn_op_binary(CN_ADD, absolute, square);
}

static cn_tensor *l1_l2(const cn__expression *e, const regularizer *row, cn_tensor *x)
{
    return cn__penalty_l1_l2(cn__expression_number(e, row->l1_keys, row->l1),
                             cn__expression_number(e, row->l2_keys, row->l2), x);
}

/* Ones but for the diagonal. */
static cn_tensor *off_diagonal(cn_tensor *beside, int64_t size)
{
    const cn_shape shape = cn_shape_of(size, size);
    cn_array *array = cn_array_new(CN_FLOAT32, &shape);
    if (!array)
        return NULL;
    for (int64_t i = 0; i < size * size; i++)
        cn_array_floats(array)[i] = i / size != i % size;
    cn_tensor *constant = cn_op_constant(beside, array);
    cn_array_free(array);
    return constant;
}

/* Each row (or column) divided by its length. */
static cn_tensor *unit_rows(cn_tensor *x)
{
    static const double epsilon = 1e-7;
    cn_tensor *square = cn_op_unary(x, (cn_function1){.op = CN_SQUARE});
    cn_tensor *inverse =
        cn_op_unary(cn_op_reduce(CN_SUM, square, 1u << 1, true), (cn_function1){.op = CN_RSQRT});
    cn_function1 clip = {CN_CLIP, {0, (float)(1 / epsilon), 0}};
    return cn_op_binary(CN_MULTIPLY, x, cn_op_unary(inverse, clip));
}

/* factor * the mean absolute product of two different rows (or columns) of length 1. */
static cn_tensor *orthogonal(const cn__expression *e, const regularizer *row, cn_tensor *x)
{
    static const int turned[] = {1, 0};
    (void)row;
    int mode = cn__list_index("rows|columns", cn__expression_text(e, "mode", "rows"));
    char text[200];
    if (x->shape.rank != 2 || cn_shape_count(&x->shape) < 0)
        return cn__fail_null(CN_ERROR_SHAPE,
                             "OrthogonalRegularizer takes matrices of known extents, not %s",
                             cn_shape_text(&x->shape, text, sizeof text));
    int64_t size = x->shape.dim[mode == 1 ? 1 : 0];
    if (size < 2)
        return cn_op_number(x, 0);
    cn_tensor *rows = unit_rows(mode == 1 ? cn_op_transpose(x, turned) : x);
    cn_tensor *products = rows ? cn_op_matmul(rows, cn_op_transpose(rows, turned)) : NULL;
    cn_tensor *different =
        products ? cn_op_binary(CN_MULTIPLY, products, off_diagonal(x, size)) : NULL;
    double pairs = (double)size * ((double)size - 1) / 2;
    double factor = cn__expression_number(e, "factor", 0.01);
    return different ? total(different, CN_ABS, factor * 0.5 / pairs) : NULL;
}

/* The functions of Keras 1 and 2 have other defaults than the classes. */
static const regularizer regularizers[] = {
    {"L1|l1", "l1|l", l1_l2, "l1|l", NULL, 0.01, 0},
    {"L2|l2", "l2|l", l1_l2, NULL, "l2|l", 0, 0.01},
    {"L1L2|L1L2Regularizer|WeightRegularizer", "l1|l2", l1_l2, "l1", "l2", 0, 0},
    {"l1_l2|l1l2", "l1|l2", l1_l2, "l1", "l2", 0.01, 0.01},
    {"OrthogonalRegularizer|orthogonal_regularizer", "factor|mode", orthogonal, NULL, NULL, 0, 0},
};

static cn_status check(const regularizer *row, const cn__expression *e)
{
    for (int i = 0; i < e->count; i++) {
        const char *key = e->arguments[i].key, *text = e->arguments[i].text;
        bool none = strcmp(text, "None") == 0, mode = strcmp(key, "mode") == 0;
        if (cn__list_index("name", key) >= 0)
            continue;
        if (cn__list_index(row->keys, key) < 0)
            return cn__fail(CN_ERROR_ARGUMENT, "the regularizer %s has no argument \"%s\"", e->name,
                            key);
        if (mode ? cn__list_index("rows|columns", text) < 0
                 : !none && !(fabs(e->arguments[i].number) < (double)INFINITY))
            return cn__fail(CN_ERROR_ARGUMENT, "%s: %s must be %s, not %s", e->name, key,
                            mode ? "rows or columns" : "a number", text);
    }
    return CN_OK;
}

/* Parses `text` and finds its row; the arena must be freed. */
static const regularizer *look_up(const char *text, cn__arena **arena, cn__expression *e)
{
    *arena = cn__arena_new();
    if (!*arena || cn__expression_parse(*arena, text, e) != CN_OK)
        return NULL;
    for (size_t i = 0; i < CN__COUNT(regularizers); i++)
        if (cn__list_index(regularizers[i].names, e->name) >= 0)
            return check(&regularizers[i], e) == CN_OK ? &regularizers[i] : NULL;
    return cn__fail_null(CN_ERROR_ARGUMENT,
                         "there is no regularizer \"%s\"; the names are Keras', such as \"l2\", "
                         "\"L1L2(l1=0.01, l2=0.001)\" or \"OrthogonalRegularizer\"",
                         e->name);
}

bool cn__regularizer_known(const char *text)
{
    if (!text)
        return true;
    cn__arena *arena;
    cn__expression e;
    bool known = look_up(text, &arena, &e) != NULL;
    cn__arena_free(arena);
    return known;
}

cn_tensor *cn__penalty(const char *text, cn_tensor *x)
{
    if (!text || !x)
        return x ? cn_op_number(x, 0) : NULL;
    cn__arena *arena;
    cn__expression e;
    const regularizer *row = look_up(text, &arena, &e);
    cn_tensor *result = row ? row->make(&e, row, x) : NULL;
    cn__arena_free(arena);
    return result;
}
