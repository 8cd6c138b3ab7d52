"""FID by the tools that benchmarks/metrics.py compares, with one Inception of random weights."""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor
from torchvision.io import decode_image

from zoo.metrics.extractors.base import load_extractor
from zoo.metrics.extractors.inception import network
from zoo.metrics.frechet import Moments, frechet_distance

BATCH = 64


def write_random_weights(path: str | Path, seed: int = 0) -> str:
    """Write random Inception weights that keep the scale of activations (He et al. 2015).

    The parameters of batch norms are random too, so that a skipped one changes the result.

    Args:
        path: The file to write.
        seed: Seed of the weights.

    Returns:
        The file's sha256.
    """
    generator = torch.Generator().manual_seed(seed)
    shapes = {name: value.shape for name, value in network().state_dict().items()}
    shapes |= {"fc.weight": torch.Size([1008, 2048]), "fc.bias": torch.Size([1008])}
    state = {name: _random(name, shape, generator) for name, shape in shapes.items()}
    torch.save(state, path)
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _random(name: str, shape: tuple[int, ...], generator: Generator) -> Tensor:
    noise = torch.randn(shape, generator=generator)
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    if name.endswith("conv.weight"):
        return noise * math.sqrt(2 / math.prod(shape[1:]))
    if name.endswith(("bn.weight", "running_var")):
        return 1 + 0.1 * noise.abs()
    return noise * (0.03 if name == "fc.weight" else 0.1)


def _read(folder: str) -> Tensor:
    """Read a folder of PNG files as uint8 (N, 3, H, W)."""
    return torch.stack([decode_image(str(file)) for file in sorted(Path(folder).glob("*.png"))])


# A tool is a generator that takes the two folders of images, the weights' file and its sha256. It
# yields None when its network is built, None when it has the statistics, and then the FID.
Steps = Iterator[float | None]


def zoo(folders: Sequence[str], weights: str, sha256: str, **options: Any) -> Steps:
    """Measure with zoo.metrics; `options` are those of the extractor."""
    settings = {"_target_": "inception", "weights": weights, "sha256": sha256} | options
    extractor = load_extractor(settings)
    if options.get("compile"):
        extractor(_read(folders[0])[:1])
    yield None
    real, fake = (Moments.of(extractor(_read(folder))) for folder in folders)
    yield None
    yield frechet_distance(real, fake)


def torch_fidelity(folders: Sequence[str], weights: str, sha256: str) -> Steps:
    """Measure with torch-fidelity."""
    from torch_fidelity import metric_fid
    from torch_fidelity.utils import create_feature_extractor

    options = {"input1": folders[0], "input2": folders[1], "cuda": False, "cache": False}
    options |= {"save_cpu_ram": True, "verbose": False}  # save_cpu_ram: no loading processes
    options |= {"feature_extractor_weights_path": weights}
    extractor = create_feature_extractor("inception-v3-compat", ["2048"], **options)
    yield None
    real, fake = (
        metric_fid.fid_input_id_to_statistics(i, extractor, "2048", **options) for i in (1, 2)
    )
    yield None
    yield metric_fid.fid_statistics_to_metric(real, fake, False)["frechet_inception_distance"]


def torchmetrics(folders: Sequence[str], weights: str, sha256: str) -> Steps:
    """Measure with torchmetrics."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature_extractor_weights_path=weights)
    yield None
    with torch.no_grad():
        for folder, real in zip(folders, (True, False), strict=True):
            for images in _read(folder).split(BATCH):
                metric.update(images, real=real)
        yield None
        yield metric.compute().item()


def pytorch_fid(folders: Sequence[str], weights: str, sha256: str) -> Steps:
    """Measure with pytorch-fid."""
    from pytorch_fid import fid_score, inception

    inception.load_state_dict_from_url = lambda *_, **__: torch.load(weights, weights_only=True)
    fid_score.tqdm = lambda batches: batches
    model = inception.InceptionV3()
    yield None
    real, fake = (
        fid_score.compute_statistics_of_path(folder, model, 50, 2048, "cpu", num_workers=0)
        for folder in folders
    )
    yield None
    yield float(fid_score.calculate_frechet_distance(*real, *fake))


TOOLS: dict[str, Callable[..., Steps]] = {
    "torch-fidelity": torch_fidelity,
    "torchmetrics": torchmetrics,
    "pytorch-fid": pytorch_fid,
    "zoo": zoo,
    "zoo, resize=torch_antialias": partial(zoo, resize="torch_antialias"),
    "zoo, resize=torch": partial(zoo, resize="torch"),
    "zoo, compile": partial(zoo, compile=True),
    "zoo, bfloat16": partial(zoo, precision="bfloat16"),
    "zoo, bfloat16, compile": partial(zoo, precision="bfloat16", compile=True),
}
