"""Printed, cast and bent parts with many features, none of which repeats another."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from random import Random

import torch

from ..outlines import extruded, ngon, polygon, slot
from ..solids import Field, box, capsule, cone, cylinder, drill, half_space, torus, union
from .family import Solid, family

Spot = tuple[float, float]


def _spots(rng: Random, count: int, a: float, b: float, apart: float) -> list[Spot]:
    """Up to `count` places on the rectangle of half sizes a and b, no two closer than `apart`."""
    spots: list[Spot] = []
    for _ in range(6 * count):
        u, v = rng.uniform(-a, a), rng.uniform(-b, b)
        if len(spots) < count and all(math.hypot(u - x, v - y) > apart for x, y in spots):
            spots.append((u, v))
    return spots


def _added(rng: Random) -> Field:
    """A feature that stands on z = 0: a boss, rib, gusset, hook, clip, eye or pad."""
    size, high = rng.uniform(0.05, 0.13), rng.uniform(0.06, 0.25)
    makers: dict[str, Callable[[], Field]] = {
        "boss": lambda: cylinder(size, high, 0.01) - cylinder(size * rng.uniform(0.4, 0.65), high).up(high * 0.5),
        "cone": lambda: cone(size * 1.4, size * 0.8, high),
        "rib": lambda: box(size * rng.uniform(1.5, 3), 0.03, high, 0.01),
        "gusset": lambda: extruded(polygon([(-size, -0.02), (2 * size, -0.02), (-size, 1.5 * high)]), 0.03).turned("x"),
        "hook": lambda: capsule((0, 0, 0), (0, 0, high), 0.045) | capsule((0, 0, high), (size * 1.5, 0, high), 0.045),
        "clip": lambda: (
            (cylinder(size + 0.04, 0.06) - cylinder(size, 1) - box(1, size * 0.7, 1).moved(1))
            .turned("y", -math.pi / 2)
            .up(size)
        ),
        "eye": lambda: box(size, 0.035, high, 0.02) - drill(size * 0.5).turned("x").up(high - size),
        "pad": lambda: extruded(slot(size, size * rng.uniform(0.5, 1)), high * 0.4, bevel=0.01),
        "post": lambda: box(size, size * rng.uniform(0.5, 1), high, 0.015),
    }
    return makers[rng.choice(list(makers))]().turned("z", rng.choice((0, 1, 2, 3, rng.uniform(0, 4))) * math.pi / 2)


def _removed(rng: Random, depth: float) -> Field:
    """A feature cut from z = 0: a hole, slot, counterbore, pocket or hexagon, through or `depth` deep."""
    size, deep = rng.uniform(0.035, 0.12), rng.choice((depth, 3.0))
    makers: dict[str, Callable[[], Field]] = {
        "hole": lambda: cylinder(size, deep),
        "slot": lambda: extruded(slot(size * rng.uniform(0.8, 2), size * 0.6), deep),
        "counterbore": lambda: cylinder(size * 0.6, 3) | cylinder(size * 1.2, depth),
        "pocket": lambda: box(size * 1.5, size * rng.uniform(0.7, 1.5), depth, 0.02),
        "hexagon": lambda: extruded(ngon(6, size), deep),
    }
    return makers[rng.choice(list(makers))]().turned("z", rng.choice((0, 1, rng.uniform(0, 2))) * math.pi / 2)


def _featured(rng: Random, body: Field, a: float, b: float, depth: float, count: int) -> Field:
    """`body` with up to `count` different features on its face at z = 0, which has half sizes a and b."""
    for u, v in _spots(rng, count, a - 0.1, b - 0.1, 0.26):
        body = body | _added(rng).moved(u, v) if rng.random() < 0.5 else body - _removed(rng, depth).moved(u, v)
    return body


@family("flat")
def printed_bracket(rng: Random) -> Solid:
    """A plate, L, U or slanted bracket with four to twelve different features, placed irregularly."""
    kind = rng.choice(("plate", "L", "L", "U", "slant"))
    thick, a, b = rng.uniform(0.04, 0.09), rng.uniform(0.7, 0.9), rng.uniform(0.4, 0.75)
    base = box(a, b, thick, rng.choice((0.0, 0.015))).up(-thick)
    if rng.random() < 0.5:  # cut a corner off
        base &= half_space((rng.choice((-1, 1)), rng.choice((-1, 1)), 0), (a + b) * rng.uniform(0.55, 0.68))
    body = _featured(rng, base, a, b, thick, rng.randint(3, 7))
    walls = {"plate": (), "L": (-1,), "U": (-1, 1), "slant": (-1,)}[kind]
    for side in walls:
        high = rng.uniform(0.3, 0.6)
        part = b * rng.uniform(0.6, 1.0)
        wall = box(high, part, thick).up(-thick)
        wall = _featured(rng, wall, high, part, thick, rng.randint(1, 4))
        lean = rng.uniform(0.2, 0.5) if kind == "slant" else 0.0
        wall = wall.moved(-high).turned("y", math.pi / 2 + lean).moved(0, rng.uniform(-1, 1) * (b - part))
        wall = wall if side == -1 else wall.turned("z", math.pi)
        body = union(body, wall.moved(side * (a - 2 * thick), 0, -thick), blend=rng.choice((0.0, 0.05, 0.1)))
        if rng.random() < 0.6:
            reach, foot = rng.uniform(0.2, 0.5), side * (a - thick)
            corner = [(foot, -thick), (foot - side * reach, -thick), (foot, high * rng.uniform(0.6, 1.2))]
            gusset = extruded(polygon(corner), rng.uniform(0.025, 0.05)).turned("x")
            body |= gusset.moved(0, rng.uniform(-0.8, 0.8) * part)
    drop = 0.3 if walls else 0.0
    return Solid(body.moved(0, 0, -drop) & box(1.05, 1.05, 1.05), "printed bracket")


@family("flat")
def printed_holder(rng: Random) -> Solid:
    """Cradles and rings of unequal size along a crooked spine, with a screw ear and a clip."""
    bend_, thick, deep = rng.uniform(-0.3, 0.3), rng.uniform(0.05, 0.09), rng.uniform(0.1, 0.3)
    spine = [(-0.85, rng.uniform(-0.2, 0.2)), (-0.1, bend_), (0.8, rng.uniform(-0.2, 0.2))]
    line = union(*(capsule((*p, 0), (*q, 0), thick) for p, q in pairwise(spine)))
    body = extruded(lambda u, v: line(u, v, torch.zeros_like(u)), deep)
    holes: list[Field] = []
    for x in (-0.7, -0.2, 0.3, 0.75)[: rng.randint(2, 4)]:
        start, end = spine[0 if x < -0.1 else 1], spine[1 if x < -0.1 else 2]
        y = start[1] + (end[1] - start[1]) * (x - start[0]) / (end[0] - start[0])
        inner, side = rng.uniform(0.08, 0.2), rng.choice((-1, 1))
        wall, half = rng.uniform(0.04, 0.07), deep * rng.uniform(0.5, 1.2)
        at = (x, y + side * (inner + wall + thick - 0.05))
        body = union(body, cylinder(inner + wall, half).moved(*at), blend=rng.choice((0.0, 0.05)))
        hole = drill(inner)
        if rng.random() < 0.6:  # an open clip
            hole |= box(0.4, inner * rng.uniform(0.5, 0.8), 3).moved(0.4).turned("z", side * rng.uniform(0.8, 2.2))
        holes.append(hole.moved(*at) & box(0.05 + 2 * inner, 2, 3).moved(x))
    ear = box(rng.uniform(0.12, 0.2), rng.uniform(0.15, 0.25), 0.05, 0.02) - drill(rng.uniform(0.04, 0.08))
    end = spine[0] if rng.random() < 0.5 else spine[2]
    ear = ear.turned("x", rng.choice((0, math.pi / 2))).moved(end[0], end[1], rng.choice((-1, 1)) * deep * 0.6)
    stop = box(0.03, rng.uniform(0.12, 0.25), deep, 0.01).moved(rng.uniform(-0.4, 0.4), bend_)
    return Solid((union(body, stop) - union(*holes)) | ear, "printed cable holder")


@family("flat")
def enclosure(rng: Random) -> Solid:
    """A thin-walled box with a lip, unequal screw posts, cut-outs, a cable port and hinge ears; its top may slant."""
    a, b, c = rng.uniform(0.75, 0.9), rng.uniform(0.45, 0.8), rng.uniform(0.25, 0.5)
    wall, edge = rng.uniform(0.035, 0.06), rng.uniform(0.02, 0.12)
    body = box(a, b, c, edge) - box(a - wall, b - wall, c, max(edge - wall, 0.01)).up(2 * wall)
    if rng.random() < 0.6:
        body |= box(a - wall * 0.5, b - wall * 0.5, c + 0.04) - box(a - wall, b - wall, 2) - box(2, 2, c).up(-0.1)
    for sx in (-1, 1):
        for sy in (-1, 1):
            if rng.random() < 0.7:
                size, high = rng.uniform(0.05, 0.11), c * rng.uniform(0.5, 0.95)
                post = cylinder(size, high) - cylinder(size * 0.5, high).up(high * 0.6)
                post = post.moved(sx * (a - size - rng.uniform(0.02, 0.15)), sy * (b - size - 0.03), high - c + wall)
                body |= post
    if rng.random() < 0.6:
        body |= box(0.02, b - 0.01, c * rng.uniform(0.3, 0.7)).moved(rng.uniform(-0.4, 0.4), 0, -c * 0.35)
    for turn, reach, room in ((0, a, b), (1, b, a), (2, a, b), (3, b, a)):
        for u, _ in _spots(rng, rng.randint(0, 3), room - 0.2, 0.0, 0.3):
            hole = _removed(rng, 3 * wall).turned("y").moved(reach, u, rng.uniform(-0.3, 0.3) * c)
            body -= (hole & box(0.2, 2, 2).moved(reach)).turned("z", turn * math.pi / 2)
    if rng.random() < 0.6:
        port = (cylinder(0.13, 0.1) - cylinder(0.08, 1)).turned("y")
        body |= port.moved(a + 0.06, rng.uniform(-0.5, 0.5) * b, rng.uniform(-0.3, 0.3) * c)
    if rng.random() < 0.4:
        body &= half_space((rng.uniform(-0.4, 0.4), rng.uniform(-0.3, 0.3), 1), c * rng.uniform(0.6, 0.9))
    for _ in range(rng.randint(0, 3)):
        ear = (cylinder(0.1, 0.04) | box(0.08, 0.1, 0.04).moved(0, -0.1)) - drill(0.045)
        body |= ear.moved(rng.uniform(-0.7, 0.7) * a, b + 0.08, -c + rng.uniform(0.05, 0.2))
    return Solid(body, "electronics enclosure")


@family("free", stretch=True)
def cast_housing(rng: Random) -> Solid:
    """Unequal drums and boxes run together, with bores, lugs, ribs and a flange."""
    blend = rng.uniform(0.03, 0.12)
    masses, ends = [], []
    for index in range(rng.randint(3, 5)):
        radius, half = rng.uniform(0.17, 0.38), rng.uniform(0.2, 0.45)
        at = (rng.uniform(-0.4, 0.4), rng.uniform(-0.35, 0.35), rng.uniform(-0.3, 0.3))
        axis, turn = rng.choice("xyz"), rng.choice((1, -1)) * math.pi / 2
        mass = box(radius, radius * rng.uniform(0.7, 1.2), half, 0.05) if index and rng.random() < 0.35 else None
        mass = mass or cylinder(radius, half, 0.02)
        bore = cylinder(radius * rng.uniform(0.4, 0.75), half).up(half * rng.uniform(0.5, 1.3))
        collar = cylinder(radius + rng.uniform(0.02, 0.08), 0.04, 0.01).up(half - 0.03)
        for part, bin_ in ((mass | collar if rng.random() < 0.5 else mass, masses), (bore, ends)):
            bin_.append(part.turned(axis, turn).moved(*at))
    hub = cylinder(rng.uniform(0.25, 0.4), rng.uniform(0.25, 0.45), 0.03)
    body = union(hub, *masses, blend=blend)
    if rng.random() < 0.7:
        foot = box(rng.uniform(0.5, 0.8), rng.uniform(0.4, 0.7), 0.05, 0.02).moved(rng.uniform(-0.15, 0.15))
        holes = [drill(rng.uniform(0.03, 0.07)).moved(u, v) for u, v in _spots(rng, 5, 0.6, 0.5, 0.3)]
        body = union(body, (foot - union(*holes)).up(-0.5), cylinder(0.25, 0.25).up(-0.3), blend=blend)
    for _ in range(rng.randint(2, 5)):
        angle, high = rng.uniform(0, math.tau), rng.uniform(-0.3, 0.3)
        far = rng.uniform(0.5, 0.75)
        lug = capsule((0, 0, 0), (far, 0, 0), 0.14, rng.uniform(0.07, 0.11)) & box(2, 2, rng.uniform(0.04, 0.08))
        lug -= drill(0.045).moved(far)
        body = union(body, lug.turned("z", angle).up(high), blend=blend / 2)
    for _ in range(rng.randint(0, 4)):
        rib = box(rng.uniform(0.4, 0.6), 0.025, rng.uniform(0.2, 0.4)).turned("z", rng.uniform(0, 3))
        body = union(body, rib, blend=0.03)
    return Solid(body - union(*ends), "cast housing")


@family("flat")
def manifold(rng: Random) -> Solid:
    """Pipes of unequal size that leave a block or a drum in several directions, bored, with rims and bolts."""
    a, b, c = rng.uniform(0.3, 0.5), rng.uniform(0.25, 0.45), rng.uniform(0.2, 0.4)
    body = box(a, b, c, 0.02) if rng.random() < 0.6 else cylinder(b, a, 0.03).turned("y")
    bores: list[Field] = []
    for index in range(rng.randint(3, 6)):
        turn, long = (index % 4) * math.pi / 2 + rng.choice((0, 0, rng.uniform(-0.4, 0.4))), rng.uniform(0.6, 0.92)
        radius = rng.uniform(0.08, 0.19)
        pipe = capsule((0, 0, 0), (0, 0, long), radius)
        rim = rng.choice((
            cylinder(radius + 0.05, 0.06, 0.01), extruded(ngon(6, radius + 0.03), 0.07),
            torus(radius, 0.035), (cylinder(radius + 0.12, 0.035) - drill(0.025).moved(radius + 0.07).polar(4)),
        ))  # fmt: skip
        pipe |= rim.up(long - 0.1)
        pipe &= half_space((0, 0, 1), long - 0.02)
        bore = capsule((0, 0, 0.1), (0, 0, 1.4), radius * rng.uniform(0.6, 0.75))
        shift = rng.uniform(-0.6, 0.6) * a if index % 2 else 0.0, rng.uniform(-0.3, 0.3) * b
        tilt = rng.choice(("x", "y")) if index > 3 else ("y" if index % 2 == 0 else "x")
        turned = [part.turned(tilt, turn + (math.pi / 2 if index % 2 == 0 else 0)) for part in (pipe, bore)]
        body = union(body, turned[0].moved(*shift), blend=rng.choice((0.0, 0.04)))
        bores.append(turned[1].moved(*shift))
    for u, v in _spots(rng, rng.randint(2, 5), a - 0.05, b - 0.05, 0.2):
        body |= extruded(ngon(6, rng.uniform(0.03, 0.06)), 0.05).moved(u, v, c + 0.01)
    return Solid(body - union(*bores), "manifold")


@family("flat")
def sheet_metal(rng: Random) -> Solid:
    """A thin sheet bent along a few lines, with unequal holes and slots, and tabs bent up at its sides."""
    half, wide = rng.uniform(0.016, 0.024), rng.uniform(0.35, 0.7)
    x, z, angle, pieces = 0.0, 0.0, rng.choice((0.0, math.pi / 2)), []
    turns, middle = [0.0], []
    for _ in range(rng.randint(1, 4)):
        turns.append(rng.choice((-1, 1)) * rng.choice((math.pi / 2, math.pi / 4, rng.uniform(0.4, 1.5))))
    for turn in turns:
        angle += turn
        long, part = rng.uniform(0.18, 0.5), wide * rng.uniform(0.6, 1.0)
        sheet = box(long + half, part, half)
        for u, v in _spots(rng, rng.randint(0, 4), long - 0.08, part - 0.08, 0.24):
            sheet -= _removed(rng, 1.0).scaled(0.8).moved(u, v)
        if rng.random() < 0.4:
            tab = box(rng.uniform(0.06, long), half, rng.uniform(0.08, 0.2)) - drill(0.03).turned("x").up(0.06)
            side = rng.choice((-1, 1))
            sheet |= tab.moved(rng.uniform(-0.3, 0.3) * long, side * (part - half), rng.choice((-0.1, 0.1)))
        cosine, sine = math.cos(angle), math.sin(angle)
        sheet = sheet.moved(0, rng.uniform(-1, 1) * (wide - part)).turned("y", -angle)
        pieces.append(sheet.moved(x + cosine * long, 0, z + sine * long))
        x, z = x + 2 * cosine * long, z + 2 * sine * long
        middle.append((x, z))
    spans = [(min(p[i] for p in [(0.0, 0.0), *middle]), max(p[i] for p in [(0.0, 0.0), *middle])) for i in (0, 1)]
    body = union(*pieces).moved(-sum(spans[0]) / 2, 0, -sum(spans[1]) / 2)
    reach = max(0.5 * max(high - low for low, high in spans) + 0.25, wide)
    return Solid(body.scaled(min(1.4, 0.97 / reach)), "bent sheet")
