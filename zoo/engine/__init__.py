"""What runs a model: loading batches, stepping, sampling, evaluation, signals and speed."""
