/* Chooses the kernel table: the best one the processor can run, or the one CORNU_ISA names. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"

/* meson.build defines CN__ISA_LIST(X), best first, for the architecture it compiles for. */
#define DECLARE(isa) extern const cn__kernels cn__kernels_##isa;
CN__ISA_LIST(DECLARE)
#undef DECLARE

#define ADDRESS(isa) &cn__kernels_##isa,
static const cn__kernels *const tables[] = {CN__ISA_LIST(ADDRESS)};
#undef ADDRESS

enum { TABLES = sizeof(tables) / sizeof(tables[0]) };

static bool processor_runs(const char *isa)
{
#if defined(__x86_64__)
    if (strcmp(isa, "avx512") == 0)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("fma");
    if (strcmp(isa, "avx2") == 0)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    (void)isa;
    return true;
}

int cn__kernels_all(const cn__kernels *found[8])
{
    int count = 0;
    for (int i = 0; i < TABLES; i++)
        if (processor_runs(tables[i]->name))
            found[count++] = tables[i];
    return count;
}

/* The first runnable table, or the first from the one that CORNU_ISA names downwards: the variable
 * lowers, it never asks for more than the processor has. */
static const cn__kernels *choose(void)
{
    const cn__kernels *found[8];
    int count = cn__kernels_all(found);
    const char *wanted = getenv("CORNU_ISA");
    for (int i = 0; wanted != NULL && i < count; i++)
        if (strcmp(found[i]->name, wanted) == 0)
            return found[i];
    return found[0];
}

static _Atomic(const cn__kernels *) in_use;

const cn__kernels *cn__kernels_get(void)
{
    const cn__kernels *table = atomic_load_explicit(&in_use, memory_order_acquire);
    if (table == NULL) {
        table = choose();
        atomic_store_explicit(&in_use, table, memory_order_release);
    }
    return table;
}

void cn__kernels_use(const cn__kernels *table)
{
    atomic_store(&in_use, table != NULL ? table : choose());
}

/* Asked once, like the instruction set. */
bool cn__winograd_allowed(void)
{
    static atomic_int known; /* 0: not asked yet */
    if (known == 0) {
        const char *wanted = getenv("CORNU_WINOGRAD");
        known = wanted != NULL && strcmp(wanted, "0") == 0 ? 2 : 1;
    }
    return known == 1;
}

const char *cn_isa_name(void)
{
    return cn__kernels_get()->name;
}
