"""Feature extractors: uint8 images in, features out. Load one with `load_extractor`."""

import hashlib
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as transforms

DIGITS_WEIGHTS = Path(__file__).with_name("digits.safetensors")
DIGITS_SHA256 = "b07c3091215e91375e80599717659391999b16deee0cf5e3c32e11d39fd68a65"


class DigitsExtractor(nn.Module):
    """A small CNN for scikit-learn's digits, trained by experiments/train_digits_extractor.py.

    Takes uint8 images (N, C, H, W): colour is averaged to grey, other sizes are resized to 8x8.
    Raises TypeError for any other dtype.
    """

    name = "digits"
    num_features = 64

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1, bias=False),  # (N, 32, 8, 8)
            nn.BatchNorm2d(32),
            nn.SiLU(),
            nn.Conv2d(32, 32, 3, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.SiLU(),
            nn.MaxPool2d(2),  # (N, 32, 4, 4)
            nn.Conv2d(32, 64, 3, padding=1, bias=False),
            nn.BatchNorm2d(64),
            nn.SiLU(),
            nn.MaxPool2d(2),  # (N, 64, 2, 2)
            nn.Flatten(),
            nn.Linear(256, self.num_features),
            nn.SiLU(),
        )
        self.head = nn.Linear(self.num_features, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Features (N, 64) float32, the layer before the class logits."""
        if images.dtype != torch.uint8:
            raise TypeError(f"the extractor takes uint8 images, got {images.dtype}")
        grey = images.float().mean(dim=1, keepdim=True)
        grey = transforms.resize(grey, [8, 8], antialias=True)
        return self.features(grey / 127.5 - 1)

    def logits(self, images: Tensor) -> Tensor:
        """Class logits (N, 10) of uint8 images (N, C, H, W)."""
        return self.head(self(images))

    def classify(self, images: Tensor) -> Tensor:
        """Class probabilities (N, 10) of uint8 images (N, C, H, W)."""
        return self.logits(images).softmax(dim=1)


def load_extractor(name: str = "digits") -> nn.Module:
    """The extractor called `name`, frozen and in eval mode.

    It maps uint8 images (N, C, H, W) to float32 features (N, num_features). Raises ValueError for
    an unknown name or for weights that are not the ones this code was measured with.
    """
    if name != DigitsExtractor.name:
        raise ValueError(f"no extractor is called {name!r}; there is {DigitsExtractor.name!r}")
    extractor = DigitsExtractor()
    extractor.load_state_dict(read_weights(DIGITS_WEIGHTS, DIGITS_SHA256))
    return extractor.eval().requires_grad_(False)


def read_weights(path: Path, sha256: str) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Raises ValueError if its hash is not `sha256`."""
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(f"{path} is damaged or another version: sha256 {found}, not {sha256}")
    return safetensors.torch.load(content)
