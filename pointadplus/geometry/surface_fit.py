"""A low-order surface through scattered points, and how far other points lie above or below it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

# All ours, from dents and bumps on planes, spheres and cylinders.
SECTORS = 8  # of the directions around the region, to see whether the ring goes all the way round
SURROUNDED = 6  # sectors with points from which on a curved surface is fitted
CURVED, FLAT = 24, 6  # points that a quadric and a plane ask for at least: four and two a coefficient
WELSCH = 2.985  # tuning constant for 95 % efficiency under Gaussian noise (Holland and Welsch, 1977)
ROUNDS = 8  # of reweighting


@dataclass(frozen=True, eq=False)
class SurfaceFit:
    """The height z = c·(1, x, y, x², xy, y²) over a plane; with three coefficients, a tilted plane.

    Attributes:
        origin: (3,) float64 and axes: (3, 3) float64, rows x, y, z; z is "up".
        unit: length that x and y are divided by.
        coefficients: (3,) or (6,) float64, in the unit of the points.
        rms: root mean square deviation of the points that were fitted, in the unit of the points.
    """

    origin: Float[Tensor, "3"]
    axes: Float[Tensor, "3 3"]
    unit: float
    coefficients: Float[Tensor, "c"]
    rms: float

    def deviation(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n"]:
        """(N,) float64: signed distance from the surface, above positive, to first order: (z − f) / √(1 + |∇f|²)."""
        local = (points.double() - self.origin) @ self.axes.T
        return _deviation(local[:, :2] / self.unit, local[:, 2], self.coefficients, self.unit)


def fit_surface(
    ring: Float[Tensor, "r 3"], origin: Float[Tensor, "3"], axes: Float[Tensor, "3 3"]
) -> SurfaceFit | None:
    """Fit a surface to a ring of points around a region, robustly: a quadric, or a plane where less is certain.

    Iteratively reweighted least squares of the heights, with Welsch's weights exp(−(d / 2.985 s)²), s 1.4826 times the
    median distance (Holland and Welsch, Robust Regression Using Iteratively Reweighted Least-Squares, 1977): flanks of
    a defect that reach into the ring count little. A quadric needs 24 points and 6 of 8 sectors around the origin; a
    region at an edge of the scan, with a ring on one side only, would have it run away, and gets a plane.

    Args:
        ring: (R, 3) in any unit.
        origin: (3,) float64, in the middle of the region.
        axes: (3, 3) float64, rows x, y, z; z is roughly normal to the ring.

    Returns:
        None with fewer than 6 points, or where they lie on a line.
    """
    if len(ring) < FLAT:
        return None
    local = (ring.double() - origin) @ axes.T
    flat, height = local[:, :2], local[:, 2]
    unit = float(flat.square().sum(1).mean().sqrt())
    if unit == 0 or float(torch.linalg.svdvals(flat - flat.mean(0))[1]) < 1e-6 * unit:
        return None
    flat = flat / unit
    sectors = ((torch.atan2(flat[:, 1], flat[:, 0]) / math.tau) % 1.0 * SECTORS).long().clamp_max(SECTORS - 1)
    curved = len(ring) >= CURVED and len(sectors.unique()) >= SURROUNDED
    table = _monomials(flat)[:, : 6 if curved else 3]
    weight = torch.ones_like(height)
    for _ in range(ROUNDS):
        coefficients = torch.linalg.lstsq(table * weight[:, None], height * weight, driver="gelsd").solution
        away = _deviation(flat, height, coefficients, unit)
        scale = 1.4826 * float(away.abs().median())
        if scale < 1e-9 * unit:
            break
        weight = torch.exp(-0.5 * (away / (WELSCH * scale)).square())  # its square is Welsch's weight
    rms = float(((weight * away).square().sum() / weight.square().sum()).sqrt())
    return SurfaceFit(origin, axes, unit, coefficients, rms)


def _monomials(flat: Float[Tensor, "n 2"]) -> Float[Tensor, "n 6"]:
    x, y = flat.unbind(1)
    return torch.stack([torch.ones_like(x), x, y, x * x, x * y, y * y], 1)


def _deviation(flat: Tensor, height: Tensor, coefficients: Tensor, unit: float) -> Float[Tensor, "n"]:
    full = torch.cat([coefficients, coefficients.new_zeros(6 - len(coefficients))])
    x, y = flat.unbind(1)
    slope_x = full[1] + 2 * full[3] * x + full[4] * y
    slope_y = full[2] + full[4] * x + 2 * full[5] * y
    steep = (1.0 + (slope_x.square() + slope_y.square()) / unit**2).sqrt()
    return (height - _monomials(flat) @ full) / steep
