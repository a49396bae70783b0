"""A cloud at several resolutions with the neighbours that kernel point convolutions need; SciPy's k-d tree only."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import KDTree
from torch import Tensor

LIMIT_SHARE = 0.8  # of the neighbourhoods that a neighbour limit leaves whole
ENOUGH = 2000  # neighbourhoods a level from which the limits are told


def grid_subsample(
    points: Float[Tensor, "n 3"], size: float, values: Float[Tensor, "n c"] | None = None
) -> tuple[Float[Tensor, "m 3"], Float[Tensor, "m c"] | None]:
    """The mean point, and the mean value, of each occupied cell of a grid.

    The grid starts at the multiple of `size` at or below the smallest coordinate of each axis. Cells come in the order
    of their x, then y, then z.

    Args:
        points: (N, 3), N ≥ 1.
        size: side of a cell, above 0, in the unit of the points.
        values: (N, C) of the points, or None.
    """
    origin = (points.amin(0) / size).floor() * size
    cells = ((points - origin) / size).floor().long()
    _, height, depth = (cells.amax(0) + 1).tolist()
    key = (cells[:, 0] * height + cells[:, 1]) * depth + cells[:, 2]
    _, inverse, counts = key.unique(return_inverse=True, return_counts=True)

    def mean(rows: Tensor) -> Tensor:
        total = torch.zeros(len(counts), rows.shape[1], dtype=torch.float64, device=rows.device)
        return (total.index_add_(0, inverse, rows.double()) / counts[:, None]).to(rows.dtype)

    return mean(points), None if values is None else mean(values)


def radius_neighbors(support: KDTree, queries: Float[Tensor, "q 3"], radius: float, limit: int) -> Int[Tensor, "q k"]:
    """The nearest support points of each query within a radius, nearest first, at most `limit`.

    Places without a neighbour hold the shadow index S, the number of support points. (Q, limit) int64.
    """
    ranks: Any = range(1, limit + 1)  # a sequence keeps the axis where limit = 1
    _, index = support.query(queries.detach().cpu().numpy(), k=ranks, distance_upper_bound=radius, workers=-1)
    return torch.from_numpy(np.asarray(index, np.int64)).to(queries.device)


@dataclass(frozen=True, eq=False)
class Pyramid:
    """A cloud at L resolutions. Indices into a level of N points go from 0 to N, N being the shadow.

    Attributes:
        points: L tensors (N_l, 3), finest first.
        neighbors: L tensors (N_l, k_l) into the same level.
        subsampling: L − 1 tensors (N_{l+1}, k_l) into level l, of the coarser points.
        upsampling: L − 1 tensors (N_l,) into level l + 1, the nearest; the shadow where none is near.
    """

    points: tuple[Tensor, ...]
    neighbors: tuple[Tensor, ...]
    subsampling: tuple[Tensor, ...]
    upsampling: tuple[Tensor, ...]

    def to(self, device: torch.device | str) -> Pyramid:
        """The same on another device."""
        return Pyramid(*(tuple(each.to(device) for each in part) for part in self._parts()))

    def stacked(self, other: Pyramid) -> Pyramid:
        """Both clouds as one, this one's points first; no point of one is a neighbour of one of the other."""
        sizes = [(len(a), len(b)) for a, b in zip(self.points, other.points, strict=True)]
        coarser = sizes[1:]
        return Pyramid(
            tuple(torch.cat(pair) for pair in zip(self.points, other.points, strict=True)),
            _joined(self.neighbors, other.neighbors, sizes),
            _joined(self.subsampling, other.subsampling, sizes[:-1]),
            _joined(self.upsampling, other.upsampling, coarser),
        )

    def _parts(self) -> tuple[tuple[Tensor, ...], ...]:
        return self.points, self.neighbors, self.subsampling, self.upsampling


def build_pyramid(points: Float[Tensor, "n 3"], voxel: float, limits: tuple[int, ...], radius: float = 2.5) -> Pyramid:
    """The pyramid of a cloud, on the CPU.

    Args:
        points: (N, 3), already at the resolution of `voxel`.
        voxel: of the finest level; each level doubles it.
        limits: most neighbours at each of the L levels.
        radius: of a neighbourhood, in voxels of the level searched.
    """
    levels = [points]
    for level in range(1, len(limits)):
        levels.append(grid_subsample(levels[-1], voxel * 2**level)[0])
    trees = [_tree(each) for each in levels]
    radii = [radius * voxel * 2**level for level in range(len(limits))]
    neighbors = [radius_neighbors(*each) for each in zip(trees, levels, radii, limits, strict=True)]
    down = [radius_neighbors(*each) for each in zip(trees[:-1], levels[1:], radii[:-1], limits[:-1], strict=True)]
    up = [
        radius_neighbors(tree, each, r, 1)[:, 0]
        for tree, each, r in zip(trees[1:], levels[:-1], radii[1:], strict=True)
    ]
    return Pyramid(tuple(levels), tuple(neighbors), tuple(down), tuple(up))


def neighbor_limits(
    clouds: Iterable[Float[Tensor, "n 3"]], voxel: float, levels: int, radius: float = 2.5
) -> tuple[int, ...]:
    """How many neighbours to keep at each level: the 80th percentile of the counts over some clouds, at least 1.

    Args:
        clouds: at the resolution of `voxel`; read until each level has shown 2,000 neighbourhoods.
        voxel, radius: as of `build_pyramid`.
        levels: L.
    """
    bins = math.ceil(4 / 3 * math.pi * (radius + 1) ** 3)
    histograms = np.zeros((levels, bins), np.int64)
    for cloud in clouds:
        for level in range(levels):
            cloud = cloud if level == 0 else grid_subsample(cloud, voxel * 2**level)[0]
            array = cloud.numpy()
            counts = _tree(cloud).query_ball_point(array, radius * voxel * 2**level, return_length=True, workers=-1)
            histograms[level] += np.bincount(counts, minlength=bins)[:bins]
        if histograms.sum(1).min() > ENOUGH:
            break
    summed = histograms.cumsum(1)
    return tuple(max(1, int((row < LIMIT_SHARE * row[-1]).sum())) for row in summed)


def _tree(points: Tensor) -> KDTree:
    return KDTree(points.detach().cpu().numpy(), balanced_tree=False, compact_nodes=False)


def _joined(first: tuple[Tensor, ...], second: tuple[Tensor, ...], sizes: list[tuple[int, int]]) -> tuple[Tensor, ...]:
    """Index tables one after the other, the second's shifted, both shadows moved to the end."""
    out = []
    for a, b, (m, n) in zip(first, second, sizes, strict=True):
        out.append(torch.cat([torch.where(a == m, m + n, a), b + m]))
    return tuple(out)
