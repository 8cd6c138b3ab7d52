"""Errors of predicted quadrants of images, compared with baselines."""

from typing import Any

from torch import Tensor

from zoo.metrics.nearest_neighbors import neighbors


def completion_errors(model: Any, data: Any, split: str) -> dict[str, float]:
    """Measure the hidden pixels of a split's images.

    Args:
        model: A QuadrantVAE.
        data: The data module.
        split: "val" or "test".

    Returns:
        nats_baseline_...: -log p under the baseline network. wrong_...: share of hidden pixels with
        the wrong level, for three predictions. wrong_neighbor_... is the training image with the
        most similar visible pixels, wrong_guess_... the baseline's guess, and wrong_sample_... one
        sample. With one visible quadrant, names end in _given_quadrants1_SPLIT. {} for an empty
        split.
    """
    hidden = model.hidden.cpu()

    def visible(images: Tensor) -> Tensor:
        return images.masked_fill(hidden, 0)

    train = data.source("train")
    nll, wrong, count = 0.0, {"neighbor": 0, "guess": 0, "sample": 0}, 0
    for batch in data.loader(split):
        images = batch["image"]
        references = (visible(b["image"]) for b in data.loader("train"))
        _, nearest = neighbors(visible(images), references)
        real = data.prepare_batch(batch, model)["image"]
        found = {
            "neighbor": data.prepare_batch(train[nearest[:, 0]], model)["image"],
            "guess": model.guess(real),
            "sample": model.sample(len(real), {"image": real}),
        }
        for name, predicted in found.items():
            differs = (predicted > 0) != (real > 0)
            wrong[name] += int((differs & model.hidden).sum())
        nll += model.baseline_nll({"image": real}).sum().item()
        count += len(images)
    if not count:
        return {}
    numbers = {"nats_baseline": nll / count}
    numbers |= {f"wrong_{name}": w / (count * model.dimensions) for name, w in wrong.items()}
    condition = "_".join(model.condition_parts)
    return {f"{name}_given_{condition}_{split}": number for name, number in numbers.items()}
