"""What it saves to remember features while sampling: python -m benchmarks.sampling [NAME ...]

By our `sample` and by the naive loop, which passes the whole sample through the network for each of
its positions. Ours is the median of the rounds; a pass of the naive loop is timed and multiplied by
their number, for all cost the same. One thread, float32, weights as they begin. `same`: the share
of values that are equal in a smaller sample, drawn by both to its end from the same noise.
"""

import statistics
import sys
import time

import torch
from torch import Tensor
from torch.nn.functional import pad

from zoo.autoregressive.pixelcnn import PixelCNN
from zoo.autoregressive.pixelcnn_pp import PixelCNNPP
from zoo.autoregressive.pixelrnn import PixelRNN
from zoo.autoregressive.wavenet import WaveNet
from zoo.config.errors import unknown

ROUNDS = 5


class UncachedSeries:
    """Steps of a network of audio that remember nothing but the levels that it still sees."""

    def __init__(self, network, count: int, condition: Tensor | None = None):
        self.network, self.condition = network, condition
        self.levels = torch.zeros(count, 0, dtype=torch.int64)

    def __call__(self, levels=None):
        if levels is not None:
            seen = torch.cat([self.levels, levels[:, None]], dim=1)
            self.levels = seen[:, -self.network.receptive_field :]
        return self.network(pad(self.levels, (0, 1)), self.condition)[:, -1]


def seconds(function):
    """Median seconds of a call, after one that is not counted."""
    times = []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def images(cls, count: int, passes, smaller, **settings):
    """(naive seconds, ours, share of equal values) of drawing `count` images.

    passes: of the naive loop for an image; smaller: the image_size at which both are compared
    """
    torch.manual_seed(0)
    model = cls(**settings)
    hp = model.hparams
    blank = torch.zeros(count, hp.image_channels, hp.image_size, hp.image_size)
    with torch.no_grad():
        theirs = passes * seconds(lambda: model.network(blank))
    ours = seconds(lambda: model.sample(count))
    model = cls(**settings | {"image_size": smaller}).eval()
    torch.manual_seed(0)
    samples = model.sample(count)
    model.network.steps = lambda *args: model.uncached_steps(model.network, *args)
    torch.manual_seed(0)
    return theirs, ours, (model.sample(count) == samples).double().mean().item()


def audio(count: int, passed, timed=500, length=16000):
    """(naive seconds, ours, share of equal values) of `length` samples of `count` pieces.

    passed: samples that the network is passed in each step of the naive loop. All of our steps
    cost the same: `timed` of them are. 2 blocks of 10 layers of 32 features.
    """
    sizes = {"width": 32, "skip_width": 64, "blocks": 2}
    torch.manual_seed(0)
    model = WaveNet(audio_length=timed, layers=10, **sizes)
    levels = torch.zeros(count, passed, dtype=torch.int64)
    with torch.no_grad():
        theirs = length * seconds(lambda: model.network(levels))
    ours = length / timed * seconds(lambda: model.sample(count))
    model = WaveNet(audio_length=200, layers=4, **sizes)
    torch.manual_seed(0)
    samples = model.sample(count)
    model.network.steps = lambda *args: UncachedSeries(model.network, *args)
    torch.manual_seed(0)
    return theirs, ours, (model.sample(count) == samples).double().mean().item()


def wavenet():
    """A second of 16 kHz, 2 x 10 layers of 32; naive: the 2,048 samples of the receptive field."""
    return audio(1, passed=2048)


def wavenet_whole():
    """The same; naive: all samples so far, 8,000 on average."""
    return audio(1, passed=8000)


def wavenet_batch():
    """Eight such pieces at once; naive: the receptive field."""
    return audio(8, passed=2048)


def pixelcnn():
    """28x28, 256 levels, 16 images: 9 layers of 32 features."""
    return images(PixelCNN, 16, 28 * 28, smaller=12, width=32, layers=9)


def pixelcnn_pp():
    """32x32 of 3 colors, 256 levels, 16 images: 2 resnets of 40 filters at 3 resolutions."""
    sizes = {"width": 40, "layers": 2}
    return images(PixelCNNPP, 16, 32 * 32, smaller=12, **sizes)


def pixelrnn_row():
    """28x28, 2 levels, 16 images: 7 layers of Row LSTMs with 16 states."""
    return images(PixelRNN, 16, 28 * 28, smaller=12, lstm="row")


def pixelrnn_diagonal():
    """The same of Diagonal BiLSTMs."""
    return images(PixelRNN, 16, 28 * 28, smaller=12)


ROWS = {
    row.__name__: row
    for row in (
        pixelcnn,
        pixelcnn_pp,
        pixelrnn_row,
        pixelrnn_diagonal,
        wavenet,
        wavenet_whole,
        wavenet_batch,
    )
}


def main(names) -> None:
    for name in names:
        if name not in ROWS:
            sys.exit(str(unknown("row ", name, ROWS)))
    torch.set_num_threads(1)
    print(f"{'model':<17} {'naive s':>9} {'ours s':>8} {'ratio':>6} {'same':>6}")
    for name in names or ROWS:
        theirs, ours, same = ROWS[name]()
        print(f"{name:<17} {theirs:>9.2f} {ours:>8.3f} {theirs / ours:>5.0f}x {same:>6.1%}", end="")
        print(f"  {ROWS[name].__doc__}")


if __name__ == "__main__":
    main(sys.argv[1:])
