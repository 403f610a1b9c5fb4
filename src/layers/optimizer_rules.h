/* What the optimizers differ in: their arguments, what they keep, and the coefficients of their
 * kernels. */
#ifndef CORNU_SRC_OPTIMIZER_RULES_H
#define CORNU_SRC_OPTIMIZER_RULES_H

#include "kernels/kernels.h"
#include "layers/optimizers.h"
#include "layers/schedules.h"

enum { cn__optimizer_arguments = 7 };

/* A number that an optimizer takes. */
typedef struct cn__optimizer_argument {
    const char *keys;
    double value[3]; /* the default in Keras 1, 2 and 3; NaN: None */
    double low, high;
} cn__optimizer_argument;

/* What the next step is computed from. */
typedef struct cn__optimizer_moment {
    const double *a; /* the arguments in the rule's order */
    double rate;
    double t; /* number of the step, from 1 */
    float *u; /* Nadam's product of momenta so far */
    float *c; /* the kernel's coefficients, to be set */
} cn__optimizer_moment;

/* A weight, its gradient and what is kept about it. */
typedef struct cn__optimizer_weight {
    const cn_shape *shape;
    int64_t count;
    float *w, *g;
    float *slot[cn__update_slots];
} cn__optimizer_weight;

typedef struct cn__optimizer_slot {
    const char *name; /* NULL: none */
    int group;        /* Keras makes the slots of a group weight by weight, group after group */
    int argument;     /* it is kept if this argument is not 0; -1: always */
    int first;        /* the argument that tells the first value; -1: 0 */
    int dropped_axis; /* from the end: the slot lacks it; 0: none. Slots of vectors are then unused
                       */
} cn__optimizer_slot;

typedef struct cn__optimizer_rule {
    const char *names; /* Keras' class name, then others */
    cn__optimizer_argument arguments[cn__optimizer_arguments];
    cn__optimizer_slot slots[cn__update_slots];
    double rate[3]; /* the default in Keras 1, 2 and 3 */
    double decay;   /* the default of weight_decay */
    bool keeps_u;
    int kernel; /* a cn__update_name; -1: none */
    void (*coefficients)(const cn__optimizer_moment *m);
    /* After the kernel, what needs a weight as a whole. May be NULL. */
    void (*finish)(const cn__optimizer_moment *m, const cn__optimizer_weight *weight);
} cn__optimizer_rule;

/* NULL with a message if there is none of that name. */
const cn__optimizer_rule *cn__optimizer_rule_find(const char *name);

/* ---- an optimizer (optimizers.c) ---- */

/* Values of a piece, and at least of a task. */
enum { cn__piece_values = 16384 };

typedef struct cn__trained_weight {
    const char *name;
    cn__variable *variable;
    cn__constraint *constraint;
    cn_shape shape;
    int64_t offset, count;
    double squares; /* of its gradient, summed */
} cn__trained_weight;

/* A part of a weight that is changed in one go. */
typedef struct cn__piece {
    int weight;
    int64_t first, count;
    double squares;
} cn__piece;

/* What all optimizers take. */
enum {
    cn__weight_decay,
    cn__clipnorm,
    cn__clipvalue,
    cn__global_clipnorm,
    cn__use_ema,
    cn__ema_momentum,
    cn__ema_overwrite_frequency,
    cn__accumulation_steps,
    cn__older_decay,
    cn__version_number,
    cn__common_count
};

struct cn__optimizer {
    cn__arena *arena; /* holds the text and the schedule */
    const char *text;
    const cn__optimizer_rule *rule;
    double a[cn__optimizer_arguments];
    double common[cn__common_count];
    cn__schedule *schedule; /* NULL: a constant rate */
    double rate;
    int64_t iterations; /* calls of cn__optimizer_step */
    float u;            /* Nadam's */

    cn__arena *built; /* holds what follows, but for the memory */
    int weight_count, piece_count, task_count;
    cn__trained_weight *weights;
    cn__piece *pieces;
    int *tasks; /* the first piece of each, and the end */
    bool constrains;
    int64_t total; /* floats in each of the buffers */
    float *memory;
    float *gradients, *average, *sum; /* NULL: not in use */
    float *slot[cn__update_slots];    /* NULL: not in use */

    double now; /* the rate of the step in progress */
    float c[cn__update_coefficients];
};

/* True if the optimizer has that slot. */
static inline bool cn__optimizer_keeps(const cn__optimizer *o, int slot)
{
    const cn__optimizer_slot *s = &o->rule->slots[slot];
    return s->name && (s->argument < 0 || o->a[s->argument] != 0);
}

#endif
