"""The hard-mining global cosine loss (Dinomaly; eqs. 12 to 14 of MVR)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity


def hard_mining_cosine(
    teacher: Float[Tensor, "groups b n width"],
    student: Float[Tensor, "groups b n width"],
    easy: float,
    shrink: float = 0.1,
) -> Float[Tensor, ""]:
    """Mean over groups and images of 1 − cos between whole maps; well-restored points pull less.

    Args:
        teacher: the maps to restore; no gradient goes there.
        student: the restored maps.
        easy: share of the points of the batch, those nearest to the teacher, whose gradient shrinks, in [0, 1].
        shrink: by what.
    """
    losses = []
    for wanted, found in zip(teacher.detach(), student, strict=True):
        distance = 1 - cosine_similarity(wanted, found.detach(), dim=-1)
        count = int(easy * distance.numel())
        kept = found
        if count and found.requires_grad:
            limit = distance.flatten().kthvalue(count).values
            weight = torch.where(distance <= limit, shrink, 1.0)[..., None]
            kept = found * weight + (found * (1 - weight)).detach()  # the same value, a share of the gradient
        losses.append((1 - cosine_similarity(wanted.flatten(1), kept.flatten(1), dim=-1)).mean())
    return torch.stack(losses).mean()


def easy_share(step: int, final: float, warmup: int) -> float:
    """Share of easy points at a step, from 0: it grows evenly to `final` over `warmup` steps."""
    return final * min(1.0, step / warmup) if warmup else final
