"""Features of DINOv2, for the FD-DINOv2 of Stein et al. 2023 (arXiv 2306.04675)."""

from zoo.metrics.vit_features import VitFeatures


class Dinov2(VitFeatures):
    """1024 features of DINOv2, ViT-L/14: the class token. Needs timm.

    Args:
        weights: File of the weights, safetensors or a PyTorch state dict.
    """

    label = "dinov2_vitl14"
    architecture = "vit_large_patch14_dinov2"
    published = "vit_large_patch14_dinov2.lvd142m"
