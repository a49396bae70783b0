"""`NominalComparison`: one nominal, how scans are laid on it, what is allowed, and what the process usually leaves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pointadplus.cloud import PointCloud
from pointadplus.errors import ConfigError
from pointadplus.geometry.alignment import Reference
from pointadplus.geometry.neighbors import knn
from pointadplus.geometry.registration import Transform
from pointadplus.geometry.sampling import fixed_sample
from pointadplus.geometry.spacing import point_spacing
from pointadplus.results.detection import Detection
from pointadplus.results.section import Section
from pointadplus.zero_shot.observation import Stopwatch

from ..gate import judge
from .align import BEST_FIT, JUDGED, NONE, POINTS, SAMPLE, Alignment, Pairs, best_fit, by_points, lying
from .deviation import Measured, facing, measure
from .judging import Findings, inspect
from .mesh import NominalMesh
from .places import Places
from .section import section
from .thickness import Walls, walls
from .units import Scale, reconcile

REACH = 0.1  # ours: share of the nominal's size beyond which a point is none of the part
FINEST = 1e-5  # ours: share of the size under which a spacing is none: points that coincide
SKETCH = 40_000  # ours: points that tell the spacing, the pose and a table
LEARNT = 200_000  # ours: points of a normal scan that are learnt from


class Usual(NamedTuple):
    """What normal scans leave at each of K places of the nominal: (K,) mean and standard deviation, its unit."""

    mean: np.ndarray
    spread: np.ndarray


class Laid(NamedTuple):
    """A scan on the nominal: where its points lie, (N, 3) float32 about its `center`, rows of some of them that look
    random, their spacing, how they came there, and in what unit."""

    points: np.ndarray
    some: np.ndarray
    spacing: float
    alignment: Alignment
    scale: Scale

    @property
    def pose(self) -> tuple[float, ...]:
        """As `Inspection.pose` has it."""
        motion = self.alignment.motion
        rows = torch.cat([motion.rotation * self.scale.factor, motion.translation[:, None]], 1)
        return tuple(rows.flatten().tolist())


@dataclass(frozen=True)
class NominalComparison:
    """Compares scans with a nominal.

    Attributes:
        mesh: the nominal.
        align: `"best-fit"`, `"none"` or `Pairs`.
        on: part of the nominal that is fitted to, see `align.read_on`; None is all of it.
        tolerance: lowest and highest good deviation, in the nominal's unit, or None.
        usual: what normal scans leave, or None.
        thickness: whether walls are measured, too.
    """

    mesh: NominalMesh
    align: str | Pairs = "best-fit"
    on: np.ndarray | None = None
    tolerance: tuple[float, float] | None = None
    usual: Usual | None = field(default=None, repr=False)
    thickness: bool = False

    @cached_property
    def places(self) -> Places:
        return Places.of(self.mesh)

    @cached_property
    def _reference(self) -> Reference:
        return Reference(torch.from_numpy(self.mesh.sample(JUDGED)[0]).float())

    @cached_property
    def _ways(self) -> np.ndarray:
        return facing(self.mesh)

    @cached_property
    def _bulges(self) -> np.ndarray:
        return self.mesh.tessellation()

    def compare(self, cloud: PointCloud, *, ground_removed: bool = False) -> Detection:
        """The deviations of a scan, and what they amount to; see `SurfaceDeviation.score_cloud`."""
        told, enough = judge(cloud)
        if not enough or not (cloud.points != cloud.points[0]).any():
            return _unmeasured(cloud, told or ("all points coincide",), {})
        watch = Stopwatch()
        with watch.stage("align"):
            laid = self.lay(cloud)
        if not laid.scale.fits:
            return _unmeasured(cloud, laid.scale.notes, watch.seconds)
        with watch.stage("compare"):
            measured = self.measure(laid)
        with watch.stage("judge"):
            usual = self._usual_at(laid.points)
            thick = walls(self.mesh, laid.points, measured) if self.thickness else None
            findings = inspect(self, cloud, laid, measured, usual, thick, ground_removed=ground_removed)
            cut = section(self.mesh, cloud, laid, measured, findings.scores)
        return _detection(cloud, laid.scale, findings, cut, thick, dict(watch.seconds))

    def learnt(self, clouds: Iterable[PointCloud]) -> Usual:
        """Mean and spread of the deviations of normal scans at each place.

        A place that fewer than two of them show has the median spread of the others.

        Raises:
            ConfigError: a scan that does not fit the nominal.
        """
        found = np.array([self._at_places(cloud) for cloud in clouds])
        known = ~np.isnan(found)
        count = known.sum(0)
        filled = np.where(known, found, 0)
        mean = filled.sum(0) / np.maximum(count, 1)
        square = (np.where(known, found - mean, 0) ** 2).sum(0)
        often = count > 1
        # One pooled estimate counts as much as two scans: few scans tell little of a spread.
        pooled = float(square[often].sum() / (count[often] - 1).sum()) if often.any() else float((mean**2).mean())
        spread = np.sqrt((square + 2 * pooled) / (np.maximum(count - 1, 0) + 2))
        return Usual(mean.astype(np.float32), spread.astype(np.float32))

    def lay(self, cloud: PointCloud) -> Laid:
        """A scan in the nominal's frame and unit."""
        mesh = self.mesh
        scale = reconcile(cloud.normalization().scale, cloud.unit, mesh.size, mesh.unit)
        some = fixed_sample(cloud.points, SKETCH)
        sketch = cloud.points[some]
        spacing = point_spacing(sketch) * (len(some) / len(cloud)) ** 0.5 * scale.factor
        spacing = max(spacing, FINEST * mesh.size)
        offset = cloud.offset.numpy()
        sample = (sketch[fixed_sample(sketch, SAMPLE)].double().numpy() + offset) * scale.factor
        alignment = self._aligned(sample, scale)
        turn = alignment.motion.rotation.numpy()
        shift = turn @ (offset * scale.factor) + alignment.motion.translation.numpy() - mesh.center
        points = (cloud.points.double().numpy() @ (turn.T * scale.factor) + shift).astype(np.float32)
        return Laid(points, some.numpy(), spacing, alignment, scale)

    def measure(self, laid: Laid) -> Measured:
        """The deviations of a scan that lies on the nominal."""
        return measure(self.mesh, laid.points, laid.spacing, REACH * self.mesh.size, self._bulges, self._ways)

    def _aligned(self, sample: np.ndarray, scale: Scale) -> Alignment:
        if not scale.fits:
            return Alignment(Transform.identity(), None, 0.0, 0.0)
        if self.align == "best-fit":
            return best_fit(self.mesh, lambda: self._reference, sample, self.on)
        motion, residual = Transform.identity(), None
        if isinstance(self.align, Pairs):
            motion, residual = by_points(self.align, scale.factor)
        moved = motion.apply(torch.from_numpy(sample)).numpy() - self.mesh.center
        distance = self.mesh.closest(moved.astype(np.float32)).distance
        lies = float(lying(distance, self.mesh.size).mean())
        return Alignment(motion, residual, lies, lies)

    @property
    def kind(self) -> Literal["best fit", "none", "reference points"]:
        """How scans are aligned, as an `Inspection` has it."""
        return POINTS if isinstance(self.align, Pairs) else NONE if self.align == "none" else BEST_FIT

    def _at_places(self, cloud: PointCloud) -> np.ndarray:
        """(K,) mean deviation of the readings at each place and at those around it, lest their noise be taken for what
        scans differ by; NaN where there are none."""
        laid = self.lay(cloud)
        if not laid.scale.fits:
            raise ConfigError(
                "a normal scan does not fit the nominal", where=cloud.source or "normals", found=laid.scale.notes[-1]
            )
        deviation = self.measure(laid).deviation
        some = fixed_sample(torch.from_numpy(laid.points), LEARNT).numpy()
        some = some[~np.isnan(deviation[some])]
        place = self._nearest(laid.points[some])
        count = np.bincount(place, minlength=len(self.places.points))
        sums = np.bincount(place, deviation[some].astype(np.float64), len(count))
        count, sums = (values[self.places.near].sum(1) for values in (count, sums))
        return np.where(count > 0, sums / np.maximum(count, 1), np.nan)

    def _usual_at(self, points: np.ndarray) -> Usual | None:
        if self.usual is None:
            return None
        place = self._nearest(points)
        return Usual(self.usual.mean[place], self.usual.spread[place])

    def _nearest(self, points: np.ndarray) -> np.ndarray:
        places = torch.from_numpy(self.places.points).float()
        return knn(places, torch.from_numpy(points), 1)[1][:, 0].numpy()


def _unmeasured(cloud: PointCloud, notes: tuple[str, ...], seconds: dict[str, float]) -> Detection:
    nothing = torch.full((len(cloud),), float("nan"))
    layers = {"deviation": nothing, "lod": nothing}
    zeros = cloud.to_rows(torch.zeros(len(cloud)))
    return Detection(0.0, zeros, cloud, layers, dict(seconds), notes=notes, measurable=False)


def _detection(
    cloud: PointCloud,
    scale: Scale,
    found: Findings,
    cut: Section | None,
    thick: Walls | None,
    seconds: dict[str, float],
) -> Detection:
    per = 1 / scale.factor  # the scan's units in one of the nominal's

    def layer(values: np.ndarray) -> Tensor:
        return torch.from_numpy((values * np.float32(per)).astype(np.float32))

    layers = {"deviation": layer(found.deviation), "lod": layer(found.lod)}
    if found.usual is not None:
        layers["usual"] = layer(found.usual)
    if thick is not None:
        layers["thickness"] = layer(thick.part)
    return Detection(
        found.object_score, cloud.to_rows(torch.from_numpy(found.scores)), cloud, layers, seconds,
        notes=found.notes, measurable=found.measurable, inspection=found.inspection, section=cut,
    )  # fmt: skip
