/* The memory of a prediction, as text and as JSON. */
#include "summary.h"
#include "table.h"

#include <inttypes.h>
#include <stdio.h>

enum { FLOAT_BYTES = 4 }; /* of every element, as of int32 ones */

typedef struct totals {
    size_t weights, inputs, all;
} totals;

static totals add_up(const summary_memory *m)
{
    totals t = {.weights = (size_t)cn_model_parameter_count(m->model, false) * FLOAT_BYTES};
    for (int i = 0; i < cn_model_inputs(m->model).count; i++)
        t.inputs += (size_t)cn_shape_count(&m->shapes[i]) * FLOAT_BYTES;
    t.all = t.weights + t.inputs + m->plan.packed_bytes + m->plan.workspace_bytes +
            m->plan.output_bytes;
    return t;
}

/* How much more the workspace is than what is in use at the time of the greatest need; 1 if nothing
 * ever is. */
static double ratio_of(const cn_memory *plan)
{
    return plan->least_bytes ? (double)plan->workspace_bytes / (double)plan->least_bytes : 1;
}

/* ---- the operations ---- */

/* Goes from operation to operation. */
typedef struct walk {
    size_t most; /* that is in use meanwhile, over all operations */
    bool told;   /* which one needs it: the first */
    bool failed;
    cli_table table;
    cli_json *json;
} walk;

static bool is_greatest(walk *w, const cn_planned *step)
{
    bool greatest = !w->told && step->live_bytes == w->most;
    w->told = w->told || greatest;
    return greatest;
}

static void add_row(const cn_planned *step, void *context)
{
    walk *w = context;
    const cn_trace *o = &step->operation;
    char out[CLI_TABLE_CELL], live[SUBJECT_BYTES], scratch[SUBJECT_BYTES];
    const char *cells[] = {o->name,
                           o->operation,
                           cn_shape_text(o->out, out, sizeof out),
                           subject_bytes(step->live_bytes, live),
                           subject_bytes(step->scratch_bytes, scratch),
                           is_greatest(w, step) ? "<- the greatest need" : ""};
    w->failed = w->failed || !cli_table_add(&w->table, cells);
}

static int print_operations(const summary_memory *m)
{
    walk w = {.most = m->plan.least_bytes, .table = {.align = "lllrrl"}};
    const char *const heads[] = {"name", "operation", "output", "in use", "scratch", ""};
    if (!cli_table_add(&w.table, heads))
        return CLI_FAILED;
    cn_status status = cn_model_plan(m->model, m->shapes, add_row, &w, NULL);
    if (status == CN_OK && !w.failed)
        cli_table_print(&w.table);
    cli_table_free(&w.table);
    return status == CN_OK ? (w.failed ? CLI_FAILED : CLI_OK) : cli_fail_library();
}

int summary_print_memory(const summary_memory *m)
{
    const totals t = add_up(m);
    const struct {
        const char *what;
        size_t bytes;
    } lines[] = {{"weights", t.weights},
                 {"packed kernels", m->plan.packed_bytes},
                 {"workspace", m->plan.workspace_bytes},
                 {"inputs", t.inputs},
                 {"outputs", m->plan.output_bytes},
                 {"together", t.all}};
    char bytes[SUBJECT_BYTES];
    int64_t batch = m->shapes[0].dim[0];
    (void)printf("\n Memory of a prediction for %" PRId64 " sample%s:\n", batch,
                 batch == 1 ? "" : "s");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        (void)printf("  %-14s  %10s", lines[i].what, subject_bytes(lines[i].bytes, bytes));
        if (i == 2)
            (void)printf("  %.2f times the least possible, %s", ratio_of(&m->plan),
                         subject_bytes(m->plan.least_bytes, bytes));
        (void)putchar('\n');
    }
    (void)printf("\n Operations, and how much of the workspace is in use meanwhile:\n");
    return print_operations(m);
}

/* ---- JSON ---- */

static void add_object(const cn_planned *step, void *context)
{
    walk *w = context;
    const cn_trace *o = &step->operation;
    cli_json_open(w->json, NULL, '{');
    cli_json_text(w->json, "name", o->name);
    cli_json_text(w->json, "operation", o->operation);
    cli_json_text(w->json, "algorithm", o->algorithm);
    cli_json_integers(w->json, "output", o->out->dim, o->out->rank);
    cli_json_integer(w->json, "live_bytes", (int64_t)step->live_bytes);
    cli_json_integer(w->json, "scratch_bytes", (int64_t)step->scratch_bytes);
    cli_json_integer(w->json, "packed_bytes", (int64_t)step->packed_bytes);
    cli_json_bool(w->json, "greatest", is_greatest(w, step));
    cli_json_close(w->json, '}');
}

int summary_json_memory(cli_json *json, const summary_memory *m)
{
    const totals t = add_up(m);
    walk w = {.most = m->plan.least_bytes, .json = json};
    cli_json_open(json, "memory", '{');
    cli_json_integer(json, "batch", m->shapes[0].dim[0]);
    cli_json_integer(json, "weight_bytes", (int64_t)t.weights);
    cli_json_integer(json, "packed_bytes", (int64_t)m->plan.packed_bytes);
    cli_json_integer(json, "workspace_bytes", (int64_t)m->plan.workspace_bytes);
    cli_json_integer(json, "least_workspace_bytes", (int64_t)m->plan.least_bytes);
    cli_json_number(json, "workspace_ratio", ratio_of(&m->plan));
    cli_json_integer(json, "input_bytes", (int64_t)t.inputs);
    cli_json_integer(json, "output_bytes", (int64_t)m->plan.output_bytes);
    cli_json_integer(json, "total_bytes", (int64_t)t.all);
    cli_json_open(json, "operations", '[');
    cn_status status = cn_model_plan(m->model, m->shapes, add_object, &w, NULL);
    cli_json_close(json, ']');
    cli_json_close(json, '}');
    return status == CN_OK ? CLI_OK : cli_fail_library();
}
