/* See common.h. */
#include "common.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- command line, errors ---- */

static int64_t read_number(const char *text)
{
    char *end;
    long long number = strtoll(text, &end, 10);
    if (*end == '\0' && number >= 1 && number <= 1000000)
        return number;
    fprintf(stderr, "\"%s\" is no number from 1 to 1000000\n", text);
    exit(2);
}

settings read_command_line(int argc, char **argv, int64_t epochs, int64_t samples,
                           const char *files)
{
    settings s = {.epochs = epochs, .samples = samples, .folder = "."};
    for (int option; (option = getopt(argc, argv, "e:n:o:")) != -1;) {
        if (option == 'e')
            s.epochs = read_number(optarg);
        else if (option == 'n')
            s.samples = read_number(optarg);
        else if (option == 'o')
            s.folder = optarg;
        else {
            fprintf(stderr, "usage: %s [-e EPOCHS] [-n SAMPLES] [-o FOLDER] %s\n", argv[0], files);
            exit(2);
        }
    }
    s.file_count = argc - optind;
    s.files = argv + optind;
    s.pool = cn_pool_new(0);
    need(s.pool);
    return s;
}

const char *in_folder(const settings *s, const char *name, char *path, size_t size)
{
    snprintf(path, size, "%s/%s", s->folder, name);
    return path;
}

void fail(const char *message)
{
    fprintf(stderr, "%s\n", message);
    exit(1);
}

void check(cn_status status)
{
    if (status != CN_OK)
        fail(cn_error_message());
}

void need(const void *made)
{
    if (made == NULL)
        check(cn_error_status());
}

/* ---- training ---- */

cn_array *predict(cn_model *model, const cn_array *x, cn_pool *pool)
{
    cn_array *y = NULL;
    check(cn_model_predict(model, cn_arrays(x).items, &y, 0, pool));
    return y;
}

/* ---- arrays ---- */

cn_array *part_of(const cn_array *a, int64_t first, int64_t count)
{
    cn_shape shape = *cn_array_shape(a);
    if (shape.dim[0] == 0 || first < 0 || first + count > shape.dim[0])
        fail("there are fewer samples than are wanted");
    int64_t size = cn_array_count(a) / shape.dim[0];
    shape.dim[0] = count;
    cn_array *part = cn_array_new(cn_array_dtype(a), &shape);
    need(part);
    if (cn_array_dtype(a) == CN_INT32)
        memcpy(cn_array_ints(part), cn_array_const_ints(a) + first * size,
               (size_t)(count * size) * sizeof(int32_t));
    else
        memcpy(cn_array_floats(part), cn_array_const_floats(a) + first * size,
               (size_t)(count * size) * sizeof(float));
    return part;
}

static cn_array *read_idx(const char *path, int64_t most)
{
    cn_array *all = cn_idx_read(path);
    need(all);
    if (cn_array_shape(all)->rank != 3)
        fail("the .idx file holds no pictures; MNIST's are in t10k-images-idx3-ubyte.gz");
    int64_t count = cn_array_shape(all)->dim[0];
    cn_array *pictures = part_of(all, 0, count < most ? count : most);
    cn_array_free(all);
    cn_shape shape = *cn_array_shape(pictures); /* (n, 28, 28): channels are missing */
    shape.dim[shape.rank++] = 1;
    check(cn_array_reshape(pictures, &shape));
    float *values = cn_array_floats(pictures);
    for (int64_t i = 0; i < cn_array_count(pictures); i++)
        values[i] /= 255;
    return pictures;
}

static cn_array *draw_grey(int64_t count)
{
    cn_array *colours = NULL, *labels = NULL;
    check(cn_drawn_shapes(1, count, 28, &colours, &labels));
    cn_shape shape = cn_shape_of(count, 28, 28, 1);
    cn_array *pictures = cn_array_new(CN_FLOAT32, &shape);
    need(pictures);
    for (int64_t i = 0; i < cn_array_count(pictures); i++) {
        const float *rgb = cn_array_const_floats(colours) + 3 * i;
        cn_array_floats(pictures)[i] = 0.299F * rgb[0] + 0.587F * rgb[1] + 0.114F * rgb[2];
    }
    cn_array_free(colours);
    cn_array_free(labels);
    return pictures;
}

cn_array *grey_pictures(const settings *s)
{
    return s->file_count > 0 ? read_idx(s->files[0], s->samples) : draw_grey(s->samples);
}

/* Box and Muller's transform of a linear congruential generator's numbers. */
cn_array *random_normal(const cn_shape *shape)
{
    static uint64_t state = 1;
    cn_array *numbers = cn_array_new(CN_FLOAT32, shape);
    need(numbers);
    for (int64_t i = 0; i < cn_array_count(numbers); i++) {
        double uniform[2];
        for (int k = 0; k < 2; k++) {
            state = state * 6364136223846793005U + 1442695040888963407U;
            uniform[k] = ((double)(state >> 11) + 0.5) / 0x1p53;
        }
        double angle = 6.283185307179586 * uniform[1];
        cn_array_floats(numbers)[i] = (float)(sqrt(-2 * log(uniform[0])) * cos(angle));
    }
    return numbers;
}

/* ---- pictures ---- */

/* One picture into its place on a sheet, in colour, 0 to 255. */
static void place(const cn_array *pictures, int64_t index, float *to, int64_t sheet_width)
{
    const int64_t *d = cn_array_shape(pictures)->dim;
    int64_t height = d[1], width = d[2], channels = d[3];
    const float *from = cn_array_const_floats(pictures) + index * height * width * channels;
    for (int64_t row = 0; row < height; row++)
        for (int64_t i = 0; i < width * 3; i++)
            to[row * sheet_width * 3 + i] =
                255 * from[(row * width + i / 3) * channels + (channels == 3 ? i % 3 : 0)];
}

void write_pictures(const settings *s, const char *name, cn_array_list arrays, int64_t columns)
{
    enum { GAP = 2, ENLARGED = 3 };
    const int64_t *d = cn_array_shape(arrays.items[0])->dim; /* (count, height, width, channels) */
    int64_t rows = (d[0] + columns - 1) / columns * arrays.count;
    int64_t step_y = d[1] + GAP, step_x = d[2] + GAP;
    cn_shape shape = cn_shape_of(rows * step_y - GAP, columns * step_x - GAP, 3);
    cn_array *sheet = cn_array_new(CN_FLOAT32, &shape);
    need(sheet);
    for (int64_t i = 0; i < d[0]; i++)
        for (int k = 0; k < arrays.count; k++) {
            int64_t row = i / columns * arrays.count + k, column = i % columns;
            float *to =
                cn_array_floats(sheet) + (row * step_y * shape.dim[1] + column * step_x) * 3;
            place(arrays.items[k], i, to, shape.dim[1]);
        }
    int enlarged = d[1] < 100 ? ENLARGED : 1; /* small pictures are hard to see */
    cn_array *large =
        cn_image_resize(sheet, enlarged * shape.dim[0], enlarged * shape.dim[1], CN_RESIZE_NEAREST);
    need(large);
    char path[4096];
    check(cn_image_write(in_folder(s, name, path, sizeof path), large));
    printf("wrote %s\n", path);
    fflush(stdout);
    cn_array_free(large);
    cn_array_free(sheet);
}
