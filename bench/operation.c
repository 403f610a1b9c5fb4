/* Operations: see operation.h. */
#include "operation.h"

#include "base/base.h"

void fill_uniform(float *values, int64_t count, uint64_t seed)
{
    cn__random random = {.seed = seed};
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)cn__random_uniform(&random);
}

static float *filled(int64_t count, uint64_t seed)
{
    float *x = cn__alloc((size_t)count * sizeof *x);
    if (x != NULL)
        fill_uniform(x, count, seed);
    for (int64_t i = 0; x != NULL && i < count; i++)
        x[i] -= 0.5f;
    return x;
}

bool operation_make(operation *o, const cn_conv *conv, bool transposed, peer_pass pass,
                    cn_pool *pool)
{
    static const cn_conv_pass passes[3][2] = {
        [PEER_FORWARD] = {CN_CONV_FORWARD, CN_CONV_TRANSPOSE},
        [PEER_INPUT_GRADIENT] = {CN_CONV_TRANSPOSE, CN_CONV_FORWARD},
        [PEER_KERNEL_GRADIENT] = {CN_CONV_KERNEL_GRADIENT, CN_CONV_TRANSPOSE_KERNEL_GRADIENT}};
    cn_conv adjoint = cn_conv_adjoint(conv);
    *o = (operation){.conv = *conv, .transposed = transposed, .pass = pass};
    o->plan =
        cn_conv_plan_new(pass == PEER_INPUT_GRADIENT ? &adjoint : conv, passes[pass][transposed]);
    if (o->plan == NULL)
        return false;
    o->x = filled(cn_conv_in_count(conv), 1);
    o->g = filled(cn_conv_out_count(conv), 2);
    o->kernel = filled(cn_conv_kernel_count(conv, transposed), 3);
    o->packed = cn__alloc(cn_conv_plan_packed_bytes(o->plan));
    o->scratch = cn__alloc(cn_conv_plan_scratch_bytes(o->plan));
    if (!o->x || !o->g || !o->kernel || !o->packed || !o->scratch) {
        operation_release(o);
        return false;
    }
    if (pass != PEER_KERNEL_GRADIENT)
        cn_conv_plan_pack(o->plan, o->kernel, o->packed, pool);
    return true;
}

void operation_run(const operation *o, cn_pool *pool)
{
    if (o->pass == PEER_KERNEL_GRADIENT)
        cn_conv_plan_kernel_gradient(o->plan, o->x, o->g, o->kernel, o->scratch, pool);
    else
        cn_conv_plan_run(o->plan, o->pass == PEER_FORWARD ? o->x : o->g, o->packed, NULL, NULL,
                         o->pass == PEER_FORWARD ? o->g : o->x, o->scratch, pool);
}

void operation_release(operation *o)
{
    cn__free(o->x);
    cn__free(o->g);
    cn__free(o->kernel);
    cn__free(o->packed);
    cn__free(o->scratch);
    cn_conv_plan_free(o->plan);
    *o = (operation){0};
}
