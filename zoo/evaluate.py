"""Measure a model or a folder of images: `python -m zoo.evaluate checkpoint=wgan_digits`."""

import sys
from types import SimpleNamespace
from typing import Annotated, Any

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
    statistics: str | None = None,
    paths: Annotated[int, "[0, inf)"] = 0,
    accelerator: str = "auto",
    devices: int = 1,
    threads: int | None = None,
    trust: str | tuple[str, ...] = (),
) -> dict:
    """Compute FID and other metrics of samples or images, and print a table and JSON.

    Metrics specific to the model are included, such as its likelihood or the accuracy of requested
    classes. For data without an extractor, such as audio, only these metrics
    are measured.

    Features are cached in $ZOO_CACHE, so an interrupted evaluation continues where it stopped.
    Results do not depend on the number of devices.

    Args:
        checkpoint: Name of a pretrained model, a run's folder, a checkpoint file, or
            hf://user/repo[@revision].
        images: A folder of images or an .npz file, instead of a checkpoint.
        data: Real images, data=NAME data.KEY=VALUE; by default the data of training.
        reference: A folder of images, or an .npz file of images or of statistics (mu and sigma, as
            pytorch-fid writes them, for FID only), instead of data.
        metrics: Some of [fid,kid,is,prdc,mifid]; by default all that the extractor
            supports, except mifid.
        count: Number of images to measure; by default that of the extractor, or the whole folder.
        extractor: extractor=NAME extractor.KEY=VALUE; the default depends on the data.
        seed: Seed of the samples.
        out: File to which the JSON is also written.
        statistics: An .npz file to which the mean and covariance of the real images' features are
            written, for a later reference=FILE.
        paths: Number of paths between latents for the perceptual path length; 0 does not measure
            it.
        accelerator: cpu, gpu, mps, or auto for the best one available.
        devices: Number of devices.
        threads: Number of CPU threads per process; by default torch chooses.
        trust: A package, or a list [A,B], whose classes the checkpoint may use (docs/security.md).
    """
    args = SimpleNamespace(**locals())
    check_choices(checkpoint, images, data, reference)
    from zoo.config.trust import trusting
    from zoo.engine.distributed import on_all_ranks
    from zoo.runs import comparison, real_images
    from zoo.runs.launch import launch_fabric
    from zoo.runs.loaded_checkpoint import read

    fabric = launch_fabric(accelerator, devices, threads)
    with trusting(trust):
        loaded = on_all_ranks(read, checkpoint) if checkpoint else None
        real = real_images.open_real(loaded, data, reference)
        needs_features = metrics or extractor or statistics or paths
        if loaded and not (needs_features or real.origin.extractor):
            result = comparison.without_features(loaded, real, seed, fabric.device)
            if count and fabric.is_global_zero:
                print(f"count={count} is not used: {real.name} has no extractor.", file=sys.stderr)
        else:
            result = compare(args, loaded, real, fabric.device)
    result = {"measured": checkpoint or images, **result}
    if fabric.is_global_zero:
        report(result, out)
    return result


def compare(args: SimpleNamespace, checkpoint: Any, real: Any, device: Any) -> dict:
    """Compare what the arguments name with real images, by their features.

    Args:
        args: The arguments of `evaluate`.
        checkpoint: The LoadedCheckpoint; None for stored images.
        real: The RealImages.
        device: Where networks run.

    Returns:
        {"metrics": {name: number}, "protocol": how they were measured}.
    """
    from zoo.engine.distributed import local_rank_zero_first, on_all_ranks
    from zoo.metrics.extractors.base import load_extractor
    from zoo.runs import comparison, real_images, subjects

    choice = real_images.choose_extractor(args.extractor, real)
    network = local_rank_zero_first(load_extractor, choice).to(device)
    if checkpoint:
        count = args.count or network.count
        arguments = checkpoint, count, args.seed, real, device
        subject = on_all_ranks(subjects.sampled_images, *arguments)
    else:
        subject = on_all_ranks(subjects.stored_images, args.images, args.count, real)
    metrics = comparison.choose_comparison(args.metrics, network, subject, real)
    if args.paths:
        comparison.check_paths(network, real, subject)
    if args.statistics:
        real_images.save_statistics(network, real, args.statistics)
    numbers = comparison.compare(network, real, subject, metrics, args.seed)
    if args.paths:
        numbers |= comparison.path_lengths(network, real, subject, args.paths, args.seed)
    extractor = {k: v for k, v in (args.extractor or {}).items() if k != "_target_"}
    return {
        "metrics": numbers,
        "protocol": {
            "reference": real.described,
            "extractor": network.name,
            "extractor_settings": extractor,
            "image_size": None if real.statistics else real_images.size_of(real.train),
            "count": subject.count,
            "seed": args.seed,
        },
    }


def check_choices(
    checkpoint: str | None, images: str | None, data: dict | None, reference: str | None
) -> None:
    """Check that the arguments say what to measure, and what to compare it with.

    Raises:
        UserError: They do not.
    """
    from zoo.config.errors import UserError

    if (checkpoint is None) == (images is None):
        raise UserError("Set either checkpoint=... or images=FOLDER, the samples to measure.")
    if data is not None and reference is not None:
        raise UserError("Set either data=... or reference=FOLDER, the images to compare with.")
    if images is not None and reference is None and "_target_" not in (data or {}):
        raise UserError("Set data=NAME or reference=FOLDER, the images to compare with.")


def report(result: dict, out: str | None) -> None:
    """Print the numbers as a table on stderr, and as JSON on stdout; also write it to `out`."""
    width = max(map(len, result["metrics"]))
    for name, value in result["metrics"].items():
        print(f"  {name:<{width}} {value:.6g}", file=sys.stderr)
    write_json(result, out)


if __name__ == "__main__":
    main(evaluate)
