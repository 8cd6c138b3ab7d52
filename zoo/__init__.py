"""A zoo of generative models, each a LightningModule in one file, faithful to its paper."""

__version__ = "0.1.0"


def load(checkpoint):
    """A trained model, ready to sample: eval mode, averaged weights where there are any.

    Args:
        checkpoint: name of a pretrained model ("wgan_digits"), a run's folder (its best
            checkpoint), a .ckpt file, or the .json file of an exported model.

    Nothing is unpickled. Raises zoo.errors.UserError for a checkpoint that cannot be loaded.
    """
    from zoo.checkpoints import load_model

    return load_model(checkpoint)


def models():
    """The names that `model=` takes."""
    from zoo import catalog

    return catalog.names("model")
