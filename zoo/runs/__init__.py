"""What a command does around a model: processes, folders, checkpoints, resuming."""
