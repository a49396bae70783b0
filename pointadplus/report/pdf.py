"""The report on paper: a PDF with a page a scan; the extra `plot` brings matplotlib. See `write_pdf`."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor

from ..errors import ConfigError
from ..io.atomic import write_whole
from ..results.detection import Detection
from ..results.detector import AnomalyDetector
from ..results.inspection import limits, signed
from ..results.plot import need_matplotlib
from ..results.regions import Region
from ..text import file_name, placed, plain_text, rounded
from ..zero_shot.words import named_regions
from .facts import facts, heading, statistics, verdict
from .inspected import Scale, section
from .pdf_charts import SOFT, deviation_scale, score_scale, section_chart
from .pdf_views import LISTED, colors_of, number_regions, sides

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# All ours: A4 in inches, its margins, and lines of notes at most.
PAPER, EDGE, NOTED = (8.27, 11.69), 0.6, 8
_LINE = "#dcdfe3"
_BADGES = {
    "in tolerance": "#1d7d58", "normal": "#1d7d58", "out of tolerance": "#b3261e", "anomalous": "#b3261e",
    "not measurable": "#8a5a00",
}  # fmt: skip


def write_pdf(
    detections: Iterable[Detection],
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    threshold: float | None = None,
    words: Sequence[str] | None = None,
    detector: AnomalyDetector | None = None,
) -> Path:
    """Write a PDF with an A4 page a scan: verdict, facts, views with numbered regions, scale, table and statistics.

    Of scans that were compared with a nominal the colours, the histogram and the section are of deviations. Made
    without a display.

    Args:
        detections: what to show, in this order; at least one.
        path: the file to write; an older one is replaced whole or not at all.
        title: of all pages, as plain text; None says whether they tell anomalies or deviations from a nominal.
        threshold, words, detector: of the regions, see `zero_shot.words.named_regions`.

    Raises:
        ConfigError: no detection, matplotlib is not installed (extra `plot`), the file cannot be written, or what
            `named_regions` refuses.
    """
    need_matplotlib()
    from matplotlib import rc_context
    from matplotlib.backends.backend_pdf import PdfPages

    now, stream, count = datetime.now().astimezone(), io.BytesIO(), 0
    told = {"Creator": "pointadplus", "CreationDate": now}
    with rc_context({"pdf.fonttype": 42, "font.size": 8}), PdfPages(stream, metadata=told) as pages:
        for count, detection in enumerate(detections, 1):
            regions = named_regions(detection, words, detector=detector, threshold=threshold)
            shown = heading(title, detection)
            pages.infodict().setdefault("Title", plain_text(shown))
            page = _Page(shown, detection.cloud.source or f"cloud {count}")
            page.head(detection, facts(detection, detector, now))
            page.views(detection, regions, colors_of(detection, threshold))
            page.numbers(detection, threshold)
            page.table(detection, regions)
            page.sign(detection.notes)
            pages.savefig(page.figure)
    if not count:
        raise ConfigError("there is nothing to report", where="detections", expected="at least one", found="none")
    write_whole(Path(path), stream.getvalue())
    return Path(path)


class _Page:
    """A page that fills from the top; `at` is how much is filled, in inches."""

    def __init__(self, title: str, name: str) -> None:
        from matplotlib.figure import Figure

        self.figure: Figure = Figure(figsize=PAPER, dpi=150)
        self.title, self.name, self.at = title, name, EDGE

    def text(self, x: float, text: str, **how: Any) -> None:
        """At `x` inches from the left, under what is filled."""
        place = (x / PAPER[0], 1 - self.at / PAPER[1])
        self.figure.text(*place, plain_text(text), va="top", parse_math=False, **how)

    def axes(self, x: float, width: float, height: float) -> Axes:
        box = (x / PAPER[0], 1 - (self.at + height) / PAPER[1], width / PAPER[0], height / PAPER[1])
        return self.figure.add_axes(box)

    def rule(self, color: str = _LINE, width: float = 0.6) -> None:
        from matplotlib.lines import Line2D

        y = 1 - self.at / PAPER[1]
        ends = (EDGE / PAPER[0], 1 - EDGE / PAPER[0])
        self.figure.add_artist(Line2D(ends, (y, y), color=color, linewidth=width))

    def head(self, detection: Detection, told: Sequence[tuple[str, str]]) -> None:
        found = verdict(detection)
        self.text(EDGE, file_name(self.name), size=13, weight="bold")
        if found is not None:
            box = {"boxstyle": "round,pad=0.4", "facecolor": _BADGES[found], "edgecolor": "none"}
            self.text(
                PAPER[0] - EDGE - 0.06, found.upper(), ha="right", size=11, weight="bold", color="white", bbox=box
            )
        self.at += 0.28
        self.text(EDGE, self.title, color=SOFT)
        self.at += 0.2
        self.rule("black", 1.2)
        self.at += 0.08
        rows = [*told, ("Object score", f"{detection.object_score:.3f}")]
        for number, (name, value) in enumerate(rows):
            x = EDGE + (number % 2) * (PAPER[0] / 2 - EDGE)
            self.text(x, name, color=SOFT)
            self.text(x + 0.8, value)
            self.at += 0.16 * (number % 2)
        self.at += 0.16 * (len(rows) % 2) + 0.1

    def views(self, detection: Detection, regions: Sequence[Region], colors: Float[Tensor, "n 3"]) -> None:
        shots = sides(detection, regions)
        width, height = (PAPER[0] - 2 * EDGE) / len(shots), 2.2
        for number, (name, shot) in enumerate(shots):
            axes = self.axes(EDGE + number * width, width - 0.1, height)
            high, wide = shot.front.shape
            axes.imshow(shot.image(colors).numpy(), extent=(0, wide, high, 0))
            axes.set_axis_off()
            axes.set_title(name, color=SOFT, size=7, y=-0.06)
            number_regions(axes, shot, detection, regions)
        self.at += height + 0.3

    def numbers(self, detection: Detection, threshold: float | None) -> None:
        """The scale with the histogram, and of an inspection its statistics and the section."""
        found = detection.inspection
        if found is None and not detection.measurable:
            return  # its scores say nothing
        bars = self.axes(EDGE, PAPER[0] - 2 * EDGE, 0.8)
        if found is None:
            score_scale(bars, detection, threshold)
            self.at += 1.35
            return
        scale, deviation = Scale.of(found), detection.layers["deviation"].detach().cpu().float()
        unit = "" if found.unit is None else f" {found.unit}"
        name = f"deviation{unit and ','}{unit}"
        inside = "no tolerance; dashed: level of detection"
        if found.tolerance is not None and found.within is not None:
            inside = f"{100 * found.within:.2f} % within {limits(found.tolerance)}{unit}"
        deviation_scale(bars, scale, deviation, f"{name}; points, logarithmic; {inside}")
        self.at += 1.35
        self.text(EDGE, "Largest and smallest are of five points together", color=SOFT)
        cut = section(detection)
        if cut is not None:
            half = PAPER[0] / 2
            section_chart(self.axes(half, half - EDGE, 1.5), cut, scale)
            self.at += 1.55
            place = placed(cut["place"], found.scale * float(detection.cloud.extents.amax()))
            dots = "" if found.tolerance is None else ", limits dotted"
            captions = (
                f"Section through the worst place, {rounded(2 * cut['window'])}{unit} wide",
                f"({place}) on the nominal",
                f"nominal black{dots}, whiskers × {cut['factor']:g}",
            )
            for caption in captions:
                self.text(half, caption, color=SOFT)
                self.at += 0.14
            self.at -= 1.97
        for label, value in statistics(found):
            self.at += 0.155
            self.text(EDGE, label, color=SOFT)
            self.text(PAPER[0] / 2 - 0.4, value, ha="right")
        self.at += 0.3 if len(statistics(found)) > 10 or cut is None else 0.6

    def table(self, detection: Detection, regions: Sequence[Region]) -> None:
        unit = detection.cloud.unit
        shown = f", {LISTED} shown" if len(regions) > LISTED else ""
        count = f"{len(regions)} region{'s' * (len(regions) != 1)}{shown}"
        if not regions and detection.verdict == "anomalous":
            count = "No region: the object's score is above its limit, but no five points together reach a region's"
        self.text(EDGE, count, color=SOFT)
        columns = _columns(detection, unit or "unit")
        rows = [[name for name, _ in columns], *([told(region) for _, told in columns] for region in regions[:LISTED])]
        widths = [max(len(row[place]) for row in rows) + 2 for place in range(len(columns))]
        inches = [EDGE + (PAPER[0] - 2 * EDGE) * right / sum(widths) for right in accumulate(widths)]
        for number, row in enumerate(rows if regions else []):
            self.at += 0.17
            for right, cell in zip(inches, row, strict=True):
                self.text(right, cell, ha="right", size=7.5, color=SOFT if number == 0 else "black")
            if not number:
                self.at += 0.16
                self.rule()
                self.at -= 0.13
        self.at += 0.25

    def sign(self, notes: Sequence[str]) -> None:
        for line in [line for note in notes for line in wrap(f"Note: {note}", 130)][:NOTED]:
            self.text(EDGE, line)
            self.at += 0.15
        self.at = PAPER[1] - EDGE - 0.15
        self.rule("black")
        self.at += 0.05
        self.text(EDGE, "Inspected by", color=SOFT)
        self.text(PAPER[0] / 2 + 1, "Date, signature", color=SOFT)


def _columns(detection: Detection, unit: str) -> list[tuple[str, Callable[[Region], str]]]:
    """Headings of the table of regions, and what stands under each."""

    def off(name: str, told: Callable[[Any], str]) -> Callable[[Region], str]:
        return lambda region: "–" if region.deviation is None else told(getattr(region.deviation, name))

    found, size = detection.inspection, float(detection.cloud.extents.amax())
    inspected = [
        (f"largest {unit}", off("largest", signed)), (f"mean {unit}", off("mean", signed)),
        (f"excess {unit}³", off("excess", rounded)), (f"lack {unit}³", off("lack", rounded)),
    ]  # fmt: skip
    return [
        ("region", lambda region: str(region.number)),
        *(inspected if found is not None else ()),
        ("peak score", lambda region: f"{region.peak_score:.3f}"),
        (f"area {unit}²", lambda region: rounded(region.area)),
        (f"length × width {unit}", lambda region: " × ".join(map(rounded, region.extent[:2]))),
        ("position", lambda region: placed(region.position, size))
        if found is None
        else ("on the nominal", off("position", lambda position: placed(position, found.scale * size))),
    ]
