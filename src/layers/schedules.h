/* Learning rates that follow the step: "CosineDecay(initial_learning_rate=0.1, decay_steps=100)".
 */
#ifndef CORNU_SRC_SCHEDULES_H
#define CORNU_SRC_SCHEDULES_H

#include "layers/layer.h"

typedef struct cn__schedule cn__schedule;

/* Lives in the arena. NULL with a message if the text names none or its arguments do not go. */
cn__schedule *cn__schedule_parse(cn__arena *arena, const char *text);
/* The rate of a step, counted from 0, as the float32 number that Keras trains with. */
double cn__schedule_rate(const cn__schedule *schedule, int64_t step);

#endif
