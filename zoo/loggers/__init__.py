"""Loggers, one per file; `logger=NAME` takes a file name. The CSV log is always written."""
