/* The built-in networks. */
#include "architectures.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- pieces ---- */

static cn_tensor *image(const architecture_options *o)
{
    const int64_t *size = o->input.dim;
    return cn_input_tensor({size[0], size[1], size[2]}, .name = "image");
}

static cn_tensor *conv(cn_tensor *x, int64_t filters, int64_t kernel, const char *activation)
{
    return cn_apply(
        cn_conv2d(filters, {kernel, kernel}, .padding = CN_SAME, .activation = activation), x);
}

/* Twice as high and wide. */
static cn_tensor *up(cn_tensor *x, int64_t filters, int64_t kernel, const char *activation)
{
    return cn_apply(cn_conv2d_transpose(filters, {kernel, kernel}, .strides = {2, 2},
                                        .padding = CN_SAME, .activation = activation),
                    x);
}

static cn_tensor *pool(cn_tensor *x)
{
    return cn_apply(cn_max_pooling2d({2, 2}), x);
}

/* Releases what was made if there is no model. */
static cn_model *model_of(const char *name, cn_tensor *x, cn_tensor_list outputs)
{
    cn_model *model = cn_model_named(name, cn_tensors(x), outputs);
    if (!model)
        cn_tensor_release(x);
    return model;
}

/* ---- question ---- */

/* The CIFAR network of Keras' documentation. Its second output goes from the maps of the first
 * layer back to the image, through a transposed convolution that is trained with the rest. */
static cn_model *make_question(const architecture_options *o)
{
    cn_tensor *x = image(o);
    cn_tensor *first = conv(x, 32, 3, "relu");
    cn_tensor *y = cn_apply(cn_conv2d(32, {3, 3}, .activation = "relu"), first);
    y = cn_apply(cn_dropout(0.25F), pool(y));
    y = conv(y, 64, 3, "relu");
    y = cn_apply(cn_conv2d(64, {3, 3}, .activation = "relu"), y);
    y = cn_apply(cn_dropout(0.25F), pool(y));
    y = cn_apply(cn_dense(512, .activation = "relu"), cn_apply(cn_flatten(), y));
    y = cn_apply(cn_dropout(0.5F), y);
    y = cn_apply(cn_dense(o->classes, .activation = "softmax", .name = "classes"), y);
    cn_tensor *back = cn_apply(
        cn_conv2d_transpose(o->input.dim[2], {3, 3}, .padding = CN_SAME, .name = "deconv"), first);
    return model_of("question", x, cn_tensors(y, back));
}

/* ---- autoencoder ---- */

static cn_model *make_autoencoder(const architecture_options *o)
{
    cn_tensor *x = image(o);
    cn_tensor *y = pool(conv(x, 32, 3, "relu"));
    y = pool(conv(y, 32, 3, "relu"));
    y = up(up(y, 32, 3, "relu"), 32, 3, "relu");
    y = conv(y, o->input.dim[2], 3, "sigmoid");
    return model_of("autoencoder", x, cn_tensors(y));
}

/* ---- dcgan-generator ---- */

static cn_tensor *normed(cn_tensor *x)
{
    return cn_apply(cn_leaky_relu(), cn_apply(cn_batch_normalization(), x));
}

/* From 100 numbers to a picture of values -1 to 1; Radford et al., arXiv 1511.06434, with as many
 * layers as TensorFlow's tutorial has. */
static cn_model *make_dcgan_generator(const architecture_options *o)
{
    int64_t rows = o->input.dim[0] / 4, columns = o->input.dim[1] / 4;
    cn_tensor *x = cn_input_tensor({100}, .name = "noise");
    cn_tensor *y = normed(cn_apply(cn_dense(rows * columns * 256, .use_bias = CN_FALSE), x));
    y = cn_apply(cn_reshape({rows, columns, 256}), y);
    y = normed(
        cn_apply(cn_conv2d_transpose(128, {5, 5}, .padding = CN_SAME, .use_bias = CN_FALSE), y));
    y = normed(cn_apply(cn_conv2d_transpose(64, {5, 5}, .strides = {2, 2}, .padding = CN_SAME,
                                            .use_bias = CN_FALSE),
                        y));
    y = up(y, o->input.dim[2], 5, "tanh");
    return model_of("dcgan_generator", x, cn_tensors(y));
}

/* ---- unet ---- */

static cn_tensor *twice(cn_tensor *x, int64_t filters)
{
    return conv(conv(x, filters, 3, "relu"), filters, 3, "relu");
}

static cn_tensor *joined(cn_tensor *x, cn_tensor *across, int64_t filters)
{
    cn_tensor *both[] = {up(x, filters, 2, NULL), across};
    return twice(cn_apply_list(cn_concatenate(), (cn_tensor_list){2, both}), filters);
}

/* A class for every pixel: Ronneberger et al., arXiv 1505.04597, with fewer levels and filters. */
static cn_model *make_unet(const architecture_options *o)
{
    cn_tensor *x = image(o);
    cn_tensor *a = twice(x, 32), *b = twice(pool(a), 64), *c = twice(pool(b), 128);
    cn_tensor *y = twice(pool(c), 256);
    y = joined(joined(joined(y, c, 128), b, 64), a, 32);
    y = conv(y, o->classes, 1, "softmax");
    return model_of("unet", x, cn_tensors(y));
}

/* ---- fsrcnn ---- */

static cn_tensor *rectified(cn_tensor *x, int64_t filters, int64_t kernel)
{
    return cn_apply(cn_prelu(.shared_axes = {1, 2}), conv(x, filters, kernel, NULL));
}

/* Enlarges: Dong et al., arXiv 1608.00367, with d = 56, s = 12, m = 4. */
static cn_model *make_fsrcnn(const architecture_options *o)
{
    cn_tensor *x = image(o);
    cn_tensor *y = rectified(rectified(x, 56, 5), 12, 1);
    for (int i = 0; i < 4; i++)
        y = rectified(y, 12, 3);
    y = rectified(y, 56, 1);
    y = cn_apply(cn_conv2d_transpose(o->input.dim[2], {9, 9}, .strides = {o->scale, o->scale},
                                     .padding = CN_SAME),
                 y);
    return model_of("fsrcnn", x, cn_tensors(y));
}

/* ---- the table ---- */

static const architecture table[] = {
    {.name = "question",
     .input = {32, 32, 3},
     .classes = 10,
     .step = 1,
     .loss = "sparse_categorical_crossentropy, mse",
     .metrics = "classes:accuracy",
     .make = make_question},
    {.name = "autoencoder",
     .input = {32, 32, 3},
     .step = 4,
     .loss = "binary_crossentropy",
     .make = make_autoencoder},
    {.name = "dcgan-generator",
     .input = {28, 28, 1},
     .step = 4,
     .loss = "mse",
     .make = make_dcgan_generator},
    {.name = "unet",
     .input = {128, 128, 3},
     .classes = 2,
     .step = 8,
     .loss = "sparse_categorical_crossentropy",
     .metrics = "accuracy",
     .make = make_unet},
    {.name = "fsrcnn",
     .input = {32, 32, 1},
     .scale = 2,
     .step = 1,
     .loss = "mse",
     .metrics = "PSNR(max_val=1)",
     .make = make_fsrcnn},
};

enum { ARCHITECTURES = sizeof table / sizeof *table };

const architecture *architecture_named(const char *name)
{
    for (int i = 0; i < ARCHITECTURES; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

static const char *nearest_name(const char *name)
{
    return cli_nearest(name, (const char *const *)(const void *)&table->name, ARCHITECTURES,
                       sizeof *table);
}

static const char *all_names(char *text, size_t size)
{
    size_t used = 0;
    for (int i = 0; i < ARCHITECTURES && used < size; i++)
        used +=
            (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "", table[i].name);
    return text;
}

int architecture_check_name(const char *path)
{
    char names[200];
    if (access(path, F_OK) == 0 || strpbrk(path, "./"))
        return CLI_OK;
    const char *nearest = nearest_name(path);
    return cli_fail("there is no file %s and no built-in model of that name%s%s%s The built-in "
                    "ones: %s",
                    path, nearest ? ": did you mean " : "", nearest ? nearest : "",
                    nearest ? "?" : ".", all_names(names, sizeof names));
}

/* ---- making ---- */

/* Puts the defaults in; false after a message. */
static bool complete(const architecture *a, architecture_options *o)
{
    if (o->input.rank == 0)
        o->input = (cli_extents){3, {a->input[0], a->input[1], a->input[2]}};
    const int64_t *size = o->input.dim;
    if (o->input.rank != 3 || size[0] < a->step || size[1] < a->step || size[2] < 1 ||
        size[0] % a->step != 0 || size[1] % a->step != 0) {
        (void)cli_fail_usage(NULL,
                             "--input takes height, width and channels, as in %" PRId64 "x%" PRId64
                             "x%" PRId64 "; %s needs multiples of %" PRId64,
                             a->input[0], a->input[1], a->input[2], a->name, a->step);
        return false;
    }
    if ((o->classes != 0 && a->classes == 0) || (o->scale != 0 && a->scale == 0)) {
        (void)cli_fail_usage(NULL, "%s has no --%s", a->name,
                             o->classes != 0 && a->classes == 0 ? "classes" : "scale");
        return false;
    }
    o->classes = o->classes != 0 ? o->classes : a->classes;
    o->scale = o->scale != 0 ? o->scale : a->scale;
    if ((a->classes != 0 && o->classes < 2) || (a->scale != 0 && o->scale < 1)) {
        (void)cli_fail_usage(NULL, "--classes takes a number from 2 and --scale one from 1");
        return false;
    }
    return true;
}

cn_model *architecture_make(const architecture *a, const architecture_options *options, int *code)
{
    architecture_options o = *options;
    *code = CLI_USAGE;
    if (!complete(a, &o))
        return NULL;
    cn_model *model = a->make(&o);
    *code = model ? CLI_OK : cli_fail_library();
    return model;
}
