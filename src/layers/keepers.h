/* What keeps weights in bounds: regularizers ("L2(l2=0.01)") add to the loss, constraints
 * ("MaxNorm(max_value=2, axis=[0, 1, 2])") act after every step. */
#ifndef CORNU_SRC_KEEPERS_H
#define CORNU_SRC_KEEPERS_H

#include "layers/layer.h"

/* True if the text (or NULL) names one and has only its arguments. If not, the message tells. */
bool cn__regularizer_known(const char *regularizer);
bool cn__constraint_known(const char *constraint);

/* The penalty, of shape (), as Keras 3 computes it. */
cn_tensor *cn__penalty(const char *regularizer, cn_tensor *x);
/* l1 * (sum of |x|) + l2 * (sum of x^2) */
cn_tensor *cn__penalty_l1_l2(double l1, double l2, cn_tensor *x);

/* A constraint made ready. */
typedef struct cn__constraint cn__constraint;
/* `*constraint` is NULL for NULL. Lives in the arena. */
cn_status cn__constraint_parse(cn__arena *arena, const char *text, const cn_shape *shape,
                               cn__constraint **constraint);
void cn__constrain(const cn__constraint *constraint, float *values);

#endif
