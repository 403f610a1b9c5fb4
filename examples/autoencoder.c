/* A convolutional autoencoder: pictures of 784 pixels go through 32 numbers and come back.
 *
 *     autoencoder [-e EPOCHS] [-n SAMPLES] [-o FOLDER] [IMAGES.idx]
 *
 * Without a file the pictures are drawn shapes. The last tenth of them is held back; of these some
 * are written to autoencoder.png, each above what the network makes of it. */
#include "common.h"

static cn_model *make_autoencoder(void)
{
    /* A transposed convolution whose kernel size is a multiple of its stride writes every pixel
     * equally often, and leaves no checkerboard. */
    return cn_sequential(
        cn_input({28, 28, 1}),
        cn_conv2d(16, {3, 3}, {2, 2}, CN_SAME, .activation = "relu"), /* 14 x 14 x 16 */
        cn_conv2d(32, {3, 3}, {2, 2}, CN_SAME, .activation = "relu"), /* 7 x 7 x 32 */
        cn_flatten(),                                                 /* 1568 */
        cn_dense(32, .name = "code"),                                 /* 32 */
        cn_dense(7 * 7 * 32, .activation = "relu"),                   /* 1568 */
        cn_reshape({7, 7, 32}),
        cn_conv2d_transpose(16, {4, 4}, {2, 2}, CN_SAME, .activation = "relu"), /* 14 x 14 x 16 */
        cn_conv2d_transpose(1, {4, 4}, {2, 2}, CN_SAME, .activation = "sigmoid")); /* 28 x 28 */
}

int main(int argc, char **argv)
{
    settings s = read_command_line(argc, argv, 20, 10000, "[IMAGES.idx]");
    cn_array *x = grey_pictures(&s);
    cn_model *model = make_autoencoder();
    check(cn_compile(model, .optimizer = "adam", .loss = {"binary_crossentropy"},
                     .metrics = {"psnr"}));
    check(cn_fit(model, cn_arrays(x), cn_arrays(x), .epochs = s.epochs, .batch_size = 64,
                 .validation_split = 0.1, .callbacks = cn_callbacks(cn_progress(stdout)),
                 .pool = s.pool));

    int64_t count = cn_array_shape(x)->dim[0], shown = count < 40 ? count : 40;
    cn_array *last = part_of(x, count - shown, shown), *back = predict(model, last, s.pool);
    write_pictures(&s, "autoencoder.png", cn_arrays(last, back), 10);

    cn_array_free(back);
    cn_array_free(last);
    cn_array_free(x);
    cn_model_free(model);
    cn_pool_free(s.pool);
    return 0;
}
