"""Connected parts of a cloud: which of the chosen points hang together on the point graph, and how far paths on it."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, dijkstra
from torch import Tensor

from .neighbors import knn

NEIGHBORS = 12  # of the point graph


def connected_parts(
    points: Float[Tensor, "n 3"], chosen: Bool[Tensor, "n"], k: int = NEIGHBORS, *, longest: float = math.inf
) -> Int[Tensor, "n"]:
    """The parts that chosen points form: (N,) int64, 0 where nothing is chosen, then 1, 2, … as they come.

    A chosen point is joined to the chosen ones among its k nearest neighbours of all points, in either direction.

    Args:
        points: (N, 3), of any unit.
        chosen: (N,) which points may belong to a part.
        k: neighbours, the point itself not counted.
        longest: longest edge, in the unit of the points.
    """
    found = torch.zeros(len(points), dtype=torch.int64)
    own = chosen.nonzero()[:, 0]
    if not len(own):
        return found
    distance, near = knn(points, points[own], min(k + 1, len(points)))
    number = torch.full((len(points),), -1)
    number[own] = torch.arange(len(own))
    target, source = number[near], torch.arange(len(own))[:, None].expand_as(near)
    edges = (target >= 0) & (distance <= longest)
    pairs = source[edges].numpy(), target[edges].numpy()
    graph = coo_array((np.ones(len(pairs[0])), pairs), shape=(len(own), len(own)))
    found[own] = torch.from_numpy(connected_components(graph, directed=False)[1]).long() + 1
    return found


def graph_distance(
    points: Float[Tensor, "n 3"], start: Bool[Tensor, "n"], limit: float, *, longest: float = math.inf, k: int = 8
) -> Float[Tensor, "n"]:
    """Length of the shortest path on the point graph from the nearest starting point: (N,) float32, inf beyond `limit`.

    On a surface that is farther from its other side than `longest`, paths do not cross to that side.

    Args:
        points: (N, 3); distances are in their unit.
        start: (N,) where paths start, at least one.
        limit: longest path that is looked for.
        longest: longest edge between points that are no starting points; a step in the surface is no end of it.
        k: neighbours that a point is joined to, in either direction.
    """
    distance, index = knn(points, points, min(k + 1, len(points)))
    source = torch.arange(len(points))[:, None].expand_as(index)
    kept = (distance <= longest) | start[source] | start[index]
    # A zero would be no edge; coinciding points are joined all the same.
    weight = distance[kept].double().clamp_min(1e-12 * max(limit, 1e-30)).numpy()
    pairs = source[kept].numpy(), index[kept].numpy()
    graph = coo_array((weight, pairs), shape=(len(points), len(points))).tocsr()
    roots = start.nonzero()[:, 0].numpy()
    found = dijkstra(graph, directed=False, indices=roots, min_only=True, limit=limit)
    return torch.from_numpy(np.asarray(found)).float()
