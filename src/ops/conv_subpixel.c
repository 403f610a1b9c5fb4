/* Running sub-pixel convolution: moving pixels and taps to cells and back. */
#include <string.h>

#include "ops/conv_subpixel.h"
#include "ops/conv_winograd.h"
#include "ops/copy.h"
#include "ops/split.h"

/* ---- pixels ---- */

typedef enum direction { to_cells, to_pixels } direction;

typedef struct move {
    const cn_conv_plan *plan;
    direction way;
    const float *from;
    float *to;
    int64_t per_task; /* lines of cells */
} move;

/* Line `line` of the pixels of a line of cells; `outside` if the image has none there. */
static void move_line(const move *m, int64_t line, bool outside, const float *from, float *to)
{
    const cn_conv *conv = &m->plan->conv;
    const struct cn__subpixel *s = m->plan->subpixel;
    bool transposed = m->plan->pass == CN_CONV_TRANSPOSE;
    int64_t channels = transposed ? conv->out_channels : conv->in_channels;
    int64_t width = outside ? 0 : (transposed ? conv->out : conv->in)[2];
    int64_t stride = conv->stride[2], cell = line * stride * channels;
    for (int64_t q = 0, x = -s->shift[2]; q < s->cells[2]; q++, x += stride, cell += s->cell) {
        int64_t first = cn__max(0, -x), count = cn__min(stride, width - x) - first;
        int64_t pixel = (x + first) * channels, place = cell + first * channels;
        if (m->way == to_cells && count < stride)
            memset(to + cell, 0, (size_t)(stride * channels) * sizeof *to);
        if (count <= 0)
            continue;
        if (m->way == to_cells)
            cn__copy_few(to + place, from + pixel, count * channels);
        else
            cn__copy_few(to + pixel, from + place, count * channels);
    }
}

static void move_cells(const move *m, int64_t image, int64_t z, int64_t y)
{
    const cn_conv *conv = &m->plan->conv;
    const struct cn__subpixel *s = m->plan->subpixel;
    bool transposed = m->plan->pass == CN_CONV_TRANSPOSE;
    const int64_t *extent = transposed ? conv->out : conv->in, *stride = conv->stride;
    int64_t pixels = extent[2] * (transposed ? conv->out_channels : conv->in_channels);
    int64_t cells = ((image * s->cells[0] + z) * s->cells[1] + y) * s->cells[2] * s->cell;
    for (int64_t i = 0; i < stride[0] * stride[1]; i++) {
        int64_t at[2] = {z * stride[0] - s->shift[0] + i / stride[1],
                         y * stride[1] - s->shift[1] + i % stride[1]};
        bool outside = at[0] < 0 || at[0] >= extent[0] || at[1] < 0 || at[1] >= extent[1];
        int64_t line = outside ? 0 : ((image * extent[0] + at[0]) * extent[1] + at[1]) * pixels;
        if (m->way == to_cells)
            move_line(m, i, outside, m->from + line, m->to + cells);
        else
            move_line(m, i, outside, m->from + cells, m->to + line);
    }
}

static void move_task(void *opaque, size_t index)
{
    const move *m = opaque;
    const struct cn__subpixel *s = m->plan->subpixel;
    int64_t lines = m->plan->conv.batch * s->cells[0] * s->cells[1];
    int64_t first = (int64_t)index * m->per_task, end = cn__min(first + m->per_task, lines);
    for (int64_t line = first; line < end; line++)
        move_cells(m, line / s->cells[1] / s->cells[0], line / s->cells[1] % s->cells[0],
                   line % s->cells[1]);
}

static void move_pixels(const cn_conv_plan *plan, direction way, const float *from, float *to,
                        cn_pool *pool)
{
    const struct cn__subpixel *s = plan->subpixel;
    move m = {plan, way, from, to, cn__units_per_task(s->cells[2] * s->cell)};
    cn__run_split(pool, move_task, &m, plan->conv.batch * s->cells[0] * s->cells[1], m.per_task);
}

/* ---- taps ---- */

/* Tap u * stride + r - lead of the kernel belongs to pixel r of the cells that tap u of the kernel
 * with stride 1 reads. Both have the channels of the fine side first: (tap, pixel, channel,
 * others). */
typedef void (*tap_function)(float *inner, float *tap, int64_t floats);

static void for_taps(const cn_conv_plan *plan, float *inner, float *kernel, tap_function apply)
{
    const cn_conv *conv = &plan->conv, *one = &plan->subpixel->inner.conv;
    bool transposed = plan->pass == CN_CONV_TRANSPOSE;
    int64_t many = transposed ? conv->in_channels : conv->out_channels;
    int64_t floats = many * (transposed ? conv->out_channels : conv->in_channels);
    const int64_t *s = conv->stride, *k = conv->kernel, *u = one->kernel;
    const int64_t *lead = plan->subpixel->lead;
    for (int64_t z = lead[0]; z < lead[0] + k[0]; z++)
        for (int64_t y = lead[1]; y < lead[1] + k[1]; y++)
            for (int64_t x = lead[2]; x < lead[2] + k[2]; x++) {
                int64_t tap = ((z / s[0]) * u[1] + y / s[1]) * u[2] + x / s[2];
                int64_t pixel = ((z % s[0]) * s[1] + y % s[1]) * s[2] + x % s[2];
                apply(inner + tap * plan->subpixel->cell * many + pixel * floats, kernel, floats);
                kernel += floats;
            }
}

static void give_tap(float *inner, float *tap, int64_t floats)
{
    memcpy(inner, tap, (size_t)floats * sizeof *inner);
}

static void take_tap(float *inner, float *tap, int64_t floats)
{
    memcpy(tap, inner, (size_t)floats * sizeof *tap);
}

static void pack_kernel(const cn_conv_plan *plan, const float *kernel, float *packed, cn_pool *pool)
{
    const struct cn__subpixel *s = plan->subpixel;
    float *inner = packed + s->inner.packed_floats;
    memset(inner, 0, (size_t)s->kernel_floats * sizeof *inner);
    for_taps(plan, inner, (float *)(uintptr_t)kernel, give_tap); /* which only reads it */
    cn_conv_plan_pack(&s->inner, inner, packed, pool);
}

/* ---- running ---- */

static void run_cells(const cn_conv_plan *plan, const cn__conv_run *run, cn_pool *pool)
{
    const struct cn__subpixel *s = plan->subpixel;
    float *cells = run->scratch, *biases = cells + s->cell_floats;
    cn__conv_run inner = *run;
    inner.scratch = biases + s->bias_floats;
    if (plan->pass == CN_CONV_FORWARD) {
        move_pixels(plan, to_cells, run->in, cells, pool);
        inner.in = cells;
        s->inner.path->run(&s->inner, &inner, pool);
        return;
    }
    for (int64_t i = 0; run->bias != NULL && i < s->cell; i++)
        biases[i] = i < s->used ? run->bias[i % plan->conv.out_channels] : 0;
    inner.bias = run->bias != NULL ? biases : NULL;
    inner.out = cells;
    s->inner.path->run(&s->inner, &inner, pool);
    move_pixels(plan, to_pixels, cells, run->out, pool);
}

const cn__conv_path cn__subpixel_path = {pack_kernel, run_cells};

void cn__subpixel_kernel_gradient(const cn_conv_plan *plan, const float *in, const float *gradient,
                                  float *kernel, float *scratch, cn_pool *pool)
{
    const struct cn__subpixel *s = plan->subpixel;
    float *cells = scratch, *inner = cells + s->cell_floats, *rest = inner + s->kernel_floats;
    move_pixels(plan, to_cells, in, cells, pool);
    cn__winograd_gradient_run(&s->inner, cells, gradient, inner, rest, pool);
    for_taps(plan, inner, kernel, take_tap);
}
