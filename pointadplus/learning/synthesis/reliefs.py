"""Designed relief: regular patterns, lettering and fine texture that healthy surfaces carry.

A relief maps points and unit normals, both (3, N), to heights (N,), in units of a solid two wide. It covers what it
covers evenly and stops at clean borders: a lone bump, pit or scratch is a defect and never made here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from random import Random

import torch
from jaxtyping import Float
from torch import Tensor

from .solids import length

Relief = Callable[[Tensor, Tensor], Tensor]

_STEP = 0.0015  # of the finite differences


def emboss(
    points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"], relief: Relief
) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"], Float[Tensor, " n"]]:
    """Move points along their normals by a relief.

    Returns:
        Points and unit normals of the new surface, (N, 3), and the factor (N,) ≥ 1 by which area grew around each
        point. To first order in height times curvature.
    """
    p, n = points.T, normals.T
    offsets = torch.cat([torch.zeros(3, 1), _STEP * torch.eye(3)], 1).to(p)
    probes = (p[:, None] + offsets[:, :, None]).flatten(1)
    heights = relief(probes, n.repeat(1, 4)).view(4, -1)
    gradient = (heights[1:] - heights[0]) / _STEP
    gradient = gradient - (gradient * n).sum(0) * n
    growth = (1 + gradient.square().sum(0)).sqrt()
    return (p + heights[0] * n).T.contiguous(), ((n - gradient) / growth).T.contiguous(), growth


def _plateau(wave: Tensor, sharpness: float) -> Tensor:
    """A wave in [-1, 1] flattened into two levels, 0 and 1."""
    return torch.sigmoid(sharpness * wave)


def _edge(value: Tensor, low: float, high: float) -> Tensor:
    """0 below `low`, 1 above `high`, smooth between."""
    t = ((value - low) / (high - low)).clamp(0.0, 1.0)
    return t * t * (3 - 2 * t)


def waves(rng: Random, wavelength: float, count: int) -> Callable[[Tensor], Tensor]:
    """Isotropic smooth noise of zero mean and unit variance: `count` sines with random directions and phases."""
    frequency = math.tau / wavelength
    directions = torch.tensor([[rng.gauss(0, 1) for _ in range(3)] for _ in range(count)])
    directions = directions / directions.norm(dim=1, keepdim=True) * frequency
    directions = directions * torch.tensor([[rng.uniform(0.6, 1.4)] for _ in range(count)])
    phases = torch.tensor([[rng.uniform(0, math.tau)] for _ in range(count)])
    return lambda p: torch.sin(torch.addmm(phases.to(p), directions.to(p), p)).sum(0) * math.sqrt(2 / count)


def grain(rng: Random) -> Relief:
    """Orange peel: the fine texture of a cast, a coating or a scan, over the whole object."""
    noise, height = waves(rng, rng.uniform(0.05, 0.14), 24), rng.uniform(0.0006, 0.0025)
    return lambda p, n: height * noise(p)


def swell(rng: Random) -> Relief:
    """Long gentle waves: the shape of hand-made and grown things."""
    noise, height = waves(rng, rng.uniform(0.6, 1.4), 8), rng.uniform(0.004, 0.01)
    return lambda p, n: height * torch.tanh(noise(p))  # bounded, so that the two faces of a thin wall never meet


def lattice(rng: Random) -> Relief:
    """A regular hammered or woven texture from three crossing waves."""
    pitch, height, sharp = rng.uniform(0.09, 0.2), rng.uniform(0.003, 0.008), rng.uniform(1.0, 4.0)
    frequency = math.tau / pitch
    return lambda p, n: height * torch.tanh(sharp * 0.5 * torch.sin(frequency * p).sum(0))


def layers(rng: Random) -> Relief:
    """The even lines of turning or of printing in layers."""
    frequency, height, axis = math.tau / rng.uniform(0.035, 0.07), rng.uniform(0.0015, 0.004), rng.choice((0, 2, 2))
    return lambda p, n: height * torch.sin(frequency * p[axis]) * (1 - n[axis].square()).clamp(min=0)


def _outer_walls(p: Tensor, n: Tensor) -> Tensor:
    """1 on walls that look away from z, 0 on floors, tops and the inside of vessels."""
    radius = length(p[0], p[1]).clamp(min=1e-3)
    return _edge((p[0] * n[0] + p[1] * n[1]) / radius, 0.5, 0.75) * _edge(radius, 0.12, 0.2)


def _around(rng: Random, pattern: Callable[[Tensor, Tensor], Tensor], height: float) -> Relief:
    """A pattern of (angle, z) on the walls around z, in one band or all over."""
    low = rng.uniform(-0.9, 0.2) if rng.random() < 0.6 else -2.0
    high = low + rng.uniform(0.3, 0.8) if low > -1 else 2.0
    sign = rng.choice((-1, 1))

    def relief(p: Tensor, n: Tensor) -> Tensor:
        x, y, z = p
        band = _edge(z - low, 0.0, 0.03) * _edge(high - z, 0.0, 0.03)
        return (sign * height) * _outer_walls(p, n) * band * pattern(torch.atan2(y, x), z)

    return relief


def rings(rng: Random) -> Relief:
    """Grooves or beads around z."""
    frequency, sharp = math.tau / rng.uniform(0.07, 0.22), rng.uniform(1.5, 5)
    return _around(rng, lambda angle, z: _plateau(torch.sin(frequency * z), sharp), rng.uniform(0.008, 0.02))


def flutes(rng: Random) -> Relief:
    """Ribs along z, straight or spiralling."""
    count, sharp, lead = rng.randint(10, 40), rng.uniform(1.5, 5), rng.choice((0.0, 0.0, rng.uniform(-8, 8)))
    return _around(
        rng, lambda angle, z: _plateau(torch.sin(count * angle + lead * z), sharp), rng.uniform(0.008, 0.025)
    )


def knurl(rng: Random) -> Relief:
    """Crossing spirals, as rolled on grips."""
    count = rng.randint(16, 36)
    lead = count * rng.uniform(1.0, 2.0)

    def pattern(angle: Tensor, z: Tensor) -> Tensor:
        one, two = torch.sin((count * angle + lead * z) / 2), torch.sin((count * angle - lead * z) / 2)
        return (one * two).abs()

    return _around(rng, pattern, rng.uniform(0.012, 0.025))


def dimples(rng: Random) -> Relief:
    """Round pits or studs on a staggered grid around z."""
    count, pitch = rng.randint(10, 26), rng.uniform(0.1, 0.2)

    def pattern(angle: Tensor, z: Tensor) -> Tensor:
        line = torch.round(z / pitch)
        across = torch.sin(0.5 * count * angle + 0.5 * math.pi * (line % 2))
        return _edge(0.5 - across.square() - (z / pitch - line).square() * 4, 0.0, 0.35)

    return _around(rng, pattern, rng.uniform(0.01, 0.025))


def _strokes(rng: Random, letters: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Distance to the pen lines of invented letters, each drawn on a 2 × 3 grid of the unit box, side by side."""
    corners = [(a, b) for a in (0.0, 0.55) for b in (0.0, 0.5, 1.0)]
    lines = []
    for letter in range(letters):
        path = rng.sample(corners, 4)
        lines += [(letter + a, b, letter + c, d) for (a, b), (c, d) in itertools.pairwise(path)]
    middle = (letters - 0.45) / 2

    def distance(u: Tensor, v: Tensor) -> Tensor:
        least = torch.full_like(u, 9.0)
        for a, b, c, d in lines:
            du, dv, su, sv = c - a, d - b, u - (a - middle), v - (b - 0.5)
            along = ((su * du + sv * dv) / (du * du + dv * dv)).clamp(0.0, 1.0)
            least = torch.minimum(least, (su - along * du).square() + (sv - along * dv).square())
        return least.sqrt()

    return distance


def _lettering(rng: Random, letters: int, size: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Heights of a line of letters at (u, v) from its middle, raised or sunk."""
    strokes, height = _strokes(rng, letters), rng.choice((-1, 1)) * rng.uniform(0.012, 0.02)
    return lambda u, v: height * _edge(0.036 - strokes(u / size, v / size) * size, 0.0, 0.018)


def letters_around(rng: Random) -> Relief:
    """A line of lettering around z, raised or sunk."""
    count, size, at = rng.randint(3, 6), rng.uniform(0.18, 0.32), rng.uniform(-0.5, 0.4)
    line = _lettering(rng, count, size)

    def relief(p: Tensor, n: Tensor) -> Tensor:
        radius = length(p[0], p[1]).clamp(min=0.1)
        return line(radius * torch.atan2(p[1], p[0]), p[2] - at) * _outer_walls(p, n)

    return relief


def letters_flat(rng: Random) -> Relief:
    """A line of lettering on the faces that look along +z, raised or sunk."""
    count, size, dx, dy = rng.randint(3, 6), rng.uniform(0.18, 0.32), rng.uniform(-0.2, 0.2), rng.uniform(-0.3, 0.3)
    line = _lettering(rng, count, size)
    return lambda p, n: line(p[0] - dx, p[1] - dy) * _edge(n[2], 0.85, 0.95)


def treads(rng: Random) -> Relief:
    """A regular field of bars, dots or diamonds on the faces that look along +z."""
    kind, frequency, height = rng.randrange(3), math.tau / rng.uniform(0.1, 0.22), rng.uniform(0.008, 0.018)
    angle, sign = rng.choice((0.0, math.pi / 4, rng.uniform(0, 3))), rng.choice((-1, 1))
    cosine, sine = frequency * math.cos(angle), frequency * math.sin(angle)

    def relief(p: Tensor, n: Tensor) -> Tensor:
        u, v = p[0] * cosine + p[1] * sine, p[1] * cosine - p[0] * sine
        wave = (torch.sin(u), torch.sin(u) + torch.sin(v) - 0.8, torch.sin(u) * torch.sin(v))[kind]
        return sign * height * _plateau(wave, 4.0) * _edge(n[2], 0.85, 0.95)

    return relief


WRAPPED = (rings, flutes, knurl, dimples, letters_around, layers, lattice)
FLAT = (letters_flat, treads, layers, letters_flat)
FREE = (swell, lattice, layers, swell)
