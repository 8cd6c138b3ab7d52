"""Images from images, text and time: models that are told most of what they draw."""
