/* Floor 1: the kernels, compiled once per instruction set, and the table that holds them.
 *
 * Every file of this folder but dispatch.c is compiled once for each instruction set in
 * meson.build; CN__K(name) gives each its own symbol, and table.c gathers them into one constant
 * table. Kernels use no libm, no allocation and no threads: they are inner loops on buffers that a
 * floor 2 function has checked and cut into tasks. Files here include nothing of Cornu's but this
 * header, simd.h, maths.h, depthwise.h and winograd.h, and must not define or use inline functions
 * that are not static.
 */
#ifndef CORNU_SRC_KERNELS_H
#define CORNU_SRC_KERNELS_H

#include "cornu/ops.h"

/* The tile: up to `rows` output pixels times up to `vectors` * lanes output channels,
 *     out[m][n] = clamp(start[n] + sum over t < taps, k < depth of in[t][m][k] * w[t][k][n]).
 * Every linear layer is this sum; padding is a pointer to zeros. */
typedef struct cn__tile {
    int64_t taps, depth;
    const float *const *in;   /* [taps][rows]: one pointer per tap and pixel */
    const float *weights;     /* [taps][depth][vectors * lanes], aligned */
    int64_t weights_tap;      /* floats from one tap's weights to the next's */
    const float *start;       /* [vectors * lanes]: the bias, aligned; NULL: go on from `out` */
    float *const *out;        /* [rows] */
    int64_t columns;          /* channels to store, at most vectors * lanes */
    float low, high;          /* the clamp; -inf, +inf for none */
    const float *ahead;       /* NULL, or what to bring near: a line for each tap and channel */
    const float *const *next; /* NULL, or [taps][rows] the next tile's `in`: brought near too */
} cn__tile;
typedef void (*cn__tile_kernel)(const cn__tile *tile);

/* The same sum for pixels in a row, each `in_step` floats after the last in the input and
 * `out_step` in the output: `tiles` times as many pixels as the kernel has rows. */
typedef struct cn__line {
    int64_t taps, depth;
    const float *const *in; /* [taps]: what the first pixel reads is `in_at` floats further */
    const int64_t *which;   /* [taps]: of the kernel's taps */
    int64_t in_at, in_step;
    const float *weights; /* [all taps][depth][vectors * lanes], aligned */
    const float *start;   /* [vectors * lanes]: the bias */
    float *out;
    int64_t out_step;
    int64_t columns; /* channels to store: fills all vectors but the last, which it fills in part */
    bool far;        /* ask for the output ahead: it is in no cache */
    float low, high; /* the clamp; -inf, +inf for none */
} cn__line;
typedef void (*cn__line_kernel)(const cn__line *line, int64_t tiles);

/* The line with minimal filtering of 3 taps with 6 points, so that a tile is 4 pixels. `in` and
 * `weights` are transformed: `in_step` is from a tile to the next, and cn__filter_row from one of
 * its points to the next. A tap has one channel, and all are used:
 * weights: [taps][points][vectors * lanes]. */
typedef void (*cn__line_filter_kernel)(const cn__line *line, int64_t pixels);
enum { cn__filter_points = 6, cn__filter_taps = 3, cn__filter_pixels = 4, cn__filter_row = 112 };

/* The outer product tile of a kernel gradient: for i < rows, n < columns
 *     out[i][n] (+)= sum over p < pixels of a[p][a_at + i] * b[p][b_at + n]. */
typedef struct cn__outer {
    int64_t pixels;
    const float *const *a; /* [pixels]: `rows` consecutive floats each, from a_at on */
    const float *const *b; /* [pixels]: vectors * lanes consecutive floats each, from b_at on */
    int64_t a_at, b_at;
    float *out; /* [rows] of `stride` floats */
    int64_t stride;
    int64_t columns;    /* at most vectors * lanes; what is read of b beyond it is not used */
    bool accumulate;    /* add to `out` */
    const float *ahead; /* NULL, or what to bring near: a line for each pixel */
} cn__outer;
typedef void (*cn__outer_kernel)(const cn__outer *outer);

/* The tile of a kernel gradient: for i < rows, n < columns
 *     out[i][n] (+)= sum over the pixels p of all runs of a[p][a_at + i] * b[p][b_at + n]. */
typedef struct cn__run {
    const float *a, *b; /* its first pixel */
    int64_t pixels;
} cn__run;
typedef struct cn__product {
    int64_t runs;
    const cn__run *run;
    int64_t a_at, b_at;
    int64_t a_step, b_step; /* floats from one pixel to the next */
    const char *ahead;      /* what to bring near: a line at `ahead_step` bytes for each pixel */
    int64_t ahead_step;
    float *out; /* [rows] of `stride` floats */
    int64_t stride;
    int64_t columns; /* all vectors but a part of the last; what is read of b beyond is not used */
    bool accumulate; /* add to `out` */
} cn__product;
typedef void (*cn__product_kernel)(const cn__product *product);

/* Depthwise: for r < rows, m < columns and each channel c
 *     out[r][m][c] = clamp(start[c] + sum over l < lines, t < taps of in[l][r][cell][c] *
 * w[l][t][c]), cell = first + m * step + t * gap, leaving out the lines that are NULL and the cells
 * outside 0 <= cell < width: the padding. The gradient of the weights takes the same members and
 * adds to them the sum over r and m of in[l][r][cell][c] * out[r][m][c].
 *
 * The weights lie as the vectors use them: [vector][lines][taps][lanes]. Where the channels do not
 * fill the last vector it is that of the last `lanes` channels; of fewer channels than `lanes`, the
 * rest of the lanes means nothing. */
typedef struct cn__depthwise {
    int64_t channels;
    int64_t rows, columns; /* at most cn__depthwise_rows rows */
    int64_t lines, taps;
    const float *const *in; /* [lines][cn__depthwise_rows]: where lines of cells begin */
    int64_t square;         /* not 0: in[l][r] is in[l + square][r - 1] */
    const float *in_end;    /* of the whole input */
    int64_t width, cell;    /* cells of a line, floats from one to the next */
    int64_t first, step, gap;
    float *const *out; /* [rows] */
    int64_t out_step;  /* floats from m to m + 1 */
    float *weights;
    const float *start; /* [channels]; NULL for zeros */
    float low, high;
    /* Not 0: two sums for each m, both phases of stride 2, which lie at out[r][2 * m] and
     * out[r][2 * m + 1]. The second one's weights are `pair` floats further on, its cells `shift`,
     * 0 or more. There is no gradient of pairs. */
    int64_t pair, shift;
} cn__depthwise;
enum { cn__depthwise_rows = 4 };

/* Adds parts of the rows of a matrix to where they belong: for r < rows and each piece
 *     to[r * step + n] += sums[r * width + from + n] for n < count.
 * Up to a vector beyond the ends of the pieces is read, and zero is added to what is there. */
typedef struct cn__spread_piece {
    int64_t from, count;
    float *to;
} cn__spread_piece;
typedef struct cn__spread {
    const float *sums;
    int64_t rows, width, step, pieces;
    const cn__spread_piece *piece;
} cn__spread;

/* Minimal filtering of `taps` taps with `points` multiplications, which give points - taps + 1
 * outputs, along one axis or along both of a square; see winograd.c. At least `lanes` channels. */
typedef struct cn__winograd_output {
    const float *const *in; /* [all points]: the sums at each point, of one tile */
    const float *start;     /* [channels]: the bias */
    float *const *out;      /* [all outputs] */
    int64_t channels;
    float low, high; /* the clamp; -inf, +inf for none */
} cn__winograd_output;
typedef struct cn__winograd {
    int points, taps; /* of an axis */
    int axes;         /* 1 or 2 */
    /* One tile's input `in` [all points] of `channels` each, at each point: out[p * step]. */
    void (*input)(const float *const *in, int64_t channels, float *out, int64_t step);
    /* Whole vectors of kernel columns: in [all taps], out [all points]. */
    void (*kernel)(const float *const *in, int64_t columns, float *const *out);
    void (*output)(const cn__winograd_output *output);
    /* The transposed transforms, for kernel gradients. A tile of the output's gradient `in` [all
     * outputs] at each point: out[p * step]; the kernel's gradient `out` [all taps] from the sums
     * of the products `in` [all points]. */
    void (*gradient)(const float *const *in, int64_t channels, float *out, int64_t step);
    void (*result)(const float *const *in, int64_t columns, float *const *out);
} cn__winograd;
enum { CN__WINOGRAD_COUNT = 10, cn__winograd_most = 6 /* points of an axis */ };

#define CN__MAX_VECTORS 4
#define CN__MAX_ROWS 32

typedef void (*cn__unary_kernel)(const float *x, float *y, int64_t count, const float *p);
typedef void (*cn__unary_gradient_kernel)(const float *x, const float *dy, float *dx, int64_t count,
                                          const float *p);
/* A step of 0 repeats one value, 1 walks along. */
typedef void (*cn__binary_kernel)(const float *a, int a_step, const float *b, int b_step,
                                  float *out, int64_t count);

/* One step of an optimizer: changes `count` weights by their gradients g, which it may change too,
 * and what it keeps about them (NULL: not in use). The coefficients c are told at each kernel. */
typedef void (*cn__update_kernel)(float *w, float *g, float *const *slot, int64_t count,
                                  const float *c);
#define CN__UPDATE_LIST(X)                                                                         \
    X(SGD, sgd)                                                                                    \
    X(RMSPROP, rmsprop)                                                                            \
    X(ADAGRAD, adagrad)                                                                            \
    X(ADADELTA, adadelta)                                                                          \
    X(ADAM, adam)                                                                                  \
    X(ADAMAX, adamax)                                                                              \
    X(NADAM, nadam)                                                                                \
    X(FTRL, ftrl)                                                                                  \
    X(LION, lion)                                                                                  \
    X(LAMB, lamb)
typedef enum cn__update_name {
#define CN__UPDATE_ENUM(NAME, name) CN__UPDATE_##NAME,
    CN__UPDATE_LIST(CN__UPDATE_ENUM)
#undef CN__UPDATE_ENUM
        CN__UPDATE_COUNT
} cn__update_name;
enum { cn__update_slots = 3, cn__update_coefficients = 6 };

typedef struct cn__kernels {
    const char *name;
    int lanes; /* floats in a vector */
    /* rows[v]: the most rows of a tile of v vectors, 0 if there is none so wide; tile[v][r]: the
     * kernel of exactly r rows; line[v][r] too. The same for the outer product and the product. */
    int rows[CN__MAX_VECTORS + 1];
    int outer_rows[CN__MAX_VECTORS + 1];
    int product_rows[CN__MAX_VECTORS + 1];
    const cn__tile_kernel (*tile)[CN__MAX_ROWS + 1];
    const cn__line_kernel (*line)[CN__MAX_ROWS + 1];
    const cn__line_filter_kernel *line_filter; /* [vectors], with so many tiles at a time: */
    int filter_tiles[CN__MAX_VECTORS + 1];
    const cn__outer_kernel (*outer)[CN__MAX_ROWS + 1];
    const cn__product_kernel (*product)[CN__MAX_ROWS + 1];
    void (*depthwise)(const cn__depthwise *depthwise);
    void (*depthwise_gradient)(const cn__depthwise *depthwise);
    void (*spread)(const cn__spread *spread);
    const cn__winograd *winograd; /* [CN__WINOGRAD_COUNT] */

    cn__unary_kernel unary[CN_UNARY_COUNT];
    cn__unary_gradient_kernel unary_gradient[CN_UNARY_COUNT];
    cn__binary_kernel binary[CN_BINARY_COUNT];

    /* Runs multiply-adds on registers at the greatest speed there is; tells how many floating point
     * operations they were. The result means nothing. */
    float (*peak)(int64_t rounds, double *operations);

    /* The sum of count values (several partial sums, the same order on every call). */
    double (*sum)(const float *x, int64_t count);
    float (*maximum)(const float *x, int64_t count);
    /* totals[i] += x[i]; the running sum of rows. */
    void (*add_to_doubles)(const float *x, double *totals, int64_t count);
    /* y = softmax(x), or its logarithm, over `count` consecutive values. */
    void (*softmax)(const float *x, float *y, int64_t count, bool logarithm);
    /* y[i] = x[i] * scale[i] + shift[i] */
    void (*scale_shift)(const float *x, const float *scale, const float *shift, float *y,
                        int64_t count);
    /* out[c] = max over the cells of in[cell][c]; switches[c] = index[cell] of the first such cell
     * (switches may be NULL). At least one cell. */
    void (*max_cells)(int64_t cells, const float *const *in, const int32_t *index, int64_t channels,
                      float *out, int32_t *switches);
    /* out[c] = factor * sum over the cells of in[cell][c]. */
    void (*sum_cells)(int64_t cells, const float *const *in, int64_t channels, float factor,
                      float *out);
    /* y += factor * x */
    void (*add_scaled)(float factor, const float *x, float *y, int64_t count);

    /* out[j * out_step + i] = in[i * in_step + j] for i < rows, j < columns */
    void (*transpose)(int64_t rows, int64_t columns, const float *in, int64_t in_step, float *out,
                      int64_t out_step);
    /* mask[i] = number first + i of the seed, as a part of 2^32, is below `rate` ? 0 : kept;
     * `first` is a multiple of 4. */
    void (*random_mask)(uint64_t seed, uint64_t first, float rate, float kept, float *mask,
                        int64_t count);

    const cn__update_kernel *update; /* [CN__UPDATE_COUNT] */
    /* x = factor * x, kept between -most and most; NaN stays. */
    void (*scale_and_clip)(float *x, float factor, float most, int64_t count);
    /* mean = momentum * mean + (1 - momentum) * x */
    void (*average)(float momentum, const float *x, float *mean, int64_t count);
    double (*sum_squares)(const float *x, int64_t count);
} cn__kernels;

/* The table in use: chosen at the first call, the same ever after. */
const cn__kernels *cn__kernels_get(void);
/* False if CORNU_WINOGRAD=0 forbids minimal filtering. */
bool cn__winograd_allowed(void);
/* All tables this processor can run, best first; returns how many. For tests. */
int cn__kernels_all(const cn__kernels *tables[8]);
/* Puts another table in force, NULL for the default again. For tests and benchmarks: not safe while
 * another thread computes. */
void cn__kernels_use(const cn__kernels *table);

/* CN__K(tile) is cn__tile_avx2 where CN__ISA is avx2. */
#ifdef CN__ISA
#define CN__PASTE2(name, isa) cn__##name##_##isa
#define CN__PASTE(name, isa) CN__PASTE2(name, isa)
#define CN__K(name) CN__PASTE(name, CN__ISA)
#endif

#endif
