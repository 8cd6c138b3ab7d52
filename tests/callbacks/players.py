"""Toy models for the callbacks that act on one player."""

import torch
from torch import nn

from tests import kit
from zoo.base import GenerativeModule


class Linear(nn.Module):
    """c <w, x> + label, or with `pair` (c <w, x>, x)."""

    def __init__(self, scale=1.0, pair=False):
        super().__init__()
        self.weight = nn.Parameter(scale * torch.linspace(-1, 1, 64))
        self.pair = pair

    def forward(self, images, label=0):
        logit = images.flatten(1) @ self.weight + label
        return (logit, images) if self.pair else logit


class Game(GenerativeModule):
    """A discriminator and a generator of one weight; each notes the gradient of its steps."""

    name = "discriminator"

    def __init__(self, **shared):
        super().__init__(**shared)
        setattr(self, self.name, Linear())
        self.generator = nn.Linear(1, 1, bias=False)
        nn.init.ones_(self.generator.weight)
        self.gradients = {0: [], 1: []}

    def discriminate(self, images, batch):
        output = getattr(self, self.name)(images, batch["label"].to(images.dtype))
        return output[0] if isinstance(output, tuple) else output

    def sample(self, count, given=None):
        latent = torch.ones(count, 1, device=self.device, dtype=self.dtype)
        return self.generator(latent).tanh().view(-1, 1, 1, 1).expand(-1, 1, 8, 8)

    def training_step(self, batch, batch_idx):
        for position, optimizer in enumerate(self.optimizers()):
            with self.turn(optimizer):
                fake = self.sample(len(batch["image"]))
                if position == 0:
                    real = self.discriminate(batch["image"], batch)
                    loss = self.discriminate(fake.detach(), batch).mean() - real.mean()
                else:
                    loss = -self.discriminate(fake, batch).mean()
                self.manual_backward(loss)
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            self.gradients[position].append(torch.cat([p.grad.flatten() for p in parameters]))
        self.log_losses(loss=loss)

    def configure_optimizers(self):
        players = getattr(self, self.name), self.generator
        return [torch.optim.SGD(player.parameters(), lr=0.0) for player in players]


class Noting(Linear):
    """Keeps the images of each call."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def forward(self, images, label=0):
        self.calls.append(images.detach())
        return super().forward(images, label)


def seen(folder, batches, callback):
    """The calls on 64 real images, on generated ones, and those of the generator's turn."""
    model = Game()
    model.discriminator = Noting()
    kit.fit(model, folder, batches, kit.Toy(batch_size=64), callbacks=[callback])
    return [model.discriminator.calls[turn::3] for turn in range(3)]
