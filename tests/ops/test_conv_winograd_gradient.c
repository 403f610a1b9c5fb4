/* Minimal filtering for kernel gradients: against the double reference, with the same bits for any
 * number of threads, and where it is chosen.
 *
 * Error bound, stated in ops.h: 1e-5 of the largest value of the gradient. Where it has few values,
 * the largest is taken to be at least the standard deviation of one that all pixels add to. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "support/reference_conv.h"
#include "support/winograd_cases.h"

static cn_conv_pass pass_of(bool transposed)
{
    return transposed ? CN_CONV_TRANSPOSE_KERNEL_GRADIENT : CN_CONV_KERNEL_GRADIENT;
}

static const char *algorithm(const cn_conv *conv, bool transposed)
{
    cn_conv_plan *plan = cn_conv_plan_new(conv, pass_of(transposed));
    assert_non_null(plan);
    const char *found = cn_conv_plan_algorithm(plan);
    cn_conv_plan_free(plan);
    return found;
}

/* A sum of products of two numbers between -1 and 1, which have the deviation 1/3. */
static double deviation(const cn_conv *conv, bool transposed)
{
    double products = (double)conv->batch;
    for (int i = 0; i < conv->rank; i++)
        products *= (double)(transposed ? conv->in[i] : conv->out[i]);
    return sqrt(products) / 3;
}

static float *gradient_of(const cn_conv *conv, bool transposed, const float *in, const float *out,
                          cn_pool *pool)
{
    float *kernel = test_floats(cn_conv_kernel_count(conv, transposed));
    assert_int_equal((transposed ? cn_conv_transpose_kernel_gradient_f32
                                 : cn_conv_kernel_gradient_f32)(conv, in, out, kernel, pool),
                     CN_OK);
    return kernel;
}

static void check_result(const cn_conv *conv, bool transposed, int number, cn_pool *pool)
{
    int64_t count = cn_conv_kernel_count(conv, transposed);
    float *in = test_floats(cn_conv_in_count(conv)), *out = test_floats(cn_conv_out_count(conv));
    double *exact = malloc((size_t)count * sizeof *exact);
    double *magnitude = malloc((size_t)count * sizeof *magnitude);
    assert_string_equal(algorithm(conv, transposed), name);
    float *kernel = gradient_of(conv, transposed, in, out, pool);
    reference_kernel_gradient(conv, transposed, in, out, exact, magnitude);
    double bound = 1e-5 * fmax(largest(exact, count), deviation(conv, transposed));
    for (int64_t i = 0; i < count; i++)
        if (!(fabs((double)kernel[i] - exact[i]) <= bound))
            fail_msg("configuration %d, %s: element %lld is %.9g, not %.9g +- %.2g", number,
                     cn_isa_name(), (long long)i, (double)kernel[i], exact[i], bound);
    free(in);
    free(out);
    free(kernel);
    free(exact);
    free(magnitude);
}

/* In one group. */
static cn_conv random_whole(void)
{
    cn_conv conv = random_conv(false);
    conv.in_channels /= conv.groups;
    conv.out_channels /= conv.groups;
    conv.groups = 1;
    return conv;
}

static void one_conv(int number, cn_pool *pool)
{
    cn_conv conv = random_whole();
    check_result(&conv, false, number, pool);
}

/* Planned on the adjoint convolution: any kernel that can be summed. */
static void one_transpose(int number, cn_pool *pool)
{
    cn_conv adjoint = random_whole(), conv = cn_conv_adjoint(&adjoint);
    check_result(&conv, true, number, pool);
}

static void test_conv(void **state)
{
    (void)state;
    for_configurations(150, one_conv);
}

static void test_conv_transpose(void **state)
{
    (void)state;
    for_configurations(150, one_transpose);
}

/* Images in three dimensions with a kernel in two of them. */
static void one_volume(int number, cn_pool *pool)
{
    cn_conv conv = {.rank = 3,
                    .batch = 2,
                    .in_channels = 20,
                    .out_channels = 33,
                    .in = {3, 7, 9},
                    .kernel = {1, 3, 3}};
    assert_int_equal(cn_conv_pad_keras(&conv, CN_SAME), CN_OK);
    check_result(&conv, false, number, pool);
    check_result(&conv, true, number, pool);
}

static void test_volume(void **state)
{
    (void)state;
    for_configurations(6, one_volume);
}

/* Several blocks of channels, and thousands of pixels: slices and their chunks. */
static void one_large(int number, cn_pool *pool)
{
    cn_conv conv = {.rank = 2,
                    .batch = number % 2 == 0 ? 2 : 1,
                    .in_channels = number % 4 < 2 ? 16 : 130,
                    .out_channels = number % 4 < 2 ? 18 : 70,
                    .in = {number % 4 < 2 ? 100 : 21, number % 4 < 2 ? 90 : 17},
                    .kernel = {3, 3}};
    assert_int_equal(cn_conv_pad_keras(&conv, CN_SAME), CN_OK);
    check_result(&conv, number % 8 > 3, number, pool);
}

static void test_large(void **state)
{
    (void)state;
    for_configurations(16, one_large);
}

/* The shapes of test_threads: slices; slices with a task for each part of the kernel; blocks;
 * blocks of several chunks. */
static const cn_conv cut[] = {
    {.rank = 2,
     .batch = 2,
     .in_channels = 40,
     .out_channels = 32,
     .in = {60, 61},
     .kernel = {3, 3}},
    {.rank = 2,
     .batch = 4,
     .in_channels = 48,
     .out_channels = 64,
     .in = {41, 40},
     .kernel = {5, 5},
     .stride = {2, 2}},
    {.rank = 2,
     .batch = 1,
     .in_channels = 130,
     .out_channels = 144,
     .in = {30, 31},
     .kernel = {3, 3}},
    {.rank = 2,
     .batch = 1,
     .in_channels = 128,
     .out_channels = 128,
     .in = {163, 161},
     .kernel = {3, 3}},
};

static void check_close(const float *found, const float *expected, int64_t count)
{
    double most = 0;
    for (int64_t i = 0; i < count; i++)
        most = fmax(most, fabs((double)expected[i]));
    for (int64_t i = 0; i < count; i++)
        if (!(fabs((double)found[i] - (double)expected[i]) <= 1e-5 * most))
            fail_msg("element %lld is %.9g, the direct sum %.9g", (long long)i, (double)found[i],
                     (double)expected[i]);
}

/* The same bits for any number of threads, also of those that a plan expects; and next to those of
 * the direct sum. */
static void test_threads(void **state)
{
    (void)state;
    static const int threads[] = {1, 2, 3, 8};
    test_seed();
    for (size_t i = 0; i < CN__COUNT(cut); i++) {
        cn_conv conv = cut[i];
        assert_int_equal(cn_conv_pad_keras(&conv, CN_SAME), CN_OK);
        int64_t count = cn_conv_kernel_count(&conv, false);
        float *in = test_floats(cn_conv_in_count(&conv)),
              *out = test_floats(cn_conv_out_count(&conv));
        setenv("CORNU_NUM_THREADS", "1", 1);
        assert_string_equal(algorithm(&conv, false), name);
        float *first = gradient_of(&conv, false, in, out, NULL);
        setenv("CORNU_NUM_THREADS", "8", 1);
        for (size_t t = 0; t < CN__COUNT(threads); t++) {
            cn_pool *pool = cn_pool_new(threads[t]);
            float *other = gradient_of(&conv, false, in, out, pool);
            assert_memory_equal(first, other, (size_t)count * sizeof *first);
            free(other);
            cn_pool_free(pool);
        }
        conv.direct_only = true;
        float *direct = gradient_of(&conv, false, in, out, NULL);
        check_close(first, direct, count);
        free(in);
        free(out);
        free(first);
        free(direct);
    }
    unsetenv("CORNU_NUM_THREADS");
}

/* It is chosen for large gradients, not for small ones, nor where it is forbidden or not possible,
 * and its memory is bounded. */
static void test_choice(void **state)
{
    (void)state;
    cn_conv conv = {.rank = 2,
                    .batch = 1,
                    .in_channels = 256,
                    .out_channels = 256,
                    .in = {56, 56},
                    .kernel = {3, 3},
                    .before = {1, 1},
                    .out = {56, 56}};
    const cn_conv large = conv;
    assert_string_equal(algorithm(&conv, false), name);
    assert_string_equal(algorithm(&conv, true), name);
    conv.direct_only = true;
    assert_string_equal(algorithm(&conv, false), "direct");
    conv = large;
    conv.in_channels = 3;
    assert_string_equal(algorithm(&conv, false), "direct");
    conv = large;
    conv.groups = 4;
    assert_string_equal(algorithm(&conv, false), "direct");
    conv = large;
    conv.dilation[1] = 2;
    assert_string_equal(algorithm(&conv, false), "direct");
    conv = large;
    conv.out[0] = conv.out[1] = 1;
    assert_string_equal(algorithm(&conv, false), "direct");
    conv = large;
    for (conv.batch = 1; conv.batch <= 512; conv.batch *= 8) {
        cn_conv_plan *plan = cn_conv_plan_new(&conv, CN_CONV_KERNEL_GRADIENT);
        assert_non_null(plan);
        assert_true(cn_conv_plan_scratch_bytes(plan) <= 128 << 20);
        cn_conv_plan_free(plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv),    cmocka_unit_test(test_conv_transpose),
        cmocka_unit_test(test_volume),  cmocka_unit_test(test_large),
        cmocka_unit_test(test_threads), cmocka_unit_test(test_choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
