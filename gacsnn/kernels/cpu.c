/* What stands between two convolutions of a spiking network, on a CPU: batch norm, residual sum, leaky integrate-and-fire.

Tensors are [T, B, C, H, W], each step dense, P elements, in either order of memory: the channel of element j of a step is
(j / S) % C, with S = H * W where channels come before the image, and 1 where they come last. They are walked in tiles of L
elements of a step, all T steps of a tile at once, so that what is kept between steps stays in the first cache.

Sums are those of fixed chunks of tiles, added up in order: they are the same on any number of threads. Elements are float,
double or bfloat16 (as its 16 bits); all is computed in float, or in double for double. This file includes itself, once a type.
gacsnn/kernels/cpu.py says what each function is for, and compiles and calls them. */

#ifndef ELEMENT

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MOST 2048 /* elements of a tile */
#define CHUNKS 64

typedef struct {
    long T, P, C, S;
    long stride; /* elements from one step of the input to the next: P, or 0 where all steps are the same */
    long L;      /* elements of a tile */
    int threads;
} Shape;

typedef struct {
    double decay, threshold, width;
    int triangle, detach_reset;
} Neuron;

/* a * b + c, rounded once where one instruction does it: as torch's own sum of x and decay * v does. */
#ifdef __FP_FAST_FMA
#define MULTIPLY_ADD(a, b, c) _Generic((a), float: fmaf, double: fma)(a, b, c)
#else
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#endif

static inline float of_bf16(uint16_t bits) {
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

/* To the nearest, ties to even; what is no number stays none. */
static inline uint16_t to_bf16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    return (bits & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : (uint16_t)rounded;
}

static inline long smaller(long a, long b) { return a < b ? a : b; }
static inline long tiles_of(const Shape *z) { return (z->P + z->L - 1) / z->L; }

/* Parameters and running statistics are doubles where `wide`, else floats. */
static inline double read(const void *values, long i, int wide) {
    return wide ? ((const double *)values)[i] : ((const float *)values)[i];
}
static inline void write(void *values, long i, int wide, double value) {
    if (wide)
        ((double *)values)[i] = value;
    else
        ((float *)values)[i] = value;
}

typedef struct {
    double eps, momentum, repeats;
    long C;
    int wide;
} BatchNorm;

/* Mean, 1 / deviation, scale and shift of each channel: of what was found of `count` values, which goes into the running
   statistics, too, where these are given; of them where nothing was found. */
void norm(const double *found, double count, const void *weight, const void *bias, void *running_mean, void *running_variance,
          double *out, const BatchNorm *bn) {
    const long C = bn->C;
    const int wide = bn->wide;
    const double n = count * bn->repeats, correction = n / (n - 1), kept = 1 - bn->momentum;
    for (long c = 0; c < C; c++) {
        const double mean = found ? found[c] : read(running_mean, c, wide);
        const double variance = found ? found[C + c] : read(running_variance, c, wide);
        const double inverse = 1 / sqrt(variance + bn->eps), scale = read(weight, c, wide) * inverse;
        out[c] = mean;
        out[C + c] = inverse;
        out[2 * C + c] = scale;
        out[3 * C + c] = read(bias, c, wide) - mean * scale;
        if (found && running_mean) {
            write(running_mean, c, wide, kept * read(running_mean, c, wide) + bn->momentum * mean);
            write(running_variance, c, wide,
                  kept * read(running_variance, c, wide) + bn->momentum * correction * variance);
        }
    }
}

/* From the sums of g and of g * (x - mean), this process's and those of all: what x and the constant count in the gradient of
   x, whose g counts `scale`, and the gradients of weight and bias. A count of 0: the statistics were the running ones. */
void gradients(const double *own, const double *all, const double *norm, double count, double *out, void *of_weight,
               void *of_bias, const BatchNorm *bn) {
    const long C = bn->C;
    for (long c = 0; c < C; c++) {
        const double mean = norm[c], inverse = norm[C + c], scale = norm[2 * C + c];
        const double factor = count ? -scale * inverse * inverse * all[C + c] / count : 0;
        out[c] = factor;
        out[C + c] = count ? -scale * all[c] / count - factor * mean : 0;
        write(of_weight, c, bn->wide, own[C + c] * inverse);
        write(of_bias, c, bn->wide, own[c]);
    }
}

#define CAT_(a, b) a##_##b
#define CAT(a, b) CAT_(a, b)
#define F(name) CAT(name, SUFFIX)

#define ELEMENT float
#define ACC float
#define SUFFIX f32
#define GET(x) (x)
#define PUT(x) (x)
#include __FILE__

#define ELEMENT double
#define ACC double
#define SUFFIX f64
#define GET(x) (x)
#define PUT(x) (x)
#include __FILE__

#define ELEMENT uint16_t
#define ACC float
#define SUFFIX bf16
#define GET(x) of_bf16(x)
#define PUT(x) to_bf16(x)
#include __FILE__

#else

/* The values of their channels, for the m elements of a step from `start` on. */
static void F(spread)(const Shape *z, const double *channels, ACC *restrict out, long start, long m) {
    long i = 0, row = start / z->S, left = z->S - start % z->S;
    if (z->S == 1) {
        long c = start % z->C;
        while (i < m) {
            long count = smaller(z->C - c, m - i);
            for (long j = 0; j < count; j++) out[i + j] = channels[c + j];
            i += count;
            c = 0;
        }
        return;
    }
    while (i < m) {
        ACC value = channels[row % z->C];
        long end = smaller(m, i + left);
        for (long j = i; j < end; j++) out[j] = value;
        i = end;
        left = z->S;
        row++;
    }
}

/* The other way: add those of the m elements from `start` on to the sums of their channels. */
static void F(gather)(const Shape *z, const ACC *restrict values, double *restrict channels, long start, long m) {
    long i = 0, row = start / z->S, left = z->S - start % z->S;
    if (z->S == 1) {
        long c = start % z->C;
        while (i < m) {
            long count = smaller(z->C - c, m - i);
            for (long j = 0; j < count; j++) channels[c + j] += values[i + j];
            i += count;
            c = 0;
        }
        return;
    }
    while (i < m) {
        double sum = 0;
        long end = smaller(m, i + left);
#pragma omp simd reduction(+ : sum)
        for (long j = i; j < end; j++) sum += values[j];
        channels[row % z->C] += sum;
        i = end;
        left = z->S;
        row++;
    }
}

/* One step of a tile: scale * x + shift, or x where there is no scale. */
static inline void F(normalised)(const ELEMENT *restrict x, const ACC *restrict scale, const ACC *restrict shift,
                                 ACC *restrict out, long m) {
    if (scale)
        for (long i = 0; i < m; i++) out[i] = scale[i] * GET(x[i]) + shift[i];
    else
        for (long i = 0; i < m; i++) out[i] = GET(x[i]);
}

void F(lif)(const ELEMENT *x, const double *norm, ELEMENT *spikes, const Shape *z, const Neuron *neuron) {
    const double *scale = norm ? norm + 2 * z->C : 0, *shift = norm ? norm + 3 * z->C : 0;
    const ACC decay = neuron->decay, threshold = neuron->threshold;
    const long tiles = tiles_of(z);
#pragma omp parallel for schedule(static) num_threads(z->threads)
    for (long tile = 0; tile < tiles; tile++) {
        ACC a[MOST], b[MOST], v[MOST], current[MOST];
        const long start = tile * z->L, m = smaller(z->L, z->P - start);
        if (scale) {
            F(spread)(z, scale, a, start, m);
            F(spread)(z, shift, b, start, m);
        }
        for (long i = 0; i < m; i++) v[i] = 0;
        for (long t = 0; t < z->T; t++) {
            ELEMENT *restrict s = spikes + t * z->P + start;
            F(normalised)(x + t * z->stride + start, scale ? a : 0, b, current, m);
            for (long i = 0; i < m; i++) {
                const ACC h = MULTIPLY_ADD(decay, v[i], current[i]);
                const int fires = h > threshold;
                s[i] = fires ? PUT((ACC)1) : PUT((ACC)0);
                v[i] = fires ? 0 : h;
            }
        }
    }
}

/* `out` may be `of_spikes`. `spikes` are written again where they are asked for. */
void F(lif_backward)(const ELEMENT *x, const double *norm, const ELEMENT *of_spikes, const ELEMENT *more, ELEMENT *out,
                     ELEMENT *spikes, double *sums, double *parts, const Shape *z, const Neuron *neuron) {
    const double *mean = norm, *scale = norm ? norm + 2 * z->C : 0, *shift = norm ? norm + 3 * z->C : 0;
    const ACC decay = neuron->decay, threshold = neuron->threshold, width = neuron->width, inverse = 1 / width;
    const int triangle = neuron->triangle, detached = neuron->detach_reset;
    const long tiles = tiles_of(z), each = (tiles + CHUNKS - 1) / CHUNKS, C = z->C;
#pragma omp parallel for schedule(static) num_threads(z->threads)
    for (long chunk = 0; chunk < CHUNKS; chunk++) {
        ACC a[MOST], b[MOST], v[MOST], gh[MOST], centre[MOST], first[MOST], second[MOST];
        double *part = parts + chunk * 2 * C;
        if (sums) memset(part, 0, 2 * C * sizeof(double));
        if (chunk * each >= tiles) continue;
        ACC *potential = malloc(z->T * z->L * sizeof(ACC));
        for (long tile = chunk * each; tile < smaller(tiles, (chunk + 1) * each); tile++) {
            const long start = tile * z->L, m = smaller(z->L, z->P - start);
            if (scale) {
                F(spread)(z, scale, a, start, m);
                F(spread)(z, shift, b, start, m);
            }
            if (sums) F(spread)(z, mean, centre, start, m);
            for (long i = 0; i < m; i++) v[i] = gh[i] = first[i] = second[i] = 0;
            for (long t = 0; t < z->T; t++) {
                ACC *restrict h = potential + t * z->L;
                F(normalised)(x + t * z->stride + start, scale ? a : 0, b, h, m);
                for (long i = 0; i < m; i++) {
                    h[i] = MULTIPLY_ADD(decay, v[i], h[i]);
                    v[i] = h[i] > threshold ? 0 : h[i];
                }
                if (spikes) {
                    ELEMENT *restrict s = spikes + t * z->P + start;
                    for (long i = 0; i < m; i++) s[i] = h[i] > threshold ? PUT((ACC)1) : PUT((ACC)0);
                }
            }
            for (long t = z->T - 1; t >= 0; t--) {
                const ACC *restrict h = potential + t * z->L;
                const ELEMENT *g = of_spikes + t * z->P + start;
                ELEMENT *o = out + t * z->P + start;
                ACC *restrict slope = v;
                if (triangle)
                    for (long i = 0; i < m; i++) {
                        const ACC part_of = 1 - (ACC)fabs(h[i] - threshold) * inverse;
                        slope[i] = part_of > 0 ? part_of * inverse : 0;
                    }
                else
                    for (long i = 0; i < m; i++) slope[i] = (ACC)fabs(h[i] - threshold) < width / 2 ? inverse : 0;
                for (long i = 0; i < m; i++) {
                    const ACC gv = decay * gh[i];
                    const ACC through = detached ? GET(g[i]) : GET(g[i]) - gv * h[i];
                    gh[i] = through * slope[i] + (h[i] > threshold ? 0 : gv);
                }
                if (more) {
                    const ELEMENT *restrict other = more + t * z->P + start;
                    for (long i = 0; i < m; i++) o[i] = PUT(gh[i] + GET(other[i]));
                } else
                    for (long i = 0; i < m; i++) o[i] = PUT(gh[i]);
                if (sums) {
                    const ELEMENT *restrict xt = x + t * z->stride + start;
                    for (long i = 0; i < m; i++) {
                        first[i] += gh[i];
                        second[i] += gh[i] * (GET(xt[i]) - centre[i]);
                    }
                }
            }
            if (sums) {
                F(gather)(z, first, part, start, m);
                F(gather)(z, second, part + C, start, m);
            }
        }
        free(potential);
    }
    for (long chunk = 0; sums && chunk < CHUNKS; chunk++)
        for (long c = 0; c < 2 * C; c++) sums[c] += parts[chunk * 2 * C + c];
}

/* Sums of g and of g * (x - centre) over each channel; with no g, of (x - centre) and its square. */
void F(sums)(const ELEMENT *x, const double *centres, const ELEMENT *g, double *sums, double *parts, const Shape *z) {
    const long tiles = tiles_of(z), each = (tiles + CHUNKS - 1) / CHUNKS, C = z->C;
#pragma omp parallel for schedule(static) num_threads(z->threads)
    for (long chunk = 0; chunk < CHUNKS; chunk++) {
        ACC centre[MOST], first[MOST], second[MOST];
        double *part = parts + chunk * 2 * C;
        memset(part, 0, 2 * C * sizeof(double));
        for (long tile = chunk * each; tile < smaller(tiles, (chunk + 1) * each); tile++) {
            const long start = tile * z->L, m = smaller(z->L, z->P - start);
            F(spread)(z, centres, centre, start, m);
            for (long i = 0; i < m; i++) first[i] = second[i] = 0;
            for (long t = 0; t < z->T; t++) {
                const ELEMENT *restrict xt = x + t * z->stride + start;
                if (g) {
                    const ELEMENT *restrict gt = g + t * z->P + start;
                    for (long i = 0; i < m; i++) {
                        first[i] += GET(gt[i]);
                        second[i] += GET(gt[i]) * (GET(xt[i]) - centre[i]);
                    }
                } else
                    for (long i = 0; i < m; i++) {
                        const ACC apart = GET(xt[i]) - centre[i];
                        first[i] += apart;
                        second[i] += apart * apart;
                    }
            }
            F(gather)(z, first, part, start, m);
            F(gather)(z, second, part + C, start, m);
        }
    }
    for (long chunk = 0; chunk < CHUNKS; chunk++)
        for (long c = 0; c < 2 * C; c++) sums[c] += parts[chunk * 2 * C + c];
}

/* Mean and biased variance of each channel. What is summed is apart from one of its values: no digits are lost. */
void F(statistics)(const ELEMENT *x, double *found, double *parts, const Shape *z) {
    const long C = z->C;
    const double n = (double)z->T * z->P / C;
    double *about = malloc(C * sizeof(double));
    for (long c = 0; c < C; c++) about[c] = GET(x[c * z->S]);
    F(sums)(x, about, 0, found, parts, z);
    for (long c = 0; c < C; c++) {
        const double apart = found[c] / n, variance = found[C + c] / n - apart * apart;
        found[c] = about[c] + apart;
        found[C + c] = variance < 0 ? 0 : variance; /* none stays none */
    }
    free(about);
}

/* scale * x + shift, and where there are such, factor * g or g more. `out` may be g. */
void F(affine)(const ELEMENT *x, const double *scale, const double *shift, const ELEMENT *g, const double *factor,
               ELEMENT *out, const Shape *z) {
    const long tiles = tiles_of(z);
#pragma omp parallel for schedule(static) num_threads(z->threads)
    for (long tile = 0; tile < tiles; tile++) {
        ACC a[MOST], b[MOST], f[MOST];
        const long start = tile * z->L, m = smaller(z->L, z->P - start);
        F(spread)(z, scale, a, start, m);
        F(spread)(z, shift, b, start, m);
        if (factor) F(spread)(z, factor, f, start, m);
        for (long t = 0; t < z->T; t++) {
            const ELEMENT *restrict xt = x + t * z->stride + start;
            const ELEMENT *gt = g ? g + t * z->P + start : 0;
            ELEMENT *o = out + t * z->P + start;
            if (g && factor)
#pragma omp simd
                for (long i = 0; i < m; i++) o[i] = PUT(a[i] * GET(xt[i]) + b[i] + f[i] * GET(gt[i]));
            else if (g)
#pragma omp simd
                for (long i = 0; i < m; i++) o[i] = PUT(a[i] * GET(xt[i]) + b[i] + GET(gt[i]));
            else
#pragma omp simd
                for (long i = 0; i < m; i++) o[i] = PUT(a[i] * GET(xt[i]) + b[i]);
        }
    }
}

/* For the next type. */
#undef ELEMENT
#undef ACC
#undef SUFFIX
#undef GET
#undef PUT

#endif
