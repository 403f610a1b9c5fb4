/* The table of one instruction set: everything that the other files of this folder define. Beside
 * the tile kernels stand the numbers that the drivers of floor 2 cut their work by. */
#include "kernels/simd.h"

extern const cn__kernels CN__K(kernels);

extern const cn__tile_kernel CN__K(tile)[CN__MAX_VECTORS + 1][CN__MAX_ROWS + 1];
extern const cn__line_kernel CN__K(line)[CN__MAX_VECTORS + 1][CN__MAX_ROWS + 1];
extern const cn__line_filter_kernel CN__K(line_filter)[CN__MAX_VECTORS + 1];
extern const cn__outer_kernel CN__K(outer)[CN__MAX_VECTORS + 1][CN__MAX_ROWS + 1];
extern const cn__product_kernel CN__K(product)[CN__MAX_VECTORS + 1][CN__MAX_ROWS + 1];
extern const cn__winograd CN__K(winograd)[CN__WINOGRAD_COUNT];
void CN__K(depthwise)(const cn__depthwise *);
void CN__K(depthwise_gradient)(const cn__depthwise *);
void CN__K(spread)(const cn__spread *);
float CN__K(peak)(int64_t, double *);
double CN__K(sum)(const float *, int64_t);
float CN__K(maximum)(const float *, int64_t);
void CN__K(add_to_doubles)(const float *, double *, int64_t);
void CN__K(softmax)(const float *, float *, int64_t, bool);
void CN__K(scale_shift)(const float *, const float *, const float *, float *, int64_t);
void CN__K(max_cells)(int64_t, const float *const *, const int32_t *, int64_t, float *, int32_t *);
void CN__K(sum_cells)(int64_t, const float *const *, int64_t, float, float *);
void CN__K(add_scaled)(float, const float *, float *, int64_t);
void CN__K(transpose)(int64_t, int64_t, const float *, int64_t, float *, int64_t);
void CN__K(random_mask)(uint64_t, uint64_t, float, float, float *, int64_t);
extern const cn__update_kernel CN__K(update)[CN__UPDATE_COUNT];
void CN__K(scale_and_clip)(float *, float, float, int64_t);
void CN__K(average)(float, const float *, float *, int64_t);
double CN__K(sum_squares)(const float *, int64_t);

#define DECLARE_UNARY(NAME, name)                                                                  \
    void CN__K(unary_##name)(const float *, float *, int64_t, const float *);                      \
    void CN__K(unary_gradient_##name)(const float *, const float *, float *, int64_t,              \
                                      const float *);
CN_UNARY_LIST(DECLARE_UNARY)

#define DECLARE_BINARY(NAME, name)                                                                 \
    void CN__K(binary_##name)(const float *, int, const float *, int, float *, int64_t);
CN_BINARY_LIST(DECLARE_BINARY)

#define TEXT2(isa) #isa
#define TEXT(isa) TEXT2(isa)

const cn__kernels CN__K(kernels) = {
    .name = TEXT(CN__ISA),
    .lanes = CN__LANES,
#define ROWS(vectors, rows_) [vectors] = rows_,
    .rows = {CN__TILES(ROWS)},
    .outer_rows = {CN__OUTERS(ROWS)},
    .product_rows = {CN__PRODUCTS(ROWS)},
    .filter_tiles = {CN__FILTERS(ROWS)},
    .tile = CN__K(tile),
    .line = CN__K(line),
    .line_filter = CN__K(line_filter),
    .outer = CN__K(outer),
    .product = CN__K(product),
    .depthwise = CN__K(depthwise),
    .depthwise_gradient = CN__K(depthwise_gradient),
    .spread = CN__K(spread),
    .winograd = CN__K(winograd),
#define UNARY(NAME, name) [CN_##NAME] = CN__K(unary_##name),
    .unary = {CN_UNARY_LIST(UNARY)},
#define UNARY_GRADIENT(NAME, name) [CN_##NAME] = CN__K(unary_gradient_##name),
    .unary_gradient = {CN_UNARY_LIST(UNARY_GRADIENT)},
#define BINARY(NAME, name) [CN_##NAME] = CN__K(binary_##name),
    .binary = {CN_BINARY_LIST(BINARY)},
    .peak = CN__K(peak),
    .sum = CN__K(sum),
    .maximum = CN__K(maximum),
    .add_to_doubles = CN__K(add_to_doubles),
    .softmax = CN__K(softmax),
    .scale_shift = CN__K(scale_shift),
    .max_cells = CN__K(max_cells),
    .sum_cells = CN__K(sum_cells),
    .add_scaled = CN__K(add_scaled),
    .transpose = CN__K(transpose),
    .random_mask = CN__K(random_mask),
    .update = CN__K(update),
    .scale_and_clip = CN__K(scale_and_clip),
    .average = CN__K(average),
    .sum_squares = CN__K(sum_squares),
};
