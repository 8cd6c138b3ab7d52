"""He's initialization (He, Zhang, Ren, Sun 2015, arXiv 1502.01852)."""

from typing import Any

from torch import nn


def init_he_(layers: nn.Sequential, slope: float = 0.0) -> None:
    """Set weights in place to N(0, 2 / ((1 + slope^2) fan_in)) and biases to 0.

    The scale of activations then stays the same from layer to layer without normalization.

    Args:
        layers: Layers with weights, with (leaky) ReLUs between them. The last layer with weights
            has no ReLU after it, and gets weights from N(0, 1 / fan_in).
        slope: Negative slope of the ReLUs.
    """
    weighted: list[Any] = [layer for layer in layers if hasattr(layer, "weight")]
    *hidden, last = weighted
    for layer in hidden:
        nn.init.kaiming_normal_(layer.weight, a=slope, nonlinearity="leaky_relu")
    nn.init.kaiming_normal_(last.weight, nonlinearity="linear")
    for layer in weighted:
        nn.init.zeros_(layer.bias)
