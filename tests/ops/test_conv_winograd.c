/* Minimal filtering: convolutions and transposed convolutions against the double reference, their
 * adjoints, the same bits for any number of threads, and what forbids it.
 *
 * Error bound, stated in ops.h: 1e-5 of the largest output. Where there are few outputs, or all lie
 * in the padding beside cells of their tile that are not zero, the largest is taken to be at least
 * the standard deviation of an output within the image. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "support/reference_conv.h"
#include "support/winograd_cases.h"

enum { configurations = 240 };

/* Of an output, in the middle of an image: a product of two numbers between -1 and 1 has 1/3. */
static double deviation(const cn_conv *conv, bool transposed)
{
    double products = (double)cn_conv_kernel_count(conv, transposed) / (double)conv->out_channels;
    for (int i = 0; i < conv->rank; i++)
        products /= conv->stride[i] != 0 ? (double)conv->stride[i] : 1;
    return sqrt(products) / 3;
}

static const char *algorithm(const cn_conv *conv, bool transposed)
{
    cn_conv_plan *plan = cn_conv_plan_new(conv, transposed ? CN_CONV_TRANSPOSE : CN_CONV_FORWARD);
    assert_non_null(plan);
    const char *found = cn_conv_plan_algorithm(plan);
    cn_conv_plan_free(plan);
    return found;
}

static void check_result(const cn_conv *conv, bool transposed, int number, cn_pool *pool)
{
    int64_t count = cn_conv_out_count(conv), weights = cn_conv_kernel_count(conv, transposed);
    float *in = test_floats(cn_conv_in_count(conv)), *kernel = test_floats(weights);
    float *bias = test_floats(conv->out_channels), *out = test_floats(count);
    double *exact = malloc((size_t)count * sizeof *exact);
    double *magnitude = malloc((size_t)count * sizeof *magnitude);
    const float *used_bias = test_int(0, 1) ? bias : NULL;
    assert_string_equal(algorithm(conv, transposed), name);
    assert_int_equal(
        (transposed ? cn_conv_transpose_f32 : cn_conv_f32)(conv, in, kernel, used_bias, out, pool),
        CN_OK);
    (transposed ? reference_conv_transpose : reference_conv)(conv, in, kernel, used_bias, exact,
                                                             magnitude);
    double bound = 1e-5 * fmax(largest(exact, count), deviation(conv, transposed));
    for (int64_t i = 0; i < count; i++)
        if (!(fabs((double)out[i] - exact[i]) <= bound))
            fail_msg("configuration %d, %s: element %lld is %.9g, not %.9g +- %.2g", number,
                     cn_isa_name(), (long long)i, (double)out[i], exact[i], bound);
    free(in);
    free(kernel);
    free(bias);
    free(out);
    free(exact);
    free(magnitude);
}

static void one_conv(int number, cn_pool *pool)
{
    cn_conv conv = random_conv(false);
    check_result(&conv, false, number, pool);
}

static void one_transpose(int number, cn_pool *pool)
{
    cn_conv conv = random_conv(true);
    check_result(&conv, true, number, pool);
}

static void test_conv(void **state)
{
    (void)state;
    for_configurations(configurations, one_conv);
}

static void test_conv_transpose(void **state)
{
    (void)state;
    for_configurations(configurations, one_transpose);
}

/* Fewer channels than lanes, which only merged cells fill: of a convolution's input, or of a
 * transposed convolution's output. */
static void one_merged(int number, cn_pool *pool)
{
    bool transposed = number % 2 == 0;
    int64_t few = test_int(4, 21), many = channels();
    cn_conv conv = {.rank = 2,
                    .batch = test_int(1, 2),
                    .in_channels = transposed ? many : few,
                    .out_channels = transposed ? few : many,
                    .stride = {test_int(1, 5), test_int(4, 8)}};
    for (int i = 0; i < 2; i++) {
        conv.kernel[i] = conv.stride[i] * test_int(2, i == 0 ? 3 : 4);
        conv.in[i] = test_int(1, transposed ? 6 : 40);
        conv.before[i] = test_int(-9, 20);
        conv.out[i] = test_int(transposed ? conv.stride[i] : 1, transposed ? 40 : 8);
    }
    check_result(&conv, transposed, number, pool);
}

static void test_merged(void **state)
{
    (void)state;
    for_configurations(120, one_merged);
}

/* 512 channels, a trained network's size: the bound of ops.h. */
static void one_deep(int number, cn_pool *pool)
{
    static const int64_t kernels[] = {3, 3, 4, 5}, strides[] = {1, 1, 2, 2};
    int which = number / 3 % 4;
    cn_conv conv = {.rank = 2,
                    .batch = 1,
                    .in_channels = 512,
                    .out_channels = 16,
                    .in = {10, 9},
                    .kernel = {kernels[which], kernels[which]},
                    .stride = {strides[which], strides[which]}};
    assert_int_equal(which == 0 ? cn_conv_pad_keras(&conv, CN_SAME)
                                : cn_conv_transpose_pad_keras(&conv, CN_SAME, NULL),
                     CN_OK);
    check_result(&conv, which != 0, number, pool);
}

static void test_deep(void **state)
{
    (void)state;
    for_configurations(36, one_deep);
}

static double dot(const float *x, const float *y, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)x[i] * (double)y[i];
    return sum;
}

/* <conv(x), y> = <x, conv_transpose(y)> to 1e-5 of |conv(x)| |y|, where no output counts as less
 * than the deviation. */
static void one_adjoint(int number, cn_pool *pool)
{
    cn_conv conv = random_conv(false), adjoint = cn_conv_adjoint(&conv);
    int64_t xs = cn_conv_in_count(&conv), ys = cn_conv_out_count(&conv);
    float *x = test_floats(xs), *y = test_floats(ys);
    float *kernel = test_floats(cn_conv_kernel_count(&conv, false));
    float *forward = test_floats(ys), *back = test_floats(xs);
    assert_int_equal(cn_conv_f32(&conv, x, kernel, NULL, forward, pool), CN_OK);
    assert_int_equal(cn_conv_transpose_f32(&adjoint, y, kernel, NULL, back, pool), CN_OK);
    double left = dot(forward, y, ys), right = dot(x, back, xs);
    double size = fmax(sqrt(dot(forward, forward, ys)), sqrt((double)ys) * deviation(&conv, false));
    if (!(fabs(left - right) <= 1e-5 * size * sqrt(dot(y, y, ys))))
        fail_msg("adjoint, configuration %d: %.9g against %.9g", number, left, right);
    free(x);
    free(y);
    free(kernel);
    free(forward);
    free(back);
}

static void test_adjoint(void **state)
{
    (void)state;
    for_configurations(configurations, one_adjoint);
}

/* What a plan keeps between its steps. */
typedef struct planned {
    cn_conv_plan *plan;
    float *packed;
    void *scratch;
} planned;

static planned plan_new(const cn_conv *conv, cn_conv_pass pass)
{
    planned p = {.plan = cn_conv_plan_new(conv, pass)};
    assert_non_null(p.plan);
    assert_string_equal(cn_conv_plan_algorithm(p.plan), name);
    p.packed = cn__alloc(cn_conv_plan_packed_bytes(p.plan));
    p.scratch = cn__alloc(cn_conv_plan_scratch_bytes(p.plan));
    assert_true(p.packed != NULL && p.scratch != NULL);
    return p;
}

static void plan_release(planned *p)
{
    cn_conv_plan_free(p->plan);
    cn__free(p->packed);
    cn__free(p->scratch);
}

/* The clamp of a run is that of its result, and packing on the way changes nothing. */
static void one_clamp(int number, cn_pool *pool)
{
    bool transposed = number % 4 > 1;
    cn_conv conv = random_conv(transposed);
    planned p = plan_new(&conv, transposed ? CN_CONV_TRANSPOSE : CN_CONV_FORWARD);
    int64_t count = cn_conv_out_count(&conv);
    float *in = test_floats(cn_conv_in_count(&conv)), *bias = test_floats(conv.out_channels);
    float *kernel = test_floats(cn_conv_kernel_count(&conv, transposed));
    float *free_out = test_floats(count), *out = test_floats(count);
    const cn_clamp clamp = {-0.25f, number % 3 == 0 ? INFINITY : 0.5f};
    cn_conv_plan_pack_and_run(p.plan, in, kernel, p.packed, bias, NULL, free_out, p.scratch, pool);
    cn_conv_plan_pack(p.plan, kernel, p.packed, pool);
    cn_conv_plan_run(p.plan, in, p.packed, bias, &clamp, out, p.scratch, pool);
    for (int64_t i = 0; i < count; i++)
        if (out[i] != fminf(fmaxf(free_out[i], clamp.low), clamp.high))
            fail_msg("clamp, configuration %d, %s: element %lld is %.9g, without %.9g", number,
                     cn_isa_name(), (long long)i, (double)out[i], (double)free_out[i]);
    free(in);
    free(bias);
    free(kernel);
    free(free_out);
    free(out);
    plan_release(&p);
}

static void test_clamp(void **state)
{
    (void)state;
    for_configurations(60, one_clamp);
}

/* Few tiles, whose transformed input all tasks share, and many, which have their own. */
static void test_threads(void **state)
{
    (void)state;
    static const cn_conv convs[] = {
        {.rank = 2,
         .batch = 2,
         .in_channels = 70,
         .out_channels = 90,
         .in = {13, 11},
         .kernel = {5, 4},
         .stride = {2, 2}},
        {.rank = 2,
         .batch = 2,
         .in_channels = 24,
         .out_channels = 20,
         .in = {50, 61},
         .kernel = {3, 3}},
    };
    static const int threads[] = {1, 2, 3, 8};
    test_seed();
    setenv("CORNU_NUM_THREADS", "8", 1); /* the most that a plan has working memory for */
    for (size_t c = 0; c < CN__COUNT(convs); c++) {
        cn_conv conv = convs[c];
        assert_int_equal(cn_conv_transpose_pad_keras(&conv, CN_SAME, NULL), CN_OK);
        assert_string_equal(algorithm(&conv, true), name);
        int64_t count = cn_conv_out_count(&conv);
        float *in = test_floats(cn_conv_in_count(&conv));
        float *kernel = test_floats(cn_conv_kernel_count(&conv, true));
        float *first = test_floats(count), *other = test_floats(count);
        assert_int_equal(cn_conv_transpose_f32(&conv, in, kernel, NULL, first, NULL), CN_OK);
        for (size_t t = 0; t < CN__COUNT(threads); t++) {
            cn_pool *pool = cn_pool_new(threads[t]);
            memset(other, 0, (size_t)count * sizeof *other);
            assert_int_equal(cn_conv_transpose_f32(&conv, in, kernel, NULL, other, pool), CN_OK);
            assert_memory_equal(first, other, (size_t)count * sizeof *first);
            cn_pool_free(pool);
        }
        free(in);
        free(kernel);
        free(first);
        free(other);
    }
    unsetenv("CORNU_NUM_THREADS");
}

/* It is chosen for large convolutions, not for small ones, nor where it is forbidden or not
 * possible. */
static void test_choice(void **state)
{
    (void)state;
    const cn_conv large = {.rank = 2,
                           .batch = 1,
                           .in_channels = 256,
                           .out_channels = 256,
                           .in = {56, 56},
                           .kernel = {3, 3},
                           .before = {1, 1},
                           .out = {56, 56}};
    assert_string_equal(algorithm(&large, false), name);
    assert_string_equal(algorithm(&large, true), name);
    cn_conv other = large;
    other.direct_only = true;
    assert_string_equal(algorithm(&other, false), "direct");
    other = large;
    other.in_channels = 3;
    assert_string_not_equal(algorithm(&other, false), name);
    other = large;
    other.groups = 128;
    assert_string_not_equal(algorithm(&other, false), name);
    other = large;
    other.dilation[1] = 2;
    assert_string_not_equal(algorithm(&other, false), name);
    other = large;
    other.out[0] = other.out[1] = 1;
    assert_string_not_equal(algorithm(&other, false), name);
}

/* Working memory as given, down to where nothing but the direct sum fits it. */
static void test_scratch(void **state)
{
    (void)state;
    const cn_conv_pass passes[] = {CN_CONV_FORWARD, CN_CONV_TRANSPOSE, CN_CONV_KERNEL_GRADIENT};
    cn_conv conv = {.rank = 2,
                    .batch = 2,
                    .in_channels = 128,
                    .out_channels = 128,
                    .in = {56, 56},
                    .kernel = {3, 3},
                    .before = {1, 1},
                    .out = {56, 56}};
    for (size_t p = 0; p < CN__COUNT(passes); p++) {
        bool filtered = false, direct = false;
        for (conv.most_scratch = 64 << 20; conv.most_scratch > 0; conv.most_scratch /= 4) {
            cn_conv_plan *plan = cn_conv_plan_new(&conv, passes[p]);
            assert_non_null(plan);
            bool filters = strcmp(cn_conv_plan_algorithm(plan), name) == 0;
            if (filters)
                assert_in_range(cn_conv_plan_scratch_bytes(plan), 0, conv.most_scratch);
            filtered |= filters;
            direct |= !filters;
            cn_conv_plan_free(plan);
        }
        assert_true(filtered && direct);
    }
    conv.most_scratch = -1;
    assert_null(cn_conv_plan_new(&conv, CN_CONV_FORWARD));
    assert_string_equal(cn_error_message(), "conv2d: most_scratch must be a number of bytes, or 0 "
                                            "for 128 MiB, not -1");
    cn_clear_error();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv),    cmocka_unit_test(test_conv_transpose),
        cmocka_unit_test(test_merged),  cmocka_unit_test(test_deep),
        cmocka_unit_test(test_adjoint), cmocka_unit_test(test_clamp),
        cmocka_unit_test(test_threads), cmocka_unit_test(test_choice),
        cmocka_unit_test(test_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
