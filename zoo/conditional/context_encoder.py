"""Context encoder (Pathak et al. 2016, arXiv 1604.07379): inpaint an image from its context."""

from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.base import GenerativeModule
from zoo.engine.conditions import check_conditions
from zoo.losses import gan_discriminator_loss, nonsaturating_generator_loss
from zoo.media import masks
from zoo.media.completion import check_completion
from zoo.metrics.inpainting import hole_scores
from zoo.networks import context_encoder as context
from zoo.plots.translations import inpaintings
from zoo.precision import full_precision

MASKS = ("center", "block", "region")


class ContextEncoder(GenerativeModule):
    """Fill in the hidden pixels of images with an encoder-decoder F and a discriminator.

    M is the mask, 1 at hidden pixels. F((1 - M) x) is trained to be close to the image x and to be
    classified as real by the discriminator.

    `sample` returns condition["image"] with the hidden pixels replaced. It uses condition["mask"],
    (N, 1, H, W), if it is passed, and random masks otherwise.

    Args:
        image_size: Height and width of the images.
        image_channels: Channels of the images.
        width: Channels of the first layers of all networks.
        bottleneck: Size of the code. 0 uses the paper's channel-wise fully connected layer instead.
        masks: "center" hides the center of the image. The decoder then outputs the central patch of
            half the size, which includes `overlap` visible pixels on each side. "block" and
            "region" sample a mask for each image, and the decoder outputs whole images.
        overlap: Width in pixels of the band of visible pixels around the hidden region that the
            decoder also reconstructs.
        overlap_weight: Weight of the squared error in that band. Hidden pixels have a weight of 1.
        adversarial_weight: λ, the weight of the adversarial term in eq. 3; 0 trains no
            discriminator.
        lr: Adam's learning rate for the encoder and the decoder.
        discriminator_lr: Adam's learning rate for the discriminator.
        beta1: Adam's beta1.

    Deviations: hidden pixels are 0. In the authors' code they have the mean color of ImageNet. Each
    image has its own mask. In the authors' code, a batch shares one mask. For "region", the hidden
    share is sampled first, and the mask is made to match it. The authors sample masks and reject
    those whose share is outside a range. With random masks, only hidden pixels and the overlap are
    reconstructed. The authors' code reconstructs the whole image. The generator's gradient uses a
    new forward pass of the discriminator.
    """

    needs = conditions = ("image",)

    def __init__(
        self,
        image_size: int = 128,
        image_channels: int = 3,
        width: int = 64,
        bottleneck: Annotated[int, "[0, 65536]"] = 4000,
        masks: str = "center",
        overlap: Annotated[int, "[0, 16384]"] = 4,
        overlap_weight: float = 10.0,
        adversarial_weight: Annotated[float, "[0, 1)"] = 0.001,
        lr: float = 2e-3,
        discriminator_lr: float = 2e-4,
        beta1: float = 0.5,
        **shared,
    ):
        if masks not in MASKS:
            raise ValueError(f"model.masks={masks}: choose one of {', '.join(MASKS)}.")
        if masks == "center" and image_size // 4 <= overlap:
            raise ValueError(
                f"model.overlap={overlap} leaves nothing of images of size {image_size} hidden: "
                f"it must be less than {image_size // 4}."
            )
        super().__init__(**shared)
        self.encoder = self.build_encoder()
        self.decoder = self.build_decoder()
        if adversarial_weight:
            self.discriminator = self.build_discriminator()

    def build_encoder(self) -> nn.Module:
        """Images (N, C, H, W) -> codes for the decoder."""
        hp = self.hparams
        return context.encoder(hp.image_size, hp.image_channels, hp.width, hp.bottleneck)

    def build_decoder(self) -> nn.Module:
        """Codes -> images (N, C, H, W), or patches (N, C, H/2, W/2) for "center"."""
        hp = self.hparams
        shape = hp.image_size, hp.image_channels, hp.width
        return context.decoder(*shape, hp.bottleneck, self.masks_center)

    def build_discriminator(self) -> nn.Module:
        """Images of the decoder's size -> logits (N,)."""
        hp = self.hparams
        return context.discriminator(hp.image_size, hp.image_channels, hp.width, self.masks_center)

    @property
    def masks_center(self) -> bool:
        """Whether the mask always hides the center."""
        return self.hparams.masks == "center"

    def patch(self, images: Tensor) -> Tensor:
        """Return the part of images or masks (N, ., H, W) that the decoder predicts."""
        edge = self.hparams.image_size // 4 if self.masks_center else 0
        return images[:, :, edge : images.shape[2] - edge, edge : images.shape[3] - edge]

    def mask(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the masks of a batch, or sample masks if there are none.

        Args:
            batch: Contains "image" and optionally "mask".

        Returns:
            M, (N, 1, H, W) bool, True where the image is hidden.

        Raises:
            ValueError: The batch has masks although masks=center, or they do not fit the images.
        """
        hp, images = self.hparams, batch["image"]
        if "mask" in batch:
            if self.masks_center:
                raise ValueError("model.masks=center always hides the center: leave out the mask.")
            check_completion(batch, "image", images.shape)
            return batch["mask"] > 0.5
        shape = images.shape[0], hp.image_size
        if self.masks_center:
            return masks.center(*shape, hp.overlap, images.device)
        draw = masks.blocks if hp.masks == "block" else masks.regions
        return draw(*shape, images.device)

    def predict(self, images: Tensor, mask: Tensor) -> Tensor:
        """Return F((1 - M) x), with the size of `patch`."""
        return self.decoder(self.encoder(images.masked_fill(mask, 0)))

    def fill(self, images: Tensor, mask: Tensor) -> Tensor:
        """Return images (N, C, H, W) with the hidden pixels replaced by predictions."""
        fake = images.clone()
        self.patch(fake).copy_(self.predict(images, mask))
        return masks.paste(images, fake, mask)

    def sample(self, count: int, condition: dict[str, Tensor] | None = None) -> Tensor:
        check_conditions(self, count, condition)
        condition = condition or {}
        return self.fill(condition["image"], self.mask(condition))

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        images, mask = batch["image"], self.mask(batch)  # (N, C, H, W), (N, 1, H, W)
        real, fake = self.patch(images), self.predict(images, mask)
        losses, optimizers = {}, self.optimizers()
        *adversary, optimizer = optimizers if self.hparams.adversarial_weight else [optimizers]
        if adversary:
            with self.turn(*adversary):
                logits = self.discriminator(real), self.discriminator(fake.detach())
                losses["discriminator_loss"] = gan_discriminator_loss(*logits)
                self.manual_backward(losses["discriminator_loss"])
        with self.turn(optimizer):
            loss, terms = self.generator_loss(real, fake, self.patch(self.error_weights(mask)))
            self.manual_backward(loss)
        self.log_losses(**losses, **terms)

    def error_weights(self, mask: Tensor) -> Tensor:
        """Return error weights (N, 1, H, W): 1 if hidden, overlap_weight in the band, else 0."""
        hp = self.hparams
        return mask + hp.overlap_weight * masks.band(mask, hp.overlap)

    def generator_loss(
        self, real: Tensor, fake: Tensor, weights: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return (1 - λ) L_rec + λ L_adv, eq. 3.

        Args:
            real: Patches of the images, (N, C, H', W').
            fake: Predictions, (N, C, H', W').
            weights: Patches of `error_weights`, (N, 1, H', W').

        Returns:
            The loss, and its terms without their weights.
        """
        share = self.hparams.adversarial_weight
        terms = {"reconstruction_loss": reconstruction_loss(real, fake, weights)}
        loss = (1 - share) * terms["reconstruction_loss"]
        if share:
            logit = self.discriminator(fake)
            terms["adversarial_loss"] = nonsaturating_generator_loss(logit)
            loss = loss + share * terms["adversarial_loss"]
        return loss, terms

    def configure_optimizers(self) -> Optimizer | list[Optimizer]:
        hp, betas = self.hparams, (self.hparams.beta1, 0.999)
        parameters = [*self.encoder.parameters(), *self.decoder.parameters()]
        generator_optimizer = torch.optim.Adam(parameters, hp.lr, betas)
        if not hp.adversarial_weight:
            return generator_optimizer
        discriminator = self.discriminator.parameters()
        return [torch.optim.Adam(discriminator, hp.discriminator_lr, betas), generator_optimizer]

    def measure(self, data: Any, split: str) -> dict[str, float]:
        return hole_scores(self, data, split)

    def figures(self, data: Any) -> dict[str, Tensor]:
        return inpaintings(self, data)


@full_precision
def reconstruction_loss(real: Tensor, fake: Tensor, weights: Tensor) -> Tensor:
    """Mean over images of Σ w (x - F)² / number of values with w > 0, eq. 1.

    Args:
        real: x, (N, C, H, W).
        fake: F, (N, C, H, W).
        weights: w, (N, 1, H, W).
    """
    errors = (weights * (real - fake).square()).sum(dim=(1, 2, 3))
    counted = (weights > 0).sum(dim=(1, 2, 3)) * real.shape[1]
    return (errors / counted.clamp(min=1)).mean()
