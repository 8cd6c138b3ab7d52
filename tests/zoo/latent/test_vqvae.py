"""VQ-VAE: gradients by hand, the codebook over processes, samples of the prior."""

import pytest
import torch
from torch.nn.functional import mse_loss

from datamodules.digits import Digits
from tests import kit
from zoo.engine.seeds import reseed
from zoo.latent.vqvae import VQVAE
from zoo.metrics.compute import model_metrics


def settings(**others):
    given = {"image_size": 8, "image_channels": 1, "latent_dim": 4, "num_codes": 6, "halvings": 1}
    return {**given, "width": 8, "blocks": 1, "prior_width": 8, "prior_layers": 2} | others


def small(**others):
    torch.manual_seed(0)
    return VQVAE(**settings(**others))


class Watched(VQVAE):
    """Notes the first batch, and the gradients of its turns."""

    def on_before_optimizer_step(self, optimizer):
        super().on_before_optimizer_step(optimizer)
        own = {id(p) for group in optimizer.param_groups for p in group["params"]}
        grads = {n: p.grad.clone() for n, p in self.named_parameters() if id(p) in own}
        self.__dict__.setdefault("grads", []).append(grads)

    def training_step(self, batch, batch_idx):
        self.__dict__.setdefault("images", batch["image"].clone())
        super().training_step(batch, batch_idx)


@pytest.fixture
def one_batch(tmp_path):
    """(a model after one batch without unused codes, the model before it)"""
    torch.manual_seed(0)
    model = Watched(**settings(commitment_weight=0.7, codebook_decay=0.9))
    model.codebook.vectors.mul_(0.1)  # as large as the encoder's outputs
    model.codebook.usage.fill_(20)
    before = small()
    before.load_state_dict(model.state_dict())
    kit.fit(model, tmp_path, 1)
    return model, before


def test_gradients_are_those_of_equation_3(one_batch):
    model, before = one_batch
    encoded = before.encoder(model.images)
    vectors = encoded.movedim(1, -1).flatten(0, 2)
    codes = torch.cdist(vectors, before.codebook.vectors).argmin(dim=1).view(-1, 4, 4)
    assert len(codes.unique()) > 2
    quantized = before.codebook.vectors[codes].movedim(-1, 1).requires_grad_()
    squared_error = mse_loss(before.decoder(quantized).tanh(), model.images)
    (copied,) = torch.autograd.grad(squared_error, quantized, retain_graph=True)
    loss = (encoded * copied).sum() + 0.7 * mse_loss(encoded, quantized.detach())
    loss = loss + squared_error - squared_error.detach()  # the decoder's gradient
    loss.backward()
    for name in ("encoder", "decoder"):
        for key, parameter in before.get_submodule(name).named_parameters():
            torch.testing.assert_close(model.grads[0][f"{name}.{key}"], parameter.grad)
    before.zero_grad()
    before.codebook = model.codebook  # the prior's turn comes after its update
    before.code_nll(codes).mean().backward()
    for key, parameter in before.code_prior.named_parameters():
        torch.testing.assert_close(model.grads[1][f"code_prior.{key}"], parameter.grad)
    assert [len({key.partition(".")[0] for key in turn}) for turn in model.grads] == [2, 1]


def test_the_codebook_follows_the_encoder_before_its_update(one_batch):
    model, before = one_batch
    encoded = before.encoder(model.images).detach()
    sums = before.codebook.sums(encoded, before.codebook.nearest(encoded))
    before.codebook.update_(sums, 0.9)
    torch.testing.assert_close(model.codebook.usage, before.codebook.usage)
    torch.testing.assert_close(model.codebook.vectors, before.codebook.vectors)


def test_the_first_batch_initializes_the_codebook(tmp_path):
    """With weight 1 for what is old, its vectors are outputs of the encoder."""
    model = small(codebook_decay=1 - 1e-12)
    encoder = small().encoder
    model.training_step = lambda batch, index, step=model.training_step: (
        model.__dict__.setdefault("images", batch["image"].clone()),
        step(batch, index),
    )[1]
    kit.fit(model, tmp_path, 1)
    flat = encoder(model.images).movedim(1, -1).flatten(0, 2)
    assert torch.cdist(model.codebook.vectors, flat).min(dim=1).values.max() < 1e-5
    assert len(model.codebook.vectors.unique(dim=0)) == 6


def test_an_unused_code_is_replaced_and_a_used_one_is_not(tmp_path):
    mean = 4 * 16 / 6
    model = small(revival=0.5, codebook_decay=0.99)
    model.codebook.usage.fill_(0.51 * mean)
    model.codebook.usage[2] = 0.49 * mean
    model.codebook.vectors[2:4] = 1e4  # far from all outputs
    kit.fit(model, tmp_path, 1)
    assert model.codebook.vectors[2].abs().max() < 100
    torch.testing.assert_close(model.codebook.vectors[3], torch.full((4,), 1e4))
    assert model.codebook.usage[2] > 0.9 * mean


def test_without_revival_unused_codes_stay(tmp_path):
    model = small(revival=0.0)
    model.codebook.usage.fill_(1e-3)
    model.codebook.vectors[2] = 1e4
    kit.fit(model, tmp_path, 2)
    torch.testing.assert_close(model.codebook.vectors[2], torch.full((4,), 1e4))


def test_two_processes_have_one_codebook(tmp_path):
    """In each batch, not only where checkpoints average buffers."""
    seen = torch.zeros(2, 6, 6, 4).share_memory_()

    class Noting(VQVAE):
        def training_step(self, batch, batch_idx):
            super().training_step(batch, batch_idx)
            seen[self.trainer.global_rank, self.trainer.global_step - 1] = self.codebook.vectors

    torch.manual_seed(0)
    model = Noting(**settings(revival=0.9))  # codes are replaced in each batch
    kit.fit(model, tmp_path, 6, **kit.forked(2))
    assert seen.abs().amax(dim=(0, 2, 3)).all()
    assert torch.equal(seen[0], seen[1])


def test_samples_of_the_prior_have_its_probabilities():
    """Frequencies of the 16 maps of two codes on 2x2 pixels, in 20,000 samples."""
    model = small(num_codes=2, image_size=4).double().eval()
    for parameter in model.code_prior.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    every = torch.cartesian_prod(*[torch.arange(2)] * 4).view(-1, 2, 2)
    with torch.no_grad():
        probability = (-model.code_nll(every)).exp()
    assert probability.sum().item() == pytest.approx(1)
    reseed(model.device, 0)
    drawn = model.draw_codes(20000).flatten(1)
    frequency = (drawn * 2 ** torch.arange(3, -1, -1)).sum(dim=1).bincount(minlength=16) / 20000
    deviation = (probability * (1 - probability) / 20000).sqrt()
    assert ((frequency - probability).abs() < 4 * deviation + 1e-4).all()


def test_a_network_without_cached_steps_draws_the_same_codes():
    model = small().eval()
    drawn = []
    for cached in (True, False):
        if not cached:
            model.code_prior = torch.nn.Sequential(model.code_prior)
        reseed(model.device, 3)
        drawn.append(model.draw_codes(50))
    assert torch.equal(*drawn)
    assert drawn[0].unique().tolist() == list(range(6))


def test_a_sample_decodes_codes_of_the_prior():
    model = small().eval()
    with torch.no_grad():
        reseed(model.device, 3)
        images = model.sample(5)
        reseed(model.device, 3)
        codes = model.draw_codes(5)
        torch.testing.assert_close(model.decode(codes), images)
        real = torch.rand(5, 1, 8, 8) * 2 - 1
        torch.testing.assert_close(
            model.reconstruct({"image": real}), model.decode(model.encode(real))
        )


def test_sizes_that_cannot_be_halved_are_refused():
    with pytest.raises(ValueError, match="halvings=2: the image size 30 is no multiple of 4"):
        VQVAE(image_size=30)


def test_it_learns(tmp_path):
    """The mean image has 11 dB, an untrained model 7. Equally likely codes have 33.3 nats."""
    data = Digits()
    model = small(latent_dim=4, num_codes=8, width=16, lr=5e-3, decay=0.99, prior_lr=1e-2)
    kit.fit(model, tmp_path, 300, data)
    found = model_metrics(model, data, "test")
    assert found["psnr_test"] > 16
    assert found["codebook_used_test"] == 8
    assert found["codebook_perplexity_test"] > 7
    assert found["nats_codes_test"] < 29


def test_a_group_of_batches_updates_the_codebook_like_one_large_batch(tmp_path):
    codebooks = []
    for batch_size, accumulate in ((8, 1), (4, 2)):
        torch.manual_seed(0)
        model = kit.build("vqvae", accumulate=accumulate)
        model.codebook.usage.fill_(100.0)  # no code is replaced
        data = Digits(batch_size=batch_size)
        kit.fit(model, tmp_path / str(accumulate), accumulate, data, precision="64-true")
        codebooks.append(model.codebook.state_dict())
    one, group = codebooks
    for name in one:
        torch.testing.assert_close(group[name], one[name])
    assert one["usage"].max() != 99  # some outputs were counted
