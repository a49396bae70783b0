"""Neighbour search and interpolation between point sets, exact and deterministic, through SciPy's k-d tree."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from scipy.spatial import KDTree
from torch import Tensor


class Neighbors:
    """An index over points, to ask for neighbours again and again.

    Args:
        support: (S, 3), S ≥ 1.
    """

    def __init__(self, support: Float[Tensor, "s 3"]) -> None:
        # Split at midpoints, not medians: built in half the time, and searched as fast.
        self._tree = KDTree(support.detach().cpu().numpy(), balanced_tree=False, compact_nodes=False)
        self._kind = support.dtype, support.device

    def nearest(self, queries: Float[Tensor, "q 3"], k: int) -> tuple[Float[Tensor, "q k"], Int[Tensor, "q k"]]:
        """The k nearest points of each query, nearest first; a query that is one of the points finds itself.

        When there are fewer than k points, the last neighbour is repeated.

        Returns:
            distances (Q, k) float32 in the unit of the points, indices (Q, k) int64.
        """
        found = min(k, self._tree.n)
        ranks: Any = range(1, found + 1)  # SciPy's stubs know k as an int; a sequence keeps the axis where k = 1
        distance, index = self._tree.query(queries.detach().cpu().numpy(), k=ranks, workers=-1)
        dtype, device = self._kind
        distances, indices = torch.from_numpy(distance).to(dtype).to(device), torch.from_numpy(index).to(device)
        if found < k:
            pad = (-1, k - found)
            distances = torch.cat([distances, distances[:, -1:].expand(pad)], 1)
            indices = torch.cat([indices, indices[:, -1:].expand(pad)], 1)
        return distances, indices


def knn(
    support: Float[Tensor, "s 3"], queries: Float[Tensor, "q 3"], k: int
) -> tuple[Float[Tensor, "q k"], Int[Tensor, "q k"]]:
    """The k nearest support points of each query, as `Neighbors.nearest` finds them; asked but once."""
    return Neighbors(support).nearest(queries, k)


def interpolate(
    values: Float[Tensor, "m c"],
    sources: Float[Tensor, "m 3"],
    targets: Float[Tensor, "n 3"],
    k: int = 3,
) -> Float[Tensor, "n c"]:
    """Carry values from M sources to N targets by inverse-distance weights of the k nearest sources.

    A target that coincides with a source takes that source's value. Qi et al., PointNet++ (2017), eq. 2 with p = 1.
    """
    distance, index = knn(sources, targets, k)
    weight = 1.0 / distance.clamp_min(1e-12)
    weight = weight / weight.sum(1, keepdim=True)
    return (values[index] * weight[..., None]).sum(1)


def smooth(
    values: Float[Tensor, "m"],
    neighbors: Int[Tensor, "m k"],
    distances: Float[Tensor, "m k"],
    sigma: float,
) -> Float[Tensor, "m"]:
    """Gaussian mean over graph neighbours, `sigma` in mean neighbour distances. (M,) in the range of `values`.

    Smoothing follows the surface's neighbours and never the order of the points.
    """
    if sigma <= 0:
        return values
    scale = (sigma * distances[:, 1:].mean()).clamp_min(1e-12)  # coinciding points weigh alike
    weight = torch.exp(-0.5 * (distances / scale).square())
    return (values[neighbors] * weight).sum(1) / weight.sum(1)
