"""Hand tools, no two sides of which are alike."""

from __future__ import annotations

from random import Random

from ..outlines import cog, extruded, ngon, polygon, slot
from ..solids import Field, Vector, box, capsule, cylinder, drill, ellipsoid, sphere, torus, tube, union
from .details import thread
from .family import Solid, family


@family()
def pliers(rng: Random) -> Solid:
    """Two unequal crossed levers on a pivot: jaws, a cutter or teeth, bent grips with sleeves."""
    half, spread, nose = rng.uniform(0.07, 0.12), rng.uniform(0.18, 0.42), rng.uniform(-0.2, 0.2)
    reach, pivot = rng.uniform(0.75, 0.95), rng.uniform(0.05, 0.3)
    gap, parts = rng.uniform(0.02, 0.09), []
    for side in (1, -1):
        wide, tip = rng.uniform(0.07, 0.12), reach - rng.choice((0, 0, rng.uniform(0, 0.2)))
        jaw = [(tip, side * (gap + 0.03) + nose, 0), (0.5, side * (gap + wide) + 0.4 * nose, 0), (pivot, 0, 0)]
        steel = [tube(jaw, [rng.uniform(0.03, 0.07), wide, 0.14]) & box(2, 2, half, 0.01)]
        down = -side * spread
        grip: list[Vector] = [
            (pivot, 0, 0),
            (pivot - 0.3, down * rng.uniform(0.4, 0.8), 0),
            (-0.5, down * rng.uniform(0.8, 1.2), 0),
            (rng.uniform(-0.92, -0.75), down * rng.uniform(0.6, 1.2), rng.uniform(-0.05, 0.05)),
        ]
        steel.append(tube(grip, [0.12, 0.075, 0.05, 0.05]) & box(2, 2, half * 0.8, 0.01))
        sleeve = tube(grip[1:], [rng.uniform(0.06, 0.09), rng.uniform(0.07, 0.1), rng.uniform(0.06, 0.09)], blend=0.04)
        parts.append(union(*steel, blend=0.03).up(side * rng.uniform(0, 0.03)))
        parts.append(sleeve if rng.random() < 0.8 else sphere(0.07).moved(*grip[3]))
        if rng.random() < 0.4:  # a stop for the finger
            x, y, z = grip[1]
            parts.append(ellipsoid(0.05, 0.12, 0.1).moved(x - 0.08, y * 1.25, z))
    body = union(*parts) | cylinder(rng.uniform(0.08, 0.14), half + 0.035, 0.015).moved(pivot)
    if rng.random() < 0.6:
        body -= box(0.012, 0.05, 2).row("x", 0.05, rng.randint(3, 8)).moved(reach - 0.25, nose * 0.7)
    if rng.random() < 0.5:
        body -= box(0.08, 0.02, 0.05).turned("z", rng.uniform(0, 3)).moved(pivot, 0, half + 0.035)
    return Solid(body.moved(0, -0.3 * nose), "pliers")


@family("plain")
def scissors(rng: Random) -> Solid:
    """Two crossed blades with unequal, turned finger rings; or one blade against a hook, as for pruning."""
    half, open_, pruning = rng.uniform(0.025, 0.05), rng.uniform(0.05, 0.3), rng.random() < 0.4
    parts = []
    for side in (1, -1):
        wide, long = rng.uniform(0.09, 0.16), rng.uniform(0.75, 0.9)
        blade = extruded(polygon([(-0.15, -0.09), (0.1, -0.1), (long, -0.01), (0.55, wide * 0.7), (0.1, wide)]), half)
        if pruning:
            blade = extruded(
                polygon([(-0.15, -0.1), (0.2, -0.12), (0.6, -0.02), (0.5, 0.2), (0.25, 0.28), (0.05, 0.12)])
                if side == 1
                else polygon([(-0.15, -0.1), (0.3, -0.02), (0.45, 0.08), (0.6, 0.02), (0.5, -0.15), (0.2, -0.2)]),
                half,
            )
        arm = rng.uniform(0.1, 0.25)
        end = (rng.uniform(-0.6, -0.4), -arm, 0)
        parts.append((blade | capsule((-0.1, 0, 0), end, 0.09, 0.05)).up(half * side).turned("z", side * open_ / 2))
        hole, ring = rng.uniform(0.0, 0.2), rng.uniform(0.12, 0.17)
        if side == -1 or rng.random() < 0.3:
            hole = rng.uniform(0.0, 0.05)
        loop = extruded(slot(hole, ring), 0.09, edge=0.04) - extruded(slot(hole, ring - 0.06), 1)
        turn = rng.uniform(-0.3, 0.5)
        if pruning:
            loop = capsule((-0.25, 0, 0), (0.25, -0.05, 0), rng.uniform(0.07, 0.1), rng.uniform(0.05, 0.08))
        spot = (end[0] - hole * 0.7 - 0.1, end[1] - 0.07)
        loop = loop.turned("z", turn).moved(*spot).turned("z", side * open_ / 2)
        parts[-1] = parts[-1] | loop
    lower = parts[1]
    mirrored = Field(lambda x, y, z: lower(x, -y, z))
    screw = cylinder(rng.uniform(0.05, 0.09), 0.06 + 2 * half, 0.02) - box(0.2, 0.012, 0.04).up(0.07 + 2 * half)
    return Solid((parts[0] | mirrored | screw).moved(0.05), "pruning shears" if pruning else "scissors")


@family("flat")
def pipe_wrench(rng: Random) -> Solid:
    """A bar with a fixed jaw, and a hooked one that slides beside it, moved by a knurled nut."""
    half, bar, long = rng.uniform(0.07, 0.12), rng.uniform(0.08, 0.13), rng.uniform(0.7, 0.95)
    open_, tilt = rng.uniform(0.1, 0.3), rng.uniform(-0.15, 0.2)
    handle = capsule((-long, rng.uniform(-0.12, 0.12), 0), (0.3, 0, 0), bar * rng.uniform(0.9, 1.4), bar)
    handle &= box(2, 2, half, 0.02)
    if rng.random() < 0.7:
        web = capsule((-long + 0.2, 0, 0), (0.05, 0, 0), bar * 0.5) & box(2, 2, 0.03)
        handle -= web.up(half)
    handle -= drill(bar * rng.uniform(0.3, 0.5)).moved(-long, 0)
    fixed = extruded(polygon([(0.15, -0.14), (0.45, -0.2), (0.55, 0.05), (0.5, 0.3), (0.3, 0.34), (0.15, 0.15)]), half)
    top = 0.52 + open_
    hook = [(0.1, -0.34), (0.1, -0.2), (0.52, -0.2), (top - 0.12, -0.05), (top, 0.08), (top - 0.02, 0.4),
            (top + 0.12, 0.42), (top + 0.2, 0.1), (top + 0.08, -0.28), (0.6, -0.34)]  # fmt: skip
    moving = extruded(polygon(hook), half * rng.uniform(0.6, 0.95), bevel=0.01)
    teeth = box(0.02, 0.014, 2).turned("z", 0.5).row("y", 0.05, rng.randint(4, 6))
    moving -= teeth.moved(top - 0.02, 0.24)
    fixed -= teeth.moved(0.52, 0.2)
    nut = extruded(cog(rng.randint(14, 24), rng.uniform(0.13, 0.17), 0.025), 0.06).turned("y").moved(0.22, -0.24)
    rod = capsule((0.0, -0.24, 0), (0.3, -0.24, 0), 0.05)
    frame = box(0.05, 0.12, half * 1.15, 0.02).moved(0.4, -0.22) | box(0.04, 0.1, half, 0.01).moved(0.1, -0.18)
    body = (
        union(handle, fixed, blend=0.05)
        | nut
        | rod
        | frame
        | moving.turned("z", tilt * 0.2).up(rng.uniform(0.15, 0.4) * half)
    )
    if rng.random() < 0.5:
        body |= cylinder(0.05, half, 0.01).moved(0.3, 0.1, 0.05)
    return Solid(body.moved(0, -0.04), "pipe wrench")


@family()
def clamp(rng: Random) -> Solid:
    """A frame like a C of unequal arms; through one runs a screw with a swivel pad and a sliding bar."""
    half, high, deep = rng.uniform(0.07, 0.13), rng.uniform(0.45, 0.7), rng.uniform(0.35, 0.6)
    arm, back = rng.uniform(0.1, 0.16), rng.uniform(0.1, 0.18)
    low = (deep + rng.uniform(-0.1, 0.1), -high, 0)
    path: list[Vector] = [low, (-0.3, -high, 0), (-0.55, rng.uniform(-0.3, 0.2), 0), (-0.3, high, 0), (deep, high, 0)]
    frame = tube(path, [arm * 0.8, arm, back, arm, arm * 0.9], blend=0.1) & box(2, 2, half, 0.03)
    web = tube(path, [0.03, arm * 0.5, back * 0.5, arm * 0.5, 0.03]) & box(2, 2, 0.03)
    if rng.random() < 0.7:
        frame -= web.up(half)
    anvil = cylinder(rng.uniform(0.1, 0.15), 0.06, 0.01).turned("x").moved(deep, -high + arm)
    sleeve = cylinder(rng.uniform(0.12, 0.17), arm + 0.05, 0.02).turned("x").moved(deep, high)
    tip, screw = rng.uniform(-0.3, 0.3), rng.uniform(0.06, 0.085)
    top = min(0.98, high + rng.uniform(0.25, 0.4))
    rod = thread(screw, (top - tip) / 2, 0.05, 0.02).turned("x").moved(deep, (top + tip) / 2)
    pad = (cylinder(rng.uniform(0.1, 0.16), 0.04, 0.01).turned("x") | sphere(0.08).moved(0, 0.05)).moved(deep, tip)
    slide = rng.uniform(-0.15, 0.15)
    bar = capsule((0, 0, slide - 0.3), (0, 0, slide + 0.3), 0.03)
    bar |= sphere(0.05).up(slide - 0.3) | sphere(0.05).up(slide + 0.3)
    grip = bar.turned("y", rng.uniform(0, 3)).moved(deep, top - 0.06)
    if rng.random() < 0.35:  # a wooden grip in place of the bar
        grip = (ellipsoid(0.13, 0.25, 0.12)).moved(deep, top - 0.15)
    return Solid((frame | anvil | sleeve | rod | pad | grip).moved(-0.1), "clamp")


@family(stretch=True)
def hand_plane(rng: Random) -> Solid:
    """A sole with a slanted iron, a lever, a knob before it and a bowed grip behind."""
    wide, sole = rng.uniform(0.2, 0.32), rng.uniform(0.04, 0.08)
    at, lean = rng.uniform(-0.05, 0.3), rng.uniform(0.5, 0.9)
    body = box(0.95, wide, sole, 0.015).up(-0.4)
    cheeks = extruded(
        polygon([(-0.75, -0.42), (-0.2, rng.uniform(-0.2, 0)), (0.2, rng.uniform(-0.25, 0)), (0.75, -0.42)]), 0.025
    ).turned("x")
    body |= cheeks.moved(0, wide - 0.03).mirrored("y")
    if rng.random() < 0.4:  # one of wood: a full body
        body = box(0.95, wide, 0.18, 0.04).up(-0.28)
    iron = box(0.025, wide * 0.75, 0.42, 0.008).turned("y", -lean).moved(at - 0.25, 0, -0.15)
    frog = box(0.12, wide * 0.6, 0.2, 0.03).turned("y", -lean * 0.8).moved(at - 0.25, 0, -0.25)
    lever = capsule((at - 0.1, 0, -0.1), (at - 0.42, rng.uniform(-0.12, 0.12), 0.2), 0.08, 0.05).scaled(
        1, rng.uniform(1, 1.8), 1
    )
    adjuster = cylinder(0.08, 0.03, 0.01).turned("y").moved(at - 0.48, 0, -0.08)
    side = wide * rng.uniform(-0.3, 0.3)
    spindle = capsule((at - 0.2, 0, -0.1), (at - 0.5, 0, -0.08), 0.03)
    rear = rng.uniform(-0.75, -0.65)
    curve: list[Vector] = [
        (rear + 0.15, 0, -0.35), (rear, 0, -0.1), (rear + 0.05, side * 0.3, 0.12), (rear - 0.12, side, 0.3),
    ]  # fmt: skip
    tote = tube(curve, [0.13, 0.09, 0.09, 0.07], blend=0.08).scaled(1, 0.8, 1)
    ball = rng.uniform(0.1, 0.15)
    knob = union(capsule((0, 0, -0.35), (0, 0, -0.1), 0.1, 0.05), sphere(ball), blend=0.03).moved(
        rng.uniform(0.6, 0.75), side * 0.5
    )
    return Solid((body | iron | frog | lever | adjuster | spindle | tote | knob).up(0.05), "hand plane")


@family()
def utility_knife(rng: Random) -> Solid:
    """A bowed flat grip with a thumb slide, finger hollows, a screw and a slanted blade."""
    half = rng.uniform(0.08, 0.13)
    line = [(rng.uniform(-0.85, -0.75), rng.uniform(-0.15, 0.0), 0), (-0.4, rng.uniform(0, 0.1), 0)]
    path: list[Vector] = [*line, (0.1, rng.uniform(-0.02, 0.08), 0), (0.5, rng.uniform(-0.1, 0.05), 0)]
    grip = tube(path, [rng.uniform(0.12, 0.2), 0.14, rng.uniform(0.12, 0.18), 0.1], blend=0.1) & box(2, 2, half, 0.04)
    x, y, _ = path[3]
    drop = rng.uniform(0.03, 0.12)
    blade = polygon([(x - 0.2, y + 0.06), (x + 0.3, y + 0.06), (x + 0.44, y - drop), (x - 0.2, y - drop)])
    body = grip | extruded(blade, 0.022)
    for _ in range(rng.randint(1, 4)):
        body -= drill(rng.uniform(0.05, 0.1)).scaled(1.4, 1, 1).moved(rng.uniform(-0.8, 0.2), -0.17)
    at = rng.uniform(-0.3, 0.25)
    slide = box(rng.uniform(0.08, 0.15), 0.05, 0.05, 0.015) - box(0.012, 0.2, 0.02).up(0.05).row("x", 0.045, 4)
    body |= slide.moved(at, 0.05, half)
    body -= extruded(slot(0.25, 0.03), 0.03).moved(at + rng.uniform(-0.3, -0.1), 0.05, half)
    body -= extruded(ngon(6, 0.04), 0.04).moved(rng.uniform(-0.75, -0.5), 0.02, -half)
    if rng.random() < 0.5:
        body |= (torus(0.09, 0.03)).moved(path[0][0] + 0.08, path[0][1] - 0.12)
    return Solid(body, "utility knife")
