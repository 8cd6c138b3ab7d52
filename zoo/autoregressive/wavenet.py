"""WaveNet (van den Oord et al. 2016, arXiv 1609.03499): each sample given those before it."""

import math
from typing import Annotated

import torch
from torch import nn, promote_types
from torch.nn.functional import cross_entropy, one_hot

from zoo.base import GenerativeModule
from zoo.engine.conditions import check_conditions
from zoo.media.completion import check_completion
from zoo.media.images import from_levels, to_levels
from zoo.metrics.likelihood import bits_per_dim
from zoo.networks.logistic_mixture import log_mass, pick
from zoo.networks.wavenet import Dilated
from zoo.precision import at_least_float32


class MuLaw:
    """A softmax over levels that are finer near 0: ITU-T G.711's companding, mu = levels - 1."""

    draws = 1  # uniforms that decide a sample

    def __init__(self, levels, mixtures):
        self.levels, self.outputs = levels, levels

    def embedding(self, width):
        return nn.Embedding(self.levels, width)

    def encode(self, audio):
        """Levels, int64, of floats in [-1, 1]."""
        mu = self.levels - 1
        companded = audio.sign() * (mu * audio.abs()).log1p() / math.log1p(mu)
        return to_levels(companded, self.levels)

    def decode(self, levels, dtype):
        mu, companded = self.levels - 1, from_levels(levels.to(dtype), self.levels)
        return companded.sign() * (companded.abs() * math.log1p(mu)).expm1() / mu

    def elementwise_nll(self, outputs, levels):
        logits = outputs.flatten(0, 1)
        return cross_entropy(logits, levels.flatten(), reduction="none").view_as(levels)

    def choose(self, outputs, noise):
        """Levels (N,) of uniforms (N, draws)."""
        return pick(outputs, noise)[:, 0]


class Logistic:
    """A mixture of logistics on evenly spaced levels, each with the mass of its bin.

    Outputs (..., 3 M): logits, means in [-1, 1], log scales less 2, so that it begins wide. The bin
    is one wide in units of levels; what is beyond the outermost levels belongs to them.
    """

    draws = 2  # which of the mixture, and where in it

    def __init__(self, levels, mixtures):
        self.levels, self.outputs = levels, 3 * mixtures

    def embedding(self, width):
        return Scaled(self.levels, width)

    def encode(self, audio):
        return to_levels(audio, self.levels)

    def decode(self, levels, dtype):
        return from_levels(levels.to(dtype), self.levels)

    def components(self, outputs):
        """Logits, means and log scales (..., M), in units of levels."""
        logits, mean, log_scale = outputs.chunk(3, dim=-1)
        half = (self.levels - 1) / 2
        return logits, (mean + 1) * half, (log_scale - 2 + math.log(half)).clamp(min=-3)

    def elementwise_nll(self, outputs, levels):
        logits, mean, log_scale = self.components(outputs)
        levels = levels[..., None]
        ends = levels == 0, levels == self.levels - 1
        mass = log_mass(levels - mean, log_scale, 0.5, *ends)
        return -(logits.log_softmax(dim=-1) + mass).logsumexp(dim=-1)

    def choose(self, outputs, noise):
        logits, mean, log_scale = self.components(outputs)
        value = mean + log_scale.exp() * noise[:, 1:].logit(eps=1e-7)
        value = value.gather(1, pick(logits, noise[:, :1]))[:, 0]
        return value.round().clamp(0, self.levels - 1).long()


class Scaled(nn.Linear):
    """Features (..., width) of levels (...), linear in their values in [-1, 1]."""

    def __init__(self, levels, width):
        super().__init__(1, width)
        self.levels = levels

    def forward(self, levels):
        dtype = self.weight.dtype
        values = from_levels(levels.to(promote_types(dtype, torch.float32)), self.levels)
        return super().forward(values[..., None].to(dtype))


HEARD = 200  # samples that are listened to
OUTPUTS = {"mulaw": MuLaw, "logistic": Logistic}


class WaveNet(GenerativeModule):
    """Dilated causal convolutions that say how probable each level of the next sample is.

    output: "mulaw", a softmax over `levels` of mu-law (256 in the paper), or "logistic", `mixtures`
    logistics on evenly spaced `levels` (65536 of 16 bits), as in Parallel WaveNet (van den Oord et
    al. 2018, arXiv 1711.10433). width, skip_width: features of the residual and of the skip path;
    dilations 1 ... 2^(layers - 1), `blocks` times. conditional: on labels, one term for the whole
    series; local: on `local` (N, frames, F) of the batch, a frame for each `hop` samples, repeated.
    Audio length, classes, local_features and hop are the data's.

    A batch's `audio` may be completed: sample(count, {"audio": ..., "mask": ...}) keeps samples
    where the mask (N, T) is 0. Where no `local` is given, it is the mean of those seen in training.

    With `conditional` or `local` the likelihood is -log p(x | y), and its name says so. Loudness as
    `local` is computed from the samples that are scored: such a number is low because of what the
    condition tells, and compares only with numbers of the same name.

    Deviations: the paper tells neither widths nor rates; frames are repeated, not upsampled by a
    transposed convolution; gates see the first causal convolution of a learnt embedding of levels.
    """

    likelihood_kind = "exact"

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
            raise ValueError(f"model.output={output!r}: there are {' and '.join(OUTPUTS)}.")
        if conditional and not classes:
            raise ValueError("model.conditional=true needs data with labels.")
        if local and not (local_features and hop):
            raise ValueError("model.local=true needs data with local conditions.")
        super().__init__(**shared)
        hp = self.hparams
        self.needs = ("audio", *["label"] * hp.conditional, *["local"] * hp.local)
        self.law = OUTPUTS[hp.output](hp.num_levels, hp.mixtures)
        self.network = self.build_network()
        if hp.local:
            frames = -(-hp.audio_length // hp.hop)
            self.register_buffer("usual", torch.zeros(frames, hp.local_features))

    def build_network(self):
        hp, law = self.hparams, self.law
        condition = hp.conditional * hp.classes + hp.local * hp.local_features
        size = hp.width, hp.skip_width, hp.layers, hp.blocks
        return Dilated(law.embedding(hp.width), *size, law.outputs, condition, hp.hop)

    def condition(self, batch):
        """What a batch gives the network beside audio: (N, frames, given), or None."""
        hp, parts = self.hparams, []
        if hp.conditional:
            parts.append(one_hot(batch["label"], hp.classes)[:, None].to(self.dtype))
        if hp.local:
            length = batch["audio"].shape[1] if "audio" in batch else hp.audio_length
            frames = batch["local"].shape[1]
            if frames * hp.hop < length:
                raise ValueError(
                    f"local: {frames} frames of {hp.hop} are fewer than {length} samples."
                )
            parts.append(batch["local"].to(self.dtype))
        if not parts:
            return None
        return torch.cat([part.expand(-1, parts[-1].shape[1], -1) for part in parts], dim=-1)

    def elementwise_nll(self, batch):
        """-log p(x_t | x_1 ... x_t-1) of each sample, in nats: (N, T)."""
        levels = self.law.encode(at_least_float32(batch["audio"]))
        outputs = at_least_float32(self.network(levels, self.condition(batch)))
        return self.law.elementwise_nll(outputs, levels)

    def nll(self, batch):
        """-log p(x) of audio at the model's levels, (N,) in nats."""
        return self.elementwise_nll(batch).sum(dim=1)

    @torch.no_grad()
    def sample(self, count, condition=None):
        """(count, T) audio in [-1, 1]."""
        check_conditions(self, count, condition)
        shape = count, self.hparams.audio_length
        noise = torch.rand(*shape, self.law.draws, device=self.device)
        condition, levels, known = self.drawn(count) | (condition or {}), None, None
        if "mask" in condition:
            check_completion(condition, "audio", shape)
            known = self.law.encode(condition["audio"])
        drawn = torch.empty(shape, dtype=torch.int64, device=self.device)
        with torch.autocast(self.device.type, enabled=False):  # steps write in place
            steps = self.network.steps(count, self.condition(condition))
            for t in range(shape[1]):
                levels = self.law.choose(at_least_float32(steps(levels)), noise[:, t])
                if known is not None:
                    levels = torch.where(condition["mask"][:, t] > 0.5, levels, known[:, t])
                drawn[:, t] = levels
        audio = self.law.decode(drawn, promote_types(self.dtype, torch.float32))
        return (
            audio
            if known is None
            else torch.where(condition["mask"] > 0.5, audio, condition["audio"])
        )

    def drawn(self, count):
        """The conditions of a sample that is given none."""
        hp, conditions = self.hparams, {}
        if hp.conditional:
            conditions["label"] = torch.randint(hp.classes, (count,), device=self.device)
        if hp.local:
            conditions["local"] = self.usual.expand(count, -1, -1)
        return conditions

    def training_step(self, batch, batch_idx):
        optimizer = self.optimizers()
        with self.turn(optimizer):
            loss = self.elementwise_nll(batch).mean()
            self.manual_backward(loss)
        if self.hparams.local:
            self.usual += (batch["local"].mean(dim=0) - self.usual) / self.trainer.global_step
        self.log_losses(bits_per_dim=bits_per_dim(loss, 1))

    def configure_optimizers(self):
        hp = self.hparams
        optimizer = torch.optim.Adam(self.network.parameters(), hp.lr)
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, hp.decay)]

    def measure(self, data, split):
        """What data that can hear say of samples drawn for labels, see Tones.audio_metrics."""
        if not (self.hparams.conditional and hasattr(data, "audio_metrics")):
            return {}
        label = torch.arange(HEARD, device=self.device) % self.hparams.classes
        return data.audio_metrics(self.sample(HEARD, {"label": label}), label)
