/* The state of the optimizers, in the order and by the names of Keras 3.15. */
#include <stdio.h>
#include <string.h>

#include "layers/optimizer_rules.h"

static int group_size(const cn__optimizer *o, int group)
{
    int size = 0;
    for (int s = 0; s < cn__update_slots; s++)
        size += cn__optimizer_keeps(o, s) && o->rule->slots[s].group == group;
    return size;
}

int cn__optimizer_variable_count(const cn__optimizer *o)
{
    int each = (o->average != NULL) + (o->sum != NULL);
    for (int group = 0; group < cn__update_slots; group++)
        each += group_size(o, group);
    return 1 + !o->schedule + each * o->weight_count + o->rule->keeps_u;
}

static void name_variable(const cn__trained_weight *weight, const char *name,
                          cn__optimizer_variable *v)
{
    (void)snprintf(v->name, sizeof v->name, "%s_%s", weight->name, name);
    for (char *c = v->name; *c; c++)
        *c = *c == '/' ? '_' : *c;
}

/* Slots without one of the axes have the name of the weight alone, and nothing in them for vectors.
 */
static void describe_slot(const cn__optimizer *o, const cn__trained_weight *weight, int s,
                          cn__optimizer_variable *v)
{
    const cn__optimizer_slot *slot = &o->rule->slots[s];
    const char *own = strrchr(weight->name, '/');
    v->values = o->slot[s] + weight->offset;
    v->shape = weight->shape;
    if (slot->dropped_axis == 0) {
        name_variable(weight, slot->name, v);
        return;
    }
    (void)snprintf(v->name, sizeof v->name, "%s", own ? own + 1 : weight->name);
    v->shape.rank = v->shape.rank < 2 ? 0 : v->shape.rank - 1;
    if (v->shape.rank > 0 && slot->dropped_axis == 2)
        v->shape.dim[v->shape.rank - 1] = weight->shape.dim[v->shape.rank];
}

/* Averages and sums stand weight by weight before everything else. */
static void describe_own(const cn__optimizer *o, const cn__trained_weight *weight, bool averages,
                         cn__optimizer_variable *v)
{
    name_variable(weight, averages ? "average" : "gradient_accumulator", v);
    v->shape = weight->shape;
    v->values = (averages ? o->average : o->sum) + weight->offset;
}

/* The slot that is number `index` of its group. */
static int slot_of(const cn__optimizer *o, int group, int index)
{
    int s = 0;
    for (; s < cn__update_slots - 1; s++)
        if (cn__optimizer_keeps(o, s) && o->rule->slots[s].group == group && index-- == 0)
            break;
    return s;
}

void cn__optimizer_variable_at(const cn__optimizer *o, int index, cn__optimizer_variable *variable)
{
    int own = (o->average != NULL) + (o->sum != NULL), at = index - 1 - !o->schedule;
    *variable =
        (cn__optimizer_variable){.is_iteration = index == 0, .is_rate = index > 0 && at < 0};
    if (at < 0) {
        (void)snprintf(variable->name, sizeof variable->name, "%s",
                       index == 0 ? "iteration" : "learning_rate");
        return;
    }
    if (at < own * o->weight_count) {
        describe_own(o, &o->weights[at / own], o->average && at % own == 0, variable);
        return;
    }
    at -= own * o->weight_count;
    for (int group = 0; group < cn__update_slots; group++) {
        int size = group_size(o, group);
        if (at < size * o->weight_count) {
            describe_slot(o, &o->weights[at / size], slot_of(o, group, at % size), variable);
            return;
        }
        at -= size * o->weight_count;
    }
    (void)snprintf(variable->name, sizeof variable->name, "variable");
    variable->values = (float *)(uintptr_t)&o->u;
}
