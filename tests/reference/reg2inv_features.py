"""Naive twin of RIConv++'s informative features: one neighbourhood, one neighbour at a time."""

from __future__ import annotations

import numpy as np


def unit(vector: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vector)
    return vector / length if length > 0 else vector * 0


def angle(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.arccos(np.clip(a @ b, -(1 - 1e-7), 1 - 1e-7)))


def features(offsets: np.ndarray, normals: np.ndarray, signed: bool = False) -> np.ndarray:
    """(k, 8) of one neighbourhood whose first point is the centre, neighbours in angular order."""
    n = normals[0]
    flat = [v - (v @ n) * n for v in offsets]
    reference = int(np.argmax([np.linalg.norm(w) for w in flat]))
    keys = []
    for i, w in enumerate(flat):
        side = float(np.sign(np.cross(unit(w), unit(flat[reference])) @ n))
        side = 1.0 if i == 0 else 0.0 if i == reference else side
        keys.append(side * (unit(w) @ unit(flat[reference])) - (1 - side))
    order = sorted(range(len(keys)), key=lambda i: -keys[i])
    rows = []
    for place, j in enumerate(order):
        p = order[place - 1]
        u, e = unit(offsets[j]), unit(offsets[j] - offsets[p])
        step = keys[j] - keys[p] if place else -3 - keys[p]
        turn, turn_before = angle(normals[j], n), angle(normals[j], normals[p])
        if signed and not u @ n < u @ normals[j]:
            turn = -turn
        if signed and not e @ normals[j] < e @ normals[p]:
            turn_before = -turn_before
        rows.append(
            [np.linalg.norm(offsets[j]), step, u @ n, u @ normals[j], turn, e @ normals[j], e @ normals[p], turn_before]
        )
    return np.array(rows)
