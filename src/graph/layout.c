/* Where a program's values lie: how long each is needed, which are made in the memory of another or
 * of the caller, and the places of the rest in one workspace. */
#include "graph/program_layout.h"

cn_status cn__workspace_need(cn__workspace *workspace, size_t bytes)
{
    if (workspace->memory != NULL && workspace->bytes >= bytes)
        return CN_OK;
    void *memory = cn__alloc(bytes);
    if (memory == NULL)
        return cn_error_status();
    cn__free(workspace->memory);
    *workspace = (cn__workspace){memory, bytes};
    return CN_OK;
}

static void find_last_uses(cn__program *program)
{
    for (int s = 0; s < program->step_count; s++) {
        const cn__node *node = program->steps[s].node;
        for (int i = 0; i < node->inputs; i++)
            if (!cn__lends_shape(node, i)) {
                cn__value *v = cn__holder(program, cn__value_of(program, node->in[i]));
                v->last = s > v->last ? s : v->last;
            }
    }
    for (int i = 0; i < program->output_count; i++)
        cn__holder(program, &program->values[program->outputs[i]])->last = program->step_count;
    for (int s = 0; s < program->step_count; s++)
        for (int i = 0; i < program->steps[s].node->outputs; i++)
            if (cn__value_of(program, program->steps[s].node->out[i])->last > s)
                program->steps[s].wanted |= 1u << i;
}

/* True if another input of the step lies in the same memory as the first. */
static bool first_input_shared(const cn__program *program, const cn__node *node,
                               const cn__value *first)
{
    for (int i = 1; i < node->inputs; i++)
        if (!cn__lends_shape(node, i) &&
            cn__holder(program, cn__value_of(program, node->in[i])) == first)
            return true;
    return false;
}

/* Lets a step write where its first input lay, if that is not needed afterwards. */
static void reuse_inputs(cn__program *program)
{
    for (int s = 0; s < program->step_count; s++) {
        const cn__node *node = program->steps[s].node;
        if (!node->op->in_place)
            continue;
        cn__value *in = cn__holder(program, cn__value_of(program, node->in[0]));
        cn__value *out = cn__value_of(program, node->out[0]);
        if (in->place != CN__IN_WORKSPACE || in->last != s ||
            cn__bytes_of(in->tensor) != cn__bytes_of(out->tensor) ||
            first_input_shared(program, node, in))
            continue;
        in->last = out->last > s ? out->last : s;
        out->same_as = (int)(in - program->values);
    }
}

/* Lets outputs be made where the caller wants them, unless their memory is not theirs alone. */
static void place_outputs(cn__program *program)
{
    for (int i = 0; i < program->output_count; i++) {
        cn__value *out = &program->values[program->outputs[i]], *v = cn__holder(program, out);
        if (v->place == CN__IN_WORKSPACE && cn__bytes_of(v->tensor) == cn__bytes_of(out->tensor)) {
            v->place = CN__IN_OUTPUT;
            v->number = i;
        }
    }
}

/* One piece for each value that has memory of its own, and one for each step's scratch. Returns
 * how many there are. */
static size_t list_pieces(const cn__program *program, cn__lifetime *pieces)
{
    size_t count = 0;
    for (int i = 0; i < program->value_count; i++) {
        const cn__value *v = &program->values[i];
        if (v->same_as == i && v->place == CN__IN_WORKSPACE)
            pieces[count++] = (cn__lifetime){cn__bytes_of(v->tensor), v->first, v->last, 0};
    }
    for (int s = 0; s < program->step_count; s++)
        pieces[count++] = (cn__lifetime){program->steps[s].scratch_bytes, s, s, 0};
    return count;
}

static cn_status place_pieces(cn__program *program, cn__lifetime *pieces)
{
    size_t count = list_pieces(program, pieces), bytes;
    CN__TRY(cn__plan_memory(pieces, count, &bytes));
    count = 0;
    for (int i = 0; i < program->value_count; i++) {
        cn__value *v = &program->values[i];
        if (v->same_as == i && v->place == CN__IN_WORKSPACE)
            v->offset = pieces[count++].offset;
    }
    for (int s = 0; s < program->step_count; s++)
        program->scratch[s] = pieces[count++].offset;
    program->workspace_bytes = bytes;
    return cn__workspace_need(program->workspace, bytes);
}

static cn__lifetime *new_pieces(const cn__program *program)
{
    return cn__calloc((size_t)(program->value_count + program->step_count) + 1,
                      sizeof(cn__lifetime));
}

cn_status cn__program_lay_out(cn__program *program)
{
    program->outputs = cn__arena_alloc(program->arena, (size_t)program->output_count * sizeof(int));
    program->scratch =
        cn__arena_alloc(program->arena, (size_t)program->step_count * sizeof(size_t));
    cn__lifetime *pieces = new_pieces(program);
    if (program->outputs == NULL || program->scratch == NULL || pieces == NULL) {
        cn__free(pieces);
        return cn_error_status();
    }
    for (int i = 0; i < program->output_count; i++)
        program->outputs[i] =
            (int)(cn__value_of(program, program->copied[program->input_count + i]) -
                  program->values);
    find_last_uses(program);
    reuse_inputs(program);
    place_outputs(program);
    cn_status status = place_pieces(program, pieces);
    cn__free(pieces);
    return status;
}

static size_t live_bytes(const cn__lifetime *pieces, size_t count, int step)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        if (pieces[i].first <= step && step <= pieces[i].last)
            bytes += pieces[i].bytes;
    return bytes;
}

cn_status cn__program_tell(const cn__program *program, cn_planner planner, void *context,
                           cn_memory *memory)
{
    cn__lifetime *pieces = new_pieces(program);
    if (pieces == NULL)
        return cn_error_status();
    size_t count = list_pieces(program, pieces);
    cn_memory all = {.workspace_bytes = program->workspace_bytes};
    for (int s = 0; s < program->step_count; s++) {
        const cn__step *step = &program->steps[s];
        cn_planned planned = {.operation = cn__trace_of(step),
                              .packed_bytes = step->packed_bytes,
                              .scratch_bytes = step->scratch_bytes,
                              .live_bytes = live_bytes(pieces, count, s)};
        all.packed_bytes += planned.packed_bytes;
        if (planned.live_bytes > all.least_bytes)
            all.least_bytes = planned.live_bytes;
        if (planner != NULL)
            planner(&planned, context);
    }
    for (int i = 0; i < program->output_count; i++)
        all.output_bytes += cn__bytes_of(program->copied[program->input_count + i]);
    cn__free(pieces);
    if (memory != NULL)
        *memory = all;
    return CN_OK;
}
