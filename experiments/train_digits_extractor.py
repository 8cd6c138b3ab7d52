"""Train the digits feature extractor: python -m experiments.train_digits_extractor --out FILE.

Trained on the 1,300 images of the split "train" for a fixed budget, on one CPU thread, in seconds.
Epochs, rate and smoothing were chosen on a holdout of the images that are not in the test split.
Accuracy on its 360 images: 99.35 ± 0.32 % (seeds 0, 1, 2: 99.17, 99.17, 99.72); seed 0 over 8 other
random splits of the same sizes: 98.96 ± 0.41 %. Seed 0, fixed beforehand, is shipped as
zoo/metrics/extractors/digits.safetensors, which names its training images by their hash.
"""

import argparse
import hashlib
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad
from torch.optim.lr_scheduler import OneCycleLR

from datamodules.digits import Digits
from zoo.atomic_files import write_bytes
from zoo.metrics.extractors.digits import Classifier


def read_split(split: str) -> tuple[Tensor, Tensor]:
    """Images (N, 1, 8, 8) uint8 and labels (N,) of digits' "train", "val" or "test" split."""
    data = Digits()
    data.setup()
    batches = list(data.loader(split, batch_size=256))
    image, label = (torch.cat([batch[key] for batch in batches]) for key in ("image", "label"))
    return image, label


def train(images: Tensor, labels: Tensor, epochs: int = 15, seed: int = 0) -> Classifier:
    """A Classifier trained on uint8 images (N, 1, 8, 8), with random shifts, in eval mode."""
    torch.manual_seed(seed)
    extractor = Classifier()
    optimizer = torch.optim.AdamW(extractor.parameters())
    batch_size = 64
    steps = len(images) // batch_size  # an epoch; the rest of the permutation is left out
    schedule = OneCycleLR(optimizer, max_lr=2e-3, total_steps=epochs * steps)
    for _ in range(epochs):
        for chosen in torch.randperm(len(images)).split(batch_size)[:steps]:
            # No label smoothing: it pulls each class together, and the features of a metric must
            # tell the images of a class apart.
            loss = cross_entropy(extractor.logits(shift(images[chosen])), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return extractor.eval()


def shift(images: Tensor) -> Tensor:
    """Move each image (N, C, 8, 8) by -1, 0 or 1 pixel both ways, black coming in."""
    windows = pad(images, (1, 1, 1, 1)).unfold(2, 8, 1).unfold(3, 8, 1)  # (N, C, 3, 3, 8, 8)
    rows, columns = torch.randint(3, (2, len(images)))
    return windows[torch.arange(len(images)), :, rows, columns]


def fingerprint(images: Tensor) -> str:
    """The sha256 of uint8 images, by which weights tell what they were trained on."""
    return hashlib.sha256(images.numpy().tobytes()).hexdigest()


@torch.no_grad()
def accuracy(extractor: Classifier, images: Tensor, labels: Tensor) -> float:
    """The share of uint8 images (N, C, H, W) whose class is found."""
    return (extractor.logits(images).argmax(dim=1) == labels).double().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the digits feature extractor.")
    parser.add_argument("--out", type=Path, required=True, help="the safetensors file to write")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)  # the number of threads decides the order of the sums
    images, labels = read_split("train")
    extractor = train(images, labels, seed=options.seed)
    content = safetensors.torch.save(extractor.state_dict(), {"train_images": fingerprint(images)})
    write_bytes(options.out, content)
    print(f"test accuracy {accuracy(extractor, *read_split('test')):.4f}")
    print(f"sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
