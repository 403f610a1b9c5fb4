/* Keras' activations, as functions ("relu", "leaky_relu(negative_slope=0.1)") and as the layers
 * that Keras also takes for one ("LeakyReLU(alpha=0.3)"). */
#include "layers/layer.h"

#include <math.h>
#include <string.h>

/* A parameter of a function: an argument of that name, else the default. NULL: not an argument. */
typedef struct parameter {
    const char *keys;
    float value;
} parameter;

typedef struct activation {
    const char *names;
    const char *flag; /* the row holds only if this argument is True */
    cn_unary op;
    parameter p[3];
    cn_tensor *(*over_axis)(cn_tensor *x, int axis); /* instead of op */
} activation;

/* ---- those that are not elementwise ---- */

static cn_tensor *softmax(cn_tensor *x, int axis)
{
    return cn_op_softmax(x, axis, false);
}

static cn_tensor *log_softmax(cn_tensor *x, int axis)
{
    return cn_op_softmax(x, axis, true);
}

/* The part of x from `begin`, `length` long, along an axis of known extent. */
static cn_tensor *slice(cn_tensor *x, int axis, int64_t begin, int64_t length)
{
    int64_t before[CN_MAX_RANK] = {0}, after[CN_MAX_RANK] = {0};
    before[axis] = -begin;
    after[axis] = begin + length - x->shape.dim[axis];
    return cn_op_pad(x, before, after, 0);
}

/* One half of x times the sigmoid of the other. */
static cn_tensor *glu(cn_tensor *x, int axis)
{
    int64_t extent = x->shape.dim[axis];
    if (extent < 2 || extent % 2 != 0)
        return cn__fail_null(CN_ERROR_SHAPE, "glu: axis %d must have an even extent, not %lld",
                             axis, (long long)extent);
    cn_tensor *gate =
        cn_op_unary(slice(x, axis, extent / 2, extent / 2), (cn_function1){.op = CN_SIGMOID});
    return cn_op_binary(CN_MULTIPLY, slice(x, axis, 0, extent / 2), gate);
}

/* x with a new axis of extent 1 before `axis`. */
static cn_tensor *expand(cn_tensor *x, int axis)
{
    cn_shape shape = {.rank = x->shape.rank + 1};
    for (int i = 0; i < shape.rank; i++)
        shape.dim[i] = i < axis ? 0 : i == axis ? 1 : x->shape.dim[i - 1];
    return cn_op_reshape(x, &shape);
}

/* The sums of the x[j] >= x[i] (or > x[i], by `op`) for every i, and if asked their numbers. */
static cn_tensor *sums_above(cn_tensor *x, cn_binary op, cn_tensor **numbers)
{
    int last = x->shape.rank - 1;
    cn_tensor *others = expand(x, last);
    cn_tensor *above = cn_op_binary(op, others, expand(x, last + 1));
    if (numbers)
        *numbers = cn_op_reduce(CN_SUM, above, 1u << (last + 1), false);
    return cn_op_reduce(CN_SUM, cn_op_binary(CN_MULTIPLY, above, others), 1u << (last + 1), false);
}

/* After Martins and Astudillo, arXiv 1602.02068: y = relu(x - t), where x[i] is in the support if
 * 1 + n x[i] > s, with n and s the number and the sum of the x[j] >= x[i]. All pairs are compared,
 * so that no sort is needed. For t Keras (activations/activations.py, 3.15) adds up the running
 * sums of the sorted values in the support, not the values; so do we, and the result adds up to 1
 * only if the support is a single value. Equal values have, on average, the running sum halfway
 * between the sums with and without them. */
static cn_tensor *sparsemax_of_last(cn_tensor *x)
{
    unsigned over = 1u << (x->shape.rank - 1);
    cn_tensor *n = NULL, *one = cn_op_number(x, 1);
    cn_tensor *s = sums_above(x, CN_GREATER_EQUAL, &n);
    cn_tensor *left = cn_op_binary(CN_ADD, cn_op_binary(CN_MULTIPLY, n, x), one);
    cn_tensor *support = cn_op_binary(CN_GREATER, left, s);
    cn_tensor *size = cn_op_reduce(CN_SUM, support, over, true);
    cn_tensor *both = cn_op_binary(CN_ADD, s, sums_above(x, CN_GREATER, NULL));
    cn_tensor *running =
        cn_op_unary(cn_op_binary(CN_ADD, both, x), (cn_function1){CN_AFFINE, {0.5f, 0, 0}});
    cn_tensor *sum = cn_op_reduce(CN_SUM, cn_op_binary(CN_MULTIPLY, support, running), over, true);
    cn_tensor *t = cn_op_binary(CN_DIVIDE, cn_op_binary(CN_SUBTRACT, sum, one), size);
    return cn_op_unary(cn_op_binary(CN_SUBTRACT, x, t),
                       (cn_function1){.op = CN_RELU, .p = {0, INFINITY, 0}});
}

static cn_tensor *sparsemax(cn_tensor *x, int axis)
{
    if (x->shape.rank == CN_MAX_RANK || x->shape.dim[axis] < 0)
        return cn__fail_null(
            CN_ERROR_SHAPE,
            "sparsemax: the extent of axis %d must be known, and there must be less "
            "than %d axes",
            axis, CN_MAX_RANK);
    x = cn__axis_to_last(x, axis);
    return x ? cn__axis_from_last(sparsemax_of_last(x), axis) : NULL;
}

/* ---- the table ---- */

#define SLOPE "negative_slope|alpha"
#define NO_MAXIMUM                                                                                 \
    {                                                                                              \
        NULL, INFINITY                                                                             \
    }

static const activation activations[] = {
    {"linear|identity", .op = CN_IDENTITY},
    {"relu|ReLU", .op = CN_RELU, .p = {{SLOPE, 0}, {"max_value", INFINITY}, {"threshold", 0}}},
    {"relu6", .op = CN_RELU, .p = {{NULL, 0}, {NULL, 6}}},
    {"leaky_relu", .op = CN_RELU, .p = {{SLOPE, 0.2f}, NO_MAXIMUM}},
    {"LeakyReLU", .op = CN_RELU, .p = {{SLOPE, 0.3f}, NO_MAXIMUM}},
    {"elu|ELU", .op = CN_ELU, .p = {{"alpha", 1}}},
    {"selu", .op = CN_SELU},
    {"celu", .op = CN_CELU, .p = {{"alpha", 1}}},
    {"gelu", "approximate", .op = CN_GELU_TANH},
    {"gelu", .op = CN_GELU},
    {"sigmoid", .op = CN_SIGMOID},
    {"log_sigmoid", .op = CN_LOG_SIGMOID},
    {"hard_sigmoid", "legacy", .op = CN_HARD_SIGMOID, .p = {{NULL, 0.2f}}},
    {"hard_sigmoid", .op = CN_HARD_SIGMOID, .p = {{NULL, 1.0f / 6}}},
    {"silu|swish", .op = CN_SILU},
    {"hard_silu|hard_swish", .op = CN_HARD_SILU},
    {"mish", .op = CN_MISH},
    {"softplus", .op = CN_SOFTPLUS},
    {"softsign", .op = CN_SOFTSIGN},
    {"tanh", .op = CN_TANH},
    {"hard_tanh", .op = CN_HARD_TANH},
    {"tanh_shrink", .op = CN_TANH_SHRINK},
    {"soft_shrink", .op = CN_SOFT_SHRINK, .p = {{"threshold", 0.5f}}},
    {"hard_shrink", .op = CN_HARD_SHRINK, .p = {{"threshold", 0.5f}}},
    {"squareplus", .op = CN_SQUAREPLUS, .p = {{"b", 4}}},
    {"sparse_plus", .op = CN_SPARSE_PLUS},
    {"sparse_sigmoid", .op = CN_SPARSE_SIGMOID},
    {"threshold", .op = CN_THRESHOLD, .p = {{"threshold", 0}, {"default_value|value", 0}}},
    {"exponential|exp", .op = CN_EXP},
    {"softmax|Softmax", .over_axis = softmax},
    {"log_softmax", .over_axis = log_softmax},
    {"sparsemax", .over_axis = sparsemax},
    {"glu", .over_axis = glu},
};

/* ---- finding and applying ---- */

/* Whether the row, whose names have the expression's among them, takes the argument. */
static bool takes(const activation *row, const char *key)
{
    bool found =
        (row->flag && strcmp(row->flag, key) == 0) || (row->over_axis && strcmp(key, "axis") == 0);
    for (size_t i = 0; i < CN__COUNT(row->p); i++)
        found = found || cn__list_index(row->p[i].keys, key) >= 0;
    return found;
}

/* Layers as activations bring along what they have as layers. */
static bool any_row_takes(const cn__expression *e, const char *key)
{
    bool found = cn__list_index("name|trainable|dtype", key) >= 0;
    for (size_t i = 0; i < CN__COUNT(activations); i++)
        if (cn__list_index(activations[i].names, e->name) >= 0)
            found = found || takes(&activations[i], key);
    return found;
}

static const activation *find(const cn__expression *e)
{
    const activation *row = NULL;
    for (size_t i = 0; i < CN__COUNT(activations) && !row; i++) {
        const activation *each = &activations[i];
        if (cn__list_index(each->names, e->name) >= 0 &&
            (!each->flag || cn__expression_number(e, each->flag, 0) != 0))
            row = each;
    }
    if (!row)
        return cn__fail_null(
            CN_ERROR_ARGUMENT,
            "there is no activation \"%s\"; the names are Keras', such as \"relu\", "
            "\"softmax\" or \"leaky_relu(negative_slope=0.1)\"",
            e->name);
    for (int i = 0; i < e->count; i++)
        if (!any_row_takes(e, e->arguments[i].key))
            return cn__fail_null(CN_ERROR_ARGUMENT, "the activation %s has no argument \"%s\"",
                                 e->name, e->arguments[i].key);
    return row;
}

static cn_tensor *activate_over_axis(const activation *row, const cn__expression *e, cn_tensor *x)
{
    double given = cn__expression_number(e, "axis", -1);
    int axis;
    if (given != floor(given) || fabs(given) > CN_MAX_RANK)
        return cn__fail_null(CN_ERROR_ARGUMENT,
                             "%s: axis must be a whole number from -%d to %d, not %g", e->name,
                             CN_MAX_RANK, CN_MAX_RANK - 1, given);
    return cn__layer_axis(x, (int64_t)given, &axis) == CN_OK ? row->over_axis(x, axis) : NULL;
}

static cn_tensor *activate(const activation *row, const cn__expression *e, cn_tensor *x)
{
    if (row->over_axis)
        return activate_over_axis(row, e, x);
    if (row->op == CN_IDENTITY)
        return x;
    cn_function1 function = {.op = row->op};
    for (size_t i = 0; i < CN__COUNT(row->p); i++)
        function.p[i] = (float)cn__expression_number(e, row->p[i].keys, (double)row->p[i].value);
    return cn_op_unary(x, function);
}

/* Parses `text` and finds its row; the arena must be freed. */
static const activation *look_up(const char *text, cn__arena **arena, cn__expression *e)
{
    *arena = cn__arena_new();
    if (!*arena || cn__expression_parse(*arena, text ? text : "linear", e) != CN_OK)
        return NULL;
    return find(e);
}

bool cn__activation_known(const char *text)
{
    cn__arena *arena;
    cn__expression e;
    bool known = look_up(text, &arena, &e) != NULL;
    cn__arena_free(arena);
    return known;
}

bool cn__activation_is_elementwise(const char *text)
{
    cn__arena *arena;
    cn__expression e;
    const activation *row = look_up(text, &arena, &e);
    cn__arena_free(arena);
    return row && !row->over_axis;
}

cn_tensor *cn__activate(const char *text, cn_tensor *x)
{
    cn__arena *arena;
    cn__expression e;
    const activation *row = x ? look_up(text, &arena, &e) : NULL;
    if (!x)
        return NULL;
    cn_tensor *y = row ? activate(row, &e, x) : NULL;
    cn__arena_free(arena);
    return y;
}
