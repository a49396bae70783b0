"""Naive twins of Reg2Inv's network parts: one point, one pair, one cell at a time."""

from __future__ import annotations

import numpy as np


def kernel_convolution(
    features: np.ndarray, queries: np.ndarray, support: np.ndarray, neighbors: list[list[int]], layer: dict
) -> np.ndarray:
    """KPConv of each query; neighbours that are not there are left out of the lists."""
    out = []
    for query, near in zip(queries, neighbors, strict=True):
        total = np.zeros(layer["weight"].shape[2])
        for j in near:
            for k, point in enumerate(layer["kernel"]):
                influence = max(0.0, 1.0 - np.linalg.norm(support[j] - query - point) / layer["sigma"])
                total += influence * features[j] @ layer["weight"][k]
        heard = sum(features[j].sum() > 0 for j in near)
        out.append(total / max(1, heard) + layer["bias"])
    return np.stack(out)


def sinusoid(value: float, channels: int) -> np.ndarray:
    """Sine and cosine in turn, at falling frequencies."""
    phases = [value * np.exp(-2 * i * np.log(1e4) / channels) for i in range(channels // 2)]
    return np.array([wave(phase) for phase in phases for wave in (np.sin, np.cos)])


def structure(points: np.ndarray, k: int, sigma_d: float, sigma_a: float, layers: dict, channels: int) -> np.ndarray:
    """The geometric structure embedding of all ordered pairs."""
    count = len(points)
    out = np.zeros((count, count, channels))
    for i in range(count):
        distances = np.linalg.norm(points - points[i], axis=1)
        near = [j for j in np.argsort(distances) if j != i][:k]
        for j in range(count):
            spanned = []
            for x in near:
                a, b = points[j] - points[i], points[x] - points[i]
                degrees = np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b)), a @ b))
                spanned.append(layers["angle"] @ sinusoid(degrees / sigma_a, channels) + layers["angle_bias"])
            far = layers["distance"] @ sinusoid(distances[j] / sigma_d, channels) + layers["distance_bias"]
            out[i, j] = far + np.max(spanned, axis=0)
    return out


def circle(distances: np.ndarray, overlaps: np.ndarray, margins: tuple[float, float], scale: float) -> float:
    """The circle loss of the rows that have both kinds."""
    losses = []
    for row, overlap in zip(distances, overlaps, strict=True):
        pulls = [np.exp(scale * (d - margins[0]) * max(0, d - margins[0]) * o**0.5) for d, o in zip(row, overlap, strict=True) if o > 0.1]  # fmt: skip  # noqa: E501
        pushes = [np.exp(scale * (margins[1] - d) * max(0, margins[1] - d)) for d, o in zip(row, overlap, strict=True) if o == 0]  # fmt: skip  # noqa: E501
        if pulls and pushes:
            losses.append(np.log(1 + sum(pulls) * sum(pushes)) / scale)
    return float(np.mean(losses))


def overlap(first: np.ndarray, second: np.ndarray, squared: float) -> float:
    """The mean share of two patches' points that have a point of the other near."""
    close = ((first[:, None] - second[None]) ** 2).sum(2) < squared
    return (close.any(1).mean() + close.any(0).mean()) / 2


def sinkhorn(scores: np.ndarray, alpha: float, iterations: int) -> np.ndarray:
    """Transport in the plain domain: rows and columns scaled in turn to their marginals, times the total."""
    m, n = scores.shape
    table = np.full((m + 1, n + 1), np.exp(alpha))
    table[:m, :n] = np.exp(scores)
    rows, columns = np.array([1.0] * m + [n]), np.array([1.0] * n + [m])
    for _ in range(iterations):
        table *= (rows / table.sum(1))[:, None]
        table *= (columns / table.sum(0))[None]
    return table


def k_centre(points: np.ndarray, starts: list[int], count: int) -> list[int]:
    """Greedy picks, from the mean distance to the starting points."""
    nearest = [np.mean([np.linalg.norm(p - points[s]) for s in starts]) for p in points]
    picks: list[int] = []
    while len(picks) < count:
        pick = max((i for i in range(len(points)) if i not in picks), key=lambda i: nearest[i])
        picks.append(pick)
        nearest = [min(d, float(np.linalg.norm(p - points[pick]))) for d, p in zip(nearest, points, strict=True)]
    return picks


def inside(points: np.ndarray, k: int) -> list[bool]:
    """Whether each point is the nearest of its k nearest to their centroid."""
    out = []
    for point in points:
        near = points[np.argsort(np.linalg.norm(points - point, axis=1), kind="stable")[:k]]
        to_centre = np.linalg.norm(near - near.mean(0), axis=1)
        out.append(bool(np.linalg.norm(point - near.mean(0)) <= to_centre.min() + 1e-9))
    return out
