"""Naive twins of the geometry layer: one point, one neighbour at a time."""

from __future__ import annotations

import numpy as np


def histogram(offsets: np.ndarray, normal: np.ndarray, neighbor_normals: np.ndarray, bins: int) -> np.ndarray:
    """Three blocks of linearly binned pair angles of one point."""
    blocks = np.zeros((3, bins))
    counted = [(r, n) for r, n in zip(offsets, neighbor_normals, strict=True) if np.linalg.norm(r) > 0]
    for r, n in counted:
        n = n if normal @ n >= 0 else -n
        v = np.cross(normal, r / np.linalg.norm(r))
        v = v / np.linalg.norm(v)
        w = np.cross(normal, v)
        angles = v @ n, normal @ r / np.linalg.norm(r), np.arctan2(w @ n, normal @ n) * 2 / np.pi
        for block, angle in enumerate(angles):
            place = (angle + 1) / 2 * (bins - 1)
            low = min(int(place), bins - 2)
            blocks[block, low] += (1 - (place - low)) / len(counted)
            blocks[block, low + 1] += (place - low) / len(counted)
    return blocks.reshape(-1)


def hop(state: np.ndarray, neighbors: list[list[int]], edges: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """Σ_j softmax_j(A m_ij) ∘ m_ij with m_ij = relu(W_o h_i + W_d (h_j − h_i) + W_e e_ij), for each node i."""
    out, edge = [], 0
    for i, near in enumerate(neighbors):
        messages = []
        for j in near:
            affine = weights["own"] @ state[i] + weights["own_bias"] + weights["difference"] @ (state[j] - state[i])
            messages.append(np.maximum(affine + weights["edge"] @ edges[edge] + weights["edge_bias"], 0))
            edge += 1
        stacked = np.stack(messages)
        logits = stacked @ weights["attention"].T + weights["attention_bias"]
        soft = np.exp(logits - logits.max(0)) / np.exp(logits - logits.max(0)).sum(0)
        out.append((soft * stacked).sum(0))
    return np.stack(out)
