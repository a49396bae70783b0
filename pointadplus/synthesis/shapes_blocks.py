"""Plates, blocks, housings and other things with flat faces."""

from __future__ import annotations

import math
from random import Random

from .family import Family, Solid
from .outlines import PlaneField, disc, extruded, ngon, polygon, slot, star
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
    superquadric,
    torus,
    turned,
    twisted,
    union,
)

_THROUGH = 3.0


def _figure(rng: Random, size: float = 0.95) -> tuple[PlaneField, str]:
    """A random plane figure about `size` in radius, and its name."""
    kind = rng.choice(("polygon", "star", "regular", "letter", "cross", "free"))
    if kind == "star":
        return star(rng.randint(4, 9), size, size * rng.uniform(0.4, 0.75)), "star"
    if kind == "regular":
        return ngon(rng.randint(3, 8), size * 0.8), "prism"
    if kind == "cross":
        arm = size * rng.uniform(0.25, 0.45)
        return polygon(
            [
                (arm, arm),
                (size, arm),
                (size, -arm),
                (arm, -arm),
                (arm, -size),
                (-arm, -size),
                (-arm, -arm),
                (-size, -arm),
                (-size, arm),
                (-arm, arm),
                (-arm, size),
                (arm, size),
            ]
        ), "cross"
    if kind == "letter":
        return polygon(_section(rng, size)), "profile bar"
    count = rng.randint(5, 9)
    low = 0.75 if kind == "polygon" else 0.4
    angles = [math.tau * (index + rng.uniform(-0.25, 0.25)) / count for index in range(count)]
    return polygon(
        [
            (size * rng.uniform(low, 1) * math.cos(angle), size * rng.uniform(low, 1) * math.sin(angle))
            for angle in angles
        ]
    ), "cut plate"


def _section(rng: Random, size: float) -> list[tuple[float, float]]:
    """The outline of an L, U, T, H or Z bar."""
    s, w, h = size, size * rng.uniform(0.2, 0.45), size * rng.uniform(0.6, 1.0)
    outlines = {
        "L": [(-s, -h), (s, -h), (s, w - h), (w - s, w - h), (w - s, h), (-s, h)],
        "U": [(-s, -h), (s, -h), (s, h), (s - w, h), (s - w, w - h), (w - s, w - h), (w - s, h), (-s, h)],
        "T": [(-s, h), (-s, h - w), (-w / 2, h - w), (-w / 2, -h), (w / 2, -h), (w / 2, h - w), (s, h - w), (s, h)],
        "H": [
            (-s, -h),
            (-s + w, -h),
            (-s + w, -w / 2),
            (s - w, -w / 2),
            (s - w, -h),
            (s, -h),
            (s, h),
            (s - w, h),
            (s - w, w / 2),
            (w - s, w / 2),
            (w - s, h),
            (-s, h),
        ],
        "Z": [(-s, h), (-s, h - w), (-w / 2, h - w), (-w / 2, -h), (s, -h), (s, w - h), (w / 2, w - h), (w / 2, h)],
    }
    return outlines[rng.choice("LUTHZ")]


def extrusion(rng: Random) -> Solid:
    figure, name = _figure(rng)
    half, bevel = rng.uniform(0.12, 0.9), rng.choice((0.0, 0.03, 0.08))
    body = extruded(figure, half, bevel=bevel) if rng.random() < 0.7 else extruded(figure, half, edge=0.06)
    if rng.random() < 0.4:
        body = difference(body, cylinder(rng.uniform(0.1, 0.25), _THROUGH))
    return Solid(body, name)


def twisted_bar(rng: Random) -> Solid:
    figure, _ = _figure(rng, rng.uniform(0.4, 0.6))
    body = twisted(extruded(figure, 0.9), rng.uniform(0.5, 2.0) * rng.choice((-1, 1)))
    ends = mirrored(moved(cylinder(rng.uniform(0.3, 0.6), 0.08, 0.02), 0, 0, 0.88), 2)
    return Solid(union(body, ends) if rng.random() < 0.5 else body, "twisted bar")


def plate(rng: Random) -> Solid:
    """A plate with a grid of holes or slots, corner holes and perhaps a raised rim."""
    a, b, half = 0.95, rng.uniform(0.5, 0.95), rng.uniform(0.04, 0.12)
    corner = rng.uniform(0.03, 0.3)
    body = extruded(lambda u, v: box(a, b, 9, corner)(u, v, u * 0), half, bevel=rng.choice((0, 0.02)))
    across, up = rng.randint(1, 5), rng.randint(1, 4)
    pitch_u, pitch_v = 1.5 / across, 1.5 * b / up
    room = 0.4 * min(pitch_u, pitch_v)
    cut: PlaneField = rng.choice(
        (
            disc(room * 0.8),
            ngon(6, room * 0.7),
            slot(max(0.01, 0.4 * pitch_u - room * 0.5), room * 0.5),
            ngon(4, room * 0.8),
        )
    )
    holes = row(row(extruded(cut, _THROUGH), 0, pitch_u, across), 1, pitch_v, up)
    if rng.random() < 0.5:
        rim = difference(box(a, b, half + 0.1, 0.02), box(a - 0.07, b - 0.07, 1))
        body = union(body, rim)
    return Solid(difference(body, holes), "perforated plate")


def bracket(rng: Random) -> Solid:
    """Two plates at right angles with gussets, holes and slots."""
    wide, thick, tall = rng.uniform(0.4, 0.8), rng.uniform(0.06, 0.12), rng.uniform(0.6, 0.95)
    base = moved(box(0.9, wide, thick, 0.015), 0, 0, -tall)
    wall = moved(box(thick, wide, tall, 0.015), -0.9 + thick)
    gusset = extruded(
        polygon([(-0.85, -tall), (rng.uniform(0.0, 0.6), -tall), (-0.85, rng.uniform(-0.1, tall - 0.2))]), 0.05
    )
    gusset = turned(gusset, "x", math.pi / 2)
    ribs = mirrored(moved(gusset, 0, wide * rng.uniform(0.5, 0.9)), 1) if rng.random() < 0.5 else gusset
    holes = mirrored(moved(extruded(slot(rng.choice((0, 0.1)), 0.1), 0.3), 0.6, wide * 0.5, -tall), 1)
    bore = moved(turned(cylinder(wide * rng.uniform(0.25, 0.4), 0.3), "y", math.pi / 2), -0.9, 0, tall * 0.45)
    return Solid(difference(union(base, wall, ribs, blend=rng.choice((0, 0.05))), holes, bore), "bracket")


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
            tools.append(lambda x, y, z, plane=half_space((0, -1, -1), -(b + c) * 0.6): plane(x, y, z))
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
    if rng.random() < 0.4:
        body = difference(body, row(moved(torus(half[0] * 1.05, 0.05), 0, 0, 0), 2, 0.25, rng.randint(1, 4)))
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
    body = intersection(
        box(0.7, 0.7, 0.7, rng.uniform(0.02, 0.15)), lambda x, y, z: (x * x + y * y + z * z).sqrt() - rng_radius
    )
    rng_radius = rng.uniform(0.95, 1.25)
    grid, at = rng.randint(1, 3), 0.7
    pip = row(row(cone(0.05, 0.13, 0.06), 0, 0.4, grid), 1, 0.4, grid)
    tools = [
        mirrored(moved(pip, 0, 0, at), 2),
        mirrored(moved(turned(pip, "x", -math.pi / 2), 0, at), 1),
        mirrored(moved(turned(pip, "y", math.pi / 2), at), 0),
    ]
    return Solid(difference(body, *tools[: rng.randint(1, 3)]), "die with pips")


FAMILIES = {
    "extrusion": Family(extrusion, "flat"),
    "twisted_bar": Family(twisted_bar, "plain"),
    "plate": Family(plate, "flat"),
    "bracket": Family(bracket, "flat", stretch=True),
    "brick": Family(brick, "plain"),
    "housing": Family(housing, "flat", stretch=True),
    "machined_block": Family(machined_block, "flat", stretch=True),
    "heat_sink": Family(heat_sink, "plain", stretch=True),
    "rounded_solid": Family(rounded_solid, "wrapped", stretch=True),
    "faceted": Family(cut_gem, "plain", stretch=True),
    "handset": Family(keypad, "plain"),
    "die": Family(dice, "free"),
}
