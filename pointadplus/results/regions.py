"""From coloured points to countable defects: the anomalous regions of a scored cloud, measured in the file's unit."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from ..cloud import PointCloud
from ..config import check_range
from ..errors import ConfigError
from ..geometry.components import connected_parts
from ..geometry.descriptors import seen_from
from ..geometry.neighbors import knn
from ..geometry.sampling import canonical_order
from ..geometry.surface_fit import fit_surface
from ..text import rounded
from .region_shape import LOCAL, Vector, common_axis, outward, signed_depth, smallest_box, surroundings

THRESHOLD = 0.5  # where a method finds "anomalous" as likely as "normal"; calibration knows better
MIN_POINTS = 5  # fewer are a speck: they span no surface

# Ours, as in `region_shape`.
AREA_NEIGHBORS = 20  # whose discs are averaged into the area of a point
AGREEING, COHERENT = 0.5, 0.6  # least |cosine| of a ring point's normal, and least share of the ring's first axis


@dataclass(frozen=True)
class RegionDeviation:
    """How far a region lies off a nominal; lengths in the file's unit, volumes in its cube.

    Attributes:
        largest: signed deviation of the point that is farthest off, + where there is too much.
        mean: of its points.
        excess, lack: volume of what is too much and of what is missing, each at least 0: Σ of area × deviation.
        position: the region's, in the frame and unit of the nominal.
    """

    largest: float
    mean: float
    excess: float
    lack: float
    position: tuple[float, float, float]


@dataclass(frozen=True, eq=False, repr=False)
class Region:
    """One connected anomalous area. Lengths are in the file's unit, areas in its square; positions in its frame.

    Attributes:
        number: 1, 2, … by falling peak score.
        rows: (K,) int64, the region's rows in the caller's source, ascending.
        points: K.
        area: Σ of what its points stand for on the surface; see `point_areas`.
        extent: length ≥ width of the smallest rectangle around the region in the plane of its surroundings, and height
            across that plane.
        axes: three unit vectors: along length, along width, and up, which is out of the surface.
        position: mean of the points.
        normal: unit vector, mean of the points' normals, out of the surface.
        peak_score, mean_score: of the points, in [0, 1].
        peak_position: the point of the peak score.
        depth: how far the region leaves the surface around it, above (+) or below (−): see `find_regions`. None where
            there is no such surface.
        sided: whether it is known which side is out. If not, `depth` has no sign, and `normal` and "up" may point in.
        surface_rms: root mean square deviation of the surrounding points from that surface: depths of less than about
            three of it are noise. None where `depth` is.
        word: the nearest of the words that were asked for, or None.
        word_share: softmax share of that word among them, in [0, 1], or None.
        deviation: from a nominal; None where the scan was compared with none.
    """

    number: int
    rows: Int[Tensor, "k"]
    area: float
    extent: Vector
    axes: tuple[Vector, Vector, Vector]
    position: Vector
    normal: Vector
    peak_score: float
    mean_score: float
    peak_position: Vector
    depth: float | None
    surface_rms: float | None
    sided: bool = True
    word: str | None = None
    word_share: float | None = None
    deviation: RegionDeviation | None = None

    @property
    def points(self) -> int:
        """K, the number of points."""
        return len(self.rows)

    def __repr__(self) -> str:
        """One line: its number, size, depth, peak score and word; no tensors."""
        parts = [f"{self.points:,} point{'s' * (self.points != 1)}", f"area {rounded(self.area)}"]
        sign = "" if self.sided else "±"
        parts += [] if self.depth is None else [f"depth {sign}{rounded(self.depth)}"]
        parts += [f"peak {float(self.peak_score):.2f}", *([] if self.word is None else [self.word])]
        return f"Region({self.number}: {', '.join(parts)})"

    def as_record(self) -> dict[str, Any]:
        """Plain values under the names above, in their order; `rows`, which may be many, are left out, and so is
        `deviation` where there is none."""
        values = {"number": self.number, "points": self.points}
        names = [name for name in self.__dataclass_fields__ if name not in ("number", "rows", "deviation")]
        off = {} if self.deviation is None else {"deviation": asdict(self.deviation)}
        return values | {name: getattr(self, name) for name in names} | off

    def to_json(self) -> str:
        """`as_record` as one line of JSON."""
        return json.dumps(self.as_record(), allow_nan=False)


def find_regions(
    cloud: PointCloud,
    scores: Float[Tensor, "n"],
    threshold: float,
    *,
    min_points: int = MIN_POINTS,
    deviation: Float[Tensor, "n"] | None = None,
    on_nominal: Callable[[Sequence[float]], tuple[float, float, float]] | None = None,
) -> tuple[Region, ...]:
    """The connected parts of the points that score `threshold` or more, the highest peak first.

    Points are joined on the graph of each point's 12 nearest neighbours. A region's depth comes from its ring: the
    points below the threshold that are reached from it over the surface in more than 1.5 spacings and less than 6.5, or
    for larger regions in more than 0.25 of the region's radius and less than 1.25, outside the region's rectangle, with
    normals within 60° of the ring's mean. Two faces of a wall are told apart from about two spacings on. A quadric, or
    a plane where the ring is thin or one-sided, is fitted to the ring (`fit_surface`), and `depth` is the mean
    deviation from it of the 2 % of the region's points (three at least) that leave it farthest, to whichever side is
    farther. It is None where the ring has under 6 points or no common direction.

    "Out of the surface" is where the cloud's own normals point; else toward the eyes of the scans that the region's
    points are of (`PointCloud.eyes`), or in an organised scan toward the camera if its place is known
    (`PointCloud.eye`); else, where only what faces one way was scanned, the side that is seen
    (`descriptors.seen_from`); else the side with more room: nothing, or a farther surface, in a cone of 20° about the
    normal; on a single sheet, away from the bulk of the cloud. On a flat one nothing tells: the depth is told without a
    sign.

    Args:
        cloud: N points.
        scores: (N,) in [0, 1], one a point of the cloud.
        threshold: at least 0; above 1 there is no region.
        min_points: smaller parts are left out; at least 1.
        deviation: (N,) signed distances from a nominal, NaN where there is none, that regions are to tell; or None.
        on_nominal: with deviations, what a position is in the nominal's frame.

    Raises:
        ConfigError: the scores do not fit the cloud, or an option is out of range.
    """
    if len(scores) != len(cloud):
        raise ConfigError("scores do not fit the cloud", where="scores", expected=(len(cloud),), found=len(scores))
    check_range(threshold, "[0, ∞)", "threshold")
    check_range(min_points, "[1, ∞)", "min_points")
    scores = scores.detach().cpu().float()
    chosen = scores >= threshold
    parts = connected_parts(cloud.points, chosen)
    grouped = parts.argsort(stable=True).split(torch.bincount(parts).tolist())
    members = [own for own in grouped[1:] if len(own) >= min_points]
    members.sort(key=lambda own: (-float(scores[own].max()), -len(own), int(own[0])))
    if not members:
        return ()
    areas = point_areas(cloud.points, torch.cat(members)).split([len(own) for own in members])
    sketch = canonical_order(cloud.points)[:LOCAL]
    view = seen_from(cloud.points[sketch], cloud.eye)
    found = []
    for number, (own, area) in enumerate(zip(members, areas, strict=True), 1):
        region = _measure(cloud, scores, chosen, own, float(area.sum()), sketch, view, number)
        if deviation is not None and on_nominal is not None:
            off = _off(deviation[own].double(), area, on_nominal(region.position))
            region = replace(region, deviation=off)
        found.append(region)
    return tuple(found)


def region_numbers(regions: Iterable[Region], cloud: PointCloud) -> Int[Tensor, "n"]:
    """(N,) int64: the number of the region that each point of the cloud belongs to, 0 for none."""
    numbers = torch.zeros(cloud.source_size, dtype=torch.int64)
    for region in regions:
        numbers[region.rows] = region.number
    return numbers[cloud.valid_rows()]


def point_areas(points: Float[Tensor, "n 3"], own: Int[Tensor, "k"]) -> Float[Tensor, "k"]:
    """The area of surface that each of the points `own` stands for: (K,) float64 in squared units of the points.

    π Σ d_j² / Σ j over the 20 nearest neighbours, d_j the distance of the j-th: in a random sample of density ρ the
    expectation of π d_j² is j/ρ. Averaging over j evens out the steps of regular grids: it is 1.02 times the truth on a
    square one, 1.07 on a hexagonal one. Too large at an open edge, by up to two; too small where two surfaces are
    nearer to each other than about 2.5 spacings.
    """
    neighbors = min(AREA_NEIGHBORS, len(points) - 1)
    distance = knn(points, points[own], neighbors + 1)[0][:, 1:].double()
    return math.pi * distance.square().sum(1) / max(1, neighbors * (neighbors + 1) // 2)


def _off(
    deviation: Float[Tensor, "k"], area: Float[Tensor, "k"], position: tuple[float, float, float]
) -> RegionDeviation | None:
    """What the deviations of a region's points amount to; None where none was measured."""
    known = ~deviation.isnan()
    if not known.any():
        return None
    deviation, area = deviation[known], area[known]
    largest = float(deviation[deviation.abs().argmax()])
    excess, lack = (float((area * part.clamp_min(0)).sum()) for part in (deviation, -deviation))
    return RegionDeviation(largest, float(deviation.mean()), excess, lack, position)


def _measure(
    cloud: PointCloud,
    scores: Tensor,
    chosen: Tensor,
    own: Tensor,
    area: float,
    sketch: Tensor,
    view: tuple[Tensor, float],
    number: int,
) -> Region:
    near = surroundings(cloud, chosen, own, area)
    up, coherence = common_axis(near.normals[near.ring] if int(near.ring.sum()) >= 6 else near.normals[near.own])
    side = outward(cloud, near, up, sketch, view, math.sqrt(area / len(own)))
    up = up * (side or 1.0)
    offsets = cloud.points[own].double() - near.origin
    axes, extent, middle = smallest_box(offsets, up)

    along = (near.offsets - middle) @ axes.T
    outside = (along[:, :2].abs() > torch.tensor(extent[:2]) / 2).any(1)
    ring = near.ring & outside & ((near.normals @ up).abs() >= AGREEING)
    fit = fit_surface(near.offsets[ring].float(), middle, axes) if coherence >= COHERENT else None

    normals = near.normals[near.own]
    facing = normalize((normals * torch.where(normals @ up < 0, -1.0, 1.0)[:, None]).sum(0), dim=0)
    peak = own[scores[own].argmax()]
    depth = None if fit is None else signed_depth(fit, offsets)
    return Region(
        number=number,
        rows=cloud.valid_rows()[own].sort().values,
        area=area,
        extent=extent,
        axes=(_vector(axes[0]), _vector(axes[1]), _vector(axes[2])),
        position=_vector(offsets.mean(0) + near.origin + cloud.offset),
        normal=_vector(facing),
        peak_score=float(scores[own].max()),
        mean_score=float(scores[own].double().mean().clamp(max=1.0)),
        peak_position=_vector(cloud.points[peak].double() + cloud.offset),
        depth=abs(depth) if depth is not None and side == 0 else depth,
        surface_rms=None if fit is None else fit.rms,
        sided=side != 0,
    )


def _vector(values: Tensor) -> Vector:
    x, y, z = values.tolist()
    return x, y, z
