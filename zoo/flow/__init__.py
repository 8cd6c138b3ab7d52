"""Flows: p(x) by the change of variables, from an invertible map to latents of a simple density."""
