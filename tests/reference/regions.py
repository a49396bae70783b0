"""Naive twins of `geometry.components` and of `regions.point_areas`."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def connected_parts(points: Tensor, chosen: Tensor, k: int) -> Tensor:
    """Flood fill, point by point, over edges that hold in either direction."""
    distance = torch.cdist(points.double(), points.double())
    near = [set(row.argsort(stable=True)[: k + 1].tolist()) for row in distance]
    found = torch.zeros(len(points), dtype=torch.int64)
    for first in chosen.nonzero()[:, 0].tolist():
        if found[first]:
            continue
        number, waiting = int(found.max()) + 1, [first]
        while waiting:
            here = waiting.pop()
            found[here] = number
            waiting += [
                there
                for there in chosen.nonzero()[:, 0].tolist()
                if not found[there] and (there in near[here] or here in near[there])
            ]
    return found


def graph_distance(points: Tensor, start: Tensor, limit: float, longest: float, k: int) -> Tensor:
    """Bellman and Ford: as many rounds as there are points."""
    distance = torch.cdist(points.double(), points.double())
    edge = torch.full_like(distance, math.inf)
    near = distance.argsort(dim=1, stable=True)[:, : k + 1]
    edge.scatter_(1, near, distance.gather(1, near))
    edge = torch.minimum(edge, edge.T)
    edge[(edge > longest) & ~(start[:, None] | start)] = math.inf
    found = torch.where(start, 0.0, math.inf).double()
    for _ in range(len(points)):
        found = torch.minimum(found, (found[:, None] + edge).amin(0))
    return torch.where(found <= limit, found, math.inf)


def point_area(points: Tensor, own: int, k: int) -> float:
    distance = sorted((points.double() - points[own].double()).norm(dim=1).tolist())[1 : k + 1]
    return math.pi * sum(d * d for d in distance) / sum(range(1, k + 1))
