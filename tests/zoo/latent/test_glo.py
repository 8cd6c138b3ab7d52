import pytest
import torch
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from sklearn.decomposition import PCA
from torch import nn

from datamodules.digits import Digits
from tests import kit
from zoo.engine.inversion import descend
from zoo.latent.glo import GLO, project_to_ball
from zoo.losses import laplacian_loss
from zoo.metrics.psnr import decibels
from zoo.runs.checkpoints import load_model


def small(**settings):
    torch.manual_seed(0)
    return GLO(**{"image_size": 8, "image_channels": 1, "latent_dim": 8, "width": 8} | settings)


def digits(split="train"):
    """Images (N, 64) in [-1, 1]."""
    source = Digits().source(split)
    return (source[torch.arange(len(source))]["image"] / 127.5 - 1).flatten(1)


def test_projection_leaves_the_ball_unchanged_and_is_idempotent():
    latent = torch.tensor([[0.3, 0.4], [0.6, 0.8], [3.0, 4.0], [0.0, 0.0]])
    expected = torch.tensor([[0.3, 0.4], [0.6, 0.8], [0.6, 0.8], [0.0, 0.0]])
    torch.testing.assert_close(project_to_ball(latent), expected)
    torch.testing.assert_close(project_to_ball(project_to_ball(latent)), expected)


def test_the_laplacian_loss_of_a_constant_shift_is_the_coarsest_levels():
    """|c| once: weights 2^2j make each level a mean."""
    images = torch.rand(3, 2, 8, 8)
    assert laplacian_loss(images, images, 2).tolist() == [0, 0, 0]
    torch.testing.assert_close(laplacian_loss(images + 0.3, images, 2), torch.full((3,), 0.3))


def test_the_laplacian_loss_by_hand():
    """A checkerboard of ±1 is all in the finest level; blocks of 2x2 are in it and in the next."""
    board = torch.tensor([[1.0, -1], [-1, 1]]).repeat(4, 4)[None, None]
    zero = torch.zeros_like(board)
    assert laplacian_loss(board, zero, 2).item() == pytest.approx(1)
    blocks = torch.tensor([[1.0, -1], [-1, 1]]).repeat(2, 2)[None, None]
    coarse = laplacian_loss(blocks, torch.zeros_like(blocks), 1)
    enlarged = nn.functional.interpolate(blocks, scale_factor=2, mode="nearest")
    smooth = nn.functional.interpolate(blocks, scale_factor=2, mode="bilinear", align_corners=False)
    fine = (enlarged - smooth).abs().mean().item()
    found = laplacian_loss(enlarged, torch.zeros_like(enlarged), 2).item()
    assert found == pytest.approx(fine + coarse.item())


def test_only_the_latents_of_the_batch_are_updated_and_stay_in_the_ball(tmp_path):
    model, seen, tables = small(start="normal"), [], []
    step = model.training_step

    def watched(batch, batch_idx):
        tables.append(model.latents.clone())
        seen.append(batch["index"])
        step(batch, batch_idx)

    model.training_step = watched
    kit.fit(model, tmp_path, 5, kit.Toy(batch_size=8))
    for before, after, index in zip(tables, [*tables[1:], model.latents], seen, strict=True):
        moved = (before != after).any(dim=1).nonzero().flatten()
        assert moved.tolist() == index.sort().values.tolist()
        assert after.norm(dim=1).max() <= 1 + 1e-6


def test_a_latent_is_updated_by_sgd_on_the_mean_loss(tmp_path):
    class Plain(GLO):
        def build_generator(self):
            return nn.Sequential(nn.Linear(8, 64), nn.Unflatten(1, (1, 8, 8)))

    torch.manual_seed(0)
    shape = {"image_size": 8, "image_channels": 1, "latent_dim": 8}
    model = Plain(**shape, loss="l2", start="normal", latent_lr=0.5, lr=0.0)
    updates = []
    update = model.update_latents_

    def watched(index, latent):
        updates.append((index, latent.detach().clone(), latent.grad.clone()))
        update(index, latent)

    model.update_latents_ = watched
    kit.fit(model, tmp_path, 1, Digits(batch_size=4))
    (index, before, gradient), weight = updates[0], model.generator[0]
    real = digits()[index]
    error = before @ weight.weight.T + weight.bias - real
    expected = 2 * error @ weight.weight / 64 / 4  # the mean over pixels, and over the batch
    torch.testing.assert_close(gradient, expected)
    torch.testing.assert_close(model.latents[index], project_to_ball(before - 0.5 * expected))


def test_latents_that_are_not_learned_keep_their_values(tmp_path):
    model = small(learned=False)
    kit.fit(model, tmp_path, 3, Digits())
    start = model.whitened(digits())
    torch.testing.assert_close(model.latents, project_to_ball(start))
    assert start.std(dim=0).sub(1).abs().max() < 1e-4


def test_a_linear_generator_and_the_squared_error_find_principal_components(tmp_path):
    class Linear(GLO):
        def build_generator(self):
            return nn.Sequential(nn.Linear(4, 64), nn.Unflatten(1, (1, 8, 8)))

    torch.manual_seed(0)
    model = Linear(
        image_size=8, image_channels=1, latent_dim=4, loss="l2", start="normal", lr=4.0,
        latent_lr=200.0,
    )  # fmt: skip
    images = digits()
    pca = PCA(4).fit(images)
    best = ((torch.from_numpy(pca.inverse_transform(pca.transform(images))) - images) ** 2).mean()
    kit.fit(model, tmp_path, 1500, Digits(batch_size=100))
    found = (model.generator(model.latents).flatten(1) - images).square().mean()
    assert best <= found <= 1.03 * best


def test_samples_are_of_the_gaussian_of_the_latents():
    model = small(latent_dim=2)
    factor = torch.tensor([[1.0, 0.0], [0.8, 0.6]])
    model.latents = 0.1 * torch.randn(5000, 2) @ factor.T + torch.tensor([0.2, -0.1])
    samples = model.prior(50_000)
    torch.testing.assert_close(samples.mean(dim=0), model.latents.mean(dim=0), rtol=0, atol=2e-3)
    torch.testing.assert_close(samples.T.cov(), model.latents.T.cov(), rtol=0, atol=4e-4)


def test_the_latents_are_in_the_checkpoint(tmp_path):
    model = small()
    run = kit.fit(model, tmp_path, 3, Digits())
    run.save_checkpoint(tmp_path / "model.ckpt")
    rebuilt = load_model(tmp_path / "model.ckpt")
    assert rebuilt.latents.shape == (1300, 8)
    assert torch.equal(rebuilt.latents, model.latents)
    assert torch.equal(rebuilt.components, model.components)


@pytest.fixture(scope="module", params=["pca", "normal"])
def trained(request, tmp_path_factory):
    """A model whose latents were learned from either start."""
    model = small(start=request.param, loss="l2", lr=0.5, latent_lr=5.0, iterations=40)
    kit.fit(model, tmp_path_factory.mktemp(request.param), 300, Digits())
    return model


def reconstruct(model, images):
    with model.evaluating():
        return model.reconstruct({"image": images.view(-1, 1, 8, 8)})


def test_a_search_starts_at_the_nearest_draws_of_the_prior(trained):
    images = digits("test")[:5].view(5, 1, 8, 8)
    with trained.evaluating():
        starts = trained.search_starts(images)
        errors = torch.stack([trained.distance(trained.generator(z), images) for z in starts])
        draws = project_to_ball(trained.prior(500))
        usual = trained.distance(trained.generator(draws[:, None].expand(-1, 5, -1).flatten(0, 1)),
                                 images.repeat(500, 1, 1, 1)).view(500, 5)  # fmt: skip
    assert starts.shape == (4, 5, 8)
    assert starts.norm(dim=2).max() <= 1 + 1e-6
    of_prior = errors[:-1] if trained.hparams.start == "pca" else errors
    assert (of_prior.diff(dim=0) >= 0).all(), "the nearest first"
    assert (of_prior[0] < usual.quantile(0.1, dim=0)).all()
    if trained.hparams.start == "pca":
        torch.testing.assert_close(starts[-1], project_to_ball(trained.whitened(images.flatten(1))))


class Hollow(nn.Module):
    """Black with zero gradient where |z| < 0.6, like a generator far from its training latents."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 64, bias=False)

    def forward(self, latent):
        norm = latent.norm(dim=1, keepdim=True)
        outside = latent / norm.clamp(min=1e-6) * (norm - 0.6).relu()
        return self.linear(outside).view(-1, 1, 8, 8)


def test_a_search_reaches_images_that_a_start_at_zero_does_not():
    model = small(start="normal", loss="l2")
    model.generator = Hollow()
    model.latents = project_to_ball(torch.randn(300, 8))
    with model.evaluating():
        images = model.generator(project_to_ball(torch.randn(50, 8)))
        found = model.distance(reconstruct(model, images), images)
        zero = torch.zeros(1, 50, 8)
        _, stuck = descend(
            lambda z: model.distance(model.generator(z), images), zero, 100, 0.1, project_to_ball
        )
    torch.testing.assert_close(stuck, images.square().mean(dim=(1, 2, 3)))
    assert found.max() < 1e-3 * stuck.mean()


def test_the_result_of_a_search_depends_only_on_the_image(trained):
    images, state = digits("test")[:4], torch.get_rng_state()
    together = reconstruct(trained, images)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(5)
    apart = torch.cat([reconstruct(trained, image) for image in images.flip(0)]).flip(0)
    errors = [(found.flatten(1) - images).square().mean(dim=1) for found in (together, apart)]
    torch.testing.assert_close(*errors, rtol=0.02, atol=1e-4)


def test_principal_components_are_the_baseline(tmp_path, monkeypatch):
    model = small()
    monkeypatch.setattr(GLO, "reconstruct", lambda self, batch: batch["image"])  # not looked at
    kit.fit(model, tmp_path, 1, Digits())
    train, test = digits(), digits("test")
    pca = PCA(8).fit(train)
    expected = torch.from_numpy(pca.inverse_transform(pca.transform(test))).float()
    torch.testing.assert_close(model.pca_reconstruction(test), expected, rtol=0, atol=1e-3)
    with model.evaluating():
        measured = model.measure(Digits(), "test")["psnr_pca_test"]
    assert measured == pytest.approx(decibels((expected - test).square().mean().item()), abs=1e-3)


def test_data_that_are_flipped_are_refused(tmp_path):
    with pytest.raises(MisconfigurationException, match=r"data\.flip=false"):
        kit.fit(small(), tmp_path, 1, kit.Toy(flip=True))


@pytest.mark.parametrize("given", [{"loss": "l1"}, {"start": "zero"}])
def test_settings_that_cannot_work_are_refused(given):
    with pytest.raises(ValueError, match="choose one of"):
        small(**given)


def test_it_learns_real_digits(tmp_path, monkeypatch):
    """Training and unseen images beyond as many principal components."""
    monkeypatch.setattr("zoo.metrics.psnr.GLO_IMAGES", 100)
    model = small(width=16, pyramid_levels=2, iterations=40, restarts=2)
    kit.fit(model, tmp_path, 400, Digits())
    with model.evaluating():
        numbers = model.measure(Digits(), "test")
    assert numbers["psnr_train"] > numbers["psnr_pca_train"] + 1
    assert numbers["psnr_test"] > numbers["psnr_pca_test"] + 1


def test_further_training_continues_with_the_same_latents(tmp_path):
    """Trained further, and refused for other images."""
    model = small(iterations=5)
    kit.fit(model, tmp_path, 3, Digits())
    latents, seen = model.latents.clone(), []
    start = model.on_train_start
    model.on_train_start = lambda: (seen.append(model.latents.clone()), start())
    kit.fit(model, tmp_path, 1, Digits())
    assert torch.equal(seen[0], latents)
    run = kit.fit(small(iterations=5), tmp_path, 2, Digits())
    checkpoint = tmp_path / "model.ckpt"
    run.save_checkpoint(checkpoint)
    for other in ({"val_count": 100}, {"split_seed": 1}):
        with pytest.raises(ValueError, match="a resumed run keeps its settings"):
            kit.fit(small(iterations=5), tmp_path, 4, Digits(**other), checkpoint=checkpoint)
        with run.lightning_module.evaluating() as trained:
            assert "psnr_train" not in trained.measure(Digits(**other), "test")
    with run.lightning_module.evaluating() as trained:
        assert "psnr_train" in trained.measure(Digits(), "test")
    with pytest.raises(MisconfigurationException, match=r"latents of 1300 .* as before"):
        kit.fit(model, tmp_path, 1, Digits(split_seed=1))


@pytest.mark.parametrize("changing", ["flip", "binarize"])
def test_images_that_change_are_refused(changing, tmp_path):
    data = kit.Toy(flip=True) if changing == "flip" else Digits(binarize=True)
    with pytest.raises(MisconfigurationException, match=f"data.{changing}=false"):
        kit.fit(kit.build("glo"), tmp_path, 1, data)


def test_random_initial_latents_depend_only_on_the_seed(tmp_path):
    tables = []
    for width, seed in ((8, 0), (16, 0), (8, 1)):
        model = small(start="normal", width=width, learned=False)
        kit.fit(model, tmp_path, 1, Digits(), seed)
        tables.append(model.latents)
    assert torch.equal(tables[0], tables[1])
    assert not torch.equal(tables[0], tables[2])


@pytest.mark.parametrize("accumulate", [1, 4])
def test_a_group_of_micro_batches_shares_one_step(accumulate, tmp_path):
    model = small(start="normal", latent_lr=0.2, accumulate=accumulate)
    model._trainer = type("", (), {"world_size": 1})()
    model.latents = torch.zeros(2, 8)
    latent = torch.zeros(1, 8, requires_grad=True)
    (latent * torch.ones(8)).sum().backward()
    model.update_latents_(torch.tensor([1]), latent)
    assert model.latents[0].tolist() == [0] * 8
    torch.testing.assert_close(model.latents[1], torch.full((8,), -0.2 / accumulate))


def test_more_latents_than_components_are_refused(tmp_path):
    with pytest.raises(MisconfigurationException, match="latent_dim=64 must be at most 60"):
        kit.fit(small(latent_dim=64), tmp_path, 1, Digits())
    with pytest.raises(MisconfigurationException, match="latent_dim=70 must be at most 64"):
        kit.fit(small(latent_dim=70), tmp_path, 1, Digits())
