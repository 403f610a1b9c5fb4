/* What a program consists of. For program.c, which makes and runs programs, and layout.c, which
 * finds places for their values. */
#ifndef CORNU_SRC_GRAPH_PROGRAM_LAYOUT_H
#define CORNU_SRC_GRAPH_PROGRAM_LAYOUT_H

#include "graph/map.h"
#include "graph/ops.h"
#include "graph/program.h"

/* Where a value lies. */
typedef enum cn__place {
    CN__IN_WORKSPACE,
    CN__IN_INPUT,   /* the caller's array */
    CN__IN_OUTPUT,  /* the caller's array that receives an output */
    CN__IN_VARIABLE /* a variable's or a constant's array */
} cn__place;

typedef struct cn__value {
    cn_tensor *tensor;
    int same_as; /* the value whose memory it is, itself if none */
    cn__place place;
    int number;       /* which input or output, of CN__IN_INPUT and CN__IN_OUTPUT */
    const void *data; /* of CN__IN_VARIABLE; the pointer of this run for the others */
    int first, last;  /* steps that need it */
    size_t offset;
} cn__value;

struct cn__program {
    cn_graph *graph;
    cn__arena *arena;
    bool training;
    int input_count, output_count;
    const cn_shape *shapes; /* of the inputs */
    int step_count;
    cn__step *steps;
    int value_count;
    cn__value *values;
    cn__map index;                 /* tensor -> its place in `values`, plus one */
    int *outputs;                  /* values */
    cn_tensor **copied;            /* inputs, then outputs, in the program's graph */
    cn__workspace own, *workspace; /* where the values lie: its own, or one it shares */
    size_t *scratch;               /* of the steps, as offsets */
    size_t workspace_bytes;        /* of it that are needed */
};

static inline cn__value *cn__value_of(const cn__program *program, const cn_tensor *tensor)
{
    uintptr_t number = (uintptr_t)cn__map_get(&program->index, tensor);
    return &program->values[number - 1];
}

/* The value whose memory a value lies in. */
static inline cn__value *cn__holder(const cn__program *program, cn__value *v)
{
    while (&program->values[v->same_as] != v)
        v = &program->values[v->same_as];
    return v;
}

static inline size_t cn__bytes_of(const cn_tensor *tensor)
{
    return (size_t)cn_shape_count(&tensor->shape) * 4;
}

/* Places all values and the steps' scratch, and takes the workspace. */
cn_status cn__program_lay_out(cn__program *program);

#endif
