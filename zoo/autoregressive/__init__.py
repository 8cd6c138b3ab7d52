"""Autoregressive models: p(x) is a product of conditionals, one for each dimension."""
