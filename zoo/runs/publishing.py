"""Publish a model on the Hugging Face Hub: an export, a model card and a figure of samples."""

import shlex
import tempfile
from pathlib import Path
from typing import Any

import yaml

from zoo.config.errors import UserError
from zoo.engine.conditions import conditions_of
from zoo.engine.sampling import generate
from zoo.media.images import grid_of, save_png
from zoo.runs import hub
from zoo.runs.checkpoints import load_model
from zoo.runs.exports import export_model
from zoo.runs.loaded_checkpoint import LoadedCheckpoint, read
from zoo.runs.pretrained import final_results
from zoo.runs.sample_outputs import data_of, prepared

SAMPLES = 64
PIPELINES = {  # of models of images, by their conditions
    (): "unconditional-image-generation",
    ("text",): "text-to-image",
    ("source",): "image-to-image",
}


def publish(
    checkpoint: str | Path | LoadedCheckpoint,
    address: str,
    out: str | Path | None = None,
    half: bool = False,
    golden: bool = False,
    private: bool = False,
) -> str:
    """Export a model and upload it in one commit, with README.md and samples.png.

    A conditional model takes the conditions of its samples from its test data. Without these data
    there is no figure, and a message says so.

    Args:
        checkpoint: See zoo.runs.loaded_checkpoint.read.
        address: See zoo.runs.hub.upload.
        out: Where the exported files are kept. See zoo.runs.exports.export_model.
        half: See zoo.runs.exports.export_model.
        golden: See zoo.runs.exports.export_model.
        private: See zoo.runs.hub.upload.

    Returns:
        The address of the commit's web page.

    Raises:
        UserError: The model cannot be exported or uploaded.
    """
    hub.parse(address)  # a malformed address is an error before anything is written
    with tempfile.TemporaryDirectory() as folder:
        path = Path(out or Path(folder, "model"))
        export_model(checkpoint, path, half, golden)
        files = {hub.DESCRIPTION: Path(f"{path}.json"), hub.WEIGHTS: Path(f"{path}.safetensors")}
        exported = read(files[hub.DESCRIPTION])
        model = load_model(exported)
        figure, card = Path(folder, "samples.png"), Path(folder, "README.md")
        try:
            save_samples(model, exported, figure)
            files[figure.name] = figure
        except (UserError, OSError, ValueError) as error:
            print(f"There is no {figure.name}, because the samples need conditions: {error}")
        card.write_text(model_card(model, exported, address, figure.exists()), encoding="utf-8")
        return hub.upload(address, files | {card.name: card}, private)


def save_samples(model: Any, checkpoint: LoadedCheckpoint, path: Path) -> None:
    """Write a figure of the first samples.

    Args:
        model: The model.
        checkpoint: Its checkpoint, which names the data.
        path: The PNG file.

    Raises:
        UserError: The model needs conditions, and its data cannot be read.
    """
    data = prepared(checkpoint, None) if model.conditions else data_of(checkpoint)
    samples = generate(model, SAMPLES, condition=conditions_of(model, data, SAMPLES))
    save_png(getattr(data, "figure", grid_of)(samples), path)


def model_card(model: Any, exported: LoadedCheckpoint, address: str, has_samples: bool) -> str:
    """Return the model card, Markdown with metadata in YAML.

    The license of the weights is left to the author, who knows that of the data.

    Args:
        model: The model.
        exported: Its export.
        address: hf://user/repo of the model.
        has_samples: Whether there is a samples.png.
    """
    content = exported.content
    package, _, name = content["class"].rpartition(".")
    data = (content["data"] or {}).get("_target_", "").rpartition(".")[2]
    repo = hub.parse(address)[0]
    sections = [
        f"---\n{yaml.safe_dump(metadata(model, content), sort_keys=False)}---",
        f"# {repo.partition('/')[2]}",
        f"{name} (`{content['class']}`)"
        + (f" trained on {data}" if data else "")
        + f", {content['batches']:,} batches.",
    ]
    if has_samples:
        sections.append("![Samples](samples.png)")
    sections += [
        "## Use",
        f"Install lightning-zoo with its extra `hub`{extra_package(package)}.",
        f'```python\nimport zoo\n\nmodel = zoo.load("{address}")\n{draw_line(model)}\n```',
        f"```sh\npython -m zoo.sample checkpoint={address}\n```",
    ]
    if results := results_table(content["results"]):
        sections += ["## Results", results]
    sections += training(content)
    return "\n\n".join(sections) + "\n"


def training(content: dict[str, Any]) -> list[str]:
    """Return the section on training: where the weights started, and the command; [] if unknown."""
    sections, init, arguments = [], content.get("init") or {}, list(content.get("arguments") or ())
    if init:
        start = init.get("checkpoint")
        name = f"`{start}`" if start else "a checkpoint that is not published"
        sections.append(f"Training started from the weights of {name} (`{init.get('class')}`).")
        arguments += [f"init={start or 'CHECKPOINT'}"] if arguments else []
    if arguments:
        sections.append(f"```sh\n{shlex.join(['python', '-m', 'zoo.fit', *arguments])}\n```")
    return ["## Training", *sections] if sections else []


def metadata(model: Any, content: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata of the model card. See `model_card`."""
    values: dict[str, Any] = {"library_name": hub.LIBRARY}
    pipeline = PIPELINES.get(tuple(model.conditions)) if "image" in model.needs else None
    if pipeline:
        values["pipeline_tag"] = pipeline
    modules = content["class"], (content["data"] or {}).get("_target_", "")
    names = [module.split(".")[-2] for module in modules if "." in module]
    return values | {"tags": [hub.LIBRARY, "pytorch-lightning", *names]}


def extra_package(package: str) -> str:
    """Return what else must be installed for a class that is not of the zoo."""
    return "" if package.startswith("zoo.") else f", and `{package}`, which defines the class"


def draw_line(model: Any) -> str:
    """Return the line of Python that draws samples."""
    if not model.conditions:
        return "samples = zoo.generate(model, 16)  # in [-1, 1]"
    keys = ", ".join(f'"{key}": ...' for key in model.conditions)
    return f"samples = zoo.generate(model, 16, condition={{{keys}}})  # 16 of each"


def results_table(results: dict[str, dict[Any, float]]) -> str:
    """Return the last results on test data as a table; on validation data if there are none."""
    rows = final_results(results, "test/") or final_results(results, "val/")
    if not rows:
        return ""
    lines = ["| metric | value |", "|---|---|"]
    lines += [f"| {name} | {value:.6g} |" for name, value in rows.items()]
    if any("/real_" in name for name in rows):
        lines += ["", "`real_` metrics measure real images, for comparison."]
    return "\n".join(lines)
