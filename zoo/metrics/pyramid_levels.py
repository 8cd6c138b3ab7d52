"""Metrics of the levels of a Laplacian pyramid of generators.

They run on one process, so they must not use collective operations.
"""

from typing import Any

import torch
from torch import Tensor, nn

from zoo.engine.loader import KeyedLoader
from zoo.engine.sampling import CHUNK
from zoo.media.laplacian_pyramid import decompose, reconstruct
from zoo.metrics.cache import fingerprint
from zoo.metrics.cache_key import device_of
from zoo.metrics.compute import count_name
from zoo.metrics.extractors.base import load_extractor
from zoo.metrics.features import extract, identity_with_detail, reference_images
from zoo.metrics.frechet import Moments, frechet_distance


def distances(model: Any, data: Any, split: str, count: int = 1000) -> dict[str, float]:
    """Measure Fréchet distances to the training images with the data's extractor.

    Each level improves the samples if fid_chain is less than fid_unrefined.

    Args:
        model: A LAPGAN.
        data: The data module.
        split: "val" or "test".
        count: Largest number of images; the split may have fewer.

    Returns:
        fid_chain: samples with the labels of the split's images. fid_refined: the coarsest versions
        of these images, refined by the generators. fid_unrefined: the coarsest versions, upsampled.
        real_fid: the images. {} without an extractor, or for fewer than 2 images.
    """
    if not data.extractor or len(data.source(split)) < 2:  # a covariance needs two
        return {}
    extractor = load_extractor(data.extractor).to(model.device)
    reference = Moments.of(features_of_training(extractor, data))
    images, label = first_images(model, data, split, count)
    names = ("fid_chain", "fid_refined", "fid_unrefined", "real_fid")
    sets: dict[str, list[Tensor]] = {name: [] for name in names}
    for real, classes in zip(images.split(CHUNK), label.split(CHUNK), strict=True):
        *levels, (coarsest, _) = decompose(real, model.hparams.pyramid_levels)
        noises = [model.noise(level, len(real)) for level in model.coarse_to_fine[1:]]
        nothing = [torch.zeros_like(residual) for residual, _ in levels]
        sets["fid_chain"].append(model.sample(len(real), {"label": classes}))
        sets["fid_refined"].append(model.refine(coarsest, classes, noises)[-1])
        sets["fid_unrefined"].append(reconstruct([*nothing, coarsest]))
        sets["real_fid"].append(real)
    protocol = f"{extractor.name}_{count_name(len(images))}_{split}"
    return {
        f"{what}_{protocol}": frechet_distance(reference, moments_of(extractor, chunks, data))
        for what, chunks in sets.items()
    }


def features_of_training(extractor: nn.Module, data: Any) -> Tensor:
    """Return features (N, F) of the training images, from the cache of `image_features`."""
    by = identity_with_detail(extractor)
    parts = []
    for batch in KeyedLoader(reference_images(data.source("train")), CHUNK):
        images = batch["image"]
        key = fingerprint(by, fingerprint(images))
        parts.append(extract(extractor, lambda images=images: images, key)["features"])
    return torch.cat(parts)


def moments_of(extractor: nn.Module, chunks: list[Tensor], data: Any) -> Moments:
    """Return the Moments of the features of a model's images, in chunks (n, C, H, W)."""
    device = device_of(extractor)
    return Moments.of(
        torch.cat([extractor(data.denormalize(c).to(device)).float().cpu() for c in chunks])
    )


def detail_numbers(
    model: Any, level: int, data: Any, split: str, count: int = 200, draws: int = 32
) -> dict[str, float]:
    """Measure what a level adds to the real coarse images of a split.

    Args:
        model: A LAPGAN.
        level: A level with residuals.
        data: The data module.
        split: "val" or "test".
        count: Largest number of images.
        draws: Number of residuals sampled for each image.

    Returns:
        approx_parzen: the authors' criterion, the smallest ‖I - (l + G(z, l))‖ of the sampled
        residuals, averaged over images. std_ratio: standard deviation of generated residuals,
        divided by that of real ones. {} for an empty split.
    """
    if not len(data.source(split)):
        return {}
    images, label = first_images(model, data, split, count)
    real, coarse = decompose(images, model.hparams.pyramid_levels)[level]
    _, generator = model.players(level)
    samples = [generator(model.noise(level, len(real)), coarse, label) for _ in range(draws)]
    protocol = f"{level}_{len(real)}x{draws}_{split}"
    return {
        f"approx_parzen{protocol}": approx_parzen(real, samples).item(),
        f"std_ratio{protocol}": (spread(torch.stack(samples)) / spread(real)).item(),
    }


def approx_parzen(real: Tensor, samples: list[Tensor]) -> Tensor:
    """Return the mean distance of real residuals (N, C, H, W) to the nearest generated one."""
    distances = [(real - sample).flatten(1).norm(dim=1) for sample in samples]  # (N,) each
    return torch.stack(distances).amin(dim=0).mean()


def spread(residuals: Tensor) -> Tensor:
    """Return the population standard deviation."""
    return residuals.std(correction=0)


def first_images(model: Any, data: Any, split: str, count: int) -> tuple[Tensor, Tensor]:
    """Return the first images of a split, in [-1, 1], and their labels; 0 if none are needed."""
    source = data.source(split)
    batch = data.prepare_batch(source[torch.arange(min(count, len(source)))], model)
    label = batch["label"] if "label" in model.needs else model.draw_labels(len(batch["image"]))
    return batch["image"], label
