"""Slow twins of the shape sampler, written to be read."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pointadplus.learning.synthesis.solids import Field
from pointadplus.learning.synthesis.surface import BOUND, value_and_gradient


def polygon_distance(corners: list[tuple[float, float]], u: float, v: float) -> float:
    """Signed distance of one point to a polygon, edge by edge; the sign from a ray towards +u."""
    nearest, crossings = math.inf, 0
    for (au, av), (bu, bv) in zip(corners, corners[1:] + corners[:1], strict=True):
        du, dv = bu - au, bv - av
        t = min(1.0, max(0.0, ((u - au) * du + (v - av) * dv) / (du * du + dv * dv)))
        nearest = min(nearest, math.hypot(u - au - t * du, v - av - t * dv))
        if (av > v) != (bv > v) and au + (v - av) / dv * du > u:
            crossings += 1
    return -nearest if crossings % 2 else nearest


def surface_points(field: Field, candidates: int, generator: torch.Generator) -> Tensor:
    """Points of the surface from candidates all over the cube, with no octree to miss a part. (3, M)."""
    points = BOUND * (2 * torch.rand(3, candidates, generator=generator) - 1)
    points = points[:, field(*points).abs() < 0.02]
    for _ in range(4):
        value, gradient = value_and_gradient(field, points)
        points = points - value * gradient / gradient.square().sum(0).clamp(min=1e-4)
    value, _ = value_and_gradient(field, points)
    inside = points.abs().amax(0) < 1.0
    return points[:, inside & (value.abs() < 5e-4)]
