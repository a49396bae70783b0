"""Naive twins of what `pointadplus.render.rasterizer` does to a front image: one pixel asks every other pixel."""

from __future__ import annotations

import numpy as np


def front(pixels: np.ndarray, depth: np.ndarray, size: int) -> np.ndarray:
    """(V, H, W) the nearest point that falls into each pixel, the first of equally near ones, −1 for none."""
    index = np.full((len(depth), size, size), -1)
    for v, n in np.ndindex(depth.shape):
        x, y = np.floor(pixels[v, n])
        if depth[v, n] > 0 and 0 <= x < size and 0 <= y < size:
            at = v, int(y), int(x)
            if index[at] < 0 or depth[v, n] < depth[v, index[at]]:
                index[at] = n
    return index


def spread(index: np.ndarray, depth: np.ndarray, squared_radius: np.ndarray) -> np.ndarray:
    """(V, H, W) the nearest of the points whose pixel's disc covers a pixel; the rim of a disc is of it."""
    out = np.full(index.shape, -1)
    for v, row, column in np.ndindex(index.shape):
        for i, j in np.argwhere(index[v] >= 0):
            if (i - row) ** 2 + (j - column) ** 2 <= squared_radius[v, i, j]:
                best, other = out[v, row, column], index[v, i, j]
                if best < 0 or (depth[v, other], other) < (depth[v, best], best):
                    out[v, row, column] = other
    return out


def within(mask: np.ndarray, radius: float) -> np.ndarray:
    """Pixels all of whose neighbours within the radius are of the mask, as far as the image goes."""
    out = np.ones(mask.shape, bool)
    for v, row, column in np.ndindex(mask.shape):
        for i, j in np.argwhere(~mask[v]):
            out[v, row, column] &= np.hypot(i - row, j - column) > radius
    return out


def nearest_in_window(index: np.ndarray, pixels: np.ndarray, reach: int) -> np.ndarray:
    """(V, H, W) of the points in the window around each pixel the one that falls nearest to its centre; −1 for none."""
    out = np.full(index.shape, -1)
    for v, row, column in np.ndindex(index.shape):
        nearest = np.inf
        for i in range(max(row - reach, 0), min(row + reach + 1, index.shape[1])):
            for j in range(max(column - reach, 0), min(column + reach + 1, index.shape[2])):
                if index[v, i, j] >= 0:
                    x, y = pixels[v, index[v, i, j]].astype(float)
                    distance = (column + 0.5 - x) ** 2 + (row + 0.5 - y) ** 2
                    if distance < nearest:
                        nearest, out[v, row, column] = distance, index[v, i, j]
    return out
