"""WaveNet (van den Oord et al. 2016, arXiv 1609.03499): p(x_t | x_1 ... x_t-1) of audio."""

from typing import Annotated, Any

import torch
from torch import Tensor, promote_types
from torch.nn.functional import one_hot
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from zoo.base import GenerativeModule
from zoo.config.errors import NEEDS_LABELS
from zoo.engine.conditions import check_conditions, draw_labels
from zoo.media.completion import check_completion
from zoo.metrics.likelihood import bits_per_dim
from zoo.networks.audio_outputs import LogisticMixture, MuLaw
from zoo.networks.wavenet import DilatedConvs
from zoo.precision import apply_except_buffers, at_least_float32, uniforms

MEASURED_SAMPLES = 200  # number of samples for the audio metrics of the data
OUTPUTS: dict[str, type[MuLaw] | type[LogisticMixture]] = {
    "mulaw": MuLaw,
    "logistic": LogisticMixture,
}


class WaveNet(GenerativeModule):
    """Dilated causal convolutions that predict the distribution of the next audio sample.

    sample(count, {"audio": ..., "mask": ...}) completes audio: it keeps the samples where the mask
    (N, T) is 0. Without condition["local"], the mean of the training set's local conditions is
    used.

    With `conditional` or `local` the metric is -log p(x | y), and its name contains the condition.
    Compare it only with metrics of the same name. If the local condition is the loudness, it is
    computed from the same audio whose likelihood is measured.

    Deviations: frames of local conditions are repeated instead of upsampled with a transposed
        convolution. Input levels are mapped to a learned embedding. Each layer has its own zero
        padding. The paper states neither widths nor learning rates.

    Args:
        audio_length: Length T of the audio of the data, in samples.
        output: Distribution of a sample: "mulaw", a softmax over levels of mu-law, or "logistic", a
            mixture of logistics on evenly spaced levels, as in Parallel WaveNet (van den Oord et
            al. 2018, arXiv 1711.10433).
        num_levels: Number of levels that audio is quantized to: 256 in the paper, 65536 for 16 bits
            with output="logistic".
        mixtures: Number of logistics for output="logistic".
        width: Number of features of the residual path.
        skip_width: Number of features of the skip path.
        layers: Number of layers per block, with dilations 1, 2, 4 ... 2^(layers - 1).
        blocks: Number of blocks.
        classes: Number of classes of the data.
        conditional: Condition on the label of the whole audio.
        local_features: Number of features F per frame of the data's local conditions.
        hop: Number of samples per frame of the data's local conditions.
        local: Condition on the batch's `local` (N, frames, F), one frame per `hop` samples.
        lr: Learning rate of Adam.
        decay: The learning rate is multiplied by this factor after each step.
    """

    likelihood_kind = "exact"
    _apply = apply_except_buffers  # running means stay in float32
    mean_local: Tensor  # (frames, F), the mean local conditions of training

    def __init__(
        self,
        audio_length: int = 16000,
        output: str = "mulaw",
        num_levels: Annotated[int, "[2, 65536]"] = 256,
        mixtures: int = 10,
        width: int = 64,
        skip_width: int = 256,
        layers: int = 10,
        blocks: int = 3,
        classes: int = 0,
        conditional: bool = False,
        local_features: Annotated[int, "[0, 65536]"] = 0,
        hop: Annotated[int, "[0, 1000000]"] = 0,
        local: bool = False,
        lr: float = 1e-3,
        decay: Annotated[float, "(0, 1]"] = 1.0,
        **shared,
    ):
        if output not in OUTPUTS:
            raise ValueError(f"model.output={output!r}: choose one of {', '.join(OUTPUTS)}.")
        if conditional and not classes:
            raise ValueError(f"model.conditional=true {NEEDS_LABELS}")
        if local and not (local_features and hop):
            raise ValueError("model.local=true needs data with local conditions.")
        super().__init__(**shared)
        hp = self.hparams
        self.needs = ("audio", *["label"] * hp.conditional, *["local"] * hp.local)
        self.distribution = OUTPUTS[hp.output](hp.num_levels, hp.mixtures)
        self.network = self.build_network()
        if hp.local:
            frames = -(-hp.audio_length // hp.hop)
            self.register_buffer("mean_local", torch.zeros(frames, hp.local_features))

    def build_network(self) -> DilatedConvs:
        """Build the network from levels (N, T) to outputs (N, T, K) of the distribution."""
        hp, distribution = self.hparams, self.distribution
        condition = hp.conditional * hp.classes + hp.local * hp.local_features
        size = hp.width, hp.skip_width, hp.layers, hp.blocks
        embedding = distribution.build_embedding(hp.width)
        return DilatedConvs(embedding, *size, distribution.outputs, condition, hp.hop)

    def condition(self, batch: dict[str, Tensor]) -> Tensor | None:
        """Return the features (N, frames, K + F) that the network is conditioned on, or None.

        Raises:
            ValueError: There are fewer frames than the audio needs.
        """
        hp, parts = self.hparams, []
        if hp.conditional:
            parts.append(one_hot(batch["label"], hp.classes)[:, None].to(self.dtype))  # (N, 1, K)
        if hp.local:
            length = batch["audio"].shape[1] if "audio" in batch else hp.audio_length
            frames = batch["local"].shape[1]
            if frames * hp.hop < length:
                raise ValueError(
                    f"local: {frames} frames of {hp.hop} are fewer than {length} samples."
                )
            parts.append(batch["local"].to(self.dtype))  # (N, frames, F)
        if not parts:
            return None
        return torch.cat([part.expand(-1, parts[-1].shape[1], -1) for part in parts], dim=-1)

    def elementwise_nll(self, batch: dict[str, Tensor]) -> Tensor:
        """Return -log p(x_t | x_1 ... x_t-1) of each sample, (N, T) in nats."""
        levels = self.distribution.encode(at_least_float32(batch["audio"]))  # (N, T)
        outputs = at_least_float32(self.network(levels, self.condition(batch)))  # (N, T, K)
        return self.distribution.elementwise_nll(outputs, levels)

    def nll(self, batch: dict[str, Tensor]) -> Tensor:
        """Return -log p(x) of audio at the model's levels, (N,) in nats."""
        return self.elementwise_nll(batch).sum(dim=1)

    @torch.no_grad()
    def sample(self, count: int, condition: dict[str, Tensor] | None = None) -> Tensor:
        check_conditions(self, count, condition)
        shape = count, self.hparams.audio_length
        noise = uniforms(*shape, self.distribution.uniforms, device=self.device)
        condition, fixed = self.default_conditions(count) | (condition or {}), None
        if "mask" in condition:
            check_completion(condition, "audio", shape)
            fixed = self.distribution.encode(condition["audio"])
        levels = self.sample_levels(noise, condition, fixed)
        audio = self.distribution.decode(levels, promote_types(self.dtype, torch.float32))
        if fixed is None:
            return audio
        return torch.where(condition["mask"] > 0.5, audio, condition["audio"])

    def sample_levels(
        self, noise: Tensor, condition: dict[str, Tensor], fixed: Tensor | None
    ) -> Tensor:
        """Generate levels (N, T), one audio sample at a time.

        Args:
            noise: Uniform random numbers (N, T, distribution.uniforms).
            condition: A batch of conditions, with `mask` if `fixed` is passed.
            fixed: Levels (N, T) to keep where the mask is 0.
        """
        level, levels = None, torch.empty(noise.shape[:2], dtype=torch.int64, device=self.device)
        with torch.autocast(self.device.type, enabled=False):  # steps write in place
            steps = self.network.steps(len(noise), self.condition(condition))
            for t in range(noise.shape[1]):
                level = self.distribution.choose(at_least_float32(steps(level)), noise[:, t])
                if fixed is not None:
                    level = torch.where(condition["mask"][:, t] > 0.5, level, fixed[:, t])
                levels[:, t] = level
        return levels

    def default_conditions(self, count: int) -> dict[str, Tensor]:
        """Return the conditions that `sample` uses if none are passed."""
        hp, conditions = self.hparams, {}
        if hp.conditional:
            conditions["label"] = draw_labels(self, count)
        if hp.local:
            conditions["local"] = self.mean_local.expand(count, -1, -1)
        return conditions

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        optimizer = self.optimizers()
        with self.turn(optimizer):
            loss = self.elementwise_nll(batch).mean()
            self.manual_backward(loss)
        if self.hparams.local:
            self.mean_local += (
                batch["local"].mean(dim=0) - self.mean_local
            ) / self.trainer.global_step
        self.log_losses(bits_per_dim=bits_per_dim(loss, 1))

    def configure_optimizers(self) -> tuple[list[Optimizer], list[LRScheduler]]:
        hp = self.hparams
        optimizer = torch.optim.Adam(self.network.parameters(), hp.lr)
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, hp.decay)]

    def measure(self, data: Any, split: str) -> dict[str, float]:
        """Compute the data's audio metrics on samples of each class. See Tones.audio_metrics."""
        if not (self.hparams.conditional and hasattr(data, "audio_metrics")):
            return {}
        label = torch.arange(MEASURED_SAMPLES, device=self.device) % self.hparams.classes
        return data.audio_metrics(self.sample(len(label), {"label": label}), label)
