"""PixelCNN as the decoder of an autoencoder (van den Oord et al. 2016, arXiv 1606.05328, 2.4)."""

from typing import Annotated, Any

import torch
from torch import Tensor, nn

from zoo.autoregressive.pixelcnn import PixelCNN
from zoo.config.fixed_parameters import with_fixed
from zoo.engine.conditions import check_conditions
from zoo.networks.autoencoder import Encoder
from zoo.networks.gated_pixelcnn import GatedConvs
from zoo.plots.reconstructions import sampled_reconstructions


class PixelCNNAutoencoder(PixelCNN):
    """A convolutional encoder h(x) and a PixelCNN p(x | h), trained jointly.

    The code describes what cannot be predicted from previous pixels. The PixelCNN adds the details.
    sample(count, {"image": ...}) samples from the codes of the given images, and
    sample(count, {"latent": ...}) from the given codes.

    Deviation: codes are normalized over the batch, so that codes can be sampled from N(0, I). The
        paper has no prior.

    Args:
        codes: Size Z of the code, the paper's m.
        encoder_width: Number of feature maps of the encoder's first layer.
    """

    likelihood_kind = "given_code"
    latent_conditions = ("image",)

    def __init__(
        self, codes: Annotated[int, "[1, 65536]"] = 10, encoder_width: int = 32, **pixelcnn
    ):
        super().__init__(
            **with_fixed(self, pixelcnn, {"conditional": False, "spatial": False, "classes": 0})
        )
        self.encoder = self.build_encoder()

    def build_encoder(self) -> nn.Module:
        """Build the network from images (N, C, H, W) to normalized codes (N, Z)."""
        hp = self.hparams
        shape = hp.image_size, hp.image_channels
        encoder = Encoder("conv", *shape, hp.codes, hp.encoder_width)
        return nn.Sequential(encoder, nn.BatchNorm1d(hp.codes, affine=False))

    def build_network(self) -> nn.Module:
        hp = self.hparams
        shape = hp.image_channels, hp.num_levels, hp.width, hp.layers, hp.kernel, hp.first_kernel
        return GatedConvs(*shape, condition=hp.codes, condition_map_size=hp.image_size)

    def prior(self, count: int) -> Tensor:
        """Sample codes (N, Z) from N(0, I)."""
        return torch.randn(count, self.hparams.codes, device=self.device, dtype=self.dtype)

    def latents(self, count: int, condition: dict[str, Tensor]) -> Tensor:
        """Return the codes (N, Z) of condition["image"], or sampled ones without images."""
        return self.encoder(condition["image"]) if "image" in condition else self.prior(count)

    def condition(self, batch: dict[str, Tensor]) -> Tensor:
        code = batch["latent"] if "latent" in batch else self.encoder(batch["image"])
        return code[..., None, None]  # (N, Z, 1, 1)

    @torch.no_grad()
    def sample(self, count: int, condition: dict[str, Tensor] | None = None) -> Tensor:
        check_conditions(self, count, condition)
        condition = condition or {}
        if "mask" in condition and "latent" not in condition:
            raise ValueError(
                "A mask needs a latent: the code of the whole image would reveal the hidden part."
            )
        if "latent" not in condition:
            condition = {"latent": self.latents(count, condition)}
        return super().sample(count, condition)

    def figures(self, data: Any) -> dict[str, Tensor]:
        return sampled_reconstructions(self, data)
