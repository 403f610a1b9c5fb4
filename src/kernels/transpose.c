/* Transposing small matrices in registers: squares of the vectors' size, four by four, one by one.
 */
#include "kernels/simd.h"

typedef float four __attribute__((vector_size(16)));

static inline four load_four(const float *x)
{
    four v;
    __builtin_memcpy(&v, x, sizeof v);
    return v;
}

static inline void store_four(float *x, four v)
{
    __builtin_memcpy(x, &v, sizeof v);
}

static inline void transpose_four(const float *in, int64_t in_step, float *out, int64_t out_step)
{
    four a = load_four(in), b = load_four(in + in_step);
    four c = load_four(in + 2 * in_step), d = load_four(in + 3 * in_step);
    four ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
    four ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    four cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    four cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    store_four(out, __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5));
    store_four(out + out_step, __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7));
    store_four(out + 2 * out_step, __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5));
    store_four(out + 3 * out_step, __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7));
}

#if CN__LANES > 4
/* One step of a square's transposition: of each pair of rows a and b that lie `d` apart, every
 * second group of d lanes changes places with its neighbour of the other row. */
#define FIRST(d, lane) ((lane) & (d) ? CN__LANES + (lane) - (d) : (lane))
#define SECOND(d, lane) ((lane) & (d) ? CN__LANES + (lane) : (lane) + (d))
#define OF_8(X, d, i)                                                                              \
    X(d, i), X(d, i + 1), X(d, i + 2), X(d, i + 3), X(d, i + 4), X(d, i + 5), X(d, i + 6),         \
        X(d, i + 7)
#if CN__LANES == 16
#define OF_ALL(X, d) OF_8(X, d, 0), OF_8(X, d, 8)
#else
#define OF_ALL(X, d) OF_8(X, d, 0)
#endif
#define STEP(d)                                                                                    \
    CN__UNROLL                                                                                     \
    for (int i = 0; i < CN__LANES; i++)                                                            \
        if ((i & (d)) == 0) {                                                                      \
            cn__v a = row[i], b = row[i + (d)];                                                    \
            row[i] = __builtin_shufflevector(a, b, OF_ALL(FIRST, d));                              \
            row[i + (d)] = __builtin_shufflevector(a, b, OF_ALL(SECOND, d));                       \
        }

static inline void transpose_square(const float *in, int64_t in_step, float *out, int64_t out_step)
{
    cn__v row[CN__LANES];
    CN__UNROLL
    for (int i = 0; i < CN__LANES; i++)
        row[i] = cn__load(in + i * in_step);
#if CN__LANES == 16
    STEP(8)
#endif
    STEP(4)
    STEP(2)
    STEP(1)
    CN__UNROLL
    for (int i = 0; i < CN__LANES; i++)
        cn__store(out + i * out_step, row[i]);
}
#else
static inline void transpose_square(const float *in, int64_t in_step, float *out, int64_t out_step)
{
    transpose_four(in, in_step, out, out_step);
}
#endif

/* The same for any numbers of rows and columns, four by four. */
static void transpose_rest(int64_t rows, int64_t columns, const float *in, int64_t in_step,
                           float *out, int64_t out_step)
{
    int64_t whole_rows = rows / 4 * 4, whole_columns = columns / 4 * 4;
    for (int64_t i = 0; i < whole_rows; i += 4)
        for (int64_t j = 0; j < whole_columns; j += 4)
            transpose_four(in + i * in_step + j, in_step, out + j * out_step + i, out_step);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = i < whole_rows ? whole_columns : 0; j < columns; j++)
            out[j * out_step + i] = in[i * in_step + j];
}

/* out[j * out_step + i] = in[i * in_step + j] for i < rows, j < columns. */
void CN__K(transpose)(int64_t rows, int64_t columns, const float *in, int64_t in_step, float *out,
                      int64_t out_step);
void CN__K(transpose)(int64_t rows, int64_t columns, const float *in, int64_t in_step, float *out,
                      int64_t out_step)
{
    int64_t whole_rows = rows / CN__LANES * CN__LANES;
    int64_t whole_columns = columns / CN__LANES * CN__LANES;
    for (int64_t i = 0; i < whole_rows; i += CN__LANES)
        for (int64_t j = 0; j < whole_columns; j += CN__LANES)
            transpose_square(in + i * in_step + j, in_step, out + j * out_step + i, out_step);
    if (whole_columns < columns)
        transpose_rest(whole_rows, columns - whole_columns, in + whole_columns, in_step,
                       out + whole_columns * out_step, out_step);
    if (whole_rows < rows)
        transpose_rest(rows - whole_rows, columns, in + whole_rows * in_step, in_step,
                       out + whole_rows, out_step);
}
