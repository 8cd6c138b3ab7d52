"""Feature extractors, one a file: `extractor=<file name>`, or your own by its dotted path."""
