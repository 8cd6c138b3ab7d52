"""What a code holds, as decoders see it: python -m experiments.plot_reconstructions CHECKPOINT ...

The first checkpoint is of an autoencoder, whose decoder gives the mean of what a code may be of;
the others are of PixelCNN autoencoders, which draw from it. Each row: a test image, the mean, and
four draws of each of the others. After van den Oord et al. 2016 (arXiv 1606.05328), figure 6.
"""

import argparse

import torch

from datamodules.base import DataModule
from zoo.config.errors import UserError
from zoo.engine.seeds import reseed
from zoo.media.images import grid, save_png
from zoo.plots import grids, held_out
from zoo.runs.checkpoints import load_data, load_model

DRAWS = 4


def figure(mean, drawing, data: DataModule, rows=6):
    """uint8 (3, H, W) of a model that has `reconstruct` and of models that draw."""
    batch = held_out.held_out_inputs(mean, data, rows) or {}
    with mean.evaluating():
        columns = [batch["image"], mean.reconstruct(batch)]
    conditions = {name: values.repeat_interleave(DRAWS, dim=0) for name, values in batch.items()}
    for model in drawing:
        reseed(model.device, 0)
        with model.evaluating():
            samples = model.sample(rows * DRAWS, conditions)
        columns += samples.unflatten(0, (rows, DRAWS)).unbind(1)
    images = [grids.as_images(mean, column) for column in columns]
    heads = [("real", 1), ("mean", 1), *[("samples", DRAWS)] * len(drawing)]
    cells = torch.stack(images, dim=1).flatten(0, 1)
    return grids.with_heads(grid(cells, columns=len(images)), heads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", nargs="+", metavar="CHECKPOINT")
    parser.add_argument("--out", default="reconstructions.png")
    arguments = parser.parse_args()
    mean, *drawing = (load_model(checkpoint) for checkpoint in arguments.checkpoints)
    if not hasattr(mean, "reconstruct"):
        raise UserError(f"{arguments.checkpoints[0]} is of no autoencoder: it must come first.")
    data = load_data(arguments.checkpoints[0], None)
    data.prepare_data()
    save_png(figure(mean, drawing, data), arguments.out)
    print(f"Test images, their means, and draws of {len(drawing)} models in {arguments.out}")


if __name__ == "__main__":
    main()
