"""Train the MNIST feature extractor: python -m experiments.train_mnist_extractor --out FILE.

Training uses the 50,000 images of the split "train" for a fixed budget of ten epochs, 2.2 minutes
on one CPU thread.
Accuracy of seed 0: 99.54 % on the 10,000 validation images, 99.47 % on the 10,000 test images. The
settings were chosen before and not changed. The weights of seed 0 are
zoo/metrics/extractors/mnist.safetensors; the file contains a hash of its training images.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import torch

from datamodules.mnist import MNIST
from experiments import train_digits_extractor as digits
from zoo.metrics.extractors.mnist import Classifier

# Images shifted by up to two pixels are still centered digits.
train: Any = partial(digits.train, epochs=10, build=Classifier, batch_size=128, most=2)


def main() -> None:
    """Train, write the weights, and print the accuracies and the file's hash."""
    parser = argparse.ArgumentParser(description="Train the MNIST feature extractor.")
    parser.add_argument("--out", type=Path, required=True, help="the safetensors file to write")
    parser.add_argument("--root", default="data", help="folder of MNIST's four files")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)  # the result depends on the number of threads
    data = MNIST(root=options.root)
    images, labels = digits.read_split("train", data)
    extractor = train(images, labels, seed=options.seed)
    digits.write_weights(options.out, extractor, images)
    for split in ("val", "test"):
        accuracy = digits.accuracy(extractor, *digits.read_split(split, data))
        print(f"{split} accuracy {accuracy:.4f}")


if __name__ == "__main__":
    main()
