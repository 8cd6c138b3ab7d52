"""Sampling in chunks: a sample depends on the seed and its index, on any number of processes."""

from collections.abc import Iterator, Mapping
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from zoo.config.ranges import range_of
from zoo.engine.conditions import check_conditions, draw_labels, refused_key, to_model
from zoo.engine.seeds import reseed
from zoo.engine.truncation import truncated

CHUNK = 100  # samples drawn at once by default; chunk c depends only on the seed and on c


def draw(
    model: Any,
    count: int,
    seed: int = 0,
    condition: dict[str, Tensor] | None = None,
    rank: int = 0,
    world_size: int = 1,
    batch_size: int | None = None,
    truncation: float = 1.0,
) -> Iterator[Tensor]:
    """Yield samples (n, ...) of a model, `count` over all processes. Call it in `evaluating`.

    Chunk c belongs to process c mod world_size.

    Args:
        model: A GenerativeModule.
        count: Number of samples.
        seed: Seed of the samples.
        condition: A batch with `count` of each condition.
        rank: This process.
        world_size: Number of processes.
        batch_size: Samples drawn at once, by default CHUNK; the samples depend on it.
        truncation: See zoo.engine.truncation.
    """
    batch_size = batch_size or CHUNK
    for chunk, start in enumerate(range(0, count, batch_size)):
        if chunk % world_size != rank:
            continue
        stop = min(start + batch_size, count)
        part = condition and {name: values[start:stop] for name, values in condition.items()}
        yield draw_chunk(model, seed, chunk, stop - start, part, truncation)


def draw_chunk(
    model: Any,
    seed: int,
    chunk: int,
    count: int,
    condition: dict[str, Tensor] | None = None,
    truncation: float = 1.0,
) -> Tensor:
    """Draw the samples (count, ...) of one chunk, a function of the seed and its number."""
    reseed(model.device, seed, chunk)
    if truncation < 1:
        condition = truncated(model, count, condition, truncation)
    return model.sample(count, condition)


def latents_of_samples(
    model: Any, count: int, seed: int, condition: dict[str, Tensor] | None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the latents (count, Z) of the samples that `draw` yields, and all their conditions.

    A model draws latents first, then the labels that it was not conditioned on. Conditions that
    the latents replace are left out.

    Args:
        model: A model with latents.
        count: Number of samples.
        seed: Seed of the samples.
        condition: Conditions of the samples, or None; may hold `latent`.
    """
    condition = condition or {}
    replaced = [name for name in model.latent_conditions if name in condition]
    draws_labels = "label" in model.needs and model.hparams.get("classes")
    found: dict[str, list[Tensor]] = {}
    for chunk, start in enumerate(range(0, count, CHUNK)):
        reseed(model.device, seed, chunk)
        size = min(CHUNK, count - start)
        part = {name: condition[name][start : start + size] for name in replaced}
        if "latent" not in condition:
            latents = model.latents(size, part) if part else model.prior(size)
            found.setdefault("latent", []).append(latents)
        if draws_labels and "label" not in (*condition, *model.latent_conditions):
            found.setdefault("label", []).append(draw_labels(model, size))
    conditions = condition | {name: torch.cat(chunks) for name, chunks in found.items()}
    if "latent" not in condition:
        conditions = {name: values for name, values in conditions.items() if name not in replaced}
    return conditions["latent"], conditions


def check_numbers(count: Any, seed: Any, batch_size: Any, truncation: Any) -> None:
    """Check the numbers of `zoo.generate`, whose ranges are those of `zoo.sample`.

    Raises:
        ValueError: One is out of its range, or no number.
    """
    numbers = {"count": count, "seed": seed, "batch_size": batch_size, "truncation": truncation}
    if batch_size is None:
        del numbers["batch_size"]
    for name, value in numbers.items():
        kind, what = (Real, "a number") if name == "truncation" else (Integral, "an integer")
        if isinstance(value, bool) or not isinstance(value, kind):
            raise ValueError(f"{name}={value!r} must be {what}.")
        if limits := range_of(name, None):
            limits.check(value if isinstance(value, int) else float(value), name)


def generate(
    model: Any,
    count: int,
    seed: int = 0,
    condition: dict[str, Tensor] | None = None,
    batch_size: int | None = None,
    truncation: float = 1.0,
) -> Tensor:
    """Draw samples (count, ...) on the CPU. See `zoo.generate`."""
    if isinstance(condition, Mapping) and (refused := refused_key(model, condition)):
        raise ValueError(refused)
    check_conditions(model, count, condition)
    condition = condition and to_model(model, condition)
    with model.evaluating():
        parts = draw(model, count, seed, condition, batch_size=batch_size, truncation=truncation)
        return torch.cat([part.cpu() for part in parts])
