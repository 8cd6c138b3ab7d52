"""Adversarial models: generators trained against discriminators or critics."""
