"""Implicit densities: models trained by a game between players."""
