"""Networks of Luc et al. 2017 and 2018 (arXiv 1703.07684, 1803.11496), and a small segmenter."""

from itertools import pairwise

from torch import nn

from zoo.networks.multiscale import GENERATORS, Generator, sizes

# Channels in units of `width`, kernels and dilations of the feature forecaster.
FEATURES = ((4, 1, 1), (4, 3, 2), (4, 3, 1), (2, 3, 4), (2, 3, 4), (2, 3, 2))
LAST = 7  # the kernel of the last one, which has the channels of the features


class Segmenter(nn.Module):
    """Frames (N, C, H, W) -> features (N, F, H/2, W/2) by `backbone` -> scores (N, K, H, W) by
    `head`; sides are even."""

    def __init__(self, channels, classes, features):
        super().__init__()
        self.backbone = nn.Sequential(
            *normalised(channels, features, 5, stride=2),
            nn.ReLU(),
            *normalised(features, features, 3),
            nn.ReLU(),
            *normalised(features, features, 3, dilation=2),
        )
        self.head = nn.Sequential(
            nn.ReLU(),
            *normalised(features, features, 3),
            nn.ReLU(),
            nn.Conv2d(features, 4 * classes, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def forward(self, frames):
        return self.head(self.backbone(frames))


def normalised(before, after, kernel, **form):
    """A convolution that keeps sides, but for its stride, and batch norm."""
    padding = kernel // 2 * form.get("dilation", 1)
    return [
        nn.Conv2d(before, after, kernel, padding=padding, bias=False, **form),
        nn.BatchNorm2d(after),
    ]


def scales(image_size, past, channels, width):
    """S2S: a past (N, T C, H, W) -> the map after it at half the size and at the whole one.

    The two coarsest networks of Mathieu et al. 2015 without their tanh: maps are unbounded.
    """
    layers = GENERATORS[:2]
    return Generator(sizes(image_size, len(layers)), past, channels, width, layers, bounded=False)


class Features(nn.Module):
    """F2F: features (N, T F, H, W) of a past -> [those after it, (N, F, H, W)], of any size."""

    def __init__(self, past, features, width):
        super().__init__()
        channels = [past * features, *(width * count for count, _, _ in FEATURES)]
        layers = []
        for (before, after), (_, kernel, dilation) in zip(
            pairwise(channels), FEATURES, strict=True
        ):
            padding = kernel // 2 * dilation
            convolution = nn.Conv2d(before, after, kernel, padding=padding, dilation=dilation)
            layers += [convolution, nn.ReLU()]
        layers.append(nn.Conv2d(channels[-1], features, LAST, padding=LAST // 2))
        self.layers = nn.Sequential(*layers)
        for layer in self.layers[::2]:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)

    def forward(self, past):
        return [self.layers(past)]
