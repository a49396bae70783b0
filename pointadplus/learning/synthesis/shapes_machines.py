"""Machine parts that turn, carry and connect."""

from __future__ import annotations

import math
from random import Random

from .family import Family, Solid
from .outlines import cog, extruded, turned_profile
from .shapes_fasteners import thread
from .solids import (
    Field,
    Number,
    box,
    capsule,
    cone,
    cylinder,
    difference,
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
    twisted,
    union,
)

_THROUGH = 3.0  # longer than any solid


def _bore(rng: Random, radius: Number) -> list[Field]:
    """A hole along z, perhaps with a keyway or a countersink."""
    tools: list[Field] = [cylinder(radius, _THROUGH)]
    if rng.random() < 0.5:
        tools.append(moved(box(radius * 0.35, radius * 0.25, _THROUGH), radius))
    return tools


def _circle(rng: Random, ring: Number, radius: Number, count: int) -> Field:
    return polar(moved(cylinder(radius, _THROUGH), ring), count)


def gear(rng: Random) -> Solid:
    teeth, outer, half = rng.randint(10, 34), 0.95, rng.uniform(0.1, 0.35)
    depth = min(0.2, 3.2 / teeth) * rng.uniform(0.7, 1.0)
    wheel = extruded(
        cog(teeth, outer, depth, rng.uniform(0.42, 0.55), rng.uniform(0.2, 0.5)), half, bevel=rng.choice((0, 0.02))
    )
    helical = rng.random() < 0.35
    if helical:
        wheel = twisted(wheel, rng.uniform(0.4, 1.0))
    root, hub, bore = outer - depth, rng.uniform(0.25, 0.35), rng.uniform(0.1, 0.2)
    tools = _bore(rng, bore)
    if rng.random() < 0.6:
        web = difference(cylinder(root - 0.1, 0.1), cylinder(hub, 1))
        tools.append(mirrored(moved(web, 0, 0, half + 0.04), 2))
    if rng.random() < 0.5:
        tools.append(
            _circle(rng, (root - 0.1 + hub) / 2, (root - 0.1 - hub) * rng.uniform(0.25, 0.42), rng.randint(3, 8))
        )
    boss = moved(cylinder(hub, rng.choice((half, half + 0.12)), 0.01), 0, 0, 0.05)
    return Solid(difference(union(wheel, boss), *tools), "helical gear" if helical else "gear")


def pulley(rng: Random) -> Solid:
    outer, half, depth = 0.92, rng.uniform(0.15, 0.4), rng.uniform(0.1, 0.25)
    grooves = rng.randint(1, 3)
    groove = row(
        lambda x, y, z: (z.abs() - (length(x, y) - (outer - depth)) * 0.5 - 0.02) * 0.9, 2, 2 * half / grooves, grooves
    )
    wheel = difference(cylinder(outer, half), intersection(groove, lambda x, y, z: outer - depth - length(x, y)))
    holes = _circle(rng, 0.42, rng.uniform(0.08, 0.15), rng.randint(3, 6))
    return Solid(difference(union(wheel, cylinder(0.25, half + 0.1)), *_bore(rng, 0.12), holes), "pulley")


def flange(rng: Random) -> Solid:
    half, bore = rng.uniform(0.08, 0.15), rng.uniform(0.2, 0.4)
    neck = moved(cone(bore + 0.25, bore + rng.uniform(0.08, 0.14), rng.uniform(0.15, 0.35)), 0, 0, 0.3)
    raised = moved(cylinder(bore + 0.2, 0.04), 0, 0, -half - 0.02)
    body = union(cylinder(0.95, half, 0.015), neck, raised, blend=rng.choice((0, 0.04)))
    return Solid(
        difference(body, cylinder(bore, _THROUGH), _circle(rng, 0.78, rng.uniform(0.05, 0.1), rng.randint(4, 12))),
        "pipe flange",
    )


def bearing(rng: Random) -> Solid:
    outer, inner, half = 0.95, rng.uniform(0.3, 0.5), rng.uniform(0.14, 0.3)
    middle, wall = (outer + inner) / 2, (outer - inner) * 0.3
    rings = union(
        difference(cylinder(outer, half, 0.03), cylinder(outer - wall, _THROUGH)),
        difference(cylinder(inner + wall, half, 0.03), cylinder(inner, _THROUGH)),
    )
    ball = (outer - inner) * 0.27
    count = int(math.tau * middle / (2.3 * ball))
    cage = difference(cylinder(middle + 0.02, half * 0.5), cylinder(middle - 0.02, _THROUGH))
    return Solid(union(rings, polar(moved(sphere(ball), middle), count), cage), "ball bearing")


def shaft(rng: Random) -> Solid:
    """Cylinders in steps, with keyways, flats, grooves, cross holes and knurled or threaded ends."""
    profile, z = [], -0.97
    for _ in range(rng.randint(3, 6)):
        radius, step = rng.uniform(0.12, 0.42), rng.uniform(0.2, 0.5)
        profile += [(radius, z), (radius, min(z + step, 0.97))]
        z = min(z + step, 0.97)
    body = turned_profile(profile)
    tools: list[Field] = []
    if rng.random() < 0.6:
        tools.append(
            moved(box(0.06, 0.06, rng.uniform(0.1, 0.25), 0.03), profile[2][0], 0, (profile[2][1] + profile[3][1]) / 2)
        )
    if rng.random() < 0.5:
        tools.append(turned(cylinder(rng.uniform(0.05, 0.09), _THROUGH), "x", math.pi / 2))
    if rng.random() < 0.5:
        tools.append(moved(cone(0.08, 0.01, 0.06), 0, 0, -0.92))
    end = moved(thread(0.16, 0.25, 0.07, 0.035), 0, 0, z) if z < 0.75 else moved(cylinder(0.1, 0.05), 0, 0, 0.9)
    return Solid(union(difference(body, *tools), end), "stepped shaft")


def _pipe_end(radius: Number, bore: Number, axis: str, sign: int) -> tuple[Field, Field, Field]:
    """Wall, bore and rim of a pipe from the origin along an axis."""
    pipe = capsule((0, 0, 0), (0, 0, 0.95), radius)
    drill, rim = capsule((0, 0, 0), (0, 0, 1.4), bore), moved(cylinder(radius + 0.07, 0.09, 0.02), 0, 0, 0.8)
    turn = {"x": ("y", math.pi / 2), "y": ("x", -math.pi / 2), "z": ("x", 0.0)}[axis]
    flip = 0.0 if sign > 0 else math.pi
    pipe, drill, rim = (turned(turned(part, *turn), "y" if axis == "x" else "x", flip) for part in (pipe, drill, rim))
    return pipe, drill, rim


def pipe_fitting(rng: Random) -> Solid:
    radius = rng.uniform(0.2, 0.3)
    name, arms = rng.choice(
        (
            ("pipe elbow", ("x+", "z+")),
            ("pipe tee", ("x+", "x-", "z+")),
            ("pipe cross", ("x+", "x-", "z+", "z-")),
            ("pipe manifold", ("x+", "x-", "z+", "y+")),
        )
    )
    ends = [_pipe_end(radius, 0.75 * radius, arm[0], 1 if arm[1] == "+" else -1) for arm in arms]
    pipes, drills, rims = zip(*ends, strict=True)
    outer = union(union(*pipes, blend=rng.choice((0, 0.1))), *rims)
    return Solid(difference(intersection(outer, box(0.89, 0.89, 0.89)), *drills), name)


def handwheel(rng: Random) -> Solid:
    spokes = polar(capsule((0.1, 0, 0), (0.78, 0, rng.uniform(-0.1, 0.25)), 0.09, 0.06), rng.randint(3, 7))
    rim = moved(torus(0.82, rng.uniform(0.07, 0.13)), 0, 0, 0.08)
    hub = cylinder(rng.uniform(0.2, 0.3), rng.uniform(0.15, 0.25), 0.02)
    crank = moved(capsule((0, 0, 0), (0, 0, 0.5), 0.05, 0.09), 0.8, 0, 0.15)
    parts = [rim, spokes, hub] + ([crank] if rng.random() < 0.5 else [])
    return Solid(difference(union(*parts, blend=0.05), *_bore(rng, 0.1)), "handwheel")


def robot_link(rng: Random) -> Solid:
    """Two bosses of different size joined by a waisted arm: robot links and connecting rods."""
    big, small = rng.uniform(0.32, 0.42), rng.uniform(0.18, 0.32)
    half = rng.uniform(0.15, 0.3)
    one, two = (
        moved(cylinder(big, half, 0.02), -0.55),
        moved(cylinder(small, half * rng.uniform(0.7, 1.3), 0.02), 0.95 - small),
    )
    arm = capsule((-0.55, 0, 0), (0.6, 0, 0), big * 0.75, small * 0.7)
    arm = intersection(arm, box(2, 2, half * rng.uniform(0.5, 0.8)))
    pocket = intersection(capsule((-0.3, 0, 0), (0.45, 0, 0), big * 0.4, small * 0.35), box(0.45, 2, 2))
    tools = [
        moved(cylinder(big * rng.uniform(0.45, 0.75), _THROUGH), -0.55),
        moved(cylinder(small * 0.6, _THROUGH), 0.95 - small),
    ]
    if rng.random() < 0.6:
        tools.append(mirrored(moved(intersection(pocket, box(2, 2, 0.12)), 0, 0, half * 0.7), 2))
    if rng.random() < 0.6:
        tools.append(moved(polar(moved(cylinder(0.03, _THROUGH), big * 0.88), rng.randint(4, 10)), -0.55))
    if rng.random() < 0.4:
        two = turned(two, "x", math.pi / 2)
        tools.pop(1)
    return Solid(difference(union(one, two, arm, blend=rng.choice((0.0, 0.06, 0.12))), *tools), "robot link")


def propeller(rng: Random) -> Solid:
    count, wide = rng.randint(2, 7), rng.uniform(0.14, 0.3)
    if count > 4:
        wide *= 0.7
    blade = scaled(sphere(1.0), 0.42, wide, rng.uniform(0.035, 0.06))
    blade = moved(turned(blade, "x", rng.uniform(0.3, 0.9)), 0.52)
    hub = union(cylinder(0.18, 0.16), moved(scaled(sphere(0.18), 1, 1, rng.uniform(0.8, 2)), 0, 0, 0.16))
    body = union(hub, polar(blade, count), blend=0.05)
    if rng.random() < 0.3:
        body = union(body, difference(cylinder(0.97, 0.12), cylinder(0.91, 1)))
    return Solid(difference(body, moved(cylinder(0.07, 0.3), 0, 0, -0.2)), "propeller")


FAMILIES = {
    "gear": Family(gear, "flat"),
    "pulley": Family(pulley, "flat"),
    "flange": Family(flange, "flat"),
    "bearing": Family(bearing, "flat"),
    "shaft": Family(shaft, "wrapped"),
    "pipe_fitting": Family(pipe_fitting, "free"),
    "handwheel": Family(handwheel, "flat"),
    "robot_link": Family(robot_link, "flat", stretch=True),
    "propeller": Family(propeller, "plain"),
}
