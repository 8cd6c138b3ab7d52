"""Fréchet distance of a model's samples, the same number for any number of processes."""

from zoo.metrics.frechet import Moments
from zoo.sample import draw


def fid_name(extractor, count):
    """'fid_digits_2k': the extractor and the number of samples are part of the name."""
    return f"fid_{extractor}_{count // 1000}k" if count % 1000 == 0 else f"fid_{extractor}_{count}"


def real_moments(extractor, data, split, trainer=None):
    """Moments of the features of all images of a split ('train' or 'test')."""
    rank, world_size = place(trainer)
    loader = data.loader(split, rank=rank, world_size=world_size)
    return _moments(extractor, (batch["image"] for batch in loader), trainer)


def generated_moments(extractor, model, count, seed, trainer=None):
    """Moments of the features of `count` samples."""
    rank, world_size = place(trainer)
    with model.evaluating():
        images = draw(model, count, seed, rank=rank, world_size=world_size)
        return _moments(extractor, images, trainer)


def place(trainer):
    """(rank, world size) of this process; (0, 1) without a trainer."""
    return (trainer.global_rank, trainer.world_size) if trainer else (0, 1)


def _moments(extractor, batches, trainer):
    device = next(extractor.parameters()).device
    moments = Moments(extractor.num_features)
    for images in batches:
        moments.update(extractor(images.to(device)).cpu())
    if trainer is None:
        return moments
    state = trainer.strategy.reduce(moments.state.to(device), reduce_op="sum")
    return Moments(extractor.num_features, state.cpu())
