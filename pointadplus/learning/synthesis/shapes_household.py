"""Furniture, wearables, containers and toys."""

from __future__ import annotations

import math
from random import Random

import torch
from torch import Tensor

from .family import Family, Solid
from .outlines import extruded
from .solids import (
    Field,
    arc,
    box,
    capsule,
    cone,
    cylinder,
    difference,
    ellipsoid,
    half_space,
    hollowed,
    intersection,
    length,
    mirrored,
    moved,
    polar,
    row,
    scaled,
    sphere,
    torus,
    turned,
    union,
)


def seat(rng: Random) -> Solid:
    """A chair, stool or table: legs, rails, a top and perhaps a back."""
    kind = rng.choice(("chair", "stool", "table"))
    wide, top = (0.85, 0.35) if kind == "table" else (rng.uniform(0.4, 0.5), rng.uniform(-0.1, 0.1))
    thick = rng.uniform(0.04, 0.07)
    square = rng.random() < 0.6
    slab = moved(box(wide, wide, thick, 0.015) if square else cylinder(wide, thick, 0.015), 0, 0, top)
    reach, splay = wide * (0.85 if square else 0.65), rng.uniform(0.0, 0.08)
    leg = capsule((reach, reach, -0.9), (reach - splay, reach - splay, top), thick * 0.7, thick)
    rail = union(
        moved(box(reach, thick * 0.5, thick * 0.5), 0, reach - splay / 2, -0.45),
        moved(box(thick * 0.5, reach, thick * 0.5), reach - splay / 2, 0, -0.45),
    )
    parts = [slab, mirrored(union(leg, rail), 0, 1)]
    if kind == "chair":
        post = mirrored(capsule((reach, -reach, top), (reach, -reach - 0.1, 0.9), thick * 0.8), 0)
        count = rng.randint(2, 5)
        slats = moved(
            row(box(wide - 0.03, 0.025, 0.6 / count * 0.3), 2, 0.7 / count, count),
            0,
            -reach - 0.06,
            (top + 0.95) / 2 + 0.05,
        )
        parts += [post, slats]
    return Solid(union(*parts), kind)


def headphones(rng: Random) -> Solid:
    ring = rng.uniform(0.6, 0.7)
    band = scaled(arc(ring, rng.uniform(0.06, 0.09), 1.6), 1, rng.uniform(1.2, 1.9), 1)
    cup = turned(
        difference(cylinder(rng.uniform(0.26, 0.34), 0.12, 0.03), moved(cylinder(0.15, 0.1), 0, 0, -0.12)),
        "y",
        math.pi / 2,
    )
    pad = moved(turned(torus(0.2, 0.08), "y", math.pi / 2), -0.12)
    yoke = capsule((0, 0, 0.1), (0, 0, 0.35), 0.06)
    side = moved(union(cup, pad, yoke), ring, 0, -0.25)
    return Solid(moved(union(band, mirrored(side, 0)), 0, 0, -0.1), "headphones")


def helmet(rng: Random) -> Solid:
    """A half shell with thickness, a brim or visor, vents or a crest."""
    a, b, c = rng.uniform(0.65, 0.85), rng.uniform(0.55, 0.7), rng.uniform(0.6, 0.8)
    dome = ellipsoid(a, b, c)
    shell = intersection(difference(dome, ellipsoid(a - 0.06, b - 0.06, c - 0.06)), half_space((0, 0, -1), 0.1))
    brim = moved(
        difference(ellipsoid(a + 0.22, b + 0.1, 0.06), scaled(cylinder(1, 2), a - 0.05, b - 0.05, 0.5)), 0.08, 0, -0.08
    )
    parts: list[Field] = [shell, brim] if rng.random() < 0.7 else [shell]
    if rng.random() < 0.5:
        crest = intersection(
            scaled(turned(cylinder(1, 1), "x", math.pi / 2), a + 0.06, 1, c + 0.06),
            box(2, 0.04, 2),
            half_space((0, 0, -1), 0.0),
        )
        parts.append(difference(crest, dome))
    field = union(*parts, blend=rng.choice((0, 0.03)))
    if rng.random() < 0.5:
        vents = mirrored(row(moved(box(0.1, 0.035, 2, 0.03), 0, 0.18), 0, 0.3, 3), 1)
        field = difference(field, vents)
    return Solid(moved(field, 0, 0, -0.2), "helmet")


def vehicle(rng: Random) -> Solid:
    """A toy car or truck: body, cabin with window recesses, wheels with hubs."""
    wide, low, high = rng.uniform(0.32, 0.42), rng.uniform(0.14, 0.2), rng.uniform(0.16, 0.26)
    body = moved(box(0.92, wide, low, 0.05), 0, 0, -0.1)
    at = rng.uniform(-0.3, 0.2)
    cabin = moved(
        intersection(box(0.45, wide - 0.05, high, 0.04), half_space((1, 0, 0.7), 0.42), half_space((-1, 0, 0.5), 0.45)),
        at,
        0,
        low + high - 0.15,
    )
    window = mirrored(moved(box(0.22, 0.03, high * 0.45, 0.02), at, wide - 0.05, low + high - 0.12), 1)
    wheel = difference(
        turned(cylinder(0.2, 0.08, 0.03), "x", math.pi / 2),
        moved(turned(cylinder(0.11, 0.04), "x", math.pi / 2), 0, 0.08),
    )
    hub = turned(polar(moved(cylinder(0.025, 0.08), 0.06), 5), "x", math.pi / 2)
    wheels = mirrored(moved(union(wheel, hub), 0.55, wide, -0.26), 0, 1)
    arches = mirrored(moved(turned(cylinder(0.25, 0.12), "x", math.pi / 2), 0.55, wide, -0.26), 0, 1)
    lamps = mirrored(moved(turned(cylinder(0.06, 0.03), "y", math.pi / 2), 0.92, wide * 0.65, -0.05), 0, 1)
    return Solid(union(difference(union(body, cabin), arches, window), wheels, lamps), "toy car")


def aircraft(rng: Random) -> Solid:
    fuselage = scaled(capsule((-0.75, 0, 0), (0.75, 0, 0), rng.uniform(0.09, 0.16), 0.16), 1, 1, 1)
    sweep = rng.uniform(0.0, 0.4)
    wing = mirrored(intersection(capsule((0.1, 0, 0), (0.1 - sweep, 0.9, 0), 0.24, 0.12), box(2, 2, 0.035, 0.02)), 1)
    tail = mirrored(
        intersection(
            capsule((-0.75, 0, 0.03), (-0.85, 0.35, 0.03), 0.12, 0.08), moved(box(2, 2, 0.028, 0.01), 0, 0, 0.03)
        ),
        1,
    )
    fin = intersection(capsule((-0.72, 0, 0), (-0.88, 0, 0.38), 0.13, 0.07), box(2, 0.028, 2, 0.01))
    pod = mirrored(
        moved(
            turned(difference(cylinder(0.075, 0.15), moved(cylinder(0.05, 0.1), 0, 0, 0.12)), "y", math.pi / 2),
            0.12 - sweep * 0.4,
            0.4,
            -0.09,
        ),
        1,
    )
    return Solid(union(union(fuselage, wing, tail, fin, blend=0.03), pod), "toy aircraft")


def knot(rng: Random) -> Solid:
    """A torus knot: a cord that winds `strands` times around while it turns `winds` times about its own ring."""
    strands, winds = rng.choice(((2, 3), (2, 5), (3, 4), (3, 2), (3, 5)))
    ring, coil = 0.6, rng.uniform(0.2, 0.24)
    thick = rng.uniform(0.07, 0.1)

    def cord(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        radial, angle = length(x, y) - ring, torch.atan2(y, x)
        phases = [(winds * angle + math.tau * index) / strands for index in range(strands)]
        gaps = [length(radial - coil * torch.cos(phase), z - coil * torch.sin(phase)) for phase in phases]
        return (torch.stack(gaps).amin(0) - thick) * 0.75

    return Solid(cord, "knot")


def rings(rng: Random) -> Solid:
    """A ring of round, flat or beaded section."""
    ring = rng.uniform(0.6, 0.75)
    kind = rng.choice(("round", "flat", "beaded", "ribbed"))
    if kind == "flat":
        body = difference(cylinder(ring + 0.15, rng.uniform(0.1, 0.35), 0.02), cylinder(ring, 2))
        return Solid(body, "flat ring")
    body = torus(ring, rng.uniform(0.12, 0.22))
    if kind == "beaded":
        count = rng.randint(8, 24)
        body = union(torus(ring, 0.08), polar(moved(sphere(ring * math.pi / count * 0.85), ring), count))
    if kind == "ribbed":
        body = difference(body, polar(moved(box(0.4, 0.025, 0.4), ring + 0.2), rng.randint(10, 30)))
    return Solid(body, f"{kind} ring")


def crate(rng: Random) -> Solid:
    """A box with slatted or framed sides and a lid."""
    a, b, c = 0.85, rng.uniform(0.5, 0.85), rng.uniform(0.4, 0.8)
    core = box(a - 0.06, b - 0.06, c - 0.02)
    count = rng.randint(3, 6)
    slats = row(box(a, b, c / count * 0.8, 0.01), 2, 2 * c / count, count)
    posts = mirrored(moved(box(0.08, 0.08, c + 0.03), a, b), 0, 1)
    lid = moved(box(a + 0.06, b + 0.06, 0.05, 0.015), 0, 0, c + 0.05)
    return Solid(union(core, slats, posts, lid), "crate")


def basket(rng: Random) -> Solid:
    """A bucket or basket with a rim and a bail."""
    low, high, wall = rng.uniform(0.35, 0.5), rng.uniform(0.55, 0.7), 0.05
    body = cone(low, high, 0.6)
    shell = difference(body, moved(cone(low - wall, high - wall, 0.6), 0, 0, 0.06))
    rim = moved(torus(high, rng.uniform(0.03, 0.06)), 0, 0, 0.58)
    bail = moved(arc(high, rng.uniform(0.03, 0.05), math.pi / 2), 0, 0, 0.5)
    field = moved(scaled(union(shell, rim, bail), 0.85, 0.85, 0.85), 0, 0, -0.2)
    if rng.random() < 0.4:
        count = rng.randint(10, 20)
        cuts = row(polar(moved(box(0.3, 0.05, 0.07), 0.5), count), 2, 0.2, 3)
        field = difference(field, moved(cuts, 0, 0, -0.2))
    return Solid(field, "bucket")


def shoe(rng: Random) -> Solid:
    """A hollow shoe with a treaded sole."""
    toe = moved(ellipsoid(0.5, 0.26, 0.24), 0.4, 0, -0.3)
    heel = capsule((-0.45, 0, -0.3), (-0.5, 0, rng.uniform(0.1, 0.5)), 0.28, 0.26)
    upper = union(toe, heel, capsule((0.3, 0, -0.35), (-0.4, 0, -0.25), 0.25, 0.27), blend=0.15)
    shell = intersection(hollowed(upper, 0.05, rng.uniform(0.1, 0.4)), half_space((0, 0, -1), 0.5))
    sole = moved(
        extruded(lambda u, v: length((u.abs() - 0.58).clamp(min=0), v) - 0.3, 0.07, bevel=0.01), 0.05, 0, -0.52
    )
    tread = row(moved(box(0.03, 1, 0.04), 0, 0, -0.6), 0, 0.12, 13)
    return Solid(union(shell, difference(sole, tread)), "shoe")


FAMILIES = {
    "seat": Family(seat, "plain", stretch=True),
    "headphones": Family(headphones, "plain"),
    "helmet": Family(helmet, stretch=True),
    "vehicle": Family(vehicle, "plain", stretch=True),
    "aircraft": Family(aircraft, "plain"),
    "knot": Family(knot, "plain"),
    "ring": Family(rings, "plain"),
    "crate": Family(crate, "plain", stretch=True),
    "bucket": Family(basket, "wrapped"),
    "shoe": Family(shoe, stretch=True),
}
