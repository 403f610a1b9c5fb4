/* XNNPACK's convolutions, for bench/compare.py. It has forward passes only: the gradient with
 * respect to the input is the forward pass of the adjoint operation. */
#include "peer.h"

#include <math.h>
#include <pthreadpool.h>
#include <stdio.h>
#include <stdlib.h>
#include <xnnpack.h>

static pthreadpool_t pool;
static xnn_operator_t node;
static peer_operation current;
static float *in, *out;

/* (kh, kw, icg, oc), transposed (kh, kw, ocg, ic), to XNNPACK's (groups, ocg, kh, kw, icg), for
 * depthwise convolutions (kh, kw, oc). */
static float *rearranged(const peer_operation *o, const float *kernel, bool depthwise)
{
    int64_t icg = o->ic / o->groups, ocg = o->oc / o->groups, taps = o->kh * o->kw;
    float *to = peer_memory(peer_kernel_count(o) * sizeof *to), *at = to;
    for (int64_t group = 0; group < o->groups && !depthwise; group++)
        for (int64_t c = 0; c < ocg; c++)
            for (int64_t tap = 0; tap < taps; tap++)
                for (int64_t k = 0; k < icg; k++)
                    *at++ = o->transposed ? kernel[(tap * ocg + c) * o->ic + group * icg + k]
                                          : kernel[(tap * icg + k) * o->oc + group * ocg + c];
    for (size_t i = 0; i < peer_kernel_count(o) && depthwise; i++)
        to[i] = kernel[i]; /* (kh, kw, 1, oc) already */
    return to;
}

/* An output that the last pixels do not reach (where the stride is larger than the kernel) is what
 * XNNPACK calls an adjustment. */
static uint32_t at_least_zero(int64_t padding)
{
    return padding > 0 ? (uint32_t)padding : 0;
}

static enum xnn_status make(const peer_operation *o, const float *kernel, bool depthwise)
{
    uint32_t top = (uint32_t)o->before_h, left = (uint32_t)o->before_w,
             bottom = at_least_zero(peer_after_h(o)), right = at_least_zero(peer_after_w(o));
    size_t icg = (size_t)(o->ic / o->groups), ocg = (size_t)(o->oc / o->groups);
    return (o->transposed ? xnn_create_deconvolution2d_nhwc_f32
                          : xnn_create_convolution2d_nhwc_f32)(
        top, right, bottom, left, (uint32_t)o->kh, (uint32_t)o->kw, (uint32_t)o->sh,
        (uint32_t)o->sw, 1, 1, (uint32_t)o->groups, icg, ocg, (size_t)o->ic, (size_t)o->oc, kernel,
        NULL, -INFINITY, INFINITY, depthwise ? XNN_FLAG_DEPTHWISE_CONVOLUTION : 0, &node);
}

static enum xnn_status set_up(const peer_operation *o)
{
    size_t n = (size_t)o->n, h = (size_t)o->h, w = (size_t)o->w;
    if (!o->transposed)
        return xnn_setup_convolution2d_nhwc_f32(node, n, h, w, in, out, pool);
    return xnn_setup_deconvolution2d_nhwc_f32(node, n, h, w, at_least_zero(-peer_after_h(o)),
                                              at_least_zero(-peer_after_w(o)), in, out, pool);
}

static void release(void)
{
    if (node != NULL)
        xnn_delete_operator(node);
    free(in);
    free(out);
    node = NULL;
    in = out = NULL;
}

static const char *prepare(const peer_operation *asked)
{
    release();
    if (asked->pass == PEER_KERNEL_GRADIENT)
        return (void)peer_refuse("XNNPACK has no kernel gradient"), NULL;
    bool gradient = asked->pass == PEER_INPUT_GRADIENT;
    current = gradient ? peer_adjoint(asked) : *asked;
    bool depthwise = !current.transposed && current.groups == current.ic && current.groups > 1;
    float *kernel = peer_read(current.folder, "kernel", peer_kernel_count(&current));
    in = peer_read(current.folder, gradient ? "g" : "x", peer_x_count(&current));
    out = peer_memory(peer_g_count(&current) * sizeof *out);
    if (kernel == NULL || in == NULL) {
        free(kernel);
        return NULL;
    }
    float *weights = rearranged(&current, kernel, depthwise);
    enum xnn_status status = make(&current, weights, depthwise);
    if (status == xnn_status_success)
        status = set_up(&current);
    free(kernel);
    free(weights);
    if (status != xnn_status_success)
        return (void)peer_refuse("XNNPACK: status %d", (int)status), NULL;
    return "channels-last";
}

static bool run(int variant)
{
    (void)variant;
    return xnn_run_operator(node, pool) == xnn_status_success ||
           peer_refuse("XNNPACK: the operator failed");
}

static const float *read_result(int variant, size_t *count)
{
    (void)variant;
    *count = peer_g_count(&current);
    return out;
}

int main(void)
{
    const char *threads = getenv("OMP_NUM_THREADS");
    if (xnn_initialize(NULL) != xnn_status_success) {
        puts("no XNNPACK does not know this processor");
        return 1;
    }
    pool = pthreadpool_create(threads ? (size_t)atoi(threads) : 1);
    peer xnnpack = {.prepare = prepare, .run = run, .result = read_result};
    int status = peer_serve(&xnnpack, "XNNPACK");
    release();
    pthreadpool_destroy(pool);
    return status;
}
