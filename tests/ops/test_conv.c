/* Convolution, transposed convolution and kernel gradients against the double reference, the
 * adjoint identity, the same bits for any number of threads; on random awkward shapes and every
 * instruction set the processor has. Minimal filtering is forbidden: test_conv_winograd.c has it.
 *
 * Error bound: a float sum of n products in any order differs from the exact one by at most about
 * n * 2^-24 times the sum of the products' magnitudes; in practice by its square root. The tests
 * allow 1e-6 of the magnitudes (some 16 units of 2^-24), plus the same absolutely. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/kernels.h"
#include "support/random.h"
#include "support/reference_conv.h"

enum { configurations = 2000 };

/* The extents are small, the channels awkward: around the lanes and tiles of every instruction set.
 */
static int64_t channels(int64_t groups, bool depthwise)
{
    static const int64_t some[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 48, 65, 70};
    return depthwise ? groups : groups * some[test_int(0, groups > 1 ? 4 : 15)];
}

static cn_conv random_conv(void)
{
    cn_conv conv = {.rank = (int)test_int(1, 3), .batch = test_int(1, 3), .direct_only = true};
    bool depthwise = test_int(0, 9) == 0;
    conv.groups = depthwise ? test_int(2, 40) : test_int(0, 4) == 0 ? test_int(2, 3) : 1;
    conv.in_channels = channels(conv.groups, depthwise);
    conv.out_channels = channels(conv.groups, depthwise);
    for (int i = 0; i < conv.rank; i++) {
        conv.in[i] = test_int(1, conv.rank == 1 ? 30 : conv.rank == 2 ? 9 : 4);
        conv.kernel[i] = test_int(1, conv.rank == 3 ? 3 : 5);
        conv.stride[i] = test_int(1, 4);
        conv.dilation[i] = test_int(1, 3);
        conv.before[i] = test_int(-2, 4);
        conv.out[i] = test_int(1, conv.rank == 1 ? 40 : conv.rank == 2 ? 11 : 5);
    }
    return conv;
}

static void assert_close(const char *what, int number, const float *y, const double *exact,
                         const double *magnitude, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (!(fabs((double)y[i] - exact[i]) <= 1e-6 * magnitude[i] + 1e-6))
            fail_msg("%s, configuration %d, %s: element %lld is %.9g, not %.9g", what, number,
                     cn_isa_name(), (long long)i, (double)y[i], exact[i]);
}

static void check_result(const cn_conv *conv, bool transposed, int number, cn_pool *pool)
{
    int64_t in_count = cn_conv_in_count(conv), out_count = cn_conv_out_count(conv);
    float *in = test_floats(in_count), *bias = test_floats(conv->out_channels);
    float *kernel = test_floats(cn_conv_kernel_count(conv, transposed));
    float *out = test_floats(out_count);
    double *exact = malloc((size_t)out_count * sizeof *exact);
    double *magnitude = malloc((size_t)out_count * sizeof *magnitude);
    const float *used_bias = test_int(0, 1) ? bias : NULL;
    if (transposed) {
        assert_int_equal(cn_conv_transpose_f32(conv, in, kernel, used_bias, out, pool), CN_OK);
        reference_conv_transpose(conv, in, kernel, used_bias, exact, magnitude);
    } else {
        assert_int_equal(cn_conv_f32(conv, in, kernel, used_bias, out, pool), CN_OK);
        reference_conv(conv, in, kernel, used_bias, exact, magnitude);
    }
    assert_close(transposed ? "transposed convolution" : "convolution", number, out, exact,
                 magnitude, out_count);
    free(in);
    free(bias);
    free(kernel);
    free(out);
    free(exact);
    free(magnitude);
}

static void check_kernel_gradient(const cn_conv *conv, bool transposed, int number, cn_pool *pool)
{
    int64_t count = cn_conv_kernel_count(conv, transposed);
    float *in = test_floats(cn_conv_in_count(conv)), *dy = test_floats(cn_conv_out_count(conv));
    float *dw = test_floats(count);
    double *exact = malloc((size_t)count * sizeof *exact);
    double *magnitude = malloc((size_t)count * sizeof *magnitude);
    assert_int_equal(transposed ? cn_conv_transpose_kernel_gradient_f32(conv, in, dy, dw, pool)
                                : cn_conv_kernel_gradient_f32(conv, in, dy, dw, pool),
                     CN_OK);
    reference_kernel_gradient(conv, transposed, in, dy, exact, magnitude);
    assert_close("kernel gradient", number, dw, exact, magnitude, count);
    free(in);
    free(dy);
    free(dw);
    free(exact);
    free(magnitude);
}

static double dot(const float *x, const float *y, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)x[i] * (double)y[i];
    return sum;
}

/* <conv(x), y> = <x, conv_transpose(y)> to 1e-5 of |conv(x)| |y|. */
static void check_adjoint(const cn_conv *conv, int number, cn_pool *pool)
{
    cn_conv adjoint = cn_conv_adjoint(conv);
    int64_t xs = cn_conv_in_count(conv), ys = cn_conv_out_count(conv);
    float *x = test_floats(xs), *y = test_floats(ys), *kernel;
    kernel = test_floats(cn_conv_kernel_count(conv, false));
    float *forward = test_floats(ys), *back = test_floats(xs);
    assert_int_equal(cn_conv_f32(conv, x, kernel, NULL, forward, pool), CN_OK);
    assert_int_equal(cn_conv_transpose_f32(&adjoint, y, kernel, NULL, back, pool), CN_OK);
    double left = dot(forward, y, ys), right = dot(x, back, xs);
    double scale = sqrt(dot(forward, forward, ys) * dot(y, y, ys));
    if (!(fabs(left - right) <= 1e-5 * scale + 1e-9))
        fail_msg("adjoint, configuration %d: %.9g against %.9g", number, left, right);
    free(x);
    free(y);
    free(kernel);
    free(forward);
    free(back);
}

/* Every instruction set takes its turn. */
static void for_configurations(void (*check)(int number, cn_pool *pool))
{
    const cn__kernels *tables[8];
    int count = cn__kernels_all(tables);
    cn_pool *pool = cn_pool_new(2);
    test_seed();
    for (int i = 0; i < configurations; i++) {
        cn__kernels_use(tables[i % count]);
        check(i, i % 3 == 0 ? pool : NULL);
    }
    cn__kernels_use(NULL);
    cn_pool_free(pool);
}

static void one_conv(int number, cn_pool *pool)
{
    cn_conv conv = random_conv();
    check_result(&conv, false, number, pool);
}

static void one_transpose(int number, cn_pool *pool)
{
    cn_conv conv = random_conv();
    check_result(&conv, true, number, pool);
}

static void one_gradient(int number, cn_pool *pool)
{
    cn_conv conv = random_conv();
    check_kernel_gradient(&conv, number % 2 == 1, number, pool);
}

static void one_adjoint(int number, cn_pool *pool)
{
    cn_conv conv = random_conv();
    check_adjoint(&conv, number, pool);
}

static void test_conv(void **state)
{
    (void)state;
    for_configurations(one_conv);
}

static void test_conv_transpose(void **state)
{
    (void)state;
    for_configurations(one_transpose);
}

static void test_kernel_gradient(void **state)
{
    (void)state;
    for_configurations(one_gradient);
}

static void test_adjoint(void **state)
{
    (void)state;
    for_configurations(one_adjoint);
}

/* Kernels of more taps than a task keeps pointers, more channels than a panel has, and many phases
 * of few taps; every instruction set. */
static void test_large_kernels(void **state)
{
    (void)state;
    static const cn_conv large[] = {
        {.rank = 1,
         .in_channels = 3,
         .out_channels = 3,
         .groups = 3,
         .in = {1400},
         .kernel = {1300}},
        {.rank = 1, .in_channels = 2, .out_channels = 5, .in = {2050}, .kernel = {2000}},
        {.rank = 1, .in_channels = 4500, .out_channels = 35, .in = {7}, .kernel = {2}},
        {.rank = 1,
         .in_channels = 40,
         .out_channels = 1,
         .in = {5},
         .kernel = {512},
         .stride = {128}},
    };
    const cn__kernels *tables[8];
    int count = cn__kernels_all(tables);
    test_seed();
    for (size_t i = 0; i < CN__COUNT(large) * (size_t)count; i++) {
        cn_conv conv = large[i / (size_t)count], transposed = conv;
        conv.batch = transposed.batch = 1;
        cn__kernels_use(tables[i % (size_t)count]);
        assert_int_equal(cn_conv_pad_keras(&conv, CN_SAME), CN_OK);
        assert_int_equal(cn_conv_transpose_pad_keras(&transposed, CN_SAME, NULL), CN_OK);
        check_result(&conv, false, (int)i, NULL);
        check_result(&transposed, true, (int)i, NULL);
        check_kernel_gradient(&conv, false, (int)i, NULL);
        check_kernel_gradient(&transposed, true, (int)i, NULL);
    }
    cn__kernels_use(NULL);
}

/* The clamp of a run is that of its result. */
static void one_clamp(int number, cn_pool *pool)
{
    cn_conv conv = random_conv();
    cn_conv_plan *plan =
        cn_conv_plan_new(&conv, number % 2 == 0 ? CN_CONV_FORWARD : CN_CONV_TRANSPOSE);
    int64_t count = cn_conv_out_count(&conv);
    float *in = test_floats(cn_conv_in_count(&conv)), *bias = test_floats(conv.out_channels);
    float *kernel = test_floats(cn_conv_kernel_count(&conv, number % 2 != 0));
    float *free_out = test_floats(count), *out = test_floats(count);
    float *packed = cn__alloc(cn_conv_plan_packed_bytes(plan));
    void *scratch = cn__alloc(cn_conv_plan_scratch_bytes(plan));
    const cn_clamp clamp = {-0.25f, number % 3 == 0 ? INFINITY : 0.5f};
    cn_conv_plan_pack(plan, kernel, packed, pool);
    cn_conv_plan_run(plan, in, packed, bias, NULL, free_out, scratch, pool);
    cn_conv_plan_run(plan, in, packed, bias, &clamp, out, scratch, pool);
    for (int64_t i = 0; i < count; i++)
        if (out[i] != fminf(fmaxf(free_out[i], clamp.low), clamp.high))
            fail_msg("clamp, configuration %d, %s: element %lld is %.9g, without %.9g", number,
                     cn_isa_name(), (long long)i, (double)out[i], (double)free_out[i]);
    free(in);
    free(bias);
    free(kernel);
    free(free_out);
    free(out);
    cn__free(packed);
    cn__free(scratch);
    cn_conv_plan_free(plan);
}

static void test_clamp(void **state)
{
    (void)state;
    for_configurations(one_clamp);
}

/* Large enough for several panels, blocks, parts and tasks. */
static void test_threads(void **state)
{
    (void)state;
    cn_conv conv = {.rank = 2,
                    .batch = 3,
                    .in_channels = 300,
                    .out_channels = 150,
                    .in = {12, 11},
                    .kernel = {5, 3},
                    .stride = {2, 2},
                    .direct_only = true};
    test_seed();
    assert_int_equal(cn_conv_transpose_pad_keras(&conv, CN_SAME, NULL), CN_OK);
    int64_t count = cn_conv_out_count(&conv), weights = cn_conv_kernel_count(&conv, true);
    float *in = test_floats(cn_conv_in_count(&conv)), *kernel = test_floats(weights);
    float *first = test_floats(count), *other = test_floats(count);
    float *gradient = test_floats(weights), *other_gradient = test_floats(weights);
    assert_int_equal(cn_conv_transpose_f32(&conv, in, kernel, NULL, first, NULL), CN_OK);
    assert_int_equal(cn_conv_transpose_kernel_gradient_f32(&conv, in, first, gradient, NULL),
                     CN_OK);
    static const int threads[] = {1, 2, 3, 8};
    for (size_t t = 0; t < CN__COUNT(threads); t++) {
        cn_pool *pool = cn_pool_new(threads[t]);
        assert_int_equal(cn_conv_transpose_f32(&conv, in, kernel, NULL, other, pool), CN_OK);
        assert_memory_equal(first, other, (size_t)count * sizeof *first);
        assert_int_equal(
            cn_conv_transpose_kernel_gradient_f32(&conv, in, first, other_gradient, pool), CN_OK);
        assert_memory_equal(gradient, other_gradient, (size_t)weights * sizeof *gradient);
        cn_pool_free(pool);
    }
    check_result(&conv, true, 0, NULL);
    check_kernel_gradient(&conv, true, 0, NULL);
    free(in);
    free(kernel);
    free(first);
    free(other);
    free(gradient);
    free(other_gradient);
}

static void test_no_scratch(void **state)
{
    (void)state;
    test_seed();
    for (int i = 0; i < 200; i++) {
        cn_conv conv = random_conv();
        if (conv.groups > 1 && conv.groups == conv.out_channels)
            conv.in_channels = conv.groups; /* several channels to one would take an image */
        cn_conv_plan *plan = cn_conv_plan_new(&conv, CN_CONV_TRANSPOSE);
        assert_non_null(plan);
        assert_int_equal(cn_conv_plan_scratch_bytes(plan), 0);
        cn_conv_plan_free(plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv),    cmocka_unit_test(test_conv_transpose),
        cmocka_unit_test(test_adjoint), cmocka_unit_test(test_kernel_gradient),
        cmocka_unit_test(test_threads), cmocka_unit_test(test_no_scratch),
        cmocka_unit_test(test_clamp),   cmocka_unit_test(test_large_kernels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
