"""Things cut from plate or drawn as bars: a plane figure, extruded."""

from __future__ import annotations

import math
from random import Random

from .family import Family, Solid
from .outlines import PlaneField, disc, extruded, ngon, polygon, slot, star
from .solids import Number, box, cylinder, difference, mirrored, moved, row, turned, twisted, union

_THROUGH = 3.0


def _figure(rng: Random, size: Number = 0.95) -> tuple[PlaneField, str]:
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


def _section(rng: Random, size: Number) -> list[tuple[Number, Number]]:
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


FAMILIES = {
    "extrusion": Family(extrusion, "flat"),
    "twisted_bar": Family(twisted_bar, "plain"),
    "plate": Family(plate, "flat"),
    "bracket": Family(bracket, "flat", stretch=True),
}
