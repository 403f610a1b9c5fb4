"""Times the networks of bench_networks.c in PyTorch: peer_torch.py [THREADS [MILLISECONDS [CASE...]]]

Prints the same lines, in the better of PyTorch's two memory formats for each case."""

import resource
import sys
import time

import torch
from torch import nn


def question():
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Dropout(0.25), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
        nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
        nn.Flatten(), nn.Linear(4096, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, 10))


def autoencoder():
    layers = []
    for inputs, outputs in ((3, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.ReLU()]
    for inputs, outputs in ((128, 64), (64, 32), (32, 3)):
        layers += [nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, 1), nn.ReLU()]
    return nn.Sequential(*layers[:-1], nn.Sigmoid())


def dcgan_generator():
    layers = [nn.Linear(100, 4 * 4 * 1024), nn.Unflatten(1, (1024, 4, 4))]
    for inputs, outputs in ((1024, 512), (512, 256), (256, 128), (128, 3)):
        layers += [nn.BatchNorm2d(inputs), nn.ReLU(), nn.ConvTranspose2d(inputs, outputs, 5, 2, 2, 1)]
    return nn.Sequential(*layers, nn.Tanh())


CASES = {
    "question-train": (question, (32, 3, 32, 32), "classes"),
    "question-predict-32": (question, (32, 3, 32, 32), None),
    "question-predict-1": (question, (1, 3, 32, 32), None),
    "autoencoder-train": (autoencoder, (32, 3, 64, 64), "mse"),
    "autoencoder-predict-32": (autoencoder, (32, 3, 64, 64), None),
    "dcgan-train": (dcgan_generator, (16, 100), "mse"),
    "dcgan-predict-16": (dcgan_generator, (16, 100), None),
}


def stepper(name, channels_last):
    make, shape, loss = CASES[name]
    model, x = make(), torch.rand(shape)
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
        if x.dim() == 4:
            x = x.contiguous(memory_format=torch.channels_last)
    if loss is None:
        model.eval()

        def predict():
            with torch.no_grad():
                model(x)
        return predict
    optimizer = torch.optim.Adam(model.parameters())
    criterion = nn.CrossEntropyLoss() if loss == "classes" else nn.MSELoss()
    target = torch.rand(model(x).shape)
    if loss == "classes":
        target = target.softmax(1)

    def train():
        optimizer.zero_grad(set_to_none=True)
        criterion(model(x), target).backward()
        optimizer.step()
    return train


def measure(step, milliseconds):
    times = []
    for _ in range(2):
        step()
    begin = time.perf_counter()
    while len(times) < 3 or (time.perf_counter() - begin) * 1e3 < milliseconds:
        before = time.perf_counter()
        step()
        times.append((time.perf_counter() - before) * 1e3)
    return sorted(times)


def main():
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    milliseconds = float(sys.argv[2]) if len(sys.argv) > 2 else 1000
    if threads > 0:
        torch.set_num_threads(threads)
    for name in sys.argv[3:] or CASES:
        both = [measure(stepper(name, last), milliseconds) for last in (False, True)]
        times = min(both, key=lambda t: t[len(t) // 2])
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{name}\t{torch.get_num_threads()}\t{len(times)}\t{times[0]:.3f}\t"
              f"{times[len(times) // 2]:.3f}\t{memory:.0f}", flush=True)


main()
