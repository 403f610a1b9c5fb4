/* A DCGAN: a generator of pictures, trained by a discriminator that is trained to tell them from
 * real ones.
 *
 *     dcgan [-e EPOCHS] [-n SAMPLES] [-o FOLDER] [IMAGES.idx]
 *
 * Without a file the real pictures are drawn shapes. After every epoch dcgan.png shows what the
 * generator makes of the same 64 random codes. */
#include "common.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CODE = 64, BATCH = 64 };

#define ADAM "Adam(learning_rate=0.0002, beta_1=0.5)"

/* Kernels of 4 with strides of 2 leave no checkerboard. */
static cn_model *make_generator(void)
{
    return cn_sequential(
        cn_input({CODE}), cn_dense(7 * 7 * 64, .use_bias = CN_FALSE),
        cn_batch_normalization(.momentum = 0.8F), cn_activation("relu"),
        cn_reshape({7, 7, 64}),                                                 /* 7 x 7 x 64 */
        cn_conv2d_transpose(64, {4, 4}, {2, 2}, CN_SAME, .use_bias = CN_FALSE), /* 14 x 14 x 64 */
        cn_batch_normalization(.momentum = 0.8F), cn_activation("relu"),
        cn_conv2d_transpose(1, {4, 4}, {2, 2}, CN_SAME, .activation = "sigmoid")); /* 28 x 28 */
}

static cn_model *make_discriminator(void)
{
    return cn_sequential(cn_input({28, 28, 1}),
                         cn_conv2d(32, {4, 4}, {2, 2}, CN_SAME), /* 14 x 14 x 32 */
                         cn_leaky_relu(0.2F), cn_dropout(0.25F),
                         cn_conv2d(64, {4, 4}, {2, 2}, CN_SAME), /* 7 x 7 x 64 */
                         cn_leaky_relu(0.2F), cn_dropout(0.25F),
                         cn_conv2d(128, {4, 4}, {2, 2}, CN_SAME), /* 4 x 4 x 128 */
                         cn_leaky_relu(0.2F), cn_dropout(0.25F), cn_flatten(),
                         cn_dense(1, .activation = "sigmoid")); /* 1: real, 0: made */
}

static cn_array *random_codes(int64_t count)
{
    cn_shape shape = cn_shape_of(count, CODE);
    return random_normal(&shape);
}

/* Real pictures, any BATCH of them. */
static cn_array *random_pictures(const cn_array *x)
{
    cn_shape shape = cn_shape_of(BATCH, 28, 28, 1);
    int64_t count = cn_array_shape(x)->dim[0], size = cn_array_count(x) / count;
    cn_array *pictures = cn_array_new(CN_FLOAT32, &shape);
    need(pictures);
    for (int i = 0; i < BATCH; i++)
        memcpy(cn_array_floats(pictures) + i * size,
               cn_array_const_floats(x) + rand() % count * size, (size_t)size * sizeof(float));
    return pictures;
}

static cn_array *filled(float value)
{
    cn_shape shape = cn_shape_of(BATCH, 1);
    cn_array *array = cn_array_new(CN_FLOAT32, &shape);
    need(array);
    for (int i = 0; i < BATCH; i++)
        cn_array_floats(array)[i] = value;
    return array;
}

typedef struct game {
    cn_model *generator, *discriminator;
    cn_model *both;        /* the generator, judged by a discriminator that does not learn */
    cn_array *real, *made; /* what the discriminator should say; a little less than sure */
    cn_array *want;        /* what the generator wants it to say */
    double losses[2];      /* of the discriminator and the generator, summed over the epoch */
    cn_pool *pool;
} game;

static game begin(cn_pool *pool)
{
    game g = {.pool = pool, .real = filled(0.9F), .made = filled(0), .want = filled(1)};
    g.generator = make_generator();
    g.discriminator = make_discriminator();
    check(cn_compile(g.discriminator, .optimizer = ADAM, .loss = {"binary_crossentropy"}));

    /* Which layers learn is settled when a model is compiled: here those of the generator alone. */
    cn_layer *judge = cn_model_as_layer(g.discriminator);
    cn_layer_set_trainable(judge, false);
    cn_tensor *verdict = cn_apply(judge, cn_model_output(g.generator));
    g.both = cn_model_new(cn_model_inputs(g.generator), cn_tensors(verdict));
    check(cn_compile(g.both, .optimizer = ADAM, .loss = {"binary_crossentropy"}));
    return g;
}

static void train(cn_model *model, const cn_array *x, const cn_array *y, double *loss,
                  cn_pool *pool)
{
    cn_logs logs;
    check(cn_model_train_on_batch(model, cn_arrays(x), cn_arrays(y), (cn_array_list){0}, &logs,
                                  pool));
    *loss += cn_logs_get(logs, "loss");
}

/* One batch: the discriminator learns from real and from made pictures, then the generator. */
static void play(game *g, const cn_array *real)
{
    cn_array *codes = random_codes(BATCH), *made = predict(g->generator, codes, g->pool);
    train(g->discriminator, real, g->real, &g->losses[0], g->pool);
    train(g->discriminator, made, g->made, &g->losses[0], g->pool);
    train(g->both, codes, g->want, &g->losses[1], g->pool);
    cn_array_free(codes);
    cn_array_free(made);
}

int main(int argc, char **argv)
{
    settings s = read_command_line(argc, argv, 40, 10000, "[IMAGES.idx]");
    cn_array *x = grey_pictures(&s), *codes = random_codes(64);
    int64_t batches = cn_array_shape(x)->dim[0] / BATCH;
    if (batches == 0)
        fail("the samples make no batch of 64");
    game g = begin(s.pool);
    for (int64_t epoch = 0; epoch < s.epochs; epoch++) {
        g.losses[0] = g.losses[1] = 0;
        for (int64_t batch = 0; batch < batches; batch++) {
            cn_array *real = random_pictures(x);
            play(&g, real);
            cn_array_free(real);
        }
        printf("epoch %" PRId64 "/%" PRId64 "  discriminator %.4f  generator %.4f  ", epoch + 1,
               s.epochs, g.losses[0] / (double)(2 * batches), g.losses[1] / (double)batches);
        cn_array *samples = predict(g.generator, codes, s.pool);
        write_pictures(&s, "dcgan.png", cn_arrays(samples), 8);
        cn_array_free(samples);
    }

    cn_array *arrays[] = {x, codes, g.real, g.made, g.want};
    for (int i = 0; i < 5; i++)
        cn_array_free(arrays[i]);
    cn_model_free(g.both); /* and with it the discriminator, which is one of its layers */
    cn_model_free(g.generator);
    cn_pool_free(s.pool);
    return 0;
}
