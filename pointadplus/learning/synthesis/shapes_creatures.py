"""Animals and people, from limbs with smooth joints."""

from __future__ import annotations

import math
from random import Random

from .family import Family, Solid
from .shapes_living import rough, sway
from .solids import (
    box,
    capsule,
    cylinder,
    difference,
    ellipsoid,
    intersection,
    mirrored,
    moved,
    polar,
    row,
    scaled,
    sphere,
    torus,
    tube,
    turned,
    union,
)


def animal(rng: Random) -> Solid:
    """Four legs, body, neck, head, ears or horns, tail."""
    body, leg, blend = rng.uniform(0.16, 0.3), rng.uniform(0.06, 0.1), rng.uniform(0.05, 0.12)
    long_, high = rng.uniform(0.3, 0.5), rng.uniform(0.25, 0.5)
    head = (long_ + rng.uniform(0.1, 0.3), 0.0, rng.uniform(0.1, 0.55))
    snout = (head[0] + rng.uniform(0.1, 0.22), 0.0, head[2] - rng.uniform(0.0, 0.12))
    trunk = capsule((-long_, 0, 0), (long_, 0, rng.uniform(-0.05, 0.08)), body * rng.uniform(0.8, 1.1), body)
    legs = mirrored(
        union(
            *(
                capsule((x, body * 0.55, 0), (x + rng.uniform(-0.1, 0.1), body * 0.65, -high - 0.25), leg * 1.5, leg)
                for x in (-long_, long_)
            )
        ),
        1,
    )
    neck = capsule((long_, 0, 0.05), head, body * 0.7, body * 0.5)
    skull = union(moved(sphere(body * 0.62), *head), capsule(head, snout, body * 0.5, body * 0.3), blend=0.05)
    ear = rng.choice(
        (
            moved(ellipsoid(0.04, 0.07, 0.14), head[0], body * 0.45, head[2] + body * 0.6),
            capsule((head[0], body * 0.3, head[2] + body * 0.3), (head[0] - 0.1, body, head[2] + 0.4), 0.05, 0.015),
        )
    )
    eyes = mirrored(moved(sphere(0.035), head[0] + body * 0.3, body * 0.5, head[2] + body * 0.2), 1)
    tail = tube(
        sway(rng, (-long_, 0, 0.05), (-long_ - 0.3, 0, rng.uniform(-0.4, 0.4)), 4, 0.1),
        [0.07, 0.055, 0.045, 0.03],
        blend=0.05,
    )
    return Solid(
        moved(union(union(trunk, legs, neck, skull, mirrored(ear, 1), tail, blend=blend), eyes), -0.1, 0, 0.1),
        "animal figure",
    )


def bird(rng: Random) -> Solid:
    body = turned(
        ellipsoid(rng.uniform(0.5, 0.65), rng.uniform(0.28, 0.4), rng.uniform(0.3, 0.42)), "y", rng.uniform(-0.5, 0.1)
    )
    head = (rng.uniform(0.4, 0.55), 0.0, rng.uniform(0.45, 0.65))
    neck = capsule((0.3, 0, 0.1), head, 0.2, 0.14)
    skull = moved(sphere(rng.uniform(0.18, 0.25)), *head)
    beak = scaled(
        capsule((head[0] + 0.1, 0, head[2]), (head[0] + rng.uniform(0.3, 0.42), 0, head[2] - 0.05), 0.1, 0.03),
        1,
        rng.choice((0.8, 1.0)),
        1,
    )
    wing = moved(turned(ellipsoid(0.42, 0.06, 0.22), "y", rng.uniform(-0.3, 0.3)), -0.08, 0.34, 0.05)
    tail = capsule((-0.45, 0, 0.1), (-0.85, 0, rng.uniform(0.0, 0.3)), 0.16, 0.05)
    foot = rng.choice(
        (mirrored(capsule((0, 0.15, -0.2), (0.05, 0.17, -0.75), 0.05), 1), moved(cylinder(0.3, 0.08), 0, 0, -0.42))
    )
    eyes = mirrored(moved(sphere(0.04), head[0] + 0.1, 0.17, head[2] + 0.05), 1)
    return Solid(union(union(body, neck, skull, tail, mirrored(wing, 1), blend=0.08), beak, foot, eyes), "bird figure")


def swimmer(rng: Random) -> Solid:
    """A fish or whale: tapered body, fins, tail fin, scales or gill lines."""
    tall, wide = rng.uniform(0.25, 0.42), rng.uniform(0.15, 0.28)
    body = moved(ellipsoid(0.75, wide, tall), 0.15)
    stalk = scaled(capsule((-0.3, 0, 0), (-0.75, 0, 0), 0.2, 0.06), 1, wide / tall, 1)
    fork = mirrored(capsule((-0.7, 0, 0.02), (-0.95, 0, rng.uniform(0.25, 0.4)), 0.09, 0.05), 2)
    fin = union(
        capsule((0.15, 0, tall * 0.8), (-0.25, 0, tall + rng.uniform(0.1, 0.3)), 0.14, 0.05),
        capsule((0.1, 0, -tall * 0.8), (-0.15, 0, -tall - 0.15), 0.1, 0.04),
    )
    fins = intersection(union(fork, fin), box(2, 0.035, 2, 0.02))
    side = mirrored(moved(turned(ellipsoid(0.2, 0.03, 0.1), "z", 0.6), 0.25, wide + 0.03, -0.1), 1)
    eyes = mirrored(moved(sphere(0.06), 0.65, wide * 0.65, tall * 0.25), 1)
    gills = moved(turned(torus(tall * 0.85, 0.02), "y", math.pi / 2), 0.45)
    return Solid(union(difference(union(body, stalk, fins, blend=0.06), gills), side, eyes), "fish figure")


def figure(rng: Random) -> Solid:
    """A standing person on a plinth."""
    head, hip, arm = rng.uniform(0.14, 0.2), rng.uniform(0.14, 0.2), rng.uniform(0.06, 0.08)
    torso = capsule((0, 0, -0.05), (0, 0, 0.35), hip, rng.uniform(0.16, 0.22))
    legs = [
        capsule((0, side * 0.1, -0.1), (rng.uniform(-0.15, 0.15), side * rng.uniform(0.1, 0.2), -0.82), 0.11, 0.075)
        for side in (1, -1)
    ]
    arms = [
        tube(
            [
                (0, side * 0.2, 0.4),
                (rng.uniform(-0.15, 0.2), side * rng.uniform(0.3, 0.42), rng.uniform(0.05, 0.4)),
                (rng.uniform(0, 0.3), side * rng.uniform(0.2, 0.4), rng.uniform(-0.15, 0.7)),
            ],
            [arm * 1.2, arm, arm * 0.9],
        )
        for side in (1, -1)
    ]
    neck = capsule((0, 0, 0.4), (0, 0, 0.6), 0.08)
    body = union(
        scaled(torso, 0.8, 1.15, 1), *legs, *arms, neck, moved(sphere(head), 0, 0, 0.68), blend=rng.uniform(0.04, 0.08)
    )
    hat = moved(
        union(cylinder(head * 1.5, 0.025), moved(cylinder(head * 0.9, 0.12, 0.02), 0, 0, 0.1)), 0, 0, 0.68 + head * 0.6
    )
    robe = [moved(ellipsoid(0.3, 0.32, 0.5), 0, 0, -0.35)] if rng.random() < 0.5 else []
    plinth = moved(rng.choice((box(0.35, 0.35, 0.07, 0.01), cylinder(0.38, 0.07, 0.02))), 0, 0, -0.88)
    parts = [union(body, *robe, blend=0.05), plinth] + ([hat] if rng.random() < 0.4 else [])
    return Solid(union(*parts), "standing figure")


def bust(rng: Random) -> Solid:
    """A head on shoulders on a plinth, carved all over."""
    wide = rng.uniform(0.26, 0.32)
    head = moved(ellipsoid(wide * 1.1, wide, rng.uniform(0.34, 0.42)), 0, 0, 0.5)
    nose = capsule((wide * 1.05, 0, 0.55), (wide * 1.25, 0, 0.42), 0.035, 0.055)
    brow = mirrored(capsule((wide, 0.05, 0.62), (wide * 0.85, 0.16, 0.63), 0.04), 1)
    chin = moved(sphere(0.09), wide * 0.9, 0, 0.24)
    lips = capsule((wide * 1.03, -0.07, 0.33), (wide * 1.03, 0.07, 0.33), 0.03)
    eyes = mirrored(moved(sphere(0.045), wide * 0.92, 0.11, 0.54), 1)
    ears = mirrored(moved(ellipsoid(0.07, 0.04, 0.1), 0, wide, 0.48), 1)
    shoulders = moved(ellipsoid(0.28, rng.uniform(0.5, 0.65), 0.3), 0, 0, -0.25)
    neck = capsule((0, 0, -0.1), (0.05, 0, 0.3), 0.2, 0.16)
    skin = union(head, nose, brow, chin, lips, ears, neck, shoulders, blend=0.06)
    hair = rough(rng, moved(ellipsoid(wide * 1.15, wide * 1.15, 0.4), -0.08, 0, 0.58), rng.uniform(0.12, 0.2), 0.015, 9)
    hair = difference(hair, moved(box(0.3, 1, 0.4), wide + 0.25, 0, 0.4))
    plinth = moved(union(cylinder(0.25, 0.2), moved(box(0.35, 0.35, 0.08, 0.01), 0, 0, -0.2)), 0, 0, -0.65)
    return Solid(union(skin, eyes, hair, plinth), "bust")


def polyp(rng: Random) -> Solid:
    """A disc with tapered, bent arms around it."""
    count, reach = rng.randint(5, 9), rng.uniform(0.75, 0.92)
    arm = tube(
        [(0.1, 0, 0), (reach * 0.6, 0, rng.uniform(-0.05, 0.25)), (reach, 0, rng.uniform(-0.2, 0.2))],
        [rng.uniform(0.16, 0.24), 0.13, 0.05],
        blend=0.05,
    )
    studs = polar(row(moved(sphere(0.045), 0.45, 0, 0.22), 0, 0.16, 3), count)
    dome = ellipsoid(0.35, 0.35, rng.uniform(0.2, 0.35))
    body = union(dome, polar(arm, count), blend=0.1)
    return Solid(union(body, studs) if rng.random() < 0.5 else body, "many-armed figure")


FAMILIES = {
    "animal": Family(animal, stretch=True),
    "bird": Family(bird, stretch=True),
    "swimmer": Family(swimmer, stretch=True),
    "figure": Family(figure, stretch=True),
    "bust": Family(bust, stretch=True),
    "polyp": Family(polyp, stretch=True),
}
