/* Inputs, variables and constants: nodes without inputs of their own. */
#include <string.h>

#include "graph/ops.h"

const cn__op cn__input_op = {.name = "input", .attribute_bytes = sizeof(cn__leaf), .outputs = 1};
const cn__op cn__variable_op = {
    .name = "variable", .attribute_bytes = sizeof(cn__leaf), .outputs = 1};
const cn__op cn__constant_op = {
    .name = "constant", .attribute_bytes = sizeof(cn__leaf), .outputs = 1};

cn_tensor *cn__input_in(cn_graph *graph, cn_dtype dtype, const cn_shape *shape, const char *name)
{
    cn__leaf leaf = {.shape = *shape, .dtype = dtype};
    return cn__tensor_named(cn__leaf_new(graph, &cn__input_op, &leaf), name);
}

cn_tensor *cn_op_input(cn_dtype dtype, const cn_shape *shape, const char *name)
{
    if (shape == NULL)
        return cn__fail_null_argument("input"), NULL;
    if (dtype != CN_FLOAT32 && dtype != CN_INT32)
        return cn__fail_null(CN_ERROR_ARGUMENT,
                             "input: the element type must be CN_FLOAT32 or CN_INT32, not %d",
                             (int)dtype);
    if (!cn__shape_is_legal(shape))
        return cn__fail_null(CN_ERROR_ARGUMENT,
                             "input: extents are numbers from 0, or -1 for unknown, at most %d",
                             CN_MAX_RANK);
    cn_graph *graph = cn__graph_new();
    if (graph == NULL)
        return NULL;
    cn_tensor *tensor = cn__input_in(graph, dtype, shape, name);
    if (tensor == NULL)
        cn__graph_discard(graph);
    return tensor;
}

static void release_array(void *array)
{
    cn_array_free(array);
}

cn_tensor *cn_op_constant(cn_tensor *beside, const cn_array *array)
{
    if (beside == NULL || array == NULL)
        return cn__fail_null_argument("constant"), NULL;
    cn_graph *graph = cn__graph_of(beside);
    cn_array *copy = cn_array_copy(array);
    if (copy == NULL || cn__graph_adopt(graph, copy, release_array) != CN_OK)
        return NULL;
    cn__leaf leaf = {.shape = *cn_array_shape(copy), .dtype = cn_array_dtype(copy), .array = copy};
    return cn__leaf_new(graph, &cn__constant_op, &leaf);
}

cn_tensor *cn_op_number(cn_tensor *beside, float value)
{
    cn_shape scalar = {0};
    cn_array *array = cn_array_from(&scalar, &value);
    cn_tensor *tensor = cn_op_constant(beside, array);
    cn_array_free(array);
    return tensor;
}
