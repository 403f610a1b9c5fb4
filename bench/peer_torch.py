"""PyTorch, for bench/compare.py: peer_torch.py THREADS. README.md tells the requests.

Everything is done in both of PyTorch's memory formats."""

import sys
import time

import torch

from torch_network import Case, arrays, images, kernel, read

FORMATS = {"channels-first": torch.contiguous_format, "channels-last": torch.channels_last}
MOST_TIMES = 1000


class Geometry:
    """PyTorch's padding for explicit ones, with everything mirrored if it fits only then."""

    def __init__(self, transposed, extents, outs, sizes, strides, befores):
        for mirrored in (False, True):
            self.mirrored, self.padding, self.extra = mirrored, [], []
            for small, large, size, stride, before in zip(
                    extents if transposed else outs, outs if transposed else extents, sizes, strides, befores):
                after = (small - 1) * stride + size - large - before
                padding = after if mirrored else before
                self.padding.append(padding)
                if transposed:
                    self.extra.append(large - ((small - 1) * stride - 2 * padding + size))
                else:
                    self.extra.append((large + 2 * padding - size) // stride + 1 - small)
            fits = all(0 <= e < s for e, s in zip(self.extra, strides)) if transposed else not any(self.extra)
            if fits and min(self.padding) >= 0:
                return
        raise ValueError("PyTorch's padding cannot express this")


class Operation:
    def __init__(self, words, memory_format):
        self.pass_, op, *numbers, folder = words
        n, ic, h, w, oc, kh, kw, sh, sw, before_h, before_w, oh, ow, groups = map(int, numbers)
        transposed = op == "convT"
        self.geometry = g = Geometry(transposed, (h, w), (oh, ow), (kh, kw), (sh, sw), (before_h, before_w))
        self.turn = (lambda t: t) if g.mirrored else (lambda t: t.flip(2, 3))  # `images` has mirrored
        shape = (kh, kw, oc // groups, ic) if transposed else (kh, kw, ic // groups, oc)

        def fill(name, convert, dims, needed):
            data = read(folder, name, *dims) if needed else torch.zeros(dims)
            return self.turn(convert(data)).contiguous(memory_format=memory_format)

        self.x = fill("x", images, (n, h, w, ic), self.pass_ != "bwd_d")
        self.g = fill("g", images, (n, oh, ow, oc), self.pass_ != "fwd")
        self.kernel = fill("kernel", kernel, shape, self.pass_ != "bwd_w")
        self.options = ((sh, sw), tuple(g.padding), (1, 1), transposed,
                        tuple(g.extra) if transposed else (0, 0), groups)

    def run(self):
        with torch.inference_mode():
            if self.pass_ == "fwd":
                self.out = torch.convolution(self.x, self.kernel, None, *self.options)
            else:
                mask = [self.pass_ == "bwd_d", self.pass_ == "bwd_w", False]
                gradients = torch.ops.aten.convolution_backward(self.g, self.x, self.kernel, None, *self.options,
                                                                mask)
                self.out = gradients[0 if mask[0] else 1]

    def values(self):
        self.run()
        out = self.turn(self.out)
        return out.permute(2, 3, 1, 0).flip(0, 1) if self.pass_ == "bwd_w" else arrays(out)


def write(path, values):
    with open(path, "wb") as file:
        file.truncate(values.numel() * 4)
    torch.from_file(path, shared=True, size=values.numel()).copy_(values.reshape(-1))


def timed(thing, milliseconds):
    """One run that does not count, then as many as the time allows."""
    thing.run()
    times, begin = [], time.perf_counter()
    while not times or (len(times) < MOST_TIMES and (time.perf_counter() - begin) * 1e3 < milliseconds):
        before = time.perf_counter()
        thing.run()
        times.append((time.perf_counter() - before) * 1e3)
    return " ".join(f"{t:.5f}" for t in times)


def prepare(words, prepared):
    prepared.clear()
    for name, memory_format in FORMATS.items():
        if words[0] == "op":
            prepared[name] = Operation(words[1:], memory_format)
        else:
            path, network, batch, loss, folder = words[1:]
            prepared[name] = Case(path, network, int(batch), loss, folder, memory_format)
    return ",".join(prepared)


def answer(words, prepared):
    if words[0] in ("op", "net"):
        return prepare(words, prepared)
    if words[0] == "values":
        write(words[2], prepared[words[1]].values())
        return ""
    if words[0] == "time":
        return timed(prepared[words[1]], float(words[2]))
    raise ValueError(f"does not know '{words[0]}'")


def blas():
    """The library that multiplies matrices. Debian's reference one is many times slower than OpenBLAS."""
    torch.ones(2, 2) @ torch.ones(2, 2)
    with open("/proc/self/maps", encoding="utf-8") as maps:
        text = maps.read()
    return next((name for name in ("openblas", "mkl_rt", "blis", "atlas") if name in text), "reference BLAS: SLOW")


def main():
    torch.set_num_threads(int(sys.argv[1]))
    prepared = {}
    print(f"ok PyTorch {torch.__version__} ({blas()})", flush=True)
    for line in sys.stdin:
        try:
            print("ok", answer(line.split(), prepared), flush=True)
        except Exception as error:  # whatever it is, the next request may go well
            print("no", " ".join(f"{type(error).__name__}: {error}".split())[:400], flush=True)


main()
