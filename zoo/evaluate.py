"""Measure a model: python -m zoo.evaluate checkpoint=wgan_digits"""

import json
from pathlib import Path


def evaluate(
    checkpoint: str,
    data: str | None = None,
    extractor: str = "digits",
    count: int = 2000,
    seed: int = 0,
    out: str | None = None,
    device: str = "cpu",
):
    """Prints the metrics of a model as JSON, with their protocol.

    checkpoint: name of a pretrained model, a run's folder, or a checkpoint file
    data: name of the data to compare with; by default those the model was trained on
    out: file to write the JSON to as well
    """
    import zoo
    from zoo.catalog import describe
    from zoo.checkpoints import data_of
    from zoo.metrics.extractors import load_extractor
    from zoo.metrics.fid import fid_name, generated_moments, real_moments
    from zoo.metrics.frechet import frechet_distance
    from zoo.training import build, told_to_the_user

    with told_to_the_user():
        model = zoo.load(checkpoint).to(device)
        network = load_extractor(extractor).to(device)
        node = {"_target_": describe("data", data).target} if data else data_of(checkpoint)
        images = build(node)
        images.prepare_data()
        images.setup("fit")
    reference, test = (real_moments(network, images, split) for split in ("train", "test"))
    fake = generated_moments(network, model, count, seed)
    result = {
        "checkpoint": checkpoint,
        "model": f"{type(model).__module__}.{type(model).__qualname__}",
        "data": images.name,
        "metrics": {
            fid_name(extractor, count): frechet_distance(reference, fake),
            f"real_fid_{extractor}": frechet_distance(reference, test),
        },
        "protocol": {
            "reference": f"{reference.count} training images",
            "real_fid": f"{test.count} test images against the reference",
            "count": count,
            "seed": seed,
            "extractor": extractor,
        },
    }
    text = json.dumps(result, indent=2)
    print(text)
    if out:
        Path(out).write_text(text)
    return result


if __name__ == "__main__":
    from zoo.cli import main

    main(evaluate)
