/* Copying a few floats at a time. */
#ifndef CORNU_SRC_OPS_COPY_H
#define CORNU_SRC_OPS_COPY_H

#include <string.h>

#include "base/base.h"

/* For counts that are most often no more than eight: without a call then. */
static inline void cn__copy_few(float *to, const float *from, int64_t count)
{
    enum { half = 4 };
    if (count > 2 * half) {
        memcpy(to, from, (size_t)count * sizeof *to);
    } else if (count >= half) {
        memcpy(to, from, half * sizeof *to);
        memcpy(to + count - half, from + count - half, half * sizeof *to);
    } else {
        for (int64_t i = 0; i < count; i++)
            to[i] = from[i];
    }
}

#endif
