/* A program: a graph made ready for one set of input shapes and one phase. What can
 * be checked and what must be allocated is when it is made. */
#ifndef CORNU_SRC_GRAPH_PROGRAM_H
#define CORNU_SRC_GRAPH_PROGRAM_H

#include "graph/graph.h"

typedef struct cn__program cn__program;

/* Memory for the values within a run. Programs that never run at the same time may share one. */
typedef struct cn__workspace {
    void *memory;
    size_t bytes;
} cn__workspace;
cn_status cn__workspace_need(cn__workspace *workspace, size_t bytes);

/* `shapes`: the full shapes of the inputs. `shared` is NULL for memory of its own. */
cn__program *cn__program_new(cn_tensor_list inputs, cn_tensor_list outputs, const cn_shape *shapes,
                             bool training, cn__workspace *shared);
void cn__program_free(cn__program *program);

/* True if the program was made for these shapes and this phase. */
bool cn__program_fits(const cn__program *program, const cn_shape *shapes, bool training);
const cn_shape *cn__program_output_shape(const cn__program *program, int output);
cn_dtype cn__program_output_dtype(const cn__program *program, int output);

/* Runs it: reads the inputs' elements, writes the outputs' (both aligned to 64 bytes; they may not
 * overlap). `run` numbers what is random: the same number draws the same. One thread at a time.
 * Fails only for what nothing but the data tells, such as switches outside the image. */
cn_status cn__program_run(cn__program *program, const void *const *in, void *const *out,
                          uint64_t run, cn_pool *pool);

/* Tells each step, and the program's memory; either may be NULL. Fails if memory is short. */
cn_status cn__program_tell(const cn__program *program, cn_planner planner, void *context,
                           cn_memory *memory);

/* What a tracer is told of a step, but for the time; running a step and telling the tracer, if
 * there is one (trace.c). */
cn_trace cn__trace_of(const cn__step *step);
cn_status cn__run_traced(const cn__step *step, cn_pool *pool);

/* ---- simplification (simplify.c) ---- */

/* What is known while a graph is copied into a program's own. */
typedef struct cn__copying {
    bool training;
    const struct cn__map *uses; /* tensor of the original -> number of uses, as a pointer */
} cn__copying;

/* The copy of `node` on the copied inputs `in`: the node itself, or something equal and cheaper.
 * Fills `out`. */
cn_status cn__simplify(const cn__copying *copying, const cn__node *node, cn_tensor *const *in,
                       cn_tensor **out);

/* ---- memory plan (memory_plan.c) ---- */

/* A piece of memory needed from one step to another, both included. */
typedef struct cn__lifetime {
    size_t bytes;
    int first, last;
    size_t offset; /* the answer */
} cn__lifetime;
/* Gives each piece an offset so that pieces alive at the same step do not overlap; returns the
 * bytes needed in all. Offsets are multiples of 64. */
cn_status cn__plan_memory(cn__lifetime *pieces, size_t count, size_t *total);

#endif
