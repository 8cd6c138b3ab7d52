"""Measure pretrained models under one protocol: equal counts, several seeds, noise of their own."""

import re
import time
from typing import Any

import torch

from zoo.config import catalog
from zoo.engine.conditions import conditions_of
from zoo.engine.sampling import generate
from zoo.engine.seeds import key
from zoo.metrics import nearest_neighbors
from zoo.metrics.compute import count_name
from zoo.metrics.extractors.base import load_extractor
from zoo.metrics.feature_metrics import unsupported_reason
from zoo.runs import comparison, real_images
from zoo.runs.checkpoints import load_model
from zoo.runs.leaderboard_files import Entry
from zoo.runs.loaded_checkpoint import LoadedCheckpoint, read
from zoo.runs.real_images import RealImages
from zoo.runs.subjects import sampled_images

METRICS = ("fid", "kid", "prdc")
SAMPLES = 1000  # for the sampling time and the test of copying
BUDGET = re.compile(r"([\d.,]+)(?: to [\d.,]+)? (s|seconds?|minutes?|hours?) on one CPU thread")
SECONDS = {"s": 1, "m": 60, "h": 3600}


def measure(name: str, seeds: tuple[int, ...], device: torch.device) -> Entry:
    """Measure a pretrained model.

    The noise of the samples depends on the seed. It differs from the noise that selected the
    checkpoint, and from that of the values in the recipe's header for other seeds than the run's.

    Args:
        name: Name of the pretrained model.
        seeds: Seeds of the evaluation.
        device: Where networks run.
    """
    loaded = read(name)
    real = real_images.open_real(loaded, None, None)
    model = load_model(loaded)  # on the CPU, whose time is measured
    values: dict[str, list[float]] = {}
    for seed in seeds:
        numbers = compared(loaded, real, seed, device) | timed_samples(model, real, seed)
        for metric, value in numbers.items():
            values.setdefault(metric, []).append(value)
    values["parameters"] = [sum(parameter.numel() for parameter in model.parameters())]
    if minutes := training_minutes(name):
        values["training_minutes"] = [minutes]
    size = "x".join(map(str, real_images.size_of(real.train))) if has_images(real) else ""
    data = f"{real.data.name} {size}".strip()
    return Entry(name, type(model).__module__.rpartition(".")[2], data, values)


def has_images(real: RealImages) -> bool:
    """Return whether the real samples are images."""
    return "image" in real.data.provides


def compared(
    loaded: LoadedCheckpoint, real: RealImages, seed: int, device: torch.device
) -> dict[str, float]:
    """Measure a model by features if the extractor's weights are found, else without them."""
    network = None
    if has_images(real) and real.origin.extractor:
        try:
            network = load_extractor(real_images.choose_extractor(None, real)).to(device)
        except FileNotFoundError as error:
            print(f"{loaded.path.stem} is measured without features: {error}")
    if network is None:
        return comparison.own_metrics(load_model(loaded).to(device), real, seed)
    subject = sampled_images(loaded, network.count, seed, real, device)
    metrics = tuple(m for m in METRICS if not unsupported_reason(m, network, subject.count))
    return comparison.compare(network, real, subject, metrics, seed)


def timed_samples(model: Any, real: RealImages, seed: int) -> dict[str, float]:
    """Measure the CPU time per sample, and whether samples are copies of training images.

    Args:
        model: The model, on the CPU: the time of an accelerator would not be measured.
        real: The real samples.
        seed: Seed of the evaluation.

    Returns:
        {"sampling_ms": CPU milliseconds per sample in batches of 100, "copying_z_1k": Z_U in pixel
        space}. Copying is measured for images that are sampled unconditionally or by class only.
    """
    seed = key(seed, "leaderboard")
    condition = conditions_of(model, real.data, SAMPLES)
    warm_up = condition and {name: values[:100] for name, values in condition.items()}
    generate(model, 100, seed, warm_up)
    begin = time.process_time()
    samples = generate(model, SAMPLES, seed, condition)
    numbers = {"sampling_ms": (time.process_time() - begin) / SAMPLES * 1000}
    if has_images(real) and set(model.conditions) <= {"label"}:
        numbers |= copying(real, samples)
    return numbers


def copying(real: RealImages, samples: torch.Tensor) -> dict[str, float]:
    """Return Z_U of samples, in pixel space. See zoo.metrics.nearest_neighbors.copying."""
    if not real.test:
        return {}
    data, test = real.data, nearest_neighbors.held_out_images(real.test)
    if test.dtype != torch.uint8:
        return {}
    near, held_out = (
        nearest_neighbors.neighbors(images, (batch["image"] for batch in data.loader("train")))[0][
            :, 0
        ]
        for images in (data.denormalize(samples), test)
    )
    name = f"copying_z_{count_name(len(samples))}"
    return {name: nearest_neighbors.copying(near, held_out).z}


def training_minutes(recipe: str) -> float | None:
    """Return the training time on one CPU thread in a recipe's header; None if it has none.

    Args:
        recipe: Name of the recipe.
    """
    header = catalog.recipes()[recipe].read_text(encoding="utf-8").replace("\n# ", " ")
    found = BUDGET.search(header)
    return float(found[1].replace(",", "")) * SECONDS[found[2][0]] / 60 if found else None
