"""A zoo of generative models, each a LightningModule in one file, faithful to its paper."""

__version__ = "0.2.0"


def load(checkpoint, trust=()):
    """A trained model, ready to sample: eval mode, averaged weights where there are any.

    Nothing is unpickled. docs/security.md says which classes are imported.

    Args:
        checkpoint: name of a pretrained model ("wgan_digits"), a run's folder (its best
            checkpoint), a .ckpt file, or the .json file of an exported model.
        trust: a package or module, or several, whose classes the checkpoint may name, though they
            are neither installed nor on PYTHONPATH.

    Raises:
        zoo.config.errors.UserError: The checkpoint cannot be loaded.
    """
    from zoo.config.trust import trusting
    from zoo.runs.checkpoints import load_model

    with trusting(trust):
        return load_model(checkpoint)


def models():
    """The names that `model=` takes."""
    from zoo.config import catalog

    return catalog.names("model")
