/* The networks of networks.txt as Cornu's models. */
#ifndef CORNU_BENCH_NETWORK_H
#define CORNU_BENCH_NETWORK_H

#include <cornu/cornu.h>

/* The network of that name in the file `path`; its layers are named "l1", "l2" ... by their line in
 * it. `dropout` false: without dropout. NULL, with the reason in `reason`, if there is none. */
cn_model *network_make(const char *path, const char *name, bool dropout, char reason[256]);

#endif
