/* Super-resolution after FSRCNN (Dong, Loy, Tang, arXiv 1608.00367): a network that works on the
 * small picture and ends in a transposed convolution, which makes the large one.
 *
 *     super_resolution [-e EPOCHS] [-n PATCHES] [-o FOLDER] [PHOTOGRAPH...]
 *
 * Learns from patches of all photographs but the last; that one is made smaller by half, enlarged
 * again, and compared with itself (PSNR in decibels, more is better). super_resolution.png: the
 * small one in large pixels, bicubic interpolation, the network, the truth. Without photographs the
 * program takes drawn shapes. */
#include "common.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { SCALE = 2, PATCH = 48 }; /* pixels on a side of a large patch */

/* ---- pictures ---- */

/* (1, height, width, 3), 0 to 1, both sides cut to multiples of the scale. */
static cn_array *read_photograph(const char *path)
{
    cn_array *file = cn_image_read(path, 3);
    need(file);
    const int64_t *d = cn_array_shape(file)->dim;
    if (d[0] < PATCH || d[1] < PATCH)
        fail("a photograph is smaller than a patch");
    cn_shape shape = cn_shape_of(1, d[0] / SCALE * SCALE, d[1] / SCALE * SCALE, 3);
    cn_array *photograph = cn_array_new(CN_FLOAT32, &shape);
    need(photograph);
    int64_t row = shape.dim[2] * 3;
    for (int64_t i = 0; i < cn_array_count(photograph); i++)
        cn_array_floats(photograph)[i] =
            cn_array_const_floats(file)[i / row * d[1] * 3 + i % row] / 255;
    cn_array_free(file);
    return photograph;
}

static cn_array *draw_picture(uint64_t seed)
{
    cn_array *picture, *label;
    check(cn_drawn_shapes(seed, 1, 160, &picture, &label));
    cn_array_free(label);
    return picture;
}

/* Every picture at another size: cn_image_resize() takes one, without the batch. */
static cn_array *resized(const cn_array *pictures, int64_t height, int64_t width, cn_resize method)
{
    cn_shape shape = *cn_array_shape(pictures), one = cn_shape_of(shape.dim[1], shape.dim[2], 3);
    int64_t count = shape.dim[0];
    shape = cn_shape_of(count, height, width, 3);
    cn_array *result = cn_array_new(CN_FLOAT32, &shape);
    need(result);
    for (int64_t i = 0; i < count; i++) {
        cn_array *picture = part_of(pictures, i, 1);
        check(cn_array_reshape(picture, &one));
        cn_array *other = cn_image_resize(picture, height, width, method);
        need(other);
        for (int64_t k = 0; k < cn_array_count(other); k++)
            cn_array_floats(result)[i * cn_array_count(other) + k] =
                cn_array_const_floats(other)[k];
        cn_array_free(other);
        cn_array_free(picture);
    }
    return result;
}

/* What is seen of a photograph when there are only half as many pixels to a side. */
static cn_array *halved(const cn_array *pictures)
{
    const int64_t *d = cn_array_shape(pictures)->dim;
    return resized(pictures, d[1] / SCALE, d[2] / SCALE, CN_RESIZE_BICUBIC);
}

/* Patches from places all over the photographs. */
static cn_array *cut_patches(cn_array *const *photographs, int count, int64_t patches)
{
    cn_shape shape = cn_shape_of(patches, PATCH, PATCH, 3);
    cn_array *result = cn_array_new(CN_FLOAT32, &shape);
    need(result);
    float *to = cn_array_floats(result);
    for (int64_t i = 0; i < patches; i++) {
        const cn_array *from = photographs[i % count];
        const int64_t *d = cn_array_shape(from)->dim;
        int64_t top = rand() % (d[1] - PATCH + 1), left = rand() % (d[2] - PATCH + 1);
        for (int64_t row = 0; row < PATCH; row++)
            for (int64_t k = 0; k < PATCH * 3; k++)
                *to++ = cn_array_const_floats(from)[((top + row) * d[2] + left) * 3 + k];
    }
    return result;
}

/* ---- the network ---- */

static cn_tensor *convolution(cn_tensor *x, int64_t filters, int64_t size)
{
    x = cn_apply(
        cn_conv2d(filters, {size, size}, .padding = CN_SAME, .kernel_initializer = "he_normal"), x);
    return cn_apply(cn_prelu(.shared_axes = {1, 2}), x);
}

/* Learns what bicubic interpolation lacks. ICNR (Aitken et al., arXiv 1707.02937) starts the
 * transposed convolution without a checkerboard: all pixels made of one start the same. */
static cn_model *make_network(void)
{
    cn_tensor *small = cn_input_tensor({-1, -1, 3}); /* of any size */
    cn_tensor *x = convolution(small, 48, 5);        /* features */
    x = convolution(x, 16, 1);                       /* shrinking */
    for (int i = 0; i < 3; i++)
        x = convolution(x, 16, 3); /* mapping */
    x = convolution(x, 48, 1);     /* expanding */
    cn_tensor *detail =
        cn_apply(cn_conv2d_transpose(3, {8, 8}, {SCALE, SCALE}, CN_SAME,
                                     .kernel_initializer =
                                         "ICNR(scale=2, initializer='RandomNormal(stddev=0.001)')"),
                 x);
    cn_tensor *plain =
        cn_apply(cn_up_sampling2d({SCALE, SCALE}, .interpolation = "bicubic"), small);
    cn_tensor *large = cn_apply_list(cn_add(), cn_tensors(plain, detail));
    return cn_model_new(cn_tensors(small), cn_tensors(large));
}

static double psnr(const cn_array *a, const cn_array *b)
{
    double sum = 0;
    for (int64_t i = 0; i < cn_array_count(a); i++)
        sum += pow((double)(cn_array_const_floats(a)[i] - cn_array_const_floats(b)[i]), 2);
    return -10 * log10(sum / (double)cn_array_count(a));
}

/* ---- the program ---- */

/* The pictures to learn from, and behind them the one to be tested on. */
static int get_pictures(const settings *s, cn_array **pictures, int most)
{
    if (s->file_count == 1 || s->file_count > most)
        fail("give from 2 to 64 photographs: some to learn from, and the last one to test on");
    int count = s->file_count > 0 ? s->file_count : 5;
    for (int i = 0; i < count; i++)
        pictures[i] =
            s->file_count > 0 ? read_photograph(s->files[i]) : draw_picture((uint64_t)i + 1);
    return count;
}

/* Several single pictures of the same size as one array. */
static cn_array *together(cn_array *const *pictures, int count)
{
    cn_shape shape = *cn_array_shape(pictures[0]);
    shape.dim[0] = count;
    cn_array *all = cn_array_new(CN_FLOAT32, &shape);
    need(all);
    int64_t size = cn_array_count(pictures[0]);
    for (int64_t i = 0; i < count * size; i++)
        cn_array_floats(all)[i] = cn_array_const_floats(pictures[i / size])[i % size];
    return all;
}

static void compare(const settings *s, cn_model *model, cn_array *truth)
{
    const int64_t *d = cn_array_shape(truth)->dim;
    cn_array *small = halved(truth);
    cn_array *pixels = resized(small, d[1], d[2], CN_RESIZE_NEAREST);
    cn_array *bicubic = resized(small, d[1], d[2], CN_RESIZE_BICUBIC);
    cn_array *ours = predict(model, small, s->pool);
    printf("bicubic %.2f dB, ours %.2f dB\n", psnr(bicubic, truth), psnr(ours, truth));

    cn_array *sheet = together((cn_array *[]){pixels, bicubic, ours, truth}, 4);
    write_pictures(s, "super_resolution.png", cn_arrays(sheet), 4);
    cn_array *arrays[] = {small, pixels, bicubic, ours, sheet};
    for (int i = 0; i < 5; i++)
        cn_array_free(arrays[i]);
}

int main(int argc, char **argv)
{
    settings s = read_command_line(argc, argv, 20, 2000, "[PHOTOGRAPH...]");
    cn_array *pictures[64];
    int count = get_pictures(&s, pictures, 64);
    cn_array *large = cut_patches(pictures, count - 1, s.samples), *small = halved(large);

    cn_model *model = make_network();
    check(cn_compile(model, .optimizer = "Adam(learning_rate=0.001)", .loss = {"mae"},
                     .metrics = {"psnr"}));
    check(cn_fit(model, cn_arrays(small), cn_arrays(large), .epochs = s.epochs, .batch_size = 16,
                 .callbacks = cn_callbacks(cn_progress(stdout)), .pool = s.pool));
    compare(&s, model, pictures[count - 1]);

    for (int i = 0; i < count; i++)
        cn_array_free(pictures[i]);
    cn_array_free(large);
    cn_array_free(small);
    cn_model_free(model);
    cn_pool_free(s.pool);
    return 0;
}
