"""Context encoder (Pathak et al. 2016, arXiv 1604.07379): what is missing, from what is around."""

from typing import Annotated

import torch

from zoo.base import GenerativeModule
from zoo.engine.conditions import check_conditions
from zoo.losses import gan_discriminator_loss, nonsaturating_generator_loss
from zoo.media import masks
from zoo.media.completion import check_completion
from zoo.metrics.inpainting import hole_scores
from zoo.networks import context_encoder as context
from zoo.plots.translations import inpaintings
from zoo.precision import full_precision

MASKS = ("centre", "block", "region")


class ContextEncoder(GenerativeModule):
    """F((1 - M) x) is near the image x where the mask M hides it, and looks real.

    width: channels of the first layers of all networks. bottleneck: size of the code; 0 is the
    paper's channel-wise fully-connected layer in its place. masks: "centre" hides the middle, and
    the networks see and make but the middle half of the side, a patch that overlaps with the known
    pixels by `overlap` on each side; "block" and "region" draw a mask for each image, and networks
    are of whole images. The reconstruction of known pixels within `overlap` of a hidden one counts
    overlap_weight times. An adversarial_weight of 0 leaves the discriminator out.

    A batch's `mask` is taken instead of one that is drawn. `sample` gives given["image"] with the
    hidden pixels replaced.

    Deviations: what is hidden is 0, in the authors' code the mean colour of ImageNet; a mask is
    drawn for each image, there for each batch, and of a region the share is drawn and not accepted
    or rejected. The authors' code reconstructs whole images where masks are random, and moves the
    generator by what the discriminator said before its own step; here it judges anew.
    """

    needs = conditions = ("image",)

    def __init__(
        self,
        image_size: int = 128,
        image_channels: int = 3,
        width: int = 64,
        bottleneck: Annotated[int, "[0, 65536]"] = 4000,
        masks: str = "centre",
        overlap: Annotated[int, "[0, 16384]"] = 4,
        overlap_weight: float = 10.0,
        adversarial_weight: Annotated[float, "[0, 1)"] = 0.001,
        lr: float = 2e-3,
        discriminator_lr: float = 2e-4,
        beta1: float = 0.5,
        **shared,
    ):
        if masks not in MASKS:
            raise ValueError(f"model.masks={masks}: there are {', '.join(MASKS)}.")
        if masks == "centre" and image_size // 4 <= overlap:
            raise ValueError(f"model.overlap={overlap} leaves nothing hidden of {image_size}.")
        super().__init__(**shared)
        self.encoder = self.build_encoder()
        self.decoder = self.build_decoder()
        if adversarial_weight:
            self.discriminator = self.build_discriminator()

    def build_encoder(self):
        """(N, C, H, W) -> a code for the decoder"""
        hp = self.hparams
        return context.encoder(hp.image_size, hp.image_channels, hp.width, hp.bottleneck)

    def build_decoder(self):
        """Codes -> (N, C, H, W), or (N, C, H/2, W/2) where the middle is hidden"""
        hp = self.hparams
        shape = hp.image_size, hp.image_channels, hp.width
        return context.decoder(*shape, hp.bottleneck, self.central)

    def build_discriminator(self):
        """Images of the decoder's size -> logits (N,)"""
        hp = self.hparams
        return context.discriminator(hp.image_size, hp.image_channels, hp.width, self.central)

    @property
    def central(self):
        return self.hparams.masks == "centre"

    def patch(self, images):
        """The part of images, or of masks, (N, ., H, W) that is predicted and judged."""
        edge = self.hparams.image_size // 4 if self.central else 0
        return images[:, :, edge : images.shape[2] - edge, edge : images.shape[3] - edge]

    def mask(self, batch):
        """M of a batch, (N, 1, H, W) bool: given, or drawn."""
        hp, images = self.hparams, batch["image"]
        if "mask" in batch:
            if self.central:
                raise ValueError("model.masks=centre hides the same always: it takes no mask.")
            check_completion(batch, "image", images.shape)
            return batch["mask"] > 0.5
        shape = len(images), hp.image_size
        if self.central:
            return masks.centre(*shape, hp.overlap, images.device)
        draw = masks.blocks if hp.masks == "block" else masks.regions
        return draw(*shape, images.device)

    def predict(self, images, mask):
        """F((1 - M) x), the patch."""
        return self.decoder(self.encoder(images.masked_fill(mask, 0)))

    def fill(self, images, mask):
        """Images with what is predicted where they are hidden."""
        fake = images.clone()
        self.patch(fake).copy_(self.predict(images, mask))
        return masks.paste(images, fake, mask)

    def sample(self, count, condition=None):
        """`count` is the number of the images that are given."""
        check_conditions(self, count, condition)
        return self.fill(condition["image"], self.mask(condition))

    def training_step(self, batch, batch_idx):
        images, mask = batch["image"], self.mask(batch)
        real, fake = self.patch(images), self.predict(images, mask)
        losses, optimizers = {}, self.optimizers()
        *adversary, optimizer = optimizers if self.hparams.adversarial_weight else [optimizers]
        for discriminator_optimizer in adversary:
            with self.turn(discriminator_optimizer):
                logits = self.discriminator(real), self.discriminator(fake.detach())
                losses["discriminator_loss"] = gan_discriminator_loss(*logits)
                self.manual_backward(losses["discriminator_loss"])
        with self.turn(optimizer):
            loss, terms = self.generator_loss(real, fake, self.patch(self.weights(mask)))
            self.manual_backward(loss)
        self.log_losses(**losses, **terms)

    def weights(self, mask):
        """Those of the squared errors (N, 1, H, W): 1 where hidden, overlap_weight around, or 0."""
        hp = self.hparams
        return mask + hp.overlap_weight * masks.band(mask, hp.overlap)

    def generator_loss(self, real, fake, weights):
        """(1 - λ) L_rec + λ L_adv, eq. 3, λ the adversarial weight, and its terms."""
        share = self.hparams.adversarial_weight
        terms = {"reconstruction_loss": reconstruction_loss(real, fake, weights)}
        loss = (1 - share) * terms["reconstruction_loss"]
        if share:
            logit = self.discriminator(fake)
            terms["adversarial_loss"] = nonsaturating_generator_loss(logit)
            loss = loss + share * terms["adversarial_loss"]
        return loss, terms

    def configure_optimizers(self):
        hp, betas = self.hparams, (self.hparams.beta1, 0.999)
        parameters = [*self.encoder.parameters(), *self.decoder.parameters()]
        generator_optimizer = torch.optim.Adam(parameters, hp.lr, betas)
        if not hp.adversarial_weight:
            return generator_optimizer
        discriminator = self.discriminator.parameters()
        return [torch.optim.Adam(discriminator, hp.discriminator_lr, betas), generator_optimizer]

    def measure(self, data, split):
        return hole_scores(self, data, split)

    def figures(self, data):
        return inpaintings(self, data)


@full_precision
def reconstruction_loss(real, fake, weights):
    """Σ w (x - F)² of each image over its number of values with a weight, eq. 1; the mean."""
    errors = (weights * (real - fake).square()).sum(dim=(1, 2, 3))
    counted = (weights > 0).sum(dim=(1, 2, 3)) * real.shape[1]
    return (errors / counted.clamp(min=1)).mean()
