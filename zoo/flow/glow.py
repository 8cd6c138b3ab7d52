"""Glow (Kingma, Dhariwal 2018, arXiv 1807.03039): a flow with invertible 1x1 convolutions."""

from typing import Annotated, Any

import torch
from torch import Tensor, nn

from zoo.config.fixed_parameters import with_fixed
from zoo.flow.realnvp import RealNVP, check_size
from zoo.networks.glow import GlowFlow, init_from_data_


class Glow(RealNVP):
    """Steps of actnorm, a 1x1 convolution and an affine coupling, at several scales.

    The first batch sets the scales and biases of the actnorms, from the statistics of all
    processes. Likelihood, sampling and the training step are those of RealNVP.

    Deviations: pixels pass through the logit, as in RealNVP. The log-scales of a coupling are
    learned multiples of tanh, as in RealNVP. The authors have the sigmoid of s + 2. There are no
    actnorms in the couplings' networks, and the latents of the last scale have a fixed prior.
    AdamW instead of Adam, without warm-up of the learning rate, and optionally dropout.

    Args:
        image_size: Height and width of the images, a multiple of 2^scales.
        scales: Number of scales, the paper's L. Each one halves height and width.
        couplings: Steps of flow at each scale, the paper's K.
        width: Feature maps of the couplings' networks.
        dropout: Dropout probability of the last feature maps.
        temperature: Standard deviation of the latents that `sample` draws. Below 1, samples are
            less varied.
    """

    initialized: Tensor  # 1 after the first batch has set the actnorms

    def __init__(
        self,
        image_size: int = 32,
        scales: int = 3,
        couplings: int = 32,
        width: int = 512,
        dropout: float = 0.0,
        temperature: Annotated[float, "[0, inf)"] = 1.0,
        **realnvp: Any,
    ):
        check_size(image_size, scales, multiple=2**scales)
        super().__init__(**with_fixed(self, realnvp, {"blocks": 1}))
        self.register_buffer("initialized", torch.zeros((), dtype=torch.int64))

    def build_flow(self) -> nn.Module:
        hp = self.hparams
        shape = hp.image_size, hp.image_channels, hp.scales
        return GlowFlow(*shape, hp.couplings, hp.width, hp.dropout)

    def prior(self, count: int) -> Tensor:
        """Sample latents (N, Z) from a normal distribution; see `temperature`."""
        return self.hparams.temperature * super().prior(count)

    def on_train_batch_start(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        super().on_train_batch_start(batch, batch_idx)
        if self.trainer.global_step == 1 and not self.initialized:
            logits, _ = self.dequantize(batch["image"])
            init_from_data_(self.flow, self.trainer.strategy.reduce, logits)
            self.initialized.fill_(1)
            if "flow" in self.averages:  # it copied the weights before this initialization
                self.averages["flow"].load_state_dict(self.flow.state_dict())
