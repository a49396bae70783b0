"""Vessels to pour and to spray from, with unequal parts on their sides."""

from __future__ import annotations

import math
from random import Random

from ..outlines import smooth_curve, turned_profile
from ..solids import (
    Field,
    Vector,
    arc,
    box,
    capsule,
    cone,
    cylinder,
    ellipsoid,
    half_space,
    sphere,
    superquadric,
    torus,
    tube,
    union,
)
from .details import sway
from .family import Solid, family


@family(stretch=True)
def spray_bottle(rng: Random) -> Solid:
    """A flat-sided body with a waist on one side, a collar, and a head with trigger and nozzle."""
    wide, deep, lean = rng.uniform(0.3, 0.45), rng.uniform(0.2, 0.32), rng.uniform(-0.12, 0.12)
    body = superquadric((wide, deep, 0.55), rng.uniform(0.2, 0.4), rng.uniform(0.3, 0.8)).up(-0.42)
    shoulder = capsule((0, 0, -0.15), (lean, 0, 0.25), deep * rng.uniform(0.8, 1.0), 0.13)
    body = union(body, shoulder, blend=rng.uniform(0.05, 0.15))
    if rng.random() < 0.6:  # a hollow for the hand
        body -= ellipsoid(0.14, 1, rng.uniform(0.12, 0.25)).moved(wide * rng.uniform(1.0, 1.15), 0, -0.1)
    if rng.random() < 0.6:  # a field for the label, on one side
        body -= box(wide * 0.6, 0.04, 0.25, 0.03).moved(rng.uniform(-0.05, 0.05), -deep, -0.5)
    collar = cylinder(rng.uniform(0.15, 0.19), 0.08, 0.01) - cylinder(0.02, 1).moved(0.18).polar(rng.randint(12, 24))
    long, drop = rng.uniform(0.3, 0.5), rng.uniform(0.0, 0.12)
    head: list[Vector] = [(-0.25, 0, 0.6 + drop), (0.05, 0, 0.66), (long, 0, 0.64)]
    top = tube(head, [rng.uniform(0.06, 0.12), 0.14, rng.uniform(0.08, 0.12)], blend=0.08)
    if rng.random() < 0.5:
        top = box(0.33, 0.11, 0.12, 0.04).moved(long - 0.3, 0, 0.65) & half_space((-0.7, 0, 0.6), 0.55)
    neck = capsule((0, 0, 0.3), (0, 0, 0.6), 0.1, 0.12)
    pull: list[Vector] = [
        (long - 0.08, 0, 0.6), (long - rng.uniform(0.1, 0.2), 0, 0.4), (long - rng.uniform(-0.05, 0.1), 0, 0.18),
    ]  # fmt: skip
    trigger = tube(pull, [0.05, 0.045, 0.035]).scaled(1, rng.uniform(1, 1.5), 1)
    nozzle = box(0.06, 0.09, 0.09, 0.01).turned("x", rng.uniform(0, 0.7)).moved(long + 0.1, 0, 0.64)
    nozzle |= cylinder(0.04, 0.03).turned("y").moved(long + 0.17, 0, 0.64)
    spraying = union(top, neck, blend=0.05) | collar.up(0.3) | trigger | nozzle
    return Solid(body | spraying.turned("z", rng.uniform(-0.6, 0.6)).moved(lean), "spray bottle")


def _pot(rng: Random, wide: float, low: float, high: float) -> Field:
    """A turned belly between two heights."""
    widest = rng.randint(0, 3)
    knots = [
        (wide * (1 if index == widest else rng.uniform(0.65, 0.95)), low + (high - low) * index / 4)
        for index in range(5)
    ]
    return turned_profile([(knots[0][0] - 0.05, low - 0.03), *smooth_curve(knots)])


@family()
def kettle(rng: Random) -> Solid:
    """A belly with a bent spout, a handle elsewhere than opposite to it or over the top, and a lid."""
    wide, low, high = rng.uniform(0.38, 0.52), rng.uniform(-0.8, -0.6), rng.uniform(0.1, 0.4)
    belly = _pot(rng, wide, low, high)
    start, mouth = rng.uniform(low + 0.15, low + 0.4), rng.uniform(high - 0.1, high + 0.25)
    out = wide + rng.uniform(0.25, 0.42)
    line: list[Vector] = [
        (wide * 0.6, 0, start),
        (wide + 0.12, 0, start + rng.uniform(0.0, 0.2)),
        (out - 0.1, rng.uniform(-0.05, 0.05), mouth - rng.uniform(0.1, 0.2)),
        (out, 0, mouth),
    ]
    spout = tube(line, [rng.uniform(0.12, 0.18), 0.1, 0.065, rng.uniform(0.05, 0.08)], blend=0.05)
    kind = rng.choice(("over", "side", "side", "stick"))
    thick = rng.uniform(0.035, 0.06)
    around = math.pi + rng.uniform(-1.6, 1.6) * rng.choice((0.3, 1))
    if kind == "over":
        ring = wide * rng.uniform(0.75, 0.95)
        handle = arc(ring, thick, rng.uniform(1.5, 1.7)).scaled(1, 1.3, rng.uniform(0.8, 1.1)).up(high - 0.08)
        handle = handle.turned("z", rng.uniform(-0.4, 0.4))
    elif kind == "side":
        knots: list[Vector] = [
            (wide * 0.6, 0, high - 0.1), (wide + rng.uniform(0.2, 0.3), 0, high - rng.uniform(0.0, 0.15)),
            (wide + rng.uniform(0.2, 0.4), 0, rng.uniform(-0.3, -0.05)), (wide * 0.7, 0, rng.uniform(low + 0.1, -0.3)),
        ]  # fmt: skip
        handle = tube(knots, [thick, thick * 1.3, thick, thick * 0.8], blend=0.06).turned("z", around)
    else:
        handle = capsule((wide * 0.6, 0, -0.1), (0.95, 0, rng.uniform(-0.1, 0.2)), thick, thick * 1.7)
        handle = handle.turned("z", around)
    body = union(belly, spout, blend=rng.uniform(0.03, 0.08))
    if rng.random() < 0.5:
        bore = capsule(line[2], (out + 0.05, 0, mouth + 0.1), 0.035)
        body = body.hollowed(0.045, high) if kind == "side" and rng.random() < 0.5 else body - bore
    top = cylinder(wide * rng.uniform(0.5, 0.8), 0.06, 0.02).up(high) | sphere(rng.uniform(0.05, 0.09)).up(high + 0.1)
    if rng.random() < 0.4:
        top |= capsule((-0.2, 0, high), (-wide, 0.0, high - 0.03), 0.04)  # a hinge
    body = union(body, handle - belly, blend=0.03)
    return Solid((body if rng.random() < 0.2 else body | top).up(0.1), rng.choice(("kettle", "coffee pot")))


@family()
def watering_can(rng: Random) -> Solid:
    """A can open behind a half cover, a long spout with a brace and perhaps a rose, one or two handles."""
    wide, high, back = rng.uniform(0.3, 0.4), rng.uniform(0.05, 0.35), rng.uniform(0.25, 0.4)
    oval = rng.uniform(0.7, 1.0)
    foot, full = wide * rng.uniform(0.85, 1.1), 0.5 * (high + 0.75)
    solid = cone(foot, wide, full).scaled(1, oval, 1).up(high - full)
    inside = cone(foot - 0.05, wide - 0.05, full).scaled(1, oval, 1).up(high - full + 0.05)
    cover = half_space((-1, 0, 0), rng.uniform(-0.1, 0.1)) & box(1, 1, 0.03).up(high - 0.03)
    can = solid - (inside - cover)
    tip, rise = rng.uniform(0.95, 1.15), rng.uniform(0.1, 0.5)
    low = rng.uniform(-0.6, -0.45)
    side = rng.uniform(-0.08, 0.08)
    line: list[Vector] = [(wide * 0.8, 0, low), (0.7, 0, low + (rise - low) * 0.45), (tip, side, rise + 0.2)]
    spout = tube(line, [rng.uniform(0.08, 0.13), 0.07, 0.05], blend=0.04)
    parts = [spout, capsule((wide - 0.05, 0, high - 0.05), (0.72, 0, low + (rise - low) * 0.5), 0.03)]
    if rng.random() < 0.6:
        rose = cone(0.05, rng.uniform(0.13, 0.19), 0.1) - cylinder(0.018, 0.05).up(0.1).moved(0.07).polar(6)
        parts.append(rose.turned("y", rng.uniform(0.6, 1.5)).moved(tip + 0.05, side, rise + 0.24))
    thick = rng.uniform(0.035, 0.055)
    loop: list[Vector] = [
        (-wide + 0.05, 0, high - 0.1), (-wide - back, 0, high - rng.uniform(-0.1, 0.15)),
        (-wide - back * rng.uniform(0.6, 1), 0, rng.uniform(-0.5, -0.2)), (-foot + 0.03, 0, -0.5),
    ]  # fmt: skip
    back_loop = tube(loop, [thick, thick, thick * 1.3, thick], blend=0.05).turned("z", rng.uniform(-0.5, 0.5))
    parts.append(back_loop - solid)
    if rng.random() < 0.6:
        parts.append(
            arc(wide * 0.7, thick, 1.6).up(high).moved(rng.uniform(0, 0.08)).turned("z", rng.uniform(-0.3, 0.3))
        )
    if rng.random() < 0.5:
        parts.append((torus(wide, 0.03).scaled(1, oval, 1)).up(high))
    body = union(can, *parts, blend=0.025).moved(-0.2, 0, 0.1).scaled(0.9)
    return Solid(body, "watering can")


@family(stretch=True)
def jug(rng: Random) -> Solid:
    """A thin-walled jug of oval section whose lip is drawn to one side, with an ear of free shape beside it."""
    wide, oval, wall = rng.uniform(0.4, 0.55), rng.uniform(0.7, 1.0), rng.uniform(0.035, 0.05)
    top = rng.uniform(0.6, 0.85)
    solid = _pot(rng, wide, -0.85, top + 0.2).scaled(1, oval, 1)
    reach = rng.uniform(0.15, 0.3)
    lip = capsule((0.1, 0, top - rng.uniform(0.3, 0.6)), (wide + reach, 0, top + 0.15), 0.06, rng.uniform(0.1, 0.17))
    full = union(solid, lip, blend=0.12)
    shell = full.hollowed(wall, top) & half_space((rng.uniform(-0.25, 0.1), rng.uniform(-0.1, 0.1), 1), top - 0.05)
    thick, out = rng.uniform(0.035, 0.06), wide + rng.uniform(0.2, 0.38)
    start, end = (wide * 0.5, 0, top - rng.uniform(0.15, 0.35)), (wide * 0.6, 0, rng.uniform(-0.6, -0.2))
    far = (out, rng.uniform(-0.1, 0.1), rng.uniform(0.1, 0.5))
    ear = tube([*sway(rng, start, far, 3, 0.06), *sway(rng, far, end, 3, 0.08)[1:]], [thick] * 5, blend=0.05)
    ear = ear.scaled(1, rng.uniform(1, 1.6), 1).turned("z", math.pi + rng.uniform(-1.3, 1.3))
    body = union(shell, ear - full, blend=0.03)
    if rng.random() < 0.4:
        body |= (torus(wide * 0.6, 0.05).scaled(1, oval, 1)).up(-0.86)
    return Solid(body.moved(-0.05), "jug")
