"""Train the digits feature extractor: python -m experiments.train_digits_extractor --out FILE.

Training uses the 1,300 images of the split "train" for a fixed budget and takes seconds on one CPU
thread. Epochs, learning rate and smoothing were chosen on held-out images that are not in the test
split.
Accuracy on the 360 test images: 99.35 ± 0.32 % (seeds 0, 1, 2: 99.17, 99.17, 99.72); seed 0 on 8
other random splits of the same sizes: 98.96 ± 0.41 %. The weights of seed 0, chosen beforehand, are
zoo/metrics/extractors/digits.safetensors; the file contains a hash of its training images.
"""

import argparse
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad
from torch.optim.lr_scheduler import OneCycleLR

from datamodules.digits import Digits
from zoo.atomic_files import write_bytes
from zoo.metrics.extractors.digits import Classifier


def read_split(split: str, data: Any = None) -> tuple[Tensor, Tensor]:
    """Load a split of the digits, or of other data.

    Args:
        split: "train", "val" or "test".
        data: A data module of labeled images; None for the digits.

    Returns:
        uint8 images (N, C, H, W) and labels (N,).
    """
    data = data or Digits()
    data.setup()
    batches = list(data.loader(split, batch_size=256))
    image, label = (torch.cat([batch[key] for batch in batches]) for key in ("image", "label"))
    return image, label


def train(
    images: Tensor,
    labels: Tensor,
    epochs: int = 15,
    seed: int = 0,
    build: Callable[[], Any] = Classifier,
    batch_size: int = 64,
    most: int = 1,
) -> Any:
    """Train a classifier with random shifts of the images.

    Args:
        images: uint8 images (N, 1, S, S).
        labels: Classes (N,).
        epochs: Number of passes over the images.
        seed: Seed of weights, order and shifts.
        build: Returns the classifier, whose `logits` takes the images.
        batch_size: Number of images per step.
        most: The largest shift in pixels.

    Returns:
        The classifier in eval mode.
    """
    torch.manual_seed(seed)
    extractor = build()
    optimizer = torch.optim.AdamW(extractor.parameters())
    steps = len(images) // batch_size  # per epoch; the last, smaller batch is dropped
    schedule = OneCycleLR(optimizer, max_lr=2e-3, total_steps=epochs * steps)
    for _ in range(epochs):
        for chosen in torch.randperm(len(images)).split(batch_size)[:steps]:
            # No label smoothing: it makes features of one class similar, but a metric's features
            # must distinguish images of one class.
            loss = cross_entropy(extractor.logits(shift(images[chosen], most)), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return extractor.eval()


def shift(images: Tensor, most: int = 1) -> Tensor:
    """Shift each image by at most `most` pixels in both directions, and fill with black.

    Args:
        images: (N, C, S, S).
        most: The largest shift.

    Returns:
        (N, C, S, S).
    """
    side = images.shape[-1]
    windows = pad(images, (most,) * 4).unfold(2, side, 1).unfold(3, side, 1)  # (N, C, M, M, S, S)
    rows, columns = torch.randint(2 * most + 1, (2, len(images)))
    return windows[torch.arange(len(images)), :, rows, columns]


def fingerprint(images: Tensor) -> str:
    """Return the sha256 of uint8 images, which the weights' file stores for the training images.

    Args:
        images: uint8 tensor of any shape.
    """
    return hashlib.sha256(images.numpy().tobytes()).hexdigest()


@torch.no_grad()
def accuracy(extractor: Any, images: Tensor, labels: Tensor) -> float:
    """Compute the share of correctly classified images.

    Args:
        extractor: The classifier.
        images: uint8 images (N, C, H, W).
        labels: Classes (N,).
    """
    return (extractor.logits(images).argmax(dim=1) == labels).double().mean().item()


def write_weights(file: Path, extractor: nn.Module, images: Tensor) -> None:
    """Write the weights with a hash of the training images, and print the file's hash.

    Args:
        file: The safetensors file.
        extractor: The classifier.
        images: Its training images.
    """
    content = safetensors.torch.save(extractor.state_dict(), {"train_images": fingerprint(images)})
    write_bytes(file, content)
    print(f"sha256 {hashlib.sha256(content).hexdigest()}")


def main() -> None:
    """Train, write the weights, and print the accuracy and the file's hash."""
    parser = argparse.ArgumentParser(description="Train the digits feature extractor.")
    parser.add_argument("--out", type=Path, required=True, help="the safetensors file to write")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)  # the result depends on the number of threads
    images, labels = read_split("train")
    extractor = train(images, labels, seed=options.seed)
    write_weights(options.out, extractor, images)
    print(f"test accuracy {accuracy(extractor, *read_split('test')):.4f}")


if __name__ == "__main__":
    main()
