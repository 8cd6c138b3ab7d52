"""Measure cached sampling of autoregressive models: python -m benchmarks.sampling [NAME ...]

The zoo's `sample` is compared with the naive loop, which passes the whole sample through the
network for each position. The cached time is the median of the rounds. The naive time is the time
of one pass multiplied by the number of passes, which all cost the same. CPU times of one thread,
float32, untrained weights. `same` is the share of equal values in smaller samples by both, from the
same noise.
"""

import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from benchmarks.clock import now
from zoo.autoregressive.pixelcnn import PixelCNN
from zoo.autoregressive.pixelcnn_pp import PixelCNNPP
from zoo.autoregressive.pixelrnn import PixelRNN
from zoo.autoregressive.wavenet import WaveNet
from zoo.config.errors import unknown

ROUNDS = 5

Result = tuple[float, float, float]  # naive seconds, cached seconds, share of equal values


class UncachedSeries:
    """Steps of a WaveNet without a cache: each passes the receptive field through the network.

    Args:
        network: A DilatedConvs.
        count: Number N of series.
        condition: Condition of the network.
    """

    def __init__(self, network: Any, count: int, condition: Tensor | None = None):
        self.network, self.condition = network, condition
        self.levels = torch.zeros(count, 0, dtype=torch.int64)

    def __call__(self, levels: Tensor | None = None) -> Tensor:
        if levels is not None:
            series = torch.cat([self.levels, levels[:, None]], dim=1)
            self.levels = series[:, -self.network.receptive_field :]
        return self.network(pad(self.levels, (0, 1)), self.condition)[:, -1]


def seconds(function: Callable[[], Any]) -> float:
    """Measure the median seconds of a call.

    Args:
        function: Called ROUNDS times, after a first call that is not measured.
    """
    times = []
    for _ in range(ROUNDS + 1):
        started = now()
        function()
        times.append(now() - started)
    return statistics.median(times[1:])


def images(cls: type, count: int, passes: int, smaller: int, **settings: Any) -> Result:
    """Measure the sampling of images.

    Args:
        cls: The model.
        count: Number of images.
        passes: Number of passes of the naive loop.
        smaller: The image_size at which the samples of both are compared.
        **settings: Arguments of the model.

    Returns:
        Naive seconds, cached seconds, and the share of equal values.
    """
    torch.manual_seed(0)
    model = cls(**settings)
    hp = model.hparams
    blank = torch.zeros(count, hp.image_channels, hp.image_size, hp.image_size)
    with torch.no_grad():
        naive = passes * seconds(lambda: model.network(blank))
    cached = seconds(lambda: model.sample(count))
    model = cls(**settings | {"image_size": smaller}).eval()
    torch.manual_seed(0)
    samples = model.sample(count)
    model.network.steps = lambda *args: model.uncached_steps(model.network, *args)
    torch.manual_seed(0)
    return naive, cached, (model.sample(count) == samples).double().mean().item()


def audio(count: int, naive_length: int, timed: int = 500, length: int = 16000) -> Result:
    """Measure the sampling of audio by WaveNets with 2 blocks of 10 layers of 32 features.

    Args:
        count: Number of pieces.
        naive_length: Number of audio samples in each pass of the naive loop.
        timed: Number of cached steps that are measured; all cost the same.
        length: Number of audio samples in a piece.

    Returns:
        Naive seconds, cached seconds, and the share of equal values.
    """
    sizes: dict[str, Any] = {"width": 32, "skip_width": 64, "blocks": 2}
    torch.manual_seed(0)
    model = WaveNet(audio_length=timed, layers=10, **sizes)
    levels = torch.zeros(count, naive_length, dtype=torch.int64)
    with torch.no_grad():
        naive = length * seconds(lambda: model.network(levels))
    cached = length / timed * seconds(lambda: model.sample(count))
    model = WaveNet(audio_length=200, layers=4, **sizes)
    torch.manual_seed(0)
    samples = model.sample(count)
    network: Any = model.network
    network.steps = lambda *args: UncachedSeries(network, *args)
    torch.manual_seed(0)
    return naive, cached, (model.sample(count) == samples).double().mean().item()


def wavenet() -> Result:
    """1 s at 16 kHz, 2 x 10 layers of 32; naive over the receptive field of 2,048 samples."""
    return audio(1, naive_length=2048)


def wavenet_whole() -> Result:
    """The same, naive over all previous samples, 8,000 on average."""
    return audio(1, naive_length=8000)


def wavenet_batch() -> Result:
    """Eight pieces, naive over the receptive field."""
    return audio(8, naive_length=2048)


def pixelcnn() -> Result:
    """28x28, 256 levels, 16 images: 9 layers of 32 features."""
    return images(PixelCNN, 16, 28 * 28, smaller=12, width=32, layers=9)


def pixelcnn_pp() -> Result:
    """32x32 in color, 256 levels, 16 images: 2 resnets of 40 filters at 3 resolutions."""
    sizes = {"width": 40, "layers": 2}
    return images(PixelCNNPP, 16, 32 * 32, smaller=12, **sizes)


def pixelrnn_row() -> Result:
    """28x28, 2 levels, 16 images: 7 layers of Row LSTMs with 16 states."""
    return images(PixelRNN, 16, 28 * 28, smaller=12, lstm="row")


def pixelrnn_diagonal() -> Result:
    """The same with Diagonal BiLSTMs."""
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


def main(names: Sequence[str]) -> None:
    """Print the table.

    Args:
        names: Rows to measure; all if empty.
    """
    for name in names:
        if name not in ROWS:
            sys.exit(str(unknown("row ", name, ROWS)))
    torch.set_num_threads(1)
    print(f"{'model':<17} {'naive s':>9} {'cached s':>8} {'ratio':>6} {'same':>6}")
    for name in names or ROWS:
        naive, cached, same = ROWS[name]()
        ratio = naive / cached
        print(f"{name:<17} {naive:>9.2f} {cached:>8.3f} {ratio:>5.0f}x {same:>6.1%}", end="")
        print(f"  {ROWS[name].__doc__}")


if __name__ == "__main__":
    main(sys.argv[1:])
