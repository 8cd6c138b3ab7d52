"""Callbacks, one a file; `callbacks=[<file names>]`."""
