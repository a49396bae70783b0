"""One scan as the page holds it: plain values, and its points and levels in base64."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..geometry.sampling import select_points
from ..results.detection import Detection
from ..results.detector import AnomalyDetector
from ..results.inspection import Inspection, limits
from ..results.palette import limit_colors, score_colors
from ..results.regions import Region
from ..results.snapshot import Snapshot, best_view
from .facts import facts, statistics, verdict
from .inspected import BINS, Scale, extremes, section

_LEVELS = 256  # a score is stored as floor(256·s), so that "s ≥ k/256" is exact after storing
_GRID = 65535  # a coordinate is stored in 16 bits
_LISTED = 50  # regions of a scan that its table shows, the highest peaks first


def limit_of(detection: Detection, threshold: float | None) -> float | None:
    """The point score that is shown as a limit; None where nothing but a guess would tell one."""
    if threshold is not None:
        return float(threshold)
    known = detection.calibration is not None or "deviation" in detection.layers or not detection.measurable
    return detection.point_threshold if known else None


def scan_record(
    detection: Detection,
    regions: Sequence[Region],
    *,
    name: str,
    max_points: int,
    threshold: float | None,
    detector: AnomalyDetector | None,
    now: datetime,
) -> dict[str, Any]:
    """What the page knows of a scan, but for its calibration."""
    cloud, scores = detection.cloud, detection.valid_scores.detach().cpu()
    levels = (scores * _LEVELS).long().clamp(max=_LEVELS - 1)
    shown = select_points(scores, max_points)
    rotation = best_view(detection).rotation
    limit = limit_of(detection, threshold)
    quantised, extents, corner = _quantise(cloud.points)
    peak = int(scores.argmax())
    return {
        "name": name,
        "badge": verdict(detection),
        "facts": facts(detection, detector, now),
        "objectScore": float(detection.object_score),
        "points": len(cloud),
        "dropped": cloud.dropped,
        "measurable": detection.measurable,
        "notes": list(detection.notes),
        "shown": len(shown),
        "extents": extents,
        "corner": (corner + cloud.offset).tolist(),
        "unit": cloud.unit,
        "peak": {
            "row": int(cloud.valid_rows()[peak]),
            "score": float(scores[peak]),
            "position": (cloud.points[peak].double() + cloud.offset).tolist(),
        },
        "limit": limit,
        "histogram": torch.bincount(levels, minlength=_LEVELS).tolist(),
        "seconds": {stage: float(value) for stage, value in detection.seconds.items()},
        "rotation": rotation.flatten().tolist(),
        "picture": _picture(detection, Snapshot.seen_from(rotation, cloud, shown), limit),
        "positions": _base64(quantised[shown].to(torch.uint16)),
        "scores": _base64(levels[shown].to(torch.uint8)),
        "regionCount": len(regions),
        "regionThreshold": detection.point_threshold if threshold is None else float(threshold),
        "regions": [region.as_record() for region in regions[:_LISTED]],
        "deviation": _deviation(detection, detection.inspection, shown),
    }


def _deviation(detection: Detection, found: Inspection | None, shown: Int[Tensor, "k"]) -> dict[str, Any] | None:
    """The same of its deviations; None where there are none."""
    if found is None:
        return None
    deviation, scale = detection.layers["deviation"].detach().cpu().float(), Scale.of(found)
    levels = scale.levels(deviation)
    places = extremes(detection.cloud, deviation, found)
    swatches = 255 * scale.colors(scale.middle(torch.arange(BINS + 1).float()))
    return {
        "levels": _base64(levels[shown]),
        "colors": _base64(swatches.round().to(torch.uint8)),
        "histogram": torch.bincount(levels.long(), minlength=BINS + 1).tolist(),
        "span": scale.span,
        "band": list(scale.band),
        "limits": None if found.tolerance is None else limits(found.tolerance),
        "largest": found.largest if abs(found.largest) >= abs(found.smallest) else found.smallest,
        "statistics": statistics(found),
        "within": found.within,
        "significant": found.significant,
        "extremes": [{"position": place.position, "value": place.value} for place in places],
        "section": section(detection),
        "scale": found.scale,
    }


def _picture(detection: Detection, shot: Snapshot, limit: float | None) -> str:
    """The still picture beside its name, as a data URL, in the colours that the page opens with."""
    scores, found = detection.valid_scores.detach().cpu(), detection.inspection
    if found is not None:
        scale, steps = Scale.of(found), 31  # one of the picture's colours is for what was not measured
        levels = scale.levels(detection.layers["deviation"].detach().cpu().float()).float()
        shares = torch.where(levels < 1, 0.0, (1 + (levels - 0.5) / BINS * (steps - 1)) / steps)
        png = shot.png(shares, lambda share: scale.colors(scale.middle((share * steps - 1) / (steps - 1) * BINS + 0.5)))
    elif limit is not None:
        beyond = (1.001 + 29.9 * (scores - limit) / max(1.0 - limit, 1e-9)) / 31
        shares = torch.where(scores >= limit, beyond, 0.0)
        png = shot.png(shares, lambda share: limit_colors((share * 31 - 1.5) / 29, 0.0))
    else:
        png = shot.png(scores, score_colors)
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _quantise(points: Float[Tensor, "n 3"]) -> tuple[Int[Tensor, "n 3"], list[float], Float[Tensor, "3"]]:
    """Integers 0..65535 along the longest side of the bounding box, the box's three extents, and its lowest corner."""
    double = points.double()  # float32 differences would lose far-away (georeferenced) clouds
    low = double.amin(0)
    extents = double.amax(0) - low
    longest = extents.max().item() or 1.0
    return ((double - low) * (_GRID / longest)).round().long(), extents.tolist(), low


def _base64(values: Tensor) -> str:
    array = values.contiguous().numpy()
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode("ascii")
