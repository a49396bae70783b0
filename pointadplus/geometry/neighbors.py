"""Neighbour search and interpolation between point sets, exact and deterministic, through small_gicp's k-d tree."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from small_gicp import KdTree
from torch import Tensor


class Neighbors:
    """An index over points, to ask for neighbours again and again.

    Args:
        points: (S, 3), S ≥ 1; kept as an attribute.
    """

    def __init__(self, points: Float[Tensor, "s 3"]) -> None:
        self.points = points
        self._tree = KdTree(_doubles(points), num_threads=torch.get_num_threads())

    def nearest(self, queries: Float[Tensor, "*q 3"], k: int) -> tuple[Float[Tensor, "*q k"], Int[Tensor, "*q k"]]:
        """The k nearest points of each query, nearest first; a query that is one of the points finds itself.

        When there are fewer than k points, the last neighbour is repeated.

        Returns:
            distances (…, k) in the unit and the type of the points, indices (…, k) int64.
        """
        found = min(k, len(self.points))
        index, square = self._tree.batch_knn_search(_doubles(queries), found, num_threads=torch.get_num_threads())
        distances = torch.from_numpy(np.sqrt(square, out=square)).to(self.points)
        indices = torch.from_numpy(index.view(np.int64)).to(self.points.device)
        if found < k:
            pad = (-1, k - found)
            distances = torch.cat([distances, distances[:, -1:].expand(pad)], 1)
            indices = torch.cat([indices, indices[:, -1:].expand(pad)], 1)
        return distances.view(*queries.shape[:-1], k), indices.view(*queries.shape[:-1], k)


def _doubles(points: Tensor) -> np.ndarray:
    return points.detach().reshape(-1, 3).cpu().double().numpy()


def knn(
    support: Float[Tensor, "s 3"], queries: Float[Tensor, "q 3"], k: int
) -> tuple[Float[Tensor, "q k"], Int[Tensor, "q k"]]:
    """The k nearest support points of each query, as `Neighbors.nearest` finds them; asked but once."""
    return Neighbors(support).nearest(queries, k)


def interpolate(
    values: Float[Tensor, "m c"],
    sources: Float[Tensor, "m 3"] | Neighbors,
    targets: Float[Tensor, "n 3"],
    k: int = 3,
) -> Float[Tensor, "n c"]:
    """Carry values from M sources, or an index over them, to N targets by inverse-distance weights of the nearest k.

    A target that coincides with a source takes that source's value. Qi et al., PointNet++ (2017), eq. 2 with p = 1.
    """
    index = sources if isinstance(sources, Neighbors) else Neighbors(sources)
    distance, nearest = index.nearest(targets, k)
    weight = 1.0 / distance.clamp_min(1e-12)
    weight = weight / weight.sum(1, keepdim=True)
    return (values[nearest] * weight[..., None]).sum(1)


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
