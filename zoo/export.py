"""Export a model: `python -m zoo.export checkpoint=outputs/... out=wgan_digits`."""

FORMATS = ("safetensors", "onnx", "torch_export")


def export(
    checkpoint: str,
    out: str,
    half: bool = False,
    golden: bool = False,
    format: str = "safetensors",
    trust: str | tuple[str, ...] = (),
) -> None:
    """Export a model to share it, or its sampling network for other runtimes.

    format=safetensors   <out>.safetensors and <out>.json: the whole model for zoo.load
    format=onnx          <out>.onnx: the sampling network for ONNX runtimes
    format=torch_export  <out>.pt2: the sampling network for torch.export.load, without this package

    A sampling network maps latents and conditions to samples, for any batch size. It is compared
    with the model after it is written. Models that sample one value after another have none.

    Args:
        checkpoint: A run's folder (its best checkpoint) or a checkpoint file.
        out: Path of the two files without their extensions. zoo.load and zoo.sample accept
            <out>.json.
        format: One of the formats above.
        half: Store weights as float16, in half the space. They are float32 again when loaded.
        golden: Also store the first four samples, so that a test can notice when the code changes
            the model. A conditional model takes conditions from its test data.
        trust: A package, or a list [A,B], whose classes the checkpoint may use (docs/security.md).
    """
    from zoo.config.errors import UserError, unknown
    from zoo.config.trust import trusting
    from zoo.runs.exports import export_model
    from zoo.runs.loaded_checkpoint import read
    from zoo.runs.sampler_export import export_sampler

    if format not in FORMATS:
        raise unknown("format=", format, FORMATS)
    if format != "safetensors" and (half or golden):
        raise UserError(f"format={format} does not accept half and golden.")
    with trusting(trust):
        if format == "safetensors":
            export_model(checkpoint, out, half, golden)
            print(f"{out}.safetensors, {out}.json")
        else:
            print("{}: {}".format(*export_sampler(read(checkpoint), out, format)))


if __name__ == "__main__":
    from zoo.config.cli import main

    main(export)
