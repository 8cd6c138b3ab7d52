"""Video prediction beyond mean square error (Mathieu, Couprie, LeCun 2015, arXiv 1511.05440)."""

from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.base import GenerativeModule
from zoo.config.errors import UserError
from zoo.engine.conditions import batch_of, check_conditions
from zoo.losses import (
    gan_discriminator_loss,
    gradient_difference_loss,
    nonsaturating_generator_loss,
)
from zoo.media.video import check_frames, random_window, split_frames
from zoo.metrics.video_psnr import prediction_scores
from zoo.networks import multiscale
from zoo.networks.multiscale import downscale
from zoo.plots.videos import video_figures
from zoo.precision import at_least_float32, full_precision


class VideoPrediction(GenerativeModule):
    """Predict the next frame of a video at several scales, from the coarsest to the finest.

    Each scale refines the upsampled prediction of the previous scale. The generator and the
    discriminator of each scale are conditioned on the last `past` frames. The loss is the sum over
    scales of the l_p errors, the gradient differences (GDL) and the adversarial terms.

    The videos of a batch have more than `past` frames. Each step trains on a random window of each
    video. `sample` returns the frame after the first `past` frames of condition["video"], and
    `predict` returns any number of frames. Predictions are deterministic.

    Args:
        image_size: Height and width of the frames.
        image_channels: Channels of the frames.
        past: Number of frames that a prediction is conditioned on.
        scales: Number of scales; 1 is a single network at full size.
        width: Channels of a generator's first convolution. The discriminators scale with it.
        p: Exponent of the errors, eq. 6.
        alpha: Exponent of the gradient differences, eq. 7. Below 1, gradients would be infinite.
        gdl_weight: Weight of the gradient difference loss.
        adversarial_weight: Weight of the adversarial term; 0 trains no discriminators.
        mismatched_pasts: Also train the discriminators to reject real frames with the past of
            another video, and count real pairs twice, as in the authors' code (advExt="full").
            Without such pairs, discriminators can ignore the past.
        separate_batches: Train the discriminators on the first half of each batch and the generator
            on the second half. In the authors' code each update uses a different batch.
        lr: Learning rate of the generator.
        discriminator_lr: Learning rate of the discriminators.
        adam: Use Adam instead of SGD.

    Deviations: learning rates are constant. In the paper they fall from 0.04 to 0.005. Whole frames
    are used. The paper trains on moving patches and fine-tunes on larger ones. Losses are means
    over pixels, not sums. The discriminators use He initialization, see zoo.networks.multiscale.
    Their convolutions are padded if images are too small. The generator's gradient uses a new
    forward pass of the discriminators.
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
        alpha: Annotated[float, "[1, 100]"] = 1.0,
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
            discriminators = [self.build_discriminator(scale) for scale in range(hp.scales)]
            self.discriminators = nn.ModuleList(discriminators)

    def build_generator(self) -> nn.Module:
        """Pasts (N, T C, H, W) -> frames (N, C, size, size) of each scale, the coarsest first."""
        hp = self.hparams
        return multiscale.Generator(self.sizes, hp.past, hp.image_channels, hp.width)

    def build_discriminator(self, scale: int) -> nn.Module:
        """Frames (N, C, size, size) and pasts (N, T C, size, size) -> logits (N,)."""
        hp = self.hparams
        index = len(multiscale.DISCRIMINATORS) - hp.scales + scale
        size = self.sizes[scale]
        return multiscale.Discriminator(index, size, hp.past, hp.image_channels, hp.width)

    def sample(self, count: int, condition: dict[str, Tensor] | None = None) -> Tensor:
        check_conditions(self, count, condition)
        condition = condition or {}
        check_frames(condition["video"], self.hparams.past)
        return self.predict(condition["video"][:, : self.hparams.past], 1)[:, 0]

    def predict(self, past: Tensor, count: int) -> Tensor:
        """Predict the next `count` frames (N, count, C, H, W) of (N, past, C, H, W), one by one."""
        frames = list(past.unbind(dim=1))
        for _ in range(count):
            last_frames = torch.cat(frames[-self.hparams.past :], dim=1)  # (N, T C, H, W)
            frames.append(self.generator(last_frames)[-1])
        return torch.stack(frames[past.shape[1] :], dim=1)

    def split(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """Split videos (N, T, C, H, W) into the first `past` frames and the others."""
        return split_frames(video, self.hparams.past)

    def random_past_and_next(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """Sample a window of each video (N, T, C, H, W): X (N, past C, H, W), Y (N, C, H, W)."""
        past, real = self.split(random_window(video, self.hparams.past + 1))
        return past.flatten(1, 2), real[:, 0]

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        past, real = self.random_past_and_next(batch["video"])  # (N, T C, H, W), (N, C, H, W)
        losses, optimizers = {}, self.optimizers()
        if self.hparams.adversarial_weight:
            discriminator_optimizer, generator_optimizer = optimizers
            pairs = past, real
            if self.hparams.separate_batches:
                pairs, (past, real) = halve_batch(past, real)
            with self.turn(discriminator_optimizer):
                losses["discriminator_loss"] = self.discriminator_loss(*pairs)
                self.manual_backward(losses["discriminator_loss"])
        else:
            generator_optimizer = optimizers
        with self.turn(generator_optimizer):
            loss, terms = self.generator_loss(past, real)
            self.manual_backward(loss)
        self.log_losses(**losses, **terms)

    def discriminator_loss(self, past: Tensor, real: Tensor) -> Tensor:
        """-log D(X, Y) - log(1 - D(X, G(X))) summed over scales, plus that of mismatched pairs.

        Args:
            past: X, (N, past C, H, W).
            real: Y, (N, C, H, W).

        Raises:
            UserError: `mismatched_pasts` with a single video.
        """
        if self.hparams.mismatched_pasts and len(real) < 2:
            raise UserError(
                "model.mismatched_pasts=true needs at least 2 videos for the discriminators: raise "
                "data.batch_size."
            )
        with torch.no_grad():
            fakes = self.generator(past)
        pasts, reals = downscale(past, self.sizes), downscale(real, self.sizes)
        loss = real.new_zeros((), dtype=torch.float32)
        for discriminator, y, fake, x in zip(self.discriminators, reals, fakes, pasts, strict=True):
            real_logit = discriminator(y, x)  # (N,)
            loss = loss + gan_discriminator_loss(real_logit, discriminator(fake, x))
            if self.hparams.mismatched_pasts:
                wrong_logit = discriminator(y, x.roll(1, dims=0))
                loss = loss + gan_discriminator_loss(real_logit, wrong_logit)
        return loss

    def generator_loss(self, past: Tensor, real: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and its terms, each summed over scales, eq. 7.

        Args:
            past: X, (N, past C, H, W).
            real: Y, (N, C, H, W).
        """
        hp, fakes = self.hparams, self.generator(past)
        pairs = list(zip(fakes, downscale(at_least_float32(real), self.sizes), strict=True))
        terms: dict[str, Any] = {
            "lp_loss": sum(lp_loss(*pair, hp.p) for pair in pairs),
            "gdl_loss": sum(gradient_difference_loss(*pair, hp.alpha) for pair in pairs),
        }
        loss = terms["lp_loss"] + hp.gdl_weight * terms["gdl_loss"]
        if hp.adversarial_weight:
            players = zip(self.discriminators, fakes, downscale(past, self.sizes), strict=True)
            terms["adversarial_loss"] = sum(
                nonsaturating_generator_loss(discriminator(fake, x))
                for discriminator, fake, x in players
            )
            loss = loss + hp.adversarial_weight * terms["adversarial_loss"]
        return loss, terms

    def configure_optimizers(self) -> Optimizer | list[Optimizer]:
        hp = self.hparams
        optimizer = torch.optim.Adam if hp.adam else torch.optim.SGD
        generator_optimizer = optimizer(self.generator.parameters(), hp.lr)
        if not hp.adversarial_weight:
            return generator_optimizer
        return [
            optimizer(self.discriminators.parameters(), hp.discriminator_lr),
            generator_optimizer,
        ]

    def measure(self, data: Any, split: str) -> dict[str, float]:
        return prediction_scores(self, data, split)

    def figures(self, data: Any) -> dict[str, Tensor]:
        """Draw test videos and predictions of their future, frame by frame and as a GIF."""
        if data is None or not len(data.source("test")):
            return {}
        past, future = self.split(batch_of(self, data, "test", 6)["video"])
        return video_figures(past, future, self.predict(past, future.shape[1]))


@full_precision
def lp_loss(fake: Tensor, real: Tensor, p: float) -> Tensor:
    """Mean |Y - Y^|^p over the values of frames (N, C, H, W), eq. 6."""
    return (fake - real).abs().pow(p).mean()


def halve_batch(past: Tensor, real: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return both halves of a batch, each (past, real).

    Raises:
        UserError: The batch has a single video.
    """
    middle = len(real) // 2
    if not middle:
        raise UserError(
            "model.separate_batches=true needs batches of at least 2: raise data.batch_size."
        )
    return (past[:middle], real[:middle]), (past[middle:], real[middle:])
