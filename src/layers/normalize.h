/* What the normalising layers share. */
#ifndef CORNU_SRC_LAYER_NORMALIZE_H
#define CORNU_SRC_LAYER_NORMALIZE_H

#include "layers/layer.h"

/* Lines of options' tables: how gamma and beta are made and kept. */
#define CN__GAMMA_AND_BETA(T)                                                                      \
    CN__OPTION(T, center, CN__FLAG), CN__OPTION(T, scale, CN__FLAG),                               \
        CN__INITIALIZER(T, beta_initializer, "zeros", "beta_init"),                                \
        CN__INITIALIZER(T, gamma_initializer, "ones", "gamma_init"),                               \
        CN__KEEPER(T, beta_regularizer, NULL), CN__KEEPER(T, gamma_regularizer, NULL),             \
        CN__KEEPER(T, beta_constraint, NULL), CN__KEEPER(T, gamma_constraint, NULL)

/* Makes gamma and beta, if they are used. */
cn_status cn__add_gamma_and_beta(cn_layer *layer, const cn_shape *shape, cn_flag scale,
                                 cn_flag center);
/* gamma * x + beta with those of them that are used, reshaped to `shape`. */
cn_tensor *cn__scale_and_shift(cn_layer *layer, cn_tensor *x, const cn_shape *shape, cn_flag scale,
                               cn_flag center);
/* (x - mean) / sqrt(variance + epsilon) with the population's moments over the axes. */
cn_tensor *cn__standardize(cn_tensor *x, unsigned axes, float epsilon);
/* x / sqrt(sum of squares over the axes). */
cn_tensor *cn__to_unit_length(cn_tensor *x, unsigned axes);

#endif
