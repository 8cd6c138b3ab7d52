"""Messages name the nearest, or else all."""

from zoo.config.errors import unknown


def test_unknown():
    assert str(unknown("model=", "wgann", ["wgan", "vae"])).endswith("Did you mean wgan?")
    assert str(unknown("model=", "WGAN", ["wgan", "wgan_gp"])).endswith("Did you mean wgan?")
    assert str(unknown("model=", "zzz", ["wgan", "vae"])).endswith("There are: wgan, vae.")
