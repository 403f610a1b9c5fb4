/* Random masks: Philox 4x32-10 as in base/random.c, many blocks at a time. */
#include "kernels/simd.h"

enum { blocks = 4 * CN__LANES };

/* The words of `blocks` blocks from `first` on, in the order of cn__random_bits(). */
static void philox(uint64_t seed, uint64_t first, uint32_t *words)
{
    uint32_t a[blocks], b[blocks], c[blocks], d[blocks];
    uint32_t key0 = (uint32_t)seed, key1 = (uint32_t)(seed >> 32);
    for (int i = 0; i < blocks; i++) {
        a[i] = (uint32_t)(first + (uint64_t)i);
        b[i] = (uint32_t)((first + (uint64_t)i) >> 32);
        c[i] = d[i] = 0;
    }
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < blocks; i++) {
            uint64_t p = (uint64_t)0xD2511F53 * a[i], q = (uint64_t)0xCD9E8D57 * c[i];
            a[i] = (uint32_t)(q >> 32) ^ b[i] ^ key0;
            b[i] = (uint32_t)q;
            c[i] = (uint32_t)(p >> 32) ^ d[i] ^ key1;
            d[i] = (uint32_t)p;
        }
        key0 += 0x9E3779B9;
        key1 += 0xBB67AE85;
    }
    for (int i = 0; i < blocks; i++) {
        words[4 * i] = a[i];
        words[4 * i + 1] = b[i];
        words[4 * i + 2] = c[i];
        words[4 * i + 3] = d[i];
    }
}

/* mask[i] = number first + i of the seed, as a part of 2^32, is below `rate` ? 0 : kept; `first` is
 * a multiple of 4. */
void CN__K(random_mask)(uint64_t seed, uint64_t first, float rate, float kept, float *mask,
                        int64_t count);
void CN__K(random_mask)(uint64_t seed, uint64_t first, float rate, float kept, float *mask,
                        int64_t count)
{
    double scaled = (double)rate * 0x1p32;
    uint32_t limit = scaled < 0xFFFFFFFFp0 ? (uint32_t)scaled : 0xFFFFFFFF;
    for (int64_t done = 0; done < count; done += 4 * blocks) {
        uint32_t words[4 * blocks];
        int64_t part = count - done < 4 * blocks ? count - done : 4 * blocks;
        philox(seed, (first + (uint64_t)done) / 4, words);
        for (int64_t i = 0; i < part; i++)
            mask[done + i] = words[i] < limit ? 0 : kept;
    }
}
