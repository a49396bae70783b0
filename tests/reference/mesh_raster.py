"""Naive twins of `pointadplus.render.mesh_rasterizer`: every pixel asks every face."""

from __future__ import annotations

import numpy as np


def rasterize_mesh(
    pixels: np.ndarray, depth: np.ndarray, faces: np.ndarray, size: int, perspective: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Face, barycentric coordinates, depth, and the pixels in doubt: at an edge, or between two faces at one depth.

    A centre c lies on the ray of the point Σ b_k z_k (x_k, y_k, 1) = z (c, 1): a linear system in b / z.
    """
    views = len(depth)
    index, nearest = np.full((views, size, size), -1), np.full((views, size, size), np.inf)
    weights, doubt = np.zeros((views, size, size, 3)), np.zeros((views, size, size), bool)
    for v in range(views):
        for f, face in enumerate(faces):
            corners, z = pixels[v, face].astype(float), depth[v, face].astype(float)
            system = np.vstack([corners.T, np.ones(3)]) * (z if perspective else 1.0)
            if z.min() <= 0 or abs(np.linalg.det(system)) < 1e-12:
                continue
            inverse = np.linalg.inv(system)
            for row, column in np.ndindex(size, size):
                centre = np.array([column + 0.5, row + 0.5])
                doubt[v, row, column] |= any(
                    segment_distance(centre, corners[k - 1], corners[k]) < 1e-3 for k in range(3)
                )
                share = inverse @ np.append(centre, 1.0)
                share /= share.sum()
                at = 1 / (inverse @ np.append(centre, 1.0)).sum() if perspective else share @ z
                if share.min() >= 0 and at > 0:
                    doubt[v, row, column] |= abs(at - nearest[v, row, column]) < 1e-6 * at
                    if at < nearest[v, row, column]:
                        index[v, row, column], weights[v, row, column], nearest[v, row, column] = f, share, at
    return index, weights, nearest, doubt


def segment_distance(point: np.ndarray, start: np.ndarray, end: np.ndarray) -> float:
    along = end - start
    t = np.clip((point - start) @ along / (along @ along), 0.0, 1.0)
    return float(np.linalg.norm(point - start - t * along))


def mean_at_vertices(
    maps: np.ndarray, face: np.ndarray, weights: np.ndarray, faces: np.ndarray, vertices: int
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean (P, C) of the pixels that show a vertex's faces, and the sum of the weights (P,)."""
    total, weight = np.zeros((vertices, maps.shape[-1])), np.zeros(vertices)
    for at in np.ndindex(face.shape):
        if face[at] >= 0:
            for k in range(3):
                total[faces[face[at], k]] += weights[at][k] * maps[at]
                weight[faces[face[at], k]] += weights[at][k]
    return np.divide(total, weight[:, None], out=np.zeros_like(total), where=weight[:, None] > 0), weight
