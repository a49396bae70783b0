"""Points spread evenly by area over the zero set of a field.

Uniform points of the thin shell {|distance| < ε} fall, projected along the gradient, on the surface with a density
that is even up to order (ε·curvature)². The shell is found with an octree, whose cells are dropped as soon as the
field says that the surface cannot pass through them.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ...errors import ConfigError
from .solids import Field

BOUND = 1.1  # fields live in the cube [-BOUND, BOUND]³
_COARSE = 18  # cells along a side of the first level
_FINEST = 2 * BOUND / (_COARSE * 16)
_SHELL = 0.006  # ε; below half the thinnest wall
_STEP = 0.0015  # of the finite differences; far below the point spacing
_SLOPE = 1.15  # steepest slope of a field that the octree allows for


def _near_cells(field: Field, wanted: int, device: torch.device) -> tuple[Tensor, float]:
    """Centres (3, C) of the cells that the surface may cross, and their side."""
    size = 2 * BOUND / _COARSE
    axis = (torch.arange(_COARSE, device=device) + 0.5) * size - BOUND
    cells = torch.cartesian_prod(axis, axis, axis).T.contiguous()
    sides = torch.tensor([-0.25, 0.25], device=device)
    corners = torch.cartesian_prod(sides, sides, sides).T[:, :, None]
    while True:
        reach = 0.5 * 3**0.5 * size * _SLOPE + _SHELL
        cells = cells[:, field(*cells).abs() < reach]
        # Finer cells waste fewer candidates, and cost eight evaluations each.
        if cells.shape[1] * 8 > 4 * wanted or size <= _FINEST:
            return cells, size
        cells = (cells[:, None] + corners * size).flatten(1)
        size /= 2


def value_and_gradient(field: Field, points: Float[Tensor, "3 n"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "3 n"]]:
    """Field value (N,) and gradient (3, N) from four values at the corners of a small tetrahedron."""
    signs = points.new_tensor([[1, -1, -1, 1], [-1, -1, 1, 1], [-1, 1, -1, 1]])
    corners = (points[:, None] + _STEP * signs[:, :, None]).flatten(1)
    values = field(*corners).view(4, -1)
    return values.mean(0), signs @ values / (4 * _STEP)


def _project(field: Field, points: Tensor, shell: float) -> tuple[Tensor, Tensor]:
    """Those of (3, M) points that lie in the shell, moved onto the surface, and the unit gradients there."""
    for step in range(3):
        value, gradient = value_and_gradient(field, points)
        slope = gradient.square().sum(0).sqrt().clamp(min=1e-3)
        distance, normals = value / slope, gradient / slope
        fits = (distance.abs() < (shell if step == 0 else 0.5 * shell)) & (slope > 0.05)
        points, normals = (points - distance * normals)[:, fits], normals[:, fits]
    return points, normals


def sample_surface(
    field: Field, count: int, generator: torch.Generator
) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"]]:
    """Sample `count` points, uniform by area, where `field` is zero inside the cube of half side `BOUND`.

    Args:
        field: maps x, y, z, each (N,), to (N,): negative inside, slope at most about one.
        count: points wanted.
        generator: source of randomness; its device is where the work is done.

    Returns:
        Points and unit normals, (count, 3) float32, the normals towards increasing values.

    Raises:
        ConfigError: the field has no surface in the cube.
    """
    cells, size = _near_cells(field, count, generator.device)
    found: list[tuple[Tensor, Tensor]] = []
    have, rate = 0, 2 * _SHELL / (3**0.5 * size + 2 * _SHELL)
    for _ in range(20):
        if cells.shape[1] == 0:
            break
        draws = int(1.1 * (count - have) / max(rate, 0.01)) + 256
        index = torch.randint(cells.shape[1], (draws,), generator=generator, device=generator.device)
        candidates = cells[:, index] + size * (torch.rand(3, draws, generator=generator, device=generator.device) - 0.5)
        # The gradient costs four values: ask for it only where the value leaves a chance.
        candidates = candidates[:, field(*candidates).abs() < _SLOPE * _SHELL]
        found.append(_project(field, candidates, _SHELL))
        have += found[-1][0].shape[1]
        if have >= count:
            points, normals = (torch.cat(parts, 1)[:, :count].T.contiguous() for parts in zip(*found, strict=True))
            return points, normals
        rate = max(found[-1][0].shape[1] / draws, 0.01)
    raise ConfigError(
        "the field has no surface in the cube",
        where="sample_surface",
        expected=f"a zero set within ±{BOUND}",
        found=f"{have} of {count} points",
    )
