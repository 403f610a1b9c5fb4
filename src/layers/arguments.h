/* The arguments of losses and metrics: what there are, and what an expression gives for them. */
#ifndef CORNU_SRC_ARGUMENTS_H
#define CORNU_SRC_ARGUMENTS_H

#include "layers/layer.h"

typedef enum cn__argument_kind {
    CN__ARGUMENT_NUMBER = 0,
    CN__ARGUMENT_WHOLE, /* a whole number; True is 1 and False 0 */
    CN__ARGUMENT_WORD,  /* its place in `words` */
    CN__ARGUMENT_BITS   /* a list of whole numbers from 0 to 31, or one: bit n for n */
} cn__argument_kind;

typedef struct cn__argument {
    const char *names; /* Keras 3's first; separated by '|' */
    cn__argument_kind kind;
    double value;     /* where nothing or None is given */
    double low, high; /* the range of numbers */
    const char *words;
    bool required;
} cn__argument;

enum { cn__most_arguments = 6 };

/* Lines of tables. */
#define CN__YES_OR_NO .kind = CN__ARGUMENT_WHOLE, .high = 1
#define CN__LAST_AXIS                                                                              \
    {                                                                                              \
        "axis", .kind = CN__ARGUMENT_WHOLE, .value = -1, .low = -1, .high = -1                     \
    }
#define CN__SHARE(name, default_)                                                                  \
    {                                                                                              \
        name, .value = default_, .high = 1                                                         \
    }
#define CN__CROSSENTROPY {"from_logits", CN__YES_OR_NO}, CN__SHARE("label_smoothing", 0)
#define CN__FOCAL CN__CROSSENTROPY, {"gamma", .value = 2, .high = 100}, CN__SHARE("alpha", 0.25)
#define CN__BALANCING                                                                              \
    {                                                                                              \
        "apply_class_balancing", CN__YES_OR_NO                                                     \
    }
#define CN__DELTA                                                                                  \
    {                                                                                              \
        "delta", .value = 1, .low = 1e-6, .high = 1e6                                              \
    }
/* Their places in the tables of losses and of metrics. */
enum { cn__from_logits, cn__label_smoothing, cn__gamma, cn__alpha, cn__apply_class_balancing };

/* Checks an expression's arguments and sets one value for each of the `count` that there are (rows
 * without a name are none). Keys in `ignored` may be there, too. `what` is "loss" or "metric". */
cn_status cn__arguments_read(const char *what, const cn__expression *e, const char *ignored,
                             const cn__argument *arguments, int count, double *values);

#endif
