"""Plane figures and the solids made from them by extruding and by turning on a lathe.

A plane field maps (u, v), two (N,) tensors, to (N,) values like those of a solid. Polygons of any number of corners
are tabulated once and then looked up, so that a rich outline costs no more than a circle.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from .solids import Field, Number, length, outside

PlaneField = Callable[[Tensor, Tensor], Tensor]

_TEXEL = 0.0125  # of a solid two units wide: below the spacing of 20,000 points, about 0.02
_MARGIN = 0.2  # wider than the half diagonal of the coarsest cell that looks anything up


def polygon_distance(
    corners: Float[Tensor, "k 2"], u: Float[Tensor, " n"], v: Float[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """Signed distance (N,) to a closed polygon, negative inside by the even-odd rule."""
    start, end = corners, corners.roll(-1, 0)
    edge = end - start
    pu, pv = u[None] - start[:, :1], v[None] - start[:, 1:]
    along = (pu * edge[:, :1] + pv * edge[:, 1:]) / edge.square().sum(1, keepdim=True).clamp(min=1e-12)
    along = along.clamp_(0.0, 1.0)
    gap = (pu - along * edge[:, :1]).square_().add_((pv - along * edge[:, 1:]).square_()).amin(0).sqrt_()
    spans = (pv < 0) != (v[None] < end[:, 1:])
    crossed = spans & ((pu * edge[:, 1:] < pv * edge[:, :1]) == (edge[:, 1:] > 0))
    return torch.where(crossed.sum(0) % 2 == 1, -gap, gap)


def polygon(corners: Sequence[tuple[Number, Number]]) -> PlaneField:
    """A closed polygon as a tabulated plane field."""
    points = torch.tensor(corners, dtype=torch.float32)
    low, high = points.amin(0) - _MARGIN, points.amax(0) + _MARGIN
    (low_u, low_v), (high_u, high_v) = low.tolist(), high.tolist()
    columns, rows = (math.ceil(side / _TEXEL) + 1 for side in (high - low).tolist())
    v, u = torch.meshgrid(torch.linspace(low_v, high_v, rows), torch.linspace(low_u, high_u, columns), indexing="ij")
    table = torch.cat(
        [polygon_distance(points, *pair) for pair in zip(u.flatten().split(4096), v.flatten().split(4096), strict=True)]
    ).view(1, 1, rows, columns)
    center_u, half_u = (low_u + high_u) / 2, (high_u - low_u) / 2
    center_v, half_v = (low_v + high_v) / 2, (high_v - low_v) / 2

    def field(u: Tensor, v: Tensor) -> Tensor:
        u, v = u - center_u, v - center_v
        grid = torch.stack([u / half_u, v / half_v], -1)
        inside = F.grid_sample(
            table.to(u.device), grid[None, None], padding_mode="border", align_corners=True
        ).flatten()
        return inside + length((u.abs() - half_u).clamp(min=0.0), (v.abs() - half_v).clamp(min=0.0))

    return field


def disc(radius: Number, at: tuple[Number, Number] = (0.0, 0.0)) -> PlaneField:
    return lambda u, v: length(u - at[0], v - at[1]) - radius


def slot(half: Number, radius: Number) -> PlaneField:
    """A stadium along u: two half discs of `radius`, their centres at ±half."""
    return lambda u, v: length((u.abs() - half).clamp(min=0.0), v) - radius


def rectangle(a: Number, b: Number, edge: Number = 0.0) -> PlaneField:
    """Half sizes a and b, corners rounded with radius `edge`."""
    return lambda u, v: outside(u.abs() - (a - edge), v.abs() - (b - edge)) - edge


def fold(u: Tensor, v: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Bring every point into the half sector of angle π/count above +u, by turning and reflecting."""
    radius, angle, sector = length(u, v), torch.atan2(v, u), math.tau / count
    angle = (angle - sector * torch.round(angle / sector)).abs()
    return radius * torch.cos(angle), radius * torch.sin(angle)


def ngon(count: int, apothem: Number) -> PlaneField:
    """A regular polygon; one side faces +u at distance `apothem`."""
    return lambda u, v: fold(u, v, count)[0] - apothem


def star(count: int, outer: Number, inner: Number) -> PlaneField:
    """A star; one of its points at (outer, 0), its notches at radius `inner`."""
    half = math.pi / count
    notch_u, notch_v = inner * math.cos(half), inner * math.sin(half)
    size = math.hypot(notch_v, outer - notch_u)
    nu, nv = notch_v / size, (outer - notch_u) / size

    def field(u: Tensor, v: Tensor) -> Tensor:
        u, v = fold(u, v, count)
        return (u - outer) * nu + v * nv

    return field


def cog(teeth: int, outer: Number, depth: Number, share: Number = 0.5, taper: Number = 0.35) -> PlaneField:
    """A disc with straight-sided teeth. `share`: of the pitch taken by a tooth at mid depth; `taper`: flank slope."""
    root = outer - depth
    middle = outer - depth / 2
    half = math.pi / teeth * share * middle

    def field(u: Tensor, v: Tensor) -> Tensor:
        radial, side = fold(u, v, teeth)
        flank = (side - half + (radial - middle) * taper) / math.hypot(1.0, taper)
        return torch.minimum(length(u, v) - root, torch.maximum(flank, radial - outer))

    return field


def extruded(figure: PlaneField, half: Number, bevel: Number = 0.0, edge: Number = 0.0) -> Field:
    """A plate over the figure in xy, from -half to half; rims cut by `bevel` or rounded by `edge`."""

    @Field
    def field(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        side, cap = figure(x, y) + edge, z.abs() - (half - edge)
        if edge > 0:
            return length(side.clamp(min=0.0), cap.clamp(min=0.0)) + torch.maximum(side, cap).clamp(max=0.0) - edge
        body = torch.maximum(side, cap)
        return body if bevel == 0 else torch.maximum(body, (side + cap + bevel) * math.sqrt(0.5))

    return field


def lathed(figure: PlaneField) -> Field:
    """Turn a figure given in (radius, height) about z."""
    return Field(lambda x, y, z: figure(length(x, y), z))


def turned_profile(profile: Sequence[tuple[Number, Number]]) -> Field:
    """A solid of revolution from an open polyline of (radius, height), closed along the axis."""
    closed = [(-0.3, profile[0][1]), *profile, (-0.3, profile[-1][1])]
    return lathed(polygon(closed))


def smooth_curve(knots: Sequence[tuple[Number, Number]], steps: int = 6) -> list[tuple[Number, Number]]:
    """A polyline through `knots` along Catmull-Rom segments (uniform parameter)."""
    padded = [knots[0], *knots, knots[-1]]
    curve: list[tuple[Number, Number]] = []
    for before, start, end, after in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        for step in range(steps):
            t = step / steps
            weights = (
                -0.5 * t + t * t - 0.5 * t**3,
                1 - 2.5 * t * t + 1.5 * t**3,
                0.5 * t + 2 * t * t - 1.5 * t**3,
                0.5 * (t**3 - t * t),
            )
            u, v = (
                sum(w * p[axis] for w, p in zip(weights, (before, start, end, after), strict=True)) for axis in (0, 1)
            )
            curve.append((u, v))
    return [*curve, knots[-1]]
