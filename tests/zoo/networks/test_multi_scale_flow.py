import torch

from zoo.networks.multi_scale_flow import squeeze, unsqueeze


def test_squeezing_by_hand():
    """Blocks become channels: upper left, lower right, upper right, lower left."""
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert squeeze(x)[0, :, 0, 0].tolist() == [0, 5, 1, 4]
    assert squeeze(x)[0, :, 1, 1].tolist() == [10, 15, 11, 14]
    colors = torch.cat([x, x + 100], dim=1)
    assert squeeze(colors)[0, :, 0, 0].tolist() == [0, 100, 5, 105, 1, 101, 4, 104]
    assert torch.equal(unsqueeze(squeeze(colors)), colors)
