"""Deviations as a report shows them: their colours and bins, the worst places, and the section through one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import normalize

from ..cloud import PointCloud
from ..geometry.neighbors import knn
from ..geometry.normals import estimate_normals
from ..geometry.spacing import point_spacing
from ..results.detection import Detection
from ..results.inspection import Inspection
from ..results.palette import deviation_colors
from ..results.regions import Region, find_regions

BINS = 255  # of the deviations; level 0 is for what was not measured
# All ours.
REACH = (1.5, 4.0)  # least and most that the colours span, in the wider half of the tolerance
NOISES = 3.0  # the same without a tolerance, in levels of detection, at least
TOGETHER = 5  # neighbouring points that make an extreme, as those of an `Inspection`
ALIKE = 1e-5  # share of the largest by which rounding may part equal deviations
WINDOW = (1.2, 0.06, 0.2)  # half-width of a section: lengths of its region; least, most, in the scan's largest extent
SLAB = 1.5  # its half-thickness, in spacings of the points
NEARLY = 0.95  # of the largest deviation of a region, from which on it may be cut through
DRAWN = 500  # points of a section
WHISKER = 0.35  # length of its longest whisker, in half-widths


@dataclass(frozen=True)
class Scale:
    """What the colours of deviations mean: ± `span` at the ends, and the band of those that are good or noise."""

    span: float
    band: tuple[float, float]
    good: bool

    @classmethod
    def of(cls, found: Inspection) -> Scale:
        """Of the tolerance, or of the noise where there is none."""
        most = max(abs(found.largest), abs(found.smallest))
        if found.tolerance is None:
            lod = max(found.lod, 1e-30)
            return cls(_round_up(max(most, NOISES * lod)), (-lod, lod), False)
        wide = max(*map(abs, found.tolerance), 1e-30)
        return cls(_round_up(min(max(most, REACH[0] * wide), REACH[1] * wide)), found.tolerance, True)

    def colors(self, deviation: Float[Tensor, "n"]) -> Float[Tensor, "n 3"]:
        return deviation_colors(deviation, self.band, self.span, good=self.good)

    def levels(self, deviation: Float[Tensor, "n"]) -> UInt8[Tensor, "n"]:
        """0 where NaN, else 1 … 255 from −span to span."""
        share = (deviation.double() + self.span) / (2 * self.span)
        level = 1 + (share.nan_to_num(0.0) * BINS).floor().clamp(0, BINS - 1)
        return torch.where(deviation.isnan(), 0.0, level).to(torch.uint8)

    def middle(self, levels: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
        """The deviations that levels stand for."""
        middles = (levels - 0.5) / BINS * 2 * self.span - self.span
        return torch.where(levels < 1, torch.nan, middles)


@dataclass(frozen=True)
class Place:
    """A place on the scan, in its file's frame, and the deviation there."""

    position: tuple[float, float, float]
    value: float


def extremes(cloud: PointCloud, deviation: Float[Tensor, "n"], found: Inspection) -> list[Place]:
    """Where the largest and the smallest deviation of an inspection are: the nearest five points that reach them."""
    places = []
    for sign, value in ((1.0, found.largest), (-1.0, found.smallest)):
        least = sign * value - ALIKE * max(abs(found.largest), abs(found.smallest))
        reached = (sign * deviation >= least).nonzero()[:, 0]
        if len(reached):
            distance = knn(cloud.points[reached], cloud.points[reached], min(TOGETHER, len(reached)))[0]
            at = cloud.points[reached[distance[:, -1].argmin()]].double() + cloud.offset
            places.append(Place(_vector(at), value))
    return places


def section(detection: Detection, regions: Sequence[Region], places: Sequence[Place]) -> dict[str, Any] | None:
    """A cut through the worst place, straight up from the surface: the region of the largest deviation or, where there
    is none, the largest extreme. None where nothing was measured there.

    Returns:
        `window`, half the width, and `place` in the scan's unit; `factor`, by which deviations are drawn larger;
        `points`, rows of five: the nominal's place along and up, its normal along and up, in half-widths, and the
        deviation. The nominal is where deviations lead back to along the scan's own normals.
    """
    cloud, deviation = detection.cloud, detection.layers["deviation"].detach().cpu().float()
    told = [(abs(each.deviation.largest), each) for each in regions if each.deviation is not None]
    region = max(told, key=lambda one: one[0])[1] if told else _around(cloud, places)
    if region is None:
        return None
    low, high = cloud.points.amin(0), cloud.points.amax(0)
    size = float((high - low).max())
    window = min(max(WINDOW[0] * region.extent[0], WINDOW[1] * size), WINDOW[2] * size)
    own = torch.isin(cloud.valid_rows(), region.rows).nonzero()[:, 0]
    off = deviation[own].nan_to_num(0.0).abs()
    nearly = own[off >= NEARLY * off.max()]  # a plateau is cut through its middle, not its rim
    worst = nearly[(cloud.points[nearly] - cloud.points[own].mean(0)).norm(dim=1).argmin()]
    along, up = torch.tensor(region.axes[0]).float(), torch.tensor(region.normal).float()
    along = normalize(along - (along @ up) * up, dim=0)
    offsets = cloud.points - cloud.points[worst]
    thick = SLAB * point_spacing(cloud.points)
    inside = ((offsets @ torch.linalg.cross(along, up)).abs() <= thick) & (offsets.norm(dim=1) <= window)
    some = (inside & ~deviation.isnan()).nonzero()[:, 0]
    if len(some) < TOGETHER:
        return None
    some = some[:: max(1, len(some) // DRAWN)]
    normals = _normals_at(cloud, some, up)
    feet = offsets[some] - deviation[some][:, None] * normals
    plane = torch.stack([along, up], 1)
    rows = torch.cat([feet @ plane / window, normals @ plane, deviation[some][:, None]], 1)
    largest = float(deviation[some].abs().max())
    return {
        "window": window,
        "place": _vector(cloud.points[worst].double() + cloud.offset),
        "factor": _round_down(WHISKER * window / largest) if largest else 1.0,
        "points": [[float(f"{value:.4g}") for value in row] for row in rows[rows[:, 0].argsort()].tolist()],
    }


def _around(cloud: PointCloud, places: Sequence[Place]) -> Region | None:
    """What lies around the largest extreme, measured as a region is."""
    if not places:
        return None
    worst = max(places, key=lambda place: abs(place.value))
    at = (torch.tensor(worst.position, dtype=torch.float64) - cloud.offset).float()
    near = knn(cloud.points, at[None], min(30, len(cloud)))[1][0]
    marked = torch.zeros(len(cloud)).index_fill(0, near, 1.0)
    return next(iter(find_regions(cloud, marked, 0.5)), None)


def _normals_at(cloud: PointCloud, some: Int[Tensor, "k"], up: Float[Tensor, "3"]) -> Float[Tensor, "k 3"]:
    """Normals of some points, turned to the side of `up`."""
    near = knn(cloud.points, cloud.points[some], min(16, len(cloud)))[1].flatten().unique()
    normals = estimate_normals(cloud.points[near])[torch.searchsorted(near, some)]
    return torch.where((normals @ up)[:, None] < 0, -normals, normals)


def _round_up(value: float) -> float:
    """To two digits, upward."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / step - 1e-9) * step:.2g}")


def _round_down(value: float) -> float:
    """To one digit, downward; at least 1."""
    power = 10.0 ** math.floor(math.log10(max(value, 1.0)))
    return math.floor(max(value, 1.0) / power) * power


def _vector(values: Tensor) -> tuple[float, float, float]:
    x, y, z = values.tolist()
    return x, y, z
