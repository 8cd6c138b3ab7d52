"""Latent variable models: encoders to latents, and decoders of latents from a prior."""
