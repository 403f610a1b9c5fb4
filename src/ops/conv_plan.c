/* Planning a convolution: the tables of the three axes, the phases, the column blocks, the tasks.
 */
#include <stdio.h>
#include <string.h>

#include "ops/conv_depthwise.h"
#include "ops/conv_direct.h"
#include "ops/conv_fold.h"
#include "ops/conv_groups.h"
#include "ops/conv_plan.h"
#include "ops/conv_subpixel.h"
#include "ops/conv_winograd.h"

/* Least multiplications worth a task of its own: some ten microseconds of one core. */
static const double task_multiplications = 1 << 20;

enum {
    /* Tasks that a large convolution is cut into at least, so that many threads share them evenly.
     */
    wanted_tasks = 32,
    /* Fewest and most output pixels of a task. Few pixels would read the packed kernel, which may
     * not fit the second-level cache, too often. */
    least_pixels = 256,
    most_pixels = 4096,
    /* Floats of the operands that are used together: about half of a second-level cache. */
    cached_floats = 128 * 1024
};

/* The same convolution with three axes and every default written out. */
static cn_conv normalised(const cn_conv *conv)
{
    cn_conv full = *conv;
    full.rank = 3;
    full.groups = conv->groups != 0 ? conv->groups : 1;
    int missing = 3 - conv->rank;
    for (int i = 0; i < 3; i++) {
        bool has = i >= missing;
        int from = has ? i - missing : 0;
        full.in[i] = has ? conv->in[from] : 1;
        full.out[i] = has ? conv->out[from] : 1;
        full.kernel[i] = has ? conv->kernel[from] : 1;
        full.stride[i] = has && conv->stride[from] != 0 ? conv->stride[from] : 1;
        full.dilation[i] = has && conv->dilation[from] != 0 ? conv->dilation[from] : 1;
        full.before[i] = has ? conv->before[from] : 0;
    }
    return full;
}

/* The input position that tap t of output position o reads, -1 if it lies outside or, for a
 * transposed convolution, between two positions. */
static int64_t input_position(const cn_conv *conv, bool transposed, int axis, int64_t o, int64_t t)
{
    int64_t shift = t * conv->dilation[axis], stride = conv->stride[axis], i;
    if (!transposed) {
        i = o * stride + shift - conv->before[axis];
    } else {
        i = o + conv->before[axis] - shift;
        if (i < 0 || i % stride != 0)
            return -1;
        i /= stride;
    }
    return i >= 0 && i < conv->in[axis] ? i : -1;
}

/* True if tap t belongs to the output positions o with o % stride == phase. */
static bool tap_in_phase(const cn_conv *conv, int axis, int64_t phase, int64_t t)
{
    return (phase + conv->before[axis] - t * conv->dilation[axis]) % conv->stride[axis] == 0;
}

/* Which taps of the kernel belong to a phase, in the order of the input cells that they read. */
static cn_status plan_taps(cn_conv_plan *plan, int axis, int64_t first, cn__axis_phase *phase)
{
    const cn_conv *conv = &plan->conv;
    bool all = plan->pass != CN_CONV_TRANSPOSE;
    int64_t kernel = conv->kernel[axis], found = 0;
    for (int64_t t = 0; t < kernel; t++)
        phase->taps += all || tap_in_phase(conv, axis, first, t);
    int64_t *tap = cn__arena_alloc(plan->arena, (size_t)phase->taps * sizeof *tap);
    if (tap == NULL)
        return cn_error_status();
    for (int64_t t = 0; t < kernel; t++)
        if (all || tap_in_phase(conv, axis, first, t))
            tap[all ? found++ : phase->taps - ++found] = t;
    phase->tap = tap;
    return CN_OK;
}

static bool all_inside(const cn__axis_phase *phase, int64_t position)
{
    for (int64_t t = 0; t < phase->taps; t++)
        if (phase->in[position * phase->taps + t] < 0)
            return false;
    return true;
}

static void find_inside(cn__axis_phase *phase)
{
    while (phase->inside < phase->count && !all_inside(phase, phase->inside))
        phase->inside++;
    phase->inside_end = phase->inside;
    while (phase->inside_end < phase->count && all_inside(phase, phase->inside_end))
        phase->inside_end++;
}

static cn_status plan_axis_phase(cn_conv_plan *plan, int axis, int64_t first, int64_t step,
                                 const int64_t strides[2], cn__axis_phase *phase)
{
    const cn_conv *conv = &plan->conv;
    bool transposed = plan->pass == CN_CONV_TRANSPOSE;
    phase->count = cn__ceil_div(conv->out[axis] - first, step);
    CN__TRY(plan_taps(plan, axis, first, phase));
    int64_t *in = cn__arena_alloc(plan->arena, (size_t)(phase->count * phase->taps) * sizeof *in);
    int64_t *out = cn__arena_alloc(plan->arena, (size_t)phase->count * sizeof *out);
    if (in == NULL || out == NULL)
        return cn_error_status();
    for (int64_t p = 0; p < phase->count; p++) {
        int64_t o = first + p * step;
        out[p] = o * strides[1];
        for (int64_t t = 0; t < phase->taps; t++) {
            int64_t i = input_position(conv, transposed, axis, o, phase->tap[t]);
            in[p * phase->taps + t] = i < 0 ? -1 : i * strides[0];
        }
    }
    phase->in = in;
    phase->out = out;
    find_inside(phase);
    phase->in_step = (transposed ? 1 : conv->stride[axis]) * strides[0];
    phase->out_step = step * strides[1];
    return CN_OK;
}

static cn_status plan_axis(cn_conv_plan *plan, int axis)
{
    const cn_conv *conv = &plan->conv;
    bool transposed = plan->pass == CN_CONV_TRANSPOSE;
    int64_t strides[2] = {conv->in_channels, conv->out_channels};
    for (int i = axis + 1; i < 3; i++) {
        strides[0] *= conv->in[i];
        strides[1] *= conv->out[i];
    }
    int64_t step = transposed ? cn__min(conv->stride[axis], conv->out[axis]) : 1;
    int64_t stride = transposed ? conv->stride[axis] : 1;
    cn__axis *a = &plan->axis[axis];
    a->phases = step;
    a->phase = cn__arena_alloc(plan->arena, (size_t)step * sizeof *a->phase);
    if (a->phase == NULL)
        return cn_error_status();
    for (int64_t p = 0; p < step; p++)
        CN__TRY(plan_axis_phase(plan, axis, p, stride, strides, &a->phase[p]));
    return CN_OK;
}

cn_status cn__cut_columns(const cn_conv_plan *plan, int64_t columns, int64_t blocks,
                          cn__column_block **block, int64_t *packed_columns)
{
    int64_t lanes = plan->kernels->lanes, used = 0;
    int64_t vectors = cn__ceil_div(columns, lanes);
    *block = cn__arena_alloc(plan->arena, (size_t)blocks * sizeof **block);
    if (*block == NULL)
        return cn_error_status();
    for (int64_t b = 0; b < blocks; b++) {
        int64_t end = vectors * (b + 1) / blocks;
        (*block)[b] = (cn__column_block){.first = used * lanes,
                                         .columns = cn__min(end * lanes, columns) - used * lanes,
                                         .vectors = (int)(end - used),
                                         .packed = used * lanes};
        used = end;
    }
    *packed_columns = vectors * lanes;
    return CN_OK;
}

cn_status cn__plan_blocks(const cn_conv_plan *plan, int64_t columns, int64_t widest,
                          int64_t *blocks, cn__column_block **block, int64_t *packed_columns)
{
    int64_t vectors = cn__ceil_div(columns, plan->kernels->lanes);
    *blocks = cn__ceil_div(vectors, widest);
    return cn__cut_columns(plan, columns, *blocks, block, packed_columns);
}

static cn_status plan_phases(cn_conv_plan *plan)
{
    plan->phases = plan->axis[0].phases * plan->axis[1].phases * plan->axis[2].phases;
    plan->phase = cn__arena_alloc(plan->arena, (size_t)plan->phases * sizeof *plan->phase);
    if (plan->phase == NULL)
        return cn_error_status();
    cn__conv_phase *phase = plan->phase;
    for (int64_t z = 0; z < plan->axis[0].phases; z++)
        for (int64_t y = 0; y < plan->axis[1].phases; y++)
            for (int64_t x = 0; x < plan->axis[2].phases; x++, phase++) {
                phase->axis[0] = &plan->axis[0].phase[z];
                phase->axis[1] = &plan->axis[1].phase[y];
                phase->axis[2] = &plan->axis[2].phase[x];
                phase->taps = 1;
                phase->image_pixels = 1;
                for (int i = 0; i < 3; i++) {
                    phase->taps *= phase->axis[i]->taps;
                    phase->image_pixels *= phase->axis[i]->count;
                }
            }
    return CN_OK;
}

/* Pixels of each phase whose input and output a second-level cache holds. */
static int64_t cached_pixels(const cn_conv_plan *plan)
{
    const cn_conv *conv = &plan->conv;
    int64_t pixels = conv->batch, most = cn_conv_in_count(conv) + cn_conv_out_count(conv);
    for (int axis = 0; axis < 3; axis++)
        pixels *= plan->axis[axis].phase[0].count;
    return cached_floats / cn__max(1, most / pixels);
}

/* Pixels of a task: enough work to be worth handing out, whole tiles. */
static int64_t pixels_per_task(const cn_conv_plan *plan)
{
    double taps = 1;
    for (int i = 0; i < 3; i++)
        taps *= (double)plan->conv.kernel[i];
    if (plan->pass == CN_CONV_TRANSPOSE)
        taps = taps / (double)plan->phases + 1;
    int64_t columns = cn__min(plan->columns, CN__MAX_VECTORS * plan->kernels->lanes);
    double each = taps * (double)plan->depth * (double)columns;
    double all = cn_conv_multiplications(&plan->conv, plan->pass == CN_CONV_TRANSPOSE);
    double task =
        all / wanted_tasks > task_multiplications ? all / wanted_tasks : task_multiplications;
    int64_t most = plan->chunk_first ? cached_pixels(plan) : most_pixels;
    int64_t pixels = cn__max(least_pixels, cn__min(most, (int64_t)(task / each)));
    int64_t rows = plan->kernels->rows[plan->block[0].vectors];
    return cn__ceil_div(pixels, rows) * rows;
}

/* The places of the packed kernel, and the tasks. With a kernel that fits the second-level cache
 * all phases and blocks of a chunk of pixels follow each other, so that its input is read from
 * memory once; with a large one all chunks that use the same part of the kernel.
 * Chunks are equal, and a number of them that two or four threads share evenly. */
static void plan_tasks(cn_conv_plan *plan)
{
    int64_t groups = plan->conv.groups;
    int64_t tap_floats = groups * plan->depth * plan->packed_columns;
    int64_t most_pixels_of_phase = 0;
    for (int64_t p = 0; p < plan->phases; p++) {
        cn__conv_phase *phase = &plan->phase[p];
        phase->packed = plan->packed_floats;
        plan->packed_floats += phase->taps * tap_floats;
        most_pixels_of_phase = cn__max(most_pixels_of_phase, phase->image_pixels);
    }
    plan->large_output = cn_conv_out_count(&plan->conv) > 2 * cached_floats;
    plan->chunk_first = plan->packed_floats <= cached_floats;
    plan->chunk_pixels = pixels_per_task(plan);
    plan->chunks = cn__ceil_div(plan->conv.batch * most_pixels_of_phase, plan->chunk_pixels);
    if (plan->chunks > 2)
        plan->chunks = 4 * cn__ceil_div(plan->chunks, 4);
    plan->tasks = plan->phases * groups * plan->blocks * plan->chunks;
}

/* A kernel gradient is planned on the convolution, whichever of the two it belongs to: the sum runs
 * over the convolution's output pixels. */
cn_status cn__plan_alone(cn_conv_plan *plan)
{
    if (cn__depthwise_repeat(plan) > 0)
        return cn__depthwise_plan(plan);
    for (int axis = 0; axis < 3; axis++)
        CN__TRY(plan_axis(plan, axis));
    CN__TRY(plan_phases(plan));
    plan->path = &cn__direct_path;
    plan->algorithm = plan->phases > 1 ? "by phase" : "direct";
    bool gradient = plan->pass != CN_CONV_FORWARD && plan->pass != CN_CONV_TRANSPOSE;
    int64_t columns = plan->columns;
    if (gradient)
        CN__TRY(cn__gradient_shape(plan, &columns));
    CN__TRY(cn__plan_blocks(plan, columns, cn__widest(plan->kernels), &plan->blocks, &plan->block,
                            &plan->packed_columns));
    plan->zeros = cn__arena_alloc(
        plan->arena, (size_t)cn__max(plan->depth, plan->conv.in_channels) * sizeof(float));
    if (plan->zeros == NULL)
        return cn_error_status();
    if (gradient) {
        cn__gradient_tasks(plan);
        CN__TRY(cn__winograd_gradient_plan(plan));
        return cn__subpixel_plan(plan);
    }
    plan_tasks(plan);
    CN__TRY(cn__winograd_plan(plan));
    CN__TRY(cn__fold_plan(plan));
    return cn__subpixel_plan(plan);
}

cn_conv_plan *cn_conv_plan_new(const cn_conv *conv, cn_conv_pass pass)
{
    bool transposed = pass == CN_CONV_TRANSPOSE || pass == CN_CONV_TRANSPOSE_KERNEL_GRADIENT;
    if (pass < CN_CONV_FORWARD || pass > CN_CONV_TRANSPOSE_KERNEL_GRADIENT)
        return cn__fail_null(CN_ERROR_ARGUMENT, "cn_conv_plan_new: there is no pass %d", (int)pass);
    if (cn_conv_check(conv, transposed) != CN_OK)
        return NULL;
    cn__arena *arena = cn__arena_new();
    if (arena == NULL)
        return NULL;
    cn_conv_plan *plan = cn__arena_alloc(arena, sizeof *plan);
    if (plan == NULL) {
        cn__arena_free(arena);
        return NULL;
    }
    plan->arena = arena;
    plan->pass = pass;
    plan->kernels = cn__kernels_get();
    plan->conv = normalised(conv);
    if (pass == CN_CONV_TRANSPOSE_KERNEL_GRADIENT)
        plan->conv = cn_conv_adjoint(&plan->conv);
    plan->depth = plan->conv.in_channels / plan->conv.groups;
    plan->columns = plan->conv.out_channels / plan->conv.groups;
    if (cn__plan_alone(plan) != CN_OK || cn__groups_plan(plan) != CN_OK) {
        cn__arena_free(arena);
        return NULL;
    }
    return plan;
}

void cn_conv_plan_free(cn_conv_plan *plan)
{
    if (plan != NULL)
        cn__arena_free(plan->arena);
}

void cn__plan_weigh(cn_conv_plan *plan, const char *algorithm, double cycles)
{
    size_t used = strlen(plan->choice);
    (void)snprintf(plan->choice + used, sizeof plan->choice - used, "%s%s %.3g",
                   used > 0 ? ", " : "", algorithm, 1e-6 * cycles);
}

const char *cn_conv_plan_choice(const cn_conv_plan *plan)
{
    return plan->choice;
}

const char *cn_conv_plan_algorithm(const cn_conv_plan *plan)
{
    return plan->algorithm;
}

size_t cn_conv_plan_packed_bytes(const cn_conv_plan *plan)
{
    return (size_t)plan->packed_floats * sizeof(float);
}

size_t cn_conv_plan_scratch_bytes(const cn_conv_plan *plan)
{
    return (size_t)plan->scratch_floats * sizeof(float);
}
