/* Minimal filtering: the transforms of Winograd's algorithms, along a line of n vectors of channels
 * or along rows and columns of a square of n x n.
 *
 * F(m, r) computes m outputs of a filter of r taps with n = m + r - 1 multiplications: input and
 * filter are polynomials that are evaluated at n points, multiplied there, and interpolated; the
 * transposed form of it is a correlation (S. Winograd, Arithmetic complexity of computations, 1980;
 * Lavin and Gray, arXiv 1509.09308). The points are 0, infinity and pairs of opposite numbers,
 * whose even and odd parts are shared: +-1 for n = 4, +-3/4 and +-3/2 for n = 6; n = 3 has 1 alone.
 * With these the
 * error is some four times less than with the usual +-1 and +-2 (Barabasz et al., arXiv
 * 1803.10986, tell why points near 1 with small quotients are better), and all constants are exact.
 */
#include <math.h>

#include "kernels/winograd.h"

enum { most = cn__winograd_most };

/* y[j] = value of x at point j times what makes all constants whole: the rows are the coefficients
 * of M(t) / (t - p[j]) and, last, of M(t) = t (t^2 - a^2) (t^2 - b^2). */
INLINE void input_line(const int n, const cn__v *x, cn__v *y)
{
    if (n == 3) {
        y[0] = x[0] - x[1];
        y[1] = x[1];
        y[2] = x[2] - x[1];
        return;
    }
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
    if (n == 3) {
        y[0] = x[0];
        y[1] = x[0] + x[1];
        y[2] = x[1];
        return;
    }
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

/* output_line() transposed: a line of m cells at the points. */
INLINE void gradient_line(const int n, const int taps, const cn__v *x, cn__v *y)
{
    const int m = n - taps + 1;
    y[0] = x[0];
    y[n - 1] = x[m - 1];
    if (n == 3) {
        y[1] = x[0] + x[1];
        return;
    }
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
    if (n == 3) {
        y[0] = x[0] + x[1];
        y[1] = x[1];
    } else if (n == 4) {
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

INLINE void input_1(const int n, const float *const *in, int64_t channels, float *out, int64_t step)
{
    FOR_VECTORS(c, channels)
    {
        cn__v x[most], y[most];
        CN__UNROLL
        for (int i = 0; i < n; i++)
            x[i] = cn__load(in[i] + c);
        input_line(n, x, y);
        CN__UNROLL
        for (int i = 0; i < n; i++)
            cn__store(out + i * step + c, y[i]);
    }
}

INLINE void kernel_1(const int n, const int taps, const float *const *in, int64_t columns,
                     float *const *out)
{
    for (int64_t c = 0; c < columns; c += CN__LANES) {
        cn__v x[3], y[most];
        CN__UNROLL
        for (int i = 0; i < taps; i++)
            x[i] = cn__load(in[i] + c);
        kernel_line(n, taps, x, y);
        CN__UNROLL
        for (int i = 0; i < n; i++)
            cn__store(out[i] + c, y[i]);
    }
}

/* What is done to every output: the bias is added, and the sum clamped. */
typedef struct ending {
    cn__v low, high;
    bool clamped;
} ending;

INLINE ending ending_of(const cn__winograd_output *work)
{
    return (ending){cn__splat(work->low), cn__splat(work->high),
                    work->low > -INFINITY || work->high < INFINITY};
}

INLINE void finish(const ending *e, cn__v value, float *out)
{
    if (e->clamped)
        value = cn__clamped(value, e->low, e->high);
    cn__store(out, value);
}

INLINE void output_1(const int n, const int taps, const cn__winograd_output *work)
{
    const ending end = ending_of(work);
    FOR_VECTORS(c, work->channels)
    {
        cn__v x[most], y[most], start = cn__load(work->start + c);
        CN__UNROLL
        for (int i = 0; i < n; i++)
            x[i] = cn__load(work->in[i] + c);
        output_line(n, taps, x, y);
        CN__UNROLL
        for (int i = 0; i < n - taps + 1; i++)
            finish(&end, y[i] + start, work->out[i] + c);
    }
}

INLINE void input_2(const int n, const float *const *in, int64_t channels, float *out, int64_t step)
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

INLINE void kernel_2(const int n, const int taps, const float *const *in, int64_t columns,
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

INLINE void output_2(const int n, const int taps, const cn__winograd_output *work)
{
    const int m = n - taps + 1;
    const ending end = ending_of(work);
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
            for (int j = 0; j < m; j++)
                finish(&end, y[j] + start, work->out[i * m + j] + c);
        }
    }
}

INLINE void gradient_1(const int n, const int taps, const float *const *in, int64_t channels,
                       float *out, int64_t step)
{
    FOR_VECTORS(c, channels)
    {
        cn__v x[most], y[most];
        CN__UNROLL
        for (int i = 0; i < n - taps + 1; i++)
            x[i] = cn__load(in[i] + c);
        gradient_line(n, taps, x, y);
        CN__UNROLL
        for (int i = 0; i < n; i++)
            cn__store(out + i * step + c, y[i]);
    }
}

INLINE void result_1(const int n, const int taps, const float *const *in, int64_t columns,
                     float *const *out)
{
    FOR_VECTORS(c, columns)
    {
        cn__v x[most], y[3];
        CN__UNROLL
        for (int i = 0; i < n; i++)
            x[i] = cn__load(in[i] + c);
        result_line(n, taps, x, y);
        CN__UNROLL
        for (int i = 0; i < taps; i++)
            cn__store(out[i] + c, y[i]);
    }
}

INLINE void gradient_2(const int n, const int taps, const float *const *in, int64_t channels,
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

INLINE void result_2(const int n, const int taps, const float *const *in, int64_t columns,
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

#define INPUT(axes, n)                                                                             \
    static void input_##axes##_##n(const float *const *in, int64_t channels, float *out,           \
                                   int64_t step)                                                   \
    {                                                                                              \
        input_##axes(n, in, channels, out, step);                                                  \
    }
#define REST(axes, n, taps)                                                                        \
    static void kernel_##axes##_##n##_##taps(const float *const *in, int64_t columns,              \
                                             float *const *out)                                    \
    {                                                                                              \
        kernel_##axes(n, taps, in, columns, out);                                                  \
    }                                                                                              \
    static void output_##axes##_##n##_##taps(const cn__winograd_output *work)                      \
    {                                                                                              \
        output_##axes(n, taps, work);                                                              \
    }                                                                                              \
    static void gradient_##axes##_##n##_##taps(const float *const *in, int64_t channels,           \
                                               float *out, int64_t step)                           \
    {                                                                                              \
        gradient_##axes(n, taps, in, channels, out, step);                                         \
    }                                                                                              \
    static void result_##axes##_##n##_##taps(const float *const *in, int64_t columns,              \
                                             float *const *out)                                    \
    {                                                                                              \
        result_##axes(n, taps, in, columns, out);                                                  \
    }
#define ALGORITHMS(X)                                                                              \
    X(1, 3, 2)                                                                                     \
    X(1, 4, 2)                                                                                     \
    X(1, 4, 3) X(1, 6, 2) X(1, 6, 3) X(2, 3, 2) X(2, 4, 2) X(2, 4, 3) X(2, 6, 2) X(2, 6, 3)
INPUT(1, 3)
INPUT(1, 4)
INPUT(1, 6)
INPUT(2, 3)
INPUT(2, 4)
INPUT(2, 6)
ALGORITHMS(REST)

#define ENTRY(axes, n, taps)                                                                       \
    {n,                                                                                            \
     taps,                                                                                         \
     axes,                                                                                         \
     input_##axes##_##n,                                                                           \
     kernel_##axes##_##n##_##taps,                                                                 \
     output_##axes##_##n##_##taps,                                                                 \
     gradient_##axes##_##n##_##taps,                                                               \
     result_##axes##_##n##_##taps},
extern const cn__winograd CN__K(winograd)[CN__WINOGRAD_COUNT];
const cn__winograd CN__K(winograd)[CN__WINOGRAD_COUNT] = {ALGORITHMS(ENTRY)};
