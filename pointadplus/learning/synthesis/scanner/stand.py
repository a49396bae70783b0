"""How an object lies on the table, and where eyes stand around it."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn.functional import normalize

from ..chance import log_uniform, uniform
from ..scan import diagonal
from .view import across

# All ours; lengths are shares of the diagonal.
DISTANCE = 1.2, 6.0  # from eye to object
ELEVATION = math.radians(8), math.radians(75)  # of eyes above a table
AIMED = math.radians(55)  # between a lone eye and the normal of what it is aimed at


def side_up(points: Tensor, generator: Generator) -> Float[Tensor, "3"]:
    """Where up is when an object lies as it can: opposite one of 64 directions, mostly one that it has a foot for."""
    directions = normalize(torch.randn(64, 3, generator=generator), dim=1)
    some = points[torch.randperm(len(points), generator=generator)[:4096]]
    heights = some @ directions.T
    foot = (heights > heights.amax(0) - 0.01 * diagonal(points)).float().mean(0)
    return -directions[int(torch.multinomial((foot + 1e-4) ** 2, 1, generator=generator))]


def place_eyes(
    kind: str, points: Tensor, normals: Tensor, labels: Tensor | None, up: Tensor, generator: Generator
) -> Float[Tensor, "e 3"]:
    """Where the eyes of a scan stand."""
    middle, size = (points.amin(0) + points.amax(0)) / 2, diagonal(points)
    if kind == "single":
        pool = labels if labels is not None and labels.any() else torch.ones(len(points), dtype=torch.bool)
        rows = pool.nonzero()[:, 0]
        aim = normals[rows[int(torch.randint(len(rows), (1,), generator=generator))]]
        directions = _within(aim, AIMED, generator)[None]
    elif kind == "few":
        count = int(torch.randint(2, 5, (1,), generator=generator))
        directions = torch.stack(
            [_above(up, uniform(generator, 0.0, math.tau), uniform(generator, *ELEVATION)) for _ in range(count)]
        )
    else:
        directions = _rings(up, generator)
        if kind == "around":
            directions = torch.cat([directions, -directions])
    far = torch.stack([size * log_uniform(generator, *DISTANCE) for _ in range(1)])
    jitter = 0.05 * size * torch.randn(len(directions), 3, generator=generator)
    return middle + directions * (0.5 * size + far) + jitter


def _rings(up: Tensor, generator: Generator) -> Float[Tensor, "e 3"]:
    """Directions of a turntable's eyes: one to three rings."""
    rings, start = int(torch.randint(1, 4, (1,), generator=generator)), uniform(generator, 0.0, math.tau)
    count = (
        int(torch.randint(4, 13, (1,), generator=generator))
        if rings == 1
        else int(torch.randint(4, 9, (1,), generator=generator))
    )
    low = uniform(generator, math.radians(10), math.radians(45))
    tops = [low + (math.radians(80) - low) * ring / max(rings, 2) for ring in range(rings)]
    return torch.stack([_above(up, start + math.tau * at / count, top) for top in tops for at in range(count)])


def _above(up: Tensor, turn: float, elevation: float) -> Float[Tensor, "3"]:
    """The direction at an angle above the table."""
    one, two = across(up)
    return math.sin(elevation) * up + math.cos(elevation) * (math.cos(turn) * one + math.sin(turn) * two)


def _within(axis: Tensor, angle: float, generator: Generator) -> Float[Tensor, "3"]:
    """A direction, uniform over the cap of that angle about an axis."""
    cosine = uniform(generator, math.cos(angle), 1.0)
    one, two = across(axis)
    turn = uniform(generator, 0.0, math.tau)
    return cosine * axis + math.sqrt(1 - cosine**2) * (math.cos(turn) * one + math.sin(turn) * two)
