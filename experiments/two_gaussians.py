"""Draw losses between two Gaussians on a line: python -m experiments.two_gaussians figure=critics

figure=divergences  KL, Jensen-Shannon and Wasserstein-1 against the distance of the means
                    (Arjovsky, Chintala, Bottou 2017, arXiv 1701.07875, example 1 and figure 1)
figure=optimum      GAN's discriminator loss after training, and its value at the optimum
                    (Goodfellow et al. 2014, arXiv 1406.2661, theorem 1)
figure=critics      discriminator and critics after training (arXiv 1701.07875, figure 2)
figure=slopes       their largest slope for narrower and narrower Gaussians (Miyato et al. 2018,
                    arXiv 1802.05957, section 2)
"""

import math
from collections.abc import Callable
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from zoo.config.cli import main, write_json
from zoo.config.errors import unknown
from zoo.losses import (
    gan_discriminator_loss,
    gradient_norms,
    gradient_penalty,
    hinge_discriminator_loss,
    wasserstein_critic_loss,
)
from zoo.networks import mlp
from zoo.networks.spectral_norm import add_spectral_norm_
from zoo.plots.charts import new_chart, save_chart

POINTS = torch.linspace(-20, 20, 40_001, dtype=torch.float64)  # of integrals over the line
WIDTH, BATCH = 64, 256  # units of a hidden layer, points of each Gaussian in a batch
CLIP = 0.1  # WGAN's c
PENALTY = 1.0  # WGAN-GP's λ. With 10, the penalty outweighs the loss, and f may fall toward p.
Numbers = dict[str, dict[str, float]]


def draw(
    figure: str, steps: Annotated[int, "[1, 1000000]"] = 2000, seed: int = 0, out: str | None = None
) -> None:
    """Draw a figure about the losses between the Gaussians p (data) and q (samples) on a line.

    figure=divergences  KL, Jensen-Shannon and Wasserstein-1 against the distance of the means
    figure=optimum      GAN's discriminator loss after training, and its value at the optimum
    figure=critics      discriminator and critics after training
    figure=slopes       their largest slope for narrower and narrower Gaussians

    Prints the numbers of the figure as JSON.

    Args:
        figure: One of the figures above.
        steps: Number of batches of 256 points for each network.
        seed: Seed of the training.
        out: The figure, in any format of matplotlib; by default two_gaussians_FIGURE.png.
    """
    if figure not in FIGURES:
        raise unknown("figure=", figure, FIGURES)
    chart = new_chart(9, 3.2)
    write_json(FIGURES[figure](chart, steps, seed), None)
    save_chart(chart, out or f"two_gaussians_{figure}.png")


def log_density(mean: float, std: float, points: Tensor = POINTS) -> Tensor:
    """Return log N(x; mean, std²) at points (N,)."""
    return -(((points - mean) / std) ** 2) / 2 - math.log(std * math.sqrt(2 * math.pi))


def integral(values: Tensor) -> float:
    """Return the integral over the line of values at POINTS (N,)."""
    return torch.trapezoid(values, POINTS).item()


def divergences(distance: float, std: float) -> dict[str, float]:
    """Return KL(p ‖ q) and JS(p, q) in nats, and W1(p, q), of N(0, std²) and N(distance, std²)."""
    log_p, log_q = log_density(0, std), log_density(distance, std)
    log_mean = torch.logaddexp(log_p, log_q) - math.log(2)
    terms = log_p.exp() * (log_p - log_mean) + log_q.exp() * (log_q - log_mean)
    kl = integral(log_p.exp() * (log_p - log_q))
    return {"KL": kl, "JS": integral(terms) / 2, "W1": distance}


def trained(name: str, p: tuple[float, float], q: tuple[float, float], steps: int) -> nn.Module:
    """Train a discriminator or critic between two Gaussians.

    Args:
        name: One of LOSSES: a model, with its loss and its way to bound the slope.
        p: Mean and standard deviation of the data.
        q: Those of the samples.
        steps: Number of batches.

    Returns:
        The network in eval mode: points (N, 1, 1, 1) -> logits or scores (N,).
    """
    network = mlp.discriminator(1, 1, WIDTH)
    if name == "sngan":
        add_spectral_norm_(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, steps)
    for _ in range(steps):
        real, fake = (mean + std * torch.randn(BATCH, 1, 1, 1) for mean, std in (p, q))
        loss = LOSSES[name](network(real), network(fake))
        if name == "wgan_gp":
            loss = loss + PENALTY * gradient_penalty(network, real, fake)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if name == "wgan":
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter.clamp_(-CLIP, CLIP)
    return network.eval()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "gan": gan_discriminator_loss,
    "wgan": wasserstein_critic_loss,
    "wgan_gp": wasserstein_critic_loss,
    "sngan": hinge_discriminator_loss,
}


def scores(network: nn.Module, points: Tensor = POINTS) -> Tensor:
    """Return a network's scores at points (N,) in float64."""
    with torch.no_grad():
        return network(points.float()[:, None, None, None]).double()


def slopes(network: nn.Module, points: Tensor) -> Tensor:
    """Return |f'(x)| of logits or scores at points (N,)."""
    return gradient_norms(network, points.float()[:, None, None, None]).detach().double()


def draw_divergences(chart: Any, steps: int, seed: int) -> Numbers:
    """Draw the divergences for wide and for narrow Gaussians."""
    numbers: Numbers = {}
    for axes, std in zip(chart.subplots(1, 2), (1.0, 0.1), strict=True):
        distances = torch.linspace(0, 6, 121).tolist()
        values = [divergences(distance, std) for distance in distances]
        for name, label in (("KL", "KL(p ‖ q)"), ("JS", "JS(p, q)"), ("W1", "Wasserstein-1")):
            axes.plot(distances, [value[name] for value in values], label=label)
        axes.axhline(math.log(2), color="0.7", linestyle=":")
        axes.set(title=f"standard deviation {std:g}", ylim=(0, 6), xlabel="distance of the means")
        numbers |= {f"std {std:g}, distance {d}": divergences(d, std) for d in (0.5, 1, 3, 6)}
    axes.annotate("ln 2", (6, math.log(2)), xytext=(0, 3), textcoords="offset points", ha="right")
    axes.legend()
    return numbers


def draw_optimum(chart: Any, steps: int, seed: int) -> Numbers:
    """Draw GAN's loss of trained discriminators beside log 4 - 2 JS."""
    distances = torch.linspace(0, 6, 121).tolist()
    axes = chart.subplots()
    optimum = [math.log(4) - 2 * divergences(distance, 1)["JS"] for distance in distances]
    axes.plot(distances, optimum, label="log 4 - 2 JS(p, q)")
    numbers = {}
    for distance in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0):
        torch.manual_seed(seed)
        logit = scores(trained("gan", (0, 1), (distance, 1), steps))
        real, fake = log_density(0, 1).exp(), log_density(distance, 1).exp()
        loss = integral(real * softplus(-logit) + fake * softplus(logit))
        best = math.log(4) - 2 * divergences(distance, 1)["JS"]
        numbers[f"distance {distance:g}"] = {"trained": loss, "optimum": best}
        axes.plot(distance, loss, "o", color="C1", label=None if distance else "trained")
    axes.set(xlabel="distance of the means", ylabel="loss of the discriminator", ylim=(0, 1.5))
    axes.legend()
    return numbers


def draw_critics(chart: Any, steps: int, seed: int) -> Numbers:
    """Draw D on the left, and the critics on the right, shifted and scaled to equal differences."""
    p, q = (-2.0, 0.5), (2.0, 0.5)
    points = torch.linspace(-5, 5, 401, dtype=torch.float64)
    means = torch.tensor([p[0], 0.0, q[0]], dtype=torch.float64)
    panels = chart.subplots(1, 2)
    for axes in panels:
        axes.fill_between(points, log_density(*p, points).exp(), color="C0", alpha=0.3, label="p")
        axes.fill_between(points, log_density(*q, points).exp(), color="C2", alpha=0.3, label="q")
        axes.set(xlabel="x")
    numbers = {}
    for name, color in zip(LOSSES, ("C3", "C4", "C1", "C5"), strict=True):
        torch.manual_seed(seed)
        network = trained(name, p, q, steps)
        values, (at_p, center, at_q) = scores(network, points), scores(network, means)
        slope = slopes(network, means[2:]).item()
        if name == "gan":
            panels[0].plot(points, values.sigmoid(), color=color, label="gan: D(x)")
            numbers[name] = {
                "slope of log(1 - D) at the mean of q": slope * at_q.sigmoid().item(),
                "slope of log D at the mean of q": slope * (-at_q).sigmoid().item(),
            }
        else:
            scaled = (values - center) / (at_p - at_q) * (q[0] - p[0])
            panels[1].plot(points, scaled, color=color, label=name)
            numbers[name] = {"slope at the mean of q": slope, "f(-2) - f(2)": (at_p - at_q).item()}
    for axes in panels:
        axes.legend(fontsize=8)
    return numbers


def draw_slopes(chart: Any, steps: int, seed: int) -> Numbers:
    """Draw the largest slope between the means, -1 and 1, against the standard deviation."""
    stds = (1.0, 0.7, 0.5, 0.35, 0.25)
    axes = chart.subplots()
    axes.plot(stds, [2 / std**2 for std in stds], color="0.5", label="optimal logit")
    points = torch.linspace(-1, 1, 201, dtype=torch.float64)
    numbers: Numbers = {f"std {std:g}": {"optimum": 2 / std**2} for std in stds}
    for name in ("gan", "sngan"):
        for std in stds:
            torch.manual_seed(seed)
            network = trained(name, (-1, std), (1, std), steps)
            numbers[f"std {std:g}"][name] = slopes(network, points).max().item()
        axes.plot(stds, [numbers[f"std {std:g}"][name] for std in stds], "o-", label=name)
    axes.set(xscale="log", yscale="log", xlabel="standard deviation", ylabel="largest slope")
    axes.set_xticks(stds, [f"{std:g}" for std in stds], minor=False)
    axes.minorticks_off()
    axes.legend()
    return numbers


FIGURES = {
    "divergences": draw_divergences,
    "optimum": draw_optimum,
    "critics": draw_critics,
    "slopes": draw_slopes,
}

if __name__ == "__main__":
    main(draw)
