"""A zoo of generative models, each a LightningModule in one file, faithful to its paper."""

__version__ = "0.1.0"
