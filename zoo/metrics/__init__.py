"""Metrics of generated images, each named with its protocol."""
