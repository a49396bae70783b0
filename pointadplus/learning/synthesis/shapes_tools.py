"""Hand and power tools."""

from __future__ import annotations

import math
from random import Random

from .family import Family, Solid
from .outlines import extruded, ngon, turned_profile
from .solids import (
    Field,
    Number,
    box,
    capsule,
    cone,
    cylinder,
    difference,
    length,
    mirrored,
    moved,
    polar,
    row,
    scaled,
    torus,
    turned,
    union,
)


def _grip(rng: Random, radius: Number, half: Number) -> Field:
    """A handle along z: plain, fluted, ringed or with finger waves."""
    kind = rng.choice(("plain", "flutes", "rings", "waves"))
    body = cylinder(radius, half, radius * 0.4)
    if kind == "flutes":
        return difference(body, polar(moved(cylinder(radius * 0.25, half * 0.8), radius * 1.1), rng.randint(6, 10)))
    if kind == "rings":
        return difference(body, row(torus(radius, radius * 0.15), 2, half * 0.3, rng.randint(3, 6)))
    if kind == "waves":
        return turned_profile(
            [
                (0.02, -half),
                *[(radius * (0.85 + 0.2 * math.sin(14 * t / 30 * 3)), -half + 2 * half * t / 30) for t in range(31)],
                (0.02, half),
            ]
        )
    return body


def hammer(rng: Random) -> Solid:
    handle = moved(scaled(_grip(rng, 0.11, 0.45), 1, 0.8, 1), 0, 0, -0.45)
    shaft = capsule((0, 0, -0.1), (0, 0, 0.65), 0.07)
    face = turned(cylinder(rng.uniform(0.14, 0.2), 0.18, 0.03), "y", math.pi / 2)
    back = rng.choice(
        (
            moved(turned(cone(0.16, 0.03, 0.25), "y", -math.pi / 2), -0.35),
            moved(box(0.25, 0.12, 0.05, 0.02), -0.3),
            moved(face, -0.45),
        )
    )
    head = union(moved(face, 0.4), box(0.3, 0.11, 0.13, 0.02), back)
    return Solid(union(handle, shaft, moved(head, 0, 0, 0.7)), "hammer")


def screwdriver(rng: Random) -> Solid:
    handle = moved(_grip(rng, rng.uniform(0.16, 0.22), 0.4), 0, 0, -0.5)
    tip = rng.choice((moved(box(0.1, 0.025, 0.1), 0, 0, 0.85), moved(extruded(ngon(6, 0.06), 0.1), 0, 0, 0.86)))
    collar = moved(cylinder(0.12, 0.05, 0.01), 0, 0, -0.08)
    return Solid(union(handle, capsule((0, 0, -0.3), (0, 0, 0.8), 0.06), collar, tip), "screwdriver")


def wrench(rng: Random) -> Solid:
    half, bar = rng.uniform(0.06, 0.1), rng.uniform(0.08, 0.14)
    jaw, ring = rng.uniform(0.22, 0.3), rng.uniform(0.18, 0.25)
    head = union(moved(cylinder(jaw, half, 0.015), 0.68), moved(cylinder(ring, half, 0.015), -0.72))
    shaft = box(0.7, bar, half * 0.8, 0.03)
    mouth = moved(turned(box(0.3, jaw * 0.5, 1), "z", 0.26), 0.9, 0.04)
    tools = [mouth, moved(extruded(ngon(rng.choice((6, 12)), ring * 0.6), 1), -0.72)]
    if rng.random() < 0.6:
        tools.append(
            mirrored(
                moved(
                    extruded(lambda u, v: length((u.abs() - 0.35).clamp(min=0), v) - bar * 0.5, 0.03), 0, 0, half * 0.8
                ),
                2,
            )
        )
    return Solid(difference(union(head, shaft, blend=0.08), *tools), "wrench")


def power_tool(rng: Random) -> Solid:
    """A drill-like tool: motor body, chuck and bit, grip with trigger, battery."""
    radius = rng.uniform(0.2, 0.26)
    body = moved(turned(cylinder(radius, 0.42, 0.06), "y", math.pi / 2), -0.2, 0, 0.5)
    vents = moved(row(box(0.02, 0.5, 0.08), 0, 0.07, rng.randint(3, 6)), -0.4, 0, 0.5)
    chuck = moved(turned(cone(radius * 0.8, radius * 0.4, 0.14), "y", math.pi / 2), 0.36, 0, 0.5)
    teeth = moved(turned(polar(moved(cylinder(0.02, 0.1), radius * 0.7), 10), "y", math.pi / 2), 0.32, 0, 0.5)
    bit = capsule((0.4, 0, 0.5), (0.95, 0, 0.5), 0.035)
    grip = capsule((-0.25, 0, 0.4), (-0.38, 0, -0.5), 0.14, 0.12)
    trigger = moved(box(0.06, 0.06, 0.1, 0.03), -0.14, 0, 0.16)
    battery = moved(box(rng.uniform(0.25, 0.34), 0.2, 0.13, 0.04), -0.34, 0, -0.66)
    groove = moved(difference(box(0.5, 0.5, 0.012), box(0.2, 0.15, 1)), -0.34, 0, -0.6)
    main = difference(union(body, grip, blend=0.06), vents)
    return Solid(union(main, difference(chuck, teeth), bit, trigger, difference(battery, groove)), "power drill")


FAMILIES = {
    "hammer": Family(hammer, "plain"),
    "screwdriver": Family(screwdriver, "plain"),
    "wrench": Family(wrench, "flat"),
    "power_tool": Family(power_tool, stretch=True),
}
