"""Loggers, one a file; `logger=<file name>`. The CSV log is always written."""
