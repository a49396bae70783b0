"""Tools, furniture, wearables, containers and toys."""

from __future__ import annotations

import math
from random import Random

import torch
from torch import Tensor

from ..outlines import extruded, ngon, slot, turned_profile
from ..solids import Field, arc, box, capsule, cone, cylinder, ellipsoid, half_space, length, sphere, torus, union
from .family import Solid, family


def _grip(rng: Random, radius: float, half: float) -> Field:
    """A handle along z: plain, fluted, ringed or with finger waves."""
    kind = rng.choice(("plain", "flutes", "rings", "waves"))
    body = cylinder(radius, half, radius * 0.4)
    if kind == "flutes":
        return body - cylinder(radius * 0.25, half * 0.8).moved(radius * 1.1).polar(rng.randint(6, 10))
    if kind == "rings":
        return body - torus(radius, radius * 0.15).row("z", half * 0.3, rng.randint(3, 6))
    if kind == "waves":
        line = [(radius * (0.85 + 0.2 * math.sin(14 * t / 30 * 3)), -half + 2 * half * t / 30) for t in range(31)]
        return turned_profile([(0.02, -half), *line, (0.02, half)])
    return body


@family("plain")
def hammer(rng: Random) -> Solid:
    handle = _grip(rng, 0.11, 0.45).scaled(1, 0.8, 1).up(-0.45)
    shaft = capsule((0, 0, -0.1), (0, 0, 0.65), 0.07)
    face = cylinder(rng.uniform(0.14, 0.2), 0.18, 0.03).turned("y")
    peen = cone(0.16, 0.03, 0.25).turned("y", -math.pi / 2).moved(-0.35)
    back = rng.choice((peen, box(0.25, 0.12, 0.05, 0.02).moved(-0.3), face.moved(-0.45)))
    head = face.moved(0.4) | box(0.3, 0.11, 0.13, 0.02) | back
    return Solid(handle | shaft | head.up(0.7), "hammer")


@family("plain")
def screwdriver(rng: Random) -> Solid:
    handle = _grip(rng, rng.uniform(0.16, 0.22), 0.4).up(-0.5)
    shaft = capsule((0, 0, -0.3), (0, 0, 0.8), 0.06)
    tip = rng.choice((box(0.1, 0.025, 0.1).up(0.85), extruded(ngon(6, 0.06), 0.1).up(0.86)))
    collar = cylinder(0.12, 0.05, 0.01).up(-0.08)
    return Solid(handle | shaft | collar | tip, "screwdriver")


@family("flat")
def wrench(rng: Random) -> Solid:
    half, bar = rng.uniform(0.06, 0.1), rng.uniform(0.08, 0.14)
    jaw, ring = rng.uniform(0.22, 0.3), rng.uniform(0.18, 0.25)
    heads = cylinder(jaw, half, 0.015).moved(0.68) | cylinder(ring, half, 0.015).moved(-0.72)
    body = union(heads, box(0.7, bar, half * 0.8, 0.03), blend=0.08)
    body -= box(0.3, jaw * 0.5, 1).turned("z", 0.26).moved(0.9, 0.04)
    body -= extruded(ngon(rng.choice((6, 12)), ring * 0.6), 1).moved(-0.72)
    if rng.random() < 0.6:
        body -= extruded(slot(0.35, bar * 0.5), 0.03).up(half * 0.8).mirrored("z")
    return Solid(body, "wrench")


@family(stretch=True)
def power_tool(rng: Random) -> Solid:
    """A drill-like tool: motor body, chuck and bit, grip with trigger, battery."""
    radius = rng.uniform(0.2, 0.26)
    motor = cylinder(radius, 0.42, 0.06).turned("y").moved(-0.2, 0, 0.5)
    vents = box(0.02, 0.5, 0.08).row("x", 0.07, rng.randint(3, 6)).moved(-0.4, 0, 0.5)
    chuck = cone(radius * 0.8, radius * 0.4, 0.14).turned("y").moved(0.36, 0, 0.5)
    chuck -= cylinder(0.02, 0.1).moved(radius * 0.7).polar(10).turned("y").moved(0.32, 0, 0.5)
    bit = capsule((0.4, 0, 0.5), (0.95, 0, 0.5), 0.035)
    grip = capsule((-0.25, 0, 0.4), (-0.38, 0, -0.5), 0.14, 0.12)
    trigger = box(0.06, 0.06, 0.1, 0.03).moved(-0.14, 0, 0.16)
    battery = box(rng.uniform(0.25, 0.34), 0.2, 0.13, 0.04).moved(-0.34, 0, -0.66)
    battery -= (box(0.5, 0.5, 0.012) - box(0.2, 0.15, 1)).moved(-0.34, 0, -0.6)
    body = union(motor, grip, blend=0.06) - vents
    return Solid(body | chuck | bit | trigger | battery, "power drill")


@family("plain", stretch=True)
def seat(rng: Random) -> Solid:
    """A chair, stool or table: legs, rails, a top and perhaps a back."""
    kind = rng.choice(("chair", "stool", "table"))
    wide, top = (0.85, 0.35) if kind == "table" else (rng.uniform(0.4, 0.5), rng.uniform(-0.1, 0.1))
    thick = rng.uniform(0.04, 0.07)
    square = rng.random() < 0.6
    slab = (box(wide, wide, thick, 0.015) if square else cylinder(wide, thick, 0.015)).up(top)
    reach, splay = wide * (0.85 if square else 0.65), rng.uniform(0.0, 0.08)
    leg = capsule((reach, reach, -0.9), (reach - splay, reach - splay, top), thick * 0.7, thick)
    side = box(reach, thick * 0.5, thick * 0.5).moved(0, reach - splay / 2, -0.45)
    front = box(thick * 0.5, reach, thick * 0.5).moved(reach - splay / 2, 0, -0.45)
    body = slab | (leg | side | front).mirrored("xy")
    if kind == "chair":
        body |= capsule((reach, -reach, top), (reach, -reach - 0.1, 0.9), thick * 0.8).mirrored("x")
        count = rng.randint(2, 5)
        slats = box(wide - 0.03, 0.025, 0.6 / count * 0.3).row("z", 0.7 / count, count)
        body |= slats.moved(0, -reach - 0.06, (top + 0.95) / 2 + 0.05)
    return Solid(body, kind)


@family("plain")
def headphones(rng: Random) -> Solid:
    ring = rng.uniform(0.6, 0.7)
    band = arc(ring, rng.uniform(0.06, 0.09), 1.6).scaled(1, rng.uniform(1.2, 1.9), 1)
    cup = (cylinder(rng.uniform(0.26, 0.34), 0.12, 0.03) - cylinder(0.15, 0.1).up(-0.12)).turned("y")
    pad = torus(0.2, 0.08).turned("y").moved(-0.12)
    yoke = capsule((0, 0, 0.1), (0, 0, 0.35), 0.06)
    sides = (cup | pad | yoke).moved(ring, 0, -0.25).mirrored("x")
    return Solid((band | sides).up(-0.1), "headphones")


@family(stretch=True)
def helmet(rng: Random) -> Solid:
    """A half shell with thickness, a brim or visor, vents or a crest."""
    a, b, c = rng.uniform(0.65, 0.85), rng.uniform(0.55, 0.7), rng.uniform(0.6, 0.8)
    dome = ellipsoid(a, b, c)
    parts = [(dome - ellipsoid(a - 0.06, b - 0.06, c - 0.06)) & half_space((0, 0, -1), 0.1)]
    if rng.random() < 0.7:
        brim = ellipsoid(a + 0.22, b + 0.1, 0.06) - cylinder(1, 2).scaled(a - 0.05, b - 0.05, 0.5)
        parts.append(brim.moved(0.08, 0, -0.08))
    if rng.random() < 0.5:
        crest = cylinder(1, 1).turned("x").scaled(a + 0.06, 1, c + 0.06) & box(2, 0.04, 2) & half_space((0, 0, -1), 0.0)
        parts.append(crest - dome)
    body = union(*parts, blend=rng.choice((0, 0.03)))
    if rng.random() < 0.5:
        body -= box(0.1, 0.035, 2, 0.03).moved(0, 0.18).row("x", 0.3, 3).mirrored("y")
    return Solid(body.up(-0.2), "helmet")


@family("plain", stretch=True)
def vehicle(rng: Random) -> Solid:
    """A toy car or truck: body, cabin with window recesses, wheels with hubs."""
    wide, low, high = rng.uniform(0.32, 0.42), rng.uniform(0.14, 0.2), rng.uniform(0.16, 0.26)
    body = box(0.92, wide, low, 0.05).up(-0.1)
    at = rng.uniform(-0.3, 0.2)
    cabin = box(0.45, wide - 0.05, high, 0.04) & half_space((1, 0, 0.7), 0.42) & half_space((-1, 0, 0.5), 0.45)
    body |= cabin.moved(at, 0, low + high - 0.15)
    windows = box(0.22, 0.03, high * 0.45, 0.02).moved(at, wide - 0.05, low + high - 0.12).mirrored("y")
    wheel = cylinder(0.2, 0.08, 0.03).turned("x") - cylinder(0.11, 0.04).turned("x").moved(0, 0.08)
    hub = cylinder(0.025, 0.08).moved(0.06).polar(5).turned("x")
    wheels = (wheel | hub).moved(0.55, wide, -0.26).mirrored("xy")
    arches = cylinder(0.25, 0.12).turned("x").moved(0.55, wide, -0.26).mirrored("xy")
    lamps = cylinder(0.06, 0.03).turned("y").moved(0.92, wide * 0.65, -0.05).mirrored("xy")
    return Solid((body - arches - windows) | wheels | lamps, "toy car")


@family("plain")
def aircraft(rng: Random) -> Solid:
    fuselage = capsule((-0.75, 0, 0), (0.75, 0, 0), rng.uniform(0.09, 0.16), 0.16)
    sweep = rng.uniform(0.0, 0.4)
    wings = (capsule((0.1, 0, 0), (0.1 - sweep, 0.9, 0), 0.24, 0.12) & box(2, 2, 0.035, 0.02)).mirrored("y")
    tail = (capsule((-0.75, 0, 0.03), (-0.85, 0.35, 0.03), 0.12, 0.08) & box(2, 2, 0.028, 0.01).up(0.03)).mirrored("y")
    fin = capsule((-0.72, 0, 0), (-0.88, 0, 0.38), 0.13, 0.07) & box(2, 0.028, 2, 0.01)
    pod = (cylinder(0.075, 0.15) - cylinder(0.05, 0.1).up(0.12)).turned("y")
    pods = pod.moved(0.12 - sweep * 0.4, 0.4, -0.09).mirrored("y")
    return Solid(union(fuselage, wings, tail, fin, blend=0.03) | pods, "toy aircraft")


@family("plain")
def knot(rng: Random) -> Solid:
    """A torus knot: a cord that winds `strands` times around while it turns `winds` times about its own ring."""
    strands, winds = rng.choice(((2, 3), (2, 5), (3, 4), (3, 2), (3, 5)))
    ring, coil = 0.6, rng.uniform(0.2, 0.24)
    thick = rng.uniform(0.07, 0.1)

    @Field
    def cord(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        radial, angle = length(x, y) - ring, torch.atan2(y, x)
        phases = [(winds * angle + math.tau * index) / strands for index in range(strands)]
        gaps = [length(radial - coil * torch.cos(phase), z - coil * torch.sin(phase)) for phase in phases]
        return (torch.stack(gaps).amin(0) - thick) * 0.75

    return Solid(cord, "knot")


@family("plain")
def ring(rng: Random) -> Solid:
    """A ring of round, flat, ribbed or beaded section."""
    radius = rng.uniform(0.6, 0.75)
    kind = rng.choice(("round", "flat", "beaded", "ribbed"))
    if kind == "flat":
        return Solid(cylinder(radius + 0.15, rng.uniform(0.1, 0.35), 0.02) - cylinder(radius, 2), "flat ring")
    body = torus(radius, rng.uniform(0.12, 0.22))
    if kind == "beaded":
        count = rng.randint(8, 24)
        body = torus(radius, 0.08) | sphere(radius * math.pi / count * 0.85).moved(radius).polar(count)
    if kind == "ribbed":
        body -= box(0.4, 0.025, 0.4).moved(radius + 0.2).polar(rng.randint(10, 30))
    return Solid(body, f"{kind} ring")


@family("plain", stretch=True)
def crate(rng: Random) -> Solid:
    """A box with slatted or framed sides and a lid."""
    a, b, c = 0.85, rng.uniform(0.5, 0.85), rng.uniform(0.4, 0.8)
    core = box(a - 0.06, b - 0.06, c - 0.02)
    count = rng.randint(3, 6)
    slats = box(a, b, c / count * 0.8, 0.01).row("z", 2 * c / count, count)
    posts = box(0.08, 0.08, c + 0.03).moved(a, b).mirrored("xy")
    lid = box(a + 0.06, b + 0.06, 0.05, 0.015).up(c + 0.05)
    return Solid(core | slats | posts | lid, "crate")


@family("wrapped")
def bucket(rng: Random) -> Solid:
    """A bucket or basket with a rim and a bail."""
    low, high, wall = rng.uniform(0.35, 0.5), rng.uniform(0.55, 0.7), 0.05
    shell = cone(low, high, 0.6) - cone(low - wall, high - wall, 0.6).up(0.06)
    rim = torus(high, rng.uniform(0.03, 0.06)).up(0.58)
    bail = arc(high, rng.uniform(0.03, 0.05), math.pi / 2).up(0.5)
    body = (shell | rim | bail).scaled(0.85)
    if rng.random() < 0.4:
        body -= box(0.3, 0.05, 0.07).moved(0.5).polar(rng.randint(10, 20)).row("z", 0.2, 3)
    return Solid(body.up(-0.2), "bucket")


@family(stretch=True)
def shoe(rng: Random) -> Solid:
    """A hollow shoe with a treaded sole."""
    toe = ellipsoid(0.5, 0.26, 0.24).moved(0.4, 0, -0.3)
    heel = capsule((-0.45, 0, -0.3), (-0.5, 0, rng.uniform(0.1, 0.5)), 0.28, 0.26)
    upper = union(toe, heel, capsule((0.3, 0, -0.35), (-0.4, 0, -0.25), 0.25, 0.27), blend=0.15)
    shell = upper.hollowed(0.05, rng.uniform(0.1, 0.4)) & half_space((0, 0, -1), 0.5)
    sole = extruded(slot(0.58, 0.3), 0.07, bevel=0.01).moved(0.05, 0, -0.52)
    tread = box(0.03, 1, 0.04).up(-0.6).row("x", 0.12, 13)
    return Solid(shell | (sole - tread), "shoe")
