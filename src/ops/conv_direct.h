/* The direct sum, by phase for transposed convolutions: each task computes a range of output pixels
 * of one phase and one block of output channels with the tile kernel. */
#ifndef CORNU_SRC_OPS_CONV_DIRECT_H
#define CORNU_SRC_OPS_CONV_DIRECT_H

#include "ops/conv_plan.h"

extern const cn__conv_path cn__direct_path;
/* The kernel as the path by line has it, too. */
void cn__direct_pack(const cn_conv_plan *plan, const float *kernel, float *packed, cn_pool *pool);
/* Its floats. */
int64_t cn__direct_packed_floats(const cn_conv_plan *plan);
/* True if each part of the kernel is used by one task only, which then can pack it: */
bool cn__direct_packs_once(const cn_conv_plan *plan);
void cn__direct_pack_and_run(const cn_conv_plan *plan, const cn__conv_run *run, const float *kernel,
                             float *packed, cn_pool *pool);

#endif
