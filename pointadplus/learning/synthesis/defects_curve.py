"""Defects along thin curves on the surface: scratch and crack."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray
from scipy.spatial import KDTree

from .defects_base import Change, Draw, Surface, nearest, smoothstep, tangents, unit
from .defects_patch import NEIGHBOURS, area_around, pick_centre
from .defects_surface import LABEL_SHARE, displaced

LENGTHS = (0.08, 0.35)  # of the diagonal
WIDTHS = (0.004, 0.015)


@dataclass(frozen=True, eq=False)
class Tube:
    """The points near a curve: rows, distance in half-widths, and the curve's normal there."""

    rows: ndarray
    distance: ndarray
    normals: ndarray
    neighbours: ndarray


def scratch(surface: Surface, draw: Draw) -> Change | None:
    """A groove 0.2–1.2 % of the diagonal deep, with or without a raised burr at its sides."""
    tube = _tube(surface, draw, wobble=draw.uniform(0.02, 0.2), reach=2.6, branch=0.0)
    if tube is None:
        return None
    depth = draw.depth(0.002, 0.012) * surface.diagonal
    groove = np.clip(1.0 - tube.distance ** draw.uniform(1.0, 3.0), 0.0, None)
    burr = draw.uniform(0.15, 0.5) * draw.chance(0.5) * np.exp(-(((tube.distance - 1.5) / 0.35) ** 2))
    shape = (burr * (tube.distance < 2.5) - groove) * depth
    moves = shape[:, None] * tube.normals
    return displaced(surface, tube.rows, moves, tube.neighbours, np.abs(shape) > LABEL_SHARE * depth)


def crack(surface: Surface, draw: Draw) -> Change | None:
    """A jagged line, often branched: either a missing strip with sunken edges or a steep groove."""
    tube = _tube(surface, draw, wobble=draw.uniform(0.2, 0.6), reach=3.2, branch=0.4)
    if tube is None:
        return None
    depth = draw.depth(0.002, 0.012) * surface.diagonal
    if draw.chance(0.4):
        shape = np.clip(1.0 - tube.distance, 0.0, None) ** 0.5 * 2.0
        moves = -depth * shape[:, None] * tube.normals
        return displaced(surface, tube.rows, moves, tube.neighbours, shape > 2.0 * LABEL_SHARE)
    sunken = 1.0 - smoothstep(tube.distance, 1.0, 2.5)
    moves = -depth * sunken[:, None] * tube.normals
    change = displaced(surface, tube.rows, moves, tube.neighbours, sunken > 0)
    kept = ~surface.marked(tube.rows, tube.distance < 1.0)
    labels = surface.marked(tube.rows, tube.distance < 3.0)  # the edges are anomalous even where they did not sink
    return Change.of(surface, points=change.points, normals=change.normals, labels=labels & kept, kept=kept)


def _tube(surface: Surface, draw: Draw, *, wobble: float, reach: float, branch: float) -> Tube | None:
    """Walk a curve and collect the points within `reach` half-widths of it that face the way it faces."""
    length = draw.size(*LENGTHS) * surface.diagonal
    start = pick_centre(surface, draw.rng)
    tree = surface.tree()
    near_start = nearest(tree, surface.points[start], 64)[1]
    spacing = area_around(surface, tree, near_start) ** 0.5
    # Narrower than the sampling, a groove would only be noise on single points.
    half = max(0.5 * draw.size(*WIDTHS) / draw.scale * surface.diagonal, 0.9 * spacing)
    walker = Walker(surface, tree, max(spacing, 0.006 * surface.diagonal), wobble, draw.rng)
    path, facing = walker.both_ways(start, length)
    if len(path) < 3 or walker.step * (len(path) - 1) < min(0.5 * length, 0.06 * surface.diagonal):
        return None
    curve, curve_normals, widths = _resampled(path, facing, half)
    if draw.chance(branch):
        knee = int(draw.rng.integers(len(path) // 4, max(3 * len(path) // 4, len(path) // 4 + 1)))
        twig, twig_facing = walker.one_way(path[knee], facing[knee], walker.heading(facing[knee]), 0.4 * length)
        if len(twig) >= 3:
            extra = _resampled(twig, twig_facing, half)
            curve, curve_normals = np.concatenate([curve, extra[0]]), np.concatenate([curve_normals, extra[1]])
            widths = np.concatenate([widths, 0.7 * extra[2]])
    low, high = curve.min(0) - reach * half, curve.max(0) + reach * half
    rows = np.flatnonzero(((surface.points >= low) & (surface.points <= high)).all(1))
    distance, knot = nearest(KDTree(curve), surface.points[rows], 1, reach * half)
    hit = np.isfinite(distance)
    rows, distance, knot = rows[hit], distance[hit], knot[hit]
    hit = np.einsum("ij,ij->i", surface.normals[rows], curve_normals[knot]) > 0.1
    rows, distance, knot = rows[hit], distance[hit], knot[hit]
    if len(rows) < NEIGHBOURS:
        return None
    around = nearest(KDTree(surface.points[rows]), surface.points[rows], NEIGHBOURS)[1]
    return Tube(rows, distance / (half * widths[knot]), curve_normals[knot], around)


def _resampled(path: ndarray, facing: ndarray, half: float) -> tuple[ndarray, ndarray, ndarray]:
    """Points every third of a half-width along a path, their normals, and a relative width tapering at the ends."""
    pieces = max(int(np.ceil(np.linalg.norm(path[1] - path[0]) / (0.33 * half))), 1)
    knots = np.arange(len(path))
    at = np.linspace(0, len(path) - 1, pieces * (len(path) - 1) + 1)
    along = lambda values: np.stack([np.interp(at, knots, values[:, i]) for i in range(3)], 1)  # noqa: E731
    ends = np.minimum(at, at[::-1]) / at[-1]
    return along(path), unit(along(facing)), 0.5 + 0.5 * smoothstep(ends, 0.0, 0.15)


@dataclass(frozen=True, eq=False)
class Walker:
    """A walk on the surface that keeps its direction: each step is laid on the plane of the nearest points.

    `wobble` is the standard deviation, in radians, by which single steps leave the slowly turning course.
    """

    surface: Surface
    tree: KDTree
    step: float
    wobble: float
    rng: np.random.Generator

    def heading(self, normal: ndarray) -> ndarray:
        return tangents(normal, self.rng.uniform(0, 2 * np.pi))[:, 0]

    def both_ways(self, start: int, length: float) -> tuple[ndarray, ndarray]:
        """A path of about `length` through the start row: forward, and backward where forward ended at a border."""
        point, normal = self.surface.points[start], self.surface.normals[start]
        heading = self.heading(normal)
        path, facing = self.one_way(point, normal, heading, length)
        rest = length - self.step * (len(path) - 1)
        if rest < self.step:
            return path, facing
        back, back_facing = self.one_way(point, normal, -heading, rest)
        return np.concatenate([back[:0:-1], path]), np.concatenate([back_facing[:0:-1], facing])

    def one_way(self, point: ndarray, normal: ndarray, heading: ndarray, length: float) -> tuple[ndarray, ndarray]:
        """(S, 3) points and (S, 3) unit normals from `point` on; shorter where the surface ends."""
        path, facing, drift = [point], [normal], self.rng.normal(0, 0.1 * self.wobble)
        for _ in range(int(np.ceil(length / self.step))):
            astray = self.rng.normal(0, self.wobble)
            target = point + self.step * (np.cos(astray) * heading + np.sin(astray) * np.cross(normal, heading))
            distances, near = nearest(self.tree, target, NEIGHBOURS)
            same_side = self.surface.normals[near] @ normal > -0.2
            distances, near = distances[same_side], near[same_side]
            if len(near) < 2 or distances[0] > 1.5 * self.step:
                break
            weights = 1.0 / (distances + 0.5 * self.step) ** 2
            weights /= weights.sum()
            normal = unit(weights @ self.surface.normals[near])
            point = target - ((target - weights @ self.surface.points[near]) @ normal) * normal
            turn = drift + self.rng.normal(0, 0.3 * self.wobble)
            heading = heading - (heading @ normal) * normal
            heading = unit(np.cos(turn) * heading + np.sin(turn) * np.cross(normal, heading))
            path.append(point)
            facing.append(normal)
        return np.array(path), np.array(facing)
