"""One HTML file that shows scored clouds in 3D, coloured by score; it needs no network and no server."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from ..config import check_range
from ..errors import CloudWriteError, ConfigError
from ..results.detection import Detection
from ..results.detector import AnomalyDetector
from ..results.palette import BEYOND, VIRIDIS
from ..zero_shot.words import named_regions
from .facts import heading
from .scan import scan_record

_SCRIPTS = (
    "scans.js", "webgl.js", "software.js", "camera.js", "charts.js", "callouts.js", "viewer.js", "list.js", "sheets.js",
    "hands.js",
)  # fmt: skip


def write_report(
    detections: Iterable[Detection],
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    max_points: int = 60_000,
    threshold: float | None = None,
    words: Sequence[str] | None = None,
    detector: AnomalyDetector | None = None,
) -> Path:
    """Write one self-contained HTML page that shows every detection.

    A cloud of more than `max_points` points is thinned for display: its highest-scoring tenth of `max_points` always
    stays, the rest is drawn evenly from the others. Counts in the page are of all points, not of those shown.
    Each cloud opens turned to the side that shows its anomalous points best (`best_view`), and a still picture of that
    side stands beside its name. Its regions stand in a table, the 50 of the highest peaks, and its score among those of
    the normal scans it was calibrated on. Scans are listed by score, and can be filtered by score, name and verdict. A
    page takes about 9 bytes a point shown and 10 kB a cloud.

    Args:
        detections: what to show, in this order; at least one.
        path: the file to write; its folder is made, and an older file is replaced whole or not at all.
        title: heading of the page, as plain text; None says whether it tells anomalies or deviations from a nominal.
        max_points: most points shown of one cloud, at least 1.
        threshold, words, detector: of the regions, see `zero_shot.words.named_regions`.

    Raises:
        ConfigError: no detection, `max_points` below 1, or what `named_regions` refuses.
        CloudWriteError: the file cannot be written.
    """
    check_range(max_points, "[1, ∞)", "max_points")
    scans, calibrations, head = [], {}, title or ""
    now = datetime.now()
    for index, detection in enumerate(detections):
        regions = named_regions(detection, words, detector=detector, threshold=threshold)
        head = head or heading(title, detection)
        name = detection.cloud.source or f"cloud {index + 1}"
        record = scan_record(
            detection, regions, name=name, max_points=max_points, threshold=threshold, detector=detector, now=now
        )
        scans.append(record | {"verdict": _verdict(detection, calibrations)})
    if not scans:
        raise ConfigError("there is nothing to report", where="detections", expected="at least one", found="none")
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(_page(head, scans, calibrations))
        os.replace(partial, target)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise CloudWriteError("the report cannot be written", where=target, found=error.strerror or error) from error
    return target


def viewer_hashes() -> tuple[str, str, str]:
    """The Content-Security-Policy sources of the style and the two scripts of every report of this version."""
    style, loader, script = _viewer()
    return csp_hash(style), csp_hash(loader), csp_hash(script)


def _viewer() -> tuple[str, str, str]:
    """Style, the script that unpacks, and the one that it unpacks."""
    viewer = files("pointadplus") / "report" / "viewer"
    style, loader, *parts = ((viewer / name).read_text("utf-8") for name in ("style.css", "loader.js", *_SCRIPTS))
    return style, loader, "\n".join(parts)


def _page(title: str, scans: list[dict[str, Any]], calibrations: dict[str, dict[str, Any]]) -> bytes:
    style, loader, script = _viewer()
    packed = base64.b64encode(zlib.compress(script.encode("utf-8"), 9)).decode("ascii")
    told = {"colors": VIRIDIS, "beyond": BEYOND, "calibrations": calibrations, "scans": scans, "viewer": packed}
    frame = (files("pointadplus") / "report" / "viewer" / "page.html").read_text("utf-8")
    page = Template(frame).substitute(
        title=html.escape(title),
        style=style,
        script=loader,
        style_hash=csp_hash(style),
        script_hash=f"{csp_hash(loader)}' '{csp_hash(script)}",
        data=_inert_json(told),
    )
    return page.encode("utf-8", errors="replace")  # a title may hold lone surrogates


def csp_hash(text: str) -> str:
    """The Content-Security-Policy source that lets exactly this inline text run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}"


def _inert_json(value: Any) -> str:
    """JSON that cannot close the script element it stands in, whatever its strings hold."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _verdict(detection: Detection, calibrations: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """What the scan's calibration says; its scores join `calibrations` once, whichever scans share it."""
    calibration = detection.calibration
    if calibration is None:
        return None
    calibrations[calibration.digest] = {
        "scores": [round(score, 4) for score in calibration.scores],
        "threshold": calibration.threshold,
    }
    return {
        "anomalous": detection.is_anomalous,
        "pValue": detection.p_value,
        "promise": calibration.promise,
        "scans": len(calibration.scores),
        "calibration": calibration.digest,
    }
