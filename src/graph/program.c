/* Making and running programs: the graph is copied with full shapes and simplified, its nodes
 * become steps, and the values between them get places in one workspace. */
#include <string.h>

#include "graph/map.h"
#include "graph/ops.h"
#include "graph/order.h"
#include "graph/program_layout.h"

/* ---- copying the graph ---- */

typedef struct copier {
    cn__program *program;
    cn_tensor_list inputs, outputs;
    cn__order order;
    cn__map uses, copies;
} copier;

static cn_status count_use(copier *c, const cn_tensor *tensor)
{
    uintptr_t uses = (uintptr_t)cn__map_get(&c->uses, tensor);
    return cn__map_set(&c->uses, tensor, (void *)(uses + 1));
}

/* How often values are used; a shape that is lent does not count. */
static cn_status count_uses(copier *c)
{
    for (size_t n = 0; n < c->order.count; n++)
        for (int i = 0; i < c->order.nodes[n]->inputs; i++)
            if (!cn__lends_shape(c->order.nodes[n], i))
                CN__TRY(count_use(c, c->order.nodes[n]->in[i]));
    for (int i = 0; i < c->outputs.count; i++)
        CN__TRY(count_use(c, c->outputs.items[i]));
    return CN_OK;
}

static cn_status copy_inputs(copier *c, const cn_shape *shapes)
{
    for (int i = 0; i < c->inputs.count; i++) {
        const cn_tensor *original = c->inputs.items[i];
        cn_tensor *copy =
            cn__input_in(c->program->graph, original->dtype, &shapes[i], original->name);
        if (copy == NULL)
            return cn_error_status();
        c->program->copied[i] = copy;
        CN__TRY(cn__map_set(&c->copies, original, copy));
    }
    return CN_OK;
}

static cn_status copy_leaf(copier *c, const cn__node *node)
{
    const cn__leaf *leaf = node->attributes;
    cn_tensor *copy = NULL;
    if (node->op == &cn__input_op)
        return cn__fail(CN_ERROR_ARGUMENT,
                        "function: the outputs depend on the input '%s', which is not among the "
                        "function's inputs",
                        node->out[0]->name);
    if (leaf->variable != NULL)
        copy = cn__variable_in(c->program->graph, leaf->variable, node->out[0]->name);
    else
        copy = cn__leaf_new(c->program->graph, &cn__constant_op, leaf);
    return copy != NULL ? cn__map_set(&c->copies, node->out[0], copy) : cn_error_status();
}

/* Gives a name, most often the layer's, to what was made for it and has none yet, for traces. */
static void name_made(cn_tensor *tensor, const char *name)
{
    while (tensor->name == tensor->node->op->name && tensor->node->inputs > 0) {
        const cn__op *op = tensor->node->op;
        tensor->name = name;
        if (op == &cn__transpose_op || op == &cn__reshape_op || op == &cn__reshape_like_op)
            tensor = tensor->node->in[0];
    }
}

static cn_status copy_one(copier *c, const cn__node *node)
{
    if (node->inputs == 0)
        return copy_leaf(c, node);
    cn_tensor *in[cn__most_inputs], *out[cn__most_outputs];
    for (int i = 0; i < node->inputs; i++)
        in[i] = cn__map_get(&c->copies, node->in[i]);
    cn__copying copying = {c->program->training, &c->uses};
    CN__TRY(cn__simplify(&copying, node, in, out));
    for (int i = 0; i < node->outputs; i++) {
        if (cn__map_get(&c->copies, node->out[i]) == NULL)
            CN__TRY(cn__map_set(&c->copies, node->out[i], out[i]));
        if (node->out[i]->name != node->op->name)
            name_made(out[i], node->out[i]->name);
    }
    return CN_OK;
}

/* The graph is copied whole even where an input lies in its middle: what only leads to that input
 * is not found by the order. */
static cn_status copy_all(copier *c, const cn_shape *shapes)
{
    CN__TRY(cn__order_find(&c->order, c->outputs, c->inputs, false));
    CN__TRY(count_uses(c));
    CN__TRY(copy_inputs(c, shapes));
    for (size_t n = 0; n < c->order.count; n++)
        CN__TRY(copy_one(c, c->order.nodes[n]));
    for (int i = 0; i < c->outputs.count; i++)
        c->program->copied[c->inputs.count + i] = cn__map_get(&c->copies, c->outputs.items[i]);
    return CN_OK;
}

static cn_status copy_graph(cn__program *program, cn_tensor_list inputs, cn_tensor_list outputs,
                            const cn_shape *shapes)
{
    copier c = {.program = program, .inputs = inputs, .outputs = outputs};
    program->copied = cn__arena_alloc(program->arena, (size_t)(inputs.count + outputs.count) *
                                                          sizeof *program->copied);
    program->shapes = cn__arena_copy(program->arena, shapes, (size_t)inputs.count * sizeof *shapes);
    cn_status status = program->copied == NULL || program->shapes == NULL ? cn_error_status()
                                                                          : copy_all(&c, shapes);
    cn__order_free(&c.order);
    cn__map_free(&c.uses);
    cn__map_free(&c.copies);
    return status;
}

/* ---- steps and values ---- */

static cn_status add_value(cn__program *program, cn_tensor *tensor, int step, cn__place where)
{
    const int64_t limit = (int64_t)1 << 40;
    int number = program->value_count++;
    int64_t count = cn_shape_count(&tensor->shape);
    if (count < 0 || count >= limit) {
        char text[200];
        return cn__fail(CN_ERROR_SHAPE,
                        "function: the shape %s of '%s' must be known in full and have below 2^40 "
                        "elements",
                        cn_shape_text(&tensor->shape, text, sizeof text), tensor->name);
    }
    program->values[number] = (cn__value){
        .tensor = tensor, .same_as = number, .place = where, .first = step, .last = step};
    return cn__map_set(&program->index, tensor, (void *)(uintptr_t)(number + 1));
}

static cn_status add_leaf(cn__program *program, const cn__node *node)
{
    const cn__leaf *leaf = node->attributes;
    CN__TRY(add_value(program, node->out[0], -1, CN__IN_VARIABLE));
    cn__value *v = cn__value_of(program, node->out[0]);
    const cn_array *array = leaf->variable != NULL ? leaf->variable->value : leaf->array;
    v->data = leaf->dtype == CN_INT32 ? (const void *)cn_array_const_ints(array)
                                      : (const void *)cn_array_const_floats(array);
    return CN_OK;
}

static cn_status add_step(cn__program *program, const cn__node *node)
{
    int number = program->step_count;
    for (int i = 0; i < node->outputs; i++)
        CN__TRY(add_value(program, node->out[i], number, CN__IN_WORKSPACE));
    if (node->op->alias != NULL && node->op->alias(node)) {
        cn__value *out = cn__value_of(program, node->out[0]);
        out->same_as = (int)(cn__value_of(program, node->in[0]) - program->values);
        return CN_OK;
    }
    program->step_count++;
    cn__step *step = &program->steps[number];
    *step = (cn__step){.node = node, .training = program->training, .arena = program->arena};
    return node->op->prepare != NULL ? node->op->prepare(step) : CN_OK;
}

static cn_status add_all(cn__program *program, const cn__order *order)
{
    size_t values = (size_t)program->input_count;
    for (size_t n = 0; n < order->count; n++)
        values += (size_t)order->nodes[n]->outputs;
    program->values = cn__arena_alloc(program->arena, values * sizeof *program->values);
    program->steps = cn__arena_alloc(program->arena, order->count * sizeof *program->steps);
    if (program->values == NULL || program->steps == NULL)
        return cn_error_status();
    for (int i = 0; i < program->input_count; i++) {
        CN__TRY(add_value(program, program->copied[i], -1, CN__IN_INPUT));
        cn__value_of(program, program->copied[i])->number = i;
    }
    for (size_t n = 0; n < order->count; n++) {
        const cn__node *node = order->nodes[n];
        if (node->op == &cn__input_op)
            continue;
        CN__TRY(node->inputs == 0 ? add_leaf(program, node) : add_step(program, node));
    }
    return CN_OK;
}

static cn_status make_steps(cn__program *program)
{
    cn__order order = {0};
    cn_tensor_list outputs = {program->output_count, program->copied + program->input_count};
    cn_status status = cn__order_find(&order, outputs, (cn_tensor_list){0, NULL}, true);
    if (status == CN_OK)
        status = add_all(program, &order);
    cn__order_free(&order);
    return status;
}

/* ---- public ---- */

cn__program *cn__program_new(cn_tensor_list inputs, cn_tensor_list outputs, const cn_shape *shapes,
                             bool training, cn__workspace *shared)
{
    cn__program *program = cn__calloc(1, sizeof *program);
    if (program == NULL)
        return NULL;
    program->training = training;
    program->workspace = shared != NULL ? shared : &program->own;
    program->input_count = inputs.count;
    program->output_count = outputs.count;
    program->arena = cn__arena_new();
    program->graph = cn__graph_new();
    if (program->arena == NULL || program->graph == NULL ||
        copy_graph(program, inputs, outputs, shapes) != CN_OK || make_steps(program) != CN_OK ||
        cn__program_lay_out(program) != CN_OK) {
        cn__program_free(program);
        return NULL;
    }
    return program;
}

void cn__program_free(cn__program *program)
{
    if (program == NULL)
        return;
    for (int s = 0; s < program->step_count; s++) {
        cn__step *step = &program->steps[s];
        if (step->release != NULL)
            step->release(step->state);
    }
    cn__map_free(&program->index);
    cn__graph_discard(program->graph);
    cn__arena_free(program->arena);
    cn__free(program->own.memory);
    cn__free(program);
}

bool cn__program_fits(const cn__program *program, const cn_shape *shapes, bool training)
{
    if (program->training != training)
        return false;
    for (int i = 0; i < program->input_count; i++)
        if (!cn_shape_equal(&program->shapes[i], &shapes[i]))
            return false;
    return true;
}

static const cn_tensor *output(const cn__program *program, int number)
{
    return program->copied[program->input_count + number];
}

const cn_shape *cn__program_output_shape(const cn__program *program, int number)
{
    return &output(program, number)->shape;
}

cn_dtype cn__program_output_dtype(const cn__program *program, int number)
{
    return output(program, number)->dtype;
}

static const void *data_of(const cn__program *program, const cn_tensor *tensor)
{
    return cn__holder(program, cn__value_of(program, tensor))->data;
}

static void place_data(cn__program *program, const void *const *in, void *const *out)
{
    unsigned char *memory = program->workspace->memory;
    for (int i = 0; i < program->value_count; i++) {
        cn__value *v = &program->values[i];
        if (v->place == CN__IN_WORKSPACE)
            v->data = memory + v->offset;
        if (v->place == CN__IN_INPUT)
            v->data = in[v->number];
        if (v->place == CN__IN_OUTPUT)
            v->data = out[v->number];
    }
}

cn_status cn__program_run(cn__program *program, const void *const *in, void *const *out,
                          uint64_t run, cn_pool *pool)
{
    place_data(program, in, out);
    for (int s = 0; s < program->step_count; s++) {
        cn__step *step = &program->steps[s];
        const cn__node *node = step->node;
        step->run = run;
        step->scratch = (unsigned char *)program->workspace->memory + program->scratch[s];
        for (int i = 0; i < node->inputs; i++)
            step->in[i] = cn__lends_shape(node, i) ? NULL : data_of(program, node->in[i]);
        for (int i = 0; i < node->outputs; i++)
            step->out[i] = (void *)(uintptr_t)data_of(program, node->out[i]);
        CN__TRY(cn__run_traced(step, pool));
    }
    for (int i = 0; i < program->output_count; i++) {
        const void *made = data_of(program, output(program, i));
        if (made != out[i])
            memcpy(out[i], made, cn__bytes_of(output(program, i)));
    }
    return CN_OK;
}
