"""Networks of Luc et al. 2017 and 2018 (arXiv 1703.07684, 1803.11496), and a small segmenter."""

from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from zoo.networks.multiscale import GENERATORS, Generator, scale_sizes

# Channels in units of `width`, kernels and dilations of the feature forecaster.
FEATURES = ((4, 1, 1), (4, 3, 2), (4, 3, 1), (2, 3, 4), (2, 3, 4), (2, 3, 2))
LAST = 7  # kernel of the feature forecaster's last layer, which outputs the features


class Segmenter(nn.Module):
    """Frames (N, C, H, W) -> class scores (N, K, H, W), for even H and W.

    `backbone` computes features (N, F, H/2, W/2), and `head` the scores of features.

    Args:
        channels: C.
        classes: K.
        features: F.
    """

    def __init__(self, channels: int, classes: int, features: int):
        super().__init__()
        self.backbone = nn.Sequential(
            *conv_and_norm(channels, features, 5, stride=2),
            nn.ReLU(),
            *conv_and_norm(features, features, 3),
            nn.ReLU(),
            *conv_and_norm(features, features, 3, dilation=2),
        )
        self.head = nn.Sequential(
            nn.ReLU(),
            *conv_and_norm(features, features, 3),
            nn.ReLU(),
            nn.Conv2d(features, 4 * classes, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def forward(self, frames: Tensor) -> Tensor:
        return self.head(self.backbone(frames))


def per_frame(network: nn.Module | None, video: Tensor) -> Tensor:
    """Apply a network to each frame of (N, T, C, H, W). Without a network, return the frames."""
    if network is None:
        return video
    return network(video.flatten(0, 1)).unflatten(0, video.shape[:2])


def conv_and_norm(before: int, after: int, kernel: int, **settings: Any) -> list[nn.Module]:
    """Return a convolution, padded so that only its stride changes the size, and batch norm."""
    padding = kernel // 2 * settings.get("dilation", 1)
    return [
        nn.Conv2d(before, after, kernel, padding=padding, bias=False, **settings),
        nn.BatchNorm2d(after),
    ]


def scale_forecaster(image_size: int, past: int, channels: int, width: int) -> Generator:
    """S2S: a past (N, T C, H, W) -> the next map at half the size and at full size, unbounded.

    These are the two coarsest networks of Mathieu et al. 2015 without their tanh.

    Args:
        image_size: Height and width of the maps.
        past: T.
        channels: C.
        width: Channels of the first convolution.
    """
    layers = GENERATORS[:2]
    sizes = scale_sizes(image_size, len(layers))
    return Generator(sizes, past, channels, width, layers, bounded=False)


class FeatureForecaster(nn.Module):
    """F2F: features (N, T F, H, W) of a past -> a list of the next ones, (N, F, H, W).

    Args:
        past: T.
        features: F.
        width: Quarter of the channels of the first convolution.
    """

    def __init__(self, past: int, features: int, width: int):
        super().__init__()
        channels = [past * features, *(width * count for count, _, _ in FEATURES)]
        layers: list[nn.Module] = []
        for (before, after), (_, kernel, dilation) in zip(
            pairwise(channels), FEATURES, strict=True
        ):
            padding = kernel // 2 * dilation
            convolution = nn.Conv2d(before, after, kernel, padding=padding, dilation=dilation)
            layers += [convolution, nn.ReLU()]
        layers.append(nn.Conv2d(channels[-1], features, LAST, padding=LAST // 2))
        self.layers = nn.Sequential(*layers).apply(init_weights_)

    def forward(self, past: Tensor) -> list[Tensor]:
        return [self.layers(past)]


def init_weights_(layer: nn.Module) -> None:
    """Set a convolution's weights to He's normal initialization, and its bias to 0."""
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
