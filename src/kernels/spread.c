/* Adding the rows of a matrix to places of the output that overlap. */
#include "kernels/simd.h"

/* All ones for the first `count` lanes. */
static inline cn__vi first_lanes(int64_t count)
{
    static const int32_t number[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    cn__vi lanes;
    memcpy(&lanes, number, sizeof lanes);
    return lanes < (cn__vi){0} + (int32_t)(count < CN__LANES ? count : CN__LANES);
}

/* The first lanes of one vector of a piece: of every `apart`-th row. */
static inline void add_rows(const float *from, int64_t from_step, float *to, int64_t to_step,
                            int64_t rows, cn__vi lanes)
{
    for (int64_t r = 0; r < rows; r++, from += from_step, to += to_step)
        cn__store(to, cn__load(to) + (cn__v)((cn__vi)cn__load(from) & lanes));
}

/* Rows whose vectors overlap are not added one after the other: a load that follows so closely on a
 * store to a part of its place would wait for it. */
void CN__K(spread)(const cn__spread *spread);
void CN__K(spread)(const cn__spread *spread)
{
    int64_t apart = (CN__LANES + spread->step - 1) / spread->step;
    for (int64_t first = 0; first < apart && first < spread->rows; first++) {
        int64_t rows = (spread->rows - first + apart - 1) / apart;
        for (int64_t p = 0; p < spread->pieces; p++) {
            const cn__spread_piece *piece = &spread->piece[p];
            const float *from = spread->sums + first * spread->width + piece->from;
            float *to = piece->to + first * spread->step;
            for (int64_t n = 0; n < piece->count; n += CN__LANES)
                add_rows(from + n, apart * spread->width, to + n, apart * spread->step, rows,
                         first_lanes(piece->count - n));
        }
    }
}
