/* `cornu bench` of a model's prediction. */
#include "bench.h"
#include "table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct job {
    const bench_settings *s;
    const char *path;
    cn_pool *pool;
    cn_model *model;
    int inputs, outputs;
    cn_shape *shapes; /* of the inputs */
    cn_array **in, **out;
    /* The operations, in the order in which they are planned and run. */
    int operations, next;
    double *best; /* milliseconds of each */
    double sum, multiplications;
    cli_table table;
    cli_json json;
    bool failed; /* a row could not be added */
} job;

static int plan(job *j, cn_planner planner)
{
    j->next = 0;
    cn_status status = cn_model_plan(j->model, j->shapes, planner, j, NULL);
    return status != CN_OK ? cli_fail_library() : j->failed ? CLI_FAILED : CLI_OK;
}

/* ---- what was weighed ---- */

static void print_choice(const cn_planned *step, void *context)
{
    const cn_trace *o = &step->operation;
    char from[200], to[200];
    (void)context;
    if (!*o->algorithm)
        return;
    (void)printf("%s: %s %s -> %s\n", o->name, o->operation,
                 cn_shape_text(o->in[0], from, sizeof from), cn_shape_text(o->out, to, sizeof to));
    bench_print_choice(o->algorithm, o->choice, step->packed_bytes, step->scratch_bytes);
}

static void json_choice(const cn_planned *step, void *context)
{
    job *j = context;
    const cn_trace *o = &step->operation;
    if (!*o->algorithm)
        return;
    cli_json_open(&j->json, NULL, '{');
    cli_json_text(&j->json, "name", o->name);
    cli_json_text(&j->json, "operation", o->operation);
    cli_json_integers(&j->json, "input", o->in[0]->dim, o->in[0]->rank);
    cli_json_integers(&j->json, "output", o->out->dim, o->out->rank);
    bench_json_choice(&j->json, o->algorithm, o->choice, step->packed_bytes, step->scratch_bytes);
    cli_json_close(&j->json, '}');
}

/* ---- running ---- */

static bool predict(void *context)
{
    job *j = context;
    j->next = 0;
    if (cn_model_predict(j->model, (const cn_array *const *)j->in, j->out, j->shapes[0].dim[0],
                         j->pool) != CN_OK)
        return false;
    for (int i = 0; i < j->outputs; i++) {
        cn_array_free(j->out[i]);
        j->out[i] = NULL;
    }
    return true;
}

/* Inputs of whole numbers stay 0: what they mean is not known. */
static int make_inputs(job *j)
{
    for (int i = 0; i < j->inputs; i++) {
        j->in[i] = cn_array_new(cn_tensor_dtype(cn_model_inputs(j->model).items[i]), &j->shapes[i]);
        if (!j->in[i])
            return cli_fail_library();
        if (cn_array_floats(j->in[i]))
            bench_fill(cn_array_floats(j->in[i]), cn_array_count(j->in[i]));
    }
    return CLI_OK;
}

static void count_operation(const cn_planned *step, void *context)
{
    job *j = context;
    j->operations++;
    j->multiplications += step->operation.multiplications;
}

static void keep_best(const cn_trace *trace, void *context)
{
    job *j = context;
    if (j->next >= j->operations)
        return;
    double *best = &j->best[j->next++];
    if (*best == 0 || trace->milliseconds < *best)
        *best = trace->milliseconds;
}

/* The prediction as it is for half of the time, then operation by operation. */
static int measure(job *j, bench_times *times)
{
    bench_times traced;
    int code = plan(j, count_operation);
    if (code != CLI_OK)
        return code;
    j->best = calloc((size_t)j->operations + 1, sizeof *j->best);
    if (!j->best)
        return cli_fail("no memory");
    if (!predict(j)) /* which CORNU_VERBOSE tells of; it would slow down what is timed */
        return cli_fail_library();
    cn_set_tracer(NULL, NULL);
    code = bench_measure(predict, j, j->s->seconds / 2, j->pool, times);
    if (code != CLI_OK)
        return code;
    cn_set_tracer(keep_best, j);
    code = bench_measure(predict, j, j->s->seconds / 2, j->pool, &traced);
    cn_set_tracer(NULL, NULL);
    for (int i = 0; i < j->operations; i++)
        j->sum += j->best[i];
    return code;
}

/* ---- telling ---- */

static double gflops(const cn_trace *o, double milliseconds)
{
    return milliseconds > 0 ? 2e-6 * o->multiplications / milliseconds : 0;
}

static void add_row(const cn_planned *step, void *context)
{
    job *j = context;
    const cn_trace *o = &step->operation;
    double best = j->best[j->next++];
    char text[4][CLI_TABLE_CELL] = {"", "", "", ""};
    (void)snprintf(text[0], sizeof text[0], "%.3f", best);
    (void)snprintf(text[1], sizeof text[1], "%.1f%%", j->sum > 0 ? 100 * best / j->sum : 0);
    if (o->multiplications > 0)
        (void)snprintf(text[2], sizeof text[2], "%.1f", gflops(o, best));
    const char *cells[] = {
        o->name, o->operation, cn_shape_text(o->out, text[3], sizeof text[3]), text[0], text[1],
        text[2], o->algorithm};
    j->failed = j->failed || !cli_table_add(&j->table, cells);
}

static void add_object(const cn_planned *step, void *context)
{
    job *j = context;
    const cn_trace *o = &step->operation;
    double best = j->best[j->next++];
    cli_json_open(&j->json, NULL, '{');
    cli_json_text(&j->json, "name", o->name);
    cli_json_text(&j->json, "operation", o->operation);
    cli_json_integers(&j->json, "output", o->out->dim, o->out->rank);
    cli_json_number(&j->json, "best_ms", best);
    cli_json_number(&j->json, "share", j->sum > 0 ? best / j->sum : 0);
    cli_json_number(&j->json, "multiplications", o->multiplications);
    cli_json_number(&j->json, "gflops", gflops(o, best));
    cli_json_text(&j->json, "algorithm", o->algorithm);
    cli_json_text(&j->json, "choice", o->choice);
    cli_json_close(&j->json, '}');
}

static int print_json(job *j, const bench_times *times)
{
    cli_json_open(&j->json, NULL, '{');
    cli_json_text(&j->json, "model", j->path);
    cli_json_text(&j->json, "instruction_set", cn_isa_name());
    cli_json_integer(&j->json, "batch", j->shapes[0].dim[0]);
    if (times) {
        cli_json_integer(&j->json, "threads", cn_pool_threads(j->pool));
        bench_json_times(&j->json, times, j->shapes[0].dim[0], j->multiplications);
    }
    cli_json_open(&j->json, "operations", '[');
    int code = plan(j, times ? add_object : json_choice);
    cli_json_close(&j->json, ']');
    cli_json_close(&j->json, '}');
    return code;
}

static int print_text(job *j, const bench_times *times)
{
    static const char *const heads[] = {"name",  "operation", "output",   "best ms",
                                        "share", "GFLOP/s",   "algorithm"};
    char shape[200];
    int threads = cn_pool_threads(j->pool);
    (void)printf("%s of %s, %s, %d thread%s:\n", j->path,
                 cn_shape_text(&j->shapes[0], shape, sizeof shape), cn_isa_name(), threads,
                 threads == 1 ? "" : "s");
    bench_print_times(times, j->shapes[0].dim[0], j->multiplications);
    (void)putchar('\n');
    j->table = (cli_table){.align = "lllrrrl"};
    if (!cli_table_add(&j->table, heads))
        return CLI_FAILED;
    int code = plan(j, add_row);
    if (code == CLI_OK)
        cli_table_print(&j->table);
    return code;
}

static int run(job *j)
{
    int code = CLI_OK;
    bench_times times;
    j->model = subject_open(j->path, &code);
    if (j->model)
        j->shapes = subject_shapes(j->model, &j->s->subject, &code);
    if (code != CLI_OK)
        return code;
    if (j->s->explain)
        return j->s->json ? print_json(j, NULL) : plan(j, print_choice);
    j->inputs = cn_model_inputs(j->model).count;
    j->outputs = cn_model_outputs(j->model).count;
    j->in = calloc((size_t)j->inputs + 1, sizeof *j->in);
    j->out = calloc((size_t)j->outputs + 1, sizeof *j->out);
    if (!j->in || !j->out)
        return cli_fail("no memory");
    code = make_inputs(j);
    if (code == CLI_OK)
        code = measure(j, &times);
    if (code != CLI_OK)
        return code;
    return j->s->json ? print_json(j, &times) : print_text(j, &times);
}

int bench_model(const bench_settings *s, const char *path, cn_pool *pool)
{
    job j = {.s = s, .path = path, .pool = pool};
    int code = run(&j);
    for (int i = 0; j.in && i < j.inputs; i++)
        cn_array_free(j.in[i]);
    free(j.in);
    free(j.out);
    free(j.best);
    free(j.shapes);
    cli_table_free(&j.table);
    cn_model_free(j.model);
    return code;
}
