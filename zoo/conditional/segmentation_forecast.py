"""Forecasts of segmentations (Luc et al. 2017, 2018, arXiv 1703.07684, 1803.11496)."""

from typing import Annotated

import torch

from zoo.base import GenerativeModule
from zoo.engine.conditions import check_conditions
from zoo.engine.stepping import warn_of_early_end
from zoo.engine.strategy import sync_buffers
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
from zoo.metrics.segmentation_iou import IGNORED, forecasts
from zoo.networks import segmentation_forecast as forecasting
from zoo.networks.multiscale import downscale
from zoo.networks.patchgan import PatchGAN
from zoo.plots.forecasts import forecast_figures
from zoo.precision import at_least_float32

SPACES = ("segmentations", "features", "pixels")


class SegmentationForecast(GenerativeModule):
    """What will be where in the frames to come, forecast in the space of a segmenter.

    The segmenter learns from single frames in the first `segmenter_steps` batches, and is frozen
    from then on; then the forecaster learns to predict a state of the next frame from those of the
    last `past` ones. space: a state is the segmenter's scores before the softmax (S2S), its
    features, from which its head makes scores (F2F), or the frame itself, which it segments (X2X).
    States further ahead are forecast from forecasts.

    width: channels of the forecaster's first convolution, a quarter of them in F2F; features: of
    the segmenter. rollout: steps ahead that the loss goes through, from batch `rollout_start` on;
    before that it is one. adversarial_weight: of a discriminator of patches of the softmax of the
    next scores, which is told those of the past. image_size is even.

    `sample` gives the map of the frame after the first `past` ones of given["video"] in colours,
    or in shades of grey where frames are not of three channels; nothing is drawn.

    Deviations: the segmenter is small, and learns in the same run. Adam instead of SGD. Frames
    follow each other, where the papers take every third. F2F has one level, and not four.
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
            raise ValueError(f"model.space={space}: there are {', '.join(SPACES)}.")
        if image_size % 2:
            raise ValueError(f"model.image_size={image_size} must be even.")
        if adversarial_weight and image_size < 6:
            raise ValueError(f"model.image_size={image_size}: a discriminator needs at least 6.")
        super().__init__(**shared)
        self.segmenter = self.build_segmenter()
        if adversarial_weight:
            self.map_discriminator = self.build_map_discriminator()
        self.forecaster = self.build_forecaster()

    def build_segmenter(self):
        """A network of a backbone, (N, C, H, W) -> features, and a head -> (N, K, H, W)."""
        hp = self.hparams
        return forecasting.Segmenter(hp.image_channels, hp.classes, hp.features)

    def build_map_discriminator(self):
        """Maps (N, K, H, W) and those before, (N, T K, H, W) -> logits (N, H', W') of patches."""
        hp = self.hparams
        return PatchGAN(hp.image_size, hp.classes * (hp.past + 1), hp.width, field=16)

    def build_forecaster(self):
        """(N, T C, H, W) -> states (N, C, H, W) of each scale, the coarsest first."""
        hp = self.hparams
        if hp.space == "features":
            return forecasting.FeatureForecaster(hp.past, hp.features, hp.width)
        channels = hp.classes if hp.space == "segmentations" else hp.image_channels
        return forecasting.scale_forecaster(hp.image_size, hp.past, channels, hp.width)

    def sample(self, count, condition=None):
        """`count` is the number of the videos that are given."""
        check_conditions(self, count, condition)
        check_frames(condition["video"], self.hparams.past)
        scores = self.forecast(condition["video"][:, : self.hparams.past], 1)[:, 0]
        return colorize_classes(scores.softmax(dim=1), self.hparams.image_channels)

    def segment(self, video):
        """Scores (N, T, K, H, W) of the frames of videos (N, T, C, H, W)."""
        return each(self.segmenter, video)

    def forecast(self, past, count):
        """Scores (N, count, K, H, W) of the frames after (N, past, C, H, W)."""
        return self.scores(self.predict(self.states(past), count))

    def states(self, video):
        """What is forecast of the frames of videos (N, T, C, H, W)."""
        readers = {"segmentations": self.segmenter, "features": self.segmenter.backbone}
        space = self.hparams.space
        return each(readers[space], video) if space in readers else video

    def scores(self, states):
        """Scores (N, T, K, H, W) of states (N, T, ...)."""
        readers = {"features": self.segmenter.head, "pixels": self.segmenter}
        space = self.hparams.space
        return each(readers[space], states) if space in readers else states

    def predict(self, past, count):
        """The next `count` states after (N, past, C, H, W), one by one."""
        return torch.stack([scales[-1] for scales in self.roll(past, count)], dim=1)

    def roll(self, past, count):
        """Those at each scale: a list of `count` lists, the last of each is what is fed back."""
        states, steps = list(past.unbind(dim=1)), []
        for _ in range(count):
            known = torch.cat(states[-self.hparams.past :], dim=1)
            steps.append(self.forecaster(known))
            states.append(steps[-1][-1])
        return steps

    def training_step(self, batch, batch_idx):
        hp = self.hparams
        check_frames(batch["video"], hp.past + hp.rollout)
        segmenter_optimizer, *others = self.optimizers()
        learning = self.clock <= hp.segmenter_steps
        self.segmenter.train(learning)
        if not learning:
            losses = self.play(batch["video"], *others)
        else:
            with self.turn(segmenter_optimizer):
                losses = {"segmenter_loss": self.segmenter_loss(batch)}
                self.manual_backward(losses["segmenter_loss"])
            if self.trainer.global_step == hp.segmenter_steps * hp.accumulate:
                sync_buffers(self)  # what is frozen is the same on all processes
        self.log_losses(**losses)

    def play(self, video, *optimizers):
        """The turns of the forecaster and, before it, of the discriminator, if any: the losses."""
        hp, losses = self.hparams, {}
        *adversary, forecaster_optimizer = optimizers
        ahead = hp.rollout if self.clock > hp.rollout_start else 1
        with torch.no_grad():
            past, future = split_frames(self.states(random_window(video, hp.past + ahead)), hp.past)
        for discriminator_optimizer in adversary:
            with self.turn(discriminator_optimizer):
                losses["discriminator_loss"] = self.discriminator_loss(past, future)
                self.manual_backward(losses["discriminator_loss"])
        with self.turn(forecaster_optimizer):
            loss, terms = self.forecaster_loss(past, future)
            self.manual_backward(loss)
        return losses | terms

    def segmenter_loss(self, batch):
        """Cross-entropy of one frame of each video."""
        video, device = batch["video"], batch["video"].device
        chosen = torch.randint(video.shape[1], (len(video),), device=device)
        places = torch.arange(len(video), device=device), chosen
        classes = batch["segmentation"][places]
        return cross_entropy(self.segmenter(video[places]), classes, ignore_index=IGNORED)

    def forecaster_loss(self, past, future):
        """The loss and its terms, means over the steps; those of maps are sums over the scales."""
        hp, steps = self.hparams, self.roll(past, future.shape[1])
        future = at_least_float32(future)
        if hp.space == "features":
            loss = mse_loss(torch.stack([s[-1] for s in steps], dim=1), future)
            terms = {"l2_loss": loss}
        else:
            pairs = [
                pair
                for fakes, real in zip(steps, future.unbind(dim=1), strict=True)
                for pair in zip(fakes, downscale(real, self.forecaster.sizes), strict=True)
            ]
            terms = {
                "l1_loss": sum(l1_loss(*pair) for pair in pairs) / len(steps),
                "gdl_loss": sum(gradient_difference_loss(*pair) for pair in pairs) / len(steps),
            }
            loss = terms["l1_loss"] + hp.gdl_weight * terms["gdl_loss"]
        if hp.adversarial_weight:
            logits = self.verdict(past, steps[0][-1])
            terms["adversarial_loss"] = nonsaturating_generator_loss(logits)
            loss = loss + hp.adversarial_weight * terms["adversarial_loss"]
        return loss, terms

    def discriminator_loss(self, past, future):
        with torch.no_grad():
            fake = self.predict(past, 1)[:, 0]
        return gan_discriminator_loss(self.verdict(past, future[:, 0]), self.verdict(past, fake))

    def verdict(self, past, state):
        """Logits (N, H', W') of patches of the map of a state (N, C, H, W) after its past."""
        known, seen = (self.scores(s).softmax(dim=2) for s in (past, state[:, None]))
        return self.map_discriminator(seen[:, 0], known.flatten(1, 2))

    def on_fit_start(self):
        super().on_fit_start()
        warn_of_early_end(self, "segmenter_steps")

    def configure_optimizers(self):
        hp = self.hparams
        segmenter_optimizer = torch.optim.Adam(self.segmenter.parameters(), hp.segmenter_lr)
        optimizers = [torch.optim.Adam(self.forecaster.parameters(), hp.lr)]
        if hp.adversarial_weight:
            player = self.map_discriminator.parameters()
            optimizers.insert(0, torch.optim.Adam(player, hp.discriminator_lr, betas=(0.5, 0.999)))
        falling = torch.optim.lr_scheduler.LinearLR(
            segmenter_optimizer, 1.0, 0.0, total_iters=hp.segmenter_steps
        )
        return [segmenter_optimizer, *optimizers], [falling]

    def measure(self, data, split):
        return forecasts(self, data, split)

    def figures(self, data):
        return forecast_figures(self, data)


def each(network, video):
    """The network's maps (N, T, ...) of the frames of (N, T, C, H, W)."""
    return network(video.flatten(0, 1)).unflatten(0, video.shape[:2])
