"""Crops of photographs filled in: python -m experiments.inpaint_photos CHECKPOINT ...

What simpler means make of the hidden middle, and context encoders of it: a table of both, and a
picture, each row a test image without its middle, by the baselines, by each checkpoint, and whole.
"""

import argparse
from typing import Any

import torch
from skimage.restoration import inpaint_biharmonic
from torch import Tensor

from datamodules.base import DataModule
from zoo.media import masks
from zoo.media.images import save_png, to_uint8
from zoo.metrics.inpainting import scores
from zoo.metrics.nearest_neighbours import neighbours
from zoo.plots.completions import occluded
from zoo.plots.translations import triples
from zoo.runs.checkpoints import load_data, load_model

PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)


def whole(data: DataModule, split: str):
    """All images of a split, uint8 (N, 1, H, W)."""
    return torch.cat([batch["image"] for batch in data.loader(split)])


def mean(images: Tensor, mask: Tensor, data: DataModule):
    """The mean of the known pixels of each image."""
    visible = images.where(~mask, 0).sum(dim=(1, 2, 3)) / (~mask).sum(dim=(1, 2, 3))
    return visible[:, None, None, None].expand_as(images)


def neighbour(images: Tensor, mask: Tensor, data: DataModule):
    """That of the training image which is nearest in the known pixels."""
    hidden = mask[:1]
    references = (batch["image"].masked_fill(hidden, 0) for batch in data.loader("train"))
    _, nearest = neighbours(images.masked_fill(hidden, 0).to(torch.uint8), references)
    return data.source("train")[nearest[:, 0]]["image"].double()


def biharmonic(images: Tensor, mask: Tensor, data: DataModule):
    """The smoothest surface: scikit-image's solution of the biharmonic equation."""
    filled = [
        inpaint_biharmonic(image[0].numpy() / 255, hidden[0].numpy())
        for image, hidden in zip(images, mask, strict=True)
    ]
    return 255 * torch.stack([torch.from_numpy(image)[None] for image in filled])


def ridge(images: Tensor, mask: Tensor, data: DataModule):
    """Linear regression of the hidden on the known pixels, its penalty that of least val error."""
    hidden = mask[0, 0]

    def visible(batch: Tensor) -> Tensor:
        inputs = batch[:, 0, ~hidden].double() / 255
        return torch.cat([inputs, torch.ones(len(inputs), 1)], dim=1)

    train, val = whole(data, "train"), whole(data, "val")
    inputs, outputs = visible(train), train[:, 0, hidden].double() / 255
    gram, moment = inputs.T @ inputs, inputs.T @ outputs
    fits = [torch.linalg.solve(gram + p * torch.eye(len(gram)), moment) for p in PENALTIES]
    errors = [(visible(val) @ fit * 255 - val[:, 0, hidden]).square().mean().item() for fit in fits]
    filled = images.clone()
    filled[:, 0, hidden] = 255 * visible(images) @ fits[errors.index(min(errors))]
    return filled


BASELINES = (mean, neighbour, biharmonic, ridge)


def by_baselines(images: Tensor, mask: Tensor, data: DataModule):
    """{name: uint8 images} of uint8 images (N, 1, H, W) without what one mask hides of all."""
    made = {b.__name__: b(images.double(), mask, data) for b in BASELINES}
    return {
        name: masks.paste(images, filled.round().clamp(0, 255).to(torch.uint8), mask)
        for name, filled in made.items()
    }


@torch.no_grad()
def by_model(model: Any, images: Tensor, mask: Tensor, data: DataModule):
    """uint8 images filled in by a context encoder."""
    with model.evaluating():
        real = data.prepare_batch({"image": images}, model)["image"]
        return to_uint8(model.fill(real, mask)).cpu()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", nargs="+", metavar="CHECKPOINT")
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--out", default="inpaintings.png")
    arguments = parser.parse_args()
    data = load_data(arguments.checkpoints[0], None)
    images = whole(data, "test")
    models = {name: load_model(name) for name in arguments.checkpoints}
    mask = next(iter(models.values())).mask({"image": images})
    filled = by_baselines(images, mask, data)
    filled |= {name: by_model(model, images, mask, data) for name, model in models.items()}
    for name, found in filled.items():
        numbers = scores(images, found, mask)
        print(name, *(f"{what} {value:.4f}" for what, value in numbers.items()), sep="  ")
    rows = torch.arange(arguments.rows) * len(images) // arguments.rows
    columns = {"context": occluded(images[:, None], mask)[:, 0], **filled, "real": images}
    save_png(triples({head: column[rows] for head, column in columns.items()}, 1), arguments.out)
    print(f"Context, {', '.join(filled)}, whole in {arguments.out}")


if __name__ == "__main__":
    main()
