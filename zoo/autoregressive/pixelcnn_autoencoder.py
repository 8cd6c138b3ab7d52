"""PixelCNN as the decoder of an autoencoder (van den Oord et al. 2016, arXiv 1606.05328)."""

from typing import Annotated

import torch
from torch import nn

from zoo.autoregressive.pixelcnn import PixelCNN
from zoo.engine.conditions import check_conditions
from zoo.networks.autoencoder import Encoder
from zoo.networks.gated_pixelcnn import GatedConvs
from zoo.plots.reconstructions import sampled_reconstructions


class PixelCNNAutoencoder(PixelCNN):
    """A convolutional encoder h = h(x) and a PixelCNN of p(x | h), trained as one (section 2.4).

    What the pixels before it say of a pixel need not be in the code: h has the rest, what the image
    is of. codes: its size, the paper's m. encoder_width: maps of the encoder's first layer.
    sample(count, {"image": ...}) draws images of the codes of images, {"latent": ...} of codes.

    Deviation: the codes of a batch are normalised, so that N(0, I) can stand in for their prior,
    which the paper has none of.
    """

    likelihood_kind = "given_code"

    def __init__(
        self, codes: Annotated[int, "[1, 65536]"] = 10, encoder_width: int = 32, **pixelcnn
    ):
        super().__init__(**pixelcnn | {"conditional": False, "spatial": False, "classes": 0})
        self.encoder = self.build_encoder()

    def build_encoder(self):
        """(N, C, H, W) -> (N, codes)"""
        hp = self.hparams
        shape = hp.image_size, hp.image_channels
        encoder = Encoder("conv", *shape, hp.codes, hp.encoder_width)
        return nn.Sequential(encoder, nn.BatchNorm1d(hp.codes, affine=False))

    def build_network(self):
        hp = self.hparams
        shape = hp.image_channels, hp.num_levels, hp.width, hp.layers, hp.kernel, hp.first_kernel
        return GatedConvs(*shape, condition=hp.codes, place_size=hp.image_size)

    def prior(self, count):
        return torch.randn(count, self.hparams.codes, device=self.device, dtype=self.dtype)

    def condition(self, batch):
        code = batch["latent"] if "latent" in batch else self.encoder(batch["image"])
        return code[..., None, None]

    @torch.no_grad()
    def sample(self, count, condition=None):
        check_conditions(self, count, condition)
        condition = condition or {}
        if "mask" in condition and "latent" not in condition:
            raise ValueError("The code of a whole image tells what a mask hides: give the latent.")
        if "latent" not in condition:
            encoded = "image" in condition
            latent = self.encoder(condition["image"]) if encoded else self.prior(count)
            condition = condition | {"latent": latent}
        return super().sample(count, condition)

    def figures(self, data):
        return sampled_reconstructions(self, data)
