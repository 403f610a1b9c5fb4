/* Losses, as expressions: "mse", "CategoricalCrossentropy(label_smoothing=0.1)". */
#ifndef CORNU_SRC_LOSSES_H
#define CORNU_SRC_LOSSES_H

#include "layers/layer.h"

/* True if `loss` names one and has only its arguments. If not, the message tells. */
bool cn__loss_known(const char *loss);
/* True if targets are the numbers of classes, without the prediction's last axis. */
bool cn__loss_is_sparse(const char *loss);
/* The shape of one batch of targets for a prediction's shape (both with the batch). */
cn_shape cn__loss_target_shape(const char *loss, const cn_shape *prediction);
/* The loss of every value that is counted for itself: the shape of the prediction without its last
 * axis; Dice and Tversky give one of shape (batch). `target` has the shape above (float32, or int32
 * where sparse) or one with as many elements. The formulas are Keras 3's; where the prediction
 * comes straight out of a softmax or sigmoid, cross-entropies are taken from what went into it,
 * which is more exact and loses no gradient (as Keras does on TensorFlow). */
cn_tensor *cn__loss_values(const char *loss, cn_tensor *target, cn_tensor *prediction);

#endif
