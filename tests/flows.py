"""Checks of a flow: its inverse, and its log-determinant."""

import pytest
import torch


def check_inverse(flow, images):
    """Check that images (N, C, H, W) in float64 equal the inverse of their latents."""
    with torch.no_grad():
        latent, _ = flow(images)
        assert latent.shape == (len(images), images[0].numel())
        assert (latent - images.flatten(1)).abs().max() > 0.1
        torch.testing.assert_close(flow.inverse(latent), images, rtol=0, atol=1e-9)
        torch.testing.assert_close(flow(flow.inverse(latent))[0], latent, rtol=0, atol=1e-9)


def check_log_determinant(flow, images, least=0.1):
    """Check the log-determinants of images in float64 against autograd's Jacobian.

    Args:
        flow: From images to latents (N, C H W) and log-determinants (N,).
        images: (N, C, H, W).
        least: What they exceed, so that 0 is not right by chance.
    """
    _, log_det = flow(images)
    for image, found in zip(images, log_det, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda x: flow(x[None])[0][0], image)
        _, expected = torch.linalg.slogdet(jacobian.flatten(1))
        assert abs(expected.item()) > least
        assert found.item() == pytest.approx(expected.item(), abs=1e-9)
