"""Forecasts that are fed back, a segmenter that is frozen, and spaces that end in one map."""

import warnings

import pytest
import torch
from pytorch_lightning import Callback
from torch.nn.functional import l1_loss, mse_loss

from callbacks.samples import Samples
from datamodules.moving_shapes import MovingShapes
from tests import kit
from zoo.conditional.segmentation_forecast import SPACES, SegmentationForecast
from zoo.losses import (
    gan_discriminator_loss,
    gradient_difference_loss,
    nonsaturating_generator_loss,
)
from zoo.media.video import split_frames
from zoo.metrics.segmentation_iou import forecast_scores
from zoo.networks.multiscale import downscale

spaces = pytest.mark.parametrize("space", SPACES)


def small(**parameters):
    shape = {"image_size": 8, "image_channels": 1, "past": 2, "width": 4, "features": 4}
    return SegmentationForecast(**shape | {"segmenter_steps": 3} | parameters).eval()


def videos(count=3, frames=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(count, frames, 1, 8, 8, generator=generator) - 1


def pieces(model, ahead=1):
    """States of a past and of what follows."""
    with torch.no_grad():
        states = model.states(videos(frames=model.hparams.past + ahead))
    return split_frames(states, model.hparams.past)


@spaces
def test_a_roll_out_is_one_forecast_after_the_other(space):
    """Each is told what was forecast before it, and never what came to be."""
    model = small(space=space)
    past = model.states(videos(frames=2))
    states = model.predict(past, 3)
    known = [past[:, 0], past[:, 1]]
    for step in range(3):
        known.append(model.forecaster(torch.cat(known[-2:], dim=1))[-1])
        torch.testing.assert_close(states[:, step], known[-1])
    torch.testing.assert_close(model.forecast(videos(frames=2), 3), model.scores(states))
    assert not torch.allclose(states[:, 1], states[:, 0], atol=1e-3)


@spaces
def test_a_states_scores_are_what_the_segmenter_sees_in_its_frame(space):
    model, video = small(space=space), videos()
    states = model.states(video)
    shapes = {"segmentations": (4, 8, 8), "features": (4, 4, 4), "pixels": (1, 8, 8)}
    assert states.shape == (3, 5, *shapes[space])
    torch.testing.assert_close(model.scores(states), model.segment(video))
    torch.testing.assert_close(model.segment(video)[1, 2], model.segmenter(video[1:2, 2])[0])
    assert torch.equal(states, video) == (space == "pixels")


@spaces
def test_the_loss_of_the_third_step_reaches_the_first(space):
    """By the forecasts alone: the derivative with respect to what the first step gives."""
    model = small(space=space, rollout=3)
    past, future = pieces(model, 3)
    outputs, forecaster = [], model.forecaster.forward

    def watched(known):
        scales = forecaster(known)
        scales[-1].retain_grad()
        outputs.append(scales[-1])
        return scales

    model.forecaster.forward = watched
    steps = model.predict_scales(past, 3)
    (steps[2][-1] - future[:, 2]).square().mean().backward()
    assert len(outputs) == 3
    for output in outputs:
        assert output.grad.abs().max() > 0


@pytest.mark.parametrize("ahead", [1, 3])
def test_losses_are_means_over_steps_and_sums_over_scales(ahead):
    model = small(gdl_weight=0.3)
    past, future = pieces(model, ahead)
    l1 = gdl = 0
    for scales, real in zip(model.predict_scales(past, ahead), future.unbind(dim=1), strict=True):
        for fake, y in zip(scales, downscale(real, [4, 8]), strict=True):
            l1 += l1_loss(fake, y) / ahead
            gdl += gradient_difference_loss(fake, y) / ahead
    loss, terms = model.forecaster_loss(past, future)
    torch.testing.assert_close(terms, {"l1_loss": l1, "gdl_loss": gdl})
    torch.testing.assert_close(loss, l1 + 0.3 * gdl)
    model = small(space="features")
    past, future = pieces(model, ahead)
    loss, terms = model.forecaster_loss(past, future)
    torch.testing.assert_close(loss, mse_loss(model.predict(past, ahead), future))
    assert terms == {"l2_loss": loss}


@spaces
def test_the_segmenter_is_frozen_after_its_steps(space, tmp_path):
    """Neither its weights nor the statistics of its batch norms move, and the others only then."""
    seen, step = [], SegmentationForecast.training_step

    class Watched(SegmentationForecast):
        def training_step(self, batch, batch_idx):
            step(self, batch, batch_idx)
            seen.append((kit.weights(self.segmenter), kit.weights(self.forecaster)))

    model = Watched(**small(space=space).hparams)
    begin = kit.weights(model.segmenter), kit.weights(model.forecaster)
    kit.fit(model, tmp_path, 6)
    for batch, ((segmenter, forecaster), before) in enumerate(
        zip(seen, [begin, *seen], strict=False), start=1
    ):
        changed = [k for k, value in segmenter.items() if not torch.equal(value, before[0][k])]
        assert len(changed) == (len(segmenter) if batch <= 3 else 0)
        moved = any(not torch.equal(value, before[1][k]) for k, value in forecaster.items())
        assert moved == (batch > 3)
    assert not model.segmenter.training
    assert model.trainer.optimizers[0].param_groups[0]["lr"] == 0


@pytest.mark.parametrize("start", [0, 5])
def test_rolling_out_begins_at_its_batch(start, tmp_path, monkeypatch):
    counts, predict_scales = [], SegmentationForecast.predict_scales

    def watched(self, past, count):
        counts.append(count)
        return predict_scales(self, past, count)

    monkeypatch.setattr(SegmentationForecast, "predict_scales", watched)
    kit.fit(small(rollout=3, rollout_start=start), tmp_path, 7)
    assert counts == [3 if batch > start else 1 for batch in (4, 5, 6, 7)]


def test_ignored_pixels_do_not_teach():
    model, batch = small().train(), {"video": videos(frames=1)}
    labels = torch.randint(4, (3, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    labels[:, :, :5] = 255
    loss = model.segmenter_loss(batch | {"segmentation": labels})
    logs = model.segmenter(batch["video"][:, 0]).log_softmax(dim=1)
    kept = logs[:, :, 5:].movedim(1, -1).flatten(0, 2)
    expected = -kept[torch.arange(len(kept)), labels[:, 0, 5:].flatten()].mean()
    torch.testing.assert_close(loss, expected)


@spaces
def test_the_adversary_sees_maps_and_their_past(space):
    model = small(space=space, image_size=8, adversarial_weight=0.5)
    past, future = pieces(model)
    soft = model.scores(past).softmax(dim=2).flatten(1, 2)

    def judge(state):
        return model.map_discriminator(model.scores(state[:, None])[:, 0].softmax(dim=1), soft)

    fake = model.predict(past, 1)[:, 0]
    expected = gan_discriminator_loss(judge(future[:, 0]), judge(fake))
    loss = model.discriminator_loss(past, future)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert all(p.grad is None for p in model.forecaster.parameters())
    loss, terms = model.forecaster_loss(past, future)
    torch.testing.assert_close(terms["adversarial_loss"], nonsaturating_generator_loss(judge(fake)))
    terms.pop("adversarial_loss").backward(retain_graph=True)
    assert all(p.grad.abs().max() > 0 for p in list(model.forecaster.parameters())[-2:])


def test_the_adversarys_turn_is_its_own(tmp_path):
    model = small(adversarial_weight=0.1)
    begin = kit.weights(model.map_discriminator)
    run = kit.fit(model, tmp_path, 5, log_every_n_steps=1)
    assert len(run.optimizers) == 3
    assert set(model.losses) == {
        "segmenter_loss", "discriminator_loss", "adversarial_loss", "l1_loss", "gdl_loss"
    }  # fmt: skip
    assert any(
        not torch.equal(v, begin[k]) for k, v in kit.weights(model.map_discriminator).items()
    )
    assert not hasattr(small(), "map_discriminator")


def test_a_sample_is_the_painted_map_of_the_next_frame():
    model, video = small(), videos()
    shares = model.forecast(video[:, :2], 1)[:, 0].softmax(dim=1)
    shades = torch.linspace(-1, 1, 4).view(4, 1, 1)
    expected = (shares * shades).sum(dim=1, keepdim=True)
    torch.testing.assert_close(model.sample(3, {"video": video}), expected)


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match=r"space=depth: choose one of segmentations, features"):
        small(space="depth")
    with pytest.raises(ValueError, match=r"model.image_size=9 must be even"):
        small(image_size=9)
    with pytest.raises(ValueError, match=r"model.image_size=4: the discriminator needs at least 6"):
        small(image_size=4, adversarial_weight=0.1)
    with pytest.raises(ValueError, match="past=1 must be at least 2"):
        small(past=1)  # the optical flow is of two frames


def test_clips_that_are_too_short_are_refused_before_anything_is_learned(tmp_path):
    with pytest.raises(ValueError, match=r"of 6 frames are too short: .* at least 7"):
        kit.fit(small(rollout=5, rollout_start=9), tmp_path, 1)
    with pytest.raises(ValueError, match=r"of 1 frames are too short: .* at least 2"):
        small().sample(3, {"video": videos(frames=1)})


def test_a_run_that_ends_with_the_segmenter_is_warned_of(tmp_path):
    with pytest.warns(UserWarning, match=r"model.segmenter_steps.*trainer.max_steps=3 ends"):
        kit.fit(small(), tmp_path, 3)
    with warnings.catch_warnings(record=True) as caught:
        kit.fit(small(), tmp_path, 4)
    assert not [one for one in caught if "segmenter_steps" in str(one.message)]


def test_what_is_frozen_is_the_same_on_all_processes(tmp_path):
    class Comparing(Callback):
        def on_train_batch_end(self, trainer, model, *arguments):
            statistics = torch.cat([b.float().flatten() for b in model.segmenter.buffers()])
            one, other = model.all_gather(statistics)
            assert torch.equal(one, other) == (trainer.global_step >= 3)

    kit.fit(small(), tmp_path, 5, callbacks=[Comparing()], **kit.forked(2))


def test_pixels_without_a_label_are_painted_as_the_background():
    class Labeled(MovingShapes):
        def on_after_batch_transfer(self, batch, dataloader_idx):
            batch = super().on_after_batch_transfer(batch, dataloader_idx)
            return batch | {"segmentation": torch.full_like(batch["segmentation"], self.label)}

    model, videos = small(image_channels=3, image_size=16), []
    for Labeled.label in (0, 255, 1):
        videos.append(model.figures(Labeled(image_size=16, frames=5, count=32))["video"])
    assert torch.equal(videos[0], videos[1])
    assert not torch.equal(videos[0], videos[2])


def test_figures_are_frames_segmentations_and_a_video(tmp_path):
    data = MovingShapes(image_size=16, frames=5, count=32, batch_size=4)
    model = small(image_size=16, image_channels=3)
    kit.fit(model, tmp_path, 1, data, callbacks=[Samples(every=1, count=4)])
    assert (tmp_path / "samples/0000001_video.gif").exists()
    with model.evaluating():
        figures = model.figures(data)
        assert model.figures(None) == {}
    height = 15 + 6 * 52 + 20  # heads, clips, legend
    assert figures["predictions"].shape == (3, height, 8 * 52 + 3 * 12)  # 2, 3 and 3 frames
    assert len(figures["video"]) == 5


class Blocks(kit.Toy):
    """Blocks of 4x4 pixels, which move by a pixel a frame."""

    def load(self, split):
        images, labels = super().load(split)
        corners = images[:, :, ::4, ::4]
        return corners.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3), labels


@pytest.mark.parametrize("space", SPACES[:2])
def test_it_learns_to_forecast_better_than_copies(space, tmp_path):
    torch.manual_seed(0)
    model = small(space=space, classes=2, width=8, features=8, segmenter_steps=60, lr=1e-2)
    data = Blocks(batch_size=16, count=128)
    kit.fit(model, tmp_path, 160, data)
    with model.evaluating():
        found = forecast_scores(model, data, "test")
    for frame, gain in (("frame1", 0.08), ("frame3", 0.3)):
        names = (f"{whose}iou_gt_{frame}_test" for whose in ("", "copy_", "flow_"))
        forecast, copy, warp = (found[name] for name in names)
        assert forecast > copy + gain
        assert forecast > warp + 0.1
