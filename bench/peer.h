/* What the programs have in common that bench/compare.py times: they read requests, one a line, and
 * answer each with a line. README.md tells the requests. */
#ifndef CORNU_BENCH_PEER_H
#define CORNU_BENCH_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum peer_pass { PEER_FORWARD, PEER_INPUT_GRADIENT, PEER_KERNEL_GRADIENT } peer_pass;

/* A convolution or transposed convolution. `before` is the zero padding (transposed: the crop)
 * above and to the left. x (n, h, w, ic), g (n, oh, ow, oc), kernel (kh, kw, ic / groups, oc),
 * transposed (kh, kw, oc / groups, ic). */
typedef struct peer_operation {
    peer_pass pass;
    bool transposed;
    int64_t n, ic, h, w, oc, kh, kw, sh, sw, before_h, before_w, oh, ow, groups;
    const char *folder; /* of x.bin, g.bin and kernel.bin */
} peer_operation;

/* Elements of the three arrays, and of the pass' result. */
size_t peer_x_count(const peer_operation *o);
size_t peer_g_count(const peer_operation *o);
size_t peer_kernel_count(const peer_operation *o);
size_t peer_result_count(const peer_operation *o);

/* The padding (crop) below and to the right: negative where the last cells are not reached. */
int64_t peer_after_h(const peer_operation *o);
int64_t peer_after_w(const peer_operation *o);

/* The same pass as the forward pass of the adjoint operation, which has the same kernel. */
peer_operation peer_adjoint(const peer_operation *o);

/* Memory aligned to 64 bytes with some bytes behind it that may be read; ends the program if there
 * is none. */
void *peer_memory(size_t bytes);
/* FOLDER/NAME.bin. NULL, with a reason, if it does not hold `count` numbers. */
float *peer_read(const char *folder, const char *name, size_t count);
bool peer_write(const char *path, const float *values, size_t count);

/* Says why a request is refused. Returns false. */
__attribute__((format(printf, 1, 2))) bool peer_refuse(const char *format, ...);

typedef struct peer {
    /* What it can do an operation in, such as "blocked,channels-last"; NULL: refused. What the
     * last operation held is released. */
    const char *(*prepare)(const peer_operation *operation);
    bool (*run)(int variant);
    /* The result of the last run in the arrays' order above. Lent. */
    const float *(*result)(int variant, size_t *count);
    /* Requests that are its own. Writes an answer of at most `size` bytes; false: refused. May be
     * NULL. Sets *variants for a request that prepares. */
    bool (*other)(char *request, char *answer, size_t size);
} peer;

/* Answers requests until there are no more. `greeting` names the program and its version. */
int peer_serve(const peer *p, const char *greeting);

/* Tells what variants the latest request has prepared, for peer.other. */
void peer_set_variants(const char *variants);

double peer_milliseconds(void);

#endif
