"""The networks of networks.txt in PyTorch.

PyTorch pads both sides alike and rounds the other way than Keras where that is not even. So the
images, kernels and results are mirrored in both spatial directions: then both compute the same, at no cost."""

import math

import torch
from torch import nn
from torch.nn import functional

ACTIVATIONS = {
    "relu": lambda: nn.ReLU(inplace=True),
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softmax": lambda: nn.Softmax(1),
}


def read(folder, name, *shape):
    return torch.from_file(f"{folder}/{name}.bin", size=math.prod(shape)).clone().view(shape)


def images(x):
    """(n, rows, columns, channels) to PyTorch's mirrored (n, channels, rows, columns); and vectors."""
    return x.permute(0, 3, 1, 2).flip(2, 3) if x.dim() == 4 else x


def arrays(x):
    """The other way round."""
    return x.flip(2, 3).permute(0, 2, 3, 1) if x.dim() == 4 else x


def kernel(k):
    return k.flip(0, 1).permute(3, 2, 0, 1)


def same(extent, size, stride):
    """Keras' padding after the last pixel, which is PyTorch's on both sides; negative: the first
    (mirrored) pixels are not read."""
    out = -(-extent // stride)
    needed = (out - 1) * stride + size - extent
    before = max(needed, 0) // 2
    return needed - before


def lines_of(path, network):
    """The words of the network's lines."""
    inside, lines = False, []
    for line in open(path, encoding="utf-8"):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] in ("network", "case"):
            if inside:
                break
            inside = words[0] == "network" and words[1] == network
        elif inside:
            lines.append(words)
    if not lines:
        raise ValueError(f"there is no network '{network}'")
    return lines


class Cut(nn.Module):
    """Leaves out the first rows and columns."""

    def __init__(self, count):
        super().__init__()
        self.count = count

    def forward(self, x):
        return x[:, :, self.count:, self.count:]


class Network(nn.Module):
    """`logits`: without the softmax at the end, which PyTorch's loss includes."""

    def __init__(self, path, name, folder, dropout, logits):
        super().__init__()
        self.folder, self.dropout, self.kept_shapes = folder, dropout, {}
        lines = lines_of(path, name)
        if logits and lines[-1][-1] == "softmax":
            lines[-1] = lines[-1][:-1]
        self.steps, self.layers = [], nn.ModuleList()
        for number, words in enumerate(lines, 1):
            self.label, self.after = f"l{number}", lines[number] if number < len(lines) else [""]
            if words:
                self.grow(words[0], words[1:])

    def weight(self, name, *shape):
        return read(self.folder, f"{self.label}.{name}", *shape)

    def layer(self, module, **weights):
        with torch.no_grad():
            for name, value in weights.items():
                getattr(module, name).copy_(value)
        self.steps.append(("layer", len(self.layers)))
        self.layers.append(module)

    def activation(self, words):
        if words:
            self.layer(ACTIVATIONS[words[0]]())

    def grow(self, word, arguments):
        if word in ("save", "load", "add", "concat"):
            self.steps.append((word, arguments[0]))
            if word == "save":
                self.kept_shapes[arguments[0]] = self.shape
            elif word == "load":
                self.shape = self.kept_shapes[arguments[0]]
            elif word == "concat":
                self.shape = (*self.shape[:2], self.shape[2] + self.kept_shapes[arguments[0]][2])
        elif word in ACTIVATIONS:
            self.activation([word])
        else:
            getattr(self, "grow_" + word)(*arguments)

    def grow_input(self, *extents):
        self.shape = tuple(map(int, extents))

    def grow_conv(self, filters, size, stride, *activation):
        (h, w, c), f, k, s = self.shape, int(filters), int(size), int(stride)
        padding = same(h, k, s)
        if padding < 0:
            self.layer(Cut(-padding))
        self.layer(nn.Conv2d(c, f, k, s, max(padding, 0)), weight=kernel(self.weight("kernel", k, k, c, f)),
                   bias=self.weight("bias", f))
        self.shape = (-(-h // s), -(-w // s), f)
        self.activation(activation)

    def grow_up(self, filters, size, stride, *activation):
        (h, w, c), f, k, s = self.shape, int(filters), int(size), int(stride)
        before, after = (k - s) // 2, (k - s) - (k - s) // 2
        self.layer(nn.ConvTranspose2d(c, f, k, s, after, after - before),
                   weight=kernel(self.weight("kernel", k, k, f, c)), bias=self.weight("bias", f))
        self.shape = (h * s, w * s, f)
        self.activation(activation)

    def grow_separable(self, filters, size):
        (h, w, c), f, k = self.shape, int(filters), int(size)
        depthwise = self.weight("depthwise_kernel", k, k, c, 1).flip(0, 1).permute(2, 3, 0, 1)
        self.layer(nn.Conv2d(c, c, k, 1, k // 2, groups=c, bias=False), weight=depthwise)
        self.layer(nn.Conv2d(c, f, 1, bias=False), weight=kernel(self.weight("pointwise_kernel", 1, 1, c, f)))
        self.shape = (h, w, f)

    def grow_dense(self, units, *activation):
        n, m = math.prod(self.shape), int(units)
        weight, bias = self.weight("kernel", n, m), self.weight("bias", m)
        if len(self.shape) == 3:  # flattened
            weight = images(weight.view(*self.shape, m).permute(3, 0, 1, 2)).reshape(m, n).t()
        if self.after[0] == "reshape":
            extents = tuple(map(int, self.after[1:]))
            weight = images(weight.view(n, *extents)).reshape(n, m)
            bias = images(bias.view(1, *extents)).reshape(m)
        self.layer(nn.Linear(n, m), weight=weight.t(), bias=bias)
        self.shape = (m,)
        self.activation(activation)

    def grow_reshape(self, h, w, c):
        self.shape = (int(h), int(w), int(c))
        self.layer(nn.Unflatten(1, (int(c), int(h), int(w))))

    def grow_flatten(self):
        self.layer(nn.Flatten())  # self.shape is kept, for the kernel of the dense layer

    def grow_mean(self):
        self.layer(nn.AdaptiveAvgPool2d(1))
        self.layer(nn.Flatten())
        self.shape = self.shape[2:]

    def grow_max_pool(self, size, stride):
        (h, w, c), k, s = self.shape, int(size), int(stride)
        self.layer(nn.MaxPool2d(k, s, max(same(h, k, s), 0)))
        self.shape = (-(-h // s), -(-w // s), c)

    def grow_dropout(self, rate):
        if self.dropout:
            self.layer(nn.Dropout(float(rate)))

    def grow_prelu(self):
        c = self.shape[-1]
        self.layer(nn.PReLU(c), weight=self.weight("alpha", c))

    def grow_batch_norm(self):
        c = self.shape[-1]
        names = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean",
                 "running_var": "moving_variance"}
        self.layer(nn.BatchNorm2d(c, eps=1e-3, momentum=0.01),
                   **{ours: self.weight(keras, c) for ours, keras in names.items()})

    def forward(self, x):
        kept = {}
        for word, what in self.steps:
            if word == "layer":
                x = self.layers[what](x)
            elif word == "save":
                kept[what] = x
            elif word == "load":
                x = kept[what]
            elif word == "add":
                x = x + kept[what]
            else:
                x = torch.cat((x, kept[what]), 1)
        return x


class Case:
    """One prediction or one step of training, as often as asked; in one memory format."""

    def __init__(self, path, name, batch, loss, folder, memory_format):
        self.loss, self.memory_format = loss, memory_format
        self.format = lambda t: t.contiguous(memory_format=memory_format) if t.dim() == 4 else t
        self.make = lambda dropout: Network(path, name, folder, dropout, loss == "categorical_crossentropy").to(
            memory_format=memory_format)
        self.network, shape = self.make(True), list(map(int, lines_of(path, name)[0][1:]))
        self.x = self.format(images(read(folder, "x", batch, *shape)))
        if loss == "predict":
            self.network.eval()
            return
        with torch.no_grad():
            out = arrays(self.network.eval()(self.x)).shape
        self.y = self.format(images(read(folder, "y", *out)))
        self.optimizer = self.make_optimizer(self.network.train())

    @staticmethod
    def make_optimizer(network):
        return torch.optim.Adam(network.parameters(), lr=1e-3, eps=1e-7)

    def train(self, network, optimizer):
        optimizer.zero_grad(set_to_none=True)
        criterion = functional.mse_loss if self.loss == "mse" else functional.cross_entropy
        loss = criterion(network(self.x), self.y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    def run(self):
        if self.loss == "predict":
            with torch.inference_mode():
                self.out = self.network(self.x)
        else:
            self.train(self.network, self.optimizer)

    def values(self):
        if self.loss == "predict":
            self.run()
            return arrays(self.out)
        checked, losses = self.make(False).train(), []
        optimizer = self.make_optimizer(checked)
        for step in range(1, 4):
            # Keras adds epsilon to the root before that is corrected for its start at 0, PyTorch after:
            # where gradients are as small as epsilon the steps differ otherwise.
            optimizer.param_groups[0]["eps"] = 1e-7 / math.sqrt(1 - 0.999**step)
            losses.append(self.train(checked, optimizer))
        return torch.stack(losses)
