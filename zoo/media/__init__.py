"""What the tensors of a batch mean: images, audio, text, video, masks."""
