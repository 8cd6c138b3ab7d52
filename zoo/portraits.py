"""Pictures of what only a kind of model makes, for `GenerativeModule.pictures`: uint8 (3, H, W)."""

import torch

from datamodules.loader import shuffled
from zoo import latents
from zoo.images import to_uint8
from zoo.pictures import as_images, below, beside, panel


def class_pictures(model):
    """{"classes": by_class(model)}; {} for a model of points and the like, which are no images."""
    return {"classes": by_class(model)} if model.hparams.image_channels in (1, 3) else {}


def by_class(model, rows=8, most=20):
    """A column for each class, up to `most`, and a row for each latent, where there are latents."""
    classes = min(model.hparams.classes, most)
    given = {"label": torch.arange(classes, device=model.device).repeat(rows)}
    if hasattr(model, "prior"):
        given["latent"] = model.prior(rows).repeat_interleave(classes, dim=0)
    images = model.sample(rows * classes, given)
    return panel(as_images(model, images), columns=classes)


def completions(model, data, rows=6, count=6):
    """{"completions": each row a test image, what is left of it when its lower half is hidden, and
    `count` wholes that the model draws}; {} without test images."""
    batch = tests(model, data, rows)
    if batch is None:
        return {}
    mask = torch.zeros_like(batch["image"][:, :1])
    mask[:, :, mask.shape[2] // 2 :] = 1
    real = as_images(model, batch["image"])[:, None]
    shown = [real, occluded(real, mask > 0)]
    return {"completions": beside_versions(model, batch | {"mask": mask}, shown, count)}


def occluded(images, hidden):
    """uint8 images (N, 1, C, H, W), grey where `hidden`, (N or 1, 1, H, W) bool."""
    return torch.where(hidden.cpu()[:, None], 127, images).to(torch.uint8)


def reconstructions(model, data, rows=6, count=6):
    """{"reconstructions": each row a test image, and `count` samples given its code}, or {}."""
    batch = tests(model, data, rows)
    if batch is None:
        return {}
    real = as_images(model, batch["image"])[:, None]
    return {"reconstructions": beside_versions(model, batch, [real], count)}


def reconstructions_of(model, data, columns=8, rows=3):
    """{"reconstructions": test images, and below each row its `reconstruct`}, or {}."""
    batch = tests(model, data, columns * rows)
    if batch is None:
        return {}
    columns = min(columns, len(batch["image"]))
    whole = len(batch["image"]) // columns * columns
    batch = {name: values[:whole] for name, values in batch.items()}
    pairs = [as_images(model, images) for images in (batch["image"], model.reconstruct(batch))]
    lines = zip(*(images.split(columns) for images in pairs), strict=True)
    cells = torch.cat([image for line in lines for image in line])
    return {"reconstructions": panel(cells, columns)}


def translations(model, data, columns=3, rows=4):
    """{"translations": test sources, each with the real image and the model's beside it}, or {}."""
    batch = whole_tests(model, data, columns * rows)
    if batch is None or model.hparams.source_channels not in (1, 3):
        return {}
    parts = batch["source"], batch["image"], model.sample(len(batch["image"]), batch)
    return {"translations": triples([as_images(model, images) for images in parts], columns)}


def inpaintings(model, data, columns=3, rows=4):
    """{"inpaintings": test images of which a part is hidden, each with what the model fills in and
    the whole image beside it}, or {}."""
    batch = whole_tests(model, data, columns * rows)
    if batch is None:
        return {}
    image, mask = batch["image"], model.mask(batch)
    real, filled = (as_images(model, images) for images in (image, model.fill(image, mask)))
    context = occluded(real[:, None], mask)[:, 0]
    return {"inpaintings": triples([context, filled, real], columns)}


def triples(parts, columns):
    """uint8 (3, H, W) of three sets of images (N, C, H, W): `columns` of one each side by side."""
    cells = torch.stack([images.expand(-1, 3, -1, -1) for images in parts], dim=1)
    cells = cells[: max(len(cells) // columns, 1) * columns]
    return panel(cells.flatten(0, 1), columns=3 * min(columns, len(cells)))


def manifold(model, side=16):
    """Decoded codes on a grid of the quantiles of a normal prior in the plane: uint8 (3, H, W).

    Where there are classes, of the first. Kingma, Welling 2014 (arXiv 1312.6114), figure 4.
    """
    share = (torch.arange(side, device=model.device) + 0.5) / side
    quantile = (2 * share - 1).erfinv() * 2**0.5
    latent = torch.cartesian_prod(quantile.flip(0), quantile).flip(1).to(model.dtype)
    given = {"latent": latent}
    if "label" in model.needs:
        given["label"] = torch.zeros(side**2, dtype=torch.int64, device=model.device)
    return panel(as_images(model, model.sample(side**2, given)), columns=side)


def tests(model, data, count):
    """A batch of a fixed choice of test images; None where there are none that can be shown."""
    batch = whole_tests(model, data, count)
    return batch and {name: batch[name] for name in model.needs if name in batch}


def whole_tests(model, data, count):
    """That batch with all that the data give, as in training."""
    source = data.source("test") if data and model.hparams.image_channels in (1, 3) else []
    if not len(source):
        return None
    chosen = shuffled(len(source), "tests")[:count]
    return data.prepare_batch(source[chosen], model)


def beside_versions(model, batch, columns, count):
    """Columns of uint8 images (rows, 1, C, H, W), and beside them `count` samples of each row."""
    given = {name: values.repeat_interleave(count, dim=0) for name, values in batch.items()}
    drawn = as_images(model, model.sample(len(given["image"]), given))
    cells = torch.cat([*columns, drawn.unflatten(0, (-1, count))], dim=1)
    return panel(cells.flatten(0, 1), columns=cells.shape[1])


def swaps(images, identity, latent, decoder):
    """Images (N, C, H, W) above and on the left; between them, the identity of the one above and
    the rest of the one on the left, decoded: uint8 (3, H, W)."""
    count = len(images)
    decoded = decoder(identity.repeat(count, 1), latent.repeat_interleave(count, dim=0))
    images, decoded = to_uint8(images).cpu(), to_uint8(decoded).cpu()
    corner = torch.full_like(images[:1], 255)
    left = below(panel(corner, columns=1), panel(images, columns=1))
    return beside(left, below(panel(images, columns=count), panel(decoded, columns=count)))


def between(identity, latent, decoder, steps=8):
    """From one image (first row, left) to another: its identity downwards, the rest to the right.

    identity, latent: (2, S) and (2, Z), the codes of the two; gives uint8 (3, H, W)
    """
    downwards = latents.linear(identity[:1], identity[1:], steps)[0]
    rightwards = latents.linear(latent[:1], latent[1:], steps)[0]
    images = decoder(downwards.repeat_interleave(steps, dim=0), rightwards.repeat(steps, 1))
    return panel(to_uint8(images).cpu(), columns=steps)
