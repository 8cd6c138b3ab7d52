"""Features of CLIP, for the CLIP-FID of Kynkäänniemi et al. 2023 (arXiv 2203.06026)."""

from zoo.metrics.vit_features import VitFeatures


class Clip(VitFeatures):
    """512 features of OpenAI's CLIP, ViT-B/32: the image embedding, not normalized. Needs timm.

    Args:
        weights: File of the weights, safetensors or a PyTorch state dict.
    """

    label = "clip_vitb32"
    architecture = "vit_base_patch32_clip_quickgelu_224"
    published = "vit_base_patch32_clip_224.openai"
    num_outputs = 512
    mean = (0.48145466, 0.4578275, 0.40821073)
    deviation = (0.26862954, 0.26130258, 0.27577711)
