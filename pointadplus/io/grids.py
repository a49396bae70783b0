"""Grids of heights as text: Esri's ASCII raster and Surfer's DSAA. Their rows may be wrapped; only counts tell."""

from __future__ import annotations

import re

import numpy as np

from ..errors import CloudReadError
from .formats import RawCloud, whole_number

_ESRI = re.compile(rb"\s*(ncols|nrows|xll(?:corner|center)|yll(?:corner|center)|cellsize|nodata_value)\s+(\S+)", re.I)
_BLANK = 1.70141e38  # Surfer's word for no value, and what is larger


def read_grid(data: bytes | memoryview) -> RawCloud | None:
    """(H, W, 3) of a grid in its own frame, seen from above, rows by falling y; None for what is no such grid.

    Raises:
        CloudReadError: other numbers than its head counts.
    """
    head = bytes(data[:2048])
    if head.lstrip()[:4] == b"DSAA":
        return _surfer(bytes(data))
    told: dict[str, str] = {}
    end = 0
    while found := _ESRI.match(head, end):
        told[found[1].decode().lower()] = found[2].decode("latin-1").replace(",", ".")
        end = found.end()
    if not {"ncols", "nrows", "cellsize"} <= told.keys():
        return None
    columns, rows = (whole_number(told[name], name) for name in ("ncols", "nrows"))
    cell, none = float(told["cellsize"]), float(told.get("nodata_value", -9999))
    heights = _numbers(bytes(data)[end:], rows, columns)
    heights[heights == none] = np.nan
    low = [float(told.get(f"{axis}llcenter", float(told.get(f"{axis}llcorner", 0)) + cell / 2)) for axis in "xy"]
    return _seen_from_above(low[0] + cell * np.arange(columns), low[1] + cell * np.arange(rows)[::-1], heights)


def _surfer(data: bytes) -> RawCloud:
    head = data.split(None, 9)
    if len(head) < 10:
        raise CloudReadError("the grid is truncated", expected="DSAA and its counts and ranges")
    columns, rows = (whole_number(head[at].decode("latin-1"), "a count of the grid") for at in (1, 2))
    left, right, low, high = (float(head[at]) for at in (3, 4, 5, 6))
    heights = _numbers(head[9], rows, columns)[::-1]
    heights[heights >= _BLANK] = np.nan
    return _seen_from_above(np.linspace(left, right, columns), np.linspace(high, low, rows), heights)


def _numbers(text: bytes, rows: int, columns: int) -> np.ndarray:
    words = text.replace(b",", b".").split()
    if len(words) != rows * columns or not words:
        expected = f"{rows} × {columns} numbers"
        raise CloudReadError("the grid does not fit its head", expected=expected, found=f"{len(words)} numbers")
    return np.array(words, np.float64).reshape(rows, columns)


def _seen_from_above(x: np.ndarray, y: np.ndarray, heights: np.ndarray) -> RawCloud:
    points = np.stack([*np.broadcast_arrays(x[None], y[:, None]), heights], -1)
    top = np.nanmax(heights, initial=0.0) + 10 * max(np.ptp(x), np.ptp(y), 1e-300)
    told = f"a grid of heights, {heights.shape[1]} × {heights.shape[0]}, as its head says"
    return RawCloud(points, viewpoint=np.array([x.mean(), y.mean(), top]), notes=(told,))
