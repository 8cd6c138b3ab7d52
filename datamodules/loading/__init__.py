"""Reading samples: files, splits, sources."""
