/* Random numbers by counting: Philox 4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random
 * numbers: as easy as 1, 2, 3", 2011. */
#include "base/base.h"

#include <math.h>

/* Ten rounds of Philox on one block of four words. */
static void philox(uint32_t block[4], uint32_t key0, uint32_t key1)
{
    for (int round = 0; round < 10; round++) {
        uint64_t product0 = (uint64_t)0xD2511F53 * block[0];
        uint64_t product1 = (uint64_t)0xCD9E8D57 * block[2];
        block[0] = (uint32_t)(product1 >> 32) ^ block[1] ^ key0;
        block[1] = (uint32_t)product1;
        block[2] = (uint32_t)(product0 >> 32) ^ block[3] ^ key1;
        block[3] = (uint32_t)product0;
        key0 += 0x9E3779B9; /* the golden ratio */
        key1 += 0xBB67AE85; /* the square root of 3, less 1 */
    }
}

/* Number n of a seed is word n % 4 of block n / 4. */
uint32_t cn__random_bits(cn__random *random)
{
    uint64_t number = random->counter / 4;
    uint32_t block[4] = {(uint32_t)number, (uint32_t)(number >> 32), 0, 0};
    philox(block, (uint32_t)random->seed, (uint32_t)(random->seed >> 32));
    return block[random->counter++ % 4];
}

/* 53 bits, all that a double holds. */
double cn__random_uniform(cn__random *random)
{
    uint64_t high = cn__random_bits(random);
    uint64_t low = cn__random_bits(random);
    return (double)((high << 32 | low) >> 11) * 0x1p-53;
}

/* By Box and Muller; 1 - u is never 0, whose logarithm does not exist. */
double cn__random_normal(cn__random *random)
{
    double radius = sqrt(-2.0 * log(1.0 - cn__random_uniform(random)));
    return radius * cos(6.283185307179586 * cn__random_uniform(random));
}
