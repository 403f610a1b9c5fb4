/* The overlap of a transposed convolution: how many taps of the kernel reach each output cell.
 * Where the numbers differ from cell to cell, the output tends to show a checkerboard. */
#include "cornu/formats.h"
#include "explain.h"

#include <inttypes.h>
#include <stdio.h>

enum { LARGEST_MAP = 16, LARGEST_PICTURE = 256, PICTURE_PIXELS = 512 };

static int64_t modulo(int64_t a, int64_t b)
{
    int64_t rest = a % b;
    return rest < 0 ? rest + b : rest;
}

int64_t explain_taps_inside(const explain_axis *axis, int64_t position)
{
    int64_t taps = 0;
    for (int64_t t = 0; t < axis->kernel; t++)
        taps += modulo(position + axis->before - t * axis->dilation, axis->stride) == 0;
    return taps;
}

int64_t explain_taps(const explain_axis *axis, int64_t position)
{
    int64_t taps = 0;
    for (int64_t t = 0; t < axis->kernel; t++) {
        int64_t from = position + axis->before - t * axis->dilation;
        taps += from >= 0 && from % axis->stride == 0 && from / axis->stride < axis->in;
    }
    return taps;
}

/* ---- text ---- */

static bool map_is_small(const explanation *e)
{
    for (int i = 0; i < e->of.conv.rank; i++)
        if (e->axis[i].stride > LARGEST_MAP)
            return false;
    return e->of.conv.rank <= 2;
}

static int digits_of(int64_t number)
{
    return snprintf(NULL, 0, "%" PRId64, number);
}

/* One period: output cells by their position modulo the stride. */
static void print_map(const explanation *e)
{
    const explain_axis whole = {.kernel = 1, .stride = 1, .dilation = 1};
    const explain_axis *rows = e->of.conv.rank == 2 ? &e->axis[0] : &whole;
    const explain_axis *columns = &e->axis[e->of.conv.rank - 1];
    int width = digits_of(rows->most * columns->most) + 1;
    for (int64_t y = 0; y < rows->stride; y++) {
        (void)printf("   ");
        for (int64_t x = 0; x < columns->stride; x++)
            (void)printf("%*" PRId64, width,
                         explain_taps_inside(rows, y) * explain_taps_inside(columns, x));
        (void)putchar('\n');
    }
}

static void print_remedy(const explanation *e, const explain_axis *a, const char *label)
{
    if (a->least == a->most)
        return;
    (void)printf("  %s: from %" PRId64 " to %" PRId64 ", because ", label, a->least, a->most);
    if (a->step > 1)
        (void)printf("dilation %" PRId64 " and stride %" PRId64
                     " have a common divisor: take dilation 1\n",
                     a->dilation, a->stride);
    else
        (void)printf("kernel %" PRId64 " is not a multiple of stride %" PRId64
                     ": take kernel %" PRId64 "\n",
                     a->kernel, a->stride, (a->kernel / a->stride + 1) * a->stride);
    (void)printf("    or repeat every cell %" PRId64
                 " times (UpSampling%dD), then convolve with stride 1\n",
                 a->stride, e->of.conv.rank);
}

void explain_print_overlap(const explanation *e)
{
    int64_t least = 1, most = 1;
    for (int i = 0; i < e->of.conv.rank; i++) {
        least *= e->axis[i].least;
        most *= e->axis[i].most;
    }
    (void)printf("\noverlap: taps that reach an output cell away from the border\n");
    if (map_is_small(e))
        print_map(e);
    if (least == most) {
        (void)printf("  every cell gets %" PRId64 ": no checkerboard\n", least);
        return;
    }
    (void)printf("  warning: from %" PRId64 " to %" PRId64
                 " with a period of the stride: expect a checkerboard\n",
                 least, most);
    explain_each_axis(e, print_remedy);
}

/* ---- picture ---- */

/* From white (no tap) to dark blue (the most taps). */
static void colour_of(double share, float *rgb)
{
    static const double dark[3] = {8, 48, 107};
    for (int c = 0; c < 3; c++)
        rgb[c] = (float)(255 + share * (dark[c] - 255));
}

static int64_t taps_of_planes(const explanation *e)
{
    return e->of.conv.rank == 3 ? explain_taps(&e->axis[0], e->axis[0].out / 2) : 1;
}

static int64_t extent_of(const explain_axis *axis)
{
    return axis->out < LARGEST_PICTURE ? axis->out : LARGEST_PICTURE;
}

/* The upper left corner of the output, up to LARGEST_PICTURE cells; of a volume the middle plane. A
 * line is drawn one eighth of its length high. */
cn_status explain_draw_overlap(const explanation *e, const char *path)
{
    const explain_axis *columns = &e->axis[e->of.conv.rank - 1], *rows = columns - 1;
    bool line = e->of.conv.rank == 1;
    int64_t width = extent_of(columns), height = line ? (width + 7) / 8 : extent_of(rows);
    int64_t zoom = PICTURE_PIXELS / (width > height ? width : height);
    cn_shape shape = cn_shape_of(height * zoom, width * zoom, 3);
    cn_array *picture = cn_array_new(CN_FLOAT32, &shape);
    if (!picture)
        return cn_error_status();
    double most = 1;
    for (int i = 0; i < e->of.conv.rank; i++)
        most *= (double)e->axis[i].most;
    float *pixel = cn_array_floats(picture);
    for (int64_t y = 0; y < height * zoom; y++) {
        int64_t taps = taps_of_planes(e) * (line ? 1 : explain_taps(rows, y / zoom));
        for (int64_t x = 0; x < width * zoom; x++, pixel += 3)
            colour_of((double)(taps * explain_taps(columns, x / zoom)) / most, pixel);
    }
    cn_status status = cn_image_write(path, picture);
    cn_array_free(picture);
    return status;
}
