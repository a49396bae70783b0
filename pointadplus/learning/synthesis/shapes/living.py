"""Living, grown and carved things: animals and people from limbs with smooth joints, fruit, stones, shells, statues."""

from __future__ import annotations

import math
from random import Random

import torch
from torch import Tensor

from ..solids import Field, box, capsule, cylinder, ellipsoid, length, sphere, superquadric, torus, tube, union
from .details import rough, sway
from .family import Solid, family


@family(stretch=True)
def animal(rng: Random) -> Solid:
    """Four legs, body, neck, head, ears or horns, tail."""
    body, leg, blend = rng.uniform(0.16, 0.3), rng.uniform(0.06, 0.1), rng.uniform(0.05, 0.12)
    half, high = rng.uniform(0.3, 0.5), rng.uniform(0.25, 0.5)
    front, _, top = head = (half + rng.uniform(0.1, 0.3), 0.0, rng.uniform(0.1, 0.55))
    snout = (front + rng.uniform(0.1, 0.22), 0.0, top - rng.uniform(0.0, 0.12))
    trunk = capsule((-half, 0, 0), (half, 0, rng.uniform(-0.05, 0.08)), body * rng.uniform(0.8, 1.1), body)
    legs = [
        capsule((x, body * 0.55, 0), (x + rng.uniform(-0.1, 0.1), body * 0.65, -high - 0.25), leg * 1.5, leg)
        for x in (-half, half)
    ]
    neck = capsule((half, 0, 0.05), head, body * 0.7, body * 0.5)
    skull = union(sphere(body * 0.62).moved(*head), capsule(head, snout, body * 0.5, body * 0.3), blend=0.05)
    ear = ellipsoid(0.04, 0.07, 0.14).moved(front, body * 0.45, top + body * 0.6)
    horn = capsule((front, body * 0.3, top + body * 0.3), (front - 0.1, body, top + 0.4), 0.05, 0.015)
    ears = rng.choice((ear, horn)).mirrored("y")
    eyes = sphere(0.035).moved(front + body * 0.3, body * 0.5, top + body * 0.2).mirrored("y")
    spine = sway(rng, (-half, 0, 0.05), (-half - 0.3, 0, rng.uniform(-0.4, 0.4)), 4, 0.1)
    tail = tube(spine, [0.07, 0.055, 0.045, 0.03], blend=0.05)
    skin = union(trunk, union(*legs).mirrored("y"), neck, skull, ears, tail, blend=blend)
    return Solid((skin | eyes).moved(-0.1, 0, 0.1), "animal figure")


@family(stretch=True)
def bird(rng: Random) -> Solid:
    trunk = ellipsoid(rng.uniform(0.5, 0.65), rng.uniform(0.28, 0.4), rng.uniform(0.3, 0.42))
    trunk = trunk.turned("y", rng.uniform(-0.5, 0.1))
    front, _, top = head = (rng.uniform(0.4, 0.55), 0.0, rng.uniform(0.45, 0.65))
    neck = capsule((0.3, 0, 0.1), head, 0.2, 0.14)
    skull = sphere(rng.uniform(0.18, 0.25)).moved(*head)
    beak = capsule((front + 0.1, 0, top), (front + rng.uniform(0.3, 0.42), 0, top - 0.05), 0.1, 0.03)
    beak = beak.scaled(1, rng.choice((0.8, 1.0)), 1)
    wing = ellipsoid(0.42, 0.06, 0.22).turned("y", rng.uniform(-0.3, 0.3)).moved(-0.08, 0.34, 0.05)
    tail = capsule((-0.45, 0, 0.1), (-0.85, 0, rng.uniform(0.0, 0.3)), 0.16, 0.05)
    legs, stand = capsule((0, 0.15, -0.2), (0.05, 0.17, -0.75), 0.05).mirrored("y"), cylinder(0.3, 0.08).up(-0.42)
    foot = rng.choice((legs, stand))
    eyes = sphere(0.04).moved(front + 0.1, 0.17, top + 0.05).mirrored("y")
    skin = union(trunk, neck, skull, tail, wing.mirrored("y"), blend=0.08)
    return Solid(skin | beak | foot | eyes, "bird figure")


@family(stretch=True)
def swimmer(rng: Random) -> Solid:
    """A fish or whale: tapered body, fins, tail fin, scales or gill lines."""
    tall, wide = rng.uniform(0.25, 0.42), rng.uniform(0.15, 0.28)
    body = ellipsoid(0.75, wide, tall).moved(0.15)
    stalk = capsule((-0.3, 0, 0), (-0.75, 0, 0), 0.2, 0.06).scaled(1, wide / tall, 1)
    fork = capsule((-0.7, 0, 0.02), (-0.95, 0, rng.uniform(0.25, 0.4)), 0.09, 0.05).mirrored("z")
    upper = capsule((0.15, 0, tall * 0.8), (-0.25, 0, tall + rng.uniform(0.1, 0.3)), 0.14, 0.05)
    lower = capsule((0.1, 0, -tall * 0.8), (-0.15, 0, -tall - 0.15), 0.1, 0.04)
    fins = (fork | upper | lower) & box(2, 0.035, 2, 0.02)
    side = ellipsoid(0.2, 0.03, 0.1).turned("z", 0.6).moved(0.25, wide + 0.03, -0.1).mirrored("y")
    eyes = sphere(0.06).moved(0.65, wide * 0.65, tall * 0.25).mirrored("y")
    gills = torus(tall * 0.85, 0.02).turned("y").moved(0.45)
    return Solid((union(body, stalk, fins, blend=0.06) - gills) | side | eyes, "fish figure")


@family(stretch=True)
def figure(rng: Random) -> Solid:
    """A standing person on a plinth."""
    head, hip, arm = rng.uniform(0.14, 0.2), rng.uniform(0.14, 0.2), rng.uniform(0.06, 0.08)
    torso = capsule((0, 0, -0.05), (0, 0, 0.35), hip, rng.uniform(0.16, 0.22)).scaled(0.8, 1.15, 1)
    legs = [
        capsule((0, side * 0.1, -0.1), (rng.uniform(-0.15, 0.15), side * rng.uniform(0.1, 0.2), -0.82), 0.11, 0.075)
        for side in (1, -1)
    ]
    arms = []
    for side in (1, -1):
        elbow = (rng.uniform(-0.15, 0.2), side * rng.uniform(0.3, 0.42), rng.uniform(0.05, 0.4))
        hand = (rng.uniform(0, 0.3), side * rng.uniform(0.2, 0.4), rng.uniform(-0.15, 0.7))
        arms.append(tube([(0, side * 0.2, 0.4), elbow, hand], [arm * 1.2, arm, arm * 0.9]))
    neck = capsule((0, 0, 0.4), (0, 0, 0.6), 0.08)
    body = union(torso, *legs, *arms, neck, sphere(head).up(0.68), blend=rng.uniform(0.04, 0.08))
    if rng.random() < 0.5:  # a robe
        body = union(body, ellipsoid(0.3, 0.32, 0.5).up(-0.35), blend=0.05)
    body |= rng.choice((box(0.35, 0.35, 0.07, 0.01), cylinder(0.38, 0.07, 0.02))).up(-0.88)
    if rng.random() < 0.4:  # a hat
        body |= (cylinder(head * 1.5, 0.025) | cylinder(head * 0.9, 0.12, 0.02).up(0.1)).up(0.68 + head * 0.6)
    return Solid(body, "standing figure")


@family(stretch=True)
def bust(rng: Random) -> Solid:
    """A head on shoulders on a plinth, carved all over."""
    wide = rng.uniform(0.26, 0.32)
    head = ellipsoid(wide * 1.1, wide, rng.uniform(0.34, 0.42)).up(0.5)
    nose = capsule((wide * 1.05, 0, 0.55), (wide * 1.25, 0, 0.42), 0.035, 0.055)
    brow = capsule((wide, 0.05, 0.62), (wide * 0.85, 0.16, 0.63), 0.04).mirrored("y")
    chin = sphere(0.09).moved(wide * 0.9, 0, 0.24)
    lips = capsule((wide * 1.03, -0.07, 0.33), (wide * 1.03, 0.07, 0.33), 0.03)
    eyes = sphere(0.045).moved(wide * 0.92, 0.11, 0.54).mirrored("y")
    ears = ellipsoid(0.07, 0.04, 0.1).moved(0, wide, 0.48).mirrored("y")
    shoulders = ellipsoid(0.28, rng.uniform(0.5, 0.65), 0.3).up(-0.25)
    neck = capsule((0, 0, -0.1), (0.05, 0, 0.3), 0.2, 0.16)
    skin = union(head, nose, brow, chin, lips, ears, neck, shoulders, blend=0.06)
    hair = rough(rng, ellipsoid(wide * 1.15, wide * 1.15, 0.4).moved(-0.08, 0, 0.58), rng.uniform(0.12, 0.2), 0.015, 9)
    hair -= box(0.3, 1, 0.4).moved(wide + 0.25, 0, 0.4)
    plinth = (cylinder(0.25, 0.2) | box(0.35, 0.35, 0.08, 0.01).up(-0.2)).up(-0.65)
    return Solid(skin | eyes | hair | plinth, "bust")


@family(stretch=True)
def polyp(rng: Random) -> Solid:
    """A disc with tapered, bent arms around it."""
    count, reach = rng.randint(5, 9), rng.uniform(0.75, 0.92)
    path = [(0.1, 0, 0), (reach * 0.6, 0, rng.uniform(-0.05, 0.25)), (reach, 0, rng.uniform(-0.2, 0.2))]
    arm = tube(path, [rng.uniform(0.16, 0.24), 0.13, 0.05], blend=0.05)
    studs = sphere(0.045).moved(0.45, 0, 0.22).row("x", 0.16, 3).polar(count)
    dome = ellipsoid(0.35, 0.35, rng.uniform(0.2, 0.35))
    body = union(dome, arm.polar(count), blend=0.1)
    return Solid(body | studs if rng.random() < 0.5 else body, "many-armed figure")


@family(stretch=True)
def idol(rng: Random) -> Solid:
    """Stacked rounded masses under one even carved texture."""
    parts, z = [], -0.7
    while z < 0.7:
        half = rng.uniform(0.18, 0.35)
        size = (rng.uniform(0.25, 0.55), rng.uniform(0.25, 0.55), half)
        mass = rng.choice((ellipsoid(*size), superquadric(size, 0.5, 0.5)))
        parts.append(mass.moved(rng.uniform(-0.1, 0.1), 0, z))
        if rng.random() < 0.5:
            parts.append(ellipsoid(0.15, 0.15, 0.2).moved(0.1, size[1], z).mirrored("y"))
        z += half * 1.3
    body = union(*parts, blend=rng.uniform(0.05, 0.12))
    return Solid(rough(rng, body, rng.uniform(0.12, 0.3), rng.uniform(0.006, 0.015), 9), "carved statue")


@family(stretch=True)
def fruit(rng: Random) -> Solid:
    """A sphere with lobes around its axis, dips at the poles, and a stalk."""
    lobes, depth = rng.choice((0, 0, 3, 5, 8, 10)), rng.uniform(0.02, 0.08)
    dip, pear = rng.uniform(0.0, 0.35), rng.uniform(0.0, 0.4)

    @Field
    def flesh(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        radius = length(x, y)
        wave = depth * torch.cos(lobes * torch.atan2(y, x)).abs().neg() * (radius * 2).clamp(max=1) if lobes else 0.0
        axial = (1 + pear * z).clamp(min=0.4)
        pole = dip * torch.exp(-12 * radius.square())
        return (length(radius * axial, z * (1 + pole)) - 0.72 - wave) * 0.7

    body = rough(rng, flesh, rng.uniform(0.8, 1.4), rng.uniform(0.005, 0.03))
    stalk = tube(sway(rng, (0, 0, 0.45), (rng.uniform(-0.1, 0.1), 0, 0.95), 4, 0.06), [0.06, 0.045, 0.04, 0.05])
    if rng.random() < 0.7:
        body |= stalk
    if rng.random() < 0.3:
        body |= stalk | ellipsoid(0.3, 0.14, 0.025).bent(1.2).turned("y", -0.4).moved(0.3, 0, 0.82)
    return Solid(body, "fruit")


@family(stretch=True)
def stone(rng: Random) -> Solid:
    half = (rng.uniform(0.5, 0.8), rng.uniform(0.4, 0.8), rng.uniform(0.4, 0.8))
    body = rng.choice((ellipsoid(*half), superquadric(half, 0.5, 0.6)))
    body = rough(rng, body, rng.uniform(0.6, 1.2), rng.uniform(0.03, 0.07))
    if rng.random() < 0.6:
        body = rough(rng, body, rng.uniform(0.12, 0.25), rng.uniform(0.004, 0.012), 24)
    return Solid(body, "stone")


@family(stretch=True)
def blobs(rng: Random) -> Solid:
    parts = [
        sphere(rng.uniform(0.16, 0.38)).moved(*(rng.uniform(-0.5, 0.5) for _ in range(3)))
        for _ in range(rng.randint(4, 9))
    ]
    hub = sphere(rng.uniform(0.25, 0.45))
    return Solid(union(hub, *parts, blend=rng.uniform(0.1, 0.3)), "sculpted blob")


@family()
def coral(rng: Random) -> Solid:
    """Branches that fork from a foot."""
    parts = [cylinder(0.3, 0.06, 0.03).up(-0.9)]
    for index in range(rng.randint(3, 6)):
        cosine, sine = math.cos(index * 2.4), math.sin(index * 2.4)
        x, y, z = tip = (0.7 * cosine, 0.7 * sine, rng.uniform(0.1, 0.9))
        fork = (x * 0.45, y * 0.45, -0.9 + 0.5 * (z + 0.9))
        twig = (x * 0.9 - 0.3 * sine, y * 0.9 + 0.3 * cosine, min(z + 0.2, 0.95))
        parts += [tube([(0, 0, -0.9), fork, tip], [0.16, 0.12, 0.07]), capsule(fork, twig, 0.1, 0.06)]
    return Solid(union(*parts, blend=0.08), "branching coral")


@family("plain", stretch=True)
def leaf(rng: Random) -> Solid:
    """A thin curved blade with a midrib and side veins."""
    thick, wide = rng.uniform(0.04, 0.06), rng.uniform(0.3, 0.6)
    blade = superquadric((0.9, wide, 0.9), 1.0, rng.uniform(0.9, 1.5)) & box(2, 2, thick, 0.02)
    rib = capsule((-0.95, 0, thick), (0.8, 0, thick), 0.06, 0.015)
    vein = capsule((-0.1, 0, thick), (0.15, 0.8, thick), 0.03, 0.02).mirrored("y")
    veins = vein.row("x", rng.uniform(0.2, 0.35), 5) & superquadric((0.85, wide - 0.04, 0.9), 1.0, 1.2) & box(2, 2, 0.2)
    return Solid(union(blade, rib, veins, blend=0.02).up(0.15).bent(rng.uniform(0.3, 1.0)), "leaf")


@family(stretch=True)
def snail(rng: Random) -> Solid:
    """A coiled shell: a tube that winds and grows, with ribs across it."""
    turns, steps = rng.uniform(1.6, 2.2), 17
    rise, ribs = rng.uniform(0.0, 0.35), rng.choice((0.0, 0.06))
    path, radii = [], []
    for index in range(steps):
        t = index / (steps - 1)
        angle, ring = turns * math.tau * t, 0.08 + 0.5 * t**1.3
        path.append((ring * math.cos(angle), ring * math.sin(angle), rise * 1.5 * (1 - t) - 0.1))
        radii.append(0.07 + (0.26 + ribs * (index % 2)) * t)
    return Solid(tube(path, radii, blend=0.05), "coiled shell")
