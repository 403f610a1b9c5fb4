/* Convolutions and transposed convolutions: what is planned, run by its path, and calls that do all
 * at once. */
#include <math.h>

#include "ops/conv_direct.h"

void cn_conv_plan_pack(const cn_conv_plan *plan, const float *kernel, float *packed, cn_pool *pool)
{
    if (plan->packed_floats > 0)
        plan->path->pack(plan, kernel, packed, pool);
}

static cn__conv_run run_of(const float *in, const float *packed, const float *bias,
                           const cn_clamp *clamp, float *out, void *scratch)
{
    return (cn__conv_run){.in = in,
                          .packed = packed,
                          .bias = bias,
                          .clamp = clamp != NULL ? *clamp : (cn_clamp){-INFINITY, INFINITY},
                          .out = out,
                          .scratch = scratch};
}

void cn_conv_plan_run(const cn_conv_plan *plan, const float *in, const float *packed,
                      const float *bias, const cn_clamp *clamp, float *out, void *scratch,
                      cn_pool *pool)
{
    const cn__conv_run run = run_of(in, packed, bias, clamp, out, scratch);
    plan->path->run(plan, &run, pool);
}

void cn_conv_plan_pack_and_run(const cn_conv_plan *plan, const float *in, const float *kernel,
                               float *packed, const float *bias, const cn_clamp *clamp, float *out,
                               void *scratch, cn_pool *pool)
{
    const cn__conv_run run = run_of(in, packed, bias, clamp, out, scratch);
    if (plan->packed_floats > 0 && cn__direct_packs_once(plan)) {
        cn__direct_pack_and_run(plan, &run, kernel, packed, pool);
        return;
    }
    cn_conv_plan_pack(plan, kernel, packed, pool);
    plan->path->run(plan, &run, pool);
}

/* ---- one call ---- */

static cn_status run_once(const cn_conv *conv, cn_conv_pass pass, const float *in,
                          const float *kernel, const float *bias, float *out, cn_pool *pool)
{
    if (in == NULL || kernel == NULL || out == NULL)
        return cn__fail(CN_ERROR_ARGUMENT, "conv: the input, the kernel and the output must be "
                                           "given; only the bias may be NULL");
    cn_conv_plan *plan = cn_conv_plan_new(conv, pass);
    if (plan == NULL)
        return cn_error_status();
    float *packed = cn__alloc(cn_conv_plan_packed_bytes(plan));
    void *scratch = cn__alloc(cn_conv_plan_scratch_bytes(plan));
    if (packed != NULL && scratch != NULL) {
        cn_conv_plan_pack(plan, kernel, packed, pool);
        cn_conv_plan_run(plan, in, packed, bias, NULL, out, scratch, pool);
    }
    cn_status status = packed != NULL && scratch != NULL ? CN_OK : cn_error_status();
    cn__free(packed);
    cn__free(scratch);
    cn_conv_plan_free(plan);
    return status;
}

cn_status cn_conv_f32(const cn_conv *conv, const float *in, const float *kernel, const float *bias,
                      float *out, cn_pool *pool)
{
    return run_once(conv, CN_CONV_FORWARD, in, kernel, bias, out, pool);
}

cn_status cn_conv_transpose_f32(const cn_conv *conv, const float *in, const float *kernel,
                                const float *bias, float *out, cn_pool *pool)
{
    return run_once(conv, CN_CONV_TRANSPOSE, in, kernel, bias, out, pool);
}
