"""What benchmarks/metrics.py compares: FID by several tools, by one Inception of random weights."""

import hashlib
import math
from functools import partial
from pathlib import Path

import torch
from torch import Generator
from torchvision.io import decode_image

from zoo.metrics.extractors.base import load_extractor
from zoo.metrics.extractors.inception import network
from zoo.metrics.frechet import Moments, frechet_distance

BATCH = 64


def write_random_weights(path, seed: int = 0):
    """Writes Inception weights that keep the scale of activations (He et al. 2015); their sha256.

    The values of batch norms are spread too, so that none can be left out unnoticed.
    """
    generator = torch.Generator().manual_seed(seed)
    shapes = {name: value.shape for name, value in network().state_dict().items()}
    shapes |= {"fc.weight": torch.Size([1008, 2048]), "fc.bias": torch.Size([1008])}
    state = {name: _random(name, shape, generator) for name, shape in shapes.items()}
    torch.save(state, path)
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _random(name: str, shape: tuple[int, ...], generator: Generator):
    noise = torch.randn(shape, generator=generator)
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    if name.endswith("conv.weight"):
        return noise * math.sqrt(2 / shape[1:].numel())
    if name.endswith(("bn.weight", "running_var")):
        return 1 + 0.1 * noise.abs()
    return noise * (0.03 if name == "fc.weight" else 0.1)


def _read(folder: Path):
    """uint8 (N, 3, H, W) of a folder of PNG files."""
    return torch.stack([decode_image(str(file)) for file in sorted(Path(folder).glob("*.png"))])


# A tool yields when its network is built, when it has the statistics, and then its number.


def ours(folders, weights, sha256, **options):
    settings = {"_target_": "inception", "weights": weights, "sha256": sha256} | options
    extractor = load_extractor(settings)
    if options.get("compile"):
        extractor(_read(folders[0])[:1])
    yield
    moments = [Moments.of(extractor(_read(folder))) for folder in folders]
    yield
    yield frechet_distance(*moments)


def torch_fidelity(folders, weights, sha256):
    from torch_fidelity import metric_fid
    from torch_fidelity.utils import create_feature_extractor

    options = {"input1": folders[0], "input2": folders[1], "cuda": False, "cache": False}
    options |= {"save_cpu_ram": True, "verbose": False}  # save_cpu_ram: no loading processes
    options |= {"feature_extractor_weights_path": weights}
    extractor = create_feature_extractor("inception-v3-compat", ["2048"], **options)
    yield
    found = [metric_fid.fid_input_id_to_statistics(i, extractor, "2048", **options) for i in (1, 2)]
    yield
    yield metric_fid.fid_statistics_to_metric(*found, False)["frechet_inception_distance"]


def torchmetrics(folders, weights, sha256):
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature_extractor_weights_path=weights)
    yield
    with torch.no_grad():
        for folder, real in zip(folders, (True, False), strict=True):
            for images in _read(folder).split(BATCH):
                metric.update(images, real=real)
        yield
        yield metric.compute().item()


def pytorch_fid(folders, weights, sha256):
    from pytorch_fid import fid_score, inception

    inception.load_state_dict_from_url = lambda *_, **__: torch.load(weights, weights_only=True)
    fid_score.tqdm = lambda batches: batches
    model = inception.InceptionV3()
    yield
    found = [
        fid_score.compute_statistics_of_path(folder, model, 50, 2048, "cpu", num_workers=0)
        for folder in folders
    ]
    yield
    yield float(fid_score.calculate_frechet_distance(*found[0], *found[1]))


TOOLS = {
    "torch-fidelity": torch_fidelity,
    "torchmetrics": torchmetrics,
    "pytorch-fid": pytorch_fid,
    "ours": ours,
    "ours, resize=torch_antialias": partial(ours, resize="torch_antialias"),
    "ours, resize=torch": partial(ours, resize="torch"),
    "ours, compile": partial(ours, compile=True),
    "ours, bfloat16": partial(ours, precision="bfloat16"),
    "ours, bfloat16, compile": partial(ours, precision="bfloat16", compile=True),
}
