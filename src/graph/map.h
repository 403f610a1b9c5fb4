/* A map from pointers to pointers that grows as needed: what tensors became, or how often they are
 * used. */
#ifndef CORNU_SRC_GRAPH_MAP_H
#define CORNU_SRC_GRAPH_MAP_H

#include "base/base.h"

typedef struct cn__map {
    struct cn__map_entry {
        const void *key;
        void *value;
    } * entries;
    size_t capacity, count;
} cn__map;

/* The value of `key`, NULL if it has none. */
void *cn__map_get(const cn__map *map, const void *key);
cn_status cn__map_set(cn__map *map, const void *key, void *value);
void cn__map_free(cn__map *map);

#endif
