"""A small segmentation network, trained on real images to evaluate generated ones."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_jaccard_index

from zoo.engine.seeds import key
from zoo.media.images import from_uint8


class Segmenter(nn.Module):
    """Network from uint8 images (N, C, H, W) to class scores (N, K, H, W), at half resolution.

    Args:
        channels: Channels C of the images.
        classes: Number K of classes.
        width: Feature maps.
    """

    def __init__(self, channels: int, classes: int, width: int = 16):
        super().__init__()
        layers, before = [], channels
        for stride, dilation in ((2, 1), (1, 1), (1, 2), (1, 2)):
            padding = dilation if stride == 1 else 2
            kernel = 3 if stride == 1 else 5
            convolution = nn.Conv2d(before, width, kernel, stride, padding, dilation, bias=False)
            layers += [convolution, nn.BatchNorm2d(width), nn.ReLU()]
            before = width
        layers += [nn.Conv2d(width, classes, 1)]
        layers += [nn.Upsample(scale_factor=2, mode="bilinear")]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Return class scores (N, K, H, W) of uint8 images (N, C, H, W)."""
        return self.layers(from_uint8(images))


@torch.enable_grad()
def train_segmenter(
    images: Tensor, labels: Tensor, classes: int, batches: int = 500, seed: int = 0
) -> Segmenter:
    """Train a Segmenter with Adam and a learning rate that falls from 0.01 to 0.

    Args:
        images: uint8 (N, C, H, W).
        labels: (N, H, W) int64.
        classes: Number of classes.
        batches: Number of batches of 16 images.
        seed: Seed of weights and batches; torch's global generators are not changed.

    Returns:
        The network in eval mode, frozen.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key("segmenter", seed))
        network = Segmenter(images.shape[1], classes)
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, batches)
        for _ in range(batches):
            chosen = torch.randint(len(images), (16,))
            loss = cross_entropy(network(images[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval().requires_grad_(False)


def segmentation_scores(predicted: Tensor, labels: Tensor, classes: int) -> dict[str, float]:
    """Compute the FCN score of Isola et al. 2017.

    Args:
        predicted: Predicted classes (N, H, W).
        labels: True classes (N, H, W).
        classes: Number of classes.

    Returns:
        iou: intersection over union, averaged over classes. accuracy_pixel: of all pixels.
        accuracy_class: of the pixels of each class, averaged over classes.
    """
    scores = {
        "iou": multiclass_jaccard_index(predicted, labels, classes),
        "accuracy_pixel": multiclass_accuracy(predicted, labels, classes, average="micro"),
        "accuracy_class": multiclass_accuracy(predicted, labels, classes, average="macro"),
    }
    return {what: share.item() for what, share in scores.items()}
