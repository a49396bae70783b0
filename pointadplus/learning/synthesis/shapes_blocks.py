"""Blocks, housings and other things with flat faces."""

from __future__ import annotations

import math
from random import Random

from .family import Family, Solid
from .outlines import extruded, ngon
from .solids import (
    Field,
    box,
    cone,
    cylinder,
    difference,
    half_space,
    intersection,
    mirrored,
    moved,
    polar,
    row,
    scaled,
    sphere,
    superquadric,
    turned,
    union,
)

_THROUGH = 3.0


def brick(rng: Random) -> Solid:
    across, up, pitch = rng.randint(1, 6), rng.randint(1, 3), 0.3
    half = rng.choice((0.06, 0.18))
    body = box(across * pitch / 2, up * pitch / 2, half, 0.008)
    stud = moved(cylinder(0.09, 0.05, 0.008), 0, 0, half + 0.04)
    hollow = moved(box(across * pitch / 2 - 0.04, up * pitch / 2 - 0.04, half), 0, 0, -0.05)
    studs = row(row(stud, 0, pitch, across), 1, pitch, up)
    inside = (
        [row(row(difference(cylinder(0.1, half), cylinder(0.07, 2)), 0, pitch, across - 1), 1, pitch, up - 1)]
        if across > 1 and up > 1
        else []
    )
    size = 1.9 / (max(across, up) * pitch)
    size = min(size, 3.5)
    return Solid(scaled(union(difference(body, hollow), studs, *inside), size, size, size), "brick with studs")


def housing(rng: Random) -> Solid:
    """An open box with bosses, ribs, vents and a flange."""
    a, b, c = 0.9, rng.uniform(0.5, 0.85), rng.uniform(0.25, 0.6)
    wall = rng.uniform(0.05, 0.08)
    body = difference(box(a, b, c, rng.uniform(0.02, 0.1)), moved(box(a - wall, b - wall, c, 0.03), 0, 0, wall))
    boss = mirrored(
        moved(difference(cylinder(0.12, c - 0.05), moved(cylinder(0.06, c), 0, 0, 0.2)), a - 0.17, b - 0.17, -0.03),
        0,
        1,
    )
    parts: list[Field] = [body, boss]
    if rng.random() < 0.5:
        count = rng.randint(2, 6)
        parts.append(row(moved(box(0.025, b - 0.02, 0.08), 0, 0, -c + 0.1), 0, 1.2 / count, count))
    if rng.random() < 0.4:
        parts.append(moved(difference(box(0.99, b + 0.09, 0.03), box(a - wall, b - wall, 1)), 0, 0, c - 0.05))
    count = rng.randint(3, 9)
    vents = row(moved(box(0.03, 0.3, c * 0.5, 0.02), 0, -b), 0, 1.3 / count, count)
    port = moved(turned(cylinder(rng.uniform(0.08, 0.2), 0.2), "y", math.pi / 2), a)
    return Solid(difference(union(*parts), vents, port), "housing")


def machined_block(rng: Random) -> Solid:
    """A block with steps, pockets, through holes, counterbores, slots and chamfers."""
    a, b, c = rng.uniform(0.6, 0.95), rng.uniform(0.5, 0.95), rng.uniform(0.3, 0.9)
    body = box(a, b, c, rng.choice((0, 0, 0.05)))
    tools: list[Field] = []
    for _ in range(rng.randint(2, 5)):
        x, y = rng.uniform(-0.6, 0.6) * a, rng.uniform(-0.6, 0.6) * b
        radius = rng.uniform(0.07, 0.22)
        kind = rng.choice(("hole", "counterbore", "pocket", "slot", "step", "chamfer", "cross"))
        if kind in ("hole", "counterbore"):
            tools.append(moved(cylinder(radius * 0.6, _THROUGH), x, y))
        if kind == "counterbore":
            tools.append(moved(cylinder(radius, 0.15), x, y, c))
        if kind == "pocket":
            tools.append(moved(box(radius * 1.8, radius * 1.3, 0.25, 0.04), x, y, c))
        if kind == "slot":
            tools.append(moved(box(_THROUGH, radius * 0.7, 0.2), 0, y, c))
        if kind == "step":
            tools.append(moved(box(a, _THROUGH, c), a * rng.uniform(1.1, 1.6), 0, c * rng.uniform(0.9, 1.5)))
        if kind == "chamfer":
            tools.append(half_space((0, -1, -1), -(b + c) * 0.6))
        if kind == "cross":
            tools.append(moved(turned(cylinder(radius, _THROUGH), "x", math.pi / 2), x, 0, rng.uniform(-0.4, 0.4) * c))
    return Solid(difference(body, *tools), "machined block")


def heat_sink(rng: Random) -> Solid:
    count, half = rng.randint(5, 12), rng.uniform(0.3, 0.6)
    pitch = 1.8 / count
    base = moved(box(0.93, 0.8, 0.08), 0, 0, -half)
    fin = row(box(pitch * rng.uniform(0.16, 0.26), 0.8, half), 0, pitch, count)
    if rng.random() < 0.4:
        fin = difference(fin, row(box(2, 0.04, 2), 1, 0.32, rng.randint(2, 5)))
        fin = intersection(fin, moved(box(2, 2, half * 0.98), 0, 0, 0))
    holes = mirrored(moved(cylinder(0.06, _THROUGH), 0.8, 0.68), 0, 1)
    return Solid(difference(union(base, fin), holes), "heat sink")


def rounded_solid(rng: Random) -> Solid:
    half = (rng.uniform(0.4, 0.95), rng.uniform(0.4, 0.95), rng.uniform(0.4, 0.95))
    body = superquadric(half, rng.uniform(0.2, 1.6), rng.uniform(0.2, 1.6))
    return Solid(body, "rounded solid")


def cut_gem(rng: Random) -> Solid:
    """A convex body of flat facets in rings around z."""
    count, table = rng.randint(5, 10), rng.uniform(0.35, 0.6)
    planes = [half_space((0, 0, 1), table), half_space((0, 0, -1), 0.9)]
    for tilt, reach in ((0.0, 0.85), (rng.uniform(0.5, 0.9), 0.82), (-rng.uniform(0.5, 0.9), rng.uniform(0.7, 0.8))):
        facet = half_space((math.cos(tilt), 0, math.sin(tilt)), reach)
        planes.append(turned(polar(facet, count), "z", rng.choice((0, math.pi / count))))
    return Solid(intersection(*planes), "faceted body")


def keypad(rng: Random) -> Solid:
    """A hand-held device: a rounded slab with a grid of keys, a window and grips."""
    wide, half = rng.uniform(0.35, 0.55), rng.uniform(0.1, 0.2)
    body = box(wide, 0.95, half, rng.uniform(0.05, 0.09))
    across, up = rng.randint(2, 4), rng.randint(3, 6)
    key = rng.choice((box(0.07, 0.06, 0.04, 0.015), cylinder(0.065, 0.04, 0.015), extruded(ngon(6, 0.065), 0.04)))
    keys = moved(row(row(key, 0, 1.5 * wide / across, across), 1, 0.17, up), 0, -0.35, half)
    window = moved(box(wide * 0.75, 0.22, 0.03), 0, 0.6, half)
    speaker = moved(row(box(0.15, 0.01, 0.03), 1, 0.04, 4), 0, 0.87, half)
    grips = mirrored(moved(row(box(0.03, 0.02, half), 1, 0.07, rng.randint(3, 8)), wide), 0)
    return Solid(difference(union(body, keys), window, speaker, grips), "handset with keys")


def dice(rng: Random) -> Solid:
    """A cube, perhaps cut by a sphere, with pips or grooves on its faces."""
    body = intersection(box(0.7, 0.7, 0.7, rng.uniform(0.02, 0.15)), sphere(rng.uniform(0.95, 1.25)))
    grid, at = rng.randint(1, 3), 0.7
    pip = row(row(cone(0.05, 0.13, 0.06), 0, 0.4, grid), 1, 0.4, grid)
    tools = [
        mirrored(moved(pip, 0, 0, at), 2),
        mirrored(moved(turned(pip, "x", -math.pi / 2), 0, at), 1),
        mirrored(moved(turned(pip, "y", math.pi / 2), at), 0),
    ]
    return Solid(difference(body, *tools[: rng.randint(1, 3)]), "die with pips")


FAMILIES = {
    "brick": Family(brick, "plain"),
    "housing": Family(housing, "flat", stretch=True),
    "machined_block": Family(machined_block, "flat", stretch=True),
    "heat_sink": Family(heat_sink, "plain", stretch=True),
    "rounded_solid": Family(rounded_solid, stretch=True),
    "faceted": Family(cut_gem, "plain", stretch=True),
    "handset": Family(keypad, "plain"),
    "die": Family(dice, "free"),
}
