/* Merged groups, for groups of few channels: some neighbouring groups are computed as one, with
 * zeros in the kernel where a channel does not belong to the group. That takes as many times the
 * multiplications, but fills the vectors and gives minimal filtering long enough sums. */
#ifndef CORNU_SRC_OPS_CONV_GROUPS_H
#define CORNU_SRC_OPS_CONV_GROUPS_H

#include "ops/conv_plan.h"

struct cn__groups {
    cn_conv_plan inner;
    int64_t merged;        /* groups that are one */
    int64_t kernel_floats; /* of the kernel with zeros */
};

/* Sets plan->groups and the plan's packed and scratch floats if this is expected to be faster than
 * what is planned so far; else leaves the plan as it is. */
cn_status cn__groups_plan(cn_conv_plan *plan);

#endif
