/* Masks of dropout. */
#ifndef CORNU_SRC_DROPOUT_H
#define CORNU_SRC_DROPOUT_H

#include "base/base.h"

/* mask[i] is 0 with the probability `rate`, else 1 / (1 - rate); it follows from seed and i alone:
 * the i-th number of cn__random_bits(), as a part of 2^32, is below the rate or not. */
void cn__dropout_mask(uint64_t seed, float rate, float *mask, int64_t count, cn_pool *pool);

#endif
