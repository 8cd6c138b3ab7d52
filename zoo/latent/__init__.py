"""Latent-variable models: a decoder maps latents to images."""
