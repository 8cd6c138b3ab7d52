"""Deep convolutional GAN (Radford, Metz, Chintala 2015, arXiv 1511.06434)."""

from zoo.adversarial.gan import GAN


class DCGAN(GAN):
    """GAN with convolutional networks, batch norm in both, and Adam with a beta1 of 0.5.

    The networks are in zoo/networks/dcgan.py. They have the layers and the initialization of the
    paper. Kernels are 4x4 and there are no biases, as in the authors' Torch code. Real and
    generated images are separate batches of the discriminator, each with its own batch statistics.

    Args:
        image_size: Height and width of the images: a number from 2 to 7 times a power of two, 4 or
            more.
        image_channels: Channels of the images.
        network: Pair of networks, a module in zoo/networks.
        width: Channels of the layers at the largest resolution; they double at each halving of the
            size.

    Deviations: normal instead of uniform noise. The authors' Torch code updates the generator with
    the discriminator's output from before the discriminator's step; here the discriminator is
    evaluated again.
    """

    def __init__(
        self,
        image_size: int = 64,
        image_channels: int = 3,
        network: str = "dcgan",
        width: int = 64,
        **gan,
    ):
        super().__init__(**gan)
