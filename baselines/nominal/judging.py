"""What deviations amount to: scores, statistics, a verdict, and whether there can be one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pointadplus.cloud import PointCloud
from pointadplus.results.inspection import Inspection

from .deviation import AROUND, SIGMAS, Measured, registration, shared
from .telling import place_of_missing, told
from .thickness import Thinnest, Walls, thinnest

if TYPE_CHECKING:
    from .compare import Laid, NominalComparison, Usual

# All ours.
SURE = 2.5  # levels of detection that score 0.5 where there is no tolerance: by chance one cell in a million
HALF = 0.25, 0.75  # share of what a scan should show that may be missing, and of a length that has to be there
COARSE = 1.0  # times half a tolerance's width: noise over which it decides little


class Findings(NamedTuple):
    """Of N points, in the nominal's unit; see `Detection` and `Inspection`."""

    scores: np.ndarray
    object_score: float
    deviation: np.ndarray
    lod: np.ndarray
    usual: np.ndarray | None
    inspection: Inspection | None
    notes: tuple[str, ...]
    measurable: bool


def inspect(
    nominal: NominalComparison,
    cloud: PointCloud,
    laid: Laid,
    measured: Measured,
    usual: Usual | None,
    thick: Walls | None = None,
    *,
    ground_removed: bool,
) -> Findings:
    """Judge a scan by its deviations.

    Without a tolerance a score of 0.5 means `SURE` levels of detection, of the point itself or of the mean in its cell,
    whichever is more; with one, the limit; with normal scans, `SURE` levels from what they usually leave there, their
    spread in it. The object's is the highest that five neighbouring points reach together.

    Args:
        nominal: what it was compared with.
        cloud: the scan.
        laid, measured: how it lies, and its deviations.
        usual: what normal scans leave at each of its points, or None.
        thick: its walls, if they are measured.
        ground_removed: whether a plane under the part was left out already.
    """
    deviation = measured.deviation
    known = ~np.isnan(deviation)
    every = (deviation if usual is None else deviation - usual.mean)[known]
    off = registration(every, measured.noise[known]) if len(every) else 0.0
    if nominal.kind == "reference points":
        off = max(off, laid.alignment.residual or 0.0)
    lod = SIGMAS * (np.sqrt(measured.noise**2 + measured.bulge**2) + np.float32(off))
    lod[~known] = np.nan
    ratio = np.nan_to_num(_ratio(nominal.tolerance, measured, usual, off), nan=0.0)
    near = AROUND * measured.spacing
    top = max(0.0, shared(ratio, laid.points, near))
    shown = nominal.places.shown(measured)
    owed = nominal.places.owed(nominal.mesh, shown, _eyes(cloud, laid, nominal.mesh.center))
    lacking = nominal.places.lacking(measured, shown, owed)
    covered = float(shown.mean())
    cut = float(lacking.sum()) > HALF[0] * owed.sum() and nominal.places.extent(shown) < HALF[1]
    notes, measurable = told(nominal, cloud, laid, measured, covered, cut, ground_removed)
    found = None
    if known.any():
        missing = float(lacking.sum()) * nominal.places.area
        found = _inspection(nominal, laid, measured, lod, covered, missing, measurable)
        if thick is not None:
            found = _with_walls(found, thinnest(thick, laid.points, measured.spacing), laid, nominal.mesh.center)
        if missing and measurable:
            notes += (place_of_missing(nominal, lacking),)
        if found.tolerance is not None and found.lod > COARSE * (found.tolerance[1] - found.tolerance[0]) / 2:
            notes += ("noise is as large as the tolerance: it decides little",)
    return Findings(
        (ratio / (1 + ratio)).astype(np.float32), top / (1 + top), deviation, lod,
        None if usual is None else usual.mean, found, notes, measurable,
    )  # fmt: skip


def _ratio(tolerance: tuple[float, float] | None, measured: Measured, usual: Usual | None, off: float) -> np.ndarray:
    """(N,) how far each point is off, 1 where it scores 0.5."""
    deviation = measured.deviation
    if tolerance is not None and usual is None:
        middle, half = (tolerance[1] + tolerance[0]) / 2, (tolerance[1] - tolerance[0]) / 2
        return np.abs(deviation - np.float32(middle)) / np.float32(half)
    mean, spread = (0.0, 0.0) if usual is None else usual
    steady = np.float32(0) + spread**2 + measured.bulge**2
    one = SIGMAS * (np.sqrt(measured.noise**2 + steady) + np.float32(off))
    several = SIGMAS * (np.sqrt(measured.noise**2 / np.maximum(measured.count, 1) + steady) + np.float32(off))
    together = np.abs(measured.mean - mean) / several
    return np.maximum(np.abs(deviation - mean) / one, np.where(np.isnan(deviation), 0, together)) / SURE


def _inspection(
    nominal: NominalComparison,
    laid: Laid,
    measured: Measured,
    lod: np.ndarray,
    covered: float,
    missing: float,
    measurable: bool,
) -> Inspection:
    per = 1 / laid.scale.factor
    deviation = measured.deviation
    known = ~np.isnan(deviation)
    every = deviation[known]
    ordered = np.sort(every).astype(np.float64)  # sums of them round alike in any order of the points
    low, high = (ordered[round(share * (len(ordered) - 1))] for share in (0.05, 0.95))
    near = AROUND * measured.spacing
    points = laid.points[known]
    shares: tuple[float | None, ...] = (None, None, None)
    limits, good = nominal.tolerance, None
    if limits is not None:
        over, under = float((every > limits[1]).mean()), float((every < limits[0]).mean())
        shares = (1 - over - under, over, under)
        beyond = np.maximum(every - limits[1], limits[0] - every) - lod[known]
        good = not ((beyond > 0).sum() >= 5 and shared(beyond, points, near) > 0)
    residual = laid.alignment.residual
    return Inspection(
        nominal=nominal.mesh.name,
        unit=laid.scale.unit,
        alignment=nominal.kind,
        pose=laid.pose,
        residual=None if residual is None else residual * per,
        rests_on=laid.alignment.share,
        coverage=covered,
        tolerance=None if limits is None else (limits[0] * per, limits[1] * per),
        measured=len(every),
        mean=float(ordered.mean()) * per,
        rms=float(np.sqrt(np.square(ordered).mean())) * per,
        low=float(low) * per,
        high=float(high) * per,
        largest=shared(every, points, near) * per,
        smallest=-shared(-every, points, near) * per,
        within=shares[0],
        over=shares[1],
        under=shares[2],
        not_measured=1 - len(every) / len(deviation),
        significant=float((np.abs(every) > lod[known]).mean()),
        lod=float(np.median(lod[known])) * per,
        missing=missing * per**2,
        in_tolerance=good if measurable else None,
    )


def _with_walls(found: Inspection, thin: Thinnest | None, laid: Laid, center: np.ndarray) -> Inspection:
    if thin is None:
        return found
    per = 1 / laid.scale.factor
    x, y, z = (thin.place + center).tolist()
    return replace(found, thinnest=thin.part * per, thinnest_nominal=thin.nominal * per, thinnest_at=(x, y, z))


def _eyes(cloud: PointCloud, laid: Laid, center: np.ndarray) -> np.ndarray | None:
    """(E, 3) where the eyes of each scan of a file stood, about the nominal's center."""
    if cloud.eyes is None:
        return None
    return laid.alignment.motion.apply(cloud.eyes.double() * laid.scale.factor).numpy() - center
