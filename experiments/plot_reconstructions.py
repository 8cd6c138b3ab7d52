"""Compare reconstructions: python -m experiments.plot_reconstructions CHECKPOINT ...

The first checkpoint is an autoencoder, whose decoder computes the mean of the images with a code.
The others are PixelCNN autoencoders, which sample images with the code. Each row shows a test
image, the mean, and four samples of each PixelCNN autoencoder, as in figure 6 of van den Oord et
al. 2016 (arXiv 1606.05328).
"""

import argparse
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from datamodules.base import DataModule
from zoo.config.errors import UserError
from zoo.engine.seeds import reseed
from zoo.media.images import grid, save_png
from zoo.plots import grids, held_out
from zoo.runs.checkpoints import load_data, load_model

SAMPLES_PER_CODE = 4


def figure(autoencoder: Any, models: Sequence[Any], data: DataModule, rows: int = 6) -> Tensor:
    """Draw reconstructions of test images.

    Args:
        autoencoder: A model that has `reconstruct`.
        models: Models whose `sample` takes images as condition.
        data: The data module.
        rows: Largest number of test images.

    Returns:
        uint8 (3, H, W).

    Raises:
        UserError: The data have no test images that can be drawn.
    """
    batch = held_out.held_out_inputs(autoencoder, data, rows)
    if batch is None:
        raise UserError(f"{data.name} has no gray or color test images.")
    rows = len(batch["image"])
    with autoencoder.evaluating():
        columns = [batch["image"], autoencoder.reconstruct(batch)]
    conditions = {
        name: values.repeat_interleave(SAMPLES_PER_CODE, dim=0) for name, values in batch.items()
    }
    for model in models:
        reseed(model.device, 0)
        with model.evaluating():
            samples = model.sample(rows * SAMPLES_PER_CODE, conditions)
        columns += samples.unflatten(0, (rows, SAMPLES_PER_CODE)).unbind(1)
    images = [grids.as_images(autoencoder, column) for column in columns]
    heads = [("real", 1), ("mean", 1), *[("samples", SAMPLES_PER_CODE)] * len(models)]
    cells = torch.stack(images, dim=1).flatten(0, 1)
    return grids.with_heads(grid(cells, columns=len(images)), heads)


def main() -> None:
    """Write the figure of the checkpoints.

    Raises:
        UserError: The first checkpoint is not an autoencoder.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", nargs="+", metavar="CHECKPOINT")
    parser.add_argument("--out", default="reconstructions.png", help="the figure's file")
    arguments = parser.parse_args()
    first, *models = (load_model(checkpoint) for checkpoint in arguments.checkpoints)
    if not hasattr(first, "reconstruct"):
        raise UserError(
            f"{arguments.checkpoints[0]} is not an autoencoder: name an autoencoder first."
        )
    data = load_data(arguments.checkpoints[0], None)
    data.prepare_data()
    save_png(figure(first, models, data), arguments.out)
    print(f"Wrote {arguments.out}; columns: test image, mean, samples of {len(models)} models")


if __name__ == "__main__":
    main()
