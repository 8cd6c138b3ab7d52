"""Latent variables: models that explain images by codes, and decode codes drawn from a prior."""
