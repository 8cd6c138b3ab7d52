"""Callbacks, one per file; `callbacks=[NAME, ...]` takes file names."""
