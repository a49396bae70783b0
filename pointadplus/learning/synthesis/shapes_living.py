"""Grown and carved things: fruit, stones, shells, leaves, statues."""

from __future__ import annotations

import math
from random import Random

import torch
from torch import Tensor

from . import reliefs
from .family import Family, Solid
from .solids import (
    Field,
    Number,
    Vector,
    bent,
    box,
    capsule,
    cylinder,
    ellipsoid,
    intersection,
    length,
    mirrored,
    moved,
    row,
    sphere,
    superquadric,
    tube,
    turned,
    union,
)


def rough(rng: Random, field: Field, wavelength: Number, height: Number, count: int = 8) -> Field:
    """Move the surface by isotropic smooth noise."""
    noise = reliefs.waves(rng, wavelength, count)
    shrink = 1 / math.hypot(1.0, 4 * height / wavelength)
    return lambda x, y, z: (field(x, y, z) - height * noise(torch.stack([x, y, z]))) * shrink


def sway(rng: Random, start: Vector, end: Vector, count: int, wobble: Number) -> list[Vector]:
    """A polyline from start to end along a bowed curve."""
    bow = [rng.uniform(-wobble, wobble) for _ in range(3)]
    steps = [index / (count - 1) for index in range(count)]
    return [
        tuple(s + (e - s) * t + b * 4 * t * (1 - t) for s, e, b in zip(start, end, bow, strict=True)) for t in steps
    ]  # type: ignore[misc]


def idol(rng: Random) -> Solid:
    """Stacked rounded masses under one even carved texture."""
    parts: list[Field] = []
    z = -0.7
    while z < 0.7:
        half = rng.uniform(0.18, 0.35)
        size = (rng.uniform(0.25, 0.55), rng.uniform(0.25, 0.55), half)
        parts.append(moved(rng.choice((ellipsoid(*size), superquadric(size, 0.5, 0.5))), rng.uniform(-0.1, 0.1), 0, z))
        if rng.random() < 0.5:
            parts.append(mirrored(moved(ellipsoid(0.15, 0.15, 0.2), 0.1, size[1], z), 1))
        z += half * 1.3
    return Solid(
        rough(rng, union(*parts, blend=rng.uniform(0.05, 0.12)), rng.uniform(0.12, 0.3), rng.uniform(0.006, 0.015), 9),
        "carved statue",
    )


def fruit(rng: Random) -> Solid:
    """A sphere with lobes around its axis, dips at the poles, and a stalk."""
    lobes, depth = rng.choice((0, 0, 3, 5, 8, 10)), rng.uniform(0.02, 0.08)
    dip, pear = rng.uniform(0.0, 0.35), rng.uniform(0.0, 0.4)

    def flesh(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        radius = length(x, y)
        wave = depth * torch.cos(lobes * torch.atan2(y, x)).abs().neg() * (radius * 2).clamp(max=1) if lobes else 0.0
        axial = (1 + pear * z).clamp(min=0.4)
        pole = dip * torch.exp(-12 * radius.square())
        return (length(radius * axial, z * (1 + pole)) - 0.72 - wave) * 0.7

    body = rough(rng, flesh, rng.uniform(0.8, 1.4), rng.uniform(0.005, 0.03))
    stalk = tube(sway(rng, (0, 0, 0.45), (rng.uniform(-0.1, 0.1), 0, 0.95), 4, 0.06), [0.06, 0.045, 0.04, 0.05])
    leaf = moved(turned(bent(ellipsoid(0.3, 0.14, 0.025), 1.2), "y", -0.4), 0.3, 0, 0.82)
    parts = [body] + ([stalk] if rng.random() < 0.7 else []) + ([stalk, leaf] if rng.random() < 0.3 else [])
    return Solid(union(*parts), "fruit")


def stone(rng: Random) -> Solid:
    half = (rng.uniform(0.5, 0.8), rng.uniform(0.4, 0.8), rng.uniform(0.4, 0.8))
    body = rng.choice((ellipsoid(*half), superquadric(half, 0.5, 0.6)))
    body = rough(rng, body, rng.uniform(0.6, 1.2), rng.uniform(0.03, 0.07))
    if rng.random() < 0.6:
        body = rough(rng, body, rng.uniform(0.12, 0.25), rng.uniform(0.004, 0.012), 24)
    return Solid(body, "stone")


def blobs(rng: Random) -> Solid:
    parts = [
        moved(sphere(rng.uniform(0.16, 0.38)), *(rng.uniform(-0.5, 0.5) for _ in range(3)))
        for _ in range(rng.randint(4, 9))
    ]
    hub = sphere(rng.uniform(0.25, 0.45))
    return Solid(union(hub, *parts, blend=rng.uniform(0.1, 0.3)), "sculpted blob")


def coral(rng: Random) -> Solid:
    """Branches that fork from a foot."""
    parts = [moved(cylinder(0.3, 0.06, 0.03), 0, 0, -0.9)]
    for index in range(rng.randint(3, 6)):
        angle = index * 2.4
        tip = (0.7 * math.cos(angle), 0.7 * math.sin(angle), rng.uniform(0.1, 0.9))
        fork = (tip[0] * 0.45, tip[1] * 0.45, -0.9 + 0.5 * (tip[2] + 0.9))
        parts.append(tube([(0, 0, -0.9), fork, tip], [0.16, 0.12, 0.07]))
        parts.append(
            capsule(
                fork,
                (tip[0] * 0.9 - 0.3 * math.sin(angle), tip[1] * 0.9 + 0.3 * math.cos(angle), min(tip[2] + 0.2, 0.95)),
                0.1,
                0.06,
            )
        )
    return Solid(union(*parts, blend=0.08), "branching coral")


def leaf(rng: Random) -> Solid:
    """A thin curved blade with a midrib and side veins."""
    thick, wide = rng.uniform(0.04, 0.06), rng.uniform(0.3, 0.6)
    blade = intersection(superquadric((0.9, wide, 0.9), 1.0, rng.uniform(0.9, 1.5)), box(2, 2, thick, 0.02))
    rib = capsule((-0.95, 0, thick), (0.8, 0, thick), 0.06, 0.015)
    vein = mirrored(capsule((-0.1, 0, thick), (0.15, 0.8, thick), 0.03, 0.02), 1)
    veins = intersection(
        row(vein, 0, rng.uniform(0.2, 0.35), 5),
        intersection(superquadric((0.85, wide - 0.04, 0.9), 1.0, 1.2), box(2, 2, 0.2)),
    )
    return Solid(bent(moved(union(blade, rib, veins, blend=0.02), 0, 0, 0.15), rng.uniform(0.3, 1.0)), "leaf")


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


FAMILIES = {
    "idol": Family(idol, stretch=True),
    "fruit": Family(fruit, stretch=True),
    "stone": Family(stone, stretch=True),
    "blobs": Family(blobs, stretch=True),
    "coral": Family(coral),
    "leaf": Family(leaf, "plain", stretch=True),
    "snail": Family(snail, stretch=True),
}
