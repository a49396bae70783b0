"""What the network learns from: superpoints that overlap shall be alike, and points that coincide shall be matched."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import softplus

from .config import TrainingConfig


def circle_loss(
    reference: Float[Tensor, "r c"],
    source: Float[Tensor, "s c"],
    overlaps: Float[Tensor, "r s"],
    positive_overlap: float,
    config: TrainingConfig,
) -> Float[Tensor, ""]:
    """The overlap-aware circle loss of superpoints (GeoTransformer, eq. 12), the mean of rows and columns; ≥ 0.

    With d = √(2 − 2 f·g), λ overlap, γ the log scale and m the margins, a row's loss is
    softplus(LSE_p γ (d − m_p) w_p + LSE_n γ (m_n − d) w_n) / γ over its positives p and negatives n, with weights
    w_p = √λ max(0, d − m_p) and w_n = max(0, m_n − d), through which no gradient flows. Rows and columns that lack
    positives or negatives do not count; where none counts the loss is 0. Released code lets the other pairs of the row
    add an exp(0) each to both sums; the equation does not, and neither does this.

    Args:
        reference, source: unit features.
        overlaps: of their patches, in [0, 1].
        positive_overlap: above which a pair is positive; a pair is negative at 0, and between the two it is neither.
        config: margins and log scale.
    """
    distance = (2.0 - 2.0 * reference @ source.T).clamp_min(1e-12).sqrt()
    positive, negative = overlaps > positive_overlap, overlaps == 0
    over, under = distance - config.positive_margin, config.negative_margin - distance
    pull = config.log_scale * over * (over.clamp_min(0) * overlaps.sqrt()).detach()
    push = config.log_scale * under * under.clamp_min(0).detach()
    pull, push = pull.masked_fill(~positive, -torch.inf), push.masked_fill(~negative, -torch.inf)
    total = distance.new_zeros(())
    for axis in (1, 0):
        counts = positive.any(axis) & negative.any(axis)
        if bool(counts.any()):
            pulls, pushes = (each.movedim(axis, 1)[counts].logsumexp(1) for each in (pull, push))
            total = total + softplus(pulls + pushes).mean() / config.log_scale / 2
    return total


def transport_labels(
    points: tuple[Float[Tensor, "b p 3"], Float[Tensor, "b q 3"]],
    masks: tuple[Bool[Tensor, "b p"], Bool[Tensor, "b q"]],
    squared_distance: float,
) -> Bool[Tensor, "b r s"]:
    """Which cells of a transport are right: points that coincide, and the dustbin of valid points that have no partner.

    Args:
        points: of both sides of B patch pairs, in one frame.
        masks: which are points.
        squared_distance: below which points coincide.
    """
    rows, columns = masks
    close = (points[0][:, :, None] - points[1][:, None]).square().sum(-1) < squared_distance
    close &= rows[:, :, None] & columns[:, None]
    labels = close.new_zeros(len(rows), rows.shape[1] + 1, columns.shape[1] + 1)
    labels[:, :-1, :-1] = close
    labels[:, :-1, -1] = rows & ~close.any(2)
    labels[:, -1, :-1] = columns & ~close.any(1)
    return labels


def transport_loss(log_scores: Float[Tensor, "b r s"], labels: Bool[Tensor, "b r s"]) -> Float[Tensor, ""]:
    """The mean negative log-probability of the right cells (SuperGlue, eq. 11); 0 where there is none."""
    if not bool(labels.any()):
        return log_scores.sum() * 0.0
    return -log_scores[labels].mean()
