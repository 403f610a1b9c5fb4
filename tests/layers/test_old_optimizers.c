/* The optimizers of Keras 1.2.2, replayed: twelve steps on a small network on Theano, whose losses
 * and weights are on file. The network is built from operations; its weights are turned to Cornu's
 * axes and back. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cornu/formats.h"
#include "layers/optimizers.h"

enum { weights = 8, batches = 4, steps = 12, batch = 6 };

static const struct run {
    const char *name, *optimizer;
} runs[] = {
    {"sgd", "SGD(version=1, lr=0.05000000074505806, momentum=0.0, decay=0.0, nesterov=False)"},
    {"sgd_momentum", "SGD(version=1, lr=0.05, momentum=0.8999999761581421)"},
    {"sgd_nesterov_decay",
     "SGD(version=1, lr=0.05, momentum=0.9, decay=0.009999999776482582, nesterov=True)"},
    {"rmsprop", "RMSprop(version=1)"},
    {"adam", "Adam(version=1, beta_2=0.9990000128746033)"},
    {"adam_decay_clip", "Adam(version=1, clipnorm=0.5, lr=0.01, decay=0.01)"},
    {"adagrad", "Adagrad(version=1)"},
    {"adadelta", "Adadelta(version=1)"},
    {"adamax", "Adamax(version=1)"},
    {"nadam", "Nadam(version=1)"},
};

static cn_npz *npz;

static cn_array *CN_PRINTF(1, 2) read_array(const char *format, ...)
{
    char text[64];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    cn_array *array = cn_npz_read(npz, text);
    if (!array)
        fail_msg("%s", cn_error_message());
    return array;
}

/* Theano's kernels (out, in, rows, cols) are those of true convolutions: here (rows, cols, in,
 * out), or (rows, cols, out, in) if transposed, and turned by half a circle. Everything else stays
 * as it is. */
static cn_array *turned(cn_array *from, bool transposed)
{
    if (cn_array_shape(from)->rank != 4)
        return from;
    const int64_t *d = cn_array_shape(from)->dim;
    const cn_shape shape = cn_shape_of(d[2], d[3], d[transposed ? 0 : 1], d[transposed ? 1 : 0]);
    cn_array *to = cn_array_new(CN_FLOAT32, &shape);
    int64_t taps = d[2] * d[3];
    for (int64_t o = 0; o < d[0]; o++)
        for (int64_t i = 0; i < d[1]; i++)
            for (int64_t t = 0; t < taps; t++)
                cn_array_floats(to)[t * d[0] * d[1] + (transposed ? o * d[1] + i : i * d[0] + o)] =
                    cn_array_const_floats(from)[(o * d[1] + i) * taps + taps - 1 - t];
    cn_array_free(from);
    return to;
}

/* ---- the network ---- */

static cn_tensor *unary(cn_unary op, cn_tensor *x, float p0, float p1)
{
    return cn_op_unary(x, (cn_function1){op, {p0, p1, 0}});
}

static cn_tensor *plus(cn_tensor *a, cn_tensor *b)
{
    return cn_op_binary(CN_ADD, a, b);
}

static cn_tensor *predict(cn_tensor *x, cn_tensor *const *w)
{
    static const int to_last[] = {0, 2, 3, 1}, to_first[] = {0, 3, 1, 2};
    const cn_conv_options conv = {.rank = 2, .padding = CN_SAME};
    const cn_conv_options transposed = {.transposed = true, .rank = 2, .stride = {2, 2}};
    const cn_pool_options pool = {.rank = 2, .window = {2, 2}, .stride = {2, 2}};
    const cn_shape flat = cn_shape_of(batch, 243);
    x = plus(cn_op_conv(cn_op_transpose(x, to_last), w[0], &conv), w[1]);
    x = cn_op_max_pool(unary(CN_RELU, x, 0, INFINITY), &pool, NULL);
    x = unary(CN_RELU, plus(cn_op_conv(x, w[2], &transposed), w[3]), 0, INFINITY);
    x = cn_op_reshape(cn_op_transpose(x, to_first), &flat);
    x = unary(CN_TANH, plus(cn_op_matmul(x, w[4]), w[5]), 0, 0);
    return cn_op_softmax(plus(cn_op_matmul(x, w[6]), w[7]), 1, false);
}

/* From images and labels: the loss and the gradients of the weights. */
static cn_function *network(cn__variable *const *variables)
{
    const cn_shape images = cn_shape_of(batch, 2, 8, 8), labels = cn_shape_of(batch, 5);
    cn_tensor *x = cn_op_input(CN_FLOAT32, &images, NULL), *w[weights], *out[1 + weights];
    cn_tensor *y = cn_op_input(CN_FLOAT32, &labels, NULL);
    for (int i = 0; i < weights; i++)
        w[i] = cn__variable_tensor(x, variables[i], NULL);
    cn_tensor *p = unary(CN_LOG, unary(CN_CLIP, predict(x, w), 1e-7f, 1 - 1e-7f), 0, 0);
    cn_tensor *sum = cn_op_reduce(CN_SUM, cn_op_binary(CN_MULTIPLY, y, p), 3, false);
    out[0] = unary(CN_AFFINE, sum, -1.0f / batch, 0);
    if (cn_gradients(cn_tensors(out[0]), (cn_tensor_list){0}, (cn_tensor_list){weights, w},
                     CN_GRADIENT, out + 1) != CN_OK)
        fail_msg("%s", cn_error_message());
    cn_function *f = cn_function_new(cn_tensors(x, y), (cn_tensor_list){1 + weights, out});
    if (!f)
        fail_msg("%s", cn_error_message());
    return f;
}

/* ---- the replay ---- */

/* Batch `number` of an array of all samples. */
static cn_array *batch_of(const cn_array *all, int number)
{
    cn_shape shape = *cn_array_shape(all);
    int64_t count = cn_array_count(all) / batches;
    shape.dim[0] = batch;
    return cn_array_from(&shape, cn_array_const_floats(all) + number * count);
}

/* Returns the loss before the step. */
static double step(cn_function *f, cn__optimizer *optimizer, const cn_array *x, const cn_array *y,
                   int number)
{
    cn_array *in[] = {batch_of(x, number), batch_of(y, number)}, *out[1 + weights];
    if (cn_function_run(f, (const cn_array *const *)in, out, true, NULL) != CN_OK)
        fail_msg("%s", cn_error_message());
    int64_t count;
    float *gradients = cn__optimizer_gradients(optimizer, &count);
    for (int i = 0; i < weights; i++)
        memcpy(gradients + cn__optimizer_offset(optimizer, i), cn_array_const_floats(out[1 + i]),
               (size_t)cn_array_count(out[1 + i]) * sizeof(float));
    cn__optimizer_step(optimizer, NULL);
    double loss = (double)cn_array_const_floats(out[0])[0];
    for (int i = 0; i < 1 + weights; i++)
        cn_array_free(out[i]);
    cn_array_free(in[0]);
    cn_array_free(in[1]);
    return loss;
}

/* To `bound` of the largest: gradients differ by some roundings, and optimizers that divide by
 * their size enlarge that. */
static void check_weight(const char *name, int i, const cn__variable *variable, double bound)
{
    cn_array *after = turned(read_array("w_after__%s__%d", name, i), i == 2);
    const float *x = cn_array_const_floats(variable->value), *y = cn_array_const_floats(after);
    double most = 0, off = 0;
    for (int64_t j = 0; j < cn_array_count(after); j++) {
        most = fmax(most, fabs((double)y[j]));
        off = fmax(off, fabs((double)x[j] - (double)y[j]));
    }
    if (!(off <= bound * most))
        fail_msg("%s: weight %d is off by %g of %g", name, i, off, most);
    cn_array_free(after);
}

static void test_run(void **state)
{
    const struct run *run = *state;
    cn__variable *variables[weights];
    cn__trained trained[weights];
    for (int i = 0; i < weights; i++) {
        variables[i] = cn__variable_new(turned(read_array("w_before__%d", i), i == 2));
        trained[i] = (cn__trained){"layer/weight", variables[i], NULL};
    }
    cn__optimizer *optimizer = cn__optimizer_new(run->optimizer);
    if (!optimizer || cn__optimizer_build(optimizer, weights, trained) != CN_OK)
        fail_msg("%s", cn_error_message());
    cn_function *f = network(variables);
    cn_array *x = cn_npz_read(npz, "X"), *y = cn_npz_read(npz, "Y");
    cn_array *losses = read_array("losses__%s", run->name);
    for (int i = 0; i < steps; i++) {
        double loss = step(f, optimizer, x, y, i % batches);
        assert_float_equal(loss, cn_array_const_floats(losses)[2 * i], 1e-5f);
    }
    for (int i = 0; i < weights; i++)
        check_weight(run->name, i, variables[i], 1e-5);
    cn_function_free(f);
    cn__optimizer_free(optimizer);
    for (int i = 0; i < weights; i++)
        cn__variable_release(variables[i]);
    cn_array_free(losses);
    cn_array_free(x);
    cn_array_free(y);
}

static int open_golden(void **state)
{
    (void)state;
    npz = cn_npz_open(CN_TEST_GOLDEN "/keras1-theano/05_optimizers.npz");
    return npz ? 0 : -1;
}

static int close_golden(void **state)
{
    (void)state;
    cn_npz_close(npz);
    return 0;
}

int main(void)
{
    struct CMUnitTest tests[CN__COUNT(runs)];
    for (size_t i = 0; i < CN__COUNT(runs); i++)
        tests[i] =
            (struct CMUnitTest){runs[i].name, test_run, NULL, NULL, (void *)(uintptr_t)&runs[i]};
    return cmocka_run_group_tests(tests, open_golden, close_golden);
}
