"""How far a scan leaves the surface of normal scans of a part, against what these leave each other; or a nominal."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from pointadplus.cloud import PointCloud
from pointadplus.config import Config, from_table, within
from pointadplus.errors import ConfigError, WeightsError
from pointadplus.geometry.alignment import Reference
from pointadplus.geometry.neighbors import Neighbors, interpolate
from pointadplus.geometry.normals import estimate_normals
from pointadplus.geometry.sampling import canonical_order
from pointadplus.io.tensors import check_finite, read_safetensors, write_tensors
from pointadplus.results.detection import Detection
from pointadplus.results.detector import AnomalyDetector, FitProgress, normal_clouds, tracked
from pointadplus.zero_shot.fusion import top_mean
from pointadplus.zero_shot.observation import Stopwatch

from . import nominal as against
from .gate import PartSize, coverage, judge
from .normal_surface import NormalScans, NormalSurface, averaged, missing

if TYPE_CHECKING:
    from typing_extensions import Self

_FORMAT = "pointadplus.surface_deviation"
_NEEDED = {"points", "normals", "usual", "rim", "certain", "offset"}
# All ours.
_GAP = 1.5  # spacings from the nearest point within which there is no gap, only the grain of the scan
_PLACES = 32  # points of the normal surface whose usual deviations are averaged
_FLOOR = 0.5  # of the usual deviation of all places, added to each place's own
_FINE, _WHOLE = 0.1, 0.7  # of the share of `top` for dense scans, and how much of the part these show then
_CALM = 0.98  # quantile of normal scans' relative deviations that scores 0.5


@dataclass(frozen=True)
class DeviationConfig(Config):
    """How scans are compared.

    Attributes:
        points: of each scan that are looked at; a denser one is thinned at random.
        surface: those of a normal scan that make the surface.
        planes: nearest points of the normal surface whose tangent planes a point is measured from, by the median.
        averaged: points over which deviations are averaged, the point itself included; what stands alone, as pixels
            do that mix two depths, counts less. Of more points than `surface` the averages are averaged again, too, and
            the geometric mean of both is taken.
        normal_neighbors: points that a normal is fitted to.
        missing: surface of all normal scans that a scan lacks counts at its rim: holes, and pieces broken off.
        partial: share of that surface from which on a scan is of one side, and only what faced its eyes can be missing;
            and share of this from which on nothing counts as missing.
        top: share of the points whose mean is the object score; a tenth of it where there are more than `surface`, and
            they show most of the part: the border of a scan of one side has more strays than fine defects have points.
        seed: of the thinning.

    Raises:
        ConfigError: an option out of range.
    """

    points: int = within("[100, 4194304]", 100_000)
    surface: int = within("[100, 4194304]", 40_000)
    planes: int = within("[1, 256]", 16)
    averaged: int = within("[1, 1024]", 24)
    normal_neighbors: int = within("[4, 256]", 24)
    missing: bool = True
    partial: float = within("[0, 1]", 0.1)
    top: float = within("[1e-06, 1]", 0.01)
    seed: int = 0


class SurfaceDeviation(AnomalyDetector):
    """Compares a scan with normal scans of the same part, place by place, as metrology compares nominal and actual.

    Each scan is aligned to the first normal one. A point deviates by the median distance from the tangent planes of the
    nearest normal points, or by the gap to the nearest of them if that is larger and the surface does not end there;
    deviations are averaged over neighbours and divided by what normal scans, one against the others, deviate at that
    place. Rims, threads and whatever else varies from part to part are given as much room as they take.

    It needs a part that is rigid and always the same; it sees nothing that is not a matter of shape.

    With a nominal, triangles of CAD, deviations are from these, signed and not averaged: see `fit`.

    Example:
        >>> SurfaceDeviation().fit(["good1.ply", "good2.ply"]).score("scan.ply")  # doctest: +SKIP
        >>> SurfaceDeviation().fit(nominal="part.step", tolerance=0.2).score("scan.ply").inspection  # doctest: +SKIP
    """

    few_shot = True
    Config = DeviationConfig

    def __init__(self, config: DeviationConfig | None = None) -> None:
        self.config = config or DeviationConfig()
        self._surface: NormalSurface | None = None
        self._usual: Tensor = torch.empty(0)  # (N,), at each point of the surface, in the unit of the scans
        self._scale = 1.0  # the relative deviation that scores 0.5
        self._reference: Reference | None = None
        self._first = 0  # points of the surface that are the first scan's
        self._offset = torch.zeros(3, dtype=torch.float64)  # that they are about
        self._size = PartSize()
        self._nominal: against.NominalComparison | None = None

    @property
    def inspects(self) -> bool:
        """Whether it was fitted to a nominal."""
        return self._nominal is not None

    def fit(
        self,
        normals: Iterable[Any] = (),
        progress: FitProgress | None = None,
        *,
        nominal: Any = None,
        align: Any = "best-fit",
        on: Any = None,
        tolerance: Any = None,
        thickness: bool = False,
    ) -> Self:
        """Remember normal scans (anything that `score` takes); the first gives the pose.

        A single scan is compared with itself, one half of its points against the other.

        With a nominal, scans are compared with it, and normal scans, if there are any, tell what the process usually
        leaves at each place. Needs the extra `nominal`.

        Args:
            normals: normal scans; none are needed beside a nominal.
            progress: see `FitProgress`.
            nominal: a file of triangles, STEP or IGES (see `read_mesh`), a `TriangleMesh`, or a mesh of Open3D or
                trimesh; None compares with the normal scans.
            align: `"best-fit"` lays a scan where it fits best, `"none"` leaves it where it is, and pairs of points,
                ((x, y, z) of the nominal, (x, y, z) of the scan), three at least, lay those onto each other.
            on: part of the nominal that the best fit is of: two opposite corners of a box, or three and more points of
                its surface, to twice their spacing; None is all of it.
            tolerance: lowest and highest deviation that is good, or one number for both, in the nominal's unit.
            thickness: whether walls are measured, too: see `nominal.thickness.walls`.

        Raises:
            ConfigError: no scan given and no nominal; an `align`, `on` or `tolerance` that is none; or a nominal for a
                detector that scores bodies alone.
            CloudError: a scan of another size than the first, or a nominal that cannot be read.
        """
        if nominal is not None:
            self.preparation.check_nominal()
            found = against.comparison(nominal, align, on, tolerance, thickness=thickness)
            return self._fit_nominal(normals, progress, found)
        self._nominal = None
        clouds = normal_clouds(normals, "SurfaceDeviation", self.preparation)
        self._offset, self._size = clouds[0].offset, PartSize.of(clouds[0])
        clouds = [self._size.seen(cloud, "SurfaceDeviation") for cloud in clouds]
        first = self._thinned(clouds[0])
        self._first = min(len(first), self.config.surface)
        self._reference = Reference(first[: self._first])
        others = tracked(clouds[1:], "aligning", progress)
        scans = [first, *(self._posed(self._thinned(cloud)) for cloud in others)]
        looked = [points[: self.config.surface] for points in scans]
        parts = [(points, estimate_normals(points, self.config.normal_neighbors)) for points in looked]
        known = NormalScans(parts)
        self._surface = known.surface()
        if len(scans) == 1:
            scans, (points, facing) = [first[half::2] for half in (0, 1)], parts[0]
            parts = [(points[half::2], facing[half::2]) for half in (0, 1)]
            known = NormalScans(parts)
        found = [
            self._deviations(Neighbors(points), known.surface(without=number))[0]
            for number, points in enumerate(tracked(scans, "comparing", progress))
        ]
        some = torch.cat([each[: len(points)] for each, (points, _) in zip(found, parts, strict=True)])
        at = Neighbors(torch.cat([points for points, _ in parts]))
        usual = some[at.nearest(self._surface.points, _PLACES)[1]].mean(1)
        self._usual = usual + _FLOOR * usual.median().clamp_min(1e-30)
        relative = torch.cat(found) / self._usual[self._surface.index.nearest(torch.cat(scans), 1)[1][:, 0]]
        self._scale = float(relative.kthvalue(math.ceil(_CALM * len(relative))).values)
        return self

    def _fit_nominal(
        self, normals: Iterable[Any], progress: FitProgress | None, found: against.NominalComparison
    ) -> Self:
        scans = list(normals)
        if scans:
            clouds = normal_clouds(scans, "SurfaceDeviation", self.preparation)
            found = replace(found, usual=found.learnt(tracked(clouds, "comparing", progress)))
        self._nominal, self._surface = found, None
        return self

    def score_cloud(self, cloud: PointCloud) -> Detection:
        """Score one cloud; `layers` holds `deviation`, the averaged deviation in the cloud's own unit.

        Against a nominal it is signed, + where there is too much, not averaged, and NaN where nothing can be measured;
        `lod` beside it is what 95 % of the points stay under by noise and alignment alone, `usual` what normal scans
        leave there, `thickness` that of the wall, if asked for. `Detection.inspection` has the rest.

        Raises:
            ConfigError: not fitted yet.
            CloudError: a scan of another size than the part.
        """
        if self._nominal is not None:
            return self._nominal.compare(cloud, ground_removed=self.preparation.ground == "remove")
        surface = self._fitted("score")
        watch = Stopwatch()
        with watch.stage("align"):
            points = self._size.seen(cloud, "SurfaceDeviation").about(self._offset)
            order = canonical_order(points, self.config.seed)
            posed = self._posed(points[order])
            looked = Neighbors(posed[: self.config.points])
        with watch.stage("compare"):
            deviations, nearest = self._deviations(looked, surface)
            relative = deviations / self._usual[nearest]
            scores = relative / (relative + self._scale)
        with watch.stage("to points"):
            both = torch.stack([scores, deviations], 1)
            if len(both) < len(posed):
                both = torch.cat([both, interpolate(both, looked, posed[len(both) :])])
            both = both[order.argsort()]
            point_scores, deviation = both[:, 0].clamp(0, 1), both[:, 1] * self._size.per(cloud)
        shown = coverage(looked.points, surface.points[surface.certain])
        fine = len(looked.points) > self.config.surface and shown > _WHOLE
        total = float(top_mean(scores, self.config.top * (_FINE if fine else 1.0)).clamp(0, 1))
        notes, measurable = judge(cloud, shown)
        return Detection(
            total, cloud.to_rows(point_scores), cloud, {"deviation": deviation}, dict(watch.seconds),
            notes=notes, measurable=measurable,
        )  # fmt: skip

    def _thinned(self, cloud: PointCloud) -> Tensor:
        points = cloud.about(self._offset)
        return points[canonical_order(points, self.config.seed)[: self.config.points]]

    def _posed(self, points: Tensor) -> Tensor:
        assert self._reference is not None
        return self._reference.align(points[: self.config.points]).apply(points)

    def _deviations(self, scan: Neighbors, surface: NormalSurface) -> tuple[Float[Tensor, "n"], Tensor]:
        """(N,) averaged deviations from a surface, and the nearest of its points."""
        distance, index = surface.index.nearest(scan.points, self.config.planes)
        heights = ((scan.points[:, None] - surface.points[index]) * surface.normals[index]).sum(2).abs()
        gap = (distance[:, 0] - _GAP * surface.spacing).clamp_min(0)
        own = torch.maximum(heights.median(1).values, torch.where(surface.rim[index].any(1), 0.0, gap))
        if self.config.missing:
            own = torch.maximum(own, missing(scan, surface, self.config.partial))
        return averaged(own, scan, self.config.averaged, again=len(own) > self.config.surface), index[:, 0]

    def _fitted(self, what: str) -> NormalSurface:
        if self._surface is None:
            where = f"SurfaceDeviation.{what}"
            raise ConfigError("no part was learnt", where=where, hint="call fit with normal scans first")
        return self._surface

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the normal surface, or the nominal, as safetensors.

        Raises:
            ConfigError: not fitted yet.
        """
        if self._nominal is not None:
            tensors, told = against.stored(self._nominal)
            header = {"nominal": told}
        else:
            surface = self._fitted("save")
            tensors = {
                "points": surface.points, "normals": surface.normals, "usual": self._usual, "offset": self._offset,
                "rim": surface.rim.to(torch.uint8), "certain": surface.certain.to(torch.uint8),
            }  # fmt: skip
            told = {"scale": self._scale, "spacing": surface.spacing, "reference": self._first}
            header = {**told, **asdict(self._size)}
        write_tensors(Path(path), tensors, {_FORMAT: json.dumps({"config": asdict(self.config), **header})})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises:
            WeightsError: not such a file.
        """
        state, metadata = read_safetensors(Path(path))
        header = json.loads(metadata.get(_FORMAT, "{}"))
        needed = against.NEEDED if "nominal" in header else _NEEDED
        if not header or not needed <= state.keys():
            raise WeightsError("not a surface to compare with", where=path, expected=_FORMAT, found=sorted(metadata))
        check_finite(state, Path(path))
        detector = cls(from_table(DeviationConfig, header["config"]))
        if "nominal" in header:
            detector._nominal = against.restored(state, header["nominal"])
            return detector
        known = state["points"], state["normals"], header["spacing"], state["rim"].bool(), state["certain"].bool()
        detector._surface = NormalSurface(*known)
        detector._usual, detector._scale = state["usual"], header["scale"]
        detector._first, detector._offset = header["reference"], state["offset"]
        detector._size = PartSize(header["size"], header.get("unit"))
        detector._reference = Reference(state["points"][: header["reference"]])
        return detector
