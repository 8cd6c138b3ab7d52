"""Deep convolutional GAN (Radford, Metz, Chintala 2015, arXiv 1511.06434)."""

from zoo.adversarial.gan import GAN


class DCGAN(GAN):
    """GAN with convolutional networks, batch norm in both, and Adam with a beta1 of 0.5.

    The networks are in zoo/networks/dcgan.py. They have the layers and the initialization of the
    paper, with 4x4 kernels and no biases as in the authors' Torch code. As there, the discriminator
    gets real and generated images as two batches, each with its own batch statistics.

    Args:
        image_size: Height and width of the images: a number from 2 to 7, doubled at least twice.
        image_channels: Channels of the images.
        network: Pair of networks, a module in zoo/networks.
        width: Channels next to the image; layers of half the size have twice as many.

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
