"""Compare inpainting of photographs: python -m experiments.inpaint_photos [NAME=]CHECKPOINT ...

Simple baselines and context encoders fill in the hidden middle of test images. The program prints a
table of scores and writes a figure. Each row shows a test image without its middle, the results of
the baselines and of each checkpoint, and the real image. NAME is the head of the checkpoint's
column, by default the name of the run's folder.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from skimage.restoration import inpaint_biharmonic
from torch import Tensor

from datamodules.base import DataModule
from zoo.config.errors import UserError
from zoo.media import masks
from zoo.media.images import save_png, to_uint8
from zoo.metrics.inpainting import scores
from zoo.metrics.nearest_neighbors import neighbors
from zoo.plots.completions import occluded
from zoo.plots.translations import triples
from zoo.runs.checkpoints import load_data, load_model

PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)


def all_images(data: DataModule, split: str) -> Tensor:
    """Load all images of a split.

    Args:
        data: The data module.
        split: "train", "val" or "test".

    Returns:
        uint8 images (N, 1, H, W).
    """
    return torch.cat([batch["image"] for batch in data.loader(split)])


# A baseline takes images (N, 1, H, W) in 0..255, a mask (N, 1, H, W) that is True at hidden pixels
# and is the same for all images, and the data. It returns images (N, 1, H, W) in 0..255.


def mean(images: Tensor, mask: Tensor, data: DataModule | None) -> Tensor:
    """Return the mean of the visible pixels of each image."""
    visible = images.where(~mask, 0).sum(dim=(1, 2, 3)) / (~mask).sum(dim=(1, 2, 3))
    return visible[:, None, None, None].expand_as(images)


def neighbor(images: Tensor, mask: Tensor, data: DataModule) -> Tensor:
    """Return the training image with the most similar visible pixels."""
    hidden = mask[:1]
    references = (batch["image"].masked_fill(hidden, 0) for batch in data.loader("train"))
    _, nearest = neighbors(images.masked_fill(hidden, 0).to(torch.uint8), references)
    return data.source("train")[nearest[:, 0]]["image"].double()


def biharmonic(images: Tensor, mask: Tensor, data: DataModule | None) -> Tensor:
    """Solve the biharmonic equation with scikit-image, which gives the smoothest surface."""
    filled = [
        inpaint_biharmonic(image[0].numpy() / 255, hidden[0].numpy())
        for image, hidden in zip(images, mask, strict=True)
    ]
    return 255 * torch.stack([torch.from_numpy(image)[None] for image in filled])


def ridge(images: Tensor, mask: Tensor, data: DataModule) -> Tensor:
    """Predict the hidden pixels by ridge regression, with the penalty of lowest val error."""
    hidden = mask[0, 0]

    def visible(batch: Tensor) -> Tensor:
        inputs = batch[:, 0, ~hidden].double() / 255
        return torch.cat([inputs, torch.ones(len(inputs), 1)], dim=1)

    train, val = all_images(data, "train"), all_images(data, "val")
    inputs, outputs = visible(train), train[:, 0, hidden].double() / 255
    gram, moment = inputs.T @ inputs, inputs.T @ outputs
    fits = [torch.linalg.solve(gram + p * torch.eye(len(gram)), moment) for p in PENALTIES]
    errors = [(visible(val) @ fit * 255 - val[:, 0, hidden]).square().mean().item() for fit in fits]
    filled = images.clone()
    filled[:, 0, hidden] = 255 * visible(images) @ fits[errors.index(min(errors))]
    return filled


BASELINES: dict[str, Callable[[Tensor, Tensor, DataModule], Tensor]] = {
    "mean": mean,
    "neighbor": neighbor,
    "biharmonic": biharmonic,
    "ridge": ridge,
}


def fill_with_baselines(images: Tensor, mask: Tensor, data: DataModule) -> dict[str, Tensor]:
    """Fill the hidden pixels with each baseline.

    Args:
        images: uint8 images (N, 1, H, W).
        mask: True at hidden pixels (N, 1, H, W), the same for all images.
        data: The data module, whose training images the baselines may use.

    Returns:
        {baseline: uint8 images (N, 1, H, W)}.
    """
    outputs = {name: fill(images.double(), mask, data) for name, fill in BASELINES.items()}
    return {
        name: masks.paste(images, filled.round().clamp(0, 255).to(torch.uint8), mask)
        for name, filled in outputs.items()
    }


@torch.no_grad()
def fill_with_model(model: Any, images: Tensor, mask: Tensor, data: DataModule) -> Tensor:
    """Fill the hidden pixels with a context encoder.

    Args:
        model: A ContextEncoder.
        images: uint8 images (N, 1, H, W).
        mask: True at hidden pixels (N, 1, H, W).
        data: The data module, which converts images to the model's range.

    Returns:
        uint8 images (N, 1, H, W).
    """
    with model.evaluating():
        real = data.prepare_batch({"image": images}, model)["image"]
        return to_uint8(model.fill(real, mask)).cpu()


def named_checkpoints(arguments: Sequence[str]) -> dict[str, str]:
    """Return {name: checkpoint} of arguments NAME=CHECKPOINT or CHECKPOINT.

    A checkpoint without a name gets that of its run's folder.

    Raises:
        UserError: Two checkpoints have the same name.
    """
    found: dict[str, str] = {}
    for argument in arguments:
        name, _, checkpoint = argument.partition("=")
        if not checkpoint or Path(argument).exists():  # a folder may be called lr=1
            path = Path(argument)
            run = path.parent.parent if path.parent.name == "checkpoints" else path
            name, checkpoint = run.name, argument
        if name in found:
            raise UserError(f"Two checkpoints are called {name}: pass NAME=CHECKPOINT.")
        found[name] = checkpoint
    return found


def common_mask(models: Mapping[str, Any], images: Tensor) -> Tensor:
    """Return the mask (N, 1, H, W) of images (N, 1, H, W) that all models are trained with.

    Raises:
        UserError: The masks of a model are random, or those of two models differ.
    """
    for name, model in models.items():
        if not getattr(model, "masks_center", False):
            raise UserError(f"{name} is not a context encoder with model.masks=center.")
    mask, *others = (model.mask({"image": images}) for model in models.values())
    if not all(torch.equal(mask, other) for other in others):
        raise UserError("The models hide different pixels: model.overlap must be the same.")
    return mask


def main() -> None:
    """Print the scores of baselines and checkpoints, and write the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", nargs="+", metavar="[NAME=]CHECKPOINT")
    parser.add_argument("--rows", type=int, default=8, help="test images in the figure")
    parser.add_argument("--out", default="inpaintings.png", help="the figure's file")
    arguments = parser.parse_args()
    checkpoints = named_checkpoints(arguments.checkpoints)
    data = load_data(next(iter(checkpoints.values())), None)
    data.prepare_data()
    images = all_images(data, "test")
    models = {name: load_model(checkpoint) for name, checkpoint in checkpoints.items()}
    mask = common_mask(models, images)
    filled = fill_with_baselines(images, mask, data)
    filled |= {name: fill_with_model(model, images, mask, data) for name, model in models.items()}
    for name, outputs in filled.items():
        metrics = scores(images, outputs, mask)
        print(name, *(f"{metric} {value:.4f}" for metric, value in metrics.items()), sep="  ")
    rows = torch.arange(arguments.rows) * len(images) // arguments.rows
    columns = {"context": occluded(images[:, None], mask)[:, 0], **filled, "real": images}
    save_png(triples({head: column[rows] for head, column in columns.items()}, 1), arguments.out)
    print(f"Wrote {arguments.out}; columns: context, {', '.join(filled)}, real image")


if __name__ == "__main__":
    main()
