"""Measure a model or a folder of images: python -m zoo.evaluate checkpoint=wgan_digits"""

import sys
from types import SimpleNamespace

from zoo.config.cli import main, write_json
from zoo.config.ranges import in_range


@in_range
def evaluate(
    checkpoint: str | None = None,
    images: str | None = None,
    data: dict | None = None,
    reference: str | None = None,
    metrics: tuple[str, ...] | None = None,
    count: int | None = None,
    extractor: dict | None = None,
    seed: int = 0,
    out: str | None = None,
    accelerator: str = "auto",
    devices: int = 1,
    trust: str | tuple[str, ...] = (),
):
    """Says how far images are from real ones: a table for the eye, JSON with the protocol.

    A model adds the numbers that only it has, such as how many samples are of the class asked for,
    and its likelihood; of data without an extractor, such as audio, these are all.

    checkpoint: name of a pretrained model, a run's folder, or a checkpoint file; or
    images: a folder of images or an .npz file, made by whatever
    data: the real images, data=NAME data.KEY=VALUE; by default those the model was trained on
    reference: a folder of images or an .npz file, instead of data
    metrics: among [fid,kid,is,prdc]; by default all that the extractor can serve
    count: images to measure; by default as many as the extractor wants, or the folder has
    extractor: extractor=NAME extractor.KEY=VALUE; by default the one that the data name
    out: file to write the JSON to as well
    accelerator, devices: Lightning's; the numbers do not depend on how many devices there are
    trust: a package, or [A,B], whose classes the checkpoint may name; see docs/security.md

    Features are kept in $ZOO_CACHE: broken off and begun again, it goes on where it was.
    """
    said = SimpleNamespace(**locals())
    check_choices(checkpoint, images, data, reference)
    from zoo.config.trust import trusting
    from zoo.runs import comparison

    fabric = comparison.launched(accelerator, devices)
    with trusting(trust):
        real = comparison.open_real(checkpoint, data, reference)
        if checkpoint and not (metrics or count or extractor or real.origin.extractor):
            result = comparison.without_features(checkpoint, real, seed, fabric.device)
        else:
            result = compared(said, real, fabric.device)
    if fabric.is_global_zero:
        tell(result, out)
    return result


def compared(said, real, device):
    """What the settings that are `said` name, by its features beside those of real images."""
    from zoo.engine.distributed import local_rank_zero_first, on_all_ranks
    from zoo.metrics.compute import chosen
    from zoo.metrics.extractors.base import check_purpose
    from zoo.runs import comparison

    network = local_rank_zero_first(comparison.open_extractor, said.extractor, real).to(device)
    first = comparison.first_images(real.train)
    check_purpose(network, first)
    if said.checkpoint:
        count = said.count or network.count
        subject = on_all_ranks(comparison.samples, said.checkpoint, count, said.seed, real, device)
    else:
        subject = on_all_ranks(comparison.images, said.images, said.count, real)
    count, features, model = subject
    metrics = chosen(said.metrics, network, count, tuple(first.shape[1:]))
    extractor = {k: v for k, v in (said.extractor or {}).items() if k != "_target_"}
    return {
        "measured": said.checkpoint or said.images,
        "metrics": comparison.compare(network, real, features, count, metrics, said.seed, model),
        "protocol": {
            "reference": f"{len(real.train)} images of {real.name}",
            "extractor": network.name,
            "extractor_settings": extractor,
            "image_size": comparison.size_of(real.train),
            "count": count,
            "seed": said.seed,
        },
    }


def check_choices(checkpoint, images, data, reference):
    """UserError unless these say what to measure, and against what."""
    from zoo.config.errors import UserError

    if (checkpoint is None) == (images is None):
        raise UserError("Say what to measure: checkpoint=... or images=FOLDER, one of them.")
    if data is not None and reference is not None:
        raise UserError("Say what to compare with: data=... or reference=FOLDER, one of them.")
    if images is not None and reference is None and "_target_" not in (data or {}):
        raise UserError("Say what to compare the images with: data=NAME or reference=FOLDER.")


def tell(result, out):
    """The numbers as a table on stderr, and as JSON on stdout and in the file `out`."""
    width = max(map(len, result["metrics"]))
    for name, value in result["metrics"].items():
        print(f"  {name:<{width}} {value:.6g}", file=sys.stderr)
    write_json(result, out)


if __name__ == "__main__":
    main(evaluate)
