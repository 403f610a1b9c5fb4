"""What is timed: the rows of shapes.tsv in three passes, and the cases of networks.txt."""

import math
from dataclasses import dataclass

PASSES = ("fwd", "bwd_d", "bwd_w")


@dataclass
class Task:
    name: str
    pass_: str
    request: str  # without the folder
    kind: str  # conv, convT or net
    flop: float = 0  # useful ones; 0: Cornu tells
    bytes: int = 0  # of input, output and kernel: the least that an operation reads and writes


def same(extent, size, stride):
    """Keras' padding before and the convolution's output."""
    out = math.ceil(extent / stride)
    return max((out - 1) * stride + size - extent, 0) // 2, out


def geometry(transposed, padding, extent, size, stride):
    """Padding (crop) before, and the output."""
    if transposed:
        if padding == "same":
            return max(size - stride, 0) // 2, extent * stride
        return 0, (extent - 1) * stride + max(size, stride)
    return same(extent, size, stride) if padding == "same" else (0, (extent - size) // stride + 1)


def operations(path, passes):
    for line in open(path, encoding="utf-8"):
        if line.startswith("#") or not line.strip():
            continue
        name, op, *numbers, padding, groups = line.split()
        n, ic, h, w, oc, kh, kw, sh, sw = map(int, numbers)
        transposed = op == "convT"
        before_h, oh = geometry(transposed, padding, h, kh, sh)
        before_w, ow = geometry(transposed, padding, w, kw, sw)
        pixels = h * w if transposed else oh * ow
        arrays = n * ic * h * w + n * oc * oh * ow + ic * oc * kh * kw // int(groups)
        flop = 2 * n * ic * oc * kh * kw * pixels // int(groups)
        for pass_ in passes:
            numbers = (n, ic, h, w, oc, kh, kw, sh, sw, before_h, before_w, oh, ow, groups)
            yield Task(name, pass_, " ".join(map(str, ("op", pass_, op, *numbers))), op, flop, 4 * arrays)


def networks(path):
    for line in open(path, encoding="utf-8"):
        words = line.split()
        if words[:1] == ["case"]:
            name, network, batch, loss = words[1:]
            yield Task(name, "predict" if loss == "predict" else "train", f"net {path} {network} {batch} {loss}",
                       "net")
