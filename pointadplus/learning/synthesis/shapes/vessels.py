"""Vessels and other turned things."""

from __future__ import annotations

import math
from random import Random

from ..outlines import lathed, polygon, smooth_curve, turned_profile
from ..solids import Field, arc, box, capsule, cone, cylinder, ellipsoid, half_space, sphere, torus, union
from .family import Solid, family


def _belly(rng: Random, low: float, high: float, knots: int = 5) -> list[tuple[float, float]]:
    """A smooth profile of (radius, height), which goes on beyond the top so that it can be cut there."""
    heights = [-0.95 + 1.9 * index / (knots - 1) for index in range(knots)]
    radii = [rng.uniform(low, high) for _ in heights]
    return smooth_curve([*zip(radii, heights, strict=True), (radii[-1], 1.08)])


def _handle(rng: Random, x: float, half: float, thick: float) -> Field:
    """A half ring that stands on the wall at +x, `half` high each way; round or a strap."""
    loop = arc(half, thick, rng.uniform(1.5, 1.9)).turned("y")
    return loop.scaled(rng.uniform(0.55, 0.9), rng.choice((1.0, 1.6)), 1.0).moved(x)


@family("wrapped")
def vase(rng: Random) -> Solid:
    handles = rng.choice((0, 0, 1, 2, 2))
    profile = _belly(rng, 0.2, 0.85 if handles == 0 else 0.6, rng.randint(4, 7))
    body, top, wall = turned_profile(profile), rng.uniform(0.75, 0.95), rng.uniform(0.035, 0.07)
    vessel = body.hollowed(wall, top)
    if handles:
        x = sum(radius for radius, _ in profile) / len(profile)
        loop = _handle(rng, x - 0.05, rng.uniform(0.25, 0.42), rng.uniform(0.035, 0.06)).up(rng.uniform(-0.1, 0.3))
        vessel = union(vessel, (loop if handles == 1 else loop.polar(2)) - body, blend=0.03)
    return Solid(vessel, ("vase", "vase with a handle", "vase with two handles")[handles])


@family("wrapped")
def bottle(rng: Random) -> Solid:
    body, neck = rng.uniform(0.28, 0.5), rng.uniform(0.1, 0.2)
    low, rise = rng.uniform(0.0, 0.35), rng.uniform(0.1, 0.3)
    shoulder = smooth_curve(
        [(body, low), (body * 0.85, low + rise * 0.4), (neck * 1.15, low + rise), (neck, low + rise + 0.1)]
    )
    solid = turned_profile([(body - 0.05, -0.97), (body, -0.92), (body, low), *shoulder, (neck, 0.9)])
    if rng.random() < 0.4:
        return Solid(solid.hollowed(0.035, 0.85), "open bottle")
    cap = cylinder(neck + 0.05, 0.12, 0.015).up(0.82)
    cap -= cylinder(0.018, 0.3).moved(neck + 0.055).polar(rng.randint(12, 28))
    return Solid(solid | cap | torus(neck, 0.035).up(0.66), "bottle with a cap")


@family("wrapped")
def mug(rng: Random) -> Solid:
    bottom, top = rng.uniform(0.42, 0.6), rng.uniform(0.5, 0.65)
    foot = rng.uniform(0.03, 0.12)
    side = smooth_curve([(bottom, -0.8 + foot), ((bottom + top) / 2 * rng.uniform(0.95, 1.1), 0.0), (top, 0.7)])
    body = turned_profile([(bottom - foot, -0.8), (bottom, -0.8 + foot), *side, (top, 1.05)])
    wall = rng.uniform(0.04, 0.08)
    handle = _handle(rng, (bottom + top) / 2 - 0.06, rng.uniform(0.32, 0.5), rng.uniform(0.045, 0.075))
    handle = handle.up(rng.uniform(-0.15, 0.05)) - body
    return Solid(union(body.hollowed(wall, rng.uniform(0.5, 0.75)), handle, blend=0.04), "mug")


@family("wrapped")
def pitcher(rng: Random) -> Solid:
    profile = _belly(rng, 0.32, 0.55, 4)
    body, wall, top = turned_profile(profile), rng.uniform(0.04, 0.06), rng.uniform(0.7, 0.9)
    lip = capsule((-0.1, 0, top - 0.45), (-profile[-1][0] - 0.12, 0, top + 0.1), 0.08, 0.14)
    full = union(body, lip, blend=0.1)
    handle = _handle(rng, 0.38, rng.uniform(0.4, 0.55), rng.uniform(0.04, 0.07)).up(0.05)
    return Solid(union(full.hollowed(wall, top), handle - full, blend=0.03), "pitcher")


@family("wrapped")
def teapot(rng: Random) -> Solid:
    radius = rng.uniform(0.42, 0.52)
    body = ellipsoid(radius, radius, rng.uniform(0.38, 0.5))
    spout = capsule((0.35, 0, -0.12), (0.85, 0, rng.uniform(0.25, 0.4)), 0.13, 0.05)
    bore = capsule((0.6, 0, 0.1), (0.95, 0, 0.45), 0.03)
    loop = _handle(rng, 0.4, 0.3, 0.05).turned("z", math.pi).up(0.02)
    lid = (cylinder(0.25, 0.04, 0.01) | sphere(0.07).up(0.09)).up(0.4)
    foot = cylinder(0.28, 0.05).up(-0.42)
    return Solid((union(body, spout, loop, blend=0.06) | lid | foot) - bore, "teapot")


@family("wrapped")
def bowl(rng: Random) -> Solid:
    radius, wall = rng.uniform(0.8, 0.95), rng.uniform(0.04, 0.08)
    depth = rng.uniform(0.5, 0.9)
    body = ellipsoid(radius, radius, depth).up(0.4)
    ring = (cylinder(rng.uniform(0.32, 0.5), 0.15) - cylinder(0.25, 0.3)).up(0.4 - depth)
    rim = torus(radius - wall / 2, wall * rng.uniform(0.7, 1.1)).up(0.4)
    vessel = body.hollowed(wall, 0.4) | (ring - body)
    return Solid(vessel | rim if rng.random() < 0.6 else vessel, "bowl")


@family("wrapped")
def goblet(rng: Random) -> Solid:
    cup, stem, foot = rng.uniform(0.35, 0.5), rng.uniform(0.05, 0.1), rng.uniform(0.35, 0.5)
    knot = rng.uniform(stem, 0.2)
    outer = [
        (foot, -0.92), (stem * 1.6, -0.8), (stem, -0.5), (knot, -0.35), (stem, -0.2),
        (cup * 0.8, 0.1), (cup, 0.5), (cup * 0.85, 1.0),
    ]  # fmt: skip
    body = turned_profile([(foot, -0.97), *smooth_curve(outer)])
    inside = ellipsoid(cup * 0.84, cup * 0.84, 0.75).up(0.85)
    return Solid((body - inside) & half_space((0, 0, 1), 0.85), "goblet")


@family()
def chess_piece(rng: Random) -> Solid:
    base, waist = rng.uniform(0.35, 0.48), rng.uniform(0.13, 0.2)
    profile = [
        (base, -0.97), (base, -0.85), (base - 0.06, -0.82), (base - 0.03, -0.74), (base - 0.12, -0.66),
        *smooth_curve([(base - 0.14, -0.6), (waist * 1.2, -0.2), (waist, 0.25)]),
        (waist + 0.12, 0.3), (waist + 0.12, 0.35), (waist + 0.03, 0.38), (waist + 0.03, 0.42),
    ]  # fmt: skip
    kind = rng.choice(("pawn", "rook", "bishop", "king"))
    if kind == "rook":
        tower = turned_profile([*profile, (0.27, 0.55), (0.29, 0.9)]) - cylinder(0.18, 0.12).up(0.9)
        return Solid(tower - box(0.2, 0.06, 0.12).moved(0.3, 0, 0.9).polar(rng.randint(4, 8)), "rook chess piece")
    body = turned_profile([*profile, (0.1, 0.5)])
    if kind == "pawn":
        return Solid(union(body, sphere(0.24).up(0.58), blend=0.02), "pawn chess piece")
    if kind == "bishop":
        head = ellipsoid(0.2, 0.2, 0.28).up(0.62) - box(0.3, 0.3, 0.025).turned("y", 0.6).moved(0.16, 0, 0.75)
        return Solid(body | head | sphere(0.06).up(0.92), "bishop chess piece")
    cross = box(0.04, 0.04, 0.14).up(0.83) | box(0.13, 0.04, 0.04).up(0.85)
    return Solid(body | cone(0.14, 0.26, 0.14).up(0.54) | cross, "king chess piece")


@family("wrapped")
def knob(rng: Random) -> Solid:
    """A turned profile of straight steps and beads, as of knobs, balusters and spindles."""
    profile, height = [], -0.95
    while height < 0.8:
        step, radius = rng.uniform(0.08, 0.3), rng.uniform(0.15, 0.6)
        shape = rng.choice(("disc", "bead", "cone"))
        if shape == "disc":
            profile += [(radius, height), (radius, height + step)]
        elif shape == "cone":
            profile += [(radius, height), (rng.uniform(0.15, 0.6), height + step)]
        else:
            profile += [(radius * (0.6 + 0.4 * math.sin(math.pi * t / 8)), height + step * t / 8) for t in range(9)]
        height += step
    body = turned_profile(profile)
    if rng.random() < 0.5:
        body -= cylinder(rng.uniform(0.05, 0.1), 2)
    return Solid(body, "turned knob")


@family("flat")
def dish(rng: Random) -> Solid:
    """A thin profile drawn as a closed figure, on a foot."""
    flat, rise, wall = rng.uniform(0.4, 0.6), rng.uniform(0.08, 0.3), rng.uniform(0.04, 0.06)
    line = smooth_curve([(0.0, 0.0), (flat, 0.0), (flat + 0.15, rise * 0.7), (0.95, rise)])
    body = lathed(polygon([(-0.3, 0.0), *line, *[(u, v + wall) for u, v in reversed(line)], (-0.3, wall)]))
    foot = (cylinder(flat, 0.04) - cylinder(flat - 0.06, 1)).up(-0.02)
    return Solid(body | foot, "dish")


@family("wrapped")
def bell(rng: Random) -> Solid:
    mouth = rng.uniform(0.55, 0.8)
    side = smooth_curve([(mouth, -0.8), (mouth * 0.7, -0.3), (mouth * 0.5, 0.3), (0.2, 0.55), (0.02, 0.6)])
    body = turned_profile([(mouth + 0.2, -0.98), *side])
    skin = body.turned("x", math.pi).hollowed(0.06, 0.75).turned("x", math.pi)
    grip = arc(0.14, 0.04, math.pi).up(0.72)
    clapper = capsule((0, 0, 0.5), (0, 0, -0.55), 0.03) | sphere(0.12).up(-0.6)
    return Solid(skin | grip | clapper, "bell")


@family("wrapped")
def lamp(rng: Random) -> Solid:
    low = (rng.uniform(0.3, 0.5), -0.95)
    stem = smooth_curve([(0.3, -0.85), (rng.uniform(0.1, 0.3), -0.5), (0.06, -0.1), (0.05, 0.4)])
    foot = turned_profile([low, (0.3, -0.85), *stem])
    wide = rng.uniform(0.5, 0.75)
    shade = cone(wide, rng.uniform(0.2, 0.5), 0.45).up(0.4) - cone(wide - 0.05, 0.15, 0.5).up(0.36)
    spokes = box(0.2, 0.02, 0.02).moved(0.2, 0, 0.35).polar(3) - cylinder(0.01, 0.01)
    return Solid(shade | foot | spokes, "lamp")
