"""Naive twins of the soft splats: every pixel asks every point, then blends what it found."""

from __future__ import annotations

import numpy as np


def fragments(
    pixels: np.ndarray, depth: np.ndarray, radius: np.ndarray, image_size: int, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The K nearest points of each pixel, (V, H, W, K), and the pixels whose centre lies on the rim of a splat."""
    views, count = depth.shape
    radius = np.broadcast_to(radius, (views, count))
    index = np.full((views, image_size, image_size, k), -1)
    rim = np.zeros(index.shape[:3], bool)
    for v, row, column in np.ndindex(rim.shape):
        found = []
        for n in range(count):
            x, y = pixels[v, n].astype(float)
            gap = np.hypot(column + 0.5 - x, row + 0.5 - y) - radius[v, n]
            rim[v, row, column] |= abs(gap) < 1e-4
            if gap <= 0 and depth[v, n] > 0:
                found.append((depth[v, n], n))
        for place, (_, n) in enumerate(sorted(found)[:k]):
            index[v, row, column, place] = n
    return index, rim


def composite(
    index: np.ndarray, pixels: np.ndarray, radius: np.ndarray, values: np.ndarray, sharpness: float, background: float
) -> tuple[np.ndarray, np.ndarray]:
    """Images (V, C, H, W) and mask (V, H, W), from the back splat of each pixel to the front one: the other way round.

    The arguments are those of `soft_composite`, with radius (V, N) and values (V, N, C).
    """
    views, height, width, _ = index.shape
    images = np.full((views, values.shape[2], height, width), float(background))
    mask = np.zeros((views, height, width))
    for v, row, column in np.ndindex(mask.shape):
        for n in reversed(index[v, row, column]):
            if n >= 0:
                x, y = pixels[v, n].astype(float)
                squared = (column + 0.5 - x) ** 2 + (row + 0.5 - y) ** 2
                alpha = 1 - (squared / float(radius[v, n]) ** 2) ** sharpness
                images[v, :, row, column] = alpha * values[v, n] + (1 - alpha) * images[v, :, row, column]
                mask[v, row, column] = alpha + (1 - alpha) * mask[v, row, column]
    return images, mask
