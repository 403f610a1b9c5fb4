/* The fastest possible sequence of multiply-adds, to measure other kernels by. */
#include "kernels/simd.h"

enum { chains = 12 }; /* more than latency times throughput of any processor yet */

float CN__K(peak)(int64_t rounds, double *operations);
float CN__K(peak)(int64_t rounds, double *operations)
{
    cn__v sum[chains], factor = cn__splat(0.999f), term = cn__splat(1e-3f);
    /* Numbers unknown to the compiler: it finds out that a chain beginning with 1 stays 1 and
     * leaves it out, which made the peak a twelfth too high. */
    CN__UNROLL
    for (int i = 0; i < chains; i++)
        sum[i] = cn__splat((float)(rounds + i));
    for (int64_t r = 0; r < rounds; r++) {
        CN__UNROLL
        for (int i = 0; i < chains; i++)
            sum[i] = sum[i] * factor + term;
    }
    *operations = 2.0 * (double)rounds * chains * CN__LANES;
    cn__v total = sum[0];
    CN__UNROLL
    for (int i = 1; i < chains; i++)
        total += sum[i];
    return total[0];
}
