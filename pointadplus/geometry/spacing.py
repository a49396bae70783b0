"""How densely a cloud samples its surface."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from .neighbors import Neighbors, knn

_MANY = 1 << 15  # points from which on only cells around the samples are searched
_IN_A_CELL = 24.0  # points that a cell of a surface holds, about


def point_spacing(points: Float[Tensor, "n 3"] | Neighbors, k: int = 8, samples: int = 128) -> float:
    """The side of the square of surface that a point stands for, in the unit of the points.

    Median over `samples` evenly picked points of d_k·√(π/k), d_k the distance of the k-th neighbour: k points a disc.
    Grids and random samples of the same density agree, and duplicates do not fool it as they do the nearest neighbour.
    For 128 samples of a random cloud its standard deviation is about 2 %. An index over the points saves another.
    """
    known, points = (points, points.points) if isinstance(points, Neighbors) else (None, points)
    queries = points[torch.linspace(0, len(points) - 1, min(samples, len(points))).round().long()]
    if known is None and len(points) >= _MANY:
        support, certain = _around(points, queries)
        distance = knn(support, queries, k + 1)[0][:, -1]
        if float(distance.max()) <= certain:
            return _side(distance, k)
    return _side((known or Neighbors(points)).nearest(queries, k + 1)[0][:, -1], k)


def _side(distance: Float[Tensor, "s"], k: int) -> float:
    return float(distance.median()) * math.sqrt(math.pi / k)


def _around(points: Tensor, queries: Tensor) -> tuple[Tensor, float]:
    """The points in the cells of a grid that hold queries and in those beside them, and the side of a cell.

    All neighbours of a query that are no farther than the side of a cell are among them.
    """
    low, high = points.aminmax(dim=0)
    cells = max(1, min(256, round(math.sqrt(len(points) / _IN_A_CELL))))
    side = max(float((high - low).max()) / cells, 1e-30)
    width = cells + 3  # a cell beside the first and the last

    def cell(places: Tensor) -> Tensor:
        x, y, z = (((places[:, axis] - low[axis]) / side).floor_().clamp_(0, cells).int() + 1 for axis in range(3))
        return x.mul_(width).add_(y).mul_(width).add_(z)

    steps = torch.arange(-1, 2, device=points.device, dtype=torch.int32)
    beside = (steps[:, None, None] * width * width + steps[:, None] * width + steps).flatten()
    near = torch.zeros(width**3, dtype=torch.bool, device=points.device)
    near[(cell(queries)[:, None] + beside).flatten().long()] = True
    kept = torch.cat([near.index_select(0, cell(part)) for part in points.split(1 << 20)])
    return points[kept], side * (1.0 - 1e-4)
