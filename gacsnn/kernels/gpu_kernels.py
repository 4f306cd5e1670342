"""What the GPU's kernels compute, in Triton; `gpu.py` says what each is for, and starts them.

A step of a tensor is walked as rows n (images and places in them) of channels c. A program has tiles of ROWS x WIDTH of them, and
all T steps of each, whose membrane potential stays in registers. WIDTH is 1 where channels stand before the image, so that
neighbours of a row stand side by side. What a tile has beyond N rows and C channels is masked.

Constants come as float64, for float64's sake, and are rounded once.
"""

# What @triton.jit reads is Triton's own language, with static branches and no types that these tools know.
# ruff: noqa: ANN001, ANN201, SIM108
# pyright: reportInvalidTypeForm=false, reportArgumentType=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportPossiblyUnboundVariable=false, reportAttributeAccessIssue=false

import triton
import triton.language as tl


@triton.jit
def channels(C, WIDTH: tl.constexpr):
    """The channels of this program, [1, WIDTH] or one, and its number among those of the same channels."""
    columns = tl.cdiv(C, WIDTH)
    program = tl.program_id(0)
    c = program % columns
    if WIDTH > 1:
        c = c * WIDTH + tl.arange(0, WIDTH)[None, :]
    return c, program // columns


@triton.jit
def rows(tile, ROWS: tl.constexpr, WIDE: tl.constexpr):
    """The rows of a tile, [ROWS, 1]; WIDE: a step has more elements than 32 bits can count."""
    if WIDE:
        tile = tl.full((), tile, tl.int64)
    return tile * ROWS + tl.arange(0, ROWS)[:, None]


@triton.jit
def places(n, c, C, S):
    """Where in a step the channels c of the rows n are."""
    return ((n // S) * C + c) * S + n % S


@triton.jit
def of_channels(values, c, C, ACC: tl.constexpr):
    return tl.load(values + c, mask=c < C, other=0).to(ACC)


@triton.jit
def charge(xt, scale, shift, v, decay, ACC: tl.constexpr):
    """h of a step."""
    current = xt.to(ACC)
    if scale is not None:
        current = scale * current + shift
    return decay * v + current


@triton.jit
def write_spikes(spikes, h, threshold, at, there):
    tl.store(spikes + at, tl.where(h > threshold, 1.0, 0.0).to(spikes.dtype.element_ty), mask=there)


@triton.jit
def fire(spikes, h, threshold, at, there):
    """Write the spikes of a step; what is left of h."""
    write_spikes(spikes, h, threshold, at, there)
    return tl.where(h > threshold, 0.0, h)


@triton.jit
def lif(
    x, norm, spikes, T, N, C, S, stride, step, decay: tl.float64, threshold: tl.float64, KEPT: tl.constexpr,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """KEPT: T, where all steps are read before any is written, so that no load waits for a store; 0: one after another."""
    c, tile = channels(C, WIDTH)
    n = rows(tile, ROWS, WIDE)
    at, there = places(n, c, C, S), (n < N) & (c < C)
    decay, threshold = tl.full((), decay, ACC), tl.full((), threshold, ACC)
    scale, shift = None, None
    if norm is not None:
        scale, shift = of_channels(norm + 2 * C, c, C, ACC), of_channels(norm + 3 * C, c, C, ACC)
    v = tl.zeros((ROWS, WIDTH), ACC)
    if KEPT > 0:
        values = ()
        for _ in tl.static_range(KEPT):
            values += (tl.load(x + at, mask=there, other=0),)
            x += stride
        for t in tl.static_range(KEPT):
            v = fire(spikes, charge(values[t], scale, shift, v, decay, ACC), threshold, at, there)
            spikes += step
    else:
        for _ in range(T):
            h = charge(tl.load(x + at, mask=there, other=0), scale, shift, v, decay, ACC)
            v = fire(spikes, h, threshold, at, there)
            x += stride
            spikes += step


@triton.jit
def back(h, g, gh, decay, threshold, inverse, half, TRIANGLE: tl.constexpr, DETACHED: tl.constexpr):
    """gh[t] from gh[t + 1], as `neuron.py` has it."""
    apart = tl.abs(h - threshold)
    if TRIANGLE:
        slope = tl.maximum(1 - apart * inverse, 0.0) * inverse
    else:
        slope = tl.where(apart < half, inverse, 0.0)
    gv = decay * gh
    if not DETACHED:
        g -= gv * h
    return g * slope + tl.where(h > threshold, 0.0, gv)


@triton.jit
def hand_on(gh, more, out, at, there, ACC: tl.constexpr):
    if more is not None:
        gh += tl.load(more + at, mask=there, other=0).to(ACC)
    tl.store(out + at, gh.to(out.dtype.element_ty), mask=there)


@triton.jit
def lif_backward(
    x, norm, of_spikes, more, out, spikes, parts, scratch, T, N, C, S, stride, step, each,
    decay: tl.float64, threshold: tl.float64, inverse: tl.float64, half: tl.float64,
    TRIANGLE: tl.constexpr, DETACHED: tl.constexpr, KEPT: tl.constexpr,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """`each` tiles. KEPT: T, where h of all steps stays in registers; 0: it goes through scratch."""
    c, chunk = channels(C, WIDTH)
    decay, threshold = tl.full((), decay, ACC), tl.full((), threshold, ACC)
    inverse, half = tl.full((), inverse, ACC), tl.full((), half, ACC)
    scale, shift = None, None
    if norm is not None:
        mean = of_channels(norm, c, C, ACC)
        scale, shift = of_channels(norm + 2 * C, c, C, ACC), of_channels(norm + 3 * C, c, C, ACC)
        first, second = tl.zeros((ROWS, WIDTH), ACC), tl.zeros((ROWS, WIDTH), ACC)
    if KEPT == 0:
        inside = tl.arange(0, ROWS)[:, None] * WIDTH + tl.arange(0, WIDTH)[None, :]
        scratch += tl.program_id(0).to(tl.int64) * T * (ROWS * WIDTH)
    for tile in range(chunk * each, tl.minimum((chunk + 1) * each, tl.cdiv(N, ROWS))):
        n = rows(tile, ROWS, WIDE)
        at, there = places(n, c, C, S), (n < N) & (c < C)
        xt, gt, mt, ot, st = x, of_spikes, more, out, spikes
        v, gh = tl.zeros((ROWS, WIDTH), ACC), tl.zeros((ROWS, WIDTH), ACC)
        if KEPT > 0:
            values, potentials = (), ()
            for _ in tl.static_range(KEPT):
                values += (tl.load(xt + at, mask=there, other=0),)
                xt += stride
            for t in tl.static_range(KEPT):
                h = charge(values[t], scale, shift, v, decay, ACC)
                v = tl.where(h > threshold, 0.0, h)
                potentials += (h,)
                if spikes is not None:
                    write_spikes(st, h, threshold, at, there)
                    st += step
                gt += step
                ot += step
                if more is not None:
                    mt += step
            for t in tl.static_range(KEPT):
                gt -= step
                ot -= step
                if more is not None:
                    mt -= step
                g = tl.load(gt + at, mask=there, other=0).to(ACC)
                gh = back(potentials[KEPT - 1 - t], g, gh, decay, threshold, inverse, half, TRIANGLE, DETACHED)
                hand_on(gh, mt, ot, at, there, ACC)
                if norm is not None:
                    first += gh
                    second += gh * (values[KEPT - 1 - t].to(ACC) - mean)
        else:
            kept = scratch
            for _ in range(T):
                h = charge(tl.load(xt + at, mask=there, other=0), scale, shift, v, decay, ACC)
                v = tl.where(h > threshold, 0.0, h)
                tl.store(kept + inside, h)
                if spikes is not None:
                    write_spikes(st, h, threshold, at, there)
                    st += step
                xt += stride
                gt += step
                ot += step
                if more is not None:
                    mt += step
                kept += ROWS * WIDTH
            tl.debug_barrier()  # another thread may read what this one wrote
            for _ in range(T):
                xt -= stride
                gt -= step
                ot -= step
                if more is not None:
                    mt -= step
                kept -= ROWS * WIDTH
                h, g = tl.load(kept + inside), tl.load(gt + at, mask=there, other=0).to(ACC)
                gh = back(h, g, gh, decay, threshold, inverse, half, TRIANGLE, DETACHED)
                hand_on(gh, mt, ot, at, there, ACC)
                if norm is not None:
                    first += gh
                    second += gh * (tl.load(xt + at, mask=there, other=0).to(ACC) - mean)
            tl.debug_barrier()  # the next tile writes where this one's may still be read
    if norm is not None:
        write_part(first, second, parts, chunk, c, C, WIDTH)


@triton.jit
def write_part(first, second, parts, chunk, c, C, WIDTH: tl.constexpr):
    """This program's sums over its rows, [2, C] of each chunk: nothing is added up in an order that may change."""
    parts += chunk.to(tl.int64) * 2 * C + c
    first, second = tl.sum(first, 0).to(tl.float64), tl.sum(second, 0).to(tl.float64)
    if WIDTH > 1:
        first, second = first[None, :], second[None, :]
    else:
        first, second = tl.sum(first), tl.sum(second)
    tl.store(parts, first, mask=c < C)
    tl.store(parts + C, second, mask=c < C)


@triton.jit
def sums(
    x, centres, g, parts, T, N, C, S, stride, step, each,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Of g and g * (x - centre), or, without g, of x - x's first and its square."""
    c, chunk = channels(C, WIDTH)
    if g is None:
        centre = tl.load(x + c * S, mask=c < C, other=0).to(ACC)
    else:
        centre = of_channels(centres, c, C, ACC)
    first, second = tl.zeros((ROWS, WIDTH), ACC), tl.zeros((ROWS, WIDTH), ACC)
    for tile in range(chunk * each, tl.minimum((chunk + 1) * each, tl.cdiv(N, ROWS))):
        n = rows(tile, ROWS, WIDE)
        at, there = places(n, c, C, S), (n < N) & (c < C)
        xt, gt = x, g
        for _ in range(T):
            apart = tl.load(xt + at, mask=there, other=0).to(ACC) - centre
            if g is None:
                value = tl.where(there, apart, 0.0)
                first += value
                second += value * value
            else:
                value = tl.load(gt + at, mask=there, other=0).to(ACC)
                first += value
                second += value * apart
                gt += step
            xt += stride
    write_part(first, second, parts, chunk, c, C, WIDTH)


@triton.jit
def added(parts, chunks, c, C, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    """Both sums of the channels c over all chunks."""
    first, second = tl.zeros((ROWS, WIDTH), tl.float64), tl.zeros((ROWS, WIDTH), tl.float64)
    for start in range(0, chunks, ROWS):
        r = start + tl.arange(0, ROWS)[:, None]
        at, there = parts + r * (2 * C) + c, (r < chunks) & (c < C)
        first += tl.load(at, mask=there, other=0)
        second += tl.load(at + C, mask=there, other=0)
    return tl.sum(first, 0)[None, :], tl.sum(second, 0)[None, :]


@triton.jit
def totals(parts, out, chunks, C, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    c = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH)[None, :]
    first, second = added(parts, chunks, c, C, ROWS, WIDTH)
    tl.store(out + c, first, mask=c < C)
    tl.store(out + C + c, second, mask=c < C)


@triton.jit
def moments(
    parts, x, out, chunks, C, S, count: tl.float64, ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Mean and biased variance of `count` values a channel, from the sums of x - x's first and of its square."""
    c = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH)[None, :]
    count = tl.full((), count, tl.float64)
    first, second = added(parts, chunks, c, C, ROWS, WIDTH)
    apart, square = first / count, second / count
    centre = tl.load(x + c * S, mask=c < C, other=0).to(tl.float64)
    tl.store(out + c, centre + apart, mask=c < C)
    tl.store(out + C + c, tl.maximum(square - apart * apart, 0.0), mask=c < C)


@triton.jit
def affine(
    x, scale, shift, g, factor, out, T, N, C, S, stride, step,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    c, tile = channels(C, WIDTH)
    n = rows(tile, ROWS, WIDE)
    at, there = places(n, c, C, S), (n < N) & (c < C)
    a, b = of_channels(scale, c, C, ACC), of_channels(shift, c, C, ACC)
    if factor is not None:
        f = of_channels(factor, c, C, ACC)
    for _ in range(T):
        y = a * tl.load(x + at, mask=there, other=0).to(ACC) + b
        if g is not None:
            other = tl.load(g + at, mask=there, other=0).to(ACC)
            if factor is not None:
                other *= f
            y += other
            g += step
        tl.store(out + at, y.to(out.dtype.element_ty), mask=there)
        x += stride
        out += step


@triton.jit
def of_image(P, BLOCK: tl.constexpr, WIDE: tl.constexpr):
    """This program's image, its tile of that image, where in it, and where in all images."""
    tiles = tl.cdiv(P, BLOCK)
    image, tile = tl.program_id(0) // tiles, tl.program_id(0) % tiles
    i = tile * BLOCK + tl.arange(0, BLOCK)
    return image, tile, i, (image.to(tl.int64) if WIDE else image) * P + i


@triton.jit
def opened(weight, spatial):
    """The sigmoid that lets spikes through."""
    return 1 / (1 + tl.exp(-weight * spatial))


@triton.jit
def gate(
    current, spatial, temporal, out, T, P, B, step, decay: tl.float64, threshold: tl.float64,
    BLOCK: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    image, _, i, at = of_image(P, BLOCK, WIDE)
    decay, threshold = tl.full((), decay, ACC), tl.full((), threshold, ACC)
    x, a = tl.load(current + at, mask=i < P, other=0).to(ACC), tl.load(spatial + at, mask=i < P, other=0).to(ACC)
    v = tl.zeros((BLOCK,), ACC)
    for _ in range(T):
        h = charge(x, None, None, v, decay, ACC)
        fires = h > threshold
        y = tl.where(fires, opened(tl.load(temporal + image).to(ACC), a), 0.0)
        tl.store(out + at, y.to(out.dtype.element_ty), mask=i < P)
        v = tl.where(fires, 0.0, h)
        temporal += B
        out += step


@triton.jit
def gate_backward(
    current, spatial, temporal, g, of_current, of_spatial, parts, P, B, step,
    decay: tl.float64, threshold: tl.float64, inverse: tl.float64, half: tl.float64,
    TRIANGLE: tl.constexpr, DETACHED: tl.constexpr, KEPT: tl.constexpr,
    BLOCK: tl.constexpr, WIDE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """KEPT: T. Of the weights of the steps, parts: [tiles of an image, T, B]."""
    image, tile, i, at = of_image(P, BLOCK, WIDE)
    decay, threshold = tl.full((), decay, ACC), tl.full((), threshold, ACC)
    inverse, half = tl.full((), inverse, ACC), tl.full((), half, ACC)
    x, a = tl.load(current + at, mask=i < P, other=0).to(ACC), tl.load(spatial + at, mask=i < P, other=0).to(ACC)
    v = tl.zeros((BLOCK,), ACC)
    given, potentials = (), ()
    for _ in tl.static_range(KEPT):
        given += (tl.load(g + at, mask=i < P, other=0),)
        h = charge(x, None, None, v, decay, ACC)
        v = tl.where(h > threshold, 0.0, h)
        potentials += (h,)
        g += step
    gh, of_x, of_a = tl.zeros((BLOCK,), ACC), tl.zeros((BLOCK,), ACC), tl.zeros((BLOCK,), ACC)
    parts += tile * KEPT * B + image
    for t in tl.static_range(KEPT):
        h, gt = potentials[KEPT - 1 - t], given[KEPT - 1 - t].to(ACC)
        weight = tl.load(temporal + (KEPT - 1 - t) * B + image).to(ACC)
        y = opened(weight, a)
        gh = back(h, gt * y, gh, decay, threshold, inverse, half, TRIANGLE, DETACHED)
        of_x += gh
        slope = tl.where(h > threshold, gt * y * (1 - y), 0.0)
        of_a += slope * weight
        tl.store(parts + (KEPT - 1 - t) * B, tl.sum(slope * a))
    tl.store(of_current + at, of_x.to(of_current.dtype.element_ty), mask=i < P)
    tl.store(of_spatial + at, of_a.to(of_spatial.dtype.element_ty), mask=i < P)


@triton.jit
def norm(
    weight, bias, running_mean, running_variance, tracked, found, count_at, out, C,
    count: tl.float64, eps: tl.float64, momentum: tl.float64, repeats: tl.float64, BLOCK: tl.constexpr,
):  # fmt: skip
    """Mean, 1 / deviation, scale and shift, of what was found, which goes into the running statistics where these are given, and
    is counted; else of those. `count_at`: where the count is, if it is on the device."""
    c = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    there = c < C
    count, repeats = tl.full((), count, tl.float64), tl.full((), repeats, tl.float64)
    eps, momentum = tl.full((), eps, tl.float64), tl.full((), momentum, tl.float64)
    if found is not None:
        mean, variance = tl.load(found + c, mask=there, other=0), tl.load(found + C + c, mask=there, other=1)
        if running_mean is not None:
            if count_at is not None:
                count = tl.load(count_at)
            if tl.program_id(0) == 0:
                tl.store(tracked, tl.load(tracked) + 1)
            n = count * repeats
            old = tl.load(running_mean + c, mask=there, other=0).to(tl.float64)
            old_variance = tl.load(running_variance + c, mask=there, other=0).to(tl.float64)
            new = (1 - momentum) * old + momentum * mean
            new_variance = (1 - momentum) * old_variance + momentum * (n / (n - 1)) * variance
            tl.store(running_mean + c, new.to(running_mean.dtype.element_ty), mask=there)
            tl.store(running_variance + c, new_variance.to(running_variance.dtype.element_ty), mask=there)
    else:
        mean = tl.load(running_mean + c, mask=there, other=0).to(tl.float64)
        variance = tl.load(running_variance + c, mask=there, other=1).to(tl.float64)
    inverse = 1 / tl.sqrt(variance + eps)
    scale = tl.load(weight + c, mask=there, other=0).to(tl.float64) * inverse
    shift = tl.load(bias + c, mask=there, other=0).to(tl.float64) - mean * scale
    tl.store(out + c, mean.to(out.dtype.element_ty), mask=there)
    tl.store(out + C + c, inverse.to(out.dtype.element_ty), mask=there)
    tl.store(out + 2 * C + c, scale.to(out.dtype.element_ty), mask=there)
    tl.store(out + 3 * C + c, shift.to(out.dtype.element_ty), mask=there)


@triton.jit
def gradients(own, all, norm, count_at, out, of_weight, of_bias, C, count: tl.float64, BLOCK: tl.constexpr):
    """From the sums of this process and of all: what x and the constant count in x's gradient, and the gradients of weight and
    bias. A count of 0: the statistics were the running ones."""
    c = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    there = c < C
    mean = tl.load(norm + c, mask=there, other=0).to(tl.float64)
    inverse = tl.load(norm + C + c, mask=there, other=0).to(tl.float64)
    scale = tl.load(norm + 2 * C + c, mask=there, other=0).to(tl.float64)
    count = tl.full((), count, tl.float64)
    if count_at is not None:
        count = tl.load(count_at)
    share = tl.where(count > 0, -scale / tl.maximum(count, 1.0), 0.0)
    factor = share * inverse * inverse * tl.load(all + C + c, mask=there, other=0)
    constant = share * tl.load(all + c, mask=there, other=0) - factor * mean
    tl.store(out + c, factor.to(out.dtype.element_ty), mask=there)
    tl.store(out + C + c, constant.to(out.dtype.element_ty), mask=there)
    for_weight = tl.load(own + C + c, mask=there, other=0) * inverse
    tl.store(of_weight + c, for_weight.to(of_weight.dtype.element_ty), mask=there)
    for_bias = tl.load(own + c, mask=there, other=0)
    tl.store(of_bias + c, for_bias.to(of_bias.dtype.element_ty), mask=there)
