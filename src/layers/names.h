/* Automatic names of layers. */
#ifndef CORNU_SRC_LAYER_NAMES_H
#define CORNU_SRC_LAYER_NAMES_H

#include "layers/layer.h"

/* A new name such as "conv2d_1". */
char *cn__name_automatic(cn__arena *arena, const cn__layer_type *type);
/* A caller has given `name`: automatic names of the type go on behind its number, so that a layer
 * added to a model that was read has a name of its own. */
void cn__name_taken(const cn__layer_type *type, const char *name);

#endif
