"""Features of the 2015 Inception network, which FID, IS and KID usually use."""

import hashlib
import io
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.nn.utils.fusion import fuse_conv_bn_eval

from zoo.metrics.extractors import efficientnet_lite0
from zoo.metrics.extractors.base import Extractor, check_images
from zoo.precision import exact_float32, without_autocast

# One file under two names: torch-fidelity's and pytorch-fid's.
FILES = (
    "weights-inception-2015-12-05-6726825d.pth",
    "pt_inception-2015-12-05-6726825d.pth",
)
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
RESIZES = ("tf1", "torch", "torch_antialias")
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
SIDE = 299
BLOCK = 20  # images at once: limits memory, is not slower on a CPU, and divides a chunk of 100


class Inception(Extractor):
    """2048 pooled features of the 2015 Inception network, as in torch-fidelity.

    Args:
        weights: File of the weights; by default the file in torch.hub's cache.
        sha256: Hash of the file if it is not the official one. Metrics then have a different name.
        download: Download the weights if the cache does not contain them. For several processes see
            zoo.engine.distributed.local_rank_zero_first.
        resize: How images are resized to 299x299: "tf1" as in the original graph and
            torch-fidelity; "torch" as in pytorch-fid, with torch's bilinear grid and pixels scaled
            to 2x/255 - 1 instead of (x - 128)/128; "torch_antialias" as in torchmetrics since 1.8.
        precision: "float32" or "bfloat16", which is at least twice as fast and changes FID by about
            1 %. Do not compare features of different precisions.
        compile: Use torch.compile, which takes about a minute. Results are equal up to rounding.

    Raises:
        FileNotFoundError: There are no weights.
        ValueError: The file has another hash, or an argument is unknown.
    """

    count = 10000
    num_classes = 1008  # those of ImageNet, and 8 that are never used

    def __init__(
        self,
        weights: str | None = None,
        sha256: str | None = None,
        download: bool = False,
        resize: str = "tf1",
        precision: str = "float32",
        compile: bool = False,
    ):
        super().__init__()
        for value, choices in ((resize, RESIZES), (precision, PRECISIONS)):
            if value not in choices:
                raise ValueError(f"{value!r}: choose one of {', '.join(choices)}")
        sha256 = sha256 or SHA256
        state = _load(_find(weights, download, sha256), sha256)
        self.resize, self.dtype, self.compiled = resize, PRECISIONS[precision], compile
        self.name = _name(sha256, resize, precision)
        self.head = nn.Linear(2048, self.num_classes, bias=False, device="meta")
        self.head.load_state_dict({"weight": state.pop("fc.weight")}, assign=True)
        del state["fc.bias"]
        self.network = network()
        self.network.load_state_dict(state, assign=True)
        _fold(self.network).to(self.dtype).to(memory_format=torch.channels_last)
        if compile:
            self.network.compile(dynamic=False, options={"freezing": True})

    def num_features(self, shape: tuple[int, ...]) -> int:
        """Return 2048 for images of any size."""
        return self.head.in_features

    @staticmethod
    def replacement() -> str | None:
        if efficientnet_lite0.installed() and not any(place.is_file() for place in _in_cache()):
            return "efficientnet_lite0"
        return None

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Return features (N, 2048), float32, of uint8 images (N, 1 or 3, H, W)."""
        check_images(images)
        return self.float_features(images.float())

    @torch.no_grad()
    def float_features(self, pixels: Tensor) -> Tensor:
        """Return features (N, 2048), float32, of floats (N, 1 or 3, H, W) in [0, 255]."""
        # Without autocast and TF32, so that only `precision` determines the precision.
        with without_autocast(pixels), exact_float32():
            return torch.cat([self._features(block) for block in pixels.split(BLOCK)])

    def classify(self, features: Tensor) -> Tensor:
        """Return probabilities (N, 1008) of features (N, 2048), without bias as usual for IS."""
        return self.head(features).softmax(dim=1)

    def _features(self, images: Tensor) -> Tensor:
        count = len(images)
        if self.compiled and count < BLOCK:  # another shape would be compiled again
            images = torch.cat([images, images.new_zeros(BLOCK - count, *images.shape[1:])])
        pixels = _prepare(images, self.resize).expand(-1, 3, -1, -1)
        maps = self.network(pixels.to(self.dtype, memory_format=torch.channels_last))
        return maps.float().mean(dim=(2, 3))[:count]  # (N, 2048, 8, 8) to (N, 2048)


def _prepare(images: Tensor, resize: str) -> Tensor:
    """Return floats (N, C, 299, 299) of about -1 to 1 from floats (N, C, H, W) of 0 to 255."""
    if resize == "tf1":
        return (_resize_tf1(images) - 128) / 128
    antialias = resize == "torch_antialias"
    images = interpolate(images, size=(SIDE, SIDE), mode="bilinear", antialias=antialias)
    return (images - 128) / 128 if antialias else images / 127.5 - 1


def _resize_tf1(images: Tensor) -> Tensor:
    """Resize (N, C, H, W) to (N, C, 299, 299), bilinear as in TensorFlow 1, with pixel 0 at 0.

    Bit-identical to torch-fidelity's interpolate_bilinear_2d_like_tensorflow1x, but five times as
    fast, because it does not interpolate repeated rows.
    """
    left, right, weight = _neighbors(images.shape[3], images.device)
    left, right = images[..., left], images[..., right]
    rows = left + (right - left) * weight  # (N, C, H, 299)
    above, below, weight = _neighbors(images.shape[2], images.device)
    above, below = rows[:, :, above], rows[:, :, below]
    return above + (below - above) * weight[:, None]


def _neighbors(size: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return the pixels before and after each of 299 positions, and the weight of the latter."""
    position = torch.arange(SIDE, dtype=torch.float32, device=device)
    position = position * torch.tensor(size / SIDE, device=device)
    before = position.long()
    return before, (before + 1).clamp(max=size - 1), position - before


def _name(sha256: str, resize: str, precision: str) -> str:
    """Return "inception" and everything that changes the numbers."""
    name = "inception"
    if sha256 != SHA256:
        name += f"_{sha256[:8]}"
    if resize != "tf1":
        name += f"_{resize}_resize"
    return name if precision == "float32" else f"{name}_{precision}"


def _in_cache() -> list[Path]:
    """Return where torch.hub's cache may hold the weights."""
    return [Path(torch.hub.get_dir()) / "checkpoints" / name for name in FILES]


def _find(weights: str | None, download: bool, sha256: str) -> Path:
    """Return the file of the weights.

    Raises:
        FileNotFoundError: There is none.
    """
    places = [Path(weights).expanduser()] if weights else _in_cache()
    for place in places:
        if place.is_file():
            return place
    if download and not weights:
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

        places[0].parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(URL_INCEPTION_V3, str(places[0]), hash_prefix=sha256)
        except (OSError, RuntimeError) as error:  # no network, or an unexpected file
            raise OSError(
                f"Inception's weights could not be downloaded from {URL_INCEPTION_V3}: {error}. "
                "Download them elsewhere and set extractor.weights=PATH."
            ) from error
        return places[0]
    raise FileNotFoundError(
        f"Inception's weights are not at {places[0]}. Set extractor.weights=PATH to their file "
        f"({FILES[0]}), download them (91 MiB) with extractor.download=true, or use other features "
        f"({efficientnet_lite0.WAY_OUT})."
    )


def _load(path: Path, sha256: str) -> dict[str, Tensor]:
    """Return the tensors of a file; nothing else is unpickled.

    Raises:
        ValueError: The file has another hash.
    """
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(
            f"{path} is damaged or another version: sha256 {found}, not {sha256}. If these "
            f"are the weights to use, set extractor.sha256={found}."
        )
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def network() -> nn.Sequential:
    """Build the network from (N, 3, 299, 299) to (N, 2048, 8, 8), without weights.

    It uses torch-fidelity's blocks, but not its container, which unpickles the weights and supports
    only one way of resizing.
    """
    from torch_fidelity import feature_extractor_inceptionv3 as blocks

    with torch.device("meta"):  # takes no time and no random numbers
        layers = OrderedDict(
            Conv2d_1a_3x3=blocks.BasicConv2d(3, 32, kernel_size=3, stride=2),  # 149 x 149
            Conv2d_2a_3x3=blocks.BasicConv2d(32, 32, kernel_size=3),
            Conv2d_2b_3x3=blocks.BasicConv2d(32, 64, kernel_size=3, padding=1),
            MaxPool_1=nn.MaxPool2d(kernel_size=3, stride=2),  # 73 x 73
            Conv2d_3b_1x1=blocks.BasicConv2d(64, 80, kernel_size=1),
            Conv2d_4a_3x3=blocks.BasicConv2d(80, 192, kernel_size=3),
            MaxPool_2=nn.MaxPool2d(kernel_size=3, stride=2),  # 35 x 35
            Mixed_5b=blocks.InceptionA(192, pool_features=32),
            Mixed_5c=blocks.InceptionA(256, pool_features=64),
            Mixed_5d=blocks.InceptionA(288, pool_features=64),
            Mixed_6a=blocks.InceptionB(288),  # 17 x 17
            Mixed_6b=blocks.InceptionC(768, channels_7x7=128),
            Mixed_6c=blocks.InceptionC(768, channels_7x7=160),
            Mixed_6d=blocks.InceptionC(768, channels_7x7=160),
            Mixed_6e=blocks.InceptionC(768, channels_7x7=192),
            Mixed_7a=blocks.InceptionD(768),  # 8 x 8
            Mixed_7b=blocks.InceptionE_1(1280),
            Mixed_7c=blocks.InceptionE_2(2048),
        )
    return nn.Sequential(layers).eval()


def _fold(network: nn.Module) -> nn.Module:
    """Fold the batch norms into the convolutions: features change by 3e-7."""
    block: Any
    for block in network.modules():
        if hasattr(block, "bn"):
            block.conv = fuse_conv_bn_eval(block.conv, block.bn)
            block.bn = nn.Identity()
    return network
