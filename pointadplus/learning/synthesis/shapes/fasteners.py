"""Bolts, nuts, springs, hooks, chains and grips: threads, coils and knurls."""

from __future__ import annotations

import math
from random import Random

from ..outlines import cog, disc, extruded, ngon, slot
from ..solids import THROUGH, Field, arc, box, capsule, cone, cylinder, drill, half_space, length, sphere, torus, union
from .details import helix, thread
from .family import Solid, family


def _head(rng: Random, wide: float, half: float) -> tuple[Field, str]:
    """A screw head whose top is at z = half, and its name."""
    kind = rng.choice(("hexagon", "socket", "slotted", "cross", "square"))
    if kind in ("hexagon", "square"):
        prism = extruded(ngon(6 if kind == "hexagon" else 4, wide * 0.85), half)
        return prism & cone(wide + 2.4 * half, wide * 0.8, half), f"{kind} head"
    if kind == "socket":
        return cylinder(wide, half, 0.02) - extruded(ngon(6, wide * 0.45), half).up(half * 0.8), "socket head"
    dome = sphere(wide * 1.3).up(half - wide * 1.3) & cylinder(wide, 2) & half_space((0, 0, -1), half)
    bar = box(THROUGH if kind == "slotted" else wide * 0.6, wide * 0.12, half * 0.5).up(half)
    return dome - (bar if kind == "slotted" else bar | bar.turned("z")), f"{kind} head"


@family("plain")
def bolt(rng: Random) -> Solid:
    radius, long_ = rng.uniform(0.13, 0.28), rng.uniform(0.7, 0.85)
    head, name = _head(rng, radius * rng.uniform(1.7, 2.2), rng.uniform(0.1, 0.18))
    pitch = rng.uniform(0.06, 0.14)
    tip = cone(radius * 0.6, radius * 3, 0.9).up(-long_ + 0.6 + 0.25)
    rod = thread(radius, long_, pitch, pitch * 0.6) & (tip | half_space((0, 0, -1), 0.2))
    shank = cylinder(radius, 0.25).up(long_ - rng.uniform(-0.2, 0.2)) & half_space((0, 0, 1), long_)
    body = rod.up(-0.1) | shank | head.up(long_ - 0.02)
    if rng.random() < 0.3:
        body |= cylinder(radius * 2.4, 0.025).up(long_ - 0.12)
    return Solid(body, f"bolt with a {name}")


@family("flat")
def nut(rng: Random) -> Solid:
    sides, half = rng.choice((6, 6, 4, 8, 12)), rng.uniform(0.3, 0.6)
    crown = cone(0.9 + 2 * half * 1.2, 0.82, half)
    body = extruded(ngon(sides, 0.75), half) & crown & crown.turned("x", math.pi)
    kind = rng.choice(("nut", "flanged nut", "castle nut"))
    bore, pitch = rng.uniform(0.35, 0.5), rng.uniform(0.1, 0.18)
    if kind == "flanged nut":
        body |= cylinder(0.97, 0.07, 0.03).up(-half)
    if kind == "castle nut":
        body |= cylinder(0.68, 0.2).up(half + 0.15) - box(0.3, 0.08, 0.14).moved(0.6, 0, half + 0.3).polar(6)
    return Solid(body - thread(bore, THROUGH, pitch, pitch * 0.55), kind)


@family("plain")
def wing_nut(rng: Random) -> Solid:
    hub = cone(rng.uniform(0.34, 0.42), rng.uniform(0.24, 0.32), 0.35)
    wing = capsule((0.2, 0, 0.0), (rng.uniform(0.6, 0.75), 0, rng.uniform(0.25, 0.5)), 0.2, rng.uniform(0.18, 0.26))
    slab = wing.scaled(1, 0.9, 1) & box(2, rng.uniform(0.05, 0.09), 2, 0.03)
    wings = slab.polar(rng.choice((2, 2, 2, 3)))
    pitch = rng.uniform(0.08, 0.12)
    return Solid(union(hub, wings, blend=0.06) - thread(0.2, THROUGH, pitch, pitch * 0.5), "wing nut")


@family("plain")
def spring(rng: Random) -> Solid:
    ring, pitch = rng.uniform(0.35, 0.65), rng.uniform(0.22, 0.45)
    return Solid(helix(ring, pitch * rng.uniform(0.22, 0.36), pitch, rng.uniform(0.7, 0.95)), "coil spring")


@family("plain")
def knurled_grip(rng: Random) -> Solid:
    """A cylinder with knurled, ribbed or threaded bands between plain ones."""
    radius, body, z = rng.uniform(0.3, 0.55), cylinder(0.2, 0.9), -0.9
    while z < 0.7:
        half, r = rng.uniform(0.1, 0.3), radius * rng.uniform(0.7, 1.1)
        kind = rng.choice(("plain", "ribs", "knurl", "thread"))
        if kind == "thread":
            band = thread(r, half, rng.uniform(0.06, 0.1), 0.04)
        elif kind == "plain":
            band = cylinder(r, half, rng.choice((0, 0.03)))
        else:
            band = extruded(cog(rng.randint(18, 32), r, 0.05, 0.5, 0.8), half).twisted(0 if kind == "ribs" else 1.5)
            band = band & band.twisted(-3.0) if kind == "knurl" else band
        body |= band.up(min(z + half, 0.9))
        z += 2 * half
    return Solid(body & box(1, 1, 0.97), "knurled grip")


@family("plain")
def chain(rng: Random) -> Solid:
    half, ring, thick = rng.uniform(0.2, 0.35), rng.uniform(0.2, 0.3), rng.uniform(0.07, 0.1)
    oval = slot(half, ring)
    link = Field(lambda x, y, z: length(oval(x, y), z) - thick)
    count = rng.choice((1, 2, 2, 3))
    if count == 1:
        return Solid(link.scaled(1.4), "chain link")
    pitch = (half + ring) * 2 - 2.2 * thick
    size = 0.95 / ((count - 1) * pitch / 2 + half + ring + thick)
    places = [(index - (count - 1) / 2) * pitch for index in range(count)]
    links = [link.turned("x", index % 2 * math.pi / 2).moved(place) for index, place in enumerate(places)]
    return Solid(union(*links).scaled(size), "chain")


@family("plain", stretch=True)
def hook(rng: Random) -> Solid:
    ring, thick = rng.uniform(0.35, 0.45), rng.uniform(0.08, 0.14)
    bend = arc(ring, thick, 2.2).turned("y", 2.3).up(-0.4)
    stem = capsule((ring * math.sin(0.1), 0, -0.4 + ring), (0, 0, 0.6), thick)
    eye = torus(0.2, rng.uniform(0.06, 0.1)).turned("x").up(0.72)
    base = box(0.35, 0.3, 0.06, 0.02).up(0.85) - cylinder(0.06, 1).moved(0.22).mirrored("x")
    return Solid(union(bend, stem, blend=0.05) | (base if rng.random() < 0.5 else eye), "hook")


@family("flat")
def washers(rng: Random) -> Solid:
    stack, z = [], -0.8
    while z < 0.75:
        half, radius = rng.uniform(0.04, 0.2), rng.uniform(0.5, 0.95)
        figure = rng.choice((disc(radius), ngon(6, radius * 0.85), cog(rng.randint(6, 20), radius, 0.1)))
        stack.append(extruded(figure, half, bevel=0.015).up(z + half))
        z += 2 * half
    return Solid(union(*stack) - drill(rng.uniform(0.2, 0.35)), "stack of washers")
