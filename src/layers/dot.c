/* Dot: sums products of two tensors along an axis of each.
 * In: (batch, x..., n) and (batch, y..., n), the summed axes anywhere.
 * Out: (batch, x..., y...); (batch, 1) for vectors.
 * Example: cn_apply_list(cn_dot({1}, .normalize = true), cn_tensors(x, y)) */
#include "layers/normalize.h"

typedef cn_dot_layer T;

static const cn__option options[] = {
    CN__OPTION(T, axes, CN__AXES, .aliases = "dot_axes", .required = true),
    CN__OPTION(T, normalize, CN__BOOL),
};

/* x with the summed axis last, and of length 1 if asked. */
static cn_tensor *prepare(const T *o, cn_tensor *x, int64_t given)
{
    int axis;
    if (cn__layer_axis(x, given, &axis) != CN_OK)
        return NULL;
    if (axis == 0)
        return cn__fail_null(CN_ERROR_ARGUMENT, "axes cannot be the batch's; 1 is the next");
    x = cn__axis_to_last(x, axis);
    return x && o->normalize ? cn__to_unit_length(x, 1u << (x->shape.rank - 1)) : x;
}

/* x with `count` axes of extent 1 before its axis `at`. */
static cn_tensor *spread(cn_tensor *x, int at, int count)
{
    cn_shape shape = {.rank = x->shape.rank + count};
    for (int i = 1; i < shape.rank; i++)
        shape.dim[i] = i < at ? x->shape.dim[i] : i < at + count ? 1 : x->shape.dim[i - count];
    return cn_op_reshape(x, &shape);
}

static cn_tensor *apply(cn_layer *layer, cn_tensor *const *in, int inputs)
{
    const T *o = layer->options;
    (void)inputs;
    cn_tensor *x = prepare(o, in[0], o->axes[0]);
    cn_tensor *y = x ? prepare(o, in[1], o->axes[1] ? o->axes[1] : o->axes[0]) : NULL;
    if (!y)
        return NULL;
    int of_x = x->shape.rank - 2, of_y = y->shape.rank - 2, last = 1 + of_x + of_y;
    if (last >= CN_MAX_RANK)
        return cn__fail_null(CN_ERROR_SHAPE, "the result would have more than %d axes",
                             CN_MAX_RANK);
    int64_t n_of_x = x->shape.dim[of_x + 1], n_of_y = y->shape.dim[of_y + 1];
    if (n_of_x != n_of_y)
        return cn__fail_null(CN_ERROR_SHAPE,
                             "the axes that are summed over have %lld and %lld "
                             "elements; they must have as many",
                             (long long)n_of_x, (long long)n_of_y);
    cn_tensor *products = cn_op_binary(CN_MULTIPLY, spread(x, of_x + 1, of_y), spread(y, 1, of_x));
    return cn_op_reduce(CN_SUM, products, 1u << last, last == 1);
}

const cn__layer_type cn__dot_type = {
    .name = "Dot",
    .options = options,
    .option_count = CN__COUNT(options),
    .option_bytes = sizeof(T),
    .least_inputs = 2,
    .most_inputs = 2,
    .apply = apply,
};
