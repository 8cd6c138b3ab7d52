"""Deep convolutional GAN (Radford, Metz, Chintala 2015, arXiv 1511.06434)."""

from zoo.adversarial.gan import GAN


class DCGAN(GAN):
    """GAN with convolutional networks, batch norm in both, and Adam with a beta1 of 0.5.

    The networks are in zoo/networks/dcgan.py: the layers and the initialisation of the paper, with
    kernels of 4x4 and no biases, as in the authors' Torch code, where real and generated images
    pass through the discriminator as two batches, each with its own statistics, as here.

    Deviations: normal instead of uniform noise. The authors' Torch code moves the generator by
    what the discriminator said before its own step; here it judges anew.
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
