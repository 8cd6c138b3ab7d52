"""Pixel-by-pixel sampling equals the naive loop for the same noise.

The naive loop, `model.uncached_steps`, passes the whole image through the network for each pixel.
"""

import pytest
import torch

import zoo
from callbacks.ema import EMA
from tests import kit
from zoo.config import catalog
from zoo.networks import raster_sampling as raster

CLASSES = {name: kit.class_of(catalog.describe("model", name).target) for name in zoo.models()}
MODELS = [
    name
    for name, cls in CLASSES.items()
    if hasattr(cls, "noise_shape") and cls.likelihood_kind == "exact"
]


def small(name, channels=1, size=5, **settings):
    torch.manual_seed(0)
    model = kit.build(name, size, channels, num_levels=5, **settings).double()
    for parameter in model.parameters():  # so that no pixel is almost deterministic
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model


def sampled(model, count=3, condition=None, seed=0):
    torch.manual_seed(seed)
    return model.sample(count, condition)


def naively(model, *arguments, **keywords):
    steps = model.network.steps
    model.network.steps = lambda *args: model.uncached_steps(model.network, *args)
    images = sampled(model, *arguments, **keywords)
    model.network.steps = steps
    return images


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("conditional", [False, True], ids=["plain", "conditional"])
@pytest.mark.parametrize("name", MODELS)
def test_the_same_noise_makes_the_same_images(name, conditional, channels):
    model = small(name, channels, conditional=conditional).eval()
    given = {"label": torch.tensor([3, 0, 7])} if conditional else None
    images = sampled(model, condition=given)
    assert torch.equal(images, naively(model, condition=given))
    assert torch.equal(images, sampled(model, condition=given)), "no state is kept between calls"
    assert not torch.equal(images, sampled(model, condition=given, seed=1))
    assert len(images.unique()) > 2
    if conditional:
        labels = [torch.tensor([3, other, other, other, 7]) for other in (0, 1)]
        images, others = (sampled(model, 5, {"label": label}) for label in labels)
        same = (images == others).flatten(1).all(dim=1).tolist()
        assert same[0]
        assert same[4]
        assert not all(same)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", MODELS)
def test_steps_equal_the_network_on_images_of_uneven_sides(name, channels):
    """Teacher-forced: the images are given, so that nothing drawn hides a difference."""
    model = small(name, channels, size=4).eval()
    width = 4 if hasattr(model.network, "shape") else 8  # MADE's network has the shape of images
    images = torch.randint(5, (2, channels, 4, width)).double() / 2 - 1

    @torch.no_grad()
    def outputs_of(steps):
        outputs = []

        def record(output, noise, part):
            outputs.append(output)
            return torch.zeros(2, 1)

        nowhere = torch.zeros(2, 1, 4, width, dtype=torch.bool)
        noise = torch.zeros(2, 1, 4, width)
        raster.draw(steps, images, noise, record, model.channel_groups(), nowhere)
        return torch.stack(outputs)

    ours = outputs_of(model.network.steps(images))
    theirs = outputs_of(model.uncached_steps(model.network, images))
    assert len(ours) == 4 * width * len(model.channel_groups())
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", MODELS)
def test_visible_pixels_are_kept_and_the_others_drawn(name):
    model = small(name, 3).eval()
    image = (torch.randint(5, (3, 3, 5, 5)) / 2 - 1).double()
    mask = torch.zeros(3, 1, 5, 5)
    mask[:, :, 2:, 1:4] = 1
    given = {"image": image, "mask": mask}
    images = sampled(model, condition=given)
    hidden = mask.bool().expand_as(images)
    assert torch.equal(images[~hidden], image[~hidden])
    assert not torch.equal(images[hidden], image[hidden])
    assert torch.equal(images, naively(model, condition=given))
    whole = sampled(model, condition={"image": image, "mask": torch.ones_like(mask)})
    assert torch.equal(whole, sampled(model)), "a mask that hides everything is no condition"


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mask": (3, 1, 5, 5)}, "A mask needs image, whose"),
        ({"mask": (3, 1, 5, 5), "image": (2, 1, 5, 5)}, r"image\W+has 2"),
        ({"mask": (3, 5, 5), "image": (3, 1, 5, 5)}, r"the samples need \(3, 1, 5, 5\)"),
    ],
)
def test_a_completion_of_another_shape_is_refused(name, given, message):
    with pytest.raises(ValueError, match=message):
        small(name).sample(3, {key: torch.zeros(shape) for key, shape in given.items()})


@pytest.mark.parametrize("name", MODELS)
def test_sampling_uses_the_current_weights(name, tmp_path):
    """Those after a training step, and the averages while evaluating."""
    model = small(name, size=8, lr=0.02)
    before = sampled(model.eval())
    kit.fit(model.float().train(), tmp_path, 5, callbacks=[EMA(decay=0.5, players=("network",))])
    model.double().eval()
    model.averages["network"].double()
    after = sampled(model)
    assert not torch.equal(after, before)
    assert torch.equal(after, naively(model))
    with model.evaluating():
        averaged = sampled(model)
        assert torch.equal(averaged, naively(model))
    assert not torch.equal(averaged, after)


@pytest.mark.parametrize("name", MODELS)
def test_samples_are_the_same_in_training_mode(name):
    """No dropout, and no statistics of the batch."""
    model = small(name)
    assert torch.equal(sampled(model.train()), sampled(model.eval()))
