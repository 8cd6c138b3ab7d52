"""Video prediction beyond mean square error (Mathieu, Couprie, LeCun 2015, arXiv 1511.05440)."""

from typing import Annotated

import torch

from zoo.base import GenerativeModule
from zoo.config.errors import UserError
from zoo.engine.conditions import check_conditions, conditions_of
from zoo.losses import (
    gan_discriminator_loss,
    gradient_difference_loss,
    nonsaturating_generator_loss,
)
from zoo.media.video import check_frames, random_window, split_frames
from zoo.metrics.video_psnr import predictions
from zoo.networks import multiscale
from zoo.networks.multiscale import downscale
from zoo.plots.videos import video_figures
from zoo.precision import at_least_float32, full_precision


class VideoPrediction(GenerativeModule):
    """Predict the next frame of a video at several scales, from the coarsest to the finest.

    Each scale refines the enlarged prediction of the one before. The generator is conditioned on
    the last `past` frames, and so is the discriminator at each scale. The loss is the sum over the
    scales of p-th powers of errors, gradient differences (GDL) and the adversarial terms.

    A batch's `video` has more than `past` frames; each step trains on the frame after a window of
    each, cut anywhere. `sample` returns the frame after the first `past` frames of given["video"],
    `predict` as many as are asked for. Predictions are deterministic.

    Args:
        past: number of frames that a prediction is conditioned on.
        scales: 1 to 4; 1 is a single network at full size.
        width: channels of a generator's first convolution; the discriminators' have half of them.
        p: power of the errors, eq. 6.
        alpha: power of the differences of gradients, eq. 7.
        gdl_weight: weight of the gradient difference loss.
        adversarial_weight: weight of the adversarial term; 0 leaves the discriminators out.
        mismatched_pasts: the discriminators also learn to reject real frames after the past of
            another video, and each real pair counts twice, as in the authors' code
            (advExt="full"); without it they can judge the frame alone.
        separate_batches: the discriminators learn from the first half of each batch, the generator
            from the second. In the authors' code each update has a batch of its own.
        lr: learning rate of the generator.
        discriminator_lr: learning rate of the discriminators.
        adam: use Adam instead of SGD.

    Deviations: lr is constant, where the paper's falls from 0.04 to 0.005; images are whole, where
    the paper takes patches in motion and fine-tunes on larger ones; errors are means over pixels.
    Images too small for the discriminators' kernels are padded. The discriminators start from He's
    initialization, see zoo.networks.multiscale.
    """

    needs = ("video",)
    conditions = ("video",)

    def __init__(
        self,
        image_size: int = 32,
        image_channels: int = 3,
        past: int = 4,
        scales: Annotated[int, "[1, 4]"] = 4,
        width: int = 128,
        p: Annotated[int, "[1, 100]"] = 1,
        alpha: Annotated[float, "(0, inf)"] = 1.0,
        gdl_weight: float = 1.0,
        adversarial_weight: float = 0.05,
        mismatched_pasts: bool = False,
        separate_batches: bool = False,
        lr: float = 0.04,
        discriminator_lr: float = 0.02,
        adam: bool = False,
        **shared,
    ):
        super().__init__(**shared)
        hp = self.hparams
        self.sizes = multiscale.scale_sizes(hp.image_size, hp.scales)
        self.generator = self.build_generator()
        if hp.adversarial_weight:
            each = [self.build_discriminator(scale) for scale in range(hp.scales)]
            self.discriminators = torch.nn.ModuleList(each)

    def build_generator(self):
        """(N, T C, H, W) -> frames (N, C, size, size) of each scale, the coarsest first."""
        hp = self.hparams
        return multiscale.Generator(self.sizes, hp.past, hp.image_channels, hp.width)

    def build_discriminator(self, scale):
        """(N, C, size, size), (N, T C, size, size) -> (N,)"""
        hp = self.hparams
        place = len(multiscale.DISCRIMINATORS) - hp.scales + scale
        size = self.sizes[scale]
        return multiscale.Discriminator(place, size, hp.past, hp.image_channels, hp.width)

    def sample(self, count, condition=None):
        check_conditions(self, count, condition)
        check_frames(condition["video"], self.hparams.past)
        return self.predict(condition["video"][:, : self.hparams.past], 1)[:, 0]

    def predict(self, past, count):
        """The next `count` frames (N, count, C, H, W) after (N, past, C, H, W), one by one."""
        frames = list(past.unbind(dim=1))
        for _ in range(count):
            known = torch.cat(frames[-self.hparams.past :], dim=1)
            frames.append(self.generator(known)[-1])
        return torch.stack(frames[past.shape[1] :], dim=1)

    def split(self, video):
        """The first `past` frames of videos (N, T, C, H, W), and the others."""
        return split_frames(video, self.hparams.past)

    def piece(self, video):
        """past + 1 frames of each video (N, T, C, H, W), from a random one on: X and Y."""
        past, real = self.split(random_window(video, self.hparams.past + 1))
        return past.flatten(1, 2), real[:, 0]

    def training_step(self, batch, batch_idx):
        past, real = self.piece(batch["video"])  # (N, T C, H, W), (N, C, H, W)
        losses, optimizers = {}, self.optimizers()
        if self.hparams.adversarial_weight:
            discriminator_optimizer, generator_optimizer = optimizers
            judged = past, real
            if self.hparams.separate_batches:
                judged, (past, real) = halves(past, real)
            with self.turn(discriminator_optimizer):
                losses["discriminator_loss"] = self.discriminator_loss(*judged)
                self.manual_backward(losses["discriminator_loss"])
        else:
            generator_optimizer = optimizers
        with self.turn(generator_optimizer):
            loss, terms = self.generator_loss(past, real)
            self.manual_backward(loss)
        self.log_losses(**losses, **terms)

    def discriminator_loss(self, past, real):
        """-log D(X, Y) - log(1 - D(X, G(X))), the sum over scales, and the mismatched pairs.

        Raises UserError where a single video has no other's past.
        """
        if self.hparams.mismatched_pasts and len(real) < 2:
            raise UserError(
                "model.mismatched_pasts=true needs at least 2 videos for the discriminators: raise "
                "data.batch_size."
            )
        with torch.no_grad():
            fakes = self.generator(past)
        pasts, reals = downscale(past, self.sizes), downscale(real, self.sizes)
        loss = 0.0
        for discriminator, real, fake, past in zip(
            self.discriminators, reals, fakes, pasts, strict=True
        ):
            real_logit = discriminator(real, past)
            loss = loss + gan_discriminator_loss(real_logit, discriminator(fake, past))
            if self.hparams.mismatched_pasts:
                wrong_logit = discriminator(real, past.roll(1, dims=0))
                loss = loss + gan_discriminator_loss(real_logit, wrong_logit)
        return loss

    def generator_loss(self, past, real):
        """The loss and its terms, each the sum over scales."""
        hp, fakes = self.hparams, self.generator(past)
        pairs = list(zip(fakes, downscale(at_least_float32(real), self.sizes), strict=True))
        terms = {
            "lp_loss": sum(lp_loss(fake, real, hp.p) for fake, real in pairs),
            "gdl_loss": sum(gradient_difference_loss(*pair, hp.alpha) for pair in pairs),
        }
        loss = terms["lp_loss"] + hp.gdl_weight * terms["gdl_loss"]
        if hp.adversarial_weight:
            players = zip(self.discriminators, fakes, downscale(past, self.sizes), strict=True)
            terms["adversarial_loss"] = sum(
                nonsaturating_generator_loss(discriminator(fake, past))
                for discriminator, fake, past in players
            )
            loss = loss + hp.adversarial_weight * terms["adversarial_loss"]
        return loss, terms

    def configure_optimizers(self):
        hp = self.hparams
        optimizer = torch.optim.Adam if hp.adam else torch.optim.SGD
        generator_optimizer = optimizer(self.generator.parameters(), hp.lr)
        if not hp.adversarial_weight:
            return generator_optimizer
        return [
            optimizer(self.discriminators.parameters(), hp.discriminator_lr),
            generator_optimizer,
        ]

    def measure(self, data, split):
        return predictions(self, data, split)

    def figures(self, data):
        """Test clips and what is predicted of them, frame by frame and as a film."""
        if data is None or not len(data.source("test")):
            return {}
        past, future = self.split(conditions_of(self, data, 6)["video"])
        return video_figures(past, future, self.predict(past, future.shape[1]))


@full_precision
def lp_loss(fake, real, p):
    """Mean |Y - Y^|^p, eq. 6."""
    return (fake - real).abs().pow(p).mean()


def halves(past, real):
    """The two halves of a batch, each (past, real).

    Raises UserError for a batch of one.
    """
    middle = len(real) // 2
    if not middle:
        raise UserError("model.separate_batches=true needs batches of at least 2: data.batch_size.")
    return (past[:middle], real[:middle]), (past[middle:], real[middle:])
