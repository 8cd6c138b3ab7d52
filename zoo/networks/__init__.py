"""Networks that two or more models share.

Those that make images of latents and judge them stand in a module by their name, which has
`generator(image_size, image_channels, latent_dim, width)` and
`discriminator(image_size, image_channels, width, norm)`: `model.network=NAME`.
"""

from importlib import import_module
from pathlib import Path


def named(name):
    """The module of this package called `name`; ValueError if it has no generator."""
    files = sorted(Path(__file__).parent.glob("[!_]*.py"))
    known = [f.stem for f in files if "\ndef generator(" in f.read_text(encoding="utf-8")]
    if name not in known:
        raise ValueError(f"model.network={name}: there are {', '.join(known)}.")
    return import_module(f"{__name__}.{name}")
