"""Each failure provoked, a healthy run that raises none, and a hand that disturbs nothing."""

import csv
import json
import warnings

import pytest
import torch
from torch import nn

from callbacks.augment import Augment
from callbacks.health import Health
from callbacks.instance_noise import InstanceNoise
from callbacks.r1 import R1
from datamodules.digits import Digits
from tests import kit
from tests.callbacks.players import Game
from tests.callbacks.test_network_hooks import MODELS, hooks
from zoo.adversarial.gan import GAN
from zoo.adversarial.wgan import WGAN
from zoo.base import GenerativeModule
from zoo.config.errors import Diverged
from zoo.loggers.csv import CSV

DIGITS = {"image_size": 8, "image_channels": 1, "network": "mlp", "width": 64, "latent_dim": 16}


def health(model, folder, batches, every, **settings):
    """(verdict and findings of a run, its warnings)."""
    torch.manual_seed(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kit.fit(model, folder, batches, Digits(), callbacks=[Health(every=every)], **settings)
    texts = [str(w.message) for w in caught if "callbacks.health" in str(w.message)]
    return json.loads((folder / "health.json").read_text()), texts


def test_a_generator_that_collapses_is_found(tmp_path, capsys):
    class Collapsing(GAN):
        """From batch 30 on, one latent for all."""

        def prior(self, count):
            latent = super().prior(count)
            return latent * (self.trainer.global_step < 30)

    found, messages = health(Collapsing(**DIGITS), tmp_path, 40, 2)
    assert found["verdict"] == "mode collapse since batch 30"
    assert len(messages) == 1
    assert "mode collapse since batch 30: the diversity of generated images is 0 of" in messages[0]
    printed = capsys.readouterr().out
    assert "health: mode collapse since batch 30" in printed
    assert "+callbacks=[augment]" in printed


def test_a_generator_behind_a_sure_discriminator_is_found(tmp_path):
    """The minimax loss with a discriminator that learns twenty times as fast."""
    torch.manual_seed(0)
    model = GAN(**DIGITS, saturating=True, discriminator_lr=4e-3)
    found, messages = health(model, tmp_path, 150, 10)
    assert found["findings"][0]["what"] == "vanished generator gradient"
    assert found["findings"][0]["since"] <= 100
    assert len(messages) == 1


def test_a_critic_that_nothing_bounds_is_found(tmp_path):
    torch.manual_seed(0)
    model = WGAN(**DIGITS, clip=None, critic_lr=1e-2, critic_steps=1)
    found, messages = health(model, tmp_path, 80, 10)
    assert "exploding critic since batch" in found["verdict"]
    assert found["findings"][0]["what"] == "exploding critic"
    assert "the gap of its scores is" in messages[0]


@pytest.mark.parametrize("cls", [GAN, WGAN])
def test_no_false_alarm(cls, tmp_path):
    torch.manual_seed(0)
    rates = {"lr": 1e-3} if cls is GAN else {"lr": 5e-4, "critic_steps": 2, "clip": 0.05}
    found, messages = health(cls(**DIGITS, **rates), tmp_path, 300, 15)
    assert found == {"verdict": "healthy", "findings": [], "last": found["last"]}
    assert not messages
    assert found["last"]["diversity"] > 0.05


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore:callbacks.health")
def test_training_is_bit_identical_with_and_without(name, tmp_path):
    def run(callbacks):
        torch.manual_seed(0)
        model = kit.build(name)
        clean = hooks(model)
        kit.fit(model, tmp_path, 7, callbacks=callbacks)
        assert hooks(model) == clean
        return kit.weights(model)

    kit.assert_same(run([]), run([Health(every=2)]))


def logged(folder, callbacks, batches=4, every=2, name="gan", **settings):
    """{batch: {name: number}} of the CSV log."""
    torch.manual_seed(0)
    model = kit.build(name, **settings)
    watching = [*callbacks, Health(every=every)]
    kit.fit(model, folder, batches, logger=CSV(str(folder)), callbacks=watching)
    rows = {}
    for row in csv.DictReader((folder / "metrics.csv").open()):
        cells = {k: float(v) for k, v in row.items() if v and k.startswith("train/health_")}
        if cells:
            rows[int(row["step"])] = {k.removeprefix("train/health_"): v for k, v in cells.items()}
    return rows


def test_what_is_logged_and_when(tmp_path):
    rows = logged(tmp_path, [], batches=7, every=3)
    assert list(rows) == [1, 3, 6]
    names = "discriminator_gradient generator_gradient spectral_norm separation gap saturation"
    assert set(rows[3]) == {*names.split(), "diversity"}


def test_players_that_move_seldom_are_waited_for(tmp_path):
    """The critic of `every` 2 is watched with the generator that moves each third batch."""
    rows = logged(tmp_path, [], batches=9, every=4, name="wgan", critic_steps=3)
    assert list(rows) == [3, 6, 9]
    assert all("generator_gradient" in row for row in rows.values())
    rows = logged(tmp_path / "never", [], batches=9, every=2, name="wgan", critic_steps=100)
    assert list(rows) == [2, 5, 7, 9], "not for ever"
    assert not any("generator_gradient" in row for row in rows.values())


@pytest.mark.parametrize(
    ("every", "accumulate", "expected"), [(2, 2, [2, 4, 8]), (1, 4, [4, 8]), (2, 4, [4, 8])]
)
def test_accumulated_batches_are_one_watch(every, accumulate, expected, tmp_path):
    rows = logged(tmp_path, [], batches=8, every=every, accumulate=accumulate)
    assert list(rows) == expected


def test_the_numbers_are_those_of_the_turn(tmp_path):
    """A linear discriminator: its gradient is mean fake - mean real, its logits are by hand."""
    model, seen = Game(), {}

    class Asking(Health):
        def judge_of(self, numbers):
            seen.update({name: value.item() for name, value in numbers.items()})

        def numbers(self):
            self.real, self.fake = (images for images, _ in self.calls)
            numbers = super().numbers()
            self.judge_of(numbers)
            return numbers

    asking = Asking(every=2)
    kit.fit(model, tmp_path, 2, kit.Toy(batch_size=64), callbacks=[asking])
    norm = model.gradients[0][1].norm().item()
    assert seen["discriminator_gradient"] == pytest.approx(norm)
    assert seen["generator_gradient"] == pytest.approx(model.gradients[1][1].norm().item())
    assert seen["diversity"] == 0
    assert asking.fake.std(dim=(1, 2, 3)).max() == 0, "the generated images are constant"
    assert asking.real.std() > 0.5


def test_of_many_calls_the_first_is_real_and_the_last_generated(tmp_path):
    """As where labeled images come first, then others that are real, then generated ones."""

    class Thrice(Game):
        def training_step(self, batch, batch_idx):
            with self.turn(self.optimizers()[0]):
                scores = [
                    self.discriminate(batch["image"] * scale, batch).mean() for scale in (1, 0.5, 0)
                ]
                self.manual_backward(sum(scores))

    callback = Health(every=1)
    kit.fit(Thrice(), tmp_path, 2, callbacks=[callback])
    assert callback.diagnosis.measurements[-1]["diversity"] == 0


def test_penalties_and_noise_do_not_enter(tmp_path):
    """R1's pass is not taken for generated images, and images are those before noise."""
    plain = logged(tmp_path / "plain", [], batches=1)[1]
    callbacks = [R1(gamma=0.0), InstanceNoise(std=5.0), Augment()]
    other = logged(tmp_path / "other", callbacks, batches=1)[1]
    assert other["diversity"] == pytest.approx(plain["diversity"])
    assert other["gap"] != pytest.approx(plain["gap"])


def test_the_device_is_asked_only_on_the_cadence(tmp_path, monkeypatch):
    asked = []
    for name in ("item", "tolist", "__bool__", "__float__", "__int__"):
        original = getattr(torch.Tensor, name)

        def counted(self, *arguments, original=original):
            asked.append(1)
            return original(self, *arguments)

        monkeypatch.setattr(torch.Tensor, name, counted)

    def count(batches, callbacks):
        asked.clear()
        kit.fit(kit.build("gan"), tmp_path, batches, callbacks=callbacks)
        return len(asked)

    measurements = [count(n, [Health(every=10)]) - count(n, []) for n in (3, 9, 12, 22)]
    assert measurements[0] == measurements[1], "none between two measurements"
    assert measurements[3] - measurements[2] == measurements[2] - measurements[0] == 1


def test_it_continues_after_a_resume(tmp_path):
    first = Health(every=1)
    run = kit.fit(kit.build("gan"), tmp_path, 4, callbacks=[first])
    run.save_checkpoint(tmp_path / "c.ckpt")
    torch.load(tmp_path / "c.ckpt", weights_only=True)
    second = Health(every=1)
    kit.fit(kit.build("gan"), tmp_path, 6, checkpoint=tmp_path / "c.ckpt", callbacks=[second])
    assert second.diagnosis.count == 6
    assert second.diagnosis.starts == first.diagnosis.starts


def test_processes_agree(tmp_path):
    seen = torch.zeros(2).share_memory_()

    class Watching(Health):
        def on_train_end(self, trainer, model):
            seen[trainer.global_rank] = self.diagnosis.measurements[-1]["gap"]
            super().on_train_end(trainer, model)

    kit.fit(kit.build("gan"), tmp_path, 6, callbacks=[Watching(every=2)], **kit.forked(2))
    assert seen[0] == seen[1] != 0
    assert json.loads((tmp_path / "health.json").read_text())["verdict"] == "healthy"


def test_a_run_that_diverges_has_a_verdict_too(tmp_path):
    class Breaking(Game):
        def training_step(self, batch, batch_idx):
            super().training_step(batch, batch_idx)
            if self.trainer.global_step == 5:
                raise Diverged("loss is nan at batch 5")

    with pytest.raises(Diverged):
        kit.fit(Breaking(), tmp_path, 9, callbacks=[Health(every=1)])
    content = json.loads((tmp_path / "health.json").read_text())
    assert content["verdict"] == "healthy"
    assert content["last"]["batch"] == 4


def test_a_model_without_an_adversary_is_watched_by_its_gradients(tmp_path):
    class Lonely(GenerativeModule):
        def __init__(self, **shared):
            super().__init__(**shared)
            self.decoder, self.activation = nn.Linear(64, 64), nn.ReLU()

        def training_step(self, batch, batch_idx):
            with self.turn(self.optimizers()):
                self.manual_backward(self.decoder(batch["image"].flatten(1)).square().mean())

        def sample(self, count, condition=None):
            return torch.zeros(count, 1, 8, 8)

        def configure_optimizers(self):
            return torch.optim.SGD(self.decoder.parameters(), lr=0.1)

    with pytest.warns(UserWarning, match="no discriminator or critic"):
        kit.fit(Lonely(), tmp_path, 4, callbacks=[Health(every=1)])
    last = json.loads((tmp_path / "health.json").read_text())["last"]
    assert set(last) == {"batch", "decoder_gradient"}
    with pytest.raises(ValueError, match="no player critic"):
        kit.fit(Lonely(), tmp_path, 4, callbacks=[Health(player="critic")])
    with pytest.raises(ValueError, match="every=0"):
        Health(every=0)
