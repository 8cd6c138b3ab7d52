"""Conditional models: images from images, captions or the past frames of a video."""
