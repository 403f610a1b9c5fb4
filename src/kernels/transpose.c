/* Transposing small matrices, four by four in registers. */
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

/* out[j * out_step + i] = in[i * in_step + j] for i < rows, j < columns. */
void CN__K(transpose)(int64_t rows, int64_t columns, const float *in, int64_t in_step, float *out,
                      int64_t out_step);
void CN__K(transpose)(int64_t rows, int64_t columns, const float *in, int64_t in_step, float *out,
                      int64_t out_step)
{
    int64_t whole_rows = rows / 4 * 4, whole_columns = columns / 4 * 4;
    for (int64_t i = 0; i < whole_rows; i += 4)
        for (int64_t j = 0; j < whole_columns; j += 4)
            transpose_four(in + i * in_step + j, in_step, out + j * out_step + i, out_step);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = i < whole_rows ? whole_columns : 0; j < columns; j++)
            out[j * out_step + i] = in[i * in_step + j];
}
