"""Features of handwritten digits."""

from pathlib import Path

from torch import Tensor, nn

from zoo.metrics.extractors.base import Extractor, check_images, gray_pixels, read_weights

WEIGHTS = Path(__file__).with_name("digits.safetensors")
SHA256 = "b07c3091215e91375e80599717659391999b16deee0cf5e3c32e11d39fd68a65"


class Digits(Extractor):
    """64 features of a small classifier of 8x8 digits, which is included in the zoo.

    Images may have three equal channels. Color images raise an error. Other sizes are resized to
    8x8.
    """

    name = "digits"
    colors = False
    purpose = "gray images of handwritten digits"
    num_classes = 10

    def __init__(self):
        super().__init__()
        self.network = Classifier()
        self.network.load_state_dict(read_weights(WEIGHTS, SHA256))

    def num_features(self, shape: tuple[int, ...]) -> int:
        """Return 64 for images of any size."""
        return self.network.head.in_features

    def forward(self, images: Tensor) -> Tensor:
        """Return features (N, 64) of uint8 images (N, C, H, W)."""
        return self.network(images)

    def float_features(self, pixels: Tensor) -> Tensor:
        """Return features (N, 64) of floats (N, C, H, W) in [0, 255]."""
        return self.network.float_features(pixels)

    def classify(self, features: Tensor) -> Tensor:
        """Return class probabilities (N, 10) of features (N, 64)."""
        return self.network.head(features).softmax(dim=1)


class Classifier(nn.Module):
    """The classifier's network, trained by experiments/train_digits_extractor.py."""

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
            nn.Linear(256, 64),
            nn.SiLU(),
        )
        self.head = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Return features (N, 64) of uint8 images (N, C, H, W): the layer before the logits."""
        check_images(images)
        return self.float_features(images.float())

    def float_features(self, pixels: Tensor) -> Tensor:
        """Return features (N, 64) of floats (N, C, H, W) in [0, 255]."""
        return self.features(gray_pixels(pixels, 8))

    def logits(self, images: Tensor) -> Tensor:
        """Return class logits (N, 10) of uint8 images (N, C, H, W)."""
        return self.head(self(images))
