"""Vessels and other turned things."""

from __future__ import annotations

import math
from random import Random

from .family import Family, Solid
from .outlines import lathed, polygon, smooth_curve, turned_profile
from .solids import (
    Field,
    Number,
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
    moved,
    polar,
    scaled,
    sphere,
    torus,
    turned,
    union,
)


def _belly(rng: Random, low: Number, high: Number, knots: int = 5) -> list[tuple[Number, Number]]:
    """A smooth profile of (radius, height), which goes on beyond the top so that it can be cut there."""
    heights = [-0.95 + 1.9 * index / (knots - 1) for index in range(knots)]
    radii = [rng.uniform(low, high) for _ in heights]
    return smooth_curve([*zip(radii, heights, strict=True), (radii[-1], 1.08)])


def _handle(rng: Random, x: Number, half: Number, thick: Number) -> Field:
    """A half ring that stands on the wall at +x, `half` high each way; round or a strap."""
    loop = turned(arc(half, thick, rng.uniform(1.5, 1.9)), "y", math.pi / 2)
    return moved(scaled(loop, rng.uniform(0.55, 0.9), rng.choice((1.0, 1.6)), 1.0), x)


def vase(rng: Random) -> Solid:
    handles = rng.choice((0, 0, 1, 2, 2))
    wide = 0.85 if handles == 0 else 0.6
    profile = _belly(rng, 0.2, wide, rng.randint(4, 7))
    body, top, wall = turned_profile(profile), rng.uniform(0.75, 0.95), rng.uniform(0.035, 0.07)
    field = hollowed(body, wall, top)
    if handles:
        x = sum(radius for radius, _ in profile) / len(profile)
        loop = moved(
            _handle(rng, x - 0.05, rng.uniform(0.25, 0.42), rng.uniform(0.035, 0.06)), 0, 0, rng.uniform(-0.1, 0.3)
        )
        loops = loop if handles == 1 else polar(loop, 2)
        field = union(field, difference(loops, body), blend=0.03)
    return Solid(field, ("vase", "vase with a handle", "vase with two handles")[handles])


def bottle(rng: Random) -> Solid:
    body, neck = rng.uniform(0.28, 0.5), rng.uniform(0.1, 0.2)
    shoulder, rise = rng.uniform(0.0, 0.35), rng.uniform(0.1, 0.3)
    profile = [
        (body - 0.05, -0.97),
        (body, -0.92),
        (body, shoulder),
        *smooth_curve(
            [
                (body, shoulder),
                (body * 0.85, shoulder + rise * 0.4),
                (neck * 1.15, shoulder + rise),
                (neck, shoulder + rise + 0.1),
            ]
        ),
    ]
    solid = turned_profile([*profile, (neck, 0.9)])
    if rng.random() < 0.4:
        return Solid(hollowed(solid, 0.035, 0.85), "open bottle")
    cap = moved(cylinder(neck + 0.05, 0.12, 0.015), 0, 0, 0.82)
    ribs = polar(moved(cylinder(0.018, 0.3), neck + 0.055), rng.randint(12, 28))
    collar = moved(torus(neck, 0.035), 0, 0, 0.66)
    return Solid(union(solid, difference(cap, ribs), collar), "bottle with a cap")


def _cup(rng: Random, bottom: Number, top: Number) -> Field:
    foot = rng.uniform(0.03, 0.12)
    return turned_profile(
        [
            (bottom - foot, -0.8),
            (bottom, -0.8 + foot),
            *smooth_curve([(bottom, -0.8 + foot), ((bottom + top) / 2 * rng.uniform(0.95, 1.1), 0.0), (top, 0.7)]),
            (top, 1.05),
        ]
    )


def mug(rng: Random) -> Solid:
    bottom, top = rng.uniform(0.42, 0.6), rng.uniform(0.5, 0.65)
    body, wall = _cup(rng, bottom, top), rng.uniform(0.04, 0.08)
    handle = _handle(rng, (bottom + top) / 2 - 0.06, rng.uniform(0.32, 0.5), rng.uniform(0.045, 0.075))
    handle = moved(handle, 0, 0, rng.uniform(-0.15, 0.05))
    return Solid(union(hollowed(body, wall, rng.uniform(0.5, 0.75)), difference(handle, body), blend=0.04), "mug")


def pitcher(rng: Random) -> Solid:
    profile = _belly(rng, 0.32, 0.55, 4)
    body, wall, top = turned_profile(profile), rng.uniform(0.04, 0.06), rng.uniform(0.7, 0.9)
    lip = capsule((-0.1, 0, top - 0.45), (-profile[-1][0] - 0.12, 0, top + 0.1), 0.08, 0.14)
    full = union(body, lip, blend=0.1)
    handle = moved(_handle(rng, 0.38, rng.uniform(0.4, 0.55), rng.uniform(0.04, 0.07)), 0, 0, 0.05)
    return Solid(union(hollowed(full, wall, top), difference(handle, full), blend=0.03), "pitcher")


def teapot(rng: Random) -> Solid:
    round_ = rng.uniform(0.42, 0.52)
    body = ellipsoid(round_, round_, rng.uniform(0.38, 0.5))
    spout = capsule((0.35, 0, -0.12), (0.85, 0, rng.uniform(0.25, 0.4)), 0.13, 0.05)
    bore = capsule((0.6, 0, 0.1), (0.95, 0, 0.45), 0.03)
    loop = moved(turned(_handle(rng, 0.4, 0.3, 0.05), "z", math.pi), 0, 0, 0.02)
    lid = moved(union(cylinder(0.25, 0.04, 0.01), moved(sphere(0.07), 0, 0, 0.09)), 0, 0, 0.4)
    foot = moved(cylinder(0.28, 0.05), 0, 0, -0.42)
    return Solid(difference(union(union(body, spout, loop, blend=0.06), lid, foot), bore), "teapot")


def bowl(rng: Random) -> Solid:
    radius, wall = rng.uniform(0.8, 0.95), rng.uniform(0.04, 0.08)
    depth = rng.uniform(0.5, 0.9)
    body = moved(ellipsoid(radius, radius, depth), 0, 0, 0.4)
    ring = moved(difference(cylinder(rng.uniform(0.32, 0.5), 0.15), cylinder(0.25, 0.3)), 0, 0, 0.4 - depth)
    rim = moved(torus(radius - wall / 2, wall * rng.uniform(0.7, 1.1)), 0, 0, 0.4)
    shell = hollowed(body, wall, 0.4)
    parts = [shell, difference(ring, body)] + ([rim] if rng.random() < 0.6 else [])
    return Solid(union(*parts), "bowl")


def goblet(rng: Random) -> Solid:
    cup, stem, foot = rng.uniform(0.35, 0.5), rng.uniform(0.05, 0.1), rng.uniform(0.35, 0.5)
    knot = rng.uniform(stem, 0.2)
    outer = smooth_curve(
        [
            (foot, -0.92),
            (stem * 1.6, -0.8),
            (stem, -0.5),
            (knot, -0.35),
            (stem, -0.2),
            (cup * 0.8, 0.1),
            (cup, 0.5),
            (cup * 0.85, 1.0),
        ]
    )
    body = turned_profile([(foot, -0.97), *outer])
    inside = moved(ellipsoid(cup * 0.84, cup * 0.84, 0.75), 0, 0, 0.85)
    return Solid(intersection(difference(body, inside), half_space((0, 0, 1), 0.85)), "goblet")


def chess_piece(rng: Random) -> Solid:
    base, waist = rng.uniform(0.35, 0.48), rng.uniform(0.13, 0.2)
    profile = [
        (base, -0.97),
        (base, -0.85),
        (base - 0.06, -0.82),
        (base - 0.03, -0.74),
        (base - 0.12, -0.66),
        *smooth_curve([(base - 0.14, -0.6), (waist * 1.2, -0.2), (waist, 0.25)]),
        (waist + 0.12, 0.3),
        (waist + 0.12, 0.35),
        (waist + 0.03, 0.38),
        (waist + 0.03, 0.42),
    ]
    kind = rng.choice(("pawn", "rook", "bishop", "king"))
    if kind == "rook":
        head = union(turned_profile([*profile, (0.27, 0.55), (0.29, 0.9)]))
        notch = polar(moved(box(0.2, 0.06, 0.12), 0.3, 0, 0.9), rng.randint(4, 8))
        return Solid(difference(head, moved(cylinder(0.18, 0.12), 0, 0, 0.9), notch), "rook chess piece")
    body = turned_profile([*profile, (0.1, 0.5)])
    if kind == "pawn":
        return Solid(union(body, moved(sphere(0.24), 0, 0, 0.58), blend=0.02), "pawn chess piece")
    head = moved(ellipsoid(0.2, 0.2, 0.28), 0, 0, 0.62)
    if kind == "bishop":
        cut = moved(turned(box(0.3, 0.3, 0.025), "y", 0.6), 0.16, 0, 0.75)
        return Solid(union(body, difference(head, cut), moved(sphere(0.06), 0, 0, 0.92)), "bishop chess piece")
    cross = union(moved(box(0.04, 0.04, 0.14), 0, 0, 0.83), moved(box(0.13, 0.04, 0.04), 0, 0, 0.85))
    return Solid(union(body, moved(cone(0.14, 0.26, 0.14), 0, 0, 0.54), cross), "king chess piece")


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
    field = turned_profile(profile)
    if rng.random() < 0.5:
        field = difference(field, cylinder(rng.uniform(0.05, 0.1), 2))
    return Solid(field, "turned knob")


def plate(rng: Random) -> Solid:
    """A dish: a thin profile drawn as a closed figure."""
    flat, rise, wall = rng.uniform(0.4, 0.6), rng.uniform(0.08, 0.3), rng.uniform(0.04, 0.06)
    line = smooth_curve([(0.0, 0.0), (flat, 0.0), (flat + 0.15, rise * 0.7), (0.95, rise)])
    field = lathed(polygon([(-0.3, 0.0), *line, *[(u, v + wall) for u, v in reversed(line)], (-0.3, wall)]))
    foot = moved(difference(cylinder(flat, 0.04), cylinder(flat - 0.06, 1)), 0, 0, -0.02)
    return Solid(union(field, foot), "dish")


def bell(rng: Random) -> Solid:
    mouth = rng.uniform(0.55, 0.8)
    body = turned_profile(
        [
            (mouth + 0.2, -0.98),
            *smooth_curve([(mouth, -0.8), (mouth * 0.7, -0.3), (mouth * 0.5, 0.3), (0.2, 0.55), (0.02, 0.6)]),
        ]
    )
    skin = turned(hollowed(turned(body, "x", math.pi), 0.06, 0.75), "x", math.pi)
    grip = moved(arc(0.14, 0.04, math.pi), 0, 0, 0.72)
    clapper = capsule((0, 0, 0.5), (0, 0, -0.55), 0.03)
    return Solid(union(skin, grip, clapper, moved(sphere(0.12), 0, 0, -0.6)), "bell")


def lamp(rng: Random) -> Solid:
    foot = turned_profile(
        [
            (rng.uniform(0.3, 0.5), -0.95),
            (0.3, -0.85),
            *smooth_curve([(0.3, -0.85), (rng.uniform(0.1, 0.3), -0.5), (0.06, -0.1), (0.05, 0.4)]),
        ]
    )
    wide = rng.uniform(0.5, 0.75)
    shade = moved(cone(wide, rng.uniform(0.2, 0.5), 0.45), 0, 0, 0.4)
    inside = moved(cone(wide - 0.05, 0.15, 0.5), 0, 0, 0.36)
    spokes = polar(moved(box(0.2, 0.02, 0.02), 0.2, 0, 0.35), 3)
    return Solid(union(difference(shade, inside), foot, difference(spokes, cylinder(0.01, 0.01))), "lamp")


FAMILIES = {
    "vase": Family(vase, "wrapped"),
    "bottle": Family(bottle, "wrapped"),
    "mug": Family(mug, "wrapped"),
    "pitcher": Family(pitcher, "wrapped"),
    "teapot": Family(teapot, "wrapped"),
    "bowl": Family(bowl, "wrapped"),
    "goblet": Family(goblet, "wrapped"),
    "chess_piece": Family(chess_piece, "free"),
    "knob": Family(knob, "wrapped"),
    "dish": Family(plate, "flat"),
    "bell": Family(bell, "wrapped"),
    "lamp": Family(lamp, "wrapped"),
}
