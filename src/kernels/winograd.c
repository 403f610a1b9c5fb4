/* Minimal filtering: the transforms of Winograd's algorithms, along rows and columns of a square of
 * n x n vectors of channels.
 *
 * F(m, r) computes m outputs of a filter of r taps with n = m + r - 1 multiplications: input and
 * filter are polynomials that are evaluated at n points, multiplied there, and interpolated; the
 * transposed form of it is a correlation (S. Winograd, Arithmetic complexity of computations, 1980;
 * Lavin and Gray, arXiv 1509.09308). The points are 0, infinity and pairs of opposite numbers,
 * whose even and odd parts are shared: +-1 for n = 4, +-3/4 and +-3/2 for n = 6. With these the
 * error is some four times less than with the usual +-1 and +-2 (Barabasz et al., arXiv
 * 1803.10986, tell why points near 1 with small quotients are better), and all constants are exact.
 */
#include <math.h>

#include "kernels/simd.h"

enum { most = cn__winograd_most };

/* The points a and b, and their powers. */
#define A 0.75f
#define B 1.5f
#define A2 (A * A)
#define B2 (B * B)

#define INLINE static inline __attribute__((always_inline))

/* y[j] = value of x at point j times what makes all constants whole: the rows are the coefficients
 * of M(t) / (t - p[j]) and, last, of M(t) = t (t^2 - a^2) (t^2 - b^2). */
INLINE void input_line(const int n, const cn__v *x, cn__v *y)
{
    if (n == 4) {
        y[0] = x[2] - x[0];
        y[1] = x[2] + x[1];
        y[2] = x[2] - x[1];
        y[3] = x[3] - x[1];
        return;
    }
    cn__v even_a = x[4] - B2 * x[2], odd_a = x[3] - B2 * x[1];
    cn__v even_b = x[4] - A2 * x[2], odd_b = x[3] - A2 * x[1];
    y[0] = A2 * B2 * x[0] + (x[4] - (A2 + B2) * x[2]);
    y[1] = even_a + A * odd_a;
    y[2] = even_a - A * odd_a;
    y[3] = even_b + B * odd_b;
    y[4] = even_b - B * odd_b;
    y[5] = A2 * B2 * x[1] + (x[5] - (A2 + B2) * x[3]);
}

/* The kernel's values at the points, divided by what input_line() leaves in. */
INLINE void kernel_line(const int n, const int taps, const cn__v *x, cn__v *y)
{
    cn__v last = taps == 3 ? x[2] : cn__splat(0);
    if (n == 4) {
        cn__v even = 0.5f * (x[0] + last), odd = 0.5f * x[1];
        y[0] = -x[0];
        y[1] = even + odd;
        y[2] = even - odd;
        y[3] = x[taps - 1];
        return;
    }
    const float of_a = 1 / (2 * A2 * (A2 - B2)), of_b = 1 / (2 * B2 * (B2 - A2));
    cn__v even_a = of_a * x[0] + (of_a * A2) * last, odd_a = (of_a * A) * x[1];
    cn__v even_b = of_b * x[0] + (of_b * B2) * last, odd_b = (of_b * B) * x[1];
    y[0] = (1 / (A2 * B2)) * x[0];
    y[1] = even_a + odd_a;
    y[2] = even_a - odd_a;
    y[3] = even_b + odd_b;
    y[4] = even_b - odd_b;
    y[5] = x[taps - 1];
}

/* y[i] = sum over the points of p^i x; infinity belongs to the last. */
INLINE void output_line(const int n, const int taps, const cn__v *x, cn__v *y)
{
    const int m = n - taps + 1;
    cn__v even_a = x[1] + x[2], odd_a = x[1] - x[2];
    if (n == 4) {
        y[0] = x[0] + even_a;
        y[1] = odd_a;
        if (m == 3)
            y[2] = even_a;
    } else {
        cn__v even_b = x[3] + x[4], odd_b = x[3] - x[4];
        y[0] = x[0] + even_a + even_b;
        y[1] = A * odd_a + B * odd_b;
        y[2] = A2 * even_a + B2 * even_b;
        y[3] = (A2 * A) * odd_a + (B2 * B) * odd_b;
        if (m == 5)
            y[4] = (A2 * A2) * even_a + (B2 * B2) * even_b;
    }
    y[m - 1] += x[n - 1];
}

/* output_line() transposed: a line of m cells at the points. */
INLINE void gradient_line(const int n, const int taps, const cn__v *x, cn__v *y)
{
    const int m = n - taps + 1;
    y[0] = x[0];
    y[n - 1] = x[m - 1];
    if (n == 4) {
        cn__v even = m == 3 ? x[0] + x[2] : x[0];
        y[1] = even + x[1];
        y[2] = even - x[1];
        return;
    }
    cn__v even_a = x[0] + A2 * x[2], odd_a = A * x[1] + (A2 * A) * x[3];
    cn__v even_b = x[0] + B2 * x[2], odd_b = B * x[1] + (B2 * B) * x[3];
    if (m == 5) {
        even_a += (A2 * A2) * x[4];
        even_b += (B2 * B2) * x[4];
    }
    y[1] = even_a + odd_a;
    y[2] = even_a - odd_a;
    y[3] = even_b + odd_b;
    y[4] = even_b - odd_b;
}

/* kernel_line() transposed: the taps from the sums at the points. */
INLINE void result_line(const int n, const int taps, const cn__v *x, cn__v *y)
{
    if (n == 4) {
        cn__v even = 0.5f * (x[1] + x[2]);
        y[0] = even - x[0];
        y[1] = 0.5f * (x[1] - x[2]);
        y[2] = even;
    } else {
        const float of_a = 1 / (2 * A2 * (A2 - B2)), of_b = 1 / (2 * B2 * (B2 - A2));
        cn__v even_a = x[1] + x[2], odd_a = x[1] - x[2];
        cn__v even_b = x[3] + x[4], odd_b = x[3] - x[4];
        y[0] = (1 / (A2 * B2)) * x[0] + of_a * even_a + of_b * even_b;
        y[1] = (of_a * A) * odd_a + (of_b * B) * odd_b;
        y[2] = (of_a * A2) * even_a + (of_b * B2) * even_b;
    }
    y[taps - 1] += x[n - 1];
}

/* The channels in vectors; the last may overlap the one before it. */
#define FOR_VECTORS(c, channels)                                                                   \
    for (int64_t c = 0; c < (channels);                                                            \
         c = c + 2 * CN__LANES <= (channels) || c + CN__LANES >= (channels)                        \
                 ? c + CN__LANES                                                                   \
                 : (channels)-CN__LANES)

INLINE void input(const int n, const float *const *in, int64_t channels, float *out, int64_t step)
{
    FOR_VECTORS(c, channels)
    {
        cn__v half[most][most];
        CN__UNROLL
        for (int j = 0; j < n; j++) {
            cn__v x[most], y[most];
            CN__UNROLL
            for (int i = 0; i < n; i++)
                x[i] = cn__load(in[i * n + j] + c);
            input_line(n, x, y);
            CN__UNROLL
            for (int i = 0; i < n; i++)
                half[i][j] = y[i];
        }
        CN__UNROLL
        for (int i = 0; i < n; i++) {
            cn__v y[most];
            input_line(n, half[i], y);
            CN__UNROLL
            for (int j = 0; j < n; j++)
                cn__store(out + (i * n + j) * step + c, y[j]);
        }
    }
}

INLINE void kernel(const int n, const int taps, const float *const *in, int64_t columns,
                   float *const *out)
{
    for (int64_t c = 0; c < columns; c += CN__LANES) {
        cn__v half[most][3];
        CN__UNROLL
        for (int j = 0; j < taps; j++) {
            cn__v x[3], y[most];
            CN__UNROLL
            for (int i = 0; i < taps; i++)
                x[i] = cn__load(in[i * taps + j] + c);
            kernel_line(n, taps, x, y);
            CN__UNROLL
            for (int i = 0; i < n; i++)
                half[i][j] = y[i];
        }
        CN__UNROLL
        for (int i = 0; i < n; i++) {
            cn__v y[most];
            kernel_line(n, taps, half[i], y);
            CN__UNROLL
            for (int j = 0; j < n; j++)
                cn__store(out[i * n + j] + c, y[j]);
        }
    }
}

INLINE void output(const int n, const int taps, const cn__winograd_output *work)
{
    const int m = n - taps + 1;
    const bool clamped = work->low > -INFINITY || work->high < INFINITY;
    cn__v low = cn__splat(work->low), high = cn__splat(work->high);
    FOR_VECTORS(c, work->channels)
    {
        cn__v half[most][most], start = cn__load(work->start + c);
        CN__UNROLL
        for (int j = 0; j < n; j++) {
            cn__v x[most], y[most];
            CN__UNROLL
            for (int i = 0; i < n; i++)
                x[i] = cn__load(work->in[i * n + j] + c);
            output_line(n, taps, x, y);
            CN__UNROLL
            for (int i = 0; i < m; i++)
                half[i][j] = y[i];
        }
        CN__UNROLL
        for (int i = 0; i < m; i++) {
            cn__v y[most];
            output_line(n, taps, half[i], y);
            CN__UNROLL
            for (int j = 0; j < m; j++) {
                cn__v value = y[j] + start;
                if (clamped) {
                    value = cn__select(value < low, low, value);
                    value = cn__select(value > high, high, value);
                }
                cn__store(work->out[i * m + j] + c, value);
            }
        }
    }
}

INLINE void gradient(const int n, const int taps, const float *const *in, int64_t channels,
                     float *out, int64_t step)
{
    const int m = n - taps + 1;
    FOR_VECTORS(c, channels)
    {
        cn__v half[most][most];
        CN__UNROLL
        for (int j = 0; j < m; j++) {
            cn__v x[most], y[most];
            CN__UNROLL
            for (int i = 0; i < m; i++)
                x[i] = cn__load(in[i * m + j] + c);
            gradient_line(n, taps, x, y);
            CN__UNROLL
            for (int i = 0; i < n; i++)
                half[i][j] = y[i];
        }
        CN__UNROLL
        for (int i = 0; i < n; i++) {
            cn__v y[most];
            gradient_line(n, taps, half[i], y);
            CN__UNROLL
            for (int j = 0; j < n; j++)
                cn__store(out + (i * n + j) * step + c, y[j]);
        }
    }
}

INLINE void result(const int n, const int taps, const float *const *in, int64_t columns,
                   float *const *out)
{
    FOR_VECTORS(c, columns)
    {
        cn__v half[3][most];
        CN__UNROLL
        for (int j = 0; j < n; j++) {
            cn__v x[most], y[3];
            CN__UNROLL
            for (int i = 0; i < n; i++)
                x[i] = cn__load(in[i * n + j] + c);
            result_line(n, taps, x, y);
            CN__UNROLL
            for (int i = 0; i < taps; i++)
                half[i][j] = y[i];
        }
        CN__UNROLL
        for (int i = 0; i < taps; i++) {
            cn__v y[3];
            result_line(n, taps, half[i], y);
            CN__UNROLL
            for (int j = 0; j < taps; j++)
                cn__store(out[i * taps + j] + c, y[j]);
        }
    }
}

#define INPUT(n)                                                                                   \
    static void input_##n(const float *const *in, int64_t channels, float *out, int64_t step)      \
    {                                                                                              \
        input(n, in, channels, out, step);                                                         \
    }
#define REST(n, taps)                                                                              \
    static void kernel_##n##_##taps(const float *const *in, int64_t columns, float *const *out)    \
    {                                                                                              \
        kernel(n, taps, in, columns, out);                                                         \
    }                                                                                              \
    static void output_##n##_##taps(const cn__winograd_output *work)                               \
    {                                                                                              \
        output(n, taps, work);                                                                     \
    }                                                                                              \
    static void gradient_##n##_##taps(const float *const *in, int64_t channels, float *out,        \
                                      int64_t step)                                                \
    {                                                                                              \
        gradient(n, taps, in, channels, out, step);                                                \
    }                                                                                              \
    static void result_##n##_##taps(const float *const *in, int64_t columns, float *const *out)    \
    {                                                                                              \
        result(n, taps, in, columns, out);                                                         \
    }
INPUT(4)
INPUT(6)
REST(4, 2)
REST(4, 3)
REST(6, 2)
REST(6, 3)

extern const cn__winograd CN__K(winograd)[CN__WINOGRAD_COUNT];
const cn__winograd CN__K(winograd)[CN__WINOGRAD_COUNT] = {
#define ENTRY(n, taps)                                                                             \
    {                                                                                              \
        n, taps, input_##n, kernel_##n##_##taps, output_##n##_##taps, gradient_##n##_##taps,       \
            result_##n##_##taps                                                                    \
    }
    ENTRY(4, 2), ENTRY(4, 3), ENTRY(6, 2), ENTRY(6, 3)};
