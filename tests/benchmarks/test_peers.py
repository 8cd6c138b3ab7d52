"""The benchmark against other projects runs their scripts and their networks."""

import pytest
import torch
from torch import nn

from benchmarks import peer_models, peer_runs

SCRIPT = """
import argparse, os
import torch
from torch import nn
from torchvision import datasets, transforms

os.makedirs("../../data/mnist", exist_ok=True)
parser = argparse.ArgumentParser()
parser.add_argument("--img_size", type=int, default=28)
opt = parser.parse_args()
print(opt)


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 1)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(nn.Conv2d(1, 2, 3, 2, 1), nn.BatchNorm2d(2))
        self.adv_layer = nn.Sequential(nn.Linear(2 * 16 * 16, 1), nn.Sigmoid())

    def forward(self, img):
        return self.adv_layer(self.model(img).view(img.shape[0], -1))


data = datasets.MNIST("../../data/mnist", train=True, download=True, transform=transforms.Compose(
    [transforms.Resize(opt.img_size), transforms.ToTensor(), transforms.Normalize([0.5], [0.5])]))
loader = torch.utils.data.DataLoader(data, batch_size=2, shuffle=True)
for epoch in range(EPOCHS):
    for i, (imgs, _) in enumerate(loader):
        assert imgs.shape == (2, 1, 32, 32)
        print("[Epoch %d] [Batch %d] [D loss: 1]" % (epoch, i))
"""


@pytest.fixture
def peer(tmp_path, monkeypatch):
    """A repository with the structure of PyTorch-GAN, which trains 3 batches an epoch."""
    folder = tmp_path / "implementations" / "dcgan"
    folder.mkdir(parents=True)
    (folder / "dcgan.py").write_text(SCRIPT.replace("EPOCHS", "2"))
    images = torch.randint(256, (6, 1, 28, 28), dtype=torch.uint8)
    monkeypatch.setattr(peer_runs, "mnist", lambda root: images)
    monkeypatch.setattr(peer_models, "networks", {})
    return tmp_path


def run(peer, updates):
    return peer_runs.time_pytorch_gan(peer, "dcgan", ["--img_size", "32"], updates, "data")


def test_a_script_runs_until_it_has_printed_the_updates_that_are_timed(peer):
    ends = run(peer, 4)
    assert len(ends) == 4
    assert ends == sorted(ends)


def test_a_script_that_ends_early_is_an_error(peer):
    with pytest.raises(RuntimeError, match=r"dcgan\.py ended before 7 updates"):
        run(peer, 7)


def test_the_zoo_trains_the_networks_of_the_script(peer):
    run(peer, 1)
    theirs = peer_models.networks["discriminator"]()
    ours = peer_models.Discriminator(theirs)
    images = torch.randn(3, 1, 32, 32)
    torch.testing.assert_close(ours(images).sigmoid(), theirs(images).flatten())
    model = peer_models.PyTorchGANDCGAN(image_size=32, image_channels=1)
    assert isinstance(model.generator.layer, nn.Conv2d)
    assert isinstance(model.discriminator.logit, nn.Linear)


def test_networks_of_pythae_lose_the_final_sigmoid():
    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            last = nn.Sequential(nn.Linear(3, 2), nn.Sigmoid())
            self.layers = nn.ModuleList([nn.Linear(3, 3), last])

        def forward(self, latent):
            for layer in self.layers:
                latent = layer(latent)
            return {"reconstruction": latent}

    network, latent = Decoder(), torch.randn(4, 3)
    expected = network(latent)["reconstruction"]
    logits = peer_models.PythaeDecoder(network)(latent, None)
    torch.testing.assert_close(logits.sigmoid(), expected)
