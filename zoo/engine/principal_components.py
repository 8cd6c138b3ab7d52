"""Principal components of images, as whitened latents."""

import torch
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import Tensor


def fit_principal_components(flat: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Fit the first `count` principal components of images (N, D).

    Args:
        flat: Flattened images (N, D).
        count: Number of components, at most min(N, D).

    Returns:
        The mean image (D,), and the components (count, D), scaled so that `(flat - mean) @
        components.T` has variance 1 in each column.

    Raises:
        MisconfigurationException: The images have fewer principal components.
    """
    from sklearn.decomposition import PCA  # slow to import; samples do not need it

    most = min(flat.shape)
    if count > most:
        raise MisconfigurationException(
            f"model.latent_dim={count} must be at most {most}, the number of images or of the "
            "sub-pixels of one."
        )
    pca = PCA(count, whiten=True, svd_solver="full").fit(flat.float().cpu().numpy())
    nonzero = int((pca.explained_variance_ > 1e-6 * pca.explained_variance_[0]).sum())
    if nonzero < count:
        raise MisconfigurationException(
            f"model.latent_dim={count} must be at most {nonzero}: the images do not vary in other "
            "directions."
        )
    scale = pca.explained_variance_[:, None] ** 0.5
    return torch.from_numpy(pca.mean_), torch.from_numpy(pca.components_ / scale)


def to_gaussian_of(latents: Tensor, noise: Tensor) -> Tensor:
    """Map standard normal noise (M, Z) to the Gaussian with the moments of latents (N, Z)."""
    latents = latents.cpu().double()  # not every device has float64
    covariance = latents.T.cov() + 1e-8 * torch.eye(latents.shape[1]).to(latents)
    factor = torch.linalg.cholesky(covariance)
    return (latents.mean(dim=0) + noise.cpu().double() @ factor.T).to(noise)
