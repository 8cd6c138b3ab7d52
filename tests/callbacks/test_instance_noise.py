"""The noise's size and schedule, and who sees it."""

import pytest
import torch

from callbacks.instance_noise import InstanceNoise
from tests import kit
from tests.callbacks.players import Game, Noting, seen


def test_every_image_that_the_player_sees_has_separate_noise(tmp_path):
    """Generated images are constant here, so that what varies within one is the noise."""
    callback = InstanceNoise(std=0.5, batches=10**9)
    real, fake, judged = [calls[0] for calls in seen(tmp_path, 1, callback)]
    clean = seen(tmp_path, 1, InstanceNoise(std=0.0))
    for noisy, without in zip((real, fake, judged), clean, strict=True):
        noise = noisy - without[0]
        assert noise.std().item() == pytest.approx(0.5, rel=0.03)
        assert noise.mean().item() == pytest.approx(0.0, abs=0.03)
        assert not torch.equal(noise[0], noise[1])
    assert not torch.equal(fake, judged)


def test_it_falls_linearly_to_nothing(tmp_path):
    callback = InstanceNoise(std=0.8, batches=4)
    assert [callback.std_at(batch) for batch in range(1, 7)] == pytest.approx(
        [0.8, 0.6, 0.4, 0.2, 0, 0]
    )
    _, fake, _ = seen(tmp_path, 6, callback)
    sizes = [images.flatten(1).std(dim=1).mean().item() for images in fake]
    assert sizes == pytest.approx([0.8, 0.6, 0.4, 0.2, 0, 0], rel=0.03, abs=1e-6)


def test_it_rests_in_eval_mode_and_for_other_players(tmp_path):
    class Asking(InstanceNoise):
        def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
            with model.evaluating():
                self.sampled = model.sample(4)
                model.discriminator(batch["image"])
            self.clean = torch.equal(model.discriminator.calls.pop(), batch["image"])

    asking = Asking(std=1.0)
    seen(tmp_path, 1, asking)
    assert asking.clean
    assert (asking.sampled == asking.sampled[0]).all()


def test_only_the_images_are_changed(tmp_path):
    labels = []

    class Labeled(Noting):
        def forward(self, images, label):
            labels.append(label)
            return super().forward(images, label)

    model = Game()
    model.discriminator = Labeled()
    kit.fit(model, tmp_path, 1, callbacks=[InstanceNoise(std=1.0)])
    assert len(labels) == 3
    assert all((label == label.round()).all() for label in labels)


def test_a_source_stays_as_it_is(tmp_path):
    """pix2pix: noise is in the image, real or generated, and not in what both are judged beside."""
    model, calls = kit.build("pix2pix"), []
    clean = []
    model.discriminator.register_forward_pre_hook(lambda _, seen: clean.append(seen))

    class Watching(InstanceNoise):
        def attach(self, model, player):
            attached = super().attach(model, player)
            player.register_forward_pre_hook(lambda _, seen: calls.append(seen))
            return attached

    kit.fit(model, tmp_path, 1, callbacks=[Watching(std=1.0)])
    assert len(calls) == len(clean) == 3
    for (images, source), (noisy, same) in zip(clean, calls, strict=True):
        assert torch.equal(source, same)
        assert not torch.equal(images, noisy)


def test_processes_draw_different_noise(tmp_path):
    samples = torch.zeros(2, 64).share_memory_()

    class Sharing(Noting):
        def forward(self, images, label):
            if len(self.calls) == 1:  # the generated images, constant without noise
                samples[torch.distributed.get_rank()] = images.detach()[0].flatten()
            return super().forward(images, label)

    model = Game()
    model.discriminator = Sharing()
    kit.fit(model, tmp_path, 1, callbacks=[InstanceNoise(std=1.0)], **kit.forked(2))
    assert samples.std(dim=1).min() > 0.5
    assert not torch.equal(samples[0], samples[1])


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="std=-1"):
        InstanceNoise(std=-1.0)
    with pytest.raises(ValueError, match="batches=0"):
        InstanceNoise(batches=0)
