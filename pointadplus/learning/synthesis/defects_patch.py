"""Neighbourhoods that follow a surface: which points belong together, and how their normals turn as they move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import KDTree

from .defects_base import Surface, across, nearest, smoothstep, tangents, unit

NEIGHBOURS = 12  # chosen so that half of them may lie on the far side of a thin wall and the graph still connects


@dataclass(frozen=True, eq=False)
class Patch:
    """M points around a centre that are connected to it along the surface.

    Attributes:
        index: (M,) rows of the surface.
        offsets: (M, 2) signed tangential coordinates whose length is the Euclidean distance to the centre: smooth over
            curvature and over sharp edges alike.
        gate: (M,) in [0, 1], falling to 0 for points that face away from `normal`.
        neighbours: (M, k) positions inside the patch; a position outside the patch is replaced by the point itself.
        normal: (3,) the mean normal about the centre.
        frame: (3, 2) the two tangents that `offsets` refer to.
        area: mean surface area of one point.
        thickness: depth of material below the centre, infinite where the far side is out of the ball.
    """

    index: ndarray
    offsets: ndarray
    gate: ndarray
    neighbours: ndarray
    centre: ndarray
    normal: ndarray
    frame: ndarray
    area: float
    thickness: float

    @property
    def spacing(self) -> float:
        return self.area**0.5


def pick_centre(surface: Surface, rng: np.random.Generator, edge_share: float = 0.3) -> int:
    """A row: uniform over the points or, for a share of the draws, among those where the normals turn most."""
    count = len(surface.points)
    if rng.random() >= edge_share:
        return int(rng.integers(count))
    sample = rng.choice(count, min(count, 2000), replace=False)
    seeds = sample[:200]
    near = nearest(KDTree(surface.points[sample]), surface.points[seeds], 8)[1]
    agreement = np.linalg.norm(surface.normals[sample][near].mean(1), axis=1)
    return int(seeds[rng.choice(np.argsort(agreement)[: max(len(seeds) // 10, 1)])])


def area_per_point(distances: ndarray, agreeing: ndarray) -> float:
    """Mean area of a point, from (M, k) neighbour distances and which of these neighbours lie on the same side.

    A ball that reaches the k-th neighbour covers π·d² of a flat surface; itself counts for one half.
    """
    covered = np.pi * distances[:, -1] ** 2 / np.maximum(agreeing.sum(1) - 0.5, 1.0)
    return float(np.median(covered)) + 1e-24


def same_side(normals: ndarray, others: ndarray) -> ndarray:
    """(M, k) bool: whether (M, k, 3) normals look where (M, 3) ones do, and not from the far side of a thin wall."""
    return np.einsum("ij,ikj->ik", normals, others) > -0.2


def area_around(surface: Surface, tree: KDTree, rows: ndarray) -> float:
    """Mean area of a point at these rows."""
    distances, near = nearest(tree, surface.points[rows], NEIGHBOURS)
    return area_per_point(distances, same_side(surface.normals[rows], surface.normals[near]))


def geodesic_patch(surface: Surface, centre: int, radius: float) -> Patch | None:
    """The points within `radius` of a centre that the surface connects to it; None where that is no surface.

    Connected means: within 1.5·radius along a k-nearest-neighbour graph of the ball from which edges between opposite
    normals are dropped. The other side of a thin wall is near in space, but not along this graph.
    """
    offset = surface.points - surface.points[centre]
    ball = np.flatnonzero(np.einsum("ij,ij->i", offset, offset) <= radius * radius)
    if len(ball) < 2 * NEIGHBOURS:
        return None
    offset, normals = offset[ball], surface.normals[ball]
    distances, near = nearest(KDTree(offset), offset, NEIGHBOURS)
    agreeing = same_side(normals, normals[near])
    rows, columns = np.nonzero(agreeing)
    graph = csr_matrix((distances[agreeing] + 1e-12, (rows, near[rows, columns])), shape=(len(ball),) * 2)
    start = int(np.flatnonzero(ball == centre)[0])
    inside = np.isfinite(dijkstra(graph, directed=False, indices=start, limit=1.5 * radius))
    core = inside & (np.einsum("ij,ij->i", offset, offset) <= 0.25 * radius * radius)
    mean = normals[core].mean(0)
    if inside.sum() < NEIGHBOURS or np.linalg.norm(mean) < 0.3:
        return None
    normal = unit(mean)
    height = offset @ normal
    aside = np.linalg.norm(offset - np.outer(height, normal), axis=1)
    far_side = -height[~inside & (normals @ normal < -0.5) & (height < 0) & (aside < 0.7 * radius)]
    frame = tangents(normal)
    flat = offset[inside] @ frame
    length = np.linalg.norm(offset[inside], axis=1, keepdims=True)
    return Patch(
        index=ball[inside],
        offsets=unit(flat) * length,
        gate=smoothstep(normals[inside] @ normal, -0.5, 0.0),
        neighbours=_inside_only(near, agreeing, inside),
        centre=surface.points[centre],
        normal=normal,
        frame=frame,
        area=area_per_point(distances[inside], agreeing[inside]),
        thickness=float(np.quantile(far_side, 0.05)) if len(far_side) else float("inf"),
    )


def _inside_only(near: ndarray, agreeing: ndarray, inside: ndarray) -> ndarray:
    place = np.cumsum(inside) - 1
    own = np.arange(len(near))[:, None]
    return place[np.where(agreeing & inside[near], near, own)[inside]]


def connected_part(points: ndarray, seed: int, reach: float) -> ndarray:
    """(M,) bool: which points hang together with the seed by steps of at most `reach`."""
    count = len(points)
    distances, near = nearest(KDTree(points), points, min(NEIGHBOURS, count), reach)
    rows, columns = np.nonzero(np.isfinite(distances))
    graph = csr_matrix((np.ones(len(rows)), (rows, near[rows, columns])), shape=(count, count))
    parts = connected_components(graph, directed=False)[1]
    return parts == parts[seed]


def carried_normals(points: ndarray, normals: ndarray, moves: ndarray, neighbours: ndarray) -> ndarray:
    """(M, 3) normals of a surface after its points moved by `moves`.

    The moves' gradient is fitted to each point's neighbours by least squares; the normal is the cross product of the
    two tangents that it carries. A translation keeps normals as they were, a sharp edge stays sharp.
    """
    steps = points[neighbours] - points[:, None]
    turns = moves[neighbours] - moves[:, None]
    spread = np.einsum("mki,mkj->mij", steps, steps)
    damping = 1e-3 * np.trace(spread, axis1=1, axis2=2) + 1e-24
    spread[:, np.arange(3), np.arange(3)] += damping[:, None]
    gradient = np.linalg.solve(spread, np.einsum("mki,mkj->mij", steps, turns))
    u, v = across(normals)
    carry = lambda t: t + np.einsum("mi,mij->mj", t, gradient)  # noqa: E731
    turned = np.cross(carry(u), carry(v))
    degenerate = np.linalg.norm(turned, axis=1) < 1e-9
    return np.where(degenerate[:, None], normals, unit(turned))
