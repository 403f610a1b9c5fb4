/* The gradient of a convolution's kernel: for every tap, the outer product of what the tap reads
 * and the output's gradient, summed over the output pixels. The plan is that of the convolution;
 * for a transposed convolution the two buffers change places. */
#include <string.h>

#include "ops/conv_plan.h"

enum {
    chunk = 128, /* pixels whose pointers are gathered at a time */
    widest = 64  /* floats of the widest tile */
};

typedef struct context {
    const cn_conv_plan *plan;
    const float *in;       /* the convolution's input */
    const float *gradient; /* of the convolution's output */
    float *sums;           /* [parts] kernels */
    float *kernel;         /* the result */
    int64_t kernel_floats;
} context;

/* The pixels of one chunk that read inside the image at one tap. */
typedef struct gathered {
    int64_t count;
    const float *in[chunk], *gradient[chunk];
} gathered;

static void gather(const context *c, int64_t tap, int64_t first, int64_t end, int64_t in_offset,
                   int64_t out_offset, gathered *found)
{
    const cn_conv_plan *plan = c->plan;
    const cn__conv_phase *phase = &plan->phase[0];
    const cn_conv *conv = &plan->conv;
    int64_t in_image = conv->in[0] * conv->in[1] * conv->in[2] * conv->in_channels;
    int64_t out_image = conv->out[0] * conv->out[1] * conv->out[2] * conv->out_channels;
    const cn__axis_phase *az = phase->axis[0], *ay = phase->axis[1], *ax = phase->axis[2];
    int64_t tx = tap % ax->taps, ty = tap / ax->taps % ay->taps, tz = tap / ax->taps / ay->taps;
    cn__pixel pixel = cn__pixel_at(phase, first);
    found->count = 0;
    for (int64_t m = first; m < end; m++, cn__pixel_next(phase, &pixel)) {
        int64_t z = az->in[pixel.z * az->taps + tz], y = ay->in[pixel.y * ay->taps + ty];
        int64_t x = ax->in[pixel.x * ax->taps + tx];
        if (z < 0 || y < 0 || x < 0)
            continue;
        found->in[found->count] = c->in + pixel.image * in_image + z + y + x + in_offset;
        found->gradient[found->count++] = c->gradient + pixel.image * out_image + az->out[pixel.z] +
                                          ay->out[pixel.y] + ax->out[pixel.x] + out_offset;
    }
}

/* Adds the gathered pixels to all rows (input channels) of one block of columns. */
static void add_block(const cn_conv_plan *plan, const gathered *found,
                      const cn__column_block *block, float *out)
{
    int64_t width = block->vectors * plan->kernels->lanes;
    const float *const *gradient = found->gradient;
    float padded[chunk * widest];
    const float *copies[chunk], *columns[chunk], *in[chunk];
    for (int64_t p = 0; p < found->count; p++)
        columns[p] = gradient[p] + block->first;
    if (block->columns < width) { /* the kernel reads whole vectors */
        for (int64_t p = 0; p < found->count; p++) {
            copies[p] = padded + p * width;
            memcpy(padded + p * width, columns[p], (size_t)block->columns * sizeof(float));
            memset(padded + p * width + block->columns, 0,
                   (size_t)(width - block->columns) * sizeof(float));
        }
    }
    cn__outer work = {.pixels = found->count,
                      .a = in,
                      .b = block->columns < width ? copies : columns,
                      .stride = plan->conv.out_channels,
                      .columns = block->columns,
                      .accumulate = true};
    int64_t most = plan->kernels->outer_rows[block->vectors];
    for (int64_t i = 0; i < plan->depth; i += most) {
        int64_t rows = cn__min(most, plan->depth - i);
        for (int64_t p = 0; p < found->count; p++)
            in[p] = found->in[p] + i;
        work.out = out + i * plan->conv.out_channels + block->first;
        plan->kernels->outer[block->vectors][rows](&work);
    }
}

/* One group, one tap, one part of the pixels. */
static void gradient_task(void *opaque, size_t index)
{
    const context *c = opaque;
    const cn_conv_plan *plan = c->plan;
    const cn_conv *conv = &plan->conv;
    bool depthwise = cn__conv_is_depthwise(conv);
    int64_t taps = plan->phase[0].taps, part = (int64_t)index % plan->parts;
    int64_t tap = (int64_t)index / plan->parts % taps;
    int64_t group = (int64_t)index / plan->parts / taps;
    int64_t pixels = conv->batch * plan->phase[0].image_pixels;
    int64_t first = pixels * part / plan->parts, end = pixels * (part + 1) / plan->parts;
    int64_t rows = depthwise ? 1 : plan->depth;
    float *out =
        c->sums + part * c->kernel_floats + tap * rows * conv->out_channels + group * plan->columns;
    int64_t columns = depthwise ? conv->out_channels : plan->columns;
    for (int64_t i = 0; i < rows; i++)
        memset(out + i * conv->out_channels, 0, (size_t)columns * sizeof(float));
    gathered found;
    for (int64_t m = first; m < end; m += chunk) {
        gather(c, tap, m, cn__min(m + chunk, end), group * plan->depth, group * plan->columns,
               &found);
        if (found.count == 0)
            continue;
        if (depthwise) {
            plan->kernels->depthwise_gradient(&(cn__depthwise_gradient){
                found.count, conv->out_channels, found.in, found.gradient, out});
            continue;
        }
        for (int64_t b = 0; b < plan->blocks; b++)
            add_block(plan, &found, &plan->block[b], out);
    }
}

/* Adds the parts up, in their order. */
static void sum_parts(const context *c)
{
    memcpy(c->kernel, c->sums, (size_t)c->kernel_floats * sizeof(float));
    for (int64_t p = 1; p < c->plan->parts; p++)
        c->plan->kernels->add_scaled(1, c->sums + p * c->kernel_floats, c->kernel,
                                     c->kernel_floats);
}

void cn_conv_plan_kernel_gradient(const cn_conv_plan *plan, const float *in,
                                  const float *out_gradient, float *kernel_gradient, void *scratch,
                                  cn_pool *pool)
{
    bool transposed = plan->pass == CN_CONV_TRANSPOSE_KERNEL_GRADIENT;
    context c = {.plan = plan,
                 .in = transposed ? out_gradient : in,
                 .gradient = transposed ? in : out_gradient,
                 .sums = plan->parts > 1 ? scratch : kernel_gradient,
                 .kernel = kernel_gradient,
                 .kernel_floats = cn_conv_kernel_count(&plan->conv, false)};
    cn__pool_run(pool, gradient_task, &c, (size_t)plan->tasks);
    if (plan->parts > 1)
        sum_parts(&c);
}

static cn_status gradient_once(const cn_conv *conv, cn_conv_pass pass, const float *in,
                               const float *out_gradient, float *kernel_gradient, cn_pool *pool)
{
    if (in == NULL || out_gradient == NULL || kernel_gradient == NULL)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "conv: the input, the output's gradient and the kernel's "
                        "must be given, none may be NULL");
    cn_conv_plan *plan = cn_conv_plan_new(conv, pass);
    if (plan == NULL)
        return cn_error_status();
    float *scratch = cn__alloc(cn_conv_plan_scratch_bytes(plan));
    cn_status status = scratch != NULL ? CN_OK : cn_error_status();
    if (scratch != NULL)
        cn_conv_plan_kernel_gradient(plan, in, out_gradient, kernel_gradient, scratch, pool);
    cn__free(scratch);
    cn_conv_plan_free(plan);
    return status;
}

cn_status cn_conv_kernel_gradient_f32(const cn_conv *conv, const float *in,
                                      const float *out_gradient, float *kernel_gradient,
                                      cn_pool *pool)
{
    return gradient_once(conv, CN_CONV_KERNEL_GRADIENT, in, out_gradient, kernel_gradient, pool);
}

cn_status cn_conv_transpose_kernel_gradient_f32(const cn_conv *conv, const float *in,
                                                const float *out_gradient, float *kernel_gradient,
                                                cn_pool *pool)
{
    return gradient_once(conv, CN_CONV_TRANSPOSE_KERNEL_GRADIENT, in, out_gradient, kernel_gradient,
                         pool);
}
