"""Compare training with other projects' own code: python -m benchmarks.peers NAME --peer FOLDER

FOLDER is a copy of the other project's repository, which is not changed:

    pytorch_gan_dcgan, pytorch_gan_wgan_gp    github.com/eriklindernoren/PyTorch-GAN
    mimicry_sngan                             github.com/kwotsin/mimicry
    pythae_vae, pythae_process                github.com/clementchadebec/benchmark_VAE

The peer runs its own script, or its trainer as its README says. The zoo runs `python -m zoo.fit`
with the peer's networks (peer_models.py), batch size and optimizer, the default callbacks except
metrics, and the CSV log. pythae_process compares whole processes of 1 and 5 epochs on MNIST, with
all default callbacks and without metrics, which pythae does not measure. Both sides alternate, on
one CPU thread. Prints medians and the ratios of all rounds.
"""

import argparse
import statistics
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path

import torch

from benchmarks.clock import zoo_batch_ends
from benchmarks.peer_runs import (
    BATCH,
    LATENTS,
    Ends,
    time_mimicry,
    time_processes,
    time_pythae,
    time_pytorch_gan,
)
from benchmarks.train import per_batch
from zoo.runs.training import silence_lightning

PROCESS, EPOCHS = "pythae_process", (1, 5)
GRAY = ["data=mnist", "data.root={root}"]
COLOR = ["data=shapes", "data.image_size=32", "data.count=1000", "data.val_count=0"]

# {name: (the peer's run, settings of the zoo, batches per update, updates per round)}
CASES: dict[str, tuple[Callable[[Path, int, str], Ends], list[str], int, int]] = {
    "pytorch_gan_dcgan": (
        lambda peer, updates, root: time_pytorch_gan(
            peer, "dcgan", ["--img_size", "32"], updates, root
        ),
        [
            "model=benchmarks.peer_models.PyTorchGANDCGAN",
            "model.reuse_samples=true",
            *GRAY,
            "data.image_size=32",
        ],
        1,
        41,
    ),
    "pytorch_gan_wgan_gp": (
        lambda peer, updates, root: time_pytorch_gan(peer, "wgan_gp", [], updates, root),
        [
            "model=benchmarks.peer_models.PyTorchGANWGANGP",
            "model.latent_dim=100",
            "model.beta1=0.5",
            "model.beta2=0.999",
            "model.dequantize=false",
            *GRAY,
        ],
        5,
        41,
    ),
    "mimicry_sngan": (
        lambda peer, updates, root: time_mimicry(peer, updates),
        [
            "model=benchmarks.peer_models.MimicrySNGAN",
            "model.spectral_norm=false",
            "model.dequantize=false",
            *COLOR,
        ],
        5,
        4,
    ),
    "pythae_vae": (
        time_pythae,
        ["model=benchmarks.peer_models.PythaeVAE", f"model.latent_dim={LATENTS}", *GRAY],
        1,
        401,
    ),
}


def measure(name: str, peer: Path, root: str) -> tuple[float, float]:
    """Measure a case once.

    Args:
        name: A key of CASES.
        peer: The peer's repository.
        root: Folder of MNIST.

    Returns:
        Milliseconds per batch of the peer and of the zoo.
    """
    run, settings, period, updates = CASES[name]
    peer_ms = per_batch(run(peer, updates, root), 1) / period
    settings = [value.format(root=root) for value in settings]
    settings += [f"data.batch_size={BATCH}", "experiment=none", "~callbacks.metrics"]
    ends = zoo_batch_ends([*settings, f"trainer.max_steps={period * updates}"])
    return peer_ms, per_batch(ends, period)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=[*CASES, PROCESS])
    parser.add_argument("--peer", type=Path, required=True, help="copy of the peer's repository")
    parser.add_argument("--root", default="data", help="folder of MNIST, as data.root")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    peer, root = arguments.peer.resolve(), str(Path(arguments.root).resolve())
    if not peer.is_dir():
        parser.error(f"--peer {arguments.peer}: no such folder")
    silence_lightning()
    torch.set_num_threads(1)
    if arguments.name == PROCESS:
        rows = {
            f"{PROCESS}, {epochs} epochs, {extra or 'all callbacks'}, s": partial(
                time_processes, peer, root, epochs, extra.split()
            )
            for epochs in EPOCHS
            for extra in ("", "~callbacks.metrics")
        }
    else:
        rows = {f"{arguments.name}, ms per batch": partial(measure, arguments.name, peer, root)}
    print("| | peer | zoo | speedup | of each round |\n|---|---|---|---|---|")
    for title, times in rows.items():
        rounds = []
        for _ in range(arguments.rounds):
            with redirect_stdout(StringIO()):
                rounds.append(times())
        ratios = [peer_time / zoo_time for peer_time, zoo_time in rounds]
        columns = [statistics.median(column) for column in zip(*rounds, strict=True)]
        listed = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        cells = *(f"{value:.1f}" for value in columns), f"{statistics.median(ratios):.2f}", listed
        print(f"| {title} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
