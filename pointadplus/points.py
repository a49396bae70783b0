"""What is taken for points: numbers, near the origin; shapes that are none, and rows where the scanner saw nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .errors import CloudError

# Shares and counts are ours.
SHARE, LEAST = 0.01, 50  # of the rows that hold one value: more are no surface
SENTINELS = (9999.0, 99999.0, 32767.0, 32768.0)  # and whatever is 10⁹ or beyond, of either sign
_HUGE = 1e9
_SAMPLE = 4000  # rows among which a value that a mass of rows holds shows itself
_OFTEN = _SAMPLE * SHARE / 4  # of them, that hold such a value at least
_SENSE = 0.97  # of a grid's cells that turn the same way, seen from its eye: noise along the rays changes none
_BETWEEN = 0.05  # of the sample; a far height has all but a hundredth of the others on one side
_FAR = 3.0  # times the range of the other heights
FAR = 16.0  # sizes from the origin beyond which float32 would round by more than a millionth of the cloud's size
_PLACED = 10_000  # rows that tell a cloud's place and size, a few stray ones aside
_WIDE = 100  # points of a row, from which on a batch can be told from a grid
_BLOCK = 8192  # points that are moved at once: what is between stays in the processor's cache


def check_grid(points: np.ndarray, where: str) -> None:
    """Refuse a photograph, and a batch of clouds, (B, N, 3), in the place of an organised scan, (H, W, 3).

    In a scan neighbours along both axes lie near each other; in a batch, points of one number in two clouds do not, or
    those that follow one another. What is not clear is let through.

    Raises:
        CloudError: it is one of them.
    """
    if points.dtype == np.uint8:
        raise CloudError(
            "a photograph is no scan", where=where, expected="(N, 3) or (H, W, 3) coordinates", found=points.shape
        )
    height, width = points.shape[:2]
    if width < _WIDE or height < 2:
        return
    rng = np.random.default_rng(0)
    row, column = rng.integers(0, height - 1, _SAMPLE), rng.integers(0, width - 1, _SAMPLE)
    here, right, below = (points[row + i, column + j].astype(np.float64) for i, j in ((0, 0), (0, 1), (1, 0)))
    other = rng.permutation(here)

    def typical(there: np.ndarray) -> float:
        known = np.isfinite(here).all(1) & np.isfinite(there).all(1) & here.any(1) & there.any(1)
        distance = np.linalg.norm(here[known] - there[known], axis=1)
        return float(np.median(distance)) if len(distance) > LEAST else 0.0

    if typical(right) > 0.5 * typical(other) > 0 or (height >= 8 and typical(below) > 0.5 * typical(other) > 0):
        raise CloudError(
            "a batch of clouds is no organised scan: neighbours are as far apart as any two points",
            where=where,
            expected="one cloud, (N, 3), or (H, W, 3) with neighbours side by side",
            found=points.shape,
            hint="give the clouds one by one",
        )


def without_no_returns(points: np.ndarray, organised: bool) -> tuple[np.ndarray, tuple[str, ...]]:
    """(N, 3) points with NaN in rows that are no surface, and notes on them.

    No surface is one point that more than a hundredth of the rows, and 50 at least, hold exactly; nor is a height that
    so many rows of an organised scan hold, and which lies far outside the others; in a list of points such a height has
    to be a scanner's word for no return: ±9999, ±32768, 10⁹ or more.
    """
    limit = max(LEAST, SHARE * len(points))
    if len(points) <= limit or points.dtype.kind not in "fiu":
        return points, ()
    gone = np.zeros(len(points), bool)
    notes: list[str] = []

    def told(rows: np.ndarray, what: str) -> str:
        return f"{len(rows):,} of {len(points):,} rows hold {what}"

    sample = points[np.random.default_rng(0).integers(0, len(points), _SAMPLE)]
    crowded = _crowded(sample)  # few, as a rule; to sort whole rows takes long
    for value in np.unique(np.concatenate([_frequent(crowded), np.zeros((1, 3), sample.dtype)]), axis=0):
        rows = np.flatnonzero(points[:, 0] == value[0])  # few, as a rule; along rows a search is ten times as slow
        rows = rows[(points[rows] == value).all(1)]
        what = f"one point, ({', '.join(f'{number:g}' for number in value)})"
        if limit < len(rows) < len(points):
            gone[rows] = True
            notes.append(f"{told(rows, what)}: no return, left out")
        elif not value.any() and 1 < len(rows) <= limit:
            notes.append(f"{told(rows, what)}: kept")
    with np.errstate(invalid="ignore", over="ignore"):
        for (height,) in _frequent(crowded[:, 2:]):
            known = abs(height) in SENTINELS or abs(height) >= _HUGE
            if not (organised or known) or (height and _is_between(sample[:, 2], float(height))):
                continue
            rows = np.flatnonzero((points[:, 2] == height) & ~gone)
            if len(rows) <= limit or not np.isfinite(height):
                continue
            if _is_far(points[:, 2], float(height), gone):
                gone[rows] = True
                notes.append(f"{told(rows, f'z = {height:g}, far from the others')}: no return, left out")
            elif organised and height == 0:
                notes.append(f"{told(rows, 'z = 0')}: kept")
    if not gone.any():
        return points, tuple(notes)
    points = points.astype(np.float64) if points.dtype.kind in "iu" else points.copy()
    points[gone] = np.nan
    return points, tuple(notes)


def _crowded(sample: np.ndarray) -> np.ndarray:
    """Rows of a sample whose height stands in it several times, as one of a hundredth of all rows surely does."""
    values, counts = np.unique(sample[:, 2], return_counts=True)
    often = values[counts > _OFTEN]
    return sample[np.isin(sample[:, 2], often)] if len(often) else sample[:0]


def _frequent(crowded: np.ndarray) -> np.ndarray:
    """Rows, each once, that stand there several times; the most frequent first."""
    if not len(crowded):
        return crowded
    rows, counts = np.unique(crowded[np.isfinite(crowded).all(1)], axis=0, return_counts=True)
    return rows[np.argsort(-counts)][: int((counts > _OFTEN).sum())]


def _is_between(heights: np.ndarray, height: float) -> bool:
    """Whether many heights are lower, and many are higher: it is not far from the others, and need not be counted."""
    return bool(min((heights < height).mean(), (heights > height).mean()) > _BETWEEN)


def _is_far(heights: np.ndarray, height: float, gone: np.ndarray) -> bool:
    """Whether a height lies outside the others by some times their range; others that are few values say nothing."""
    others = heights[np.isfinite(heights) & ~gone & (heights != height) & (np.abs(heights) < _HUGE)]
    if len(others) < LEAST:
        return False
    others = others[:: max(1, len(others) // 100_000)].astype(np.float64)
    low, high = np.percentile(others, (1, 99))
    varied = len(np.unique(others)) > 0.1 * min(len(others), 1000)
    return bool(varied and max(low - height, height - high) > _FAR * (high - low))


def as_numbers(value: Any, where: str) -> np.ndarray:
    """An array of real numbers, of any shape, from anything array-like; NaN where a NumPy mask hides one.

    Raises:
        CloudError: it holds something else; the error says `where`.
    """
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ma.MaskedArray):
        value = np.ma.filled(value.astype(np.float64), np.nan) if value.dtype.kind in "fiub" else value
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise CloudError("not an array of numbers", where=where, expected="(N, 3) numbers", found=str(error)) from error
    if array.dtype.kind not in "fiub":
        raise CloudError("not an array of numbers", where=where, expected="real numbers", found=array.dtype)
    return array


def as_rows(value: Any, grid: tuple[int, int] | None, where: str) -> tuple[np.ndarray, tuple[int, int] | None]:
    """(N, 3) coordinates of a list or of an organised scan, and its (H, W).

    Args:
        value: (N, 3) or (H, W, 3).
        grid: (H, W) where the rows of a list are those of an organised scan.
        where: names the points in errors.

    Raises:
        CloudError: another shape, or what is no scan, see `check_grid`.
    """
    array = as_numbers(value, where)
    if array.ndim == 3 and array.shape[2] == 3:
        check_grid(array, where)
        return array.reshape(-1, 3), (array.shape[0], array.shape[1])
    if array.ndim == 2 and array.shape[1] == 3:
        return array, grid
    raise CloudError(
        "points have the wrong shape",
        where=where,
        expected="(N, 3) or (H, W, 3)",
        found=array.shape,
        hint=_shape_hint(array.shape),
    )


def _shape_hint(shape: tuple[int, ...]) -> str | None:
    """What an array may be that is no list of points."""
    if len(shape) == 2 and shape[0] == 3:
        return "the coordinates stand in rows: give its transpose"
    if len(shape) == 2 and shape[1] > 12:
        return "an image of depths or heights needs its camera or its pitch: give points"
    return "planes: move the first axis to the end" if len(shape) == 3 and shape[0] == 3 else None


def as_place(value: Any, where: str) -> Float[Tensor, "3"] | None:
    """A place in space, (3,) float64; None where there is none, or it is not finite.

    Raises:
        CloudError: no three numbers.
    """
    if value is None:
        return None
    array = as_numbers(value, where).astype(np.float64)
    if array.shape != (3,):
        raise CloudError("the viewpoint has the wrong shape", where=where, expected=(3,), found=array.shape)
    return torch.from_numpy(array) if np.isfinite(array).all() else None


def as_scan(value: Any, total: int, where: str) -> np.ndarray:
    """(total,) int64, the scan that each row is of.

    Raises:
        CloudError: not one number a row.
    """
    numbers = as_numbers(value, where)
    if numbers.shape != (total,):
        raise CloudError("not a scan for each point", where=where, expected=(total,), found=numbers.shape)
    return numbers.astype(np.int64)


def is_seen_from(points: np.ndarray, eye: np.ndarray, rows: np.ndarray, grid: tuple[int, int]) -> bool:
    """Whether the cells of an organised scan keep their sense, as an image's do, seen from a place.

    From where it was taken, neighbours along a row and along a column turn the same way everywhere, whatever the
    surface; from elsewhere, or where the scan was moved, some of it is seen from behind.

    Args:
        points: (N, 3).
        eye: (3,), in their frame.
        rows: (N,), where each stands in the grid, row by row.
        grid: (H, W).
    """
    height, width = grid
    order = np.argsort(rows, kind="stable")
    drawn = np.random.default_rng(0).choice(rows, min(len(rows), _SAMPLE), replace=False)
    corners = np.stack([drawn, drawn + 1, drawn + width])
    inside = (drawn % width < width - 1) & (drawn < (height - 1) * width)
    at = order[np.searchsorted(rows, corners, sorter=order).clip(max=len(rows) - 1)]
    known = inside & (rows[at] == corners).all(0)
    if known.sum() < LEAST:
        return True  # too few to tell
    here, right, below = points[at[:, known]].astype(np.float64) - eye
    senses = np.sign((here * np.cross(right, below)).sum(1))
    return bool(max((senses > 0).mean(), (senses < 0).mean()) > _SENSE)


def near_the_origin(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points in float32 about an offset that keeps their digits, and the offset: zero where float32 holds them anyway.

    Args:
        points: (N, 3) of any real dtype.

    Returns:
        (N, 3) float32, and (3,) float64, the middle of the points, a few stray ones aside, rounded to their size:
        5800000.0, not 5800000.0123. Digits that a double cannot hold there are rounded away, so that a part whose file
        has 0.0123 and one whose file has 5800000.0123 are the same.
    """
    offset = _far_offset(points)
    if not offset.any():
        return points.astype(np.float32), offset
    digits = math.floor(-math.log10(4 * np.spacing(np.abs(offset).max())))
    near, offsets = np.empty(points.shape, np.float32), np.tile(offset, (_BLOCK, 1))  # one row would be spread slowly
    for start in range(0, len(points), _BLOCK):
        block = points[start : start + _BLOCK]
        shifted = block - offsets[: len(block)]
        near[start : start + _BLOCK] = np.round(shifted, digits, out=shifted)
    return near, offset


def _far_offset(points: np.ndarray) -> np.ndarray:
    some = points[:: max(1, len(points) // _PLACED)].astype(np.float64)
    if not np.isfinite(some).all():
        some = some[np.isfinite(some).all(1)]
    if not len(some):
        return np.zeros(3)
    few = np.sort(some[::10], axis=0)
    if 2 * np.abs(some).max() < FAR * float(np.subtract(*few[[len(few) * 9 // 10, len(few) // 10]]).max()):
        return np.zeros(3)  # plainly near, as most clouds are
    low, middle, high = np.quantile(some, (0.05, 0.5, 0.95), axis=0)
    size = float((high - low).max())
    if not 0 < FAR * size < np.abs(middle).max():
        return np.zeros(3)
    unit = 10.0 ** np.ceil(np.log10(size))
    return np.round(middle / unit) * unit
