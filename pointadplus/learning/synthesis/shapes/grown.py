"""Grown, baked, modelled and worn things: lumpy, and different on every side."""

from __future__ import annotations

import math
from random import Random

from ..solids import (
    Field,
    Vector,
    box,
    capsule,
    cone,
    cylinder,
    difference,
    ellipsoid,
    half_space,
    sphere,
    superquadric,
    torus,
    tube,
    union,
)
from .details import rough, sway
from .family import Solid, family


@family(stretch=True)
def root(rng: Random) -> Solid:
    """Ginger, a potato or a forked carrot."""
    kind = rng.choice(("ginger root", "potato", "forked root"))
    if kind == "potato":
        half = (rng.uniform(0.6, 0.85), rng.uniform(0.4, 0.6), rng.uniform(0.4, 0.6))
        knobs = [sphere(rng.uniform(0.2, 0.35)).moved(*(rng.uniform(-0.6, 0.6) * part for part in half)) for _ in "abc"]
        body = union(superquadric(half, rng.uniform(0.7, 1), rng.uniform(0.7, 1)), *knobs, blend=0.3)
    elif kind == "ginger root":
        joints: list[tuple[Vector, float]] = [((rng.uniform(-0.6, -0.4), 0, 0), rng.uniform(0.18, 0.26))]
        parts: list[Field] = []
        for index in range(rng.randint(4, 8)):
            (x, y, z), thick = joints[-1] if index < 3 else rng.choice(joints)
            angle, step = rng.uniform(-0.5, 0.5) + (0 if index < 3 else rng.choice((-1.6, 1.6))), rng.uniform(0.25, 0.4)
            spot = (x + step * math.cos(angle), y + step * math.sin(angle), z + rng.uniform(-0.12, 0.12))
            spot = tuple(max(-0.7, min(0.7, part)) for part in spot)
            grown = rng.uniform(0.12, 0.24)
            parts.append(capsule((x, y, z), spot, thick * 0.85, grown))  # type: ignore[arg-type]
            joints.append((spot, grown))  # type: ignore[arg-type]
        body = union(*parts, blend=0.08)
    else:
        spine = sway(rng, (0, 0, 0.6), (rng.uniform(-0.2, 0.2), 0, -0.9), 5, 0.2)
        body = tube(spine, [rng.uniform(0.25, 0.36), 0.26, 0.2, 0.12, 0.05], blend=0.1)
        for _ in range(rng.randint(1, 3)):
            x, y, z = spine[rng.randint(1, 2)]
            end = (x + rng.uniform(-0.4, 0.4), y + rng.uniform(-0.4, 0.4), z - rng.uniform(0.4, 0.7))
            body = union(body, capsule((x, y, z), (*end[:2], max(end[2], -0.9)), 0.15, 0.05), blend=0.08)
        for _ in range(rng.randint(0, 3)):
            stem = (rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2), rng.uniform(0.8, 0.95))
            body = union(body, capsule((0, 0, 0.7), stem, 0.08, 0.04), blend=0.03)
    body = rough(rng, body, rng.uniform(0.35, 0.7), rng.uniform(0.01, 0.025))
    return Solid(rough(rng, body, rng.uniform(0.12, 0.2), rng.uniform(0.003, 0.008), 6), kind)


@family(stretch=True)
def loaf(rng: Random) -> Solid:
    """Bread: a loaf flat below with cuts across its crust, a plait, or a curved roll."""
    kind = rng.choice(("loaf of bread", "plaited bread", "bread roll"))
    if kind == "plaited bread":
        count, parts = rng.randint(4, 6), []
        for index in range(count):
            x, size = -0.7 + 1.4 * index / (count - 1), rng.uniform(0.2, 0.3)
            side = (-1) ** index
            knot = ellipsoid(size * 1.4, size * 0.9, size).turned("z", side * rng.uniform(0.4, 0.8))
            parts.append(knot.moved(x * 0.8, side * rng.uniform(0.05, 0.15), rng.uniform(-0.05, 0.05)))
        body = union(*parts, blend=rng.uniform(0.03, 0.08))
    elif kind == "bread roll":
        bow, twist = rng.uniform(0.2, 0.6), rng.uniform(-0.15, 0.15)
        path: list[Vector] = [(x, bow * (0.4 - x * x), twist * x) for x in (-0.8, -0.5, -0.2, 0.15, 0.5, 0.85)]
        sizes = [rng.uniform(0.08, 0.15), 0.2, rng.uniform(0.26, 0.34), rng.uniform(0.26, 0.34), 0.2, 0.1]
        body = tube(path, sizes, blend=rng.uniform(0.0, 0.05))
    else:
        half = (rng.uniform(0.7, 0.9), rng.uniform(0.35, 0.6), rng.uniform(0.35, 0.5))
        body = superquadric(half, rng.uniform(0.6, 1), rng.uniform(0.6, 1))
        lump = sphere(half[2] * rng.uniform(0.8, 1)).moved(rng.uniform(-0.4, 0.4), rng.uniform(-0.2, 0.2), 0.05)
        body = union(body, lump, blend=0.2)
        for index in range(rng.randint(2, 5)):
            x = -0.45 + 0.3 * index + rng.uniform(-0.05, 0.05)
            groove = capsule((-0.2, 0, 0), (0.2, 0, rng.uniform(-0.05, 0.05)), rng.uniform(0.04, 0.07))
            cut = groove.turned("z", rng.uniform(0.5, 1.2)).moved(x, rng.uniform(-0.05, 0.05), half[2])
            body = difference(body, cut, blend=0.05)
    body = body & half_space((rng.uniform(-0.1, 0.1), rng.uniform(-0.1, 0.1), -1), rng.uniform(0.12, 0.25))
    body = rough(rng, body, rng.uniform(0.4, 0.8), rng.uniform(0.006, 0.018))
    return Solid(rough(rng, body, rng.uniform(0.1, 0.2), rng.uniform(0.002, 0.004), 6), kind)


@family(stretch=True)
def worn_block(rng: Random) -> Solid:
    """A brick, soap, a block of wood or a rough rock: no two edges worn alike, no two faces parallel."""
    kind = rng.choice(("old brick", "piece of soap", "block of wood", "hewn stone"))
    half = (rng.uniform(0.75, 0.95), rng.uniform(0.4, 0.65), rng.uniform(0.25, 0.5))
    soft = kind == "piece of soap"
    body = box(*half, rng.uniform(0.06, 0.15) if soft else rng.uniform(0.01, 0.04))
    tilt = 0.12 if kind != "hewn stone" else 0.35
    faces = []
    for axis in range(3):
        for sign in (1, -1):
            normal = [rng.uniform(-tilt, tilt) for _ in range(3)]
            normal[axis] = sign
            faces.append(half_space(tuple(normal), half[axis] * rng.uniform(0.88, 1.0)))  # type: ignore[arg-type]
    for _ in range(rng.randint(2, 6) if kind == "hewn stone" else rng.randint(0, 3)):  # worn corners
        corner = [rng.choice((-1, 1)) * rng.uniform(0.4, 1) for _ in range(3)]
        reach = sum(abs(part) * size for part, size in zip(corner, half, strict=True))
        faces.append(half_space(tuple(corner), reach / math.hypot(*corner) * rng.uniform(0.84, 0.95)))  # type: ignore[arg-type]
    for face in faces:
        outer = Field(lambda x, y, z, face=face: -face(x, y, z))
        body = difference(body, outer, blend=rng.uniform(0.08, 0.25) if soft else rng.uniform(0.01, 0.12))
    if kind == "old brick" and rng.random() < 0.7:
        body -= rng.choice((
            box(half[0] * 0.6, half[1] * 0.5, 0.1, 0.03).up(half[2]),
            cylinder(0.09, 2).row("x", rng.uniform(0.35, 0.5), rng.randint(2, 3)),
        )).moved(rng.uniform(-0.08, 0.08), rng.uniform(-0.06, 0.06))  # fmt: skip
    if soft and rng.random() < 0.6:
        hollow = ellipsoid(half[0] * 0.7, half[1] * 0.65, 0.1).moved(rng.uniform(-0.1, 0.1), 0, half[2])
        body = difference(body, hollow, blend=0.06)
    body = rough(rng, body, rng.uniform(0.5, 1.0), rng.uniform(0.006, 0.025))
    return Solid(rough(rng, body, rng.uniform(0.1, 0.2), rng.uniform(0.002, 0.004), 6), kind)


@family(stretch=True)
def toy_figure(rng: Random) -> Solid:
    """A big-headed figure in a free pose: leaning, looking aside, one arm up, something in a hand, a bag or a tail."""
    hip, chest = rng.uniform(0.16, 0.24), rng.uniform(0.15, 0.24)
    lean, sway_ = rng.uniform(-0.15, 0.15), rng.uniform(-0.15, 0.15)
    top, head = (lean, sway_, 0.2), rng.uniform(0.2, 0.3)
    nod = (lean * 1.4 + rng.uniform(-0.05, 0.05), sway_ * 1.5, 0.25 + head * 1.1)
    skin = [capsule((0, 0, -0.2), top, hip, chest)]
    hands: list[Vector] = []
    for side in (1, -1):
        shoulder = (lean, sway_ + side * chest, 0.22)
        elbow = (rng.uniform(-0.15, 0.25), shoulder[1] + side * rng.uniform(0.15, 0.25), rng.uniform(-0.1, 0.35))
        hand = (
            elbow[0] + rng.uniform(0.0, 0.25),
            elbow[1] + side * rng.uniform(-0.15, 0.15),
            elbow[2] + rng.choice((-0.2, 0.25)),
        )
        hands.append(hand)
        skin += [tube([shoulder, elbow, hand], [0.09, 0.075, rng.uniform(0.06, 0.09)])]
        knee = (rng.uniform(-0.1, 0.3), side * rng.uniform(0.12, 0.22), rng.uniform(-0.55, -0.4))
        foot = (knee[0] - rng.uniform(-0.05, 0.2), side * rng.uniform(0.12, 0.28), rng.uniform(-0.88, -0.78))
        skin += [tube([(0, side * 0.1, -0.25), knee, foot], [0.12, 0.1, 0.08])]
        skin += [capsule(foot, (foot[0] + rng.uniform(0.08, 0.18), foot[1] + side * 0.05, foot[2] - 0.02), 0.08)]
    face = ellipsoid(head, head * 0.95, head * rng.uniform(0.9, 1.2))
    nose = capsule((head * 0.9, 0, 0), (head * rng.uniform(1.1, 1.5), 0, -0.02), 0.06, 0.04)
    eyes = sphere(0.045).moved(head * 0.8, head * 0.42, head * 0.25).mirrored("y")
    ear = rng.choice((ellipsoid(0.05, 0.08, 0.16), sphere(0.1), capsule((0, 0, 0), (-0.1, 0.1, 0.15), 0.05, 0.02)))
    ears = ear.turned("x", rng.uniform(-0.6, 0.1)).moved(0, head * 0.75, head * 0.75)
    face = union(face, nose, ears, Field(lambda x, y, z: ears.turned("y", 0.3)(x, -y, z)), blend=0.04) | eyes
    if rng.random() < 0.4:
        face |= (
            (cylinder(head * 1.2, 0.03, 0.01) | cone(head * 0.8, head * 0.5, 0.12).up(0.12))
            .turned("x", rng.uniform(-0.3, 0.3))
            .up(head * 0.7)
        )
    face = face.turned("z", rng.uniform(-0.9, 0.9)).turned("x", rng.uniform(-0.3, 0.3)).moved(*nod)
    body = union(*skin, capsule(top, nod, 0.1), blend=rng.uniform(0.03, 0.07)) | face
    x, y, z = hands[0]
    held = rng.choice((
        sphere(rng.uniform(0.1, 0.16)),
        capsule((0, 0, -rng.uniform(0.2, 0.4)), (rng.uniform(0, 0.2), 0, 0.4), 0.035),
        cylinder(0.22, 0.03, 0.01).turned("y"),
        box(0.1, 0.14, 0.1, 0.02),
    ))  # fmt: skip
    body |= held.turned("z", rng.uniform(0, 3)).moved(x + 0.03, y, z)
    if rng.random() < 0.5:
        body |= box(0.09, 0.14, 0.16, 0.04).turned("x", rng.uniform(-0.3, 0.3)).moved(lean - chest, sway_, 0.05)
    if rng.random() < 0.5:
        tail = sway(rng, (-hip * 0.7, 0, -0.25), (-rng.uniform(0.4, 0.6), rng.uniform(-0.4, 0.4), -0.1), 4, 0.15)
        body = union(body, tube(tail, [0.08, 0.07, 0.05, 0.04]), blend=0.04)
    if rng.random() < 0.3:
        body |= torus(chest, 0.06).turned("y", rng.uniform(-0.3, 0.3)).moved(lean, sway_, 0.22)
    return Solid(body.moved(-0.05, 0, 0.05), "toy figure")
