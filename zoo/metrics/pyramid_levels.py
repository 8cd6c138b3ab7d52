"""What the levels of a Laplacian pyramid of generators are worth, each and together."""

import torch

from zoo.engine.loader import KeyedLoader
from zoo.engine.sampling import CHUNK
from zoo.media.laplacian_pyramid import decompose, reconstruct
from zoo.metrics.cache import fingerprint
from zoo.metrics.cache_key import device_of, identity
from zoo.metrics.compute import count_name
from zoo.metrics.extractors.base import load_extractor
from zoo.metrics.features import extract, reference_images
from zoo.metrics.frechet import Moments, frechet_distance

# All of it runs on one process: what takes part in a collective would wait for the others.


def distances(model, data, split, count=1000):
    """{what: Fréchet distance to the training images}, by the data's extractor.

    Of as many images each as the split has, at most `count`. fid_chain: samples, of the classes of
    these images; fid_refined: their coarsest versions, refined by the generators; fid_unrefined:
    the same, only enlarged; real_fid: the images as they are. The chain is
    worth its levels where it is nearer than fid_unrefined.
    """
    if not data.extractor or len(data.source(split)) < 2:  # the least that has a covariance
        return {}
    extractor = load_extractor(data.extractor).to(model.device)
    reference = Moments.of(features_of_training(extractor, data))
    images, label = first_images(model, data, split, count)
    sets = {"fid_chain": [], "fid_refined": [], "fid_unrefined": [], "real_fid": []}
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


def features_of_training(extractor, data):
    """Features (N, F) of the training images, kept on disk as those of `image_features` are."""
    by, chunks = identity(extractor), KeyedLoader(reference_images(data.source("train")), CHUNK)
    images = [batch["image"] for batch in chunks]
    keys = [fingerprint(by, fingerprint(chunk)) for chunk in images]
    parts = zip(images, keys, strict=True)
    return torch.cat(
        [extract(extractor, lambda chunk=c: chunk, key)["features"] for c, key in parts]
    )


def moments_of(extractor, chunks, data):
    """The Moments of the features of a model's images, given in chunks (n, C, H, W)."""
    device = device_of(extractor)
    return Moments.of(
        torch.cat([extractor(data.denormalize(c).to(device)).float().cpu() for c in chunks])
    )


def detail_numbers(model, level, data, split, count=200, draws=32):
    """{what: number} of what a level draws for the real coarse images of a split; {} of none.

    approx_parzen: the authors' criterion, the mean over images of the least ‖I - (l + G(z, l))‖
    of `draws` draws. std_ratio: the deviation of the generated residuals, over that of the real
    ones.
    """
    if not len(data.source(split)):
        return {}
    images, label = first_images(model, data, split, count)
    real, coarse = decompose(images, model.hparams.pyramid_levels)[level]
    _, generator = model.players(level)
    drawn = [generator(model.noise(level, len(real)), coarse, label) for _ in range(draws)]
    protocol = f"{level}_{len(real)}x{draws}_{split}"
    return {
        f"approx_parzen{protocol}": approx_parzen(real, drawn).item(),
        f"std_ratio{protocol}": (spread(torch.stack(drawn)) / spread(real)).item(),
    }


def approx_parzen(real, drawn):
    """The mean over real residuals (N, C, H, W) of the distance to the nearest of their draws."""
    return torch.stack([(real - d).flatten(1).norm(dim=1) for d in drawn]).amin(dim=0).mean()


def spread(residuals):
    return residuals.std(correction=0)


def first_images(model, data, split, count):
    """The first images of a split, as the model takes them, and their labels."""
    source = data.source(split)
    batch = data.prepare_batch(source[torch.arange(min(count, len(source)))], model)
    return batch["image"], batch["label"]
