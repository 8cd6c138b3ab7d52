"""Export a model: `python -m zoo.export checkpoint=outputs/... out=wgan_digits`."""


def export(checkpoint: str, out: str) -> None:
    """Export a model as <out>.safetensors and <out>.json, to share and to load anywhere.

    Args:
        checkpoint: A run's folder (its best checkpoint) or a checkpoint file.
        out: Path of the two files without their extensions. zoo.load and zoo.sample accept
            <out>.json.
    """
    from zoo.runs.checkpoints import export_model

    export_model(checkpoint, out)
    print(f"{out}.safetensors, {out}.json")


if __name__ == "__main__":
    from zoo.config.cli import main

    main(export)
