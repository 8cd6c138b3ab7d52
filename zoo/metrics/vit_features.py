"""Features of vision transformers, whose weights are read from a file."""

import hashlib
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor
from torchvision.transforms.v2.functional import InterpolationMode, normalize, resize

from zoo.config.catalog import dotted_path, name_of
from zoo.metrics.extractors.base import Extractor, check_images
from zoo.precision import exact_float32, without_autocast

SIDE = 224
BLOCK = 20  # images at once: limits memory


class VitFeatures(Extractor):
    """Features of a vision transformer of timm.

    A subclass sets the architecture and how pixels are scaled. Images are resized to 224x224 with
    bicubic interpolation and antialiasing. The name contains the first digits of the hash of the
    weights' file, so that metrics of other weights have other names.

    Args:
        weights: File of the weights, safetensors or a PyTorch state dict.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: timm is not installed.
        ValueError: The file has other weights.
    """

    count = 10000
    label = ""  # the beginning of the name
    architecture = ""  # of timm
    published = ""  # the repository of timm on Hugging Face with the usual weights
    num_outputs = 0  # of the head; 0 leaves it out
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)  # of pixels in [0, 1]
    deviation: tuple[float, ...] = (0.229, 0.224, 0.225)

    def __init__(self, weights: str | None = None):
        super().__init__()
        path = Path(weights).expanduser() if weights else None
        if path is None or not path.is_file():
            problem = f"there is no {path}" if path else "extractor.weights is not set"
            raise FileNotFoundError(
                f"extractor={self._choice} needs the file of its weights, and {problem}: "
                "download model.safetensors from "
                f"https://huggingface.co/timm/{self.published}, and set extractor.weights=PATH."
            )
        self.network = self._build(path)
        self.name = f"{self.label}_{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"

    @property
    def _choice(self) -> str:
        """What chooses the extractor on the command line."""
        return name_of(dotted_path(self))

    def num_features(self, shape: tuple[int, ...]) -> int:
        """Return F for images of any size."""
        return self.num_outputs or self.network.num_features

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Return features (N, F), float32, of uint8 images (N, 1 or 3, H, W)."""
        check_images(images)
        return self.float_features(images.float())

    @torch.no_grad()
    def float_features(self, pixels: Tensor) -> Tensor:
        """Return features (N, F), float32, of floats (N, 1 or 3, H, W) in [0, 255]."""
        with without_autocast(pixels), exact_float32():
            return torch.cat([self._features(block) for block in pixels.split(BLOCK)])

    def _features(self, pixels: Tensor) -> Tensor:
        pixels = resize(pixels, [SIDE, SIDE], InterpolationMode.BICUBIC, antialias=True)
        pixels = pixels.clamp(0, 255).expand(-1, 3, -1, -1) / 255
        return self.network(normalize(pixels, list(self.mean), list(self.deviation)))

    def _build(self, path: Path) -> Any:
        """Build the network with the weights of a file."""
        try:
            import timm
            from timm.models.vision_transformer import checkpoint_filter_fn
        except ImportError as error:
            raise ImportError(
                f"extractor={self._choice} needs timm: python -m pip install timm"
            ) from error
        with torch.random.fork_rng(devices=[]):  # the initial weights are replaced
            network: Any = timm.create_model(
                self.architecture, pretrained=False, img_size=SIDE, num_classes=self.num_outputs
            )
        try:
            network.load_state_dict(checkpoint_filter_fn(_read(path), network))
        except (RuntimeError, SafetensorError, UnpicklingError) as error:
            raise ValueError(
                f"{path} does not have the weights of {self.architecture}: {error}"
            ) from error
        return network


def _read(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file; nothing else is unpickled."""
    if path.suffix == ".safetensors":
        return safetensors.torch.load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)
