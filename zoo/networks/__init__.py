"""Networks that two or more models share.

A module that `model.network=NAME` can choose defines the functions
`generator(image_size, image_channels, latent_dim, width)` and
`discriminator(image_size, image_channels, width, norm)`.
"""

from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType


@cache
def by_name(name: str) -> ModuleType:
    """Import a pair of networks.

    Args:
        name: Name of a module of this package that defines `generator` and `discriminator`.

    Returns:
        The module.

    Raises:
        ValueError: There is no such module.
    """
    files = sorted(Path(__file__).parent.glob("[!_]*.py"))
    names = [f.stem for f in files if "\ndef generator(" in f.read_text(encoding="utf-8")]
    if name not in names:
        raise ValueError(f"model.network={name}: choose one of {', '.join(names)}.")
    return import_module(f"{__name__}.{name}")
