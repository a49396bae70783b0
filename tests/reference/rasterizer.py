"""The naive twin of `pointadplus.render.rasterize`: every pixel asks every point."""

from __future__ import annotations

import numpy as np


def rasterize(
    pixels: np.ndarray, depth: np.ndarray, radius: np.ndarray, image_size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Index and depth of the front point, and the pixels whose centre lies on the rim of a splat; each (V, H, W)."""
    views, count = depth.shape
    radius = np.broadcast_to(radius, (views, count))
    index = np.full((views, image_size, image_size), -1)
    nearest = np.full(index.shape, np.inf)
    rim = np.zeros(index.shape, bool)
    for v in range(views):
        for row in range(image_size):
            for column in range(image_size):
                for n in range(count):
                    x, y = pixels[v, n].astype(float)
                    gap = np.hypot(column + 0.5 - x, row + 0.5 - y) - radius[v, n]
                    rim[v, row, column] |= abs(gap) < 1e-4
                    if gap <= 0 and 0 < depth[v, n] < nearest[v, row, column]:
                        index[v, row, column], nearest[v, row, column] = n, depth[v, n]
    return index, nearest, rim
