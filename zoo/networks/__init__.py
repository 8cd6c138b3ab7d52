"""Networks that two or more models share."""
