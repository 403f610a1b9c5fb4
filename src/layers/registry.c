/* What follows from layers.def: the constructors and the table of types. */
#include "layers/layer.h"

#include <string.h>

#define CN__LAYER(lower, options)                                                                  \
    extern const cn__layer_type cn__##lower##_type;                                                \
    cn_layer *cn_##lower##_new(const options *given)                                               \
    {                                                                                              \
        return cn__layer_new(&cn__##lower##_type, given);                                          \
    }
#include "layers/layers.def"
#undef CN__LAYER

const cn__layer_type *const cn__layer_types[] = {
#define CN__LAYER(lower, options) &cn__##lower##_type,
#include "layers/layers.def"
#undef CN__LAYER
    NULL,
};

const cn__layer_type *cn__layer_type_find(const char *name)
{
    for (int i = 0; cn__layer_types[i]; i++) {
        const cn__layer_type *type = cn__layer_types[i];
        if (strcmp(type->name, name) == 0 || cn__list_index(type->aliases, name) >= 0)
            return type;
    }
    return NULL;
}
