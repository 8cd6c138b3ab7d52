"""Features of MNIST's handwritten digits."""

from pathlib import Path

from torch import Tensor, nn

from zoo.metrics.extractors.base import Extractor, check_images, gray_pixels, read_weights

WEIGHTS = Path(__file__).with_name("mnist.safetensors")
SHA256 = "2646684f4b733a62f361595f6b6763083437a5a920eeccc86d0308ce99fdaa48"


class Mnist(Extractor):
    """128 features of a small classifier of MNIST, which is included in the zoo.

    Images may have three equal channels. Color images raise an error. Other sizes are resized to
    28x28.
    """

    name = "mnist"
    colors = False
    purpose = "gray images of handwritten digits"
    num_classes = 10

    def __init__(self):
        super().__init__()
        self.network = Classifier()
        self.network.load_state_dict(read_weights(WEIGHTS, SHA256))

    def num_features(self, shape: tuple[int, ...]) -> int:
        """Return 128 for images of any size."""
        return self.network.head.in_features

    def forward(self, images: Tensor) -> Tensor:
        """Return features (N, 128) of uint8 images (N, C, H, W)."""
        return self.network(images)

    def float_features(self, pixels: Tensor) -> Tensor:
        """Return features (N, 128) of floats (N, C, H, W) in [0, 255]."""
        return self.network.float_features(pixels)

    def classify(self, features: Tensor) -> Tensor:
        """Return class probabilities (N, 10) of features (N, 128)."""
        return self.network.head(features).softmax(dim=1)


class Classifier(nn.Module):
    """The classifier's network, trained by experiments/train_mnist_extractor.py."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 5, bias=False),  # (N, 16, 24, 24)
            nn.BatchNorm2d(16),
            nn.SiLU(),
            nn.MaxPool2d(2),  # (N, 16, 12, 12)
            nn.Conv2d(16, 32, 5, bias=False),  # (N, 32, 8, 8)
            nn.BatchNorm2d(32),
            nn.SiLU(),
            nn.MaxPool2d(2),  # (N, 32, 4, 4)
            nn.Flatten(),
            nn.Linear(512, 128),
            nn.SiLU(),
        )
        self.head = nn.Linear(128, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Return features (N, 128) of uint8 images (N, C, H, W): the layer before the logits."""
        check_images(images)
        return self.float_features(images.float())

    def float_features(self, pixels: Tensor) -> Tensor:
        """Return features (N, 128) of floats (N, C, H, W) in [0, 255]."""
        return self.features(gray_pixels(pixels, 28))

    def logits(self, images: Tensor) -> Tensor:
        """Return class logits (N, 10) of uint8 images (N, C, H, W)."""
        return self.head(self(images))
