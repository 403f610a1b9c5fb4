/* Sub-pixel convolution: convolutions, transposed convolutions and kernel gradients with strides
 * and few channels on the fine side, against the double reference; the same bits for any number of
 * threads; its memory; and where it is chosen.
 *
 * Error bound, stated in ops.h: 1e-5 of the largest value, as minimal filtering has it. Where there
 * are few values, the largest is taken to be at least the standard deviation of one. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "support/reference_conv.h"
#include "support/winograd_cases.h"

enum { passes = 4 };

static const cn_conv_pass all_passes[passes] = {
    CN_CONV_FORWARD, CN_CONV_TRANSPOSE, CN_CONV_KERNEL_GRADIENT, CN_CONV_TRANSPOSE_KERNEL_GRADIENT};

static bool is_transposed(cn_conv_pass pass)
{
    return pass == CN_CONV_TRANSPOSE || pass == CN_CONV_TRANSPOSE_KERNEL_GRADIENT;
}

static bool is_gradient(cn_conv_pass pass)
{
    return pass == CN_CONV_KERNEL_GRADIENT || pass == CN_CONV_TRANSPOSE_KERNEL_GRADIENT;
}

/* Few channels on the fine side, so few that minimal filtering alone cannot compute them: that it
 * can for four and more that lie side by side where the kernel is a multiple of the stride. */
static cn_conv random_subpixel(cn_conv_pass pass)
{
    int rank = (int)test_int(1, 3);
    bool transposed = is_transposed(pass);
    cn_conv conv = {.rank = rank, .batch = test_int(1, 3)};
    for (int i = 0; i < rank; i++) {
        bool deep = rank == 3 && i == 0;
        int64_t stride = test_int(deep ? 1 : 2, rank == 1 ? 5 : deep ? 2 : 3);
        int64_t most = rank == 3 ? 4 : 9, cells = test_int(1, most);
        int64_t fine = test_int(1, most * stride);
        conv.stride[i] = stride;
        conv.kernel[i] = test_int(stride + 1, 3 * stride);
        conv.in[i] = transposed ? cells : fine;
        conv.out[i] = transposed ? fine : cells;
        conv.before[i] = test_int(-4, 6);
    }
    int64_t few = test_int(1, 3), many = channels(), last = conv.stride[rank - 1];
    if (few * last >= 4 && conv.kernel[rank - 1] % last == 0)
        conv.kernel[rank - 1]--;
    conv.in_channels = transposed ? many : few;
    conv.out_channels = transposed ? few : many;
    return conv;
}

/* A run's operands: `from` and `with` are the input and the kernel, or the output's gradient. */
typedef struct operands {
    float *from, *with, *bias, *result;
    int64_t count; /* of the result */
} operands;

static operands operands_new(const cn_conv *conv, cn_conv_pass pass)
{
    int64_t out = cn_conv_out_count(conv);
    int64_t weights = cn_conv_kernel_count(conv, is_transposed(pass));
    bool gradient = is_gradient(pass);
    operands o = {.from = test_floats(cn_conv_in_count(conv)),
                  .with = test_floats(gradient ? out : weights),
                  .bias = test_floats(conv->out_channels),
                  .count = gradient ? weights : out};
    o.result = test_floats(o.count);
    return o;
}

static void operands_free(operands *o)
{
    free(o->from);
    free(o->with);
    free(o->bias);
    free(o->result);
}

/* Memory of exactly the plan's bytes, so that a sanitizer sees what is beyond. */
static void run(const cn_conv_plan *plan, cn_conv_pass pass, const operands *o,
                const cn_clamp *clamp, cn_pool *pool)
{
    float *packed = cn__alloc(cn_conv_plan_packed_bytes(plan));
    void *scratch = cn__alloc(cn_conv_plan_scratch_bytes(plan));
    assert_true(packed != NULL && scratch != NULL);
    if (is_gradient(pass)) {
        cn_conv_plan_kernel_gradient(plan, o->from, o->with, o->result, scratch, pool);
    } else {
        cn_conv_plan_pack(plan, o->with, packed, pool);
        cn_conv_plan_run(plan, o->from, packed, o->bias, clamp, o->result, scratch, pool);
    }
    cn__free(packed);
    cn__free(scratch);
}

static void reference(const cn_conv *conv, cn_conv_pass pass, const operands *o, double *exact)
{
    double *magnitude = malloc((size_t)o->count * sizeof *magnitude);
    bool transposed = is_transposed(pass);
    if (is_gradient(pass))
        reference_kernel_gradient(conv, transposed, o->from, o->with, exact, magnitude);
    else
        (transposed ? reference_conv_transpose : reference_conv)(conv, o->from, o->with, o->bias,
                                                                 exact, magnitude);
    free(magnitude);
}

/* Of a result, a sum of products of two numbers between -1 and 1, which have the deviation 1/3. */
static double deviation(const cn_conv *conv, cn_conv_pass pass)
{
    bool transposed = is_transposed(pass), gradient = is_gradient(pass);
    double products = (double)(gradient ? conv->batch : conv->in_channels);
    for (int i = 0; i < conv->rank; i++)
        products *= gradient     ? (double)(transposed ? conv->in[i] : conv->out[i])
                    : transposed ? (double)conv->kernel[i] / (double)conv->stride[i]
                                 : (double)conv->kernel[i];
    return sqrt(products) / 3;
}

static cn_conv_plan *plan_of(const cn_conv *conv, cn_conv_pass pass)
{
    cn_conv_plan *plan = cn_conv_plan_new(conv, pass);
    assert_non_null(plan);
    assert_string_equal(cn_conv_plan_algorithm(plan), "sub-pixel");
    return plan;
}

static void check_result(const cn_conv *conv, cn_conv_pass pass, int number, cn_pool *pool)
{
    operands o = operands_new(conv, pass);
    double *exact = malloc((size_t)o.count * sizeof *exact);
    cn_conv_plan *plan = plan_of(conv, pass);
    const cn_clamp clamp = {-2, INFINITY}, *used = test_int(0, 1) ? &clamp : NULL;
    run(plan, pass, &o, used, pool);
    reference(conv, pass, &o, exact);
    double bound = 1e-5 * fmax(largest(exact, o.count), deviation(conv, pass));
    for (int64_t i = 0; i < o.count; i++) {
        if (used != NULL && !is_gradient(pass))
            exact[i] = fmax(exact[i], (double)clamp.low);
        if (!(fabs((double)o.result[i] - exact[i]) <= bound))
            fail_msg("configuration %d, pass %d, %s: element %lld is %.9g, not %.9g +- %.2g",
                     number, (int)pass, cn_isa_name(), (long long)i, (double)o.result[i], exact[i],
                     bound);
    }
    cn_conv_plan_free(plan);
    operands_free(&o);
    free(exact);
}

/* Three points are for filters of two taps. */
static void one_result(int number, cn_pool *pool)
{
    cn_conv_pass pass = all_passes[test_int(0, passes - 1)];
    cn_conv conv = random_subpixel(pass);
    for (int i = 0; i < conv.rank && number % 3 == 0; i++)
        conv.kernel[i] = cn__min(conv.kernel[i], 2 * conv.stride[i] - 1);
    check_result(&conv, pass, number, pool);
}

static void test_results(void **state)
{
    (void)state;
    for_configurations(600, one_result);
}

static const cn_conv generator = {.rank = 2,
                                  .batch = 4,
                                  .in_channels = 128,
                                  .out_channels = 3,
                                  .in = {32, 32},
                                  .out = {64, 64},
                                  .kernel = {5, 5},
                                  .stride = {2, 2},
                                  .before = {1, 1}};

/* The convolution or transposed convolution of a pass that has the generator's sizes. */
static cn_conv generator_of(cn_conv_pass pass)
{
    return is_transposed(pass) ? generator : cn_conv_adjoint(&generator);
}

static void test_threads(void **state)
{
    (void)state;
    static const int threads[] = {2, 3, 8};
    test_seed();
    cn__winograd_prefer(6);
    setenv("CORNU_NUM_THREADS", "8", 1); /* the most that a plan has working memory for */
    for (int p = 0; p < passes; p++) {
        cn_conv conv = generator_of(all_passes[p]);
        operands o = operands_new(&conv, all_passes[p]);
        float *first = malloc((size_t)o.count * sizeof *first);
        cn_conv_plan *plan = plan_of(&conv, all_passes[p]);
        run(plan, all_passes[p], &o, NULL, NULL);
        memcpy(first, o.result, (size_t)o.count * sizeof *first);
        for (size_t t = 0; t < CN__COUNT(threads); t++) {
            cn_pool *pool = cn_pool_new(threads[t]);
            memset(o.result, 0, (size_t)o.count * sizeof *first);
            run(plan, all_passes[p], &o, NULL, pool);
            assert_memory_equal(first, o.result, (size_t)o.count * sizeof *first);
            cn_pool_free(pool);
        }
        cn_conv_plan_free(plan);
        operands_free(&o);
        free(first);
    }
    unsetenv("CORNU_NUM_THREADS");
    cn__winograd_prefer(0);
}

/* No more working memory than is given; what it cannot do or may not do is left to others. */
static void test_choice(void **state)
{
    (void)state;
    for (int p = 0; p < passes; p++) {
        cn_conv conv = generator_of(all_passes[p]);
        bool chosen = false, other = false;
        for (conv.most_scratch = 64 << 20; conv.most_scratch > 0; conv.most_scratch /= 4) {
            cn__winograd_prefer(6);
            cn_conv_plan *plan = cn_conv_plan_new(&conv, all_passes[p]);
            cn__winograd_prefer(0);
            assert_non_null(plan);
            bool here = strcmp(cn_conv_plan_algorithm(plan), "sub-pixel") == 0;
            if (here)
                assert_in_range(cn_conv_plan_scratch_bytes(plan), 0, conv.most_scratch);
            chosen = chosen || here;
            other = other || !here;
            cn_conv_plan_free(plan);
        }
        assert_true(chosen && other);
        conv = generator_of(all_passes[p]);
        conv.direct_only = true;
        cn_conv_plan *plan = cn_conv_plan_new(&conv, all_passes[p]);
        assert_non_null(plan);
        assert_string_not_equal(cn_conv_plan_algorithm(plan), "sub-pixel");
        cn_conv_plan_free(plan);
    }
    cn_conv back = cn_conv_adjoint(&generator);
    cn_conv_plan_free(plan_of(&back, CN_CONV_FORWARD));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_results),
                                       cmocka_unit_test(test_threads),
                                       cmocka_unit_test(test_choice)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
