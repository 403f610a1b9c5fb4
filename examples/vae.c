/* A variational autoencoder: pictures become points of a plane, and every point of the plane a
 * picture.
 *
 *     vae [-e EPOCHS] [-n SAMPLES] [-o FOLDER] [IMAGES.idx]
 *
 * Without a file the pictures are drawn shapes. Writes vae.png, what is decoded from a grid of
 * points, and vae-decoder.keras. */
#include "common.h"

#include <math.h>

enum { SIDE = 15 }; /* of the grid */

/* ---- operations on tensors, as Keras' ops ---- */

static cn_tensor *affine(float scale, cn_tensor *x, float offset)
{
    return cn_op_unary(x, (cn_function1){CN_AFFINE, {scale, offset, 0}});
}

static cn_tensor *exponential(cn_tensor *x)
{
    return cn_op_unary(x, (cn_function1){.op = CN_EXP});
}

/* A normal random point around `mean`: mean + exp(log_variance / 2) * noise. The noise is drawn in
 * training only; otherwise the point is the mean. */
static cn_tensor *sample(cn_tensor *mean, cn_tensor *log_variance)
{
    cn_tensor *noise = cn_op_noise(affine(0, mean, 0), 1, false, 1);
    cn_tensor *deviation = exponential(affine(0.5F, log_variance, 0));
    return cn_op_binary(CN_ADD, mean, cn_op_binary(CN_MULTIPLY, deviation, noise));
}

/* How far these normal distributions are from the standard one (Kullback and Leibler's divergence),
 * for each coordinate: the mean over the batch of
 * (mean^2 + variance - log(variance) - 1) / 2. */
static cn_tensor *divergence(cn_tensor *mean, cn_tensor *log_variance)
{
    cn_tensor *square = cn_op_binary(CN_MULTIPLY, mean, mean);
    cn_tensor *rest = cn_op_binary(CN_SUBTRACT, exponential(log_variance), log_variance);
    cn_tensor *each = affine(0.5F, cn_op_binary(CN_ADD, square, rest), -0.5F);
    return cn_op_reduce(CN_MEAN, each, 1U << 0, false);
}

/* ---- the networks ---- */

static cn_model *make_decoder(void)
{
    return cn_sequential(
        cn_input({2}),                                                          /* a point */
        cn_dense(128, .activation = "relu"),                                    /* 128 */
        cn_dense(7 * 7 * 32, .activation = "relu"),                             /* 1568 */
        cn_reshape({7, 7, 32}),                                                 /* 7 x 7 x 32 */
        cn_conv2d_transpose(32, {4, 4}, {2, 2}, CN_SAME, .activation = "relu"), /* 14 x 14 x 32 */
        cn_conv2d_transpose(1, {4, 4}, {2, 2}, CN_SAME, .activation = "sigmoid")); /* 28 x 28 */
}

static cn_model *make_vae(cn_model *decoder)
{
    cn_tensor *picture = cn_input_tensor({28, 28, 1}), *x = picture;
    x = cn_apply(cn_conv2d(32, {3, 3}, {2, 2}, CN_SAME, .activation = "relu"), x); /* 14 x 14 */
    x = cn_apply(cn_conv2d(64, {3, 3}, {2, 2}, CN_SAME, .activation = "relu"), x); /* 7 x 7 */
    x = cn_apply(cn_dense(128, .activation = "relu"), cn_apply(cn_flatten(), x));
    cn_tensor *mean = cn_apply(cn_dense(2), x), *log_variance = cn_apply(cn_dense(2), x);

    cn_tensor *decoded = cn_apply(cn_model_as_layer(decoder), sample(mean, log_variance));
    cn_model *vae = cn_model_new(cn_tensors(picture), cn_tensors(decoded));
    need(vae);
    check(cn_model_add_loss(vae, divergence(mean, log_variance)));
    return vae;
}

/* ---- the program ---- */

/* A grid of points, nearer to each other where the standard normal distribution is denser. */
static cn_array *grid_of_points(void)
{
    cn_shape shape = cn_shape_of(SIDE * SIDE, 2);
    cn_array *points = cn_array_new(CN_FLOAT32, &shape);
    need(points);
    for (int i = 0; i < SIDE * SIDE; i++)
        for (int axis = 0; axis < 2; axis++) {
            double part = ((axis ? i / SIDE : i % SIDE) + 0.5) / SIDE; /* 0 to 1 */
            double point = log(part / (1 - part)) / 1.702; /* nearly the normal quantile */
            cn_array_floats(points)[2 * i + axis] = (float)point;
        }
    return points;
}

int main(int argc, char **argv)
{
    settings s = read_command_line(argc, argv, 30, 10000, "[IMAGES.idx]");
    cn_array *x = grey_pictures(&s);
    cn_model *decoder = make_decoder(), *vae = make_vae(decoder);
    /* The mean over the pixels, times their number: their sum, as the divergence is one. */
    check(cn_compile(vae, .optimizer = "adam", .loss = {"binary_crossentropy"},
                     .loss_weights = {28 * 28}));
    check(cn_fit(vae, cn_arrays(x), cn_arrays(x), .epochs = s.epochs, .batch_size = 64,
                 .validation_split = 0.1, .callbacks = cn_callbacks(cn_progress(stdout)),
                 .pool = s.pool));

    cn_array *points = grid_of_points(), *pictures = predict(decoder, points, s.pool);
    write_pictures(&s, "vae.png", cn_arrays(pictures), SIDE);
    char path[4096];
    check(cn_model_save(decoder, in_folder(&s, "vae-decoder.keras", path, sizeof path)));

    cn_array *arrays[] = {x, points, pictures};
    for (int i = 0; i < 3; i++)
        cn_array_free(arrays[i]);
    cn_model_free(vae); /* and with it the decoder, which is one of its layers */
    cn_pool_free(s.pool);
    return 0;
}
