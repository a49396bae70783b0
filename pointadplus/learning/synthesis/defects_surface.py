"""Defects that displace a surface and keep all its points: bulge, dent, roughness, bending."""

from __future__ import annotations

import numpy as np
from numpy import ndarray

from .defects_base import Change, Draw, Surface, Waves, nearest, smoothstep, tangents, unit
from .defects_patch import NEIGHBOURS, Patch, carried_normals, connected_part, geodesic_patch, pick_centre

LABEL_SHARE = 0.12  # of the peak displacement, above which a point counts as anomalous; our choice
RIDGE_ASPECT = (0.15, 0.35)
PROFILES = ("gaussian", "cosine", "plateau", "cone", "skewed", "ring", "crater", "ridge", "lumpy", "pimple")


def bulge(surface: Surface, draw: Draw) -> Change | None:
    """A smooth or sharp elevation: radius 3–15 % of the diagonal, height 0.4–4 %."""
    return _swell(surface, draw, +1.0)


def dent(surface: Surface, draw: Draw) -> Change | None:
    """A depression: radius 3–15 % of the diagonal, depth 0.4–4 % but never through a thin wall."""
    return _swell(surface, draw, -1.0)


def roughness(surface: Surface, draw: Draw) -> Change | None:
    """A patch of high-frequency noise along the normals: radius 3–12 % of the diagonal, amplitude 0.15–0.8 %."""
    radius = draw.size(0.03, 0.12) * surface.diagonal
    amplitude = draw.depth(0.0015, 0.008) * surface.diagonal
    patch = geodesic_patch(surface, pick_centre(surface, draw.rng), radius)
    if patch is None:
        return None
    window = smoothstep(1.0 - _stretched(patch, draw, (0.5, 1.0)) / radius, 0.0, draw.uniform(0.1, 0.4)) * patch.gate
    if draw.chance(0.5):
        noise = draw.rng.standard_normal(len(window))
    else:
        noise = Waves.draw(draw.rng, draw.uniform(2.5, 6.0) * patch.spacing, count=32)(surface.points[patch.index])
    moves = (np.clip(noise, -3.0, 3.0) * amplitude * window)[:, None] * surface.normals[patch.index]
    return displaced(surface, patch.index, moves, patch.neighbours, window > 0.3)


def bending(surface: Surface, draw: Draw) -> Change | None:
    """A part beyond a plane near an extremity is turned by 8–35° or sheared.

    Labelled are the bent zone and what ended up off the healthy surface by 0.6 % of the diagonal or more.
    """
    height, part, direction = extremity(surface, draw, draw.size(0.03, 0.14))
    if part is None or height.max() < 0.02 * surface.diagonal:
        return None
    points, height = surface.points[part], height[part]
    squat = height.max() < 0.4 * np.linalg.norm(np.ptp(points - height[:, None] * direction, axis=0))
    if squat and draw.chance(0.65):  # a turned limb shows more than a turned cap, which slides within itself
        return None
    ramp = min(draw.uniform(0.02, 0.1) * surface.diagonal, 0.8 * height.max())
    angle = np.deg2rad(draw.angle(8.0, 35.0)) * draw.rng.choice([-1.0, 1.0])
    side, axis = tangents(direction, draw.uniform(0.0, 2 * np.pi)).T
    hinge = points[height < max(0.5 * ramp, np.quantile(height, 0.1))].mean(0)
    turn = angle * smoothstep(height, 0.0, ramp)
    if draw.chance(0.65):
        arm = points - hinge
        across = np.cross(axis, arm)
        along = np.outer(arm @ axis, axis)
        moves = across * np.sin(turn)[:, None] + (along - arm) * (1.0 - np.cos(turn))[:, None]
    else:
        moves = (np.tan(turn) * height)[:, None] * side
    tree = surface.tree()
    near = nearest(tree, points, NEIGHBOURS)[1]
    place = np.full(len(surface.points), -1)
    place[part] = np.arange(len(part))
    neighbours = np.where(place[near] >= 0, place[near], np.arange(len(part))[:, None])
    # Averaged over neighbours: a single distance to the nearest sample is as noisy as the sampling.
    away = tree.query(points + moves)[0][neighbours].mean(1)
    zone = (height > 0.15 * ramp) & (height < 0.85 * ramp)
    moved = np.linalg.norm(moves, axis=1)
    limit = min(0.01 * surface.diagonal, 0.3 * float(moved.max()))
    return displaced(surface, part, moves, neighbours, zone | ((away > 0.6 * limit) & (moved > limit)))


def extremity(surface: Surface, draw: Draw, share: float) -> tuple[ndarray, ndarray | None, ndarray]:
    """A part of about `share` of the points at an end of the object, beyond a plane.

    Returns the (N,) signed height over the plane, the rows of the part (None where the plane runs along a flat face)
    and the plane's unit normal. Only what hangs together with the outermost point is taken.
    """
    centred = surface.points - surface.points.mean(0)
    choice = draw.rng.random()
    if choice < 0.4:
        axes = np.linalg.svd(centred[:: max(len(centred) // 1000, 1)], full_matrices=False)[2]
        direction = axes[draw.rng.integers(3)] * draw.rng.choice([-1.0, 1.0]) + draw.rng.normal(0, 0.15, 3)
    elif choice < 0.7:
        direction = centred[pick_centre(surface, draw.rng, 0.5)]
    else:
        direction = draw.rng.standard_normal(3)
    direction = unit(direction)
    height = centred @ direction
    height = height - np.quantile(height, 1.0 - share)
    if height.max() < 0.015 * surface.diagonal:
        return height, None, direction
    beyond = np.flatnonzero(height > 0)
    part = beyond[connected_part(surface.points[beyond], int(height[beyond].argmax()), surface.gap)]
    return height, part, direction


def displaced(surface: Surface, rows: ndarray, moves: ndarray, neighbours: ndarray, label: ndarray) -> Change:
    """A change that moves some rows; `moves`, `neighbours` and `label` are aligned with `rows`."""
    points, normals = surface.points.copy(), surface.normals.copy()
    touched = np.abs(moves).max(1) > 0
    turned = carried_normals(points[rows], normals[rows], moves, neighbours)
    points[rows[touched]] += moves[touched]
    normals[rows[touched]] = turned[touched]
    return Change.of(surface, points=points, normals=normals, labels=surface.marked(rows, label & touched))


def _swell(surface: Surface, draw: Draw, sign: float) -> Change | None:
    profile = PROFILES[draw.rng.integers(len(PROFILES))]
    low, high = (0.012, 0.04) if profile == "pimple" else (0.03, 0.15)
    radius = draw.size(low, high) * surface.diagonal
    patch = geodesic_patch(surface, pick_centre(surface, draw.rng), 1.05 * radius)
    if patch is None:
        return None
    depth = min(draw.depth(0.004, 0.04) * surface.diagonal, radius)
    if sign < 0:
        depth = min(depth, 0.8 * patch.thickness)
    shape = _profile(profile, surface, patch, radius, draw) * patch.gate
    peak = np.abs(shape).max()
    if peak <= 0:
        return None
    shape = shape / peak
    moves = (sign * depth * shape)[:, None] * patch.normal
    return displaced(surface, patch.index, moves, patch.neighbours, np.abs(shape) > LABEL_SHARE)


def _stretched(patch: Patch, draw: Draw, aspects: tuple[float, float]) -> ndarray:
    angle, aspect = draw.uniform(0.0, np.pi), draw.uniform(*aspects)
    c, s = np.cos(angle), np.sin(angle)
    turned = patch.offsets @ np.array([[c, -s], [s, c]])
    return np.hypot(turned[:, 0], turned[:, 1] / aspect)


def _profile(name: str, surface: Surface, patch: Patch, radius: float, draw: Draw) -> ndarray:
    """(M,) displacement over the patch, unscaled; zero from `radius` on."""
    rho = _stretched(patch, draw, RIDGE_ASPECT if name == "ridge" else (0.5, 1.0)) / radius
    rest = np.clip(1.0 - rho, 0.0, None)
    dome = 0.5 * (1.0 + np.cos(np.pi * np.minimum(rho, 1.0)))
    if name == "gaussian":
        return np.exp(-4.5 * rho**2) * smoothstep(rest, 0.0, 0.25)
    if name == "plateau":
        return smoothstep(rest, 0.0, draw.uniform(0.08, 0.4))
    if name == "cone":
        return rest
    if name == "skewed":
        angle, shift = draw.uniform(0.0, 2 * np.pi), draw.uniform(0.3, 0.6)
        apex = shift * np.array([np.cos(angle), np.sin(angle)])
        return np.exp(-np.square(patch.offsets / radius - apex).sum(1) / 0.18) * smoothstep(rest, 0.0, 0.3)
    if name == "ring":
        return np.exp(-(((rho - 0.6) / 0.16) ** 2)) * smoothstep(rest, 0.0, 0.15)
    if name == "crater":
        lip = draw.uniform(0.1, 0.3) * np.exp(-(((rho - 0.75) / 0.12) ** 2)) * smoothstep(rest, 0.0, 0.15)
        return smoothstep(0.7 - rho, 0.0, 0.3) - lip
    if name == "ridge":
        return dome ** draw.uniform(0.5, 1.5)
    if name == "lumpy":
        return dome * np.clip(1.0 + 0.6 * Waves.draw(draw.rng, 0.8 * radius)(surface.points[patch.index]), 0.0, None)
    if name == "pimple":
        return rest ** draw.uniform(1.0, 2.5)
    return dome
