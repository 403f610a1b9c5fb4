/* Depthwise convolutions, transposed convolutions and kernel gradients against the double
 * reference: images large enough for tiles inside and at the edges, strips, tasks and merged
 * pixels; one or several channels to each; every instruction set; the same bits for any number of
 * threads. The error bound is that of test_conv.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/kernels.h"
#include "support/random.h"
#include "support/reference_conv.h"

enum { configurations = 300 };

/* `few` channels on one side and `repeat` times as many on the other. */
static cn_conv random_conv(bool transposed)
{
    static const int64_t some[] = {2, 3, 5, 7, 8, 12, 16, 17, 24, 31, 32, 40, 48, 66, 72, 100, 130};
    static const int64_t repeats[] = {1, 1, 1, 2, 3, 5};
    static const int64_t kernels[] = {1, 2, 3, 3, 4, 5, 7, 9};
    cn_conv conv = {.rank = (int)test_int(1, 3), .batch = test_int(1, 2)};
    int64_t few = some[test_int(0, CN__COUNT(some) - 1)];
    int64_t many = few * repeats[test_int(0, CN__COUNT(repeats) - 1)];
    conv.groups = few;
    conv.in_channels = transposed ? many : few;
    conv.out_channels = transposed ? few : many;
    for (int i = 0; i < conv.rank; i++) {
        bool last = i == conv.rank - 1;
        conv.in[i] = test_int(1, conv.rank == 1 ? 300 : conv.rank == 3 ? 6 : last ? 40 : 14);
        conv.kernel[i] = conv.rank == 3 ? test_int(1, 3) : kernels[test_int(0, 7)];
        conv.stride[i] = test_int(0, 1) ? 1 : test_int(1, 3);
        conv.dilation[i] = test_int(0, 3) ? 1 : test_int(1, 3);
        conv.before[i] = test_int(-1, 3);
        conv.out[i] = test_int(1, conv.rank == 1 ? 300 : conv.rank == 3 ? 7 : last ? 45 : 15);
    }
    return conv;
}

static void assert_close(const char *what, const cn_conv *conv, const float *y, const double *exact,
                         const double *magnitude, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (!(fabs((double)y[i] - exact[i]) <= 1e-6 * magnitude[i] + 1e-6))
            fail_msg("%s, %s, %lld to %lld channels, kernel %lld: element %lld is %.9g, not %.9g",
                     what, cn_isa_name(), (long long)conv->in_channels,
                     (long long)conv->out_channels, (long long)conv->kernel[0], (long long)i,
                     (double)y[i], exact[i]);
}

static void check_result(const cn_conv *conv, bool transposed, cn_pool *pool)
{
    int64_t count = cn_conv_out_count(conv);
    float *in = test_floats(cn_conv_in_count(conv)), *bias = test_floats(conv->out_channels);
    float *kernel = test_floats(cn_conv_kernel_count(conv, transposed)), *out = test_floats(count);
    float *alone = test_floats(count);
    double *exact = malloc((size_t)count * sizeof *exact);
    double *magnitude = malloc((size_t)count * sizeof *magnitude);
    cn_status (*run)(const cn_conv *, const float *, const float *, const float *, float *,
                     cn_pool *) = transposed ? cn_conv_transpose_f32 : cn_conv_f32;
    assert_int_equal(run(conv, in, kernel, bias, out, pool), CN_OK);
    assert_int_equal(run(conv, in, kernel, bias, alone, NULL), CN_OK);
    assert_memory_equal(out, alone, (size_t)count * sizeof *out);
    (transposed ? reference_conv_transpose : reference_conv)(conv, in, kernel, bias, exact,
                                                             magnitude);
    assert_close(transposed ? "transposed" : "convolution", conv, out, exact, magnitude, count);
    free(in);
    free(bias);
    free(kernel);
    free(out);
    free(alone);
    free(exact);
    free(magnitude);
}

static void check_gradient(const cn_conv *conv, bool transposed, cn_pool *pool)
{
    int64_t count = cn_conv_kernel_count(conv, transposed);
    float *in = test_floats(cn_conv_in_count(conv)), *dy = test_floats(cn_conv_out_count(conv));
    float *dw = test_floats(count), *alone = test_floats(count);
    double *exact = malloc((size_t)count * sizeof *exact);
    double *magnitude = malloc((size_t)count * sizeof *magnitude);
    cn_status (*run)(const cn_conv *, const float *, const float *, float *, cn_pool *) =
        transposed ? cn_conv_transpose_kernel_gradient_f32 : cn_conv_kernel_gradient_f32;
    assert_int_equal(run(conv, in, dy, dw, pool), CN_OK);
    assert_int_equal(run(conv, in, dy, alone, NULL), CN_OK);
    assert_memory_equal(dw, alone, (size_t)count * sizeof *dw);
    reference_kernel_gradient(conv, transposed, in, dy, exact, magnitude);
    assert_close("kernel gradient", conv, dw, exact, magnitude, count);
    free(in);
    free(dy);
    free(dw);
    free(alone);
    free(exact);
    free(magnitude);
}

static void test_depthwise(void **state)
{
    (void)state;
    const cn__kernels *tables[8];
    int count = cn__kernels_all(tables);
    cn_pool *pool = cn_pool_new(3);
    test_seed();
    for (int i = 0; i < configurations; i++) {
        bool transposed = i % 2 == 1;
        cn_conv conv = random_conv(transposed);
        cn__kernels_use(tables[i / 2 % count]);
        check_result(&conv, transposed, pool);
        check_gradient(&conv, transposed, pool);
    }
    cn__kernels_use(NULL);
    cn_pool_free(pool);
}

static void test_algorithm(void **state)
{
    (void)state;
    cn_conv conv = {.rank = 2,
                    .batch = 1,
                    .in_channels = 24,
                    .out_channels = 48,
                    .groups = 24,
                    .in = {9, 9},
                    .kernel = {3, 3}};
    assert_int_equal(cn_conv_pad_keras(&conv, CN_SAME), CN_OK);
    cn_conv adjoint = cn_conv_adjoint(&conv);
    cn_conv_plan *plans[] = {cn_conv_plan_new(&conv, CN_CONV_FORWARD),
                             cn_conv_plan_new(&adjoint, CN_CONV_TRANSPOSE),
                             cn_conv_plan_new(&conv, CN_CONV_KERNEL_GRADIENT)};
    for (size_t i = 0; i < CN__COUNT(plans); i++) {
        assert_non_null(plans[i]);
        assert_string_equal(cn_conv_plan_algorithm(plans[i]), "depthwise");
        cn_conv_plan_free(plans[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_depthwise),
                                       cmocka_unit_test(test_algorithm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
