"""Forecasts of segmentations (Luc et al. 2017, 2018, arXiv 1703.07684, 1803.11496)."""

from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LinearLR

from zoo.base import GenerativeModule
from zoo.engine.conditions import check_conditions
from zoo.engine.gradient_sync import sync_buffers
from zoo.engine.stepping import warn_of_early_end
from zoo.losses import (
    cross_entropy,
    gan_discriminator_loss,
    gradient_difference_loss,
    l1_loss,
    mse_loss,
    nonsaturating_generator_loss,
)
from zoo.media.segmentation import colorize_classes
from zoo.media.video import check_frames, random_window, split_frames
from zoo.metrics.segmentation_iou import IGNORED, forecast_scores
from zoo.networks import segmentation_forecast as forecasting
from zoo.networks.multiscale import downscale
from zoo.networks.patchgan import PatchGAN
from zoo.plots.forecasts import forecast_figures
from zoo.precision import at_least_float32

SPACES = ("segmentations", "features", "pixels")


class SegmentationForecast(GenerativeModule):
    """Forecast the segmentation of future frames with a frozen segmenter and a forecaster.

    The segmenter is trained on single frames in the first `segmenter_steps` batches, and then
    frozen. After that the forecaster is trained to predict the state of the next frame from the
    last `past` states. States further ahead are predicted from earlier predictions.

    `sample` returns the segmentation of the frame after the first `past` frames of
    condition["video"], drawn in colors, or in shades of gray for one channel. It is deterministic.

    Args:
        image_size: Height and width of the frames; must be even.
        image_channels: Channels of the frames.
        classes: Number of classes of the segmentation.
        space: State of a frame. "segmentations": class scores before the softmax (S2S).
            "features": features of the segmenter, whose head computes the scores (F2F). "pixels":
            the frame itself, to which the segmenter is applied (X2X).
        past: Number of frames that a forecast is conditioned on.
        width: Channels of the forecaster's first convolution; divided by 4 for space="features".
        features: Channels of the segmenter's features.
        segmenter_steps: Number of batches in which the segmenter is trained.
        segmenter_lr: Adam's learning rate for the segmenter; it decays linearly to 0.
        rollout: Number of forecast steps in the loss after batch `rollout_start`. Until then, the
            loss has one step.
        rollout_start: Last batch with one forecast step in the loss.
        gdl_weight: Weight of the gradient difference loss.
        adversarial_weight: Weight of the adversarial loss; 0 trains no discriminator. The patch
            discriminator's input is the softmax of the past and the next scores.
        discriminator_lr: Adam's learning rate for the discriminator.
        lr: Adam's learning rate for the forecaster.

    Deviations: the segmenter is small and trained in the same run. Adam instead of SGD. Consecutive
    frames instead of every third one. F2F has one feature level instead of four.
    """

    needs = ("video", "segmentation")
    conditions = ("video",)

    def __init__(
        self,
        image_size: int = 64,
        image_channels: int = 3,
        classes: Annotated[int, "[2, 1000]"] = 4,
        space: str = "segmentations",
        past: Annotated[int, "[2, 1000]"] = 4,
        width: int = 128,
        features: int = 32,
        segmenter_steps: int = 500,
        segmenter_lr: float = 1e-2,
        rollout: Annotated[int, "[1, 1000]"] = 1,
        rollout_start: Annotated[int, "[0, inf)"] = 0,
        gdl_weight: float = 1.0,
        adversarial_weight: float = 0.0,
        discriminator_lr: float = 1e-3,
        lr: float = 1e-3,
        **shared,
    ):
        if space not in SPACES:
            raise ValueError(f"model.space={space}: choose one of {', '.join(SPACES)}.")
        if image_size % 2:
            raise ValueError(f"model.image_size={image_size} must be even.")
        if adversarial_weight and image_size < 6:
            raise ValueError(f"model.image_size={image_size}: the discriminator needs at least 6.")
        super().__init__(**shared)
        self.segmenter = self.build_segmenter()
        if adversarial_weight:
            self.map_discriminator = self.build_map_discriminator()
        self.forecaster = self.build_forecaster()

    def build_segmenter(self) -> forecasting.Segmenter:
        """A `backbone`, (N, C, H, W) -> features, and a `head`, features -> (N, K, H, W)."""
        hp = self.hparams
        return forecasting.Segmenter(hp.image_channels, hp.classes, hp.features)

    def build_map_discriminator(self) -> nn.Module:
        """Maps (N, K, H, W) and their past (N, T K, H, W) -> logits (N, H', W') of patches."""
        hp = self.hparams
        return PatchGAN(hp.image_size, hp.classes * (hp.past + 1), hp.width, field=16)

    def build_forecaster(self) -> Any:
        """Pasts (N, T C, H, W) -> states (N, C, H, W) of each scale, the coarsest first."""
        hp = self.hparams
        if hp.space == "features":
            return forecasting.FeatureForecaster(hp.past, hp.features, hp.width)
        channels = hp.classes if hp.space == "segmentations" else hp.image_channels
        return forecasting.scale_forecaster(hp.image_size, hp.past, channels, hp.width)

    def sample(self, count: int, condition: dict[str, Tensor] | None = None) -> Tensor:
        check_conditions(self, count, condition)
        condition = condition or {}
        check_frames(condition["video"], self.hparams.past)
        scores = self.forecast(condition["video"][:, : self.hparams.past], 1)[:, 0]
        return colorize_classes(scores.softmax(dim=1), self.hparams.image_channels)

    def segment(self, video: Tensor) -> Tensor:
        """Return class scores (N, T, K, H, W) of the frames of videos (N, T, C, H, W)."""
        return forecasting.per_frame(self.segmenter, video)

    def forecast(self, past: Tensor, count: int) -> Tensor:
        """Return class scores (N, count, K, H, W) of the frames after (N, past, C, H, W)."""
        return self.scores(self.predict(self.states(past), count))

    def states(self, video: Tensor) -> Tensor:
        """Return the states (N, T, ...) of the frames of videos (N, T, C, H, W)."""
        networks = {"segmentations": self.segmenter, "features": self.segmenter.backbone}
        return forecasting.per_frame(networks.get(self.hparams.space), video)

    def scores(self, states: Tensor) -> Tensor:
        """Return class scores (N, T, K, H, W) of states (N, T, ...)."""
        networks = {"features": self.segmenter.head, "pixels": self.segmenter}
        return forecasting.per_frame(networks.get(self.hparams.space), states)

    def predict(self, past: Tensor, count: int) -> Tensor:
        """Predict the next `count` states (N, count, C, H, W) of (N, past, C, H, W)."""
        return torch.stack([scales[-1] for scales in self.predict_scales(past, count)], dim=1)

    def predict_scales(self, past: Tensor, count: int) -> list[list[Tensor]]:
        """Predict states one by one. Returns the scales of each step; the finest is fed back."""
        states, steps = list(past.unbind(dim=1)), []
        for _ in range(count):
            last_states = torch.cat(states[-self.hparams.past :], dim=1)  # (N, T C, H, W)
            steps.append(self.forecaster(last_states))
            states.append(steps[-1][-1])
        return steps

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        hp = self.hparams
        check_frames(batch["video"], hp.past + hp.rollout)
        segmenter_optimizer, *others = self.optimizers()
        segmenter_trains = self.clock <= hp.segmenter_steps
        self.segmenter.train(segmenter_trains)
        if not segmenter_trains:
            losses = self.forecaster_step(batch["video"], *others)
        else:
            with self.turn(segmenter_optimizer):
                losses = {"segmenter_loss": self.segmenter_loss(batch)}
                self.manual_backward(losses["segmenter_loss"])
            if self.trainer.global_step == hp.segmenter_steps * hp.accumulate:
                sync_buffers(self)  # the frozen segmenter is the same on all processes
        self.log_losses(**losses)

    def forecaster_step(self, video: Tensor, *optimizers: Any) -> dict[str, Tensor]:
        """Update the discriminator, if there is one, and the forecaster; return the losses."""
        hp, losses = self.hparams, {}
        *adversary, forecaster_optimizer = optimizers
        ahead = hp.rollout if self.clock > hp.rollout_start else 1
        with torch.no_grad():
            past, future = split_frames(self.states(random_window(video, hp.past + ahead)), hp.past)
        if adversary:
            with self.turn(*adversary):
                losses["discriminator_loss"] = self.discriminator_loss(past, future)
                self.manual_backward(losses["discriminator_loss"])
        with self.turn(forecaster_optimizer):
            loss, terms = self.forecaster_loss(past, future)
            self.manual_backward(loss)
        return losses | terms

    def segmenter_loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the cross-entropy of one random frame of each video."""
        video, device = batch["video"], batch["video"].device
        chosen = torch.randint(video.shape[1], (len(video),), device=device)
        index = torch.arange(len(video), device=device), chosen
        scores = self.segmenter(video[index])  # (N, K, H, W)
        return cross_entropy(scores, batch["segmentation"][index], ignore_index=IGNORED)

    def forecaster_loss(self, past: Tensor, future: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and its terms: means over steps, and sums over scales if any."""
        hp, steps = self.hparams, self.predict_scales(past, future.shape[1])
        future = at_least_float32(future)
        if hp.space == "features":
            loss = mse_loss(torch.stack([s[-1] for s in steps], dim=1), future)
            terms = {"l2_loss": loss}
        else:
            pairs = [
                pair
                for fakes, real in zip(steps, future.unbind(dim=1), strict=True)
                for pair in zip(fakes, downscale(real, self.forecaster.sizes), strict=True)
            ]  # (fake, real) of each step and scale
            l1: Any = sum(l1_loss(*pair) for pair in pairs) / len(steps)
            gdl: Any = sum(gradient_difference_loss(*pair) for pair in pairs) / len(steps)
            loss, terms = l1 + hp.gdl_weight * gdl, {"l1_loss": l1, "gdl_loss": gdl}
        if hp.adversarial_weight:
            logits = self.discriminate(past, steps[0][-1])
            terms["adversarial_loss"] = nonsaturating_generator_loss(logits)
            loss = loss + hp.adversarial_weight * terms["adversarial_loss"]
        return loss, terms

    def discriminator_loss(self, past: Tensor, future: Tensor) -> Tensor:
        """Return the discriminator's loss on the next real and the next predicted state."""
        with torch.no_grad():
            fake = self.predict(past, 1)[:, 0]
        real_logit = self.discriminate(past, future[:, 0])
        return gan_discriminator_loss(real_logit, self.discriminate(past, fake))

    def discriminate(self, past: Tensor, state: Tensor) -> Tensor:
        """Return logits (N, H', W') of patches of a state (N, C, H, W), given its past."""
        past_maps, next_map = (self.scores(s).softmax(dim=2) for s in (past, state[:, None]))
        return self.map_discriminator(next_map[:, 0], past_maps.flatten(1, 2))

    def on_fit_start(self) -> None:
        super().on_fit_start()
        warn_of_early_end(self, "segmenter_steps")

    def configure_optimizers(self) -> Any:
        hp = self.hparams
        segmenter_optimizer = torch.optim.Adam(self.segmenter.parameters(), hp.segmenter_lr)
        optimizers = [torch.optim.Adam(self.forecaster.parameters(), hp.lr)]
        if hp.adversarial_weight:
            player = self.map_discriminator.parameters()
            optimizers.insert(0, torch.optim.Adam(player, hp.discriminator_lr, betas=(0.5, 0.999)))
        decay = LinearLR(segmenter_optimizer, 1.0, 0.0, total_iters=hp.segmenter_steps)
        return [segmenter_optimizer, *optimizers], [decay]

    def measure(self, data: Any, split: str) -> dict[str, float]:
        return forecast_scores(self, data, split)

    def figures(self, data: Any) -> dict[str, Tensor]:
        return forecast_figures(self, data)
