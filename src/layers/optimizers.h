/* Optimizers, as expressions: "adam", "SGD(learning_rate=0.1, momentum=0.9)".
 *
 * The names and arguments are Keras 3's; learning_rate is a number or a schedule, such as
 * "Adam(learning_rate=CosineDecay(initial_learning_rate=0.1, decay_steps=100))". Older versions'
 * `lr`, `decay` and `schedule_decay` are understood. Ours is `version`, 1, 2 or 3 (the default):
 * the Keras whose defaults and formulas hold. In versions 1 and 2 epsilon stands outside of the
 * root in RMSprop and Adagrad (`epsilon_outside=True` does that alone), and clipnorm bounds the
 * norm of all gradients together and goes with clipvalue. */
#ifndef CORNU_SRC_OPTIMIZERS_H
#define CORNU_SRC_OPTIMIZERS_H

#include "layers/keepers.h"
#include "layers/layer.h"

typedef struct cn__optimizer cn__optimizer;

/* A weight that is trained. */
typedef struct cn__trained {
    const char *name;       /* "LAYER/WEIGHT" */
    cn__variable *variable; /* held by the caller */
    const char *constraint; /* expression or NULL */
} cn__trained;

/* NULL with a message if the text names none or has an argument that is not its own. */
cn__optimizer *cn__optimizer_new(const char *optimizer);
void cn__optimizer_free(cn__optimizer *optimizer);
/* The class name ("Adam") and the arguments as they were given, for files. */
const char *cn__optimizer_text(const cn__optimizer *optimizer);

/* Makes room for the gradients and for what is kept about each weight. Texts are copied. */
cn_status cn__optimizer_build(cn__optimizer *optimizer, int count, const cn__trained *weights);

/* All gradients, in one piece; those of weight i begin at the offset, a multiple of 16. What lies
 * between them is 0. */
float *cn__optimizer_gradients(const cn__optimizer *optimizer, int64_t *count);
int64_t cn__optimizer_offset(const cn__optimizer *optimizer, int weight);
/* One step: clips the gradients, changes the weights, applies their constraints. Allocates nothing;
 * gives the same bits for any number of threads. */
void cn__optimizer_step(cn__optimizer *optimizer, cn_pool *pool);

int64_t cn__optimizer_iterations(const cn__optimizer *optimizer);
/* The rate of the next step; without `decay`, which older versions of Keras count in later. */
double cn__optimizer_learning_rate(const cn__optimizer *optimizer);
cn_status cn__optimizer_set_learning_rate(cn__optimizer *optimizer, double rate);
/* With use_ema: puts the averages in the weights' place. Keras does so at the end of fit(). */
void cn__optimizer_finish(cn__optimizer *optimizer);

/* ---- its state, in the order of Keras 3's optimizer.variables ---- */

typedef struct cn__optimizer_variable {
    char name[200]; /* Keras 3's path without the optimizer, such as "conv2d_kernel_momentum" */
    cn_shape shape;
    float *values;     /* NULL for iteration and learning_rate */
    bool is_iteration; /* read and set by the functions above and below */
    bool is_rate;
} cn__optimizer_variable;
int cn__optimizer_variable_count(const cn__optimizer *optimizer);
void cn__optimizer_variable_at(const cn__optimizer *optimizer, int index,
                               cn__optimizer_variable *variable);
void cn__optimizer_set_iterations(cn__optimizer *optimizer, int64_t iterations);

#endif
