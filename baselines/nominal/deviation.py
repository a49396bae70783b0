"""Signed deviations of a scan that lies on its nominal, and from what size on each is more than noise."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.spatial import KDTree

from .cells import Grid, Groups, Spread, coarser, spread
from .mesh import NominalMesh

# All ours, but for the 95 % of a normal distribution.
SIGMAS = 1.96
CELL = 4.0  # side of a cell in spacings of the scan, in which a deviation is averaged and noise is told
LOCAL = 4  # cells along the side of a block that noise is pooled over
PRIOR = 8.0  # readings that the noise of the whole scan counts for in each block
STEEP = 9.0  # times the usual variance, over which a cell is an edge or a defect, and counts no more
KNOWN = 1.03  # spread over the noise that is none yet: so well is the noise known
ROUNDING = 1e-7  # of single precision, as a share of the nominal's size
SHARING, AROUND = 5, 3.0  # neighbouring points that make a deviation, and how near, in spacings
SOME = 1 << 13, 1 << 16  # of the highest values, which are looked at first


class Measured(NamedTuple):
    """Of N points of a scan; lengths in the nominal's unit.

    Attributes:
        deviation: (N,) float32, + outside; NaN where nothing can be measured.
        noise: (N,) float32 standard deviation of one reading.
        mean: (N,) float32 mean deviation of the points in its cell, and how many they are, `count`.
        count: (N,).
        bulge: (N,) float32, what the tessellation may be off by, or (1,) 0.
        facet: (N,) nearest facet of the nominal.
        groups: of the nearest places, and `taken`, (G,) which of them have a point that was measured.
        spacing: of the scan.
    """

    deviation: np.ndarray
    noise: np.ndarray
    mean: np.ndarray
    count: np.ndarray
    bulge: np.ndarray
    facet: np.ndarray
    groups: Groups
    taken: np.ndarray
    spacing: float


def measure(
    mesh: NominalMesh, points: np.ndarray, spacing: float, reach: float, bulges: np.ndarray, ways: np.ndarray
) -> Measured:
    """Deviations of points, unsmoothed, and the noise that is in them.

    Noise is how readings scatter about their mean in cells, pooled over blocks of cells (Lague, Brodu and Leroux,
    Accurate 3D comparison of complex topography with terrestrial laser scanner, 2013, take it in a cylinder).

    Args:
        mesh: the nominal.
        points: (N, 3) float32 about its `center`.
        spacing: of the points.
        reach: distance from which on a point is none of the part.
        bulges: (F,) of `mesh.tessellation`.
        ways: (F,) of `facing`.
    """
    found = mesh.closest(points)
    grid = Grid.of(found.foot, CELL * spacing)  # of the points themselves a face on a border would be cut by the noise
    deviation = found.distance
    grey = np.abs(deviation) > reach
    if mesh.topology.free:
        grey |= found.free
    groups = Groups.by(grid, ways[found.facet])
    whole = not grey.any()
    inside = slice(None) if whole else ~grey
    each = spread(groups.of[inside], len(groups.cells), deviation[inside], reach)
    noise = np.sqrt(_pooled(grid, groups.cells, each) + (ROUNDING * mesh.size) ** 2).astype(np.float32)
    if not whole:
        deviation = np.where(grey, np.float32(np.nan), deviation)
    mean, count = each.mean.astype(np.float32)[groups.of], each.count[groups.of]
    bulge = bulges[found.facet] if bulges.any() else np.zeros(1, np.float32)
    return Measured(deviation, noise[groups.of], mean, count, bulge, found.facet, groups, each.count > 0, spacing)


def facing(mesh: NominalMesh) -> np.ndarray:
    """(F,) int32 in 0 … 5: which axis each facet looks along most, and which way."""
    axis = np.abs(mesh.normals).argmax(1)
    return (2 * axis + (np.take_along_axis(mesh.normals, axis[:, None], 1)[:, 0] < 0)).astype(np.int32)


def _median(values: np.ndarray) -> float:
    """The upper one of two; in half the time of NumPy's."""
    middle = len(values) // 2
    return float(np.partition(values, middle)[middle])


def registration(deviation: np.ndarray, noise: np.ndarray) -> float:
    """What alignment and scanner are off by, as far as the deviations tell: their spread beyond the noise.

    About the median, by the median: a part that is too thick all round, or damaged in places, is no error of alignment.
    At most the noise itself (ours), so that a part that is warped does not hide behind it.

    Args:
        deviation, noise: (N,) of the points that were measured, N ≥ 1.
    """
    times = deviation / noise
    wide = 1.4826 * _median(np.abs(times - np.float32(_median(times))))
    return _median(noise) * min(float(np.sqrt(max(0.0, (wide / KNOWN) ** 2 - 1))), 1.0)


def shared(values: np.ndarray, points: np.ndarray, radius: float) -> float:
    """The highest value that `SHARING` points, within a radius of one of them, reach together.

    Args:
        values: (N,), N ≥ 1.
        points: (N, 3).
        radius: within which points are neighbours.
    """
    for most in SOME:
        some = values[:: max(1, len(values) // most)]
        rank = max(0, len(some) - max(1, len(some) * most // len(values)))
        top = np.flatnonzero(values >= np.partition(some, rank)[rank])  # about so many of the highest
        top = top[np.argsort(-values[top], kind="stable")]
        found = _least_rank(points[top], radius, whole=len(top) == len(values))
        if found is not None:
            return float(values[top[found - 1]])
    top = np.argsort(-values, kind="stable")
    found = _least_rank(points[top], radius, whole=True)
    return float(values.min() if found is None else values[top[found - 1]])


def _least_rank(points: np.ndarray, radius: float, *, whole: bool) -> int | None:
    """How many of the first points it takes for one to have enough of the others around; None if all do not do.

    What is tried does not depend on how many points there are, unless they are the `whole`.
    """

    def together(rank: int) -> bool:
        tree = KDTree(points[:rank], balanced_tree=False, compact_nodes=False)
        ranks: Any = [SHARING]  # SciPy's stubs know k as an int
        return bool((tree.query(points[:rank], k=ranks, distance_upper_bound=radius)[0] <= radius).any())

    low, high = 0, SHARING
    while high > len(points) or not together(high):
        if high >= len(points):
            if not whole or not together(len(points)):
                return None
            high = len(points)
            break
        low, high = high, 4 * high
    while high - low > 1 + low // 32:  # to the 32nd part of the rank: the value hardly differs
        middle = (low + high) // 2
        low, high = (low, middle) if together(middle) else (middle, high)
    return high


def _pooled(grid: Grid, cells: np.ndarray, each: Spread) -> np.ndarray:
    """(G,) variance of one reading around each group of points."""
    known = each.count > 3
    if not known.any():
        return np.full(len(cells), float(np.average(each.variance, weights=each.count.clip(1) - 1 + 1e-12)))
    usual = float(np.median(each.variance[known]))
    degrees = (each.count - 1).clip(0) * 1.0
    clipped = np.minimum(each.variance, STEEP * usual)
    whole = float((clipped * degrees).sum() / degrees.sum())
    block = coarser(grid, cells, LOCAL)
    sums, weights = np.bincount(block, clipped * degrees), np.bincount(block, degrees)
    return ((sums + PRIOR * whole) / (weights + PRIOR))[block]
