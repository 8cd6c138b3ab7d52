"""Measure how the Fréchet distance of an extractor grows with damage to real images.

python -m experiments.corruption_study data=mnist data.root=FOLDER out=mnist.png

Test images are compared with the training images: unchanged, and with four kinds of corruption at
five strengths each. A useful distance grows with the strength. The distances of unchanged test
images are the floor, that of a perfect model. Where there are too few test images for the floor at
a number of samples, it is extrapolated, or left out. Needs matplotlib for out=FILE.
"""

import io
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from zoo.atomic_files import replacing
from zoo.config.cli import main, write_json
from zoo.config.ranges import in_range
from zoo.metrics.compute import real_metrics
from zoo.metrics.extractors.base import check_purpose, load_extractor
from zoo.metrics.features import Features, first_images, image_features
from zoo.metrics.frechet import frechet_distance
from zoo.runs.real_images import choose_extractor, open_real

FLOORS = (2000, 10000)  # numbers of samples


def noise(images: Tensor, labels: Tensor, strength: float) -> Tensor:
    """Add Gaussian noise with a standard deviation in gray levels.

    Args:
        images: uint8 (N, C, H, W).
        labels: Classes (N,), not used.
        strength: The standard deviation.
    """
    drawn = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    return (images + strength * drawn).round().clamp(0, 255).to(torch.uint8)


def blur(images: Tensor, labels: Tensor, strength: float) -> Tensor:
    """Blur with a Gaussian kernel.

    Args:
        images: uint8 (N, C, H, W).
        labels: Classes (N,), not used.
        strength: The standard deviation in pixels.
    """
    radius = min(int(4 * strength + 0.5), images.shape[-1] - 1)  # reflection needs more pixels
    return transforms.gaussian_blur(images, [2 * radius + 1] * 2, [strength] * 2)


def jpeg(images: Tensor, labels: Tensor, strength: float) -> Tensor:
    """Compress as JPEG.

    Args:
        images: uint8 (N, C, H, W).
        labels: Classes (N,), not used.
        strength: 100 minus the quality.
    """
    return torch.stack([_compressed(image, int(100 - strength)) for image in images])


def _compressed(image: Tensor, quality: int) -> Tensor:
    """Return an image (C, H, W) after JPEG compression."""
    file = io.BytesIO()
    transforms.to_pil_image(image).save(file, "JPEG", quality=quality)
    return transforms.pil_to_tensor(Image.open(file))


def mix(images: Tensor, labels: Tensor, strength: float) -> Tensor:
    """Blend each image with one of another class.

    Args:
        images: uint8 (N, C, H, W).
        labels: Classes (N,).
        strength: Weight of the other image.
    """
    # In the order of the classes, a shift by half the images reaches another class, unless more
    # than half of the images have one class.
    order = labels.argsort(stable=True)
    other = torch.empty_like(order)
    other[order] = order.roll(len(order) // 2)
    blended = torch.lerp(images.float(), images[other].float(), strength)
    return blended.round().to(torch.uint8)


Corruption = Callable[[Tensor, Tensor, float], Tensor]
CORRUPTIONS: dict[Corruption, tuple[float, ...]] = {
    noise: (8, 16, 32, 64, 128),
    blur: (0.4, 0.6, 0.8, 1.2, 2),
    jpeg: (20, 40, 60, 80, 95),
    mix: (0.1, 0.2, 0.3, 0.4, 0.5),
}


@in_range
def study(
    data: dict,
    extractor: dict | None = None,
    count: int = 2000,
    out: str | None = None,
) -> dict:
    """Print the distances of corrupted test images as JSON and as a table.

    Args:
        data: Labeled images, data=NAME data.KEY=VALUE.
        extractor: extractor=NAME extractor.KEY=VALUE; the default depends on the data.
        count: Number of corrupted test images, or all if there are fewer.
        out: A PNG file for the figure.
    """
    real = open_real(None, data, None)
    network = load_extractor(choose_extractor(extractor, real))
    check_purpose(network, first_images(real.train))
    source = real.test
    train, test = image_features(network, real.train), image_features(network, source)
    chosen = source[torch.randperm(len(source), generator=torch.Generator().manual_seed(0))[:count]]
    images, labels = chosen["image"], chosen["label"]
    result: dict[str, Any] = {
        "extractor": network.name,
        "reference": f"{len(train)} images of {real.name}",
        "count": len(images),
        "floor": floors(train, test, network),
        "unchanged": distance(train, network, images),
    }
    for corruption, strengths in CORRUPTIONS.items():
        result[corruption.__name__] = {
            str(strength): distance(train, network, corruption(images, labels, strength))
            for strength in strengths
        }
    write_json(result, None)
    print(table(result))
    if out:
        draw(result, Path(out))
    return result


def distance(real: Features, extractor: Any, images: Tensor) -> float:
    """Compute the Fréchet distance of images.

    Args:
        real: Features of the training images.
        extractor: The feature extractor.
        images: uint8 (N, C, H, W).
    """
    with torch.no_grad():
        features = torch.cat([extractor(part).flatten(1) for part in images.split(100)])
    return frechet_distance(real.reference_moments, Features(features, None).moments)


def floors(real: Features, test: Features, extractor: Any) -> dict[str, float]:
    """Compute the distance of unchanged test images at each number in FLOORS.

    Args:
        real: Features of the training images.
        test: Features of the test images.
        extractor: The feature extractor.

    Returns:
        {name of the metric: distance}. The name says if it is extrapolated, or of fewer images.
    """
    found: dict[str, float] = {}
    for count in FLOORS:
        found |= real_metrics(("fid",), real, test, extractor, count)
    return {name: value for name, value in found.items() if name.startswith("real_fid")}


def is_monotone(result: dict[str, Any], corruption: str) -> bool:
    """Return whether the distance grows from each strength of a corruption to the next.

    Args:
        result: The result of `study`.
        corruption: Its name.
    """
    distances = list(result[corruption].values())
    return all(a < b for a, b in pairwise(distances))


def table(result: dict[str, Any]) -> str:
    """Format a result as Markdown, with one row per corruption.

    Args:
        result: The result of `study`.
    """
    lines = ["| corruption | strengths | unchanged | distances | grows |", "|---|---|---|---|---|"]
    for corruption in CORRUPTIONS:
        name = corruption.__name__
        values = ", ".join(f"{value:.3g}" for value in result[name].values())
        grows = "yes" if is_monotone(result, name) else "no"
        strengths = ", ".join(result[name])
        lines += [f"| {name} | {strengths} | {result['unchanged']:.3g} | {values} | {grows} |"]
    return "\n".join(lines)


def draw(result: dict[str, Any], file: Path) -> None:
    """Draw the distances over the strengths, one line per corruption.

    Args:
        result: The result of `study`.
        file: The PNG file to write.
    """
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5, 3.5), layout="constrained")
    for corruption in CORRUPTIONS:
        name = corruption.__name__
        axes.plot([result["unchanged"], *result[name].values()], marker="o", label=name)
    axes.set(yscale="log", xlabel="strength", ylabel="Fréchet distance")
    axes.set_title(f"{result['extractor']}, {result['count']} images", fontsize="medium")
    axes.legend()
    with replacing(file) as target:
        figure.savefig(target, format="png", dpi=100)
    pyplot.close(figure)


if __name__ == "__main__":
    main(study)
