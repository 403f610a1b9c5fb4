/* The memory plan: the largest pieces first, each at the lowest place that is free while it lives.
 */
#include <stdlib.h>

#include "graph/program.h"

static int larger_first(const void *a, const void *b)
{
    const cn__lifetime *x = *(cn__lifetime *const *)a, *y = *(cn__lifetime *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    return x->first != y->first ? (x->first < y->first ? -1 : 1) : (x < y ? -1 : x > y);
}

static bool meet(const cn__lifetime *a, const cn__lifetime *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* The lowest offset at which `piece` does not overlap a placed piece that lives at the same time:
 * each conflict moves it up, until there is none. */
static void place(cn__lifetime *piece, cn__lifetime *const *placed, size_t count)
{
    piece->offset = 0;
    for (size_t i = 0; i < count;) {
        const cn__lifetime *other = placed[i++];
        if (!meet(piece, other) || piece->offset >= other->offset + other->bytes ||
            other->offset >= piece->offset + piece->bytes)
            continue;
        piece->offset = other->offset + other->bytes;
        i = 0;
    }
}

cn_status cn__plan_memory(cn__lifetime *pieces, size_t count, size_t *total)
{
    *total = 0;
    cn__lifetime **order = cn__calloc(count + 1, sizeof *order);
    if (order == NULL)
        return cn_error_status();
    for (size_t i = 0; i < count; i++) {
        pieces[i].bytes = (pieces[i].bytes + 63) / 64 * 64;
        order[i] = &pieces[i];
    }
    qsort(order, count, sizeof *order, larger_first);
    for (size_t i = 0; i < count; i++) {
        place(order[i], order, i);
        if (order[i]->offset + order[i]->bytes > *total)
            *total = order[i]->offset + order[i]->bytes;
    }
    cn__free(order);
    return CN_OK;
}
