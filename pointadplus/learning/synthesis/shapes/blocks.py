"""Plates, bars, blocks and housings: things with flat faces."""

from __future__ import annotations

import math
from functools import reduce
from operator import and_
from random import Random

from ..outlines import PlaneField, disc, extruded, ngon, polygon, rectangle, slot, star
from ..solids import THROUGH, Field, box, cone, cylinder, drill, half_space, sphere, superquadric, union
from .family import Solid, family


def _figure(rng: Random, size: float = 0.95) -> tuple[PlaneField, str]:
    """A random plane figure about `size` in radius, and its name."""
    kind = rng.choice(("polygon", "star", "regular", "letter", "cross", "free"))
    if kind == "star":
        return star(rng.randint(4, 9), size, size * rng.uniform(0.4, 0.75)), "star"
    if kind == "regular":
        return ngon(rng.randint(3, 8), size * 0.8), "prism"
    if kind == "cross":
        s, a = size, size * rng.uniform(0.25, 0.45)
        corners = [
            (a, a), (s, a), (s, -a), (a, -a), (a, -s), (-a, -s), (-a, -a), (-s, -a), (-s, a), (-a, a), (-a, s), (a, s),
        ]  # fmt: skip
        return polygon(corners), "cross"
    if kind == "letter":
        return polygon(_section(rng, size)), "profile bar"
    count = rng.randint(5, 9)
    low = 0.75 if kind == "polygon" else 0.4
    angles = [math.tau * (index + rng.uniform(-0.25, 0.25)) / count for index in range(count)]
    corners = [
        (size * rng.uniform(low, 1) * math.cos(angle), size * rng.uniform(low, 1) * math.sin(angle)) for angle in angles
    ]
    return polygon(corners), "cut plate"


def _section(rng: Random, size: float) -> list[tuple[float, float]]:
    """The outline of an L, U, T, H or Z bar."""
    s, w, h = size, size * rng.uniform(0.2, 0.45), size * rng.uniform(0.6, 1.0)
    outlines = {
        "L": [(-s, -h), (s, -h), (s, w - h), (w - s, w - h), (w - s, h), (-s, h)],
        "U": [(-s, -h), (s, -h), (s, h), (s - w, h), (s - w, w - h), (w - s, w - h), (w - s, h), (-s, h)],
        "T": [(-s, h), (-s, h - w), (-w / 2, h - w), (-w / 2, -h), (w / 2, -h), (w / 2, h - w), (s, h - w), (s, h)],
        "H": [(-s, -h), (w - s, -h), (w - s, -w / 2), (s - w, -w / 2), (s - w, -h), (s, -h),
              (s, h), (s - w, h), (s - w, w / 2), (w - s, w / 2), (w - s, h), (-s, h)],
        "Z": [(-s, h), (-s, h - w), (-w / 2, h - w), (-w / 2, -h), (s, -h), (s, w - h), (w / 2, w - h), (w / 2, h)],
    }  # fmt: skip
    return outlines[rng.choice("LUTHZ")]


@family("flat")
def extrusion(rng: Random) -> Solid:
    figure, name = _figure(rng)
    half, bevel = rng.uniform(0.12, 0.9), rng.choice((0.0, 0.03, 0.08))
    body = extruded(figure, half, bevel=bevel) if rng.random() < 0.7 else extruded(figure, half, edge=0.06)
    if rng.random() < 0.4:
        body -= drill(rng.uniform(0.1, 0.25))
    return Solid(body, name)


@family("plain")
def twisted_bar(rng: Random) -> Solid:
    figure, _ = _figure(rng, rng.uniform(0.4, 0.6))
    body = extruded(figure, 0.9).twisted(rng.uniform(0.5, 2.0) * rng.choice((-1, 1)))
    ends = cylinder(rng.uniform(0.3, 0.6), 0.08, 0.02).up(0.88).mirrored("z")
    return Solid(body | ends if rng.random() < 0.5 else body, "twisted bar")


@family("flat")
def plate(rng: Random) -> Solid:
    """A plate with a grid of holes or slots, corner holes and perhaps a raised rim."""
    a, b, half = 0.95, rng.uniform(0.5, 0.95), rng.uniform(0.04, 0.12)
    body = extruded(rectangle(a, b, rng.uniform(0.03, 0.3)), half, bevel=rng.choice((0, 0.02)))
    across, up = rng.randint(1, 5), rng.randint(1, 4)
    pitch_u, pitch_v = 1.5 / across, 1.5 * b / up
    room = 0.4 * min(pitch_u, pitch_v)
    oblong = slot(max(0.01, 0.4 * pitch_u - room * 0.5), room * 0.5)
    cut = rng.choice((disc(room * 0.8), ngon(6, room * 0.7), oblong, ngon(4, room * 0.8)))
    holes = extruded(cut, THROUGH).row("x", pitch_u, across).row("y", pitch_v, up)
    if rng.random() < 0.5:
        body |= box(a, b, half + 0.1, 0.02) - box(a - 0.07, b - 0.07, 1)
    return Solid(body - holes, "perforated plate")


@family("flat", stretch=True)
def bracket(rng: Random) -> Solid:
    """Two plates at right angles with gussets, holes and slots."""
    wide, thick, tall = rng.uniform(0.4, 0.8), rng.uniform(0.06, 0.12), rng.uniform(0.6, 0.95)
    base = box(0.9, wide, thick, 0.015).up(-tall)
    wall = box(thick, wide, tall, 0.015).moved(-0.9 + thick)
    triangle = [(-0.85, -tall), (rng.uniform(0.0, 0.6), -tall), (-0.85, rng.uniform(-0.1, tall - 0.2))]
    ribs = extruded(polygon(triangle), 0.05).turned("x")
    if rng.random() < 0.5:
        ribs = ribs.moved(0, wide * rng.uniform(0.5, 0.9)).mirrored("y")
    holes = extruded(slot(rng.choice((0, 0.1)), 0.1), 0.3).moved(0.6, wide * 0.5, -tall).mirrored("y")
    bore = cylinder(wide * rng.uniform(0.25, 0.4), 0.3).turned("y").moved(-0.9, 0, tall * 0.45)
    return Solid(union(base, wall, ribs, blend=rng.choice((0, 0.05))) - holes - bore, "bracket")


@family("plain")
def brick(rng: Random) -> Solid:
    across, up, pitch = rng.randint(1, 6), rng.randint(1, 3), 0.3
    half = rng.choice((0.06, 0.18))
    body = box(across * pitch / 2, up * pitch / 2, half, 0.008)
    body -= box(across * pitch / 2 - 0.04, up * pitch / 2 - 0.04, half).up(-0.05)
    body |= cylinder(0.09, 0.05, 0.008).up(half + 0.04).row("x", pitch, across).row("y", pitch, up)
    if across > 1 and up > 1:
        body |= (cylinder(0.1, half) - cylinder(0.07, 2)).row("x", pitch, across - 1).row("y", pitch, up - 1)
    return Solid(body.scaled(min(1.9 / (max(across, up) * pitch), 3.5)), "brick with studs")


@family("flat", stretch=True)
def housing(rng: Random) -> Solid:
    """An open box with bosses, ribs, vents and a flange."""
    a, b, c = 0.9, rng.uniform(0.5, 0.85), rng.uniform(0.25, 0.6)
    wall = rng.uniform(0.05, 0.08)
    body = box(a, b, c, rng.uniform(0.02, 0.1)) - box(a - wall, b - wall, c, 0.03).up(wall)
    body |= (cylinder(0.12, c - 0.05) - cylinder(0.06, c).up(0.2)).moved(a - 0.17, b - 0.17, -0.03).mirrored("xy")
    if rng.random() < 0.5:
        count = rng.randint(2, 6)
        body |= box(0.025, b - 0.02, 0.08).up(-c + 0.1).row("x", 1.2 / count, count)
    if rng.random() < 0.4:
        body |= (box(0.99, b + 0.09, 0.03) - box(a - wall, b - wall, 1)).up(c - 0.05)
    count = rng.randint(3, 9)
    vents = box(0.03, 0.3, c * 0.5, 0.02).moved(0, -b).row("x", 1.3 / count, count)
    port = cylinder(rng.uniform(0.08, 0.2), 0.2).turned("y").moved(a)
    return Solid(body - vents - port, "housing")


@family("flat", stretch=True)
def machined_block(rng: Random) -> Solid:
    """A block with steps, pockets, through holes, counterbores, slots and chamfers."""
    a, b, c = rng.uniform(0.6, 0.95), rng.uniform(0.5, 0.95), rng.uniform(0.3, 0.9)
    body = box(a, b, c, rng.choice((0, 0, 0.05)))
    for _ in range(rng.randint(2, 5)):
        body -= _cut(rng, a, b, c)
    return Solid(body, "machined block")


def _cut(rng: Random, a: float, b: float, c: float) -> Field:
    """What a mill or a drill takes from a block of half sizes a, b, c."""
    x, y = rng.uniform(-0.6, 0.6) * a, rng.uniform(-0.6, 0.6) * b
    radius = rng.uniform(0.07, 0.22)
    cuts = {
        "hole": lambda: drill(radius * 0.6).moved(x, y),
        "counterbore": lambda: drill(radius * 0.6).moved(x, y) | cylinder(radius, 0.15).moved(x, y, c),
        "pocket": lambda: box(radius * 1.8, radius * 1.3, 0.25, 0.04).moved(x, y, c),
        "slot": lambda: box(THROUGH, radius * 0.7, 0.2).moved(0, y, c),
        "step": lambda: box(a, THROUGH, c).moved(a * rng.uniform(1.1, 1.6), 0, c * rng.uniform(0.9, 1.5)),
        "chamfer": lambda: half_space((0, -1, -1), -(b + c) * 0.6),
        "cross hole": lambda: drill(radius).turned("x").moved(x, 0, rng.uniform(-0.4, 0.4) * c),
    }
    return cuts[rng.choice(list(cuts))]()


@family("plain", stretch=True)
def heat_sink(rng: Random) -> Solid:
    count, half = rng.randint(5, 12), rng.uniform(0.3, 0.6)
    pitch = 1.8 / count
    base = box(0.93, 0.8, 0.08).up(-half)
    fins = box(pitch * rng.uniform(0.16, 0.26), 0.8, half).row("x", pitch, count)
    if rng.random() < 0.4:
        fins -= box(2, 0.04, 2).row("y", 0.32, rng.randint(2, 5))
        fins &= box(2, 2, half * 0.98)
    holes = drill(0.06).moved(0.8, 0.68).mirrored("xy")
    return Solid((base | fins) - holes, "heat sink")


@family(stretch=True)
def rounded_solid(rng: Random) -> Solid:
    half = (rng.uniform(0.4, 0.95), rng.uniform(0.4, 0.95), rng.uniform(0.4, 0.95))
    return Solid(superquadric(half, rng.uniform(0.2, 1.6), rng.uniform(0.2, 1.6)), "rounded solid")


@family("plain", stretch=True)
def faceted(rng: Random) -> Solid:
    """A convex body of flat facets in rings around z, as of a cut gem."""
    count, table = rng.randint(5, 10), rng.uniform(0.35, 0.6)
    planes = [half_space((0, 0, 1), table), half_space((0, 0, -1), 0.9)]
    for tilt, reach in ((0.0, 0.85), (rng.uniform(0.5, 0.9), 0.82), (-rng.uniform(0.5, 0.9), rng.uniform(0.7, 0.8))):
        facet = half_space((math.cos(tilt), 0, math.sin(tilt)), reach)
        planes.append(facet.polar(count).turned("z", rng.choice((0, math.pi / count))))
    return Solid(reduce(and_, planes), "faceted body")


@family("plain")
def handset(rng: Random) -> Solid:
    """A hand-held device: a rounded slab with a grid of keys, a window and grips."""
    wide, half = rng.uniform(0.35, 0.55), rng.uniform(0.1, 0.2)
    body = box(wide, 0.95, half, rng.uniform(0.05, 0.09))
    across, up = rng.randint(2, 4), rng.randint(3, 6)
    key = rng.choice((box(0.07, 0.06, 0.04, 0.015), cylinder(0.065, 0.04, 0.015), extruded(ngon(6, 0.065), 0.04)))
    keys = key.row("x", 1.5 * wide / across, across).row("y", 0.17, up).moved(0, -0.35, half)
    window = box(wide * 0.75, 0.22, 0.03).moved(0, 0.6, half)
    speaker = box(0.15, 0.01, 0.03).row("y", 0.04, 4).moved(0, 0.87, half)
    grips = box(0.03, 0.02, half).row("y", 0.07, rng.randint(3, 8)).moved(wide).mirrored("x")
    return Solid((body | keys) - window - speaker - grips, "handset with keys")


@family()
def die(rng: Random) -> Solid:
    """A cube, perhaps cut by a sphere, with pips or grooves on its faces."""
    body = box(0.7, 0.7, 0.7, rng.uniform(0.02, 0.15)) & sphere(rng.uniform(0.95, 1.25))
    grid, at = rng.randint(1, 3), 0.7
    pips = cone(0.05, 0.13, 0.06).row("x", 0.4, grid).row("y", 0.4, grid)
    faces = [
        pips.up(at).mirrored("z"),
        pips.turned("x", -math.pi / 2).moved(0, at).mirrored("y"),
        pips.turned("y").moved(at).mirrored("x"),
    ]
    for face in faces[: rng.randint(1, 3)]:
        body -= face
    return Solid(body, "die with pips")
