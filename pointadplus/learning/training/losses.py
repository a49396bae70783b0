"""The losses of PointAD and of the alignment between the two layers."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize, softplus


def focal(probability: Float[Tensor, "*n"], target: Float[Tensor, "*n"], gamma: float = 2.0) -> Float[Tensor, ""]:
    """Mean of −(1 − p_t)^γ log p_t, p_t the probability given to the true state (Lin et al., 2017, eq. 4, α = 1).

    Args:
        probability: of "anomalous", in [0, 1].
        target: 0 or 1.
    """
    true = torch.where(target > 0.5, probability, 1 - probability).clamp_min(1e-6)
    return ((1 - true) ** gamma * -true.log()).mean()


def dice(probability: Float[Tensor, "*n"], target: Float[Tensor, "*n"], smooth: float = 1.0) -> Float[Tensor, ""]:
    """1 − (2 Σ p g + s) / (Σ p + Σ g + s), s = 1 as in PointAD (arXiv 2410.00320); 0 at p = g ∈ {0, 1}."""
    overlap = (probability * target).sum()
    return 1 - (2 * overlap + smooth) / (probability.sum() + target.sum() + smooth)


def both_dice(probability: Float[Tensor, "*n"], target: Float[Tensor, "*n"]) -> Float[Tensor, ""]:
    """Dice of the anomalous state plus dice of the normal one."""
    return dice(probability, target) + dice(1 - probability, 1 - target)


def log_loss(probability: Float[Tensor, "*n"], target: Float[Tensor, "*n"]) -> Float[Tensor, ""]:
    """Mean binary cross entropy of probabilities."""
    probability = probability.clamp(1e-6, 1 - 1e-6)
    return -(target * probability.log() + (1 - target) * (1 - probability).log()).mean()


def ranking(healthy: Float[Tensor, "*s"], damaged: Float[Tensor, "*s"]) -> Float[Tensor, ""]:
    """Mean of log(1 + e^{logit(healthy) − logit(damaged)}): the damaged twin must score above the healthy one."""
    return softplus(torch.logit(healthy, 1e-6) - torch.logit(damaged, 1e-6)).mean()


def text_alignment(
    rendering: Float[Tensor, "2 d"], geometry: Float[Tensor, "2 d"], temperature: float
) -> Float[Tensor, ""]:
    """Symmetric InfoNCE over the four text features: the same state together across layers, other states apart.

    Our reading of PointAD+'s cross-hierarchy contrastive alignment, of which only the name is known to us.
    """
    logits = rendering @ geometry.T / temperature
    state = torch.arange(2, device=logits.device)
    return (cross_entropy(logits, state) + cross_entropy(logits.T, state)) / 2


def prototype_alignment(
    features: Float[Tensor, "m d"],
    labels: Bool[Tensor, "m"],
    texts: Float[Tensor, "2 d"],
    temperature: float,
) -> Float[Tensor, ""]:
    """Cross entropy of region prototypes (the mean feature of the normal and of the anomalous points) against texts."""
    states = [state for state, mask in enumerate((~labels, labels)) if mask.any()]
    prototypes = torch.stack([normalize(features[labels if state else ~labels].mean(0), dim=0) for state in states])
    return cross_entropy(prototypes @ texts.T / temperature, torch.tensor(states, device=texts.device))
