"""Points in small cells: which are occupied, and mean and spread of a value in each, the same in any order of them."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np

MOST = 1 << 24  # cells of a grid, ours
_STEPS = 1 << 19  # of a value's range: squares of as many steps, summed over 8,000 points, are whole doubles


class Grid(NamedTuple):
    """A grid of cubes over points.

    Attributes:
        low: (3,) its corner.
        side: of a cell.
        shape: cells along each axis, with an empty one before and behind.
        count: (C,) points in each cell, flattened.
        cell: (N,) the cell of each point.
    """

    low: np.ndarray
    side: float
    shape: tuple[int, int, int]
    count: np.ndarray
    cell: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray, side: float) -> Grid:
        """Over (N, 3) float32 points; cells are larger where there would be too many."""
        low, high = points.min(0), points.max(0)
        extent = high.astype(np.float64) - low
        side = max(side, float(np.prod(extent + side) / MOST) ** (1 / 3), 1e-30)
        width = [int(length / side) + 3 for length in extent]
        shape = (width[0], width[1], width[2])
        cell = _flat(points, low, side, shape)
        return cls(low, side, shape, np.bincount(cell, minlength=width[0] * width[1] * width[2]), cell)


class Groups(NamedTuple):
    """Points of a cell that face one of six ways: the two faces of a wall share a cell, and are two groups.

    Attributes:
        grid: of the points.
        of: (N,) group of each point.
        cells: (G,) cell of each group.
        number: (C,) rank of each occupied cell; its groups are six times that, and one for each way.
    """

    grid: Grid
    of: np.ndarray
    cells: np.ndarray
    number: np.ndarray

    @classmethod
    def by(cls, grid: Grid, way: np.ndarray) -> Groups:
        """Of points that face (N,) ways in 0 … 5."""
        occupied = np.flatnonzero(grid.count)
        number = np.zeros(len(grid.count), np.int32)
        number[occupied] = np.arange(len(occupied), dtype=np.int32)
        return cls(grid, number[grid.cell] * 6 + way, occupied.repeat(6), number)

    def near(
        self, places: np.ndarray, way: np.ndarray, taken: np.ndarray, steps: tuple[int, ...] = (-1, 0, 1)
    ) -> np.ndarray:
        """(K,) bool, whether a group that is taken, (G,) bool, and faces a place's way lies in its cell or in one of
        the 26 beside it; with `steps` (0,) in its cell alone."""
        grid = self.grid
        at = np.floor((places - grid.low) / grid.side).astype(np.int64) + 1
        found = np.zeros(len(places), bool)
        for step in product(steps, repeat=3):
            beside = at + step
            inside = np.flatnonzero(((beside >= 0) & (beside < grid.shape)).all(1))
            x, y, z = beside[inside].T
            cell = (x * grid.shape[1] + y) * grid.shape[2] + z
            found[inside] |= (grid.count[cell] > 0) & taken[self.number[cell] * 6 + way[inside]]
        return found


class Spread(NamedTuple):
    """Of each group of points: (G,) how many, their mean, and their variance (0 of a single one)."""

    count: np.ndarray
    mean: np.ndarray
    variance: np.ndarray


def spread(group: np.ndarray, total: int, values: np.ndarray, reach: float) -> Spread:
    """Mean and variance in each group, exact in sums, so that no order of the points rounds another way.

    Args:
        group: (N,) in [0, total).
        total: groups.
        values: (N,), at most `reach` in size.
        reach: their range.
    """
    step = max(reach, 1e-30) / _STEPS
    steps = np.rint(values / step).astype(np.float64)
    count = np.bincount(group, minlength=total)
    some = np.maximum(count, 1)
    sums = np.bincount(group, steps, total)
    squares = np.bincount(group, steps * steps, total)
    variance = np.maximum(squares - sums * sums / some, 0) / np.maximum(count - 1, 1)
    return Spread(count, sums / some * step, variance * (step * step))


def coarser(grid: Grid, cells: np.ndarray, times: int) -> np.ndarray:
    """(G,) numbers of larger cells, `times` as wide, that cells of a grid lie in, from 0."""
    x, rest = np.divmod(cells, grid.shape[1] * grid.shape[2])
    y, z = np.divmod(rest, grid.shape[2])
    key = ((x // times) * grid.shape[1] + y // times) * grid.shape[2] + z // times
    return np.unique(key, return_inverse=True)[1].reshape(-1)


def _flat(points: np.ndarray, low: np.ndarray, side: float, shape: tuple[int, int, int]) -> np.ndarray:
    x, y, z = (((points[:, axis] - low[axis]) * np.float32(1 / side)).astype(np.int32) + 1 for axis in range(3))
    return (x * shape[1] + y) * shape[2] + z
