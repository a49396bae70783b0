"""Bolts, nuts, springs, hooks, chains and grips: threads, coils and knurls."""

from __future__ import annotations

import math
from random import Random

import torch
from torch import Tensor

from .family import Family, Solid
from .outlines import cog, disc, extruded, ngon
from .solids import (
    Field,
    Number,
    arc,
    box,
    capsule,
    cone,
    cylinder,
    difference,
    half_space,
    intersection,
    length,
    mirrored,
    moved,
    polar,
    scaled,
    sphere,
    torus,
    turned,
    twisted,
    union,
)

_THROUGH = 3.0  # longer than any solid


def thread(radius: Number, half: Number, pitch: Number, depth: Number, starts: int = 1) -> Field:
    """A threaded rod along z: `radius` at the crests, triangular grooves `depth` deep."""
    shrink = 1 / math.hypot(1.0, 2 * depth * starts / pitch)

    def field(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        turns = z / pitch - torch.atan2(y, x) * (starts / math.tau)
        groove = (turns - torch.round(turns)).abs() * (2 * depth)
        return torch.maximum((length(x, y) - radius + groove) * shrink, z.abs() - half)

    return field


def helix(ring: Number, thick: Number, pitch: Number, half: Number) -> Field:
    """A coil spring along z, its ends ground flat at ±half."""
    cosine = math.tau * ring / math.hypot(math.tau * ring, pitch)

    def field(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        turns = z / pitch - torch.atan2(y, x) / math.tau
        rise = (turns - torch.round(turns)) * (pitch * cosine)
        return torch.maximum(length(length(x, y) - ring, rise) - thick, z.abs() - half)

    return field


def _head(rng: Random, wide: Number, half: Number) -> tuple[Field, str]:
    """A screw head whose top is at z = half, and its name."""
    kind = rng.choice(("hexagon", "socket", "slotted", "cross", "square"))
    if kind in ("hexagon", "square"):
        prism = extruded(ngon(6 if kind == "hexagon" else 4, wide * 0.85), half)
        return intersection(prism, moved(cone(wide + 2.4 * half, wide * 0.8, half), 0, 0, 0)), f"{kind} head"
    if kind == "socket":
        recess = moved(extruded(ngon(6, wide * 0.45), half), 0, 0, half * 0.8)
        return difference(cylinder(wide, half, 0.02), recess), "socket head"
    dome = intersection(
        moved(sphere(wide * 1.3), 0, 0, half - wide * 1.3),
        moved(cylinder(wide, 2), 0, 0, 0),
        half_space((0, 0, -1), half),
    )
    bar = moved(box(_THROUGH if kind == "slotted" else wide * 0.6, wide * 0.12, half * 0.5), 0, 0, half)
    cuts = (bar,) if kind == "slotted" else (bar, turned(bar, "z", math.pi / 2))
    return difference(dome, *cuts), f"{kind} head"


def bolt(rng: Random) -> Solid:
    radius, long_ = rng.uniform(0.13, 0.28), rng.uniform(0.7, 0.85)
    head, name = _head(rng, radius * rng.uniform(1.7, 2.2), rng.uniform(0.1, 0.18))
    pitch = rng.uniform(0.06, 0.14)
    rod = thread(radius, long_, pitch, pitch * 0.6)
    tip = moved(cone(radius * 0.6, radius * 3, 0.9), 0, 0, -long_ + 0.6 + 0.25)
    rod = intersection(rod, union(tip, half_space((0, 0, -1), 0.2)))
    shank = moved(cylinder(radius, 0.25), 0, 0, long_ - rng.uniform(-0.2, 0.2))
    parts = [moved(rod, 0, 0, -0.1), intersection(shank, half_space((0, 0, 1), long_)), moved(head, 0, 0, long_ - 0.02)]
    if rng.random() < 0.3:
        parts.append(moved(cylinder(radius * 2.4, 0.025), 0, 0, long_ - 0.12))
    return Solid(union(*parts), f"bolt with a {name}")


def nut(rng: Random) -> Solid:
    sides, half = rng.choice((6, 6, 4, 8, 12)), rng.uniform(0.3, 0.6)
    body = extruded(ngon(sides, 0.75), half)
    crown = cone(0.9 + 2 * half * 1.2, 0.82, half)
    body = intersection(body, crown, turned(crown, "x", math.pi))
    kind = rng.choice(("nut", "flanged nut", "castle nut"))
    bore, pitch = rng.uniform(0.35, 0.5), rng.uniform(0.1, 0.18)
    if kind == "flanged nut":
        body = union(body, moved(cylinder(0.97, 0.07, 0.03), 0, 0, -half))
    if kind == "castle nut":
        tower = moved(cylinder(0.68, 0.2), 0, 0, half + 0.15)
        body = union(body, difference(tower, polar(moved(box(0.3, 0.08, 0.14), 0.6, 0, half + 0.3), 6)))
    return Solid(difference(body, thread(bore, _THROUGH, pitch, pitch * 0.55)), kind)


def wing_nut(rng: Random) -> Solid:
    hub = cone(rng.uniform(0.34, 0.42), rng.uniform(0.24, 0.32), 0.35)
    wing = capsule((0.2, 0, 0.0), (rng.uniform(0.6, 0.75), 0, rng.uniform(0.25, 0.5)), 0.2, rng.uniform(0.18, 0.26))
    slab = intersection(scaled(wing, 1, 0.9, 1), box(2, rng.uniform(0.05, 0.09), 2, 0.03))
    wings = polar(slab, rng.choice((2, 2, 2, 3)))
    pitch = rng.uniform(0.08, 0.12)
    return Solid(difference(union(hub, wings, blend=0.06), thread(0.2, _THROUGH, pitch, pitch * 0.5)), "wing nut")


def spring(rng: Random) -> Solid:
    ring, pitch = rng.uniform(0.35, 0.65), rng.uniform(0.22, 0.45)
    return Solid(helix(ring, pitch * rng.uniform(0.22, 0.36), pitch, rng.uniform(0.7, 0.95)), "coil spring")


def knurled_grip(rng: Random) -> Solid:
    """A cylinder with knurled, ribbed or threaded bands between plain ones."""
    radius, field, z = rng.uniform(0.3, 0.55), cylinder(0.2, 0.9), -0.9
    while z < 0.7:
        half, r = rng.uniform(0.1, 0.3), radius * rng.uniform(0.7, 1.1)
        kind = rng.choice(("plain", "ribs", "knurl", "thread"))
        if kind == "thread":
            band = thread(r, half, rng.uniform(0.06, 0.1), 0.04)
        elif kind == "plain":
            band = cylinder(r, half, rng.choice((0, 0.03)))
        else:
            band = twisted(extruded(cog(rng.randint(18, 32), r, 0.05, 0.5, 0.8), half), 0 if kind == "ribs" else 1.5)
            band = intersection(band, twisted(band, -3.0)) if kind == "knurl" else band
        field = union(field, moved(band, 0, 0, min(z + half, 0.9)))
        z += 2 * half
    return Solid(intersection(field, box(1, 1, 0.97)), "knurled grip")


def chain_link(rng: Random) -> Solid:
    half, ring, thick = rng.uniform(0.2, 0.35), rng.uniform(0.2, 0.3), rng.uniform(0.07, 0.1)

    def link(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        return length(length((x.abs() - half).clamp(min=0), y) - ring, z) - thick

    count = rng.choice((1, 2, 2, 3))
    if count == 1:
        return Solid(scaled(link, 1.4, 1.4, 1.4), "chain link")
    pitch = (half + ring) * 2 - 2.2 * thick
    size = 0.95 / ((count - 1) * pitch / 2 + half + ring + thick)
    links = union(
        *(
            moved(turned(link, "x", index % 2 * math.pi / 2), (index - (count - 1) / 2) * pitch)
            for index in range(count)
        )
    )
    return Solid(scaled(links, size, size, size), "chain")


def hook(rng: Random) -> Solid:
    ring, thick = rng.uniform(0.35, 0.45), rng.uniform(0.08, 0.14)
    bend = moved(turned(arc(ring, thick, 2.2), "y", 2.3), 0, 0, -0.4)
    stem = capsule((ring * math.sin(0.1), 0, -0.4 + ring), (0, 0, 0.6), thick)
    eye = moved(turned(torus(0.2, rng.uniform(0.06, 0.1)), "x", math.pi / 2), 0, 0, 0.72)
    base = moved(box(0.35, 0.3, 0.06, 0.02), 0, 0, 0.85)
    end = difference(base, mirrored(moved(cylinder(0.06, 1), 0.22), 0)) if rng.random() < 0.5 else eye
    return Solid(union(union(bend, stem, blend=0.05), end), "hook")


def washer_stack(rng: Random) -> Solid:
    parts, z = [], -0.8
    while z < 0.75:
        half, radius = rng.uniform(0.04, 0.2), rng.uniform(0.5, 0.95)
        parts.append(
            moved(
                extruded(
                    rng.choice((disc(radius), ngon(6, radius * 0.85), cog(rng.randint(6, 20), radius, 0.1))),
                    half,
                    bevel=0.015,
                ),
                0,
                0,
                z + half,
            )
        )
        z += 2 * half
    return Solid(difference(union(*parts), cylinder(rng.uniform(0.2, 0.35), _THROUGH)), "stack of washers")


FAMILIES = {
    "bolt": Family(bolt, "plain"),
    "nut": Family(nut, "flat"),
    "wing_nut": Family(wing_nut, "plain"),
    "spring": Family(spring, "plain"),
    "knurled_grip": Family(knurled_grip, "plain"),
    "chain": Family(chain_link, "plain"),
    "hook": Family(hook, "plain", stretch=True),
    "washers": Family(washer_stack, "flat"),
}
