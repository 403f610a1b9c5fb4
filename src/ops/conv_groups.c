/* Merged groups; see conv_groups.h. What is planned for them runs as it is. */
#include <string.h>

#include "ops/conv_groups.h"

enum {
    most_channels = 1024,  /* of all groups, where they are merged to one */
    most_kernel = 4 << 20, /* floats with the zeros, which are kept beside the packed kernel */
    most_merged = 64       /* groups, else */
};

/* The kernel's last axis has all channels of one side, the one before it those of a group of the
 * other: (tap, channel, channels of all groups). Each of the merged groups has channels of its own
 * on that one: (tap, group, channel, channels of all groups), zero for channels of another. */
static void pack_kernel(const cn_conv_plan *plan, const float *kernel, float *packed, cn_pool *pool)
{
    const struct cn__groups *g = plan->groups;
    const cn_conv *conv = &plan->conv;
    bool transposed = plan->pass == CN_CONV_TRANSPOSE;
    int64_t all = transposed ? conv->in_channels : conv->out_channels, own = all / conv->groups;
    int64_t channels = transposed ? plan->columns : plan->depth;
    int64_t taps = conv->kernel[0] * conv->kernel[1] * conv->kernel[2];
    float *wide = packed + g->inner.packed_floats;
    memset(wide, 0, (size_t)g->kernel_floats * sizeof *wide);
    for (int64_t t = 0; t < taps * channels; t++, kernel += all) {
        float *to = wide + (t / channels * g->merged * channels + t % channels) * all;
        for (int64_t n = 0; n < conv->groups; n++)
            memcpy(to + n % g->merged * channels * all + n * own, kernel + n * own,
                   (size_t)own * sizeof *to);
    }
    cn_conv_plan_pack(&g->inner, wide, packed, pool);
}

static void run_merged(const cn_conv_plan *plan, const cn__conv_run *run, cn_pool *pool)
{
    const cn_conv_plan *inner = &plan->groups->inner;
    inner->path->run(inner, run, pool);
}

static const cn__conv_path merged_path = {pack_kernel, run_merged};

/* The fewest groups, dividing all, that together fill a vector on either side; 0 if all do not. */
static int64_t fewest(const cn_conv_plan *plan)
{
    int64_t groups = plan->conv.groups, few = cn__min(plan->depth, plan->columns);
    for (int64_t merged = 2; merged <= cn__min(groups, most_merged); merged++)
        if (groups % merged == 0 && merged * few >= plan->kernels->lanes)
            return merged;
    return 0;
}

/* Plans with merged groups, and keeps it if it is the best. */
static cn_status try_merged(cn_conv_plan *plan, int64_t merged)
{
    int64_t floats = cn_conv_kernel_count(&plan->conv, plan->pass == CN_CONV_TRANSPOSE);
    if (floats > most_kernel / merged)
        return CN_OK;
    struct cn__groups *g = cn__arena_alloc(plan->arena, sizeof *g);
    if (g == NULL)
        return cn_error_status();
    cn_conv_plan *inner = &g->inner;
    inner->conv = plan->conv;
    inner->conv.groups /= merged;
    inner->pass = plan->pass;
    inner->kernels = plan->kernels;
    inner->arena = plan->arena;
    inner->depth = plan->depth * merged;
    inner->columns = plan->columns * merged;
    CN__TRY(cn__plan_alone(inner));
    cn__plan_weigh(plan, merged == plan->conv.groups ? "one group" : "merged groups",
                   inner->cycles);
    if (inner->cycles >= plan->cycles)
        return CN_OK;
    g->merged = merged;
    g->kernel_floats = merged * floats;
    plan->groups = g;
    plan->path = &merged_path;
    plan->algorithm = "merged groups";
    plan->cycles = inner->cycles;
    plan->packed_floats = inner->packed_floats + g->kernel_floats;
    plan->scratch_floats = inner->scratch_floats;
    return CN_OK;
}

cn_status cn__groups_plan(cn_conv_plan *plan)
{
    int64_t groups = plan->conv.groups, few = cn__min(plan->depth, plan->columns);
    bool runs = plan->pass == CN_CONV_FORWARD || plan->pass == CN_CONV_TRANSPOSE;
    if (groups == 1 || !runs || few >= plan->kernels->lanes || plan->depthwise != NULL)
        return CN_OK;
    int64_t merged = fewest(plan);
    if (merged > 0)
        CN__TRY(try_merged(plan, merged));
    bool narrow = cn__max(plan->conv.in_channels, plan->conv.out_channels) <= most_channels;
    return narrow && merged != groups ? try_merged(plan, groups) : CN_OK;
}
