"""What it saves to remember features while sampling: python -m benchmarks.sampling [NAME ...]

By our `sample` and by the naive loop, which passes the whole sample through the network for each of
its positions. Ours is the median of the rounds; a pass of the naive loop is timed and multiplied by
their number, for all cost the same. One thread, float32, weights as they begin. `same`: the share of
values that are equal in a smaller sample, drawn by both to its end from the same noise.
"""

import statistics
import sys
import time

import torch

from zoo.autoregressive.pixelcnn import PixelCNN

ROUNDS = 5


class Naive:
    """Steps of a network of images that remember nothing."""

    def __init__(self, network, images, *given):
        self.network, self.images, self.given = network, images, given

    def row(self, r):
        pass

    def pixel(self, r, c, part):
        return self.network(self.images, *self.given)[:, part, :, r, c].T


def seconds(function):
    """Median seconds of a call, after one that is not counted."""
    times = []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def images(cls, count, passes, smaller, naive=Naive, **settings):
    """(naive seconds, ours, share of equal values) of drawing `count` images.

    passes: of the naive loop for an image; smaller: the image_size at which both are compared
    """
    torch.manual_seed(0)
    model = cls(**settings)
    blank = torch.zeros(count, *model.noise_shape()[-3:])
    with torch.no_grad():
        theirs = passes * seconds(lambda: model.network(blank))
    ours = seconds(lambda: model.sample(count))
    model = cls(**settings | {"image_size": smaller})
    torch.manual_seed(0)
    samples = model.sample(count)
    model.network.steps = lambda *given: naive(model.network, *given)
    torch.manual_seed(0)
    return theirs, ours, (model.sample(count) == samples).double().mean().item()


def pixelcnn():
    """28x28, 256 levels, 16 images: 9 layers of 32 features."""
    return images(PixelCNN, 16, 28 * 28, smaller=12, width=32, layers=9)


ROWS = {row.__name__: row for row in (pixelcnn,)}


def main(names):
    torch.set_num_threads(1)
    print(f"{'model':<12} {'naive s':>9} {'ours s':>8} {'ratio':>6} {'same':>6}")
    for name in names or ROWS:
        theirs, ours, same = ROWS[name]()
        print(f"{name:<12} {theirs:>9.2f} {ours:>8.3f} {theirs / ours:>5.0f}x {same:>6.1%}", end="")
        print(f"  {ROWS[name].__doc__}")


if __name__ == "__main__":
    main(sys.argv[1:])
