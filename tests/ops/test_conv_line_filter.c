/* Convolutions with few input channels by minimal filtering along lines: against the double
 * reference, with bias and clamps, on every instruction set; the same bits for any number of
 * threads; and where it is chosen.
 *
 * Error bound, stated in ops.h: 1e-5 of the largest value, as minimal filtering has it. Where there
 * are few values, the largest is taken to be at least the standard deviation of one. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/kernels.h"
#include "ops/conv_winograd.h"
#include "support/random.h"
#include "support/reference_conv.h"

enum { configurations = 600 };

static const char name[] = "filtered by line";

/* Fewer input channels than minimal filtering elsewhere needs, any number of output channels; lines
 * shorter than a tile and longer than a strip; padding, crops and tails at random. */
static cn_conv random_conv(int64_t lanes)
{
    static const int64_t columns[] = {1, 3, 8, 15, 16, 17, 21, 32, 33, 40, 48, 70};
    cn_conv conv = {.rank = (int)test_int(1, 3), .batch = test_int(1, 3)};
    conv.in_channels = test_int(1, cn__min(lanes - 1, 12));
    conv.out_channels = columns[test_int(0, 11)];
    for (int i = 0; i < conv.rank; i++) {
        bool last = i == conv.rank - 1, wide = test_int(0, 7) == 0;
        conv.in[i] = test_int(1, !last ? 6 : wide ? 500 : 40);
        conv.kernel[i] = test_int(last ? 2 : 1, conv.rank == 3 ? 3 : 5);
        conv.stride[i] = last ? 1 : test_int(1, 2);
        conv.before[i] = test_int(-3, 5);
        conv.out[i] = test_int(1, !last ? 7 : wide ? 510 : 43);
    }
    return conv;
}

typedef struct operands {
    float *in, *kernel, *bias, *out;
    int64_t count; /* of outputs */
} operands;

static operands operands_new(const cn_conv *conv, bool transposed)
{
    operands o = {.in = test_floats(cn_conv_in_count(conv)),
                  .kernel = test_floats(cn_conv_kernel_count(conv, transposed)),
                  .bias = test_floats(conv->out_channels),
                  .count = cn_conv_out_count(conv)};
    o.out = test_floats(o.count);
    return o;
}

static void operands_free(operands *o)
{
    free(o->in);
    free(o->kernel);
    free(o->bias);
    free(o->out);
}

static cn_conv_plan *plan_of(const cn_conv *conv, bool transposed)
{
    cn_conv_plan *plan = cn_conv_plan_new(conv, transposed ? CN_CONV_TRANSPOSE : CN_CONV_FORWARD);
    assert_non_null(plan);
    assert_string_equal(cn_conv_plan_algorithm(plan), name);
    assert_int_equal(cn_conv_plan_scratch_bytes(plan), 0);
    return plan;
}

/* A packed kernel of exactly the plan's bytes, so that a sanitizer sees what is beyond. */
static void run(const cn_conv_plan *plan, const operands *o, const float *bias,
                const cn_clamp *clamp, cn_pool *pool)
{
    float *packed = cn__alloc(cn_conv_plan_packed_bytes(plan));
    assert_non_null(packed);
    cn_conv_plan_pack(plan, o->kernel, packed, pool);
    cn_conv_plan_run(plan, o->in, packed, bias, clamp, o->out, NULL, pool);
    cn__free(packed);
}

/* Of an output, a sum of products of two numbers between -1 and 1, which have the deviation 1/3. */
static double deviation(const cn_conv *conv)
{
    double products = (double)conv->in_channels;
    for (int i = 0; i < conv->rank; i++)
        products *= (double)conv->kernel[i];
    return sqrt(products) / 3;
}

static void check_result(const cn_conv *conv, bool transposed, int number, cn_pool *pool)
{
    static const cn_clamp some = {-0.5f, 0.75f};
    operands o = operands_new(conv, transposed);
    double *exact = malloc((size_t)o.count * sizeof *exact);
    double *magnitude = malloc((size_t)o.count * sizeof *magnitude);
    const cn_clamp *clamp = test_int(0, 1) == 0 ? &some : NULL;
    const float *bias = test_int(0, 2) > 0 ? o.bias : NULL;
    cn_conv_plan *plan = plan_of(conv, transposed);
    run(plan, &o, bias, clamp, pool);
    (transposed ? reference_conv_transpose : reference_conv)(conv, o.in, o.kernel, bias, exact,
                                                             magnitude);
    double largest = deviation(conv);
    for (int64_t i = 0; i < o.count; i++)
        largest = fmax(largest, fabs(exact[i]));
    for (int64_t i = 0; i < o.count; i++) {
        if (clamp != NULL)
            exact[i] = fmin(fmax(exact[i], (double)clamp->low), (double)clamp->high);
        if (!(fabs((double)o.out[i] - exact[i]) <= 1e-5 * largest))
            fail_msg("configuration %d, %s: element %lld is %.9g, not %.9g +- %.2g", number,
                     cn_isa_name(), (long long)i, (double)o.out[i], exact[i], 1e-5 * largest);
    }
    cn_conv_plan_free(plan);
    operands_free(&o);
    free(exact);
    free(magnitude);
}

/* Every instruction set takes its turn. */
static void test_results(void **state)
{
    (void)state;
    const cn__kernels *tables[8];
    int count = cn__kernels_all(tables);
    cn_pool *pool = cn_pool_new(2);
    test_seed();
    cn__winograd_prefer(cn__filter_points);
    for (int i = 0; i < configurations; i++) {
        const cn__kernels *table = tables[i % count];
        cn_conv conv = random_conv(table->lanes);
        bool transposed = test_int(0, 2) == 0; /* with stride 1 */
        for (int axis = 0; axis < conv.rank && transposed; axis++)
            conv.stride[axis] = 1;
        cn__kernels_use(table);
        check_result(&conv, transposed, i, i % 3 == 0 ? pool : NULL);
    }
    cn__winograd_prefer(0);
    cn__kernels_use(NULL);
    cn_pool_free(pool);
}

/* An image's first layer. */
static const cn_conv first_layer = {.rank = 2,
                                    .batch = 5,
                                    .in_channels = 3,
                                    .out_channels = 40,
                                    .in = {61, 67},
                                    .out = {61, 67},
                                    .kernel = {3, 3},
                                    .before = {1, 1}};

static void test_threads(void **state)
{
    (void)state;
    static const int threads[] = {2, 3, 8};
    test_seed();
    cn__winograd_prefer(cn__filter_points);
    operands o = operands_new(&first_layer, false);
    float *first = malloc((size_t)o.count * sizeof *first);
    cn_conv_plan *plan = plan_of(&first_layer, false);
    run(plan, &o, o.bias, NULL, NULL);
    memcpy(first, o.out, (size_t)o.count * sizeof *first);
    for (size_t t = 0; t < CN__COUNT(threads); t++) {
        cn_pool *pool = cn_pool_new(threads[t]);
        memset(o.out, 0, (size_t)o.count * sizeof *first);
        run(plan, &o, o.bias, NULL, pool);
        assert_memory_equal(first, o.out, (size_t)o.count * sizeof *first);
        cn_pool_free(pool);
    }
    cn__winograd_prefer(0);
    cn_conv_plan_free(plan);
    operands_free(&o);
    free(first);
}

static void assert_chosen(const cn_conv *conv, bool chosen)
{
    cn_conv_plan *plan = cn_conv_plan_new(conv, CN_CONV_FORWARD);
    assert_non_null(plan);
    assert_int_equal(strcmp(cn_conv_plan_algorithm(plan), name) == 0, chosen);
    cn_conv_plan_free(plan);
}

/* On wide vectors with registers enough; not where it may not or cannot be. */
static void test_choice(void **state)
{
    (void)state;
    const cn__kernels *tables[8];
    int count = cn__kernels_all(tables);
    for (int i = 0; i < count; i++) {
        cn__kernels_use(tables[i]);
        cn_conv conv = first_layer;
        conv.out_channels = 64;
        if (tables[i]->lanes == 16)
            assert_chosen(&conv, true);
        conv.direct_only = true;
        assert_chosen(&conv, false);
        conv.direct_only = false;
        conv.dilation[1] = 2;
        assert_chosen(&conv, false);
        conv.dilation[1] = 1;
        conv.stride[1] = 2;
        assert_chosen(&conv, false);
    }
    cn__kernels_use(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_results),
                                       cmocka_unit_test(test_threads),
                                       cmocka_unit_test(test_choice)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
