/* A small U-Net that tells for every pixel whether it belongs to a disk.
 *
 *     unet [-e EPOCHS] [-n SAMPLES] [-o FOLDER]
 *
 * The pictures are noisy and show disks and boxes of any colour, so that a pixel's colour says
 * nothing: the network must see the shape around it. Writes unet.png: pictures, their masks, and
 * the masks that the network finds, of pictures it was not trained on. */
#include "common.h"

#include <math.h>
#include <stdint.h>

enum { SIZE = 64, FIGURES = 4, WIDTH = 8 };

/* ---- pictures and masks ---- */

/* From 0 to 1, by Marsaglia's xorshift. */
static float draw_number(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (float)(*state >> 40) / 0x1p24F;
}

typedef struct figure {
    bool disk;
    float x, y, radius, angle, colour[3];
} figure;

static figure draw_figure(uint64_t *state)
{
    figure f = {.disk = draw_number(state) < 0.5F};
    f.x = SIZE * draw_number(state);
    f.y = SIZE * draw_number(state);
    f.radius = 7 + 7 * draw_number(state);
    f.angle = 3.14F * draw_number(state);
    for (int c = 0; c < 3; c++)
        f.colour[c] = draw_number(state);
    return f;
}

static bool covers(const figure *f, float x, float y)
{
    x -= f->x;
    y -= f->y;
    if (f->disk)
        return x * x + y * y < f->radius * f->radius;
    float along = x * cosf(f->angle) + y * sinf(f->angle);
    float across = y * cosf(f->angle) - x * sinf(f->angle);
    return fmaxf(fabsf(along), fabsf(across)) < 0.85F * f->radius;
}

/* One picture (SIZE, SIZE, 3) and its mask (SIZE, SIZE, 1): 1 where the topmost figure is a disk.
 */
static void draw(uint64_t *state, float *picture, float *mask)
{
    figure figures[1 + FIGURES];
    for (int i = 0; i <= FIGURES; i++)
        figures[i] = draw_figure(state); /* 0: the background, of which only the colour counts */
    for (int i = 0; i < SIZE * SIZE; i++) {
        int top = FIGURES;
        while (top > 0 && !covers(&figures[top], (float)(i % SIZE), (float)(i / SIZE)))
            top--;
        mask[i] = top > 0 && figures[top].disk ? 1 : 0;
        for (int c = 0; c < 3; c++) {
            float noisy = figures[top].colour[c] + 0.2F * (draw_number(state) - 0.5F);
            picture[3 * i + c] = fminf(fmaxf(noisy, 0), 1);
        }
    }
}

static void draw_pictures(uint64_t seed, int64_t count, cn_array **pictures, cn_array **masks)
{
    cn_shape picture_shape = cn_shape_of(count, SIZE, SIZE, 3);
    cn_shape mask_shape = cn_shape_of(count, SIZE, SIZE, 1);
    need(*pictures = cn_array_new(CN_FLOAT32, &picture_shape));
    need(*masks = cn_array_new(CN_FLOAT32, &mask_shape));
    for (int64_t i = 0; i < count; i++)
        draw(&seed, cn_array_floats(*pictures) + i * SIZE * SIZE * 3,
             cn_array_floats(*masks) + i * SIZE * SIZE);
}

/* ---- the network ---- */

static cn_tensor *convolution(cn_tensor *x, int64_t filters)
{
    x = cn_apply(cn_conv2d(filters, {3, 3}, .padding = CN_SAME, .use_bias = CN_FALSE), x);
    x = cn_apply(cn_batch_normalization(.momentum = 0.9F), x);
    return cn_apply(cn_activation("relu"), x);
}

static cn_tensor *two_convolutions(cn_tensor *x, int64_t filters)
{
    return convolution(convolution(x, filters), filters);
}

/* Down to small maps that see much of the picture, and up again; on the way up the maps of the same
 * size from the way down are put beside, which know where exactly things are. */
static cn_tensor *u(cn_tensor *x, int depth, int64_t filters)
{
    cn_tensor *level = two_convolutions(x, filters);
    if (depth == 0)
        return level;
    cn_tensor *below = u(cn_apply(cn_max_pooling2d({2, 2}), level), depth - 1, 2 * filters);
    cn_tensor *up = cn_apply(cn_conv2d_transpose(filters, {2, 2}, {2, 2}), below);
    return two_convolutions(cn_apply_list(cn_concatenate(), cn_tensors(level, up)), filters);
}

int main(int argc, char **argv)
{
    settings s = read_command_line(argc, argv, 20, 1000, "");
    cn_array *x, *y, *new_x, *new_y;
    draw_pictures(1, s.samples, &x, &y);
    draw_pictures(2, s.samples / 10 + 8, &new_x, &new_y);

    cn_tensor *picture = cn_input_tensor({SIZE, SIZE, 3});
    cn_tensor *mask = cn_apply(cn_conv2d(1, {1, 1}, .activation = "sigmoid"), u(picture, 3, WIDTH));
    cn_model *model = cn_model_new(cn_tensors(picture), cn_tensors(mask));
    check(cn_compile(model, .optimizer = "Adam(learning_rate=0.003)",
                     .loss = {"binary_crossentropy"}, .metrics = {"BinaryIoU"}));
    check(cn_fit(model, cn_arrays(x), cn_arrays(y), .epochs = s.epochs, .batch_size = 16,
                 .validation_x = cn_arrays(new_x), .validation_y = cn_arrays(new_y),
                 .callbacks = cn_callbacks(cn_progress(stdout)), .pool = s.pool));

    cn_array *found = predict(model, new_x, s.pool);
    cn_array *shown[] = {part_of(new_x, 0, 8), part_of(new_y, 0, 8), part_of(found, 0, 8)};
    write_pictures(&s, "unet.png", cn_arrays(shown[0], shown[1], shown[2]), 8);

    cn_array *arrays[] = {x, y, new_x, new_y, found, shown[0], shown[1], shown[2]};
    for (int i = 0; i < 8; i++)
        cn_array_free(arrays[i]);
    cn_model_free(model);
    cn_pool_free(s.pool);
    return 0;
}
