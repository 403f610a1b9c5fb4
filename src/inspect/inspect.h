/* Floor 6, for the library's own use: arrays of feature maps. */
#ifndef CORNU_SRC_INSPECT_H
#define CORNU_SRC_INSPECT_H

#include "cornu/inspect.h"

/* A float copy of x with its axis 1 moved to the end if the format is channels first. */
cn_array *cn__array_channels_last(const cn_array *x, cn_data_format format);
/* The reverse. */
cn_array *cn__array_from_channels_last(const cn_array *x, cn_data_format format);

#endif
