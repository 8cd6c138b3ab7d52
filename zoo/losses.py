"""Objectives and penalties that models share: pure functions, tensors in, tensor out."""


def wasserstein_critic_loss(real_score, fake_score):
    """E f(fake) - E f(real): minus the estimate of the Wasserstein-1 distance.

    Arjovsky et al. 2017 (arXiv 1701.07875), eq. 2, as a loss to minimise. Scores: (N,).
    """
    return fake_score.mean() - real_score.mean()


def wasserstein_generator_loss(fake_score):
    """-E f(fake), Arjovsky et al. 2017 (arXiv 1701.07875), Theorem 3. Scores: (N,)."""
    return -fake_score.mean()
