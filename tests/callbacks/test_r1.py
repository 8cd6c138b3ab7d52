"""The penalty in closed form, in its turn and nowhere else."""

import pytest
import torch

from callbacks.instance_noise import InstanceNoise
from callbacks.r1 import R1
from tests import kit
from tests.callbacks.players import Game, Linear, Noting
from zoo.config.errors import UserError
from zoo.losses import r1_penalty


@pytest.mark.parametrize("count", [1, 4])
def test_of_a_linear_discriminator(count):
    """½ c² |w|² at any images, and its gradient in w is c² w."""
    player = Linear(3.0).double()
    penalty = r1_penalty(player, torch.randn(count, 1, 8, 8, dtype=torch.float64))
    norm = player.weight.square().sum()
    assert penalty.item() == pytest.approx(norm.item() / 2)
    penalty.backward()
    torch.testing.assert_close(player.weight.grad, player.weight.detach())


def test_a_flat_discriminator_pays_nothing():
    player = Linear(0.0)
    penalty = r1_penalty(player, torch.randn(4, 1, 8, 8))
    penalty.backward()
    assert penalty.item() == 0
    assert not player.weight.grad.any()


def trained(tmp_path, callbacks, batches=4, discriminator=None):
    model = Game()
    model.discriminator = discriminator or Linear()
    kit.fit(model, tmp_path, batches, callbacks=callbacks, log_every_n_steps=1)
    return model


@pytest.mark.parametrize("pair", [False, True], ids=["logit", "logit and features"])
def test_the_term_adds_the_penaltys_gradient_to_its_players_turn(pair, tmp_path):
    without = trained(tmp_path, [], discriminator=Linear(pair=pair))
    model = trained(tmp_path, [R1(gamma=7.0)], discriminator=Linear(pair=pair))
    weight = model.discriminator.weight.detach()
    for one, other in zip(model.gradients[0], without.gradients[0], strict=True):
        torch.testing.assert_close(one - other, 7 * weight)
    for one, other in zip(model.gradients[1], without.gradients[1], strict=True):
        assert torch.equal(one, other)
    assert model.losses["r1_loss"] == pytest.approx(3.5 * weight.square().sum().item())
    assert "r1_loss" not in without.losses


def test_a_lazy_penalty_is_scaled_by_its_interval(tmp_path):
    without = trained(tmp_path, [])
    model = trained(tmp_path, [R1(gamma=7.0, every=3)])
    weight = model.discriminator.weight.detach()
    pairs = zip(model.gradients[0], without.gradients[0], strict=True)
    for batch, (one, other) in enumerate(pairs, start=1):
        strength = 21.0 if batch == 3 else 0.0
        torch.testing.assert_close(one - other, strength * weight)
    assert model.losses["r1_loss"] == pytest.approx(3.5 * weight.square().sum().item())


def test_it_is_on_the_real_images_under_their_labels(tmp_path):
    calls = []

    class Squared(Linear):
        def forward(self, images, label):
            calls.append((images.detach(), label))
            return super().forward(images, label) ** 2

    trained(tmp_path, [R1()], batches=1, discriminator=Squared())
    (real, label), (fake, _), (penalised, given), (judged, _) = calls
    assert torch.equal(penalised, real)
    assert given is label
    assert not torch.equal(fake, real)
    assert torch.equal(judged, fake), "the generator's turn has one call"


@pytest.mark.parametrize("first", [0, 1])
def test_it_is_on_the_images_before_noise(first, tmp_path):
    """The penalty's pass adds noise of its own once, in whichever order the callbacks are."""
    model, batches = Game(), []
    model.discriminator = Noting()

    class Watching(R1):
        def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
            batches.append(batch["image"])

    callbacks = [Watching(), InstanceNoise(std=2.0)]
    callbacks = callbacks[first:] + callbacks[:first]
    kit.fit(model, tmp_path, 1, kit.Toy(batch_size=64), callbacks=callbacks)
    penalised = model.discriminator.calls[2]
    assert (penalised - batches[0]).std().item() == pytest.approx(2.0, rel=0.05)


def test_each_turn_has_its_own_images_and_a_generator_may_be_updated_first(tmp_path):
    """The generator moves, then the discriminator twice in a batch, on halves of it."""
    calls = []

    class Twice(Game):
        def training_step(self, batch, batch_idx):
            mine, other = self.optimizers()
            with self.turn(other):
                self.manual_backward(-self.discriminate(self.sample(2), halved(batch, 0)).mean())
            for half in (0, 1):
                with self.turn(mine):
                    part = halved(batch, half)
                    calls.append(part["image"])
                    self.manual_backward(-self.discriminate(part["image"], part).mean())

    def halved(batch, half):
        return {name: values[2 * half :][:2] for name, values in batch.items()}

    model = Twice()
    model.discriminator = Noting()
    kit.fit(model, tmp_path, 2, callbacks=[R1()])
    penalised = [images for turn in (2, 4) for images in model.discriminator.calls[turn::5]]
    assert len(penalised) == 4
    for images, real in zip(penalised, calls[0::2] + calls[1::2], strict=True):
        assert torch.equal(images, real)


def test_more_than_one_number_an_image_is_refused(tmp_path):
    class Patches(Linear):
        def forward(self, images, label):
            return super().forward(images, label)[:, None].expand(-1, 3)

    with pytest.raises(UserError, match=r"for 4 images has shape \(4, 3\)"):
        trained(tmp_path, [R1()], discriminator=Patches())


def test_a_frozen_player_and_a_wrong_cadence_are_refused(tmp_path):
    model = Game()
    model.judges = torch.nn.ModuleList([Linear()])
    with pytest.raises(ValueError, match="no optimizer"):
        kit.fit(model, tmp_path, 1, callbacks=[R1(player="judges.0")])
    with pytest.raises(ValueError, match="every=0"):
        R1(every=0)


def test_batch_norm_is_warned_of(tmp_path):
    with pytest.warns(UserWarning, match="batch norm"):
        kit.fit(kit.build("dcgan"), tmp_path, 1, callbacks=[R1()])


def test_accumulated_micro_batches_equal_one_big_batch(tmp_path):
    big, small = Game().double(), Game(accumulate=2).double()
    big.discriminator, small.discriminator = Quadratic().double(), Quadratic().double()
    kit.fit(big, tmp_path, 2, kit.Toy(batch_size=8), precision="64-true", callbacks=[R1(every=2)])
    kit.fit(small, tmp_path, 4, kit.Toy(batch_size=4), precision="64-true", callbacks=[R1(every=2)])
    for one, other in zip(big.gradients[0], small.gradients[0][1::2], strict=True):
        torch.testing.assert_close(one, other)


class Quadratic(Linear):
    """<w, x>²: the gradient at an image depends on it."""

    def forward(self, images, label):
        return super().forward(images).square()
