"""Export what draws a model's samples as one graph, for other runtimes: ONNX and torch.export."""

import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo.atomic_files import write_bytes
from zoo.config.errors import UserError
from zoo.engine.conditions import conditions_of, draw_labels
from zoo.runs.checkpoints import load_data, load_model
from zoo.runs.loaded_checkpoint import LoadedCheckpoint

OPSET = 20
TOLERANCE = 1e-4  # of samples in [-1, 1], between torch and the exported graph
ENDINGS = {"onnx": ".onnx", "torch_export": ".pt2"}
BATCHES = (3, 5)  # batch sizes with which a graph is made and checked


class Sampler(nn.Module):
    """A model's `sample` as a function of latents and conditions.

    Args:
        model: The model.
        names: The conditions in the order of the inputs, such as ("latent", "label").
    """

    def __init__(self, model: Any, names: tuple[str, ...]):
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *values: Tensor) -> Tensor:
        """Return samples (N, ...) for values (N, ...) of each condition."""
        return self.model.sample(values[0].shape[0], dict(zip(self.names, values, strict=True)))


def export_sampler(checkpoint: LoadedCheckpoint, out: str | Path, kind: str) -> tuple[Path, str]:
    """Write a graph from latents and conditions to samples, with any batch size.

    Args:
        checkpoint: The checkpoint.
        out: Path of the file without its ending.
        kind: "onnx" or "torch_export".

    Returns:
        The file, and what goes in and out.

    Raises:
        UserError: The model cannot be exported, a package is missing, or the graph computes other
            samples than torch.
    """
    model = load_model(checkpoint).requires_grad_(False)
    check_one_pass(model)
    inputs = [example_inputs(model, checkpoint, count) for count in BATCHES]
    sampler = Sampler(model, tuple(inputs[0])).eval()
    check_deterministic(sampler, inputs[0])
    batch = torch.export.Dim("batch", min=1)
    values = tuple(inputs[0].values())
    graph = torch.export.export(
        sampler, values, dynamic_shapes=(tuple({0: batch} for _ in values),)
    )
    file = Path(f"{out}{ENDINGS[kind]}")
    with torch.no_grad():
        expected = sampler(*inputs[1].values())
    write, run = {"onnx": (write_onnx, run_onnx), "torch_export": (write_pt2, run_pt2)}[kind]
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder, file.name)
        write(graph, draft, tuple(inputs[0]))
        check_samples(run(draft, inputs[1]), expected, kind)
        write_bytes(file, draft.read_bytes())
    described = [f"{name} (batch{shape_of(value)})" for name, value in inputs[0].items()]
    return file, f"{', '.join(described)} -> samples (batch{shape_of(expected)})"


def check_samples(found: Tensor, expected: Tensor, kind: str) -> None:
    """Check the samples of a graph.

    Raises:
        UserError: They are not those of torch.
    """
    if found.shape != expected.shape:
        raise UserError(
            f"{kind}: the graph's samples are {tuple(found.shape)}, torch's are "
            f"{tuple(expected.shape)}."
        )
    difference = (found - expected).abs().max().item()
    if not difference <= TOLERANCE:
        raise UserError(f"{kind}: the graph's samples differ from torch's by {difference:.2g}.")


def shape_of(values: Tensor) -> str:
    """Return the shape after the batch, such as ", 1, 8, 8"."""
    return "".join(f", {size}" for size in values.shape[1:])


def check_one_pass(model: Any) -> None:
    """Check that a model samples in one pass.

    Raises:
        UserError: It samples pixel by pixel, or value by value.
    """
    if hasattr(model, "elementwise_nll"):
        raise UserError(
            f"{type(model).__name__} samples one value after another, which is no graph of one "
            "pass: use format=safetensors."
        )


def example_inputs(model: Any, checkpoint: LoadedCheckpoint, count: int) -> dict[str, Tensor]:
    """Return a batch of what determines the samples: latents, conditions and labels.

    Args:
        model: The model.
        checkpoint: Its checkpoint, for the data of conditions.
        count: Number of samples.
    """
    inputs: dict[str, Tensor] = {}
    if hasattr(model, "prior"):
        inputs["latent"] = model.prior(count)
    if model.conditions:
        data = load_data(checkpoint)
        data.prepare_data()
        inputs |= conditions_of(model, data, count) or {}
    free = "label" in model.needs and "label" not in (*model.latent_conditions, *inputs)
    if free and uses_label(model, inputs):
        inputs["label"] = draw_labels(model, count)
    return inputs


@torch.no_grad()
def uses_label(model: Any, inputs: dict[str, Tensor]) -> bool:
    """Return whether labels change the samples, other inputs being equal."""
    count = len(next(iter(inputs.values())))
    labels = (torch.full((count,), label) for label in (0, 1))
    zero, one = (same_noise(model, inputs | {"label": label}) for label in labels)
    return not torch.equal(zero, one)


@torch.no_grad()
def same_noise(model: Any, inputs: dict[str, Tensor], seed: int = 0) -> Tensor:
    """Draw samples with a seed of their own, without changing the state of random numbers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return model.sample(len(next(iter(inputs.values()))), inputs)


def check_deterministic(sampler: Sampler, inputs: dict[str, Tensor]) -> None:
    """Check that the inputs determine the samples.

    Raises:
        UserError: The model draws more random numbers, which would not be inputs of a graph.
    """
    first, second = (same_noise(sampler.model, inputs, seed) for seed in (0, 1))
    if not torch.equal(first, second):
        raise UserError(
            f"{type(sampler.model).__name__} draws random numbers besides {', '.join(inputs)}, "
            "which a graph cannot take as inputs: use format=safetensors."
        )


def write_onnx(graph: Any, file: Path, names: tuple[str, ...]) -> None:
    """Write an ONNX file with the weights in it."""
    try:
        import onnxruntime  # noqa: F401 - the check after writing needs it
        import onnxscript  # noqa: F401 - torch needs it
    except ImportError as error:
        raise UserError('format=onnx: python -m pip install "lightning-zoo[onnx]"') from error
    with warnings.catch_warnings():  # torch names the axis once: its inputs share it
        warnings.filterwarnings("ignore", message=".*The axis name: batch will not be used")
        program = torch.onnx.export(
            graph,
            (),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(names),
            output_names=["samples"],
            dynamic_shapes=(tuple({0: "batch"} for _ in names),),
            verbose=False,
        )
    assert program is not None
    program.save(str(file), external_data=False)


def run_onnx(file: Path, inputs: dict[str, Tensor]) -> Tensor:
    """Run an ONNX file on the CPU."""
    from onnxruntime import InferenceSession

    session = InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {k: v.numpy() for k, v in inputs.items()})[0])


def write_pt2(graph: Any, file: Path, names: tuple[str, ...]) -> None:
    """Write a file of torch.export, which torch.export.load reads without this package."""
    torch.export.save(graph, str(file))


def run_pt2(file: Path, inputs: dict[str, Tensor]) -> Tensor:
    """Run a file of torch.export."""
    return torch.export.load(str(file)).module()(*inputs.values())
