"""Recipes: one YAML per measured result; `experiment=<file name>`."""
