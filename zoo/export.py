"""Export a model: `python -m zoo.export checkpoint=outputs/... out=wgan_digits`."""


def export(
    checkpoint: str,
    out: str,
    half: bool = False,
    golden: bool = False,
    trust: str | tuple[str, ...] = (),
) -> None:
    """Export a model as <out>.safetensors and <out>.json, to share and to load anywhere.

    Args:
        checkpoint: A run's folder (its best checkpoint) or a checkpoint file.
        out: Path of the two files without their extensions. zoo.load and zoo.sample accept
            <out>.json.
        half: Store weights as float16, in half the space. They are float32 again when loaded.
        golden: Also store the first four samples, so that a test can notice when the code changes
            the model. A conditional model takes conditions from its test data.
        trust: A package, or a list [A,B], whose classes the checkpoint may use (docs/security.md).
    """
    from zoo.config.trust import trusting
    from zoo.runs.exports import export_model

    with trusting(trust):
        export_model(checkpoint, out, half, golden)
    print(f"{out}.safetensors, {out}.json")


if __name__ == "__main__":
    from zoo.config.cli import main

    main(export)
