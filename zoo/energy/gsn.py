"""Generative stochastic network (Bengio et al. 2014, arXiv 1306.1091): a learned Markov chain."""

import math
from itertools import pairwise
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, linear
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from zoo.base import GenerativeModule
from zoo.engine.conditions import check_conditions
from zoo.media.images import from_levels, to_levels
from zoo.precision import at_least_float32, bernoulli, uniforms, without_autocast
from zoo.taxonomy import Leaf

LEAF = Leaf.MARKOV_CHAIN  # unlike its package: there is no density


class NoisyLayers(nn.Module):
    """Layers h_0 = x, h_1 ... h_L with weights W_l between neighbors, used in both directions.

    One step computes all layers of odd number, then all of even number, from their neighbors.
    A hidden layer above the first is tanh(inputs + noise) + noise.
    """

    def __init__(self, visible: int, width: int, layers: int, noise: float):
        super().__init__()
        sizes = [visible] + [width] * layers
        self.noise = noise
        self.weights = nn.ParameterList(
            [nn.init.xavier_uniform_(torch.empty(upper, lower)) for lower, upper in pairwise(sizes)]
        )
        self.biases = nn.ParameterList([torch.zeros(size) for size in sizes])

    def inputs(self, states: list[Tensor], layer: int) -> Tensor:
        """Return what a layer gets from its neighbors, (N, size of the layer)."""
        total = self.biases[layer].to(states[0].dtype)
        if layer > 0:
            total = total + linear(states[layer - 1], self.weights[layer - 1].to(total.dtype))
        if layer < len(self.weights):
            total = total + linear(states[layer + 1], self.weights[layer].T.to(total.dtype))
        return total

    def forward(self, states: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Update all layers once.

        Args:
            states: Corrupted pixels x (N, D), and h_1 ... h_L (N, width).

        Returns:
            The new states, with x unchanged, and the logits (N, D) of P(x = 1 | h).
        """
        states = list(states)
        for parity in (1, 0):
            for layer in range(2 - parity, len(states), 2):
                states[layer] = self.activation(self.inputs(states, layer), noisy=layer > 1)
        with without_autocast(states[0]):
            return states, self.inputs([at_least_float32(state) for state in states], 0)

    def activation(self, values: Tensor, noisy: bool) -> Tensor:
        """Return tanh(values), with Gaussian noise before and after tanh if noisy, (N, F)."""
        if not noisy:
            return values.tanh()
        noise = torch.randn(len(values), 2, *values.shape[1:], device=values.device)
        before, after = (self.noise * noise).to(values.dtype).unbind(dim=1)
        return (values + before).tanh() + after


class GSN(GenerativeModule):
    """A Markov chain of pixels and hidden units, whose step is trained to denoise.

    A step corrupts pixels x with salt-and-pepper noise, updates noisy hidden units h from them, and
    draws new pixels from P(x | h). The loss is -log P(x_0 | h) of the image x_0 at which the chain
    starts, after each of several steps (walkback training, Bengio et al. 2013, arXiv 1305.6663). If
    P is the true conditional, the stationary distribution of the chain is that of the
    data. `sample` runs the chain from random pixels. Gradients ignore the last draw.

    The defaults are those of the authors' code, github.com/yaoli/GSN, where the first hidden layer
    has no noise.

    Deviations: gray levels become binary. `sample` draws pixels, where the authors show their
        probabilities, and starts at random pixels instead of a test image.

    Args:
        image_size: Height and width of the images.
        image_channels: Channels of the images.
        width: Units of each hidden layer.
        layers: Number of hidden layers.
        corruption: Probability that a pixel is replaced by a random one, black or white.
        noise: Standard deviation of the noise in hidden layers above the first.
        walkback_steps: Steps of the chain in training.
        sampling_steps: Steps of the chain of a sample.
        lr: Learning rate of SGD.
        momentum: Momentum of SGD, with dampening.
        decay: The learning rate is multiplied by this factor after each step.
    """

    num_levels = 2
    layers: NoisyLayers

    def __init__(
        self,
        image_size: int = 28,
        image_channels: int = 1,
        width: int = 1500,
        layers: int = 2,
        corruption: Annotated[float, "[0, 1]"] = 0.4,
        noise: Annotated[float, "[0, inf)"] = 2.0,
        walkback_steps: int = 4,
        sampling_steps: int = 1000,
        lr: float = 0.25,
        momentum: float = 0.5,
        decay: Annotated[float, "(0, 1]"] = 1.0,
        **shared: Any,
    ):
        super().__init__(**shared)
        self.layers = self.build_layers()

    def build_layers(self) -> NoisyLayers:
        """Build the network from states of all layers to new states and logits of the pixels."""
        hp = self.hparams
        return NoisyLayers(hp.image_channels * hp.image_size**2, hp.width, hp.layers, hp.noise)

    def corrupt(self, pixels: Tensor) -> Tensor:
        """Replace pixels (N, D) by random ones with the probability `corruption`."""
        replaced = uniforms(*pixels.shape, device=self.device) < self.hparams.corruption
        return torch.where(replaced, bernoulli(torch.zeros_like(pixels)), pixels)

    def start(self, pixels: Tensor) -> list[Tensor]:
        """Return the states of a chain that starts at pixels (N, D): hidden layers are 0."""
        hp = self.hparams
        hidden = torch.zeros(len(pixels), hp.width, device=self.device, dtype=self.dtype)
        return [pixels, *[hidden] * hp.layers]

    def move(self, states: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Take a step of the chain.

        Args:
            states: Pixels (N, D), 0 or 1, and the hidden layers (N, width).

        Returns:
            The next states, and the logits (N, D) from which the next pixels were drawn.
        """
        (_, *hidden), logits = self.layers([self.corrupt(states[0]), *states[1:]])
        pixels = bernoulli(logits.detach()).to(self.dtype)
        return [pixels, *hidden], logits

    def sample(self, count: int, condition: dict[str, Tensor] | None = None) -> Tensor:
        check_conditions(self, count, condition)
        hp = self.hparams
        pixels = uniforms(count, hp.image_channels * hp.image_size**2, device=self.device)
        states = self.start((pixels < 0.5).to(self.dtype))
        with torch.no_grad():
            for _ in range(hp.sampling_steps - 1):
                states, _ = self.move(states)
        (pixels, *_), logits = self.move(states)
        mean = logits.sigmoid().to(self.dtype)
        images = from_levels(pixels + (mean - mean.detach()), 2)
        return images.view(count, hp.image_channels, hp.image_size, hp.image_size)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        optimizer = self.optimizers()
        data = to_levels(batch["image"], 2).flatten(1).to(self.dtype)  # (N, D)
        states, losses = self.start(data), []
        with self.turn(optimizer):
            for _ in range(self.hparams.walkback_steps):
                states, logits = self.move(states)
                losses.append(binary_cross_entropy_with_logits(logits, data.to(logits.dtype)))
            self.manual_backward(torch.stack(losses).sum())
        bits = torch.stack(losses).detach() / math.log(2)
        self.log_losses(first_bits_per_dim=bits[0], last_bits_per_dim=bits[-1])

    def configure_optimizers(self) -> tuple[list[Optimizer], list[LRScheduler]]:
        hp = self.hparams
        optimizer = torch.optim.SGD(self.parameters(), hp.lr, hp.momentum, dampening=hp.momentum)
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, hp.decay)]
