"""Deviations as a report shows them: their colours and bins, the worst places, and the section through one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ..cloud import PointCloud
from ..geometry.neighbors import knn
from ..results.detection import Detection
from ..results.inspection import Inspection
from ..results.palette import deviation_colors

BINS = 255  # of the deviations; level 0 is for what was not measured
# All ours.
REACH = (1.5, 4.0)  # least and most that the colours span, in the wider half of the tolerance
NOISES = 3.0  # the same without a tolerance, in levels of detection, at least
TOGETHER = 5  # neighbouring points that make an extreme, as those of an `Inspection`
ALIKE = 1e-5  # share of the largest by which rounding may part equal deviations
WHISKER = 0.35  # length of a section's longest whisker, in half-widths


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


def section(detection: Detection) -> dict[str, Any] | None:
    """A detection's `Section` in plain values, its place in the nominal's frame, with the `factor` by which deviations
    are drawn larger; None where there is none."""
    cut, inspection = detection.section, detection.inspection
    if cut is None or inspection is None:
        return None
    largest = float(cut.points[:, 4].abs().max())
    return {
        "window": cut.window,
        "place": inspection.on_nominal(cut.place),
        "factor": _round_down(WHISKER * cut.window / largest) if largest else 1.0,
        "nominal": _short(cut.nominal),
        "points": _short(cut.points),
    }


def _short(rows: Tensor) -> list[list[float]]:
    """To four digits."""
    return [[float(f"{value:.4g}") for value in row] for row in rows.tolist()]


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
