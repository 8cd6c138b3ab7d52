"""Losses by hand, scales that refine each other, and frames that are fed back."""

import pytest
import torch
from PIL import Image
from torch.nn.functional import avg_pool2d, softplus

from callbacks.samples import Samples
from datamodules.moving_digits import MovingDigits
from tests import kit
from zoo.conditional.video_prediction import VideoPrediction, lp_loss
from zoo.config.errors import UserError
from zoo.losses import (
    gan_discriminator_loss,
    gradient_difference_loss,
    nonsaturating_generator_loss,
)
from zoo.metrics.video_psnr import prediction_scores
from zoo.networks.multiscale import downscale


def small(**parameters):
    shape = {"image_size": 16, "image_channels": 1, "past": 2, "scales": 3, "width": 8}
    return VideoPrediction(**shape | parameters)


def videos(count=3, frames=5, channels=1, size=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(count, frames, channels, size, size, generator=generator) - 1


def test_lp_is_the_mean_of_powers():
    fake, real = torch.tensor([0.5, -0.25, 0.0]), torch.zeros(3)
    assert lp_loss(fake, real, 1).item() == pytest.approx(0.25)
    assert lp_loss(fake, real, 2).item() == pytest.approx(0.3125 / 3)


def test_exponents_below_1_of_gradient_differences_are_refused():
    """Their gradient at 0 is infinite, and NaN times 0."""
    for alpha, finite in ((0.5, False), (1.0, True)):
        fake = torch.zeros(1, 1, 2, 2, requires_grad=True)
        gradient_difference_loss(fake, torch.zeros(1, 1, 2, 2), alpha).backward()
        assert bool(fake.grad.isfinite().all()) == finite
    with pytest.raises(ValueError, match=r"model\.alpha=0\.5 must be"):
        small(alpha=0.5)


def test_the_adversarial_term_reaches_every_scale_of_the_generator():
    model = small(gdl_weight=0.0)
    past, real = model.random_past_and_next(videos())
    _, terms = model.generator_loss(past, real)
    terms["adversarial_loss"].backward()
    for refinement in model.generator.refinements:
        assert refinement[0].weight.grad.abs().max() > 0


def test_losses_are_sums_over_scales():
    model = small(p=2, alpha=1.5, gdl_weight=0.3, adversarial_weight=0.07)
    past, real = model.random_past_and_next(videos())
    fakes, pasts, reals = (
        model.generator(past), downscale(past, model.sizes), downscale(real, model.sizes)
    )  # fmt: skip
    assert reals[0].shape[-1] == 4
    torch.testing.assert_close(reals[0], avg_pool2d(real, 4))
    lp = gdl = adversarial = discriminator_loss = 0
    for discriminator, fake, y, x in zip(model.discriminators, fakes, reals, pasts, strict=True):
        lp += ((fake - y) ** 2).mean()
        gdl += gradient_difference_loss(fake, y, 1.5)
        adversarial += nonsaturating_generator_loss(discriminator(fake, x))
        discriminator_loss += gan_discriminator_loss(discriminator(y, x), discriminator(fake, x))
    loss, terms = model.generator_loss(past, real)
    torch.testing.assert_close(loss, lp + 0.3 * gdl + 0.07 * adversarial)
    torch.testing.assert_close(terms["lp_loss"], lp)
    torch.testing.assert_close(model.discriminator_loss(past, real), discriminator_loss)
    model.discriminator_loss(past, real).backward()
    assert all(p.grad is None for p in model.generator.parameters())


def test_mismatched_pasts_are_rejected_beside_the_predictions():
    """Of three videos, each frame is also judged after the past of the one before it."""
    model = small(mismatched_pasts=True)
    past, real = model.random_past_and_next(videos())
    fakes, pasts, reals = (
        model.generator(past), downscale(past, model.sizes), downscale(real, model.sizes)
    )  # fmt: skip
    expected = 0
    for discriminator, fake, y, x in zip(model.discriminators, fakes, reals, pasts, strict=True):
        other = torch.stack([x[2], x[0], x[1]])
        expected += 2 * softplus(-discriminator(y, x)).mean()
        expected += (
            softplus(discriminator(fake, x)).mean() + softplus(discriminator(y, other)).mean()
        )
    torch.testing.assert_close(model.discriminator_loss(past, real), expected)
    assert expected != small().discriminator_loss(past, real)
    with pytest.raises(UserError, match="mismatched_pasts=true needs at least 2 videos"):
        model.discriminator_loss(past[:1], real[:1])


def test_separate_batches_are_the_two_halves_of_one(tmp_path):
    model, seen = small(image_size=8, separate_batches=True), {}
    for loss in ("discriminator_loss", "generator_loss"):
        function = getattr(model, loss)

        def noted(past, real, loss=loss, function=function):
            seen[loss] = past, real
            return function(past, real)

        setattr(model, loss, noted)
    whole, piece = [], model.random_past_and_next
    model.random_past_and_next = lambda video: whole.append(piece(video)) or whole[-1]
    kit.fit(model, tmp_path, 1, kit.Toy(batch_size=4))
    for place in range(2):
        halve_batch = seen["discriminator_loss"][place], seen["generator_loss"][place]
        assert [len(half) for half in halve_batch] == [2, 2]
        assert torch.equal(torch.cat(halve_batch), whole[0][place])
    with pytest.raises(UserError, match=r"separate_batches=true needs batches of at least 2"):
        kit.fit(small(image_size=8, separate_batches=True), tmp_path, 1, kit.Toy(batch_size=1))


def test_without_an_adversary_there_are_no_discriminators(tmp_path):
    model = small(adversarial_weight=0.0, image_size=8, adam=True, lr=1e-3)
    run = kit.fit(model, tmp_path, 2, kit.Toy(), log_every_n_steps=1)
    assert [child for child, _ in model.named_children()] == ["generator"]
    assert len(run.optimizers) == 1
    assert set(model.losses) == {"lp_loss", "gdl_loss"}
    assert isinstance(run.optimizers[0], torch.optim.Adam)
    assert isinstance(small().configure_optimizers()[0], torch.optim.SGD)


def test_each_frame_is_predicted_from_the_frames_before_it():
    model, past = small(), videos(frames=2)
    frames = model.predict(past, 3)
    assert frames.shape == (3, 3, 1, 16, 16)
    known = [past[:, 0], past[:, 1]]
    for step in range(3):
        known.append(model.generator(torch.cat(known[-2:], dim=1))[-1])
        torch.testing.assert_close(frames[:, step], known[-1])
    given = {"video": torch.cat([past, videos(frames=4, seed=1)], dim=1)}
    assert torch.equal(model.sample(3, given), frames[:, 0])
    assert torch.equal(model.sample(3, {"video": past}), frames[:, 0])


def test_pieces_are_cut_anywhere_in_order():
    model = small()
    video = torch.arange(5.0).view(1, 5, 1, 1, 1).expand(200, 5, 2, 3, 3)
    past, real = model.random_past_and_next(video + torch.tensor([0, 0.5]).view(2, 1, 1))
    assert past.shape == (200, 4, 3, 3)
    starts = past[:, 0, 0, 0]
    assert set(starts.tolist()) == {0, 1, 2}
    steps = torch.tensor([0, 0.5, 1, 1.5])
    assert torch.equal(past[:, :, 0, 0], starts[:, None] + steps)
    assert torch.equal(real[:, :, 0, 0], starts[:, None] + torch.tensor([2, 2.5]))


def test_videos_without_a_future_are_refused():
    with pytest.raises(
        ValueError, match=r"Videos of 2 frames .* at least 3, or model.past smaller"
    ):
        small().split(videos(frames=2))
    with pytest.raises(
        ValueError, match=r"Videos of 1 frames .* at least 2, or model.past smaller"
    ):
        small().sample(3, {"video": videos(frames=1)})
    for name, value in (("scales", 5), ("scales", 0), ("p", 0), ("past", 0)):
        with pytest.raises(ValueError, match=f"model.{name}={value} must be"):
            small(**{name: value})


def test_figures_are_rows_of_frames_and_a_video(tmp_path):
    data = MovingDigits(image_size=16, frames=5, count=32, batch_size=4)
    model = small()
    kit.fit(model, tmp_path, 1, data, callbacks=[Samples(every=1, count=4)])
    with Image.open(tmp_path / "samples/0000001_video.gif") as video:
        assert video.n_frames == 5
    with model.evaluating():
        figures = model.figures(data)
        assert model.figures(None) == {}
    assert set(figures) == {"predictions", "video"}
    assert figures["predictions"].shape == (3, 15 + 6 * 52, 8 * 52 + 3 * 12)  # 2, 3 and 3 frames
    video = figures["video"]
    half, left = (video.shape[2] - 6) // 2, video.shape[3] - 6 * 52
    for t, frame in enumerate(video):
        same = torch.equal(frame[:, :half, left:], frame[:, half : 2 * half, left:])
        assert same == (t < 2), "the past is the same above and below"
        assert frame[:, -1, -1].tolist() == ([255, 255, 255] if t < 2 else [255, 0, 0])


def test_it_learns_to_move_digits_better_than_copies(tmp_path):
    torch.manual_seed(0)
    data = MovingDigits(image_size=12, frames=4, objects=1, speed=1)
    settings = {"p": 2, "gdl_weight": 0.1, "adversarial_weight": 0.0, "adam": True, "lr": 2e-3}
    model = small(image_size=12, scales=2, **settings)
    kit.fit(model, tmp_path, 150, data)
    with model.evaluating():
        found = prediction_scores(model, data, "test")
    for frame in ("frame1", "frame2"):
        psnr, copy = (found[f"{kind}psnr_moving_{frame}_test"] for kind in ("", "copy_"))
        assert psnr > copy + 2
        assert found[f"contrast_moving_{frame}_test"] > 0.5
