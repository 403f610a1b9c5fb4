/* The question's network on handwritten digits of 28 x 28 pixels.
 *
 *     mnist [-e EPOCHS] [-n SAMPLES] [-o FOLDER] IMAGES.idx LABELS.idx
 *
 * The last tenth of the samples is held back for validation. Without files the program learns what
 * shapes are drawn in small pictures. Writes mnist.keras, a model for Keras 3 and for `cornu`, and
 * mnist-curves.png. */
#include "common.h"

#include <inttypes.h>
#include <stdio.h>

enum { BATCH = 64 };

/* What is seen in each picture: a number from 0 to 9. */
static cn_array *read_labels(const settings *s, int64_t count)
{
    cn_array *all = NULL, *pictures = NULL;
    if (s->file_count == 1)
        fail("give the labels, too");
    if (s->file_count > 1)
        all = cn_idx_read(s->files[1]);
    else
        check(cn_drawn_shapes(1, count, 28, &pictures, &all));
    need(all);
    cn_array *labels = part_of(all, 0, count);
    cn_array_free(all);
    cn_array_free(pictures);
    return labels;
}

int main(int argc, char **argv)
{
    settings s = read_command_line(argc, argv, 10, 10000, "[IMAGES.idx LABELS.idx]");
    cn_array *x = grey_pictures(&s);
    int64_t count = cn_array_shape(x)->dim[0], held = (count + 9) / 10;
    cn_array *y = read_labels(&s, count);

    cn_model *model = cn_sequential(
        cn_input({28, 28, 1}),                                           /* 28 x 28 x 1 */
        cn_conv2d(32, {3, 3}, .padding = CN_SAME, .activation = "relu"), /* 28 x 28 x 32 */
        cn_conv2d(32, {3, 3}, .padding = CN_SAME, .activation = "relu"), /* 28 x 28 x 32 */
        cn_max_pooling2d({2, 2}), cn_dropout(0.25F),                     /* 14 x 14 x 32 */
        cn_conv2d(64, {3, 3}, .padding = CN_SAME, .activation = "relu"), /* 14 x 14 x 64 */
        cn_conv2d(64, {3, 3}, .padding = CN_SAME, .activation = "relu"), /* 14 x 14 x 64 */
        cn_max_pooling2d({2, 2}), cn_dropout(0.25F),                     /* 7 x 7 x 64 */
        cn_flatten(),                                                    /* 3136 */
        cn_dense(512, .activation = "relu"), cn_dropout(0.5F),           /* 512 */
        cn_dense(10, .activation = "softmax"));
    char adam[100]; /* small steps towards the end, by half a cosine wave */
    snprintf(adam, sizeof adam,
             "Adam(learning_rate=CosineDecay(initial_learning_rate=0.001, decay_steps=%" PRId64
             "))",
             s.epochs * ((count - held + BATCH - 1) / BATCH));
    check(cn_compile(model, .optimizer = adam, .loss = {"sparse_categorical_crossentropy"},
                     .metrics = {"accuracy"}));

    /* Every epoch sees every digit a little moved, turned and resized. */
    cn_dataset *all = cn_dataset_from_arrays(cn_arrays(x), cn_arrays(y));
    cn_dataset *held_back = cn_dataset_part(all, count - held, held);
    cn_dataset *lesson = cn_augment(cn_dataset_part(all, 0, count - held), .shift = 0.07F,
                                    .rotation = 10, .zoom = 0.1F);
    check(cn_fit_dataset(model, lesson, .epochs = s.epochs, .batch_size = BATCH,
                         .validation_data = held_back,
                         .callbacks = cn_callbacks(cn_progress(stdout)), .pool = s.pool));

    const double *accuracy = cn_history_values(cn_model_history(model), "val_accuracy");
    printf("of pictures that were held back, %.1f%% are recognised\n",
           100 * accuracy[s.epochs - 1]);
    char path[4096];
    check(cn_model_save(model, in_folder(&s, "mnist.keras", path, sizeof path)));
    cn_array *curves = cn_draw_curves(cn_model_history(model), 0, 0);
    check(cn_image_write(in_folder(&s, "mnist-curves.png", path, sizeof path), curves));

    cn_array_free(curves);
    cn_dataset_free(lesson);
    cn_dataset_free(held_back);
    cn_dataset_free(all);
    cn_array_free(x);
    cn_array_free(y);
    cn_model_free(model);
    cn_pool_free(s.pool);
    return 0;
}
