"""Images drawn pixel by pixel, from the left of the top row to the right of the bottom one.

A network whose `steps(images, condition)` remembers what it has computed draws hundreds of times
faster than by a pass over the whole image for each pixel, and draws the same.
"""

import torch


def draw(steps, images, noise, choose, parts, hidden=None):
    """Draws images (N, C, H, W) in place; `steps` was made of the same tensor.

    steps: has `row(r)`, called when the rows above r are drawn, and `pixel(r, c, part)`, what the
    network says of that part of a pixel when all before it is drawn. parts: slices of the channels
    that are drawn together, in order. choose(what the network says, noise[:, :, r, c], part): the
    values (N, channels of the part). hidden: (N, 1, H, W) bool, where to draw; elsewhere the images
    stay as they are.
    """
    _, _, height, width = images.shape
    for r in range(height):
        steps.row(r)
        for c in range(width):
            for index, part in enumerate(parts):
                values = choose(steps.pixel(r, c, index), noise[:, :, r, c], part)
                if hidden is not None:
                    values = torch.where(hidden[:, :, r, c], values, images[:, part, r, c])
                images[:, part, r, c] = values
    return images


class Naive:
    """Steps of a network that remembers nothing: a pass over the images (N, C, H, W) for each.

    The network gives logits (N, C, K, H, W) of the levels of each sub-pixel.
    """

    def __init__(self, network, images, *condition):
        self.network, self.images, self.condition = network, images, condition

    def row(self, r):
        pass

    def pixel(self, r, c, part):
        """(K, N)"""
        return self.network(self.images, *self.condition)[:, part, :, r, c].T


class NaivePixels(Naive):
    """Of a network whose outputs (N, P, H, W) say everything of a pixel at once."""

    def pixel(self, r, c, part):
        """(P, N)"""
        return self.network(self.images, *self.condition)[:, :, r, c].T
