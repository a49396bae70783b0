"""What is told of a scored scan in JSON, by the command line and over HTTP alike."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the command line's --help does not wait for torch
    from .detection import Detection


def json_record(file: Path | str, detection: Detection, regions: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Plain values of a detection: scores, counts, notes, seconds, a calibrated detector's decision or that of an
    inspection, with what it found, and regions if given.

    Args:
        file: the scan's name, told as it is.
        detection: of that scan.
        regions: `Region.as_record` of each; None leaves them out.
    """
    inspection = detection.inspection
    verdict = detection.verdict or (None if inspection is None else inspection.verdict)
    decided = {} if verdict is None else {"verdict": verdict}
    if detection.calibration is not None:
        decided |= {"limit": detection.calibration.threshold, "p_value": detection.p_value}
        decided |= {"is_anomalous": detection.is_anomalous}
    return {
        "path": str(file),
        "object_score": detection.object_score,
        **decided,
        "points": len(detection.cloud),
        "dropped": detection.dropped,
        **({} if detection.cloud.unit is None else {"unit": detection.cloud.unit}),
        "measurable": detection.measurable,
        "notes": list(detection.notes),
        **({} if inspection is None else {"inspection": inspection.as_record()}),
        "seconds": {name: round(value, 4) for name, value in detection.seconds.items()},
        **({} if regions is None else {"regions": regions}),
    }
