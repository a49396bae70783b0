"""The surface of a part as normal scans of it show it, what another scan lacks of it, and means over scans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pointadplus.geometry.descriptors import seen_from
from pointadplus.geometry.exposure import AROUND, border_nodes, in_front
from pointadplus.geometry.neighbors import Neighbors
from pointadplus.geometry.spacing import point_spacing

# All ours.
_LACK = 2.0  # spacings of a scan from its nearest point within which nothing is missing
_ALONE, _CROWD = 1.5, 8  # median distances to so many neighbours from which on a point counts less: mixed pixels
_AGAIN = 2  # times that means are averaged again
_FACING = 0.7  # cosine to the view from which on surface must be seen, if it is in front:
_PIXEL, _BEHIND = 4.0, 5.0  # side of a pixel, and depth under the foremost of it, in spacings


@dataclass(frozen=True, eq=False)
class NormalSurface:
    """What normal scans say of a surface.

    Attributes:
        points, normals: (N, 3) of all scans, unit normals of any sign.
        spacing: of the points.
        rim: (N,) bool, whether it ends hereabouts: beyond, nothing was scanned.
        certain: (N,) bool, whether every scan has it.
    """

    points: Float[Tensor, "n 3"]
    normals: Float[Tensor, "n 3"]
    spacing: float
    rim: Bool[Tensor, "n"]
    certain: Bool[Tensor, "n"]

    @cached_property
    def index(self) -> Neighbors:
        """Of its points."""
        return Neighbors(self.points)


class NormalScans:
    """The surfaces of normal scans, and what each of them has of the others'.

    Args:
        scans: points and normals of each.
    """

    def __init__(self, scans: Sequence[tuple[Tensor, Tensor]]) -> None:
        self._points, self._normals = (torch.cat(parts) for parts in zip(*scans, strict=True))
        self._scan = torch.cat([torch.full((len(points),), number) for number, (points, _) in enumerate(scans)])
        near = Neighbors(self._points).nearest(self._points, AROUND + 1)[1]
        self._rim = border_nodes(self._points, self._normals, near)[near].any(1)
        self._has = torch.stack([_lack(Neighbors(points), self._points)[0] == 0 for points, _ in scans])

    def surface(self, without: int = -1) -> NormalSurface:
        """Of all scans, or of all but one."""
        rows, others = self._scan != without, torch.arange(len(self._has)) != without
        points = self._points[rows]
        certain = self._has[others][:, rows].all(0)
        return NormalSurface(points, self._normals[rows], point_spacing(points), self._rim[rows], certain)


def _lack(scan: Neighbors, surface: Tensor) -> tuple[Float[Tensor, "n"], Int[Tensor, "n"]]:
    """By how much points of a surface are farther from a scan than its grain explains, and its nearest points."""
    distance, index = scan.nearest(surface, 1)
    return (distance[:, 0] - _LACK * point_spacing(scan)).clamp_min(0), index[:, 0]


def missing(scan: Neighbors, surface: NormalSurface, partial: float) -> Float[Tensor, "n"]:
    """How far normal surface that a scan lacks reaches from the scan's points that are nearest to it. (N,).

    If the scan lacks more than the share `partial`, it is of one side: then what faced its eyes counts, unless that is
    as much again.
    """
    lack, index = _lack(scan, surface.points)
    lack = lack * surface.certain
    if float((lack > 0).float().mean()) > partial:
        view = seen_from(scan.points)[0]
        spacing = point_spacing(scan)
        faced = in_front(surface.points, view, _PIXEL * spacing, _BEHIND * spacing)
        faced &= (surface.normals @ view).abs() > _FACING
        lack = lack * faced
        if float((lack > 0).sum() / faced.sum().clamp_min(1)) > partial:
            return torch.zeros(len(scan.points))
    return torch.zeros(len(scan.points)).scatter_reduce(0, index, lack, "amax")


def averaged(values: Float[Tensor, "n"], scan: Neighbors, count: int, *, again: bool) -> Float[Tensor, "n"]:
    """Means of the values of a scan's points over `count` neighbours, the point itself included. (N,).

    Points that stand alone count less. With `again` the geometric mean of these means and of means over a wider
    neighbourhood, those of the neighbours' neighbours: what is fine stands out in the one, what is faint in the other.
    """
    away, near = scan.nearest(scan.points, max(count, _CROWD + 1))
    crowd, near = away[:, _CROWD], near[:, :count]
    weight = (_ALONE * crowd.median() / crowd.clamp_min(1e-30)).clamp(1e-6, 1).square()
    total, weight = (values * weight)[near].mean(1), weight[near].mean(1)
    fine = total / weight
    if not again:
        return fine
    for _ in range(_AGAIN):
        total, weight = total[near].mean(1), weight[near].mean(1)
    return (fine * total / weight).sqrt()
