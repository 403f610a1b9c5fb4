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
    double largest = deviation(conv, transposed), worst = 0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(exact[i]));
    for (int64_t i = 0; i < count; i++)
        if (!(fabs((double)kernel[i] - exact[i]) <= worst))
            worst = fabs((double)kernel[i] - exact[i]);
    if (!(worst <= 1e-5 * largest))
        fail_msg("configuration %d, %s: an error of %.2g of the largest value", number,
                 cn_isa_name(), worst / largest);
    free(in);
    free(out);
    free(kernel);
    free(exact);
    free(magnitude);
}

static void one_conv(int number, cn_pool *pool)
{
    cn_conv conv = random_conv(false);
    check_result(&conv, false, number, pool);
}

/* Planned on the adjoint convolution: any kernel that can be summed. */
static void one_transpose(int number, cn_pool *pool)
{
    cn_conv adjoint = random_conv(false), conv = cn_conv_adjoint(&adjoint);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv),
        cmocka_unit_test(test_conv_transpose),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
