"""Defects that take material away: hole (or pit) and broken part (or chip)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray
from scipy.spatial import KDTree

from .defects_base import Change, Draw, Surface, Waves, nearest, tangents, unit
from .defects_patch import Patch, area_around, connected_part, geodesic_patch, pick_centre
from .defects_surface import extremity


def hole(surface: Surface, draw: Draw) -> Change | None:
    """A missing patch of radius 2–9 % of the diagonal with a labelled rim, or a pit with labelled floor and walls."""
    radius = draw.size(0.02, 0.09) * surface.diagonal
    band = draw.uniform(0.01, 0.02) * surface.diagonal
    patch = geodesic_patch(surface, pick_centre(surface, draw.rng), 1.5 * radius + band)
    if patch is None:
        return None
    band = max(band, 1.2 * patch.spacing)
    inside = _outline(patch, draw, radius)
    inside[patch.gate < 0.5] = np.inf
    removed = inside < 0
    labels = surface.marked(patch.index, inside < (band if draw.chance(0.6) else 0.5 * band))
    if draw.chance(0.5):
        kept = ~surface.marked(patch.index, removed)
        return Change.of(surface, labels=labels & kept, kept=kept)
    depth = min(draw.depth(0.006, 0.04) * surface.diagonal, 0.8 * patch.thickness, radius)
    points = surface.points.copy()
    points[patch.index[removed]] -= depth * patch.normal
    return Change.of(surface, points=points, labels=labels, added=_wall(surface, patch, inside, depth, draw))


def _outline(patch: Patch, draw: Draw, radius: float) -> ndarray:
    """(M,) signed distance, about, to a round, elliptical or irregular outline; negative inside."""
    turn, aspect = draw.uniform(0.0, np.pi), draw.uniform(0.45, 1.0) if draw.chance(0.6) else 1.0
    x = patch.offsets @ np.array([np.cos(turn), np.sin(turn)])
    y = patch.offsets @ np.array([-np.sin(turn), np.cos(turn)]) / aspect
    angle, border = np.arctan2(y, x), np.ones(len(x))
    if draw.chance(0.6):
        for order in range(2, 6):
            border += draw.rng.normal(0, 0.12) * np.cos(order * angle + draw.uniform(0.0, 2 * np.pi))
    away, stretched = np.linalg.norm(patch.offsets, axis=1), np.hypot(x, y)
    unstretch = np.divide(away, stretched, out=np.ones_like(away), where=stretched > 0)
    return away - radius * np.clip(border, 0.5, 1.5) * unstretch


def _wall(surface: Surface, patch: Patch, inside: ndarray, depth: float, draw: Draw) -> tuple[ndarray, ndarray] | None:
    """Points between a pit's border and its floor, as dense as the patch, with normals towards the pit's middle."""
    border = np.flatnonzero(np.abs(inside) < 0.5 * patch.spacing)
    count = round(len(border) * depth / patch.spacing)
    if count == 0:
        return None
    # A band of one spacing holds one point per spacing of border: rows of such bands fill the depth.
    chosen = draw.rng.choice(border, count)
    flat = patch.offsets[chosen]
    inwards = -(unit(flat) @ patch.frame.T)
    along = np.cross(patch.normal, inwards) * draw.rng.uniform(-0.5, 0.5, (count, 1)) * patch.spacing
    down = draw.rng.uniform(0, depth, (count, 1)) * patch.normal
    return surface.points[patch.index[chosen]] + inside[chosen, None] * inwards + along - down, inwards


@dataclass(frozen=True, eq=False)
class Cutter:
    """Space that is cut away: beyond a plane (`radius` None) or inside a ball, both with a rough border.

    `depth` is positive where material is removed; its gradient points out of the new face.
    """

    origin: ndarray
    direction: ndarray
    radius: float | None
    roughness: float
    waves: Waves

    def depth(self, points: ndarray) -> ndarray:
        """(M,) about the distance to the new face; only its sign counts far from it."""
        offset = points - self.origin
        depth = offset @ self.direction if self.radius is None else self.radius - np.linalg.norm(offset, axis=1)
        if self.roughness > 0:
            near = np.abs(depth) < self.waves.bound * self.roughness
            depth[near] += self.roughness * self.waves(points[near])
        return depth

    def gradient(self, points: ndarray) -> ndarray:
        """(M, 3) gradient of the depth at points near the new face."""
        smooth = np.broadcast_to(self.direction, points.shape) if self.radius is None else unit(self.origin - points)
        return smooth + self.roughness * self.waves.gradient(points)

    def face(self, removed: ndarray, area: float, rng: np.random.Generator) -> tuple[ndarray, ndarray]:
        """Points on the cutting surface about the removed points, one per `area`, and their unit normals."""
        if self.radius is None:
            frame = tangents(self.direction)
            flat = (removed - self.origin) @ frame
            low, high = flat.min(0), flat.max(0)
            count = int(np.prod(high - low) / area)
            points = self.origin + rng.uniform(low, high, (count, 2)) @ frame.T
        else:
            count = int(4 * np.pi * self.radius**2 / area)
            points = self.origin + self.radius * unit(rng.standard_normal((count, 3)))
            slack = self.roughness * self.waves.bound
            points = points[((points > removed.min(0) - slack) & (points < removed.max(0) + slack)).all(1)]
        for _ in range(2):  # Newton steps onto the rough border
            gradient = self.gradient(points)
            points = points - (self.depth(points) / np.square(gradient).sum(1))[:, None] * gradient
        return points, unit(self.gradient(points))


def broken(surface: Surface, draw: Draw) -> Change | None:
    """A part cut off near an extremity, a bite, or a chipped edge; the new face is filled in half of the cases.

    Filled, the new face is labelled and a narrow rim with it; open, the rim of 1–2 % of the diagonal is.
    """
    # The forms fail unequally often; the drawn one gets a second chance, so that the easy ones do not crowd it out.
    form = (_end, _bite, _chip)[draw.rng.integers(3)]
    found = form(surface, draw) or form(surface, draw)
    if found is None:
        return None
    cutter, removed = found
    if not 8 <= removed.sum() <= 0.4 * len(removed):
        return None
    fill = surface.closed and draw.chance(0.55)
    tree, gone = surface.tree(), surface.points[removed]
    probe = draw.rng.choice(np.flatnonzero(removed), 64)
    area = area_around(surface, tree, probe)
    band = (0.005 if fill else draw.uniform(0.01, 0.02)) * surface.diagonal
    band = max(band, (0.8 if fill else 1.5) * area**0.5)
    depth = cutter.depth(surface.points)
    close = np.flatnonzero(~removed & (depth > -2.0 * band))
    away = KDTree(gone).query(surface.points[close], distance_upper_bound=band)[0]
    labels = surface.marked(close, np.isfinite(away))
    if not fill:
        return Change.of(surface, labels=labels, kept=~removed)
    added, added_normals = cutter.face(gone, area, draw.rng)
    if len(added) == 0 or len(added) > len(removed):
        return None
    keep = _within(surface, tree, added)
    beyond = np.flatnonzero(depth > 0)
    closest = beyond[KDTree(surface.points[beyond]).query(added)[1]]
    keep &= removed[closest]  # another part of the object that the same plane meets stays whole
    return Change.of(surface, labels=labels, kept=~removed, added=(added[keep], added_normals[keep]))


def _within(surface: Surface, tree: KDTree, points: ndarray) -> ndarray:
    """(M,) bool: points inside the material, by a vote of the nearest surface points' outward normals."""
    near = nearest(tree, points, 5)[1]
    return (np.einsum("mkj,mkj->mk", points[:, None] - surface.points[near], surface.normals[near]) < 0).sum(1) > 2


def _cutter(draw: Draw, origin: ndarray, direction: ndarray, radius: float | None, extent: float) -> Cutter:
    rough = draw.uniform(0.01, 0.05) * extent if draw.chance(0.6) else 0.0
    return Cutter(origin, direction, radius, rough, Waves.draw(draw.rng, draw.uniform(0.4, 1.5) * extent))


def _end(surface: Surface, draw: Draw) -> tuple[Cutter, ndarray] | None:
    height, part, direction = extremity(surface, draw, draw.size(0.005, 0.2))
    if part is None:
        return None
    level = surface.points[part] - height[part, None] * direction
    extent = float(np.ptp(surface.points[part], axis=0).max())
    cutter = _cutter(draw, level.mean(0), direction, None, 0.6 * extent)
    return _removed(surface, cutter, int(part[height[part].argmax()]), None)


def _bite(surface: Surface, draw: Draw) -> tuple[Cutter, ndarray] | None:
    seed = pick_centre(surface, draw.rng, 0.6)
    radius = draw.size(0.03, 0.14) * surface.diagonal
    origin = surface.points[seed] + draw.uniform(0.2, 0.8) * radius * surface.normals[seed]
    return _removed(surface, _cutter(draw, origin, surface.normals[seed], radius, radius), seed, None)


def _chip(surface: Surface, draw: Draw) -> tuple[Cutter, ndarray] | None:
    seed = pick_centre(surface, draw.rng, 1.0)
    radius = draw.size(0.03, 0.14) * surface.diagonal
    patch = geodesic_patch(surface, seed, radius)
    if patch is None:
        return None
    direction = unit(patch.normal + draw.rng.normal(0, 0.2, 3))
    floor = patch.centre - draw.uniform(0.1, 0.4) * radius * direction
    # A plane takes a corner; along a straight edge it would never leave the object, but a wide ball does.
    ball = draw.uniform(1.0, 2.5) * radius if draw.chance(0.6) else None
    origin = floor if ball is None else floor + ball * direction
    return _removed(surface, _cutter(draw, origin, direction, ball, 0.5 * radius), seed, 2.0 * radius)


def _removed(surface: Surface, cutter: Cutter, seed: int, reach: float | None) -> tuple[Cutter, ndarray] | None:
    """The cutter and what it takes of the part that hangs together with the seed; None if that goes beyond `reach`."""
    beyond = np.flatnonzero(cutter.depth(surface.points) > 0)
    where = np.flatnonzero(beyond == seed)
    if len(where) == 0 or len(beyond) > 0.6 * len(surface.points):
        return None
    part = beyond[connected_part(surface.points[beyond], int(where[0]), surface.gap)]
    if reach is not None and np.linalg.norm(surface.points[part] - surface.points[seed], axis=1).max() > reach:
        return None
    return cutter, surface.marked(part)
