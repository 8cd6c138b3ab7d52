"""Export a model: `python -m zoo.export checkpoint=outputs/... out=wgan_digits`."""

FORMATS = ("safetensors", "onnx", "torch_export")


def export(
    checkpoint: str,
    out: str | None = None,
    hub: str | None = None,
    private: bool = False,
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
    with the model after it is written. Autoregressive models have no sampling network.

    hub=user/repo uploads the safetensors format to the Hugging Face Hub in one commit, with a model
    card and a figure of samples. zoo.load("hf://user/repo") loads it. With out=..., the files are
    also kept.

    Args:
        checkpoint: Name of a pretrained model, a run's folder (its best checkpoint), a checkpoint
            file, or hf://user/repo[@revision].
        out: Path of the files without their extensions. zoo.load and zoo.sample accept <out>.json.
        hub: Repository on the Hugging Face Hub, user/repo or user/repo@branch. It is created if it
            does not exist. Log in with `hf auth login` or HF_TOKEN.
        private: Create a private repository. An existing public repository is refused.
        format: One of the formats above.
        half: Store weights as float16, in half the space. They are float32 again when loaded.
        golden: Also store the first four samples, so that a test can notice when the code changes
            the model. A conditional model takes conditions from its test data.
        trust: A package, or a list [A,B], whose classes the checkpoint may use (docs/security.md).
    """
    from zoo.config.errors import UserError, unknown
    from zoo.config.trust import trusting
    from zoo.runs.exports import export_model
    from zoo.runs.hub import SCHEME
    from zoo.runs.loaded_checkpoint import read
    from zoo.runs.publishing import publish
    from zoo.runs.sampler_export import export_sampler

    if format not in FORMATS:
        raise unknown("format=", format, FORMATS)
    if private and hub is None:
        raise UserError("private=true needs hub=user/repo.")
    options = {"half": half, "golden": golden, "hub": hub}
    chosen = [name for name, value in options.items() if value]
    if format != "safetensors" and chosen:
        raise UserError(f"format={format} does not accept {' or '.join(chosen)}.")
    with trusting(trust):
        if hub is not None:
            address = f"{SCHEME}{hub.removeprefix(SCHEME)}"
            print(publish(checkpoint, address, out, half, golden, private))
        elif out is None:
            raise UserError("Set out=PATH, hub=user/repo, or both.")
        elif format == "safetensors":
            export_model(checkpoint, out, half, golden)
            print(f"{out}.safetensors, {out}.json")
        else:
            print("{}: {}".format(*export_sampler(read(checkpoint), out, format)))


if __name__ == "__main__":
    from zoo.config.cli import main

    main(export)
