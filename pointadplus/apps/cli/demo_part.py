"""A part to try inspection on, made in code: its nominal, normal scans of it, and scans with defects."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray

from .output import check_outputs, make_folder

Triangles = NDArray[np.float64]  # (F, 3, 3) corners, counter-clockwise seen from outside

NOISE = 0.02  # mm, of a scan along the normals
LEAN = 0.02  # mm at the wall's upper edge: what one good part differs from the next by
POINTS = 40_000
SEGMENTS = 48  # of a round hole


def write_part(folder: Path, seed: int, points: int = POINTS) -> list[Path]:
    """Write a bracket of 80 × 50 × 40 mm, `part.stl`, four scans each in `good` and `more-good`, and six in `scans`.

    Scans are of the whole surface, in poses of their own, with noise. Says how many there are; the six come back.

    Raises:
        ConfigError: they cannot be written.
    """
    from ...cloud import PointCloud
    from ...io import write_cloud

    check_outputs(folders=[folder])
    make_folder(folder)
    chance = np.random.default_rng(seed)
    (folder / "part.stl").write_bytes(stl(bracket()))
    normals = [f"{place}/{number}" for place in ("good", "more-good") for number in range(1, 5)]
    files = []
    for name, (triangles, change) in [*((name, HEALTHY) for name in normals), *SCANS.items()]:
        file = folder / f"{name}.ply"
        make_folder(file.parent)
        write_cloud(file, PointCloud.create(scanned(triangles(), change, points, chance)))
        files += [file] * (name in SCANS)
    typer.echo(f"a bracket of 80 × 50 × 40 mm: its nominal, {len(normals)} normal scans and {len(files)} to judge")
    return files


def bracket(holes: int = 2, boss: float = 0.0) -> Triangles:
    """A foot with two round holes, a boss that is shifted by `boss`, a wall and a rib; closed, in mm.

    It is made of the cells of a grid, so that the faces of neighbours meet at whole edges.
    """
    x = np.array([0.0, 10, 30, 38, 52, 60 + boss, 72 + boss, 80])
    y = np.array([0.0, 8, 22, 30, 34, 44, 50])
    z = np.array([0.0, 10, 16, 20, 40])
    solid = np.zeros((7, 6, 4), bool)
    solid[:, :, 0] = True  # the foot
    solid[0] = True  # the wall
    solid[1, 2, :3] = True  # the rib
    solid[5, 4, 1] = True  # the boss
    bored = {(3, 1): 5.0, (5, 1): 4.0}
    bored = dict(list(bored.items())[:holes])
    return np.array([*_faces(solid, (x, y, z), bored)])


def _faces(solid: NDArray[np.bool_], lines: tuple[NDArray, ...], bored: dict[tuple[int, int], float]) -> Iterator[Any]:
    """Triangles between solid cells and empty ones; where a hole is bored, along z, rings and the hole's side."""
    padded = np.pad(solid, 1)
    for cell in zip(*np.nonzero(solid), strict=True):
        ends = [(line[i], line[i + 1]) for line, i in zip(lines, cell, strict=True)]
        for axis, side in product(range(3), range(2)):
            beside = np.array(cell) + 1
            beside[axis] += 2 * side - 1
            if padded[tuple(beside)]:
                continue
            u, v = (axis + 1) % 3, (axis + 2) % 3
            corners = np.zeros((4, 3))
            corners[:, axis] = ends[axis][side]
            corners[:, u], corners[:, v] = [ends[u][k] for k in (0, 1, 1, 0)], [ends[v][k] for k in (0, 0, 1, 1)]
            radius = bored.get(cell[:2]) if axis == 2 else None
            found = [[0, 1, 2], [0, 2, 3]] if radius is None else _RING
            rim = [] if radius is None else corners.mean(0) + radius * _CIRCLE
            places = np.array([*corners, *rim])
            yield from (places[face[:: 2 * side - 1]] for face in np.array(found))
        if radius := bored.get(cell[:2]):
            low, high = (np.array([*map(np.mean, ends[:2]), z]) + radius * _CIRCLE for z in ends[2])
            for one, other in zip(range(SEGMENTS), np.roll(range(SEGMENTS), -1), strict=True):
                yield from ([low[one], high[one], high[other]], [low[one], high[other], low[other]])


def _ring() -> list[list[int]]:
    """Triangles between the corners 0 to 3 of a square and a circle in it, 4 to 4 + SEGMENTS, from the first corner."""
    quarter, found = SEGMENTS // 4, []
    for corner in range(4):
        first = 4 + corner * quarter
        rim = [*range(first, first + quarter), 4 + (corner + 1) * quarter % SEGMENTS]
        found += [[corner, rim[i + 1], rim[i]] for i in range(quarter)]
        found.append([corner, (corner + 1) % 4, rim[-1]])
    return found


_ANGLE = np.arange(SEGMENTS) * 2 * math.pi / SEGMENTS - math.pi  # a quarter turn of it lies about each corner
_CIRCLE = np.stack([np.cos(_ANGLE), np.sin(_ANGLE), 0 * _ANGLE], 1)
_RING = _ring()


def scanned(
    triangles: Triangles, change: Callable[[NDArray], NDArray], points: int, chance: np.random.Generator
) -> NDArray:
    """(N, 3) places all over a surface, changed, with noise along the normals, in a pose of their own."""
    edges = triangles[:, 1:] - triangles[:, :1]
    across = np.cross(edges[:, 0], edges[:, 1])
    twice = np.linalg.norm(across, axis=1)
    chosen = chance.choice(len(triangles), points, p=twice / twice.sum())
    shares = chance.random((points, 2))
    shares = np.where(shares.sum(1, keepdims=True) > 1, 1 - shares, shares)
    places = triangles[chosen, 0] + (shares[..., None] * edges[chosen]).sum(1)
    places[:, 0] += LEAN * chance.normal() * np.clip(places[:, 2] - 10, 0, None) / 30
    places = change(places) + (across / twice[:, None])[chosen] * NOISE * chance.normal(size=(points, 1))
    turn = np.linalg.qr(chance.normal(size=(3, 3)))[0]
    return places @ (turn * np.linalg.det(turn)).T + chance.uniform(-50, 50, 3)


def _dented(places: NDArray) -> NDArray:
    """A dent of 0.8 mm in the upper face of the foot, 12 mm across."""
    depth = 0.8 * np.exp(-((places[:, :2] - [66, 28]) ** 2).sum(1) / (2 * 3.0**2))
    return places - np.c_[0 * depth, 0 * depth, depth * (places[:, 2] > 9)]


def _bent(places: NDArray) -> NDArray:
    """The wall leans, by 0.9 mm at its upper edge."""
    return places + np.c_[0.9 * (np.clip(places[:, 2] - 10, 0, None) / 30) ** 2, np.zeros((len(places), 2))]


def _as_it_is(places: NDArray) -> NDArray:
    return places


HEALTHY = (bracket, _as_it_is)
SCANS: dict[str, tuple[Callable[[], Triangles], Callable[[NDArray], NDArray]]] = {
    "scans/healthy-1": HEALTHY,
    "scans/healthy-2": HEALTHY,
    "scans/dent": (bracket, _dented),
    "scans/hole-missing": (lambda: bracket(holes=1), _as_it_is),
    "scans/boss-shifted": (lambda: bracket(boss=1.0), _as_it_is),
    "scans/wall-bent": (bracket, _bent),
}


def stl(triangles: Triangles) -> bytes:
    """A binary STL."""
    rows = np.zeros(len(triangles), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("more", "<u2")])
    rows["corners"] = triangles
    return b"\0" * 80 + np.uint32(len(triangles)).tobytes() + rows.tobytes()
