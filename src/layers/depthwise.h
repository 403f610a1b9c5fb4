/* The depthwise convolution that two families of layers share. */
#ifndef CORNU_SRC_LAYER_DEPTHWISE_H
#define CORNU_SRC_LAYER_DEPTHWISE_H

#include "layers/layer.h"

/* x (batch, spatial..., channels) with a kernel (spatial..., channels, multiplier). Sets the groups
 * of `conv`. */
cn_tensor *cn__depthwise(cn_tensor *x, cn_tensor *kernel, cn_conv_options *conv);

#endif
