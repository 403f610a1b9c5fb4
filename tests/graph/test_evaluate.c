/* The evaluation in double against the float programs, for every operation of the graph, the
 * gradients' own among them.
 *
 * The bound: values lie between -1 and 1, or the positive ones from 0.5 to 1.5. A sum of n products
 * has a rounding error in float of at most n * 2^-24 times the sum of their sizes; with the up to
 * 100 summands of these examples that is below 6e-6 times the sum of sizes, which the results here
 * reach a tenth of. So 1e-4 of the larger of the result and 1 holds always; functions of one number
 * have 4e-7 of their own. */
#include "graph/small.h"

#include "graph/evaluate.h"
#include "graph/map.h"
#include "graph/ops.h"
#include "graph/order.h"

static const double bound = 1e-4;

/* A function under test: from up to three inputs to one output, which is then differentiated by the
 * first `inputs`. */
typedef struct example {
    const char *name;
    int inputs;
    cn_shape shapes[3];
    cn_tensor *(*build)(cn_tensor *const *in);
    bool positive; /* inputs from 0.5 to 1.5 */
    bool flat;     /* has no gradient */
} example;

/* ---- the functions ---- */

static const float infinity = __builtin_inff();

static cn_tensor *conv(cn_tensor *const *in, const cn_conv_options *options)
{
    return cn_op_conv(in[0], in[1], options);
}

static cn_tensor *conv1d(cn_tensor *const *in)
{
    return conv(in, &(cn_conv_options){.rank = 1, .dilation = {2}, .padding = CN_CAUSAL});
}

static cn_tensor *conv2d(cn_tensor *const *in)
{
    return conv(in, &(cn_conv_options){.rank = 2, .stride = {2, 1}, .padding = CN_SAME});
}

static cn_tensor *conv2d_theano(cn_tensor *const *in)
{
    return conv(in, &(cn_conv_options){
                        .rank = 2, .groups = 2, .dilation = {1, 2}, .padding = CN_SAME_THEANO});
}

static cn_tensor *conv3d(cn_tensor *const *in)
{
    return conv(in, &(cn_conv_options){.rank = 3, .stride = {1, 2, 1}});
}

static cn_tensor *transpose1d(cn_tensor *const *in)
{
    return conv(in, &(cn_conv_options){.transposed = true,
                                       .rank = 1,
                                       .stride = {3},
                                       .has_output_padding = true,
                                       .output_padding = {1}});
}

static cn_tensor *transpose2d(cn_tensor *const *in)
{
    return conv(
        in, &(cn_conv_options){
                .transposed = true, .rank = 2, .stride = {2, 3}, .groups = 2, .padding = CN_SAME});
}

static cn_tensor *transpose2d_sized(cn_tensor *const *in)
{
    return conv(in, &(cn_conv_options){.transposed = true,
                                       .rank = 2,
                                       .stride = {2, 2},
                                       .padding = CN_SAME,
                                       .output_size = {5, 8}});
}

static cn_tensor *transpose3d(cn_tensor *const *in)
{
    return conv(in, &(cn_conv_options){
                        .transposed = true, .rank = 3, .stride = {1, 2, 1}, .dilation = {2, 1, 1}});
}

/* What programs make of a bias and a relu after a convolution. */
static cn_tensor *fused(cn_tensor *const *in)
{
    cn__conv_attributes attributes = {
        .options = {.rank = 2, .padding = CN_SAME}, .clamp = {0, 0.5f}, .clamped = true};
    return cn__node_new(&cn__conv_op, &attributes, 3, in);
}

/* The sum of squares of the gradients: their gradients run through the gradients' gradients. */
static cn_tensor *conv_twice(cn_tensor *const *in)
{
    cn_tensor *gradients[2];
    cn_tensor *y = cn_op_unary(conv2d(in), (cn_function1){.op = CN_SQUARE});
    if (cn_gradients(cn_tensors(y), none, cn_tensors(in[0], in[1]), CN_GRADIENT, gradients) !=
        CN_OK)
        return NULL;
    return cn_op_binary(CN_ADD, cn_op_reduce(CN_MEAN, gradients[0], 15, false),
                        cn_op_reduce(CN_MEAN, gradients[1], 15, false));
}

static cn_tensor *matmul(cn_tensor *const *in)
{
    return cn_op_matmul(in[0], in[1]);
}

#define BINARY(NAME, name)                                                                         \
    static cn_tensor *binary_##name(cn_tensor *const *in)                                          \
    {                                                                                              \
        return cn_op_binary(CN_##NAME, in[0], in[1]);                                              \
    }
CN_BINARY_LIST(BINARY)

static cn_tensor *reduce_sum(cn_tensor *const *in)
{
    return cn_op_reduce(CN_SUM, in[0], 2 | 4, false);
}

static cn_tensor *reduce_mean(cn_tensor *const *in)
{
    return cn_op_reduce(CN_MEAN, in[0], 2 | 4, true);
}

static cn_tensor *reduce_max(cn_tensor *const *in)
{
    return cn_op_reduce(CN_MAX, in[0], 2, false);
}

static cn_tensor *rearrange(cn_tensor *const *in)
{
    cn_shape flat = cn_shape_of(2, -1);
    cn_tensor *turned = cn_op_transpose(in[0], (const int[]){0, 3, 1, 2});
    cn_tensor *padded =
        cn_op_pad(turned, (const int64_t[]){0, 1, -1, 2}, (const int64_t[]){0, 0, 2, -1}, 0.5f);
    return cn_op_reshape(padded, &flat);
}

static cn_tensor *concatenate(cn_tensor *const *in)
{
    cn_tensor *joined = cn_op_concatenate(cn_tensors(in[0], in[1], in[0]), -2);
    return cn_op_unary(joined, (cn_function1){.op = CN_SQUARE});
}

static const cn_pool_options pooling = {
    .rank = 2, .window = {3, 2}, .stride = {2, 2}, .padding = CN_SAME};

static cn_tensor *max_pool(cn_tensor *const *in)
{
    return cn_op_max_pool(in[0], &pooling, NULL);
}

static cn_tensor *switches(cn_tensor *const *in)
{
    cn_tensor *places;
    (void)cn_op_max_pool(in[0], &pooling, &places);
    return places;
}

static cn_tensor *max_pool1d(cn_tensor *const *in)
{
    return cn_op_max_pool(in[0], &(cn_pool_options){.rank = 1, .window = {3}, .stride = {1}}, NULL);
}

static cn_tensor *average_pool(cn_tensor *const *in)
{
    return cn_op_average_pool(in[0], &pooling);
}

static cn_tensor *average_pool3d(cn_tensor *const *in)
{
    return cn_op_average_pool(
        in[0], &(cn_pool_options){.rank = 3, .window = {2, 3, 2}, .padding = CN_SAME_THEANO});
}

/* Unpooling, and the gradient's gradient. */
static cn_tensor *average_pool_twice(cn_tensor *const *in)
{
    cn_tensor *gradient, *y = cn_op_unary(average_pool(in), (cn_function1){.op = CN_SQUARE});
    if (cn_gradients(cn_tensors(y), none, cn_tensors(in[0]), CN_GRADIENT, &gradient) != CN_OK)
        return NULL;
    return gradient;
}

static cn_interpolation interpolation_now;

static cn_tensor *resize(cn_tensor *const *in)
{
    return cn_op_resize(
        in[0], &(cn_resize_options){
                   .rank = 2, .size = {0, 12}, .factor = {3}, .interpolation = interpolation_now});
}

static cn_tensor *resize_smaller(cn_tensor *const *in)
{
    return cn_op_resize(
        in[0], &(cn_resize_options){.rank = 2, .size = {3, 2}, .interpolation = CN_BICUBIC});
}

static cn_tensor *softmax(cn_tensor *const *in)
{
    return cn_op_softmax(in[0], -1, false);
}

static cn_tensor *log_softmax(cn_tensor *const *in)
{
    return cn_op_softmax(in[0], 1, true);
}

static cn_tensor *constant(cn_tensor *beside, cn_shape shape)
{
    cn_array *array = numbers(shape);
    for (int64_t i = 0; i < cn_array_count(array); i++)
        cn_array_floats(array)[i] += 1.25f; /* also for variances */
    cn_tensor *tensor = cn_op_constant(beside, array);
    cn_array_free(array);
    return tensor;
}

static const cn_batch_norm_options norm = {.momentum = 0.9f, .epsilon = 1e-3f};

/* Inputs: x, gamma, beta; the moving moments are constants. */
static cn_tensor *batch_norm(cn_tensor *const *in)
{
    return cn_op_batch_norm(in[0], in[1], in[2], constant(in[0], in[1]->shape),
                            constant(in[0], in[1]->shape), &norm, NULL, NULL);
}

static cn_tensor *moving_averages(cn_tensor *const *in)
{
    cn_tensor *mean, *variance;
    cn_shape shape = cn_shape_of(in[0]->shape.dim[in[0]->shape.rank - 1]);
    if (cn_op_batch_norm(in[0], NULL, NULL, constant(in[0], shape), constant(in[0], shape), &norm,
                         &mean, &variance) == NULL)
        return NULL;
    return cn_op_concatenate(cn_tensors(mean, variance), 0);
}

static cn_tensor *batch_norm_frozen(cn_tensor *const *in)
{
    static const bool no = false;
    cn_batch_norm_options frozen = {.epsilon = 1e-3f, .trainable = &no};
    return cn_op_batch_norm(in[0], NULL, in[1], constant(in[0], in[1]->shape),
                            constant(in[0], in[1]->shape), &frozen, NULL, NULL);
}

static cn_tensor *dropout(cn_tensor *const *in)
{
    return cn_op_dropout(in[0], 0.4f, 1u << 1, 7);
}

static cn_tensor *noise(cn_tensor *const *in)
{
    return cn_op_noise(in[0], 0.5f, false, 7);
}

static cn_tensor *noise_factor(cn_tensor *const *in)
{
    return cn_op_noise(in[0], 0.5f, true, 7);
}

/* Whole numbers from 0 to 2 out of numbers from 0.5 to 1.5. */
static cn_tensor *one_hot(cn_tensor *const *in)
{
    cn_tensor *one = cn_op_number(in[0], 1);
    return cn__op_one_hot(cn_op_binary(CN_GREATER, in[0], one), 3);
}

static cn_gradient_rule rule_now;

static cn_tensor *relu_rule(cn_tensor *const *in)
{
    cn_tensor *dx, *y = cn_op_unary(in[0], (cn_function1){CN_RELU, {0, infinity, 0}});
    if (cn_gradients(cn_tensors(y), cn_tensors(in[1]), cn_tensors(in[0]), rule_now, &dx) != CN_OK)
        return NULL;
    return dx;
}

static cn_function1 unary_now;

static cn_tensor *unary(cn_tensor *const *in)
{
    return cn_op_unary(in[0], unary_now);
}

/* ---- comparing ---- */

/* The operations that some example has used. */
static cn__map used;

static void mark_used(cn_tensor_list outputs)
{
    cn__order order = {0};
    assert_int_equal(cn__order_find(&order, outputs, none, true), CN_OK);
    for (size_t n = 0; n < order.count; n++)
        assert_int_equal(cn__map_set(&used, order.nodes[n]->op, &used), CN_OK);
    cn__order_free(&order);
}

static cn_array *random_array(const cn_shape *shape, bool positive)
{
    cn_array *array = numbers(*shape);
    for (int64_t i = 0; positive && i < cn_array_count(array); i++)
        cn_array_floats(array)[i] = 1 + cn_array_floats(array)[i] / 2;
    return array;
}

static void compare(const char *name, const cn_array *y, const cn__doubles *exact)
{
    char text[100];
    if (!cn_shape_equal(cn_array_shape(y), &exact->shape))
        fail_msg("%s: the shape is %s", name, cn_shape_text(&exact->shape, text, sizeof text));
    for (int64_t i = 0; i < cn_array_count(y); i++) {
        double value = cn_array_const_floats(y) != NULL ? (double)cn_array_const_floats(y)[i]
                                                        : cn_array_const_ints(y)[i];
        if (!(fabs(value - exact->values[i]) <= bound * fmax(fabs(exact->values[i]), 1)))
            fail_msg("%s: element %lld is %.9g, not %.9g", name, (long long)i, exact->values[i],
                     value);
    }
}

/* The output and its gradients, by both. */
static void check_outputs(const example *e, cn_tensor_list in, cn_tensor_list outputs,
                          cn_array *const *x, bool training)
{
    cn__doubles wide[4], exact[4];
    cn_array *y[4] = {NULL};
    for (int i = 0; i < in.count; i++)
        assert_int_equal(cn__doubles_of(x[i], &wide[i]), CN_OK);
    cn_function *f = cn_function_new(in, outputs);
    assert_non_null(f);
    for (uint64_t run = 0; run < 2; run++) {
        cn__evaluation evaluation = {.training = training, .run = run};
        if (cn_function_run(f, (const cn_array *const *)x, y, training, NULL) != CN_OK ||
            cn__evaluate(in, wide, outputs, exact, &evaluation) != CN_OK)
            fail_msg("%s: %s", e->name, cn_error_message());
        for (int i = 0; i < outputs.count; i++) {
            compare(e->name, y[i], &exact[i]);
            cn_array_free(y[i]);
            cn__doubles_free(&exact[i]);
        }
    }
    for (int i = 0; i < in.count; i++)
        cn__doubles_free(&wide[i]);
    cn_function_free(f);
}

/* With `unknown` the batch is known only when the arrays come. */
static void check(const example *e, bool unknown)
{
    cn_tensor *in[4], *outputs[4];
    cn_array *x[4];
    for (int i = 0; i < e->inputs; i++) {
        cn_shape shape = e->shapes[i];
        if (unknown && i == 0)
            shape.dim[0] = -1;
        in[i] = input(shape);
        x[i] = random_array(&e->shapes[i], e->positive);
    }
    outputs[0] = e->build(in);
    if (outputs[0] == NULL)
        fail_msg("%s: %s", e->name, cn_error_message());
    int count = 1, inputs = e->inputs;
    if (!e->flat) {
        cn_tensor *seed = constant(in[0], (cn_shape){0});
        if (cn_gradients(cn_tensors(outputs[0]), cn_tensors(seed), (cn_tensor_list){inputs, in},
                         CN_GRADIENT, outputs + 1) != CN_OK)
            fail_msg("%s: %s", e->name, cn_error_message());
        count += inputs;
    }
    cn__graph_retain(in[0]->graph);
    mark_used((cn_tensor_list){count, outputs});
    for (int training = 0; training < 2; training++)
        check_outputs(e, (cn_tensor_list){inputs, in}, (cn_tensor_list){count, outputs}, x,
                      training != 0);
    for (int i = 0; i < e->inputs; i++)
        cn_array_free(x[i]);
    cn__graph_release(in[0]->graph);
}

/* ---- the tests ---- */

#define SHAPE(...)                                                                                 \
    {                                                                                              \
        sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t),                                        \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

static const example examples[] = {
    {"conv1d", 2, {SHAPE(2, 6, 3), SHAPE(3, 3, 2)}, conv1d, false, false},
    {"conv2d", 2, {SHAPE(2, 5, 6, 3), SHAPE(3, 2, 3, 4)}, conv2d, false, false},
    {"conv2d, as Theano", 2, {SHAPE(2, 5, 6, 4), SHAPE(3, 3, 2, 6)}, conv2d_theano, false, false},
    {"conv3d", 2, {SHAPE(1, 3, 5, 4, 2), SHAPE(2, 2, 3, 2, 3)}, conv3d, false, false},
    {"conv1d_transpose", 2, {SHAPE(2, 4, 3), SHAPE(4, 2, 3)}, transpose1d, false, false},
    {"conv2d_transpose", 2, {SHAPE(2, 3, 4, 6), SHAPE(3, 4, 2, 6)}, transpose2d, false, false},
    {"conv2d_transpose, sized",
     2,
     {SHAPE(2, 3, 4, 2), SHAPE(3, 3, 3, 2)},
     transpose2d_sized,
     false,
     false},
    {"conv3d_transpose",
     2,
     {SHAPE(1, 3, 2, 2, 2), SHAPE(2, 3, 1, 3, 2)},
     transpose3d,
     false,
     false},
    {"fused", 3, {SHAPE(2, 4, 5, 3), SHAPE(2, 2, 3, 4), SHAPE(4)}, fused, false, true},
    {"conv2d twice", 2, {SHAPE(2, 4, 3, 2), SHAPE(3, 2, 2, 3)}, conv_twice, false, false},
    {"matmul", 2, {SHAPE(3, 4), SHAPE(4, 5)}, matmul, false, false},
    {"add", 2, {SHAPE(2, 3, 4), SHAPE(3, 1)}, binary_add, false, false},
    {"subtract", 2, {SHAPE(3, 1), SHAPE(2, 3, 4)}, binary_subtract, false, false},
    {"multiply", 2, {SHAPE(2, 3, 4), SHAPE(4)}, binary_multiply, false, false},
    {"divide", 2, {SHAPE(2, 3, 4), SHAPE(3, 4)}, binary_divide, true, false},
    {"maximum", 2, {SHAPE(2, 3, 4), SHAPE(2, 3, 4)}, binary_maximum, false, false},
    {"minimum", 2, {SHAPE(2, 3, 4), SHAPE(2, 3, 4)}, binary_minimum, false, false},
    {"power", 2, {SHAPE(2, 3, 4), SHAPE(2, 3, 4)}, binary_power, true, false},
    {"prelu", 2, {SHAPE(2, 3, 4), SHAPE(3, 1)}, binary_prelu, false, false},
    {"greater", 2, {SHAPE(2, 3, 4), SHAPE(1)}, binary_greater, false, true},
    {"greater_equal", 2, {SHAPE(2, 3, 4), SHAPE(1)}, binary_greater_equal, false, true},
    {"sum", 1, {SHAPE(2, 3, 4, 5)}, reduce_sum, false, false},
    {"mean", 1, {SHAPE(2, 3, 4, 5)}, reduce_mean, false, false},
    {"max", 1, {SHAPE(2, 3, 4)}, reduce_max, false, false},
    {"transpose, pad, reshape", 1, {SHAPE(2, 4, 5, 3)}, rearrange, false, false},
    {"concatenate", 2, {SHAPE(2, 3, 4), SHAPE(2, 2, 4)}, concatenate, false, false},
    {"max_pool", 1, {SHAPE(2, 5, 6, 3)}, max_pool, false, false},
    {"max_pool, switches", 1, {SHAPE(2, 5, 6, 3)}, switches, false, true},
    {"max_pool1d", 1, {SHAPE(2, 7, 3)}, max_pool1d, false, false},
    {"average_pool", 1, {SHAPE(2, 5, 6, 3)}, average_pool, false, false},
    {"average_pool3d", 1, {SHAPE(1, 4, 5, 3, 2)}, average_pool3d, false, false},
    {"average_pool twice", 1, {SHAPE(2, 5, 6, 3)}, average_pool_twice, false, false},
    {"resize smaller", 1, {SHAPE(2, 5, 6, 3)}, resize_smaller, false, false},
    {"softmax", 1, {SHAPE(3, 4, 5)}, softmax, false, false},
    {"log softmax", 1, {SHAPE(3, 4, 5)}, log_softmax, false, false},
    {"batch_norm", 3, {SHAPE(4, 3, 5), SHAPE(5), SHAPE(5)}, batch_norm, false, false},
    {"batch_norm, frozen", 2, {SHAPE(4, 3, 5), SHAPE(5)}, batch_norm_frozen, false, false},
    {"moving averages", 1, {SHAPE(4, 3, 5)}, moving_averages, false, true},
    {"dropout", 1, {SHAPE(2, 3, 4)}, dropout, false, false},
    {"noise", 1, {SHAPE(2, 3, 4)}, noise, false, false},
    {"noise as a factor", 1, {SHAPE(2, 3, 4)}, noise_factor, false, false},
    {"one_hot", 1, {SHAPE(4, 2)}, one_hot, true, true},
};

static const cn__op *const all_ops[] = {
    &cn__conv_op,
    &cn__conv_input_gradient_op,
    &cn__conv_kernel_gradient_op,
    &cn__unary_op,
    &cn__unary_gradient_op,
    &cn__binary_op,
    &cn__broadcast_like_op,
    &cn__reduce_op,
    &cn__reduce_like_op,
    &cn__dropout_op,
    &cn__noise_op,
    &cn__reshape_op,
    &cn__reshape_like_op,
    &cn__transpose_op,
    &cn__pad_op,
    &cn__concatenate_op,
    &cn__part_like_op,
    &cn__one_hot_op,
    &cn__max_pool_op,
    &cn__max_unpool_op,
    &cn__average_pool_op,
    &cn__average_pool_gradient_op,
    &cn__resize_op,
    &cn__resize_gradient_op,
    &cn__softmax_op,
    &cn__softmax_gradient_op,
    &cn__batch_norm_op,
    &cn__batch_norm_gradient_op,
};

static void test_operations(void **state)
{
    (void)state;
    test_seed();
    for (size_t i = 0; i < CN__COUNT(examples); i++) {
        check(&examples[i], false);
        check(&examples[i], true);
    }
    for (int i = CN_NEAREST; i <= CN_BICUBIC; i++) {
        interpolation_now = (cn_interpolation)i;
        check(&(example){"resize", 1, {SHAPE(2, 5, 6, 3)}, resize, false, false}, true);
    }
    for (int rule = CN_GRADIENT; rule <= CN_GUIDED_BACKPROP; rule++) {
        rule_now = (cn_gradient_rule)rule;
        check(&(example){"relu", 2, {SHAPE(9, 9), SHAPE(9, 9)}, relu_rule, false, true}, true);
    }
    for (size_t i = 0; i < CN__COUNT(all_ops); i++)
        if (cn__map_get(&used, all_ops[i]) == NULL)
            fail_msg("no example uses %s", all_ops[i]->name);
    cn__map_free(&used);
}

/* Every function of one number, from -6 to 6 or where it is defined. */
static void test_unary(void **state)
{
    (void)state;
    test_seed();
    for (int op = 0; op < CN_UNARY_COUNT; op++) {
        unary_now = (cn_function1){(cn_unary)op, {0.5f, 1, 0}};
        bool positive = op == CN_LOG || op == CN_SQRT || op == CN_RSQRT || op == CN_RECIPROCAL;
        example e = {cn_unary_name((cn_unary)op), 1, {SHAPE(3, 50)}, unary, positive, false};
        check(&e, false);
    }
    cn__map_free(&used);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_operations),
                                       cmocka_unit_test(test_unary)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
