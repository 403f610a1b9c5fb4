/* Compiled functions: programs for the shapes that were asked for, kept for the next call. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "graph/program.h"

/* Programs kept while nobody runs them; the one unused longest goes first. */
enum { most_idle = 8 };

struct cn_function {
    cn_graph *graph;
    cn_tensor_list inputs, outputs;
    cn_tensor **tensors;   /* the memory of both lists */
    _Atomic uint64_t runs; /* so far */
    pthread_mutex_t lock;  /* over `idle` */
    int idle_count;
    cn__program *idle[most_idle]; /* the last used last */
};

static cn_status check_lists(cn_tensor_list inputs, cn_tensor_list outputs)
{
    for (int i = 0; i < inputs.count; i++)
        if (inputs.items[i] == NULL)
            return cn__fail_null_argument("function");
    for (int i = 0; i < outputs.count; i++)
        if (outputs.items[i] == NULL)
            return cn__fail_null_argument("function");
    if (outputs.count == 0)
        return cn__fail(CN_ERROR_ARGUMENT, "function: at least one output is needed");
    return CN_OK;
}

cn_function *cn_function_new(cn_tensor_list inputs, cn_tensor_list outputs)
{
    if (check_lists(inputs, outputs) != CN_OK)
        return NULL;
    cn_function *function = cn__calloc(1, sizeof *function);
    cn_tensor **tensors = cn__calloc((size_t)(inputs.count + outputs.count), sizeof(cn_tensor *));
    if (function == NULL || tensors == NULL) {
        cn__free(function);
        cn__free(tensors);
        return NULL;
    }
    for (int i = 0; i < inputs.count; i++)
        tensors[i] = inputs.items[i];
    for (int i = 0; i < outputs.count; i++)
        tensors[inputs.count + i] = outputs.items[i];
    for (int i = 0; i < inputs.count + outputs.count; i++)
        cn__graph_join(outputs.items[0]->graph, tensors[i]->graph);
    function->graph = cn__graph_of(outputs.items[0]);
    cn__graph_retain(function->graph);
    function->tensors = tensors;
    function->inputs = (cn_tensor_list){inputs.count, tensors};
    function->outputs = (cn_tensor_list){outputs.count, tensors + inputs.count};
    pthread_mutex_init(&function->lock, NULL);
    return function;
}

void cn_function_free(cn_function *function)
{
    if (function == NULL)
        return;
    for (int i = 0; i < function->idle_count; i++)
        cn__program_free(function->idle[i]);
    pthread_mutex_destroy(&function->lock);
    cn__graph_release(function->graph);
    cn__free(function->tensors);
    cn__free(function);
}

/* Takes a program for these shapes out of the idle ones; NULL if there is none. */
static cn__program *take(cn_function *function, const cn_shape *shapes, bool training)
{
    cn__program *found = NULL;
    pthread_mutex_lock(&function->lock);
    for (int i = function->idle_count - 1; i >= 0 && found == NULL; i--)
        if (cn__program_fits(function->idle[i], shapes, training)) {
            found = function->idle[i];
            memmove(&function->idle[i], &function->idle[i + 1],
                    (size_t)(--function->idle_count - i) * sizeof function->idle[0]);
        }
    pthread_mutex_unlock(&function->lock);
    return found;
}

static cn__program *program_for(cn_function *function, const cn_shape *shapes, bool training)
{
    cn__program *idle = take(function, shapes, training);
    if (idle != NULL)
        return idle;
    return cn__program_new(function->inputs, function->outputs, shapes, training, NULL);
}

static void put_back(cn_function *function, cn__program *program)
{
    cn__program *oldest = NULL;
    pthread_mutex_lock(&function->lock);
    if (function->idle_count == most_idle) {
        oldest = function->idle[0];
        memmove(function->idle, function->idle + 1, (most_idle - 1) * sizeof function->idle[0]);
        function->idle_count--;
    }
    function->idle[function->idle_count++] = program;
    pthread_mutex_unlock(&function->lock);
    cn__program_free(oldest);
}

static cn_status check_shapes(const cn_function *function, const cn_shape *shapes)
{
    for (int i = 0; i < function->inputs.count; i++) {
        const cn_tensor *expected = function->inputs.items[i];
        char a[128], b[128];
        if (!cn__shapes_agree(&expected->shape, &shapes[i]))
            return cn__fail(CN_ERROR_SHAPE, "the input '%s' takes the shape %s, not %s",
                            expected->name, cn_shape_text(&expected->shape, a, sizeof a),
                            cn_shape_text(&shapes[i], b, sizeof b));
    }
    return CN_OK;
}

static cn_status check_inputs(const cn_function *function, const cn_array *const *in,
                              cn_shape *shapes, const void **data)
{
    for (int i = 0; i < function->inputs.count; i++) {
        if (in[i] == NULL)
            return cn__fail_null_argument("function");
        shapes[i] = *cn_array_shape(in[i]);
    }
    CN__TRY(check_shapes(function, shapes));
    for (int i = 0; i < function->inputs.count; i++) {
        const cn_tensor *expected = function->inputs.items[i];
        if (cn_array_dtype(in[i]) != expected->dtype)
            return cn__fail(CN_ERROR_ARGUMENT, "the input '%s' takes %s numbers", expected->name,
                            expected->dtype == CN_INT32 ? "int32" : "float32");
        data[i] = expected->dtype == CN_INT32 ? (const void *)cn_array_const_ints(in[i])
                                              : (const void *)cn_array_const_floats(in[i]);
    }
    return CN_OK;
}

/* On failure the arrays made so far are left to the caller. */
static cn_status make_outputs(const cn_function *function, const cn__program *program,
                              cn_array **arrays, void **data)
{
    for (int i = 0; i < function->outputs.count; i++) {
        cn_dtype dtype = cn__program_output_dtype(program, i);
        arrays[i] = cn_array_new(dtype, cn__program_output_shape(program, i));
        if (arrays[i] == NULL)
            return cn_error_status();
        data[i] = dtype == CN_INT32 ? (void *)cn_array_ints(arrays[i])
                                    : (void *)cn_array_floats(arrays[i]);
    }
    return CN_OK;
}

typedef struct call {
    cn_shape *shapes;
    const void **in;
    cn_array **arrays;
    void **out;
} call;

static cn_status run_call(cn_function *function, const cn_array *const *in, cn_array **out,
                          bool training, cn_pool *pool, const call *c)
{
    CN__TRY(check_inputs(function, in, c->shapes, c->in));
    cn__program *program = program_for(function, c->shapes, training);
    if (program == NULL)
        return cn_error_status();
    cn_status status = make_outputs(function, program, c->arrays, c->out);
    if (status == CN_OK) {
        uint64_t number = atomic_fetch_add(&function->runs, 1);
        cn__graph_lock_weights(function->graph, false);
        status = cn__program_run(program, c->in, c->out, number, pool);
        cn__graph_unlock_weights(function->graph);
    }
    for (int i = 0; i < function->outputs.count; i++)
        if (status == CN_OK)
            out[i] = c->arrays[i];
        else
            cn_array_free(c->arrays[i]);
    put_back(function, program);
    return status;
}

cn_status cn_function_run(cn_function *function, const cn_array *const *in, cn_array **out,
                          bool training, cn_pool *pool)
{
    if (function == NULL || out == NULL || (in == NULL && function->inputs.count > 0))
        return cn__fail_null_argument("function");
    size_t inputs = (size_t)function->inputs.count, outputs = (size_t)function->outputs.count;
    call c = {cn__calloc(inputs + 1, sizeof *c.shapes), cn__calloc(inputs + 1, sizeof *c.in),
              cn__calloc(outputs, sizeof *c.arrays), cn__calloc(outputs, sizeof *c.out)};
    cn_status status = CN_ERROR_MEMORY;
    if (c.shapes != NULL && c.in != NULL && c.arrays != NULL && c.out != NULL)
        status = run_call(function, in, out, training, pool, &c);
    cn__free(c.shapes);
    cn__free(c.in);
    cn__free(c.arrays);
    cn__free(c.out);
    return status;
}

cn_status cn_function_plan(cn_function *function, const cn_shape *in, bool training,
                           cn_planner planner, void *context, cn_memory *memory)
{
    if (function == NULL || (in == NULL && function->inputs.count > 0))
        return cn__fail_null_argument("cn_function_plan");
    CN__TRY(check_shapes(function, in));
    cn__program *program = program_for(function, in, training);
    if (program == NULL)
        return cn_error_status();
    cn_status status = cn__program_tell(program, planner, context, memory);
    put_back(function, program);
    return status;
}
