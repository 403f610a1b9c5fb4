/* The question that Cornu answers, line by line: the feature maps of a network's first layer, their
 * deconvolution, and a model that is trained on both outputs. deconvolution [EPOCHS [SAMPLES]]
 * writes deconvolution.png: pictures above what the deconvolution makes of their feature maps. */
#include <cornu/cornu.h>
#include <stdio.h>
#include <stdlib.h>

static void need(bool worked)
{
    if (worked)
        return;
    fprintf(stderr, "%s\n", cn_error_message());
    exit(1);
}

int main(int argc, char **argv)
{
    int64_t epochs = argc > 1 ? atoll(argv[1]) : 10, samples = argc > 2 ? atoll(argv[2]) : 2000;
    cn_pool *pool = cn_pool_new(0); /* a thread for each processor */
    cn_array *x, *y, *test = NULL, *test_y = NULL, *values, *out[2];
    need(cn_drawn_shapes(1, samples, 32, &x, &y) == CN_OK &&
         cn_drawn_shapes(2, 200, 32, &test, &test_y) == CN_OK);

    cn_model *model = cn_sequential(
        cn_input({32, 32, 3}),                                            /* rows, columns, RGB */
        cn_conv2d(32, {3, 3}, .padding = CN_SAME), cn_activation("relu"), /* 32 x 32 x 32 */
        cn_conv2d(32, {3, 3}, .padding = CN_SAME), cn_activation("relu"), /* 32 x 32 x 32 */
        cn_max_pooling2d({2, 2}), cn_dropout(0.25F),                      /* 16 x 16 x 32 */
        cn_conv2d(64, {3, 3}, .padding = CN_SAME), cn_activation("relu"), /* 16 x 16 x 64 */
        cn_conv2d(64, {3, 3}, .padding = CN_SAME), cn_activation("relu"), /* 16 x 16 x 64 */
        cn_max_pooling2d({2, 2}), cn_dropout(0.25F),                      /* 8 x 8 x 64 */
        cn_flatten(), cn_dense(512), cn_activation("relu"), cn_dropout(0.5F), /* 512 */
        cn_dense(10), cn_activation("softmax", .name = "class"));

    /* K.function([model.input, K.learning_phase()], [model.layers[0].output])([test, 0]) */
    cn_tensor *maps = cn_layer_output(cn_model_layer(model, 0));
    cn_function *function = cn_function_new(cn_tensors(cn_model_input(model)), cn_tensors(maps));
    need(cn_function_run(function, cn_arrays(test).items, &values, false, pool) == CN_OK);
    char text[100];
    printf("feature maps: %s\n", cn_shape_text(cn_array_shape(values), text, sizeof text));

    /* Deconvolution2D(3, 3, 3, output_shape=(None, 32, 32, 3), border_mode='same')(maps) */
    cn_layer *layer = cn_conv2d_transpose(3, {3, 3}, .output_size = {32, 32}, .padding = CN_SAME);
    cn_tensor *deconv = cn_apply(layer, maps), *classes = cn_model_output(model);
    cn_model *both = cn_model_new(cn_model_inputs(model), cn_tensors(classes, deconv));
    need(cn_compile(both, .optimizer = "adam", .loss = {"sparse_categorical_crossentropy", "mse"},
                    .metrics = {"class:accuracy"}) == CN_OK);
    need(cn_fit(both, cn_arrays(x), cn_arrays(y, x), .epochs = epochs, .pool = pool,
                .validation_x = cn_arrays(test), .validation_y = cn_arrays(test_y, test),
                .callbacks = cn_callbacks(cn_progress(stdout))) == CN_OK);

    /* Ten pictures above what comes back from their maps, enlarged fourfold. */
    cn_shape shape = cn_shape_of(2 * 128, 10 * 128, 3);
    cn_array *sheet = cn_array_new(CN_FLOAT32, &shape);
    need(sheet && cn_model_predict(both, cn_arrays(test).items, out, 0, pool) == CN_OK);
    for (int row = 0; row < 256; row++)
        for (int i = 0; i < 3840; i++) {
            const float *from = cn_array_const_floats(row < 128 ? test : out[1]);
            int place = (i / 384 * 32 + row % 128 / 4) * 96 + i % 384 / 12 * 3 + i % 3;
            cn_array_floats(sheet)[row * 3840 + i] = 255 * from[place];
        }
    need(cn_image_write("deconvolution.png", sheet) == CN_OK);

    cn_array *arrays[] = {x, y, test, test_y, values, out[0], out[1], sheet};
    for (int i = 0; i < 8; i++)
        cn_array_free(arrays[i]);
    cn_function_free(function);
    cn_model_free(both);
    cn_model_free(model);
    cn_pool_free(pool);
    return 0;
}
