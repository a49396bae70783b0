"""A contact sheet of a detection: views from all sides, one row of them in the colours of its report."""

from __future__ import annotations

import os

from ..render import Paint, RenderConfig, save_contact_sheet
from ..results.detection import Detection
from ..results.palette import limit_colors, score_colors
from ..text import rounded
from .inspected import Scale
from .scan import limit_of


def save_detection_sheet(
    detection: Detection, path: str | os.PathLike[str], config: RenderConfig | None = None
) -> None:
    """Write views of a scored cloud: a column a view; rows of scores, or deviations from a nominal, headlight, depth
    and normals, and a bar of the colours with numbers.

    Raises:
        CloudWriteError: the picture cannot be written, or its extension is unknown.
    """
    save_contact_sheet(detection.cloud, path, config, paint_of(detection))


def paint_of(detection: Detection, threshold: float | None = None) -> Paint:
    """The values and colours of a detection as its report opens with them."""
    found = detection.inspection
    if found is not None:
        scale = Scale.of(found)
        name = "deviation" if found.unit is None else f"deviation, {found.unit}"
        marks = (-scale.span, scale.band[0], 0.0, scale.band[1], scale.span)
        return Paint(detection.layers["deviation"].detach().cpu().float(), scale.colors, marks, name)
    scores, limit = detection.valid_scores.detach().cpu().float(), limit_of(detection, threshold)
    if limit is None:
        return Paint(scores, score_colors, (0.0, 0.25, 0.5, 0.75, 1.0), "point score")
    name = f"point score, limit {rounded(limit)}"
    return Paint(scores, lambda values: limit_colors(values, limit), (0.0, limit, 1.0), name)
