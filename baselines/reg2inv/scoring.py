"""From features to scores: memory-bank items, the boundary filter, nearest items, and means over neighbours."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pointadplus.geometry.neighbors import knn

CHUNK = 1024


def largest_norm(rows: Float[Tensor, "n c"]) -> float:
    """The length of the longest row; 1 where all are 0."""
    longest = float(rows.square().sum(1).max().sqrt())
    return longest if longest > 0 else 1.0


def bank_items(
    positions: Float[Tensor, "n 3"], features: Float[Tensor, "n c"], position_norm: float, feature_norm: float
) -> Float[Tensor, "n d"]:
    """Registered positions and features, each over the largest norm that the prototypes have. (N, 3 + C)."""
    return torch.cat([positions / position_norm, features / feature_norm], 1)


def inside_boundary(points: Float[Tensor, "n 3"], k: int) -> Bool[Tensor, "n"]:
    """Which points do not lie on the rim of a scan: those that of their k nearest, themselves included, are the closest
    to these points' centroid. On a rim the centroid moves inward, and another point is closer. (N,) bool.

    A point as close as the closest counts as closest, up to rounding. Of fewer than k points all are inside.
    """
    if len(points) < k:
        return torch.ones(len(points), dtype=torch.bool, device=points.device)
    _, index = knn(points, points, k)
    parts = []
    for near, own in zip(index.split(CHUNK), points.split(CHUNK), strict=True):
        around = points[near] - own[:, None]
        to_centroid = (around - around.mean(1, keepdim=True)).square().sum(2)
        parts.append(around.mean(1).square().sum(1) <= to_centroid.amin(1) * (1 + 1e-6))
    return torch.cat(parts)


def squared_distances(queries: Float[Tensor, "q c"], bank: Float[Tensor, "b c"], k: int = 1) -> Float[Tensor, "q"]:
    """The mean squared distance from each query to its k nearest bank items, ≥ 0. (Q,).

    The nearest are found with the expanded square and then measured exactly.
    """
    half = bank.square().sum(1) / 2
    out = []
    for rows in queries.split(CHUNK):
        near = torch.addmm(half, rows, bank.T, alpha=-1).topk(min(k, len(bank)), largest=False).indices
        out.append((bank[near] - rows[:, None]).square().sum(2).mean(1))
    return torch.cat(out)


def neighbor_means(
    values: Float[Tensor, "m"], sources: Float[Tensor, "m 3"], targets: Float[Tensor, "n 3"], k: int
) -> Float[Tensor, "n"]:
    """The plain mean over the k sources nearest to each target, or over all where there are fewer. (N,)."""
    _, index = knn(sources, targets, min(k, len(sources)))
    return torch.cat([_row_means(values, part) for part in index.split(1 << 16)])


def _row_means(values: Tensor, index: Int[Tensor, "n k"]) -> Tensor:
    return values[index].double().mean(1).to(values.dtype)
