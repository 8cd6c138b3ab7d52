"""A zoo of generative models, each a LightningModule in one file, faithful to its paper."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch is imported when it is needed: the commands answer at once
    from pathlib import Path

    from torch import Tensor

    from zoo.base import GenerativeModule

__version__ = "0.2.0"
__all__ = ["generate", "load", "models", "pretrained"]


def load(checkpoint: "str | Path", trust: str | Sequence[str] = ()) -> "GenerativeModule":
    """Load a trained model, ready to sample: in eval mode, with averaged weights if it has them.

    Nothing is unpickled. docs/security.md says which classes are imported.

    Args:
        checkpoint: Name of a pretrained model ("wgan_digits"), a run's folder (its best
            checkpoint), a .ckpt file, the .json file of an exported model, or a model on the
            Hugging Face Hub ("hf://user/repo" or "hf://user/repo@revision").
        trust: A package or module, or several, whose classes the checkpoint may name, although
            they are neither installed nor on PYTHONPATH.

    Returns:
        The model, on the CPU.

    Raises:
        zoo.config.errors.UserError: The checkpoint cannot be loaded.
    """
    from zoo.config.trust import trusting
    from zoo.runs.checkpoints import load_model

    with trusting(trust):
        return load_model(checkpoint)


def generate(
    model: "GenerativeModule | str | Path",
    count: int,
    seed: int = 0,
    condition: "dict[str, Tensor] | None" = None,
    batch_size: int | None = None,
    truncation: float = 1.0,
) -> "Tensor":
    """Draw exactly the samples that `python -m zoo.sample` draws.

    The result depends on the arguments and the model's device only. The state of random number
    generators and the model's mode are as before.

    Args:
        model: A model, or what `load` takes.
        count: Number of samples.
        seed: Seed of the samples.
        condition: What to condition on: a batch with `count` of each key, such as
            {"label": labels} with labels (count,) int64, or {"latent": latents}.
        batch_size: Number of samples per batch, by default zoo.engine.sampling.CHUNK. Different
            batch sizes give different samples.
        truncation: From 0 to 1. Below 1, latents are closer to their mean: samples are more
            typical, with less variety.

    Returns:
        (count, C, H, W) images in [-1, 1], (count, T, C, H, W) videos or (count, T) audio, on the
        CPU, without gradients.

    Raises:
        ValueError: A number is out of its range or of another type, a condition is missing or
            unknown, its length is not `count`, or `truncation` is below 1 and the model has no
            latents to draw.
    """
    from zoo.engine import sampling

    sampling.check_numbers(count, seed, batch_size, truncation)
    if not hasattr(model, "sample"):
        model = load(model)
    return sampling.generate(model, count, seed, condition, batch_size, truncation)


def models() -> list[str]:
    """Return the names that `model=` takes."""
    from zoo.config import catalog

    return catalog.names("model")


def pretrained() -> dict[str, str]:
    """Return {name: one line about it} of the pretrained models that `load` takes by name."""
    from zoo.runs import pretrained

    return pretrained.pretrained()
