/* Every allocation may fail: there is a message, a NULL or a status, and nothing leaks. */
#include "inspect/arrays.h"

#include "unit/failing.h"

/* Builds, projects and draws; what fails ends it. True if all went well. */
static bool project_and_draw(void)
{
    cn_model *model = cn_sequential(
        cn_input({2, 6, 6}), cn_conv2d(3, {3, 3}, .data_format = CN_CHANNELS_FIRST, .name = "conv"),
        cn_max_pooling2d({2, 2}, .data_format = CN_CHANNELS_FIRST, .name = "pool"));
    cn_shape shape = cn_shape_of(1, 2, 6, 6);
    cn_array *x = cn_array_new(CN_FLOAT32, &shape), *maps = NULL, *back = NULL, *picture = NULL;
    cn_deconvnet *net = x ? cn_deconvnet_new(model, "pool", CN_DECONVNET, 0) : NULL;
    const cn_array *const *in = (const cn_array *const *)&x;
    int64_t filters[2];
    if (net && cn_deconvnet_maps(net, in, &maps, NULL) == CN_OK &&
        cn_strongest_maps(maps, CN_CHANNELS_FIRST, 2, filters) == CN_OK &&
        cn_deconvnet_project(net, in, filters, 2, &back, NULL) == CN_OK) {
        cn_maps_picture_options o = {.data_format = CN_CHANNELS_FIRST, .projections = back};
        picture = cn_maps_picture(maps, filters, 2, &o);
    }
    cn_deconvnet_free(net);
    cn_array_free(maps);
    cn_array_free(back);
    cn_array_free(x);
    cn_model_free(model);
    cn_array_free(picture);
    return picture != NULL;
}

static bool deconvolve(void)
{
    cn_shape shape = cn_shape_of(1, 2, 5, 5), kernel_shape = cn_shape_of(3, 2, 3, 3);
    cn_array *x = cn_array_new(CN_FLOAT32, &shape);
    cn_array *kernel = cn_array_new(CN_FLOAT32, &kernel_shape), *y = NULL;
    cn_deconv2d_options o = {.data_format = CN_CHANNELS_FIRST};
    if (x && kernel)
        y = cn_deconv2d(x, kernel, &o);
    cn_array_free(x);
    cn_array_free(kernel);
    cn_array_free(y);
    return y != NULL;
}

static bool tie(void)
{
    cn_tensor *input = cn_input_tensor({6, 6, 2});
    cn_layer *conv = cn_conv2d(3, {3, 3});
    cn_tensor *maps = cn_apply(conv, input);
    cn_tensor *back = maps ? cn_apply(cn_conv2d_transpose_of(conv), maps) : NULL;
    bool good = back != NULL;
    cn_tensor_release(input);
    return good;
}

static void test_every_allocation(void **state)
{
    (void)state;
    static bool (*const works[])(void) = {project_and_draw, deconvolve, tie};
    for (size_t w = 0; w < sizeof works / sizeof *works; w++) {
        counter c;
        for (int k = 0;; k++) {
            fail_at(&c, k);
            bool good = works[w]();
            if (c.alive != 0)
                fail_msg("work %zu, allocation %d: %d pieces of memory leak", w, k, c.alive);
            if (good)
                break;
            assert_int_equal(cn_error_status(), CN_ERROR_MEMORY);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_every_allocation, restore_allocator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
