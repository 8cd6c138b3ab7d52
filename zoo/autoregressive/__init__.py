"""Tractable densities: models that factor p(x) into conditionals, one dimension at a time."""
