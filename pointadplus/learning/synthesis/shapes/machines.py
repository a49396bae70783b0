"""Machine parts that turn, carry and connect."""

from __future__ import annotations

import math
from random import Random

from ..outlines import cog, extruded, turned_profile
from ..solids import THROUGH, Field, box, capsule, cone, cylinder, difference, drill, length, sphere, torus, union
from .details import thread
from .family import Solid, family


def _bore(rng: Random, radius: float) -> Field:
    """A hole along z, perhaps with a keyway."""
    hole = drill(radius)
    return hole | box(radius * 0.35, radius * 0.25, THROUGH).moved(radius) if rng.random() < 0.5 else hole


@family("flat")
def gear(rng: Random) -> Solid:
    teeth, outer, half = rng.randint(10, 34), 0.95, rng.uniform(0.1, 0.35)
    depth = min(0.2, 3.2 / teeth) * rng.uniform(0.7, 1.0)
    rim = cog(teeth, outer, depth, rng.uniform(0.42, 0.55), rng.uniform(0.2, 0.5))
    wheel = extruded(rim, half, bevel=rng.choice((0, 0.02)))
    helical = rng.random() < 0.35
    if helical:
        wheel = wheel.twisted(rng.uniform(0.4, 1.0))
    root, hub, bore = outer - depth, rng.uniform(0.25, 0.35), rng.uniform(0.1, 0.2)
    holes = _bore(rng, bore)
    if rng.random() < 0.6:
        holes |= (cylinder(root - 0.1, 0.1) - cylinder(hub, 1)).up(half + 0.04).mirrored("z")
    if rng.random() < 0.5:
        hole = drill((root - 0.1 - hub) * rng.uniform(0.25, 0.42))
        holes |= hole.moved((root - 0.1 + hub) / 2).polar(rng.randint(3, 8))
    boss = cylinder(hub, rng.choice((half, half + 0.12)), 0.01).up(0.05)
    return Solid((wheel | boss) - holes, "helical gear" if helical else "gear")


@family("flat")
def pulley(rng: Random) -> Solid:
    outer, half, depth = 0.92, rng.uniform(0.15, 0.4), rng.uniform(0.1, 0.25)
    grooves = rng.randint(1, 3)
    wedge = Field(lambda x, y, z: (z.abs() - (length(x, y) - (outer - depth)) * 0.5 - 0.02) * 0.9)
    beyond_root = Field(lambda x, y, z: outer - depth - length(x, y))
    wheel = cylinder(outer, half) - (wedge.row("z", 2 * half / grooves, grooves) & beyond_root)
    holes = drill(rng.uniform(0.08, 0.15)).moved(0.42).polar(rng.randint(3, 6))
    return Solid((wheel | cylinder(0.25, half + 0.1)) - _bore(rng, 0.12) - holes, "pulley")


@family("flat")
def flange(rng: Random) -> Solid:
    half, bore = rng.uniform(0.08, 0.15), rng.uniform(0.2, 0.4)
    neck = cone(bore + 0.25, bore + rng.uniform(0.08, 0.14), rng.uniform(0.15, 0.35)).up(0.3)
    raised = cylinder(bore + 0.2, 0.04).up(-half - 0.02)
    body = union(cylinder(0.95, half, 0.015), neck, raised, blend=rng.choice((0, 0.04)))
    holes = drill(rng.uniform(0.05, 0.1)).moved(0.78).polar(rng.randint(4, 12))
    return Solid(body - drill(bore) - holes, "pipe flange")


@family("flat")
def bearing(rng: Random) -> Solid:
    outer, inner, half = 0.95, rng.uniform(0.3, 0.5), rng.uniform(0.14, 0.3)
    middle, wall = (outer + inner) / 2, (outer - inner) * 0.3
    outer_ring = cylinder(outer, half, 0.03) - drill(outer - wall)
    inner_ring = cylinder(inner + wall, half, 0.03) - drill(inner)
    ball = (outer - inner) * 0.27
    balls = sphere(ball).moved(middle).polar(int(math.tau * middle / (2.3 * ball)))
    cage = cylinder(middle + 0.02, half * 0.5) - drill(middle - 0.02)
    return Solid(outer_ring | inner_ring | balls | cage, "ball bearing")


@family("wrapped")
def shaft(rng: Random) -> Solid:
    """Cylinders in steps, with keyways, flats, grooves, cross holes and knurled or threaded ends."""
    profile, z = [], -0.97
    for _ in range(rng.randint(3, 6)):
        radius, step = rng.uniform(0.12, 0.42), rng.uniform(0.2, 0.5)
        profile += [(radius, z), (radius, min(z + step, 0.97))]
        z = min(z + step, 0.97)
    body = turned_profile(profile)
    if rng.random() < 0.6:
        keyway = box(0.06, 0.06, rng.uniform(0.1, 0.25), 0.03)
        body -= keyway.moved(profile[2][0], 0, (profile[2][1] + profile[3][1]) / 2)
    if rng.random() < 0.5:
        body -= drill(rng.uniform(0.05, 0.09)).turned("x")
    if rng.random() < 0.5:
        body -= cone(0.08, 0.01, 0.06).up(-0.92)
    end = thread(0.16, 0.25, 0.07, 0.035).up(z) if z < 0.75 else cylinder(0.1, 0.05).up(0.9)
    return Solid(body | end, "stepped shaft")


_ARMS = {
    "pipe elbow": ("x+", "z+"),
    "pipe tee": ("x+", "x-", "z+"),
    "pipe cross": ("x+", "x-", "z+", "z-"),
    "pipe manifold": ("x+", "x-", "z+", "y+"),
}
_FROM_Z = {"x": ("y", math.pi / 2), "y": ("x", -math.pi / 2), "z": ("x", 0.0)}  # the turn of +z to each axis


def _pipe_end(radius: float, bore: float, arm: str) -> list[Field]:
    """Wall, bore and rim of a pipe from the origin along `arm`, such as "x+"."""
    axis, sign = arm
    flip = "y" if axis == "x" else "x", 0.0 if sign == "+" else math.pi
    wall, hole = capsule((0, 0, 0), (0, 0, 0.95), radius), capsule((0, 0, 0), (0, 0, 1.4), bore)
    rim = cylinder(radius + 0.07, 0.09, 0.02).up(0.8)
    return [part.turned(*_FROM_Z[axis]).turned(*flip) for part in (wall, hole, rim)]


@family()
def pipe_fitting(rng: Random) -> Solid:
    radius = rng.uniform(0.2, 0.3)
    name, arms = rng.choice(list(_ARMS.items()))
    walls, holes, rims = zip(*(_pipe_end(radius, 0.75 * radius, arm) for arm in arms), strict=True)
    outer = union(union(*walls, blend=rng.choice((0, 0.1))), *rims) & box(0.89, 0.89, 0.89)
    return Solid(difference(outer, *holes), name)


@family("flat")
def handwheel(rng: Random) -> Solid:
    spokes = capsule((0.1, 0, 0), (0.78, 0, rng.uniform(-0.1, 0.25)), 0.09, 0.06).polar(rng.randint(3, 7))
    rim = torus(0.82, rng.uniform(0.07, 0.13)).up(0.08)
    hub = cylinder(rng.uniform(0.2, 0.3), rng.uniform(0.15, 0.25), 0.02)
    crank = capsule((0, 0, 0), (0, 0, 0.5), 0.05, 0.09).moved(0.8, 0, 0.15)
    parts = [rim, spokes, hub] + ([crank] if rng.random() < 0.5 else [])
    return Solid(union(*parts, blend=0.05) - _bore(rng, 0.1), "handwheel")


@family("flat", stretch=True)
def robot_link(rng: Random) -> Solid:
    """Two bosses of different size joined by a waisted arm: robot links and connecting rods."""
    big, small = rng.uniform(0.32, 0.42), rng.uniform(0.18, 0.32)
    half = rng.uniform(0.15, 0.3)
    one = cylinder(big, half, 0.02).moved(-0.55)
    two = cylinder(small, half * rng.uniform(0.7, 1.3), 0.02).moved(0.95 - small)
    arm = capsule((-0.55, 0, 0), (0.6, 0, 0), big * 0.75, small * 0.7) & box(2, 2, half * rng.uniform(0.5, 0.8))
    holes = drill(big * rng.uniform(0.45, 0.75)).moved(-0.55)
    if rng.random() < 0.6:
        pocket = capsule((-0.3, 0, 0), (0.45, 0, 0), big * 0.4, small * 0.35) & box(0.45, 2, 2) & box(2, 2, 0.12)
        holes |= pocket.up(half * 0.7).mirrored("z")
    if rng.random() < 0.6:
        holes |= drill(0.03).moved(big * 0.88).polar(rng.randint(4, 10)).moved(-0.55)
    if rng.random() < 0.4:
        two = two.turned("x")
    else:
        holes |= drill(small * 0.6).moved(0.95 - small)
    return Solid(union(one, two, arm, blend=rng.choice((0.0, 0.06, 0.12))) - holes, "robot link")


@family("plain")
def propeller(rng: Random) -> Solid:
    count, wide = rng.randint(2, 7), rng.uniform(0.14, 0.3)
    if count > 4:
        wide *= 0.7
    blade = sphere(1.0).scaled(0.42, wide, rng.uniform(0.035, 0.06)).turned("x", rng.uniform(0.3, 0.9)).moved(0.52)
    hub = cylinder(0.18, 0.16) | sphere(0.18).scaled(1, 1, rng.uniform(0.8, 2)).up(0.16)
    body = union(hub, blade.polar(count), blend=0.05)
    if rng.random() < 0.3:
        body |= cylinder(0.97, 0.12) - cylinder(0.91, 1)
    return Solid(body - cylinder(0.07, 0.3).up(-0.2), "propeller")
