"""Measure a model: python -m zoo.evaluate checkpoint=wgan_digits"""

import json
from pathlib import Path


def evaluate(
    checkpoint: str,
    data: str | None = None,
    extractor: str | None = None,
    count: int = 2000,
    seed: int = 0,
    out: str | None = None,
    device: str = "cpu",
):
    """Prints the metrics of a model as JSON, with their protocol.

    checkpoint: name of a pretrained model, a run's folder, or a checkpoint file
    data: name of the data to compare with; by default those the model was trained on
    extractor: name of the feature extractor; by default that of the data
    out: file to write the JSON to as well
    """
    from zoo.base import dotted_path
    from zoo.checkpoints import find, load_data, load_on, new_data
    from zoo.errors import UserError

    model = load_on(checkpoint, device)
    images = new_data(data) if data else load_data(checkpoint)
    images.prepare_data()
    extractor = extractor or images.extractor
    if extractor is None:
        raise UserError(f"No extractor is made for {images.name}: say extractor=digits.")
    metrics, protocol = measure(model, images, extractor, count, seed)
    result = {
        "checkpoint": str(find(checkpoint)),
        "model": dotted_path(model),
        "data": images.name,
        "metrics": metrics,
        "protocol": protocol,
    }
    text = json.dumps(result, indent=2)
    print(text)
    if out:
        Path(out).write_text(text)
    return result


def measure(model, data, extractor, count, seed):
    """(metrics, protocol) of a model against a datamodule, both as dicts."""
    from zoo.metrics.extractors import load_extractor
    from zoo.metrics.fid import fid_name, generated_moments, real_moments
    from zoo.metrics.frechet import frechet_distance

    network = load_extractor(extractor).to(model.device)
    reference, test = (real_moments(network, data, split) for split in ("train", "test"))
    fake = generated_moments(network, model, count, seed)
    metrics = {
        fid_name(extractor, count): frechet_distance(reference, fake),
        f"real_fid_{extractor}": frechet_distance(reference, test),
    }
    protocol = {
        "reference": f"{reference.count} training images",
        "real_fid": f"{test.count} test images against the reference",
        "count": count,
        "seed": seed,
        "extractor": extractor,
    }
    return metrics, protocol


if __name__ == "__main__":
    from zoo.cli import main

    main(evaluate)
