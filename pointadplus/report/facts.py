"""What a report says in words: the verdict, the facts it rests on, and the statistics of an inspection."""

from __future__ import annotations

import platform
import re
from datetime import datetime
from importlib.metadata import version

from ..results.calibration import Calibration
from ..results.detection import Detection
from ..results.detector import AnomalyDetector
from ..results.inspection import Inspection, limits, signed
from ..text import rounded

Fact = tuple[str, str]


def verdict(detection: Detection) -> str | None:
    """The decision in words, as lists and records have it; None where nothing was decided."""
    found = detection.inspection
    return detection.verdict or (None if found is None else found.verdict)


def heading(title: str | None, detection: Detection) -> str:
    """The title that was given, else what a report of such detections is headed by."""
    return title or ("Point cloud anomalies" if detection.inspection is None else "Deviations from the nominal")


def facts(detection: Detection, detector: AnomalyDetector | None, now: datetime) -> list[Fact]:
    """The head of a report: reference, alignment, limit, method, scan, date and versions."""
    found, cloud = detection.inspection, detection.cloud
    told: list[Fact] = []
    if found is not None:
        told += [("Reference", found.nominal), ("Alignment", _alignment(found))]
    told.append(("Limit", _limit(found, detection.calibration)))
    if detector is not None:
        told.append(("Method", _method(detector)))
    kept = f"{len(cloud):,} points" + (f", {cloud.dropped:,} rows left out" if cloud.dropped else "")
    told += [("Scan", kept), ("Date", now.strftime("%Y-%m-%d %H:%M"))]
    told.append(("Versions", f"pointadplus {version('pointadplus')}, Python {platform.python_version()}"))
    return told


def statistics(found: Inspection) -> list[Fact]:
    """The table of an inspection; the largest and the smallest are of five points together."""
    unit = "" if found.unit is None else f" {found.unit}"
    square = unit and f"{unit}²"

    def share(value: float) -> str:
        return f"{100 * value:.2f} %"

    rows = [
        ("Largest", f"{signed(found.largest)}{unit}"),
        ("Smallest", f"{signed(found.smallest)}{unit}"),
        ("Mean", f"{signed(found.mean)}{unit}"),
        ("RMS", f"{rounded(found.rms)}{unit}"),
        ("5 % lie below", f"{signed(found.low)}{unit}"),
        ("95 % lie below", f"{signed(found.high)}{unit}"),
    ]
    if found.within is not None and found.over is not None and found.under is not None:
        rows += [("Within tolerance", share(found.within)), ("Over", share(found.over)), ("Under", share(found.under))]
    rows += [
        ("Not measured", share(found.not_measured)),
        ("Beyond LoD", share(found.significant)),
        ("LoD, median", f"{rounded(found.lod)}{unit}"),
        ("Nominal seen", share(found.coverage)),
    ]
    if found.missing:
        rows.append(("Nominal missing", f"{rounded(found.missing)}{square}"))
    if found.thinnest is not None and found.thinnest_nominal is not None:
        rows.append(("Thinnest wall", f"{rounded(found.thinnest)}, nominal {rounded(found.thinnest_nominal)}{unit}"))
    return rows


def _alignment(found: Inspection) -> str:
    if found.alignment == "none":
        return "none, as it lies"
    unit = "" if found.unit is None else f" {found.unit}"
    residual = "" if found.residual is None else f", residual {rounded(round(found.residual, 9))}{unit}"
    return f"{found.alignment}{residual}, on {100 * found.rests_on:.0f} % of the scan"


def _limit(found: Inspection | None, calibration: Calibration | None) -> str:
    told = []
    if found is not None and found.tolerance is not None:
        told.append(f"tolerance {limits(found.tolerance)}{'' if found.unit is None else ' ' + found.unit}")
    if calibration is not None:
        told.append(f"score {rounded(calibration.threshold)}, of {len(calibration.scores):,} normal scans")
    return "; ".join(told) or "none: nothing is decided"


def _method(detector: AnomalyDetector) -> str:
    """The class's name as commands have it: `ZeroShotDetector` is zero-shot."""
    name = type(detector).__name__.removesuffix("Detector") or type(detector).__name__
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()
