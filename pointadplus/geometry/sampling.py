"""Fewer points: an order that does not depend on the one they came in, and thinning that keeps what matters."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


def canonical_order(points: Float[Tensor, "n 3"], seed: int = 0) -> Int[Tensor, "n"]:
    """A seeded random order of the points that any permutation of the input leads to. (N,) int64.

    Sorting by coordinates first makes every later sub-sampling, sum and tie-break independent of the caller's order,
    so that permuting the points permutes the scores, bit for bit. Any prefix is a uniform random sample.
    """
    array = points.detach().cpu().numpy()
    by_position = np.lexsort((array[:, 2], array[:, 1], array[:, 0]))
    generator = torch.Generator().manual_seed(seed)
    return torch.from_numpy(by_position)[torch.randperm(len(points), generator=generator)]


def select_points(scores: Float[Tensor, "n"], limit: int) -> Int[Tensor, "k"]:
    """Which points to keep: all up to `limit`, else its highest-scoring tenth and an even draw from the others.

    The draw is random with a fixed seed: a regular stride would show as stripes on an organised scan.

    Args:
        scores: (N,) of the points.
        limit: most points to keep, at least 1.

    Returns:
        (min(N, limit),) int64 indices, ascending.
    """
    if len(scores) <= limit:
        return torch.arange(len(scores))
    ranked = scores.argsort(descending=True, stable=True)
    keep = max(1, limit // 10)
    others = ranked[keep:]
    drawn = torch.randperm(len(others), generator=torch.Generator().manual_seed(0))[: limit - keep]
    return torch.cat([ranked[:keep], others[drawn]]).sort().values
