"""Naive twins of `pointadplus.render.correspondence`: one view, one point, one channel at a time, in Python floats."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np


def bilinear(channel: np.ndarray, x: float, y: float, image_size: int) -> float:
    """A (H, W) map over the whole image at pixel (x, y); beyond the centres of the outermost cells these hold."""
    rows, columns = channel.shape
    u = min(max(x * columns / image_size - 0.5, 0.0), columns - 1.0)
    v = min(max(y * rows / image_size - 0.5, 0.0), rows - 1.0)
    total = 0.0
    for i in range(rows):
        for j in range(columns):
            total += max(0.0, 1.0 - abs(v - i)) * max(0.0, 1.0 - abs(u - j)) * float(channel[i, j])
    return total


def lift(
    maps: np.ndarray, pixels: np.ndarray, visible: np.ndarray, image_size: int, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted means (N, C) over the views that see a point, and whether any of weight > 0 does."""
    views, channels = maps.shape[:2]
    lifted, seen = np.zeros((pixels.shape[1], channels)), np.zeros(pixels.shape[1], bool)
    for n in range(pixels.shape[1]):
        shares = {v: 1.0 if weights is None else float(weights[v, n]) for v in range(views) if visible[v, n]}
        seen[n] = sum(shares.values()) > 0
        for c in range(channels) if seen[n] else ():
            values = {
                v: bilinear(maps[v, c], float(pixels[v, n, 0]), float(pixels[v, n, 1]), image_size) for v in shares
            }
            lifted[n, c] = sum(shares[v] * values[v] for v in shares) / sum(shares.values())
    return lifted, seen


def vote(label_maps: np.ndarray, pixels: np.ndarray, visible: np.ndarray, image_size: int) -> list[int]:
    """The most frequent label at each point, the lowest of equally frequent ones, −1 where unseen."""
    views, rows, columns = label_maps.shape
    winners = []
    for n in range(pixels.shape[1]):
        votes: Counter[int] = Counter()
        for v in range(views):
            if visible[v, n]:
                x, y = map(float, pixels[v, n])
                row, column = math.floor(y * rows / image_size), math.floor(x * columns / image_size)
                votes[int(label_maps[v, min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)])] += 1
        winners.append(min((-count, label) for label, count in votes.items())[1] if votes else -1)
    return winners
