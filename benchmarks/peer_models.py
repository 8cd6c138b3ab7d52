"""Models of the zoo with the networks of other projects, for benchmarks.peers.

`networks` holds a function for each network. benchmarks.peers sets it before it starts a run.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from zoo.adversarial.dcgan import DCGAN
from zoo.adversarial.sngan import SNGAN
from zoo.adversarial.wgan_gp import WGANGP
from zoo.latent.vae import VAE

networks: dict[str, Callable[[], Any]] = {}


def any_layout(network: nn.Module) -> nn.Module:
    """Allow channels-last weights in a network whose `forward` does not need torch's layout."""
    modules: Any = network.modules()
    for module in modules:
        module.channels_last = True
    return network


class Discriminator(nn.Module):
    """A discriminator of PyTorch-GAN without its final sigmoid: images (N, C, H, W) -> (N,)."""

    channels_last = True

    def __init__(self, network: Any):
        super().__init__()
        self.features: nn.Module = network.model
        self.logit: nn.Module = network.adv_layer[0]

    def forward(self, images: Tensor) -> Tensor:
        return self.logit(self.features(images).flatten(1)).flatten()


class PyTorchGANDCGAN(DCGAN):
    """DCGAN with the networks of PyTorch-GAN."""

    def build_generator(self) -> nn.Module:
        return any_layout(networks["generator"]())

    def build_discriminator(self) -> nn.Module:
        return Discriminator(networks["discriminator"]())


class PyTorchGANWGANGP(WGANGP):
    """WGAN-GP with the fully connected networks of PyTorch-GAN."""

    def build_generator(self) -> nn.Module:
        return any_layout(networks["generator"]())

    def build_critic(self) -> nn.Module:
        return nn.Sequential(networks["discriminator"](), nn.Flatten(0))


class MimicrySNGAN(SNGAN):
    """SNGAN with the networks of mimicry, which have their own spectral normalization."""

    def build_generator(self) -> nn.Module:
        return any_layout(networks["generator"]())

    def build_discriminator(self) -> nn.Module:
        return nn.Sequential(networks["discriminator"](), nn.Flatten(0))


class PythaeEncoder(nn.Module):
    """An encoder of pythae: images (N, C, H, W) in [0, 1] -> mean and logvar (N, 2 Z)."""

    def __init__(self, network: Any):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, condition: Tensor | None) -> Tensor:
        output = self.network(images)
        return torch.cat([output["embedding"], output["log_covariance"]], dim=1)


class PythaeDecoder(nn.Module):
    """A decoder of pythae without its final sigmoid: latents (N, Z) -> logits (N, C, H, W)."""

    def __init__(self, network: Any):
        super().__init__()
        network.layers[-1] = network.layers[-1][0]
        self.network = network

    def forward(self, latent: Tensor, condition: Tensor | None) -> Tensor:
        return self.network(latent)["reconstruction"]


def pythae_config(image_size: int, image_channels: int, latent_dim: int) -> Any:
    """Return the configuration of pythae's VAE for binary images."""
    from pythae.models import VAEConfig

    shape = image_channels, image_size, image_size
    return VAEConfig(input_dim=shape, latent_dim=latent_dim, reconstruction_loss="bce")


class PythaeVAE(VAE):
    """VAE with the fully connected networks of pythae, which must be importable."""

    def build_encoder(self) -> nn.Module:
        from pythae.models.nn.default_architectures import Encoder_VAE_MLP

        hp = self.hparams
        config = pythae_config(hp.image_size, hp.image_channels, hp.latent_dim)
        return PythaeEncoder(Encoder_VAE_MLP(config))

    def build_decoder(self) -> nn.Module:
        from pythae.models.nn.default_architectures import Decoder_AE_MLP

        hp = self.hparams
        config = pythae_config(hp.image_size, hp.image_channels, hp.latent_dim)
        return PythaeDecoder(Decoder_AE_MLP(config))
