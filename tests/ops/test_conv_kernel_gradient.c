/* Kernel gradients: random shapes, with groups, dilations, strides, paddings and channels around
 * the tiles of every instruction set, against the double reference; and the same bits for any
 * number of threads.
 *
 * Error bound: as in test_conv.c, 1e-6 of the sum of the products' magnitudes, plus the same
 * absolutely. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/kernels.h"
#include "support/random.h"
#include "support/reference_conv.h"

enum { configurations = 500 };

static int64_t random_channels(void)
{
    return test_int(0, 1) == 0 ? test_int(1, 9) : test_int(1, 70);
}

static cn_conv random_conv(void)
{
    cn_conv conv = {.rank = (int)test_int(1, 3), .batch = test_int(1, 3), .direct_only = true};
    conv.groups = test_int(0, 3) == 0 ? test_int(2, 4) : 1;
    conv.in_channels = conv.groups * random_channels();
    conv.out_channels = conv.groups * random_channels();
    for (int i = 0; i < conv.rank; i++) {
        bool last = i == conv.rank - 1;
        conv.in[i] = test_int(1, last ? 60 : 5);
        conv.kernel[i] = test_int(1, last ? 9 : 3);
        conv.stride[i] = test_int(0, 1) == 0 ? 1 : test_int(2, 4);
        conv.dilation[i] = test_int(0, 2) == 0 ? test_int(2, 6) : 1;
        conv.before[i] = test_int(-2, 6);
        conv.out[i] = test_int(1, last ? 60 : 5);
    }
    return conv;
}

static void gradient(const cn_conv *conv, bool transposed, const float *in, const float *dy,
                     float *dw, cn_pool *pool)
{
    assert_int_equal(transposed ? cn_conv_transpose_kernel_gradient_f32(conv, in, dy, dw, pool)
                                : cn_conv_kernel_gradient_f32(conv, in, dy, dw, pool),
                     CN_OK);
}

static void check(const cn_conv *conv, bool transposed, int number, cn_pool *pool)
{
    int64_t count = cn_conv_kernel_count(conv, transposed);
    float *in = test_floats(cn_conv_in_count(conv)), *dy = test_floats(cn_conv_out_count(conv));
    float *dw = test_floats(count), *other = test_floats(count);
    double *exact = malloc((size_t)count * sizeof *exact);
    double *magnitude = malloc((size_t)count * sizeof *magnitude);
    gradient(conv, transposed, in, dy, dw, NULL);
    gradient(conv, transposed, in, dy, other, pool);
    assert_memory_equal(dw, other, (size_t)count * sizeof *dw);
    reference_kernel_gradient(conv, transposed, in, dy, exact, magnitude);
    for (int64_t i = 0; i < count; i++)
        if (!(fabs((double)dw[i] - exact[i]) <= 1e-6 * magnitude[i] + 1e-6))
            fail_msg("configuration %d, %s: element %lld is %.9g, not %.9g", number, cn_isa_name(),
                     (long long)i, (double)dw[i], exact[i]);
    free(in);
    free(dy);
    free(dw);
    free(other);
    free(exact);
    free(magnitude);
}

/* Every instruction set takes its turn. */
static void test_random_shapes(void **state)
{
    (void)state;
    const cn__kernels *tables[8];
    int count = cn__kernels_all(tables);
    cn_pool *pool = cn_pool_new(3);
    test_seed();
    for (int i = 0; i < configurations; i++) {
        cn_conv conv = random_conv();
        cn__kernels_use(tables[i % count]);
        check(&conv, test_int(0, 1) == 0, i, pool);
    }
    cn__kernels_use(NULL);
    cn_pool_free(pool);
}

/* Lines that are copied whole, whose edges are copied, or that are read where they are; several
 * chunks and parts; a line of taps cut along its rows. */
static void test_layers(void **state)
{
    (void)state;
    static const cn_conv layers[] = {
        {.rank = 2, .in_channels = 3, .out_channels = 33, .in = {50, 70}, .kernel = {3, 3}},
        {.rank = 2, .in_channels = 3, .out_channels = 20, .in = {9, 500}, .kernel = {5, 7}},
        {.rank = 2, .in_channels = 2, .out_channels = 5, .in = {3, 700}, .kernel = {2, 9}},
        {.rank = 2, .in_channels = 40, .out_channels = 2, .in = {20, 90}, .kernel = {3, 5}},
        {.rank = 1, .in_channels = 1, .out_channels = 40, .in = {3000}, .kernel = {64}},
        {.rank = 2, .in_channels = 70, .out_channels = 90, .in = {41, 33}, .kernel = {2, 1}},
        {.rank = 2, .in_channels = 200, .out_channels = 150, .in = {23, 24}, .kernel = {1, 1}},
        {.rank = 2,
         .in_channels = 3,
         .out_channels = 24,
         .in = {61, 20},
         .kernel = {5, 3},
         .stride = {2},
         .dilation = {3}},
        {.rank = 3, .in_channels = 2, .out_channels = 17, .in = {7, 9, 21}, .kernel = {3, 3, 5}},
    };
    cn_pool *pool = cn_pool_new(3);
    test_seed();
    for (size_t i = 0; i < CN__COUNT(layers); i++)
        for (int variant = 0; variant < 6; variant++) {
            cn_conv conv = layers[i];
            conv.batch = 2;
            conv.direct_only = true;
            conv.stride[conv.rank - 1] = variant % 3 == 1 ? 2 : 1;
            conv.dilation[conv.rank - 1] = variant % 3 == 2 ? 3 : 1;
            assert_int_equal(cn_conv_pad_keras(&conv, variant < 3 ? CN_SAME : CN_VALID), CN_OK);
            check(&conv, false, (int)i, pool);
        }
    cn_pool_free(pool);
}

/* Lines of taps whose copies take all the room there is, too large for the reference: the gradient
 * times the kernel is the output times its gradient, to 1e-5 of their lengths' product. */
static void test_long_kernel(void **state)
{
    (void)state;
    const cn_conv conv = {.rank = 2,
                          .batch = 1,
                          .in_channels = 3,
                          .out_channels = 1,
                          .in = {1000, 304},
                          .kernel = {41, 5},
                          .before = {20, 0},
                          .out = {1000, 300},
                          .direct_only = true};
    int64_t outs = cn_conv_out_count(&conv), weights = cn_conv_kernel_count(&conv, false);
    test_seed();
    float *in = test_floats(cn_conv_in_count(&conv)), *dy = test_floats(outs);
    float *kernel = test_floats(weights), *dw = test_floats(weights), *out = test_floats(outs);
    gradient(&conv, false, in, dy, dw, NULL);
    assert_int_equal(cn_conv_f32(&conv, in, kernel, NULL, out, NULL), CN_OK);
    double left = 0, right = 0, length = 0, other = 0;
    for (int64_t i = 0; i < weights; i++)
        left += (double)dw[i] * (double)kernel[i];
    for (int64_t i = 0; i < outs; i++) {
        right += (double)out[i] * (double)dy[i];
        length += (double)out[i] * (double)out[i];
        other += (double)dy[i] * (double)dy[i];
    }
    assert_true(fabs(left - right) <= 1e-5 * sqrt(length * other));
    free(in);
    free(dy);
    free(kernel);
    free(dw);
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_shapes),
                                       cmocka_unit_test(test_layers),
                                       cmocka_unit_test(test_long_kernel)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
