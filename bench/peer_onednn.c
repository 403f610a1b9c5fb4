/* oneDNN's convolutions (the interface of version 2), for bench/compare.py.
 *
 * "blocked" leaves every layout to oneDNN, "channels-last" only the kernel's. Data are brought into
 * these layouts beforehand: that takes no part in what is timed. */
#include "peer.h"

#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKED, CHANNELS_LAST, VARIANTS, SRC = 0, WEIGHTS, DST, ARRAYS };

typedef struct array {
    dnnl_memory_t memory;
    void *values;
} array;

typedef struct variant {
    dnnl_primitive_t primitive;
    array arrays[ARRAYS];
} variant;

static dnnl_engine_t engine;
static dnnl_stream_t stream;
static peer_operation current;
static dnnl_memory_desc_t plain[ARRAYS]; /* the arrays as peer.h has them */
static variant prepared[VARIANTS];
static int places[VARIANTS]; /* which of them the names told stand for */
static float *result;

static bool good(dnnl_status_t status, const char *what)
{
    return status == dnnl_success || peer_refuse("oneDNN: %s: status %d", what, (int)status);
}

/* Which of its arrays a pass writes. */
static int written(peer_pass pass)
{
    return pass == PEER_FORWARD ? DST : pass == PEER_INPUT_GRADIENT ? SRC : WEIGHTS;
}

/* ---- shapes ---- */

static bool describe_plain(const peer_operation *o)
{
    int64_t icg = o->ic / o->groups, ocg = o->oc / o->groups;
    dnnl_dims_t src = {o->n, o->ic, o->h, o->w}, dst = {o->n, o->oc, o->oh, o->ow};
    dnnl_dims_t weights = {o->groups, ocg, icg, o->kh, o->kw};
    /* kernel (kh, kw, icg, oc) or transposed (kh, kw, ocg, ic) */
    int64_t pixel = o->transposed ? ocg * o->ic : icg * o->oc;
    dnnl_dims_t strides = {o->transposed ? icg : ocg, o->transposed ? o->ic : 1,
                           o->transposed ? 1 : o->oc, o->kw * pixel, pixel};
    int skip = o->groups == 1;
    return good(dnnl_memory_desc_init_by_tag(&plain[SRC], 4, src, dnnl_f32, dnnl_nhwc), "input") &&
           good(dnnl_memory_desc_init_by_tag(&plain[DST], 4, dst, dnnl_f32, dnnl_nhwc), "output") &&
           good(dnnl_memory_desc_init_by_strides(&plain[WEIGHTS], 5 - skip, weights + skip,
                                                 dnnl_f32, strides + skip),
                "kernel");
}

static dnnl_memory_desc_t any_layout(const dnnl_memory_desc_t *of)
{
    dnnl_memory_desc_t any;
    dnnl_memory_desc_init_by_tag(&any, of->ndims, of->dims, dnnl_f32, dnnl_format_tag_any);
    return any;
}

/* ---- primitives ---- */

static dnnl_status_t describe(const peer_operation *o, peer_pass pass, dnnl_prop_kind_t forward,
                              const dnnl_memory_desc_t md[ARRAYS], dnnl_convolution_desc_t *d)
{
    dnnl_dims_t strides = {o->sh, o->sw}, before = {o->before_h, o->before_w},
                after = {peer_after_h(o), peer_after_w(o)};
    const dnnl_memory_desc_t *src = &md[SRC], *weights = &md[WEIGHTS], *dst = &md[DST];
    if (pass == PEER_FORWARD)
        return (o->transposed ? dnnl_deconvolution_forward_desc_init
                              : dnnl_convolution_forward_desc_init)(
            d, forward, o->transposed ? dnnl_deconvolution_direct : dnnl_convolution_direct, src,
            weights, NULL, dst, strides, before, after);
    if (pass == PEER_INPUT_GRADIENT)
        return (o->transposed ? dnnl_deconvolution_backward_data_desc_init
                              : dnnl_convolution_backward_data_desc_init)(
            d, o->transposed ? dnnl_deconvolution_direct : dnnl_convolution_direct, src, weights,
            dst, strides, before, after);
    return (o->transposed ? dnnl_deconvolution_backward_weights_desc_init
                          : dnnl_convolution_backward_weights_desc_init)(
        d, o->transposed ? dnnl_deconvolution_direct : dnnl_convolution_direct, src, weights, NULL,
        dst, strides, before, after);
}

/* The primitive's description; gradients need the one of the forward pass as a hint. */
static bool choose(const peer_operation *o, const dnnl_memory_desc_t md[ARRAYS],
                   dnnl_primitive_desc_t *chosen)
{
    dnnl_convolution_desc_t d;
    bool forward = o->pass == PEER_FORWARD;
    dnnl_primitive_desc_t hint = NULL;
    if (!good(describe(o, PEER_FORWARD, forward ? dnnl_forward_inference : dnnl_forward_training,
                       md, &d),
              "describing") ||
        !good(dnnl_primitive_desc_create(&hint, &d, NULL, engine, NULL), "choosing"))
        return false;
    if (forward) {
        *chosen = hint;
        return true;
    }
    bool made =
        good(describe(o, o->pass, dnnl_backward, md, &d), "describing the gradient") &&
        good(dnnl_primitive_desc_create(chosen, &d, NULL, engine, hint), "choosing the gradient");
    dnnl_primitive_desc_destroy(hint);
    return made;
}

static const dnnl_memory_desc_t *layout(const_dnnl_primitive_desc_t chosen, peer_pass pass, int i)
{
    static const dnnl_query_t queries[3][ARRAYS] = {
        [PEER_FORWARD] = {dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md},
        [PEER_INPUT_GRADIENT] = {dnnl_query_diff_src_md, dnnl_query_weights_md,
                                 dnnl_query_diff_dst_md},
        [PEER_KERNEL_GRADIENT] = {dnnl_query_src_md, dnnl_query_diff_weights_md,
                                  dnnl_query_diff_dst_md}};
    return dnnl_primitive_desc_query_md(chosen, queries[pass][i], 0);
}

/* ---- data ---- */

static bool make_array(array *a, const dnnl_memory_desc_t *md)
{
    size_t bytes = dnnl_memory_desc_get_size(md);
    a->values = peer_memory(bytes);
    memset(a->values, 0, bytes); /* blocked layouts may be padded */
    return good(dnnl_memory_create(&a->memory, md, engine, a->values), "memory");
}

static bool copy(dnnl_memory_t from, const dnnl_memory_desc_t *from_md, dnnl_memory_t to,
                 const dnnl_memory_desc_t *to_md)
{
    dnnl_primitive_desc_t chosen = NULL;
    dnnl_primitive_t reorder = NULL;
    dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    bool done =
        good(dnnl_reorder_primitive_desc_create(&chosen, from_md, engine, to_md, engine, NULL),
             "choosing a reorder") &&
        good(dnnl_primitive_create(&reorder, chosen), "making a reorder") &&
        good(dnnl_primitive_execute(reorder, stream, 2, arguments), "reordering") &&
        good(dnnl_stream_wait(stream), "reordering");
    dnnl_primitive_destroy(reorder);
    dnnl_primitive_desc_destroy(chosen);
    return done;
}

/* Reads what the pass reads and brings it into the layout chosen. */
static bool fill(const peer_operation *o, int i, array *a, const dnnl_memory_desc_t *md)
{
    static const char *const names[ARRAYS] = {"x", "kernel", "g"};
    size_t counts[ARRAYS] = {peer_x_count(o), peer_kernel_count(o), peer_g_count(o)};
    float *values = peer_read(o->folder, names[i], counts[i]);
    dnnl_memory_t from = NULL;
    bool done = values != NULL &&
                good(dnnl_memory_create(&from, &plain[i], engine, values), "memory") &&
                copy(from, &plain[i], a->memory, md);
    dnnl_memory_destroy(from);
    free(values);
    return done;
}

/* ---- variants ---- */

static void release(variant *v)
{
    dnnl_primitive_destroy(v->primitive);
    for (int i = 0; i < ARRAYS; i++) {
        dnnl_memory_destroy(v->arrays[i].memory);
        free(v->arrays[i].values);
    }
    *v = (variant){0};
}

static bool make(variant *v, const peer_operation *o, bool channels_last, bool *all_plain)
{
    dnnl_memory_desc_t md[ARRAYS];
    dnnl_primitive_desc_t chosen = NULL;
    for (int i = 0; i < ARRAYS; i++)
        md[i] = channels_last && i != WEIGHTS ? plain[i] : any_layout(&plain[i]);
    if (!choose(o, md, &chosen))
        return false;
    bool made = good(dnnl_primitive_create(&v->primitive, chosen), "making");
    *all_plain = true;
    for (int i = 0; made && i < ARRAYS; i++) {
        const dnnl_memory_desc_t *chosen_md = layout(chosen, o->pass, i);
        *all_plain = *all_plain && (i == WEIGHTS || dnnl_memory_desc_equal(chosen_md, &plain[i]));
        made = make_array(&v->arrays[i], chosen_md) &&
               (i == written(o->pass) || fill(o, i, &v->arrays[i], chosen_md));
    }
    dnnl_primitive_desc_destroy(chosen);
    return made;
}

/* Both variants, unless only one works or "blocked" turns out to be channels-last as well. */
static const char *prepare(const peer_operation *o)
{
    bool made[VARIANTS], all_plain[VARIANTS] = {false};
    free(result);
    result = NULL;
    for (int i = 0; i < VARIANTS; i++)
        release(&prepared[i]);
    current = *o;
    if (!describe_plain(o))
        return NULL;
    for (int i = 0; i < VARIANTS; i++)
        made[i] = make(&prepared[i], o, i == CHANNELS_LAST, &all_plain[i]);
    if (made[BLOCKED] && !(made[CHANNELS_LAST] && all_plain[BLOCKED])) {
        places[0] = BLOCKED, places[1] = CHANNELS_LAST;
        return made[CHANNELS_LAST] ? "blocked,channels-last" : "blocked";
    }
    places[0] = CHANNELS_LAST;
    return made[CHANNELS_LAST] ? "channels-last" : NULL;
}

static bool run(int index)
{
    static const int names[3][ARRAYS] = {
        [PEER_FORWARD] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
        [PEER_INPUT_GRADIENT] = {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
        [PEER_KERNEL_GRADIENT] = {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST}};
    const variant *v = &prepared[places[index]];
    dnnl_exec_arg_t arguments[ARRAYS];
    for (int i = 0; i < ARRAYS; i++)
        arguments[i] = (dnnl_exec_arg_t){names[current.pass][i], v->arrays[i].memory};
    return good(dnnl_primitive_execute(v->primitive, stream, ARRAYS, arguments), "running") &&
           good(dnnl_stream_wait(stream), "running");
}

static const float *read_result(int index, size_t *count)
{
    int i = written(current.pass);
    const dnnl_memory_desc_t *md;
    dnnl_memory_t from = prepared[places[index]].arrays[i].memory, to = NULL;
    *count = peer_result_count(&current);
    if (result == NULL)
        result = peer_memory(*count * sizeof *result);
    bool done = good(dnnl_memory_get_memory_desc(from, &md), "result") &&
                good(dnnl_memory_create(&to, &plain[i], engine, result), "memory") &&
                copy(from, md, to, &plain[i]);
    dnnl_memory_destroy(to);
    return done ? result : NULL;
}

int main(void)
{
    char greeting[64];
    const dnnl_version_t *version = dnnl_version();
    snprintf(greeting, sizeof greeting, "oneDNN %d.%d.%d", version->major, version->minor,
             version->patch);
    if (dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success ||
        dnnl_stream_create(&stream, engine, dnnl_stream_default_flags) != dnnl_success) {
        puts("no oneDNN has no engine for this processor");
        return 1;
    }
    peer onednn = {.prepare = prepare, .run = run, .result = read_result};
    int status = peer_serve(&onednn, greeting);
    for (int i = 0; i < VARIANTS; i++)
        release(&prepared[i]);
    free(result);
    dnnl_stream_destroy(stream);
    dnnl_engine_destroy(engine);
    return status;
}
