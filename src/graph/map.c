#include "graph/map.h"

/* The entry of `key`, or the free one where it belongs. The capacity is a power of two, never full.
 */
static struct cn__map_entry *find(const cn__map *map, const void *key)
{
    uint64_t hash = (uint64_t)(uintptr_t)key * UINT64_C(0x9E3779B97F4A7C15);
    for (size_t i = (size_t)(hash >> 32);; i++) {
        struct cn__map_entry *entry = &map->entries[i & (map->capacity - 1)];
        if (entry->key == key || entry->key == NULL)
            return entry;
    }
}

void *cn__map_get(const cn__map *map, const void *key)
{
    return map->capacity == 0 ? NULL : find(map, key)->value;
}

static cn_status grow(cn__map *map)
{
    cn__map larger = {.capacity = map->capacity == 0 ? 64 : 2 * map->capacity, .count = map->count};
    larger.entries = cn__calloc(larger.capacity, sizeof *larger.entries);
    if (larger.entries == NULL)
        return cn_error_status();
    for (size_t i = 0; i < map->capacity; i++)
        if (map->entries[i].key != NULL)
            *find(&larger, map->entries[i].key) = map->entries[i];
    cn__free(map->entries);
    *map = larger;
    return CN_OK;
}

cn_status cn__map_set(cn__map *map, const void *key, void *value)
{
    if (2 * (map->count + 1) > map->capacity)
        CN__TRY(grow(map));
    struct cn__map_entry *entry = find(map, key);
    map->count += entry->key == NULL;
    entry->key = key;
    entry->value = value;
    return CN_OK;
}

void cn__map_free(cn__map *map)
{
    cn__free(map->entries);
    *map = (cn__map){0};
}
