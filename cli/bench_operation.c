/* `cornu bench` of one convolution or transposed convolution. */
#include "bench.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const pass_names[] = {"forward", "input_gradient", "kernel_gradient"};

/* `x` is the operation's input, `g` its output or the gradient of that. The pass writes to one of
 * x, g and kernel. */
typedef struct job {
    const bench_settings *s;
    operation o;
    bench_pass pass;
    cn_conv_plan *plan;
    cn_array *x, *g, *kernel, *packed, *scratch;
    cn_pool *pool;
} job;

static int make_plan(job *j)
{
    static const cn_conv_pass passes[][2] = {
        [BENCH_FORWARD] = {CN_CONV_FORWARD, CN_CONV_TRANSPOSE},
        [BENCH_INPUT_GRADIENT] = {CN_CONV_TRANSPOSE, CN_CONV_FORWARD},
        [BENCH_KERNEL_GRADIENT] = {CN_CONV_KERNEL_GRADIENT, CN_CONV_TRANSPOSE_KERNEL_GRADIENT}};
    cn_conv adjoint = cn_conv_adjoint(&j->o.conv);
    j->plan = cn_conv_plan_new(j->pass == BENCH_INPUT_GRADIENT ? &adjoint : &j->o.conv,
                               passes[j->pass][j->o.transposed]);
    return j->plan ? CLI_OK : cli_fail_library();
}

/* ---- running ---- */

static cn_array *filled(int64_t count)
{
    cn_shape shape = cn_shape_of(count);
    cn_array *array = cn_array_new(CN_FLOAT32, &shape);
    if (array)
        bench_fill(cn_array_floats(array), count);
    return array;
}

static int make_arrays(job *j)
{
    j->x = filled(cn_conv_in_count(&j->o.conv));
    j->g = filled(cn_conv_out_count(&j->o.conv));
    j->kernel = filled(cn_conv_kernel_count(&j->o.conv, j->o.transposed));
    j->packed = filled((int64_t)(cn_conv_plan_packed_bytes(j->plan) / sizeof(float)));
    j->scratch = filled((int64_t)(cn_conv_plan_scratch_bytes(j->plan) / sizeof(float)));
    if (!j->x || !j->g || !j->kernel || !j->packed || !j->scratch)
        return cli_fail_library();
    if (j->pass != BENCH_KERNEL_GRADIENT)
        cn_conv_plan_pack(j->plan, cn_array_floats(j->kernel), cn_array_floats(j->packed), j->pool);
    return CLI_OK;
}

static bool run_pass(void *context)
{
    job *j = context;
    float *x = cn_array_floats(j->x), *g = cn_array_floats(j->g);
    float *kernel = cn_array_floats(j->kernel), *packed = cn_array_floats(j->packed);
    float *scratch = cn_array_floats(j->scratch);
    if (j->pass == BENCH_FORWARD)
        cn_conv_plan_run(j->plan, x, packed, NULL, NULL, g, scratch, j->pool);
    else if (j->pass == BENCH_INPUT_GRADIENT)
        cn_conv_plan_run(j->plan, g, packed, NULL, NULL, x, scratch, j->pool);
    else
        cn_conv_plan_kernel_gradient(j->plan, x, g, kernel, scratch, j->pool);
    return true;
}

/* ---- telling ---- */

/* (batch, spatial..., channels) */
static cn_shape shape_of(const cn_conv *conv, const int64_t *spatial, int64_t channels)
{
    cn_shape shape = {.rank = conv->rank + 2};
    shape.dim[0] = conv->batch;
    for (int i = 0; i < conv->rank; i++)
        shape.dim[i + 1] = spatial[i];
    shape.dim[conv->rank + 1] = channels;
    return shape;
}

static void print_json(const job *j, const bench_times *times)
{
    const cn_conv *conv = &j->o.conv;
    cn_shape in = shape_of(conv, conv->in, conv->in_channels);
    cn_shape out = shape_of(conv, conv->out, conv->out_channels);
    cli_json json = {0};
    cli_json_open(&json, NULL, '{');
    cli_json_text(&json, "operation", j->o.name);
    cli_json_text(&json, "pass", pass_names[j->pass]);
    cli_json_text(&json, "instruction_set", cn_isa_name());
    cli_json_integer(&json, "batch", conv->batch);
    cli_json_integers(&json, "input", in.dim, in.rank);
    cli_json_integers(&json, "output", out.dim, out.rank);
    bench_json_choice(&json, cn_conv_plan_algorithm(j->plan), cn_conv_plan_choice(j->plan),
                      cn_conv_plan_packed_bytes(j->plan), cn_conv_plan_scratch_bytes(j->plan));
    if (times) {
        cli_json_integer(&json, "threads", cn_pool_threads(j->pool));
        bench_json_times(&json, times, conv->batch, cn_conv_multiplications(conv, j->o.transposed));
    }
    cli_json_close(&json, '}');
}

static void print_text(const job *j, const bench_times *times)
{
    const cn_conv *conv = &j->o.conv;
    cn_shape in = shape_of(conv, conv->in, conv->in_channels);
    cn_shape out = shape_of(conv, conv->out, conv->out_channels);
    char from[200], to[200];
    int threads = cn_pool_threads(j->pool);
    (void)printf("%s %s -> %s, %s", j->o.name, cn_shape_text(&in, from, sizeof from),
                 cn_shape_text(&out, to, sizeof to), pass_names[j->pass]);
    if (times)
        (void)printf(", %s, %d thread%s", cn_isa_name(), threads, threads == 1 ? "" : "s");
    (void)printf(":\n");
    if (times)
        bench_print_times(times, conv->batch, cn_conv_multiplications(conv, j->o.transposed));
    bench_print_choice(cn_conv_plan_algorithm(j->plan), cn_conv_plan_choice(j->plan),
                       cn_conv_plan_packed_bytes(j->plan), cn_conv_plan_scratch_bytes(j->plan));
}

static int run(job *j, const operation_kind *kind)
{
    bench_times times;
    int code = operation_take(&j->s->operation, kind, &j->o);
    if (code != CLI_OK)
        return code;
    if (j->s->subject.batch)
        j->o.conv.batch = j->s->subject.batch;
    code = make_plan(j);
    if (code == CLI_OK && !j->s->explain)
        code = make_arrays(j);
    if (code == CLI_OK && !j->s->explain)
        code = bench_measure(run_pass, j, j->s->seconds, j->pool, &times);
    if (code == CLI_OK)
        (j->s->json ? print_json : print_text)(j, j->s->explain ? NULL : &times);
    return code;
}

int bench_operation(const bench_settings *s, const operation_kind *kind, cn_pool *pool)
{
    job j = {.s = s, .pool = pool, .pass = s->pass < 0 ? BENCH_FORWARD : (bench_pass)s->pass};
    int code = run(&j, kind);
    cn_array *const arrays[] = {j.x, j.g, j.kernel, j.packed, j.scratch};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        cn_array_free(arrays[i]);
    cn_conv_plan_free(j.plan);
    return code;
}
