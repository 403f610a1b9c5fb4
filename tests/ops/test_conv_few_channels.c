/* Convolutions, transposed convolutions and kernel gradients with few input or output channels,
 * which are computed in ways of their own: against the double reference, with clamps, and the same
 * bits for any number of threads. Extents around the lanes and tiles of every instruction set,
 * padding, crops and tails at random.
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

enum { configurations = 400 };

/* How often each algorithm was chosen. */
static struct {
    const char *name;
    int count;
} chosen[] = {{"spread", 0},
              {"planar", 0},
              {"phases as channels", 0},
              {"pixels as channels", 0},
              {"by line", 0},
              {"cells as channels", 0},
              {"merged groups", 0}};

static void count_algorithm(const cn_conv_plan *plan)
{
    for (size_t i = 0; i < CN__COUNT(chosen); i++)
        chosen[i].count += strcmp(cn_conv_plan_algorithm(plan), chosen[i].name) == 0;
}

/* One side has few channels, the other any number, in one group or several; long lines, few of
 * them. */
static cn_conv random_conv(void)
{
    static const int64_t some[] = {1, 2, 3, 5, 8, 16, 17, 21, 32, 40, 65};
    cn_conv conv = {.rank = (int)test_int(1, 3), .batch = test_int(1, 2), .direct_only = true};
    int64_t few = test_int(1, 6), many = some[test_int(0, 10)];
    bool swap = test_int(0, 1) == 0;
    conv.groups = test_int(0, 2) == 0 ? test_int(2, 5) : 1;
    conv.in_channels = (swap ? few : many) * conv.groups;
    conv.out_channels = (swap ? many : few) * conv.groups;
    for (int i = 0; i < conv.rank; i++) {
        bool last = i == conv.rank - 1;
        conv.in[i] = test_int(1, last ? 70 : 5);
        conv.kernel[i] = test_int(1, conv.rank == 3 ? 3 : 7);
        conv.stride[i] = test_int(0, 1) == 0 ? 1 : test_int(2, conv.rank == 1 ? 12 : 4);
        conv.dilation[i] = test_int(0, 4) == 0 ? 2 : 1;
        conv.before[i] = test_int(-2, 4);
        conv.out[i] = test_int(1, last ? 90 : 7);
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
    static const cn_clamp none = {-INFINITY, INFINITY}, some = {-0.5f, 0.75f};
    int64_t count = cn_conv_out_count(conv);
    float *in = test_floats(cn_conv_in_count(conv)), *bias = test_floats(conv->out_channels);
    float *kernel = test_floats(cn_conv_kernel_count(conv, transposed)), *out = test_floats(count);
    double *exact = malloc((size_t)count * sizeof *exact);
    double *magnitude = malloc((size_t)count * sizeof *magnitude);
    const float *used_bias = test_int(0, 2) > 0 ? bias : NULL;
    const cn_clamp *clamp = test_int(0, 1) == 0 ? &none : &some;
    cn_conv_plan *plan = cn_conv_plan_new(conv, transposed ? CN_CONV_TRANSPOSE : CN_CONV_FORWARD);
    assert_non_null(plan);
    bool depthwise = strcmp(cn_conv_plan_algorithm(plan), "depthwise") == 0;
    assert_true(depthwise || cn_conv_plan_scratch_bytes(plan) == 0);
    count_algorithm(plan);
    float *packed = cn__alloc(cn_conv_plan_packed_bytes(plan));
    void *scratch = cn__alloc(cn_conv_plan_scratch_bytes(plan));
    cn_conv_plan_pack_and_run(plan, in, kernel, packed, used_bias, clamp, out, scratch, pool);
    (transposed ? reference_conv_transpose : reference_conv)(conv, in, kernel, used_bias, exact,
                                                             magnitude);
    for (int64_t i = 0; i < count; i++)
        exact[i] = fmin(fmax(exact[i], (double)clamp->low), (double)clamp->high);
    assert_close(cn_conv_plan_algorithm(plan), number, out, exact, magnitude, count);
    cn__free(packed);
    cn__free(scratch);
    cn_conv_plan_free(plan);
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

/* Every instruction set takes its turn. */
static void for_configurations(void (*check)(const cn_conv *conv, bool transposed, int number,
                                             cn_pool *pool))
{
    const cn__kernels *tables[8];
    int count = cn__kernels_all(tables);
    cn_pool *pool = cn_pool_new(2);
    test_seed();
    for (int i = 0; i < configurations; i++) {
        cn_conv conv = random_conv();
        cn__kernels_use(tables[i % count]);
        check(&conv, test_int(0, 1) == 0, i, i % 3 == 0 ? pool : NULL);
    }
    cn__kernels_use(NULL);
    cn_pool_free(pool);
}

static void test_result(void **state)
{
    (void)state;
    for_configurations(check_result);
    for (size_t i = 0; i < CN__COUNT(chosen); i++)
        if (chosen[i].count == 0)
            fail_msg("\"%s\" was never chosen", chosen[i].name);
}

static void test_kernel_gradient(void **state)
{
    (void)state;
    for_configurations(check_kernel_gradient);
}

/* Generators' last layers, an image's first, upsampling by a large factor, a long kernel: large
 * enough for several tasks and parts. */
static const cn_conv layers[] = {
    {.rank = 2,
     .in_channels = 70,
     .out_channels = 3,
     .in = {33, 35},
     .kernel = {5, 5},
     .stride = {2, 2}},
    {.rank = 2,
     .in_channels = 18,
     .out_channels = 1,
     .in = {30, 41},
     .kernel = {9, 9},
     .stride = {3, 3}},
    {.rank = 2,
     .in_channels = 21,
     .out_channels = 21,
     .in = {9, 7},
     .kernel = {16, 16},
     .stride = {8, 8}},
    {.rank = 2, .in_channels = 3, .out_channels = 32, .in = {40, 37}, .kernel = {3, 3}},
    {.rank = 2, .in_channels = 32, .out_channels = 3, .in = {40, 37}, .kernel = {3, 3}},
    {.rank = 2, .in_channels = 24, .out_channels = 3, .in = {5, 701}, .kernel = {7, 7}},
    {.rank = 2,
     .in_channels = 33,
     .out_channels = 5,
     .in = {19, 500},
     .kernel = {4, 4},
     .stride = {2, 2}},
    {.rank = 1, .in_channels = 100, .out_channels = 1, .in = {30}, .kernel = {128}, .stride = {32}},
};

/* Groups of few channels by minimal filtering, when they are merged: its bound, 1e-5 of the largest
 * output. */
static void test_merged_groups(void **state)
{
    (void)state;
    for (int transposed = 0; transposed < 2; transposed++) {
        cn_conv conv = {.rank = 2,
                        .batch = 2,
                        .in_channels = 64,
                        .out_channels = 64,
                        .groups = 16,
                        .in = {27, 29},
                        .kernel = {3, 3}};
        assert_int_equal(transposed ? cn_conv_transpose_pad_keras(&conv, CN_SAME, NULL)
                                    : cn_conv_pad_keras(&conv, CN_SAME),
                         CN_OK);
        test_seed();
        int64_t count = cn_conv_out_count(&conv);
        float *in = test_floats(cn_conv_in_count(&conv)), *out = test_floats(count);
        float *kernel = test_floats(cn_conv_kernel_count(&conv, transposed != 0));
        float *bias = test_floats(conv.out_channels);
        double *exact = malloc((size_t)count * sizeof *exact), most = 0;
        double *magnitude = malloc((size_t)count * sizeof *magnitude);
        cn_conv_plan *plan =
            cn_conv_plan_new(&conv, transposed ? CN_CONV_TRANSPOSE : CN_CONV_FORWARD);
        if (cn__kernels_get()->lanes == 16) /* a group fills shorter vectors, or nearly */
            assert_string_equal(cn_conv_plan_algorithm(plan), "merged groups");
        cn_conv_plan_free(plan);
        assert_int_equal(
            (transposed ? cn_conv_transpose_f32 : cn_conv_f32)(&conv, in, kernel, bias, out, NULL),
            CN_OK);
        (transposed ? reference_conv_transpose : reference_conv)(&conv, in, kernel, bias, exact,
                                                                 magnitude);
        for (int64_t i = 0; i < count; i++)
            most = fmax(most, fabs(exact[i]));
        for (int64_t i = 0; i < count; i++)
            assert_true(fabs((double)out[i] - exact[i]) <= 1e-5 * most);
        free(in);
        free(out);
        free(kernel);
        free(bias);
        free(exact);
        free(magnitude);
    }
}

static void run(const cn_conv *conv, const float *in, const float *kernel, float *out,
                float *gradient, cn_pool *pool)
{
    assert_int_equal(cn_conv_transpose_f32(conv, in, kernel, NULL, out, pool), CN_OK);
    assert_int_equal(cn_conv_transpose_kernel_gradient_f32(conv, in, out, gradient, pool), CN_OK);
}

static void test_threads(void **state)
{
    (void)state;
    static const int threads[] = {1, 2, 3, 8};
    test_seed();
    for (size_t i = 0; i < CN__COUNT(layers); i++) {
        cn_conv conv = layers[i];
        conv.batch = 3;
        conv.direct_only = true;
        assert_int_equal(cn_conv_transpose_pad_keras(&conv, CN_SAME, NULL), CN_OK);
        check_result(&conv, true, (int)i, NULL);
        check_kernel_gradient(&conv, true, (int)i, NULL);
        int64_t count = cn_conv_out_count(&conv), weights = cn_conv_kernel_count(&conv, true);
        float *in = test_floats(cn_conv_in_count(&conv)), *kernel = test_floats(weights);
        float *out = test_floats(count), *other = test_floats(count);
        float *gradient = test_floats(weights), *other_gradient = test_floats(weights);
        run(&conv, in, kernel, out, gradient, NULL);
        for (size_t t = 0; t < CN__COUNT(threads); t++) {
            cn_pool *pool = cn_pool_new(threads[t]);
            run(&conv, in, kernel, other, other_gradient, pool);
            assert_memory_equal(out, other, (size_t)count * sizeof *out);
            assert_memory_equal(gradient, other_gradient, (size_t)weights * sizeof *gradient);
            cn_pool_free(pool);
        }
        free(in);
        free(kernel);
        free(out);
        free(other);
        free(gradient);
        free(other_gradient);
    }
}

/* First layers, and upsampling from few channels, whose lines are cut into strips, some at the
 * image's edges and some within; kernels of one block and of many, taps that are not merged, lines
 * that the padding alone fills. */
static const struct {
    bool transposed;
    cn_conv conv;
} first_layers[] = {
    {false,
     {.rank = 2,
      .in_channels = 3,
      .out_channels = 72,
      .in = {19, 1501},
      .kernel = {7, 7},
      .stride = {2, 2}}},
    {false, {.rank = 2, .in_channels = 1, .out_channels = 56, .in = {40, 41}, .kernel = {9, 9}}},
    {false,
     {.rank = 2,
      .in_channels = 8,
      .out_channels = 33,
      .in = {12, 400},
      .kernel = {3, 3},
      .dilation = {3, 2}}},
    {false,
     {.rank = 3, .in_channels = 2, .out_channels = 40, .in = {5, 6, 300}, .kernel = {3, 3, 3}}},
    {false,
     {.rank = 1,
      .in_channels = 1,
      .out_channels = 64,
      .in = {9000},
      .kernel = {400},
      .stride = {64}}},
    {false, {.rank = 2, .in_channels = 4, .out_channels = 32, .in = {2, 50}, .kernel = {9, 3}}},
    {false,
     {.rank = 2,
      .in_channels = 6,
      .out_channels = 130,
      .groups = 2,
      .in = {12, 151},
      .kernel = {3, 5}}},
    {true, {.rank = 2, .in_channels = 4, .out_channels = 160, .in = {7, 111}, .kernel = {5, 5}}},
    {true,
     {.rank = 2,
      .in_channels = 3,
      .out_channels = 48,
      .in = {20, 300},
      .kernel = {5, 4},
      .stride = {2, 3}}},
    {true,
     {.rank = 3,
      .in_channels = 4,
      .out_channels = 128,
      .groups = 2,
      .in = {3, 5, 40},
      .kernel = {2, 3, 5},
      .stride = {1, 2, 2}}},
    {true, /* phases without taps */
     {.rank = 2,
      .in_channels = 21,
      .out_channels = 96,
      .in = {20, 30},
      .kernel = {1, 1},
      .stride = {2, 2}}},
};

static void test_first_layers(void **state)
{
    (void)state;
    const cn__kernels *tables[8];
    int count = cn__kernels_all(tables);
    cn_pool *pool = cn_pool_new(3);
    test_seed();
    for (size_t i = 0; i < CN__COUNT(first_layers) * (size_t)count; i++) {
        cn_conv conv = first_layers[i / (size_t)count].conv;
        bool transposed = first_layers[i / (size_t)count].transposed;
        conv.batch = 2;
        conv.direct_only = true;
        assert_int_equal(transposed ? cn_conv_transpose_pad_keras(&conv, CN_SAME, NULL)
                                    : cn_conv_pad_keras(&conv, CN_SAME),
                         CN_OK);
        cn__kernels_use(tables[i % (size_t)count]);
        cn_conv_plan *plan =
            cn_conv_plan_new(&conv, transposed ? CN_CONV_TRANSPOSE : CN_CONV_FORWARD);
        assert_string_equal(cn_conv_plan_algorithm(plan), "by line");
        cn_conv_plan_free(plan);
        check_result(&conv, transposed, (int)i, pool);
        float *in = test_floats(cn_conv_in_count(&conv));
        float *kernel = test_floats(cn_conv_kernel_count(&conv, transposed));
        int64_t values = cn_conv_out_count(&conv);
        float *out = test_floats(values), *other = test_floats(values);
        assert_int_equal(
            (transposed ? cn_conv_transpose_f32 : cn_conv_f32)(&conv, in, kernel, NULL, out, NULL),
            CN_OK);
        assert_int_equal((transposed ? cn_conv_transpose_f32 : cn_conv_f32)(&conv, in, kernel, NULL,
                                                                            other, pool),
                         CN_OK);
        assert_memory_equal(out, other, (size_t)values * sizeof *out);
        free(in);
        free(kernel);
        free(out);
        free(other);
    }
    cn__kernels_use(NULL);
    cn_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_result),        cmocka_unit_test(test_kernel_gradient),
        cmocka_unit_test(test_threads),       cmocka_unit_test(test_first_layers),
        cmocka_unit_test(test_merged_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
