"""How far a scan leaves the surface of normal scans of the same part, against what normal scans leave each other."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from pointadplus.cloud import PointCloud
from pointadplus.config import Config, from_table, within
from pointadplus.errors import ConfigError, WeightsError
from pointadplus.geometry.alignment import Reference
from pointadplus.geometry.neighbors import interpolate, knn
from pointadplus.geometry.normals import estimate_normals
from pointadplus.geometry.sampling import canonical_order
from pointadplus.geometry.spacing import point_spacing
from pointadplus.io.tensors import check_finite, read_safetensors, write_tensors
from pointadplus.results.detection import Detection
from pointadplus.results.detector import AnomalyDetector, FitProgress, normal_clouds, tracked
from pointadplus.zero_shot.fusion import top_mean
from pointadplus.zero_shot.observation import Stopwatch

if TYPE_CHECKING:
    from typing_extensions import Self

_FORMAT = "pointadplus.surface_deviation"
_GAP = 1.5  # spacings from the nearest point within which there is no gap, only the grain of the scan
_LACK = 2.0  # spacings of a scan from its nearest point within which nothing is missing
_PLACES = 32  # points of the normal surface whose usual deviations are averaged
_FLOOR = 0.5  # of the usual deviation of all places, added to each place's own
_CALM = 0.98  # quantile of normal scans' relative deviations that scores 0.5


@dataclass(frozen=True)
class DeviationConfig(Config):
    """How scans are compared.

    Attributes:
        points: of each scan that are looked at; a denser one is thinned at random.
        planes: nearest points of the normal surface whose tangent planes a point is measured from, by the median.
        averaged: points over which deviations are averaged, the point itself included.
        normal_neighbors: points that a normal is fitted to.
        missing: normal surface that a scan lacks counts at its rim: holes, and pieces broken off.
        partial: share of the normal surface from which on what is missing was not scanned, and does not count.
        top: share of the points whose mean is the object score.
        seed: of the thinning.

    Raises:
        ConfigError: an option out of range.
    """

    points: int = within("[100, 4194304]", 40_000)
    planes: int = within("[1, 256]", 16)
    averaged: int = within("[1, 1024]", 24)
    normal_neighbors: int = within("[4, 256]", 24)
    missing: bool = True
    partial: float = within("[0, 1]", 0.1)
    top: float = within("[1e-06, 1]", 0.01)
    seed: int = 0


class _Surface(NamedTuple):
    """Points, their unit normals of any sign, and their spacing."""

    points: Float[Tensor, "n 3"]
    normals: Float[Tensor, "n 3"]
    spacing: float

    @classmethod
    def of(cls, points: Tensor, normals: Tensor) -> _Surface:
        return cls(points, normals, point_spacing(points))


class SurfaceDeviation(AnomalyDetector):
    """Compares a scan with normal scans of the same part, place by place, as metrology compares nominal and actual.

    Each scan is aligned to the first normal one. A point deviates by the median distance from the tangent planes of the
    nearest normal points, or by the gap to the nearest of them if that is larger; deviations are averaged over
    neighbours and divided by what normal scans, one against the others, deviate at that place. Rims, threads and
    whatever else varies from part to part are given as much room as they take.

    It needs a part that is rigid and always the same; it sees nothing that is not a matter of shape.

    Example:
        >>> SurfaceDeviation().fit(["good1.ply", "good2.ply"]).score("scan.ply")  # doctest: +SKIP
    """

    few_shot = True
    Config = DeviationConfig

    def __init__(self, config: DeviationConfig | None = None) -> None:
        self.config = config or DeviationConfig()
        self._surface: _Surface | None = None
        self._usual: Tensor = torch.empty(0)  # (N,), at each point of the surface, in the unit of the scans
        self._scale = 1.0  # the relative deviation that scores 0.5
        self._reference: Reference | None = None
        self._first = 0  # points of the surface that are the first scan's

    def fit(self, normals: Iterable[Any], progress: FitProgress | None = None) -> Self:
        """Remember normal scans (anything that `score` takes); the first gives the pose.

        A single scan is compared with itself, one half of its points against the other.

        Raises:
            ConfigError: no scan given.
        """
        clouds = normal_clouds(normals, "SurfaceDeviation")
        first = self._thinned(clouds[0].points)
        self._reference, self._first = Reference(first), len(first)
        others = tracked(clouds[1:], "aligning", progress)
        scans = [first, *(self._posed(self._thinned(cloud.points)) for cloud in others)]
        facing = [estimate_normals(points, self.config.normal_neighbors) for points in scans]
        parts = list(zip(scans, facing, strict=True))
        self._surface = _Surface.of(torch.cat(scans), torch.cat(facing))
        if len(parts) == 1:
            parts = [(first[half::2], facing[0][half::2]) for half in (0, 1)]
        found = []
        for number, (points, _) in enumerate(tracked(parts, "comparing", progress)):
            apart = [part for other, part in enumerate(parts) if other != number]
            rest = _Surface.of(*(torch.cat(tensors) for tensors in zip(*apart, strict=True)))
            found.append(self._deviations(points, rest)[0])
        at = torch.cat([points for points, _ in parts])
        deviations = torch.cat(found)
        usual = deviations[knn(at, self._surface.points, _PLACES)[1]].mean(1)
        self._usual = usual + _FLOOR * usual.median().clamp_min(1e-30)
        relative = deviations / self._usual[knn(self._surface.points, at, 1)[1][:, 0]]
        self._scale = float(relative.kthvalue(math.ceil(_CALM * len(relative))).values)
        return self

    def score_cloud(self, cloud: PointCloud) -> Detection:
        """Score one cloud; `layers` holds `deviation`, the averaged deviation in the cloud's own unit.

        Raises:
            ConfigError: not fitted yet.
        """
        surface = self._fitted("score")
        watch = Stopwatch()
        with watch.stage("align"):
            points = self._thinned(cloud.points)
            posed = self._posed(points)
        with watch.stage("compare"):
            deviations, nearest = self._deviations(posed, surface)
            relative = deviations / self._usual[nearest]
            scores = relative / (relative + self._scale)
        with watch.stage("to points"):
            both = interpolate(torch.stack([scores, deviations], 1), points, cloud.points)
        total = float(top_mean(scores, self.config.top).clamp(0, 1))
        point_scores, deviation = both[:, 0].clamp(0, 1), both[:, 1]
        return Detection(total, cloud.to_rows(point_scores), cloud, {"deviation": deviation}, dict(watch.seconds))

    def _thinned(self, points: Tensor) -> Tensor:
        return points[canonical_order(points, self.config.seed)[: self.config.points]]

    def _posed(self, points: Tensor) -> Tensor:
        assert self._reference is not None
        return self._reference.align(points).apply(points)

    def _deviations(self, points: Tensor, surface: _Surface) -> tuple[Float[Tensor, "n"], Tensor]:
        """(N,) averaged deviations from a surface, and the nearest of its points."""
        distance, index = knn(surface.points, points, self.config.planes)
        heights = ((points[:, None] - surface.points[index]) * surface.normals[index]).sum(2).abs()
        gap = (distance[:, 0] - _GAP * surface.spacing).clamp_min(0)
        own = torch.maximum(heights.median(1).values, gap)
        if self.config.missing:
            own = torch.maximum(own, _missing(points, surface, self.config.partial))
        return own[knn(points, points, self.config.averaged)[1]].mean(1), index[:, 0]

    def _fitted(self, what: str) -> _Surface:
        if self._surface is None:
            raise ConfigError(
                "no part was learnt", where=f"SurfaceDeviation.{what}", hint="call fit with normal scans first"
            )
        return self._surface

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the normal surface as safetensors.

        Raises:
            ConfigError: not fitted yet.
        """
        surface = self._fitted("save")
        tensors = {"points": surface.points, "normals": surface.normals, "usual": self._usual}
        header = {
            "config": asdict(self.config), "scale": self._scale, "spacing": surface.spacing,
            "reference": self._first,
        }  # fmt: skip
        write_tensors(Path(path), tensors, {_FORMAT: json.dumps(header)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises:
            WeightsError: not such a file.
        """
        state, metadata = read_safetensors(Path(path))
        if _FORMAT not in metadata or not {"points", "normals", "usual"} <= state.keys():
            raise WeightsError("not a surface to compare with", where=path, expected=_FORMAT, found=sorted(metadata))
        check_finite(state, Path(path))
        header = json.loads(metadata[_FORMAT])
        detector = cls(from_table(DeviationConfig, header["config"]))
        detector._surface = _Surface(state["points"], state["normals"], header["spacing"])
        detector._usual, detector._scale = state["usual"], header["scale"]
        detector._first = header["reference"]
        detector._reference = Reference(state["points"][: header["reference"]])
        return detector


def _missing(points: Tensor, surface: _Surface, partial: float) -> Float[Tensor, "n"]:
    """How far normal surface that a scan lacks reaches from the scan's points that are nearest to it. (N,)."""
    distance, index = knn(points, surface.points, 1)
    lack = (distance[:, 0] - _LACK * point_spacing(points)).clamp_min(0)
    if float((lack > 0).float().mean()) > partial:
        return torch.zeros(len(points))
    return torch.zeros(len(points)).scatter_reduce(0, index[:, 0], lack, "amax")
