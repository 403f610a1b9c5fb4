/* Planning a depthwise convolution: the phases, the places of the weights, the units of work. */
#include "ops/conv_depthwise.h"

/* Least multiplications worth a task of its own: some ten microseconds of one core. */
static const double task_multiplications = 1 << 19;

enum {
    /* Tasks that a large convolution is cut into, so that many threads share them evenly. */
    wanted_tasks = 32,
    least_columns = 64 /* of a unit of work */
};

/* Repeating an image's channels, or adding them up, pays for several taps of each cell. */
static bool has_taps(const cn_conv *conv)
{
    double taps = 1;
    for (int i = 0; i < 3; i++)
        taps *= (double)conv->kernel[i] / (double)conv->stride[i];
    return taps >= 2;
}

int64_t cn__depthwise_repeat(const cn_conv_plan *plan)
{
    const cn_conv *conv = &plan->conv;
    bool transposed = plan->pass == CN_CONV_TRANSPOSE;
    int64_t few = transposed ? conv->out_channels : conv->in_channels;
    int64_t many = transposed ? conv->in_channels : conv->out_channels;
    if (conv->groups == 1 || conv->groups != few || many / few >= plan->kernels->lanes ||
        conv->kernel[0] * conv->kernel[1] > cn__depthwise_lines || (many > few && !has_taps(conv)))
        return 0;
    return many / few;
}

static int64_t greatest_divisor(int64_t a, int64_t b)
{
    return b == 0 ? a : greatest_divisor(b, a % b);
}

static cn__depthwise_axis plain_axis(const cn_conv *conv, int axis)
{
    return (cn__depthwise_axis){.count = conv->out[axis],
                                .taps = conv->kernel[axis],
                                .first = -conv->before[axis],
                                .step = conv->stride[axis],
                                .gap = conv->dilation[axis],
                                .tap_step = 1,
                                .out_step = 1};
}

/* Output position o = phase + p * stride gets tap t from cell (o + before - t * dilation) / stride
 * where that is whole. The cells grow as the taps fall. */
static cn__depthwise_axis transposed_axis(const cn_conv *conv, int axis, int64_t phase)
{
    int64_t stride = conv->stride[axis], dilation = conv->dilation[axis];
    int64_t common = greatest_divisor(stride, dilation), at = phase + conv->before[axis];
    cn__depthwise_axis a = {.count = cn__ceil_div(conv->out[axis] - phase, stride),
                            .step = 1,
                            .gap = dilation / common,
                            .tap_step = -stride / common,
                            .out_first = phase,
                            .out_step = stride};
    for (int64_t t = 0; t < conv->kernel[axis]; t++)
        if ((at - t * dilation) % stride == 0) {
            a.taps++;
            a.tap_first = t;
        }
    if (a.taps > 0)
        a.first = (at - a.tap_first * dilation) / stride;
    return a;
}

static cn_status plan_axis(cn_conv_plan *plan, struct cn__depthwise_conv *d, int axis)
{
    const cn_conv *conv = &d->conv;
    bool transposed = plan->pass == CN_CONV_TRANSPOSE;
    d->phases[axis] = transposed ? cn__min(conv->stride[axis], conv->out[axis]) : 1;
    d->axis[axis] = cn__arena_alloc(plan->arena, (size_t)d->phases[axis] * sizeof *d->axis[axis]);
    if (d->axis[axis] == NULL)
        return cn_error_status();
    for (int64_t p = 0; p < d->phases[axis]; p++)
        d->axis[axis][p] = transposed ? transposed_axis(conv, axis, p) : plain_axis(conv, axis);
    return CN_OK;
}

/* Pixels that fill whole vectors together, if that saves a tenth and neighbours are neighbours in
 * input and output. */
static int64_t pixels_to_merge(const cn_conv *conv, int64_t lanes)
{
    int64_t channels = conv->out_channels;
    int64_t merge = lanes / greatest_divisor(channels, lanes);
    int64_t used = cn__ceil_div(channels, lanes) * lanes;
    bool pays = 10 * used > 11 * channels && merge * channels <= cn__depthwise_merged;
    return conv->stride[2] == 1 && pays ? merge : 1;
}

static cn_status plan_weights(cn_conv_plan *plan, struct cn__depthwise_conv *d)
{
    int64_t lanes = plan->kernels->lanes, channels = d->conv.out_channels;
    int64_t all = d->phases[0] * d->phases[1] * d->phases[2];
    int64_t packed = cn__ceil_div(channels, lanes) * lanes;
    int64_t merged = d->merge > 1 ? d->merge * channels : 0;
    d->weights = cn__arena_alloc(plan->arena, (size_t)all * sizeof *d->weights);
    if (d->weights == NULL)
        return cn_error_status();
    for (int64_t i = 0; i < all; i++) {
        cn__depthwise_weights *w = &d->weights[i];
        int64_t x = i % d->phases[2], y = i / d->phases[2] % d->phases[1];
        int64_t z = i / d->phases[2] / d->phases[1];
        w->axis[0] = &d->axis[0][z];
        w->axis[1] = &d->axis[1][y];
        w->axis[2] = &d->axis[2][x];
        int64_t taps = w->axis[0]->taps * w->axis[1]->taps * w->axis[2]->taps;
        w->packed = d->sums;
        w->merged = d->sums + taps * packed;
        d->sums += taps * (packed + merged);
    }
    return CN_OK;
}

/* Units of work are strips, and parts of strips where there are few. What a task has depends on the
 * shape alone. */
static void plan_units(cn_conv_plan *plan, struct cn__depthwise_conv *d)
{
    const cn_conv *conv = &d->conv;
    int64_t positions = d->axis[2][0].count;
    d->strips = cn__ceil_div(d->axis[1][0].count, cn__depthwise_rows);
    int64_t lines = conv->batch * conv->out[0] * d->strips * d->phases[1];
    d->chunks = cn__max(1, cn__min(cn__ceil_div(wanted_tasks, lines), positions / least_columns));
    d->columns = cn__ceil_div(positions, d->chunks);
    d->chunks = cn__ceil_div(positions, d->columns);
    d->units = lines * d->chunks;
    double all = cn_conv_multiplications(conv, plan->pass == CN_CONV_TRANSPOSE);
    double tasks = all / task_multiplications;
    int64_t most = tasks < wanted_tasks ? cn__max(1, (int64_t)tasks) : wanted_tasks;
    d->task_units = cn__max(1, (d->units + most / 2) / most);
    plan->tasks = cn__ceil_div(d->units, d->task_units);
}

static void plan_channels(const cn_conv_plan *plan, struct cn__depthwise_conv *d)
{
    d->conv = plan->conv;
    d->repeat = cn__depthwise_repeat(plan);
    d->images = 1;
    if (d->repeat == 1)
        return;
    const int64_t *extents = plan->pass == CN_CONV_TRANSPOSE ? d->conv.out : d->conv.in;
    d->images = d->conv.batch;
    d->conv.batch = 1;
    d->conv.groups *= d->repeat;
    d->conv.in_channels = d->conv.out_channels = d->conv.groups;
    d->repeated = extents[0] * extents[1] * extents[2] * d->conv.groups;
}

cn_status cn__depthwise_plan(cn_conv_plan *plan)
{
    struct cn__depthwise_conv *d = cn__arena_alloc(plan->arena, sizeof *d);
    if (d == NULL)
        return cn_error_status();
    plan_channels(plan, d);
    for (int axis = 0; axis < 3; axis++)
        CN__TRY(plan_axis(plan, d, axis));
    d->merge = pixels_to_merge(&d->conv, plan->kernels->lanes);
    CN__TRY(plan_weights(plan, d));
    plan_units(plan, d);
    if (plan->pass == CN_CONV_FORWARD || plan->pass == CN_CONV_TRANSPOSE)
        plan->packed_floats = d->sums;
    else
        plan->scratch_floats = plan->tasks * d->sums;
    plan->scratch_floats += d->repeated;
    plan->depthwise = d;
    plan->path = &cn__depthwise_path;
    plan->algorithm = "depthwise";
    return CN_OK;
}
