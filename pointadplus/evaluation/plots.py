"""The curves of a benchmark as SVG pictures; the extra `plot` brings matplotlib."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..io.atomic import write_whole
from ..results.plot import need_matplotlib
from ..text import plain_text
from .curves import Curve, Curves, mean_curve
from .result import BenchmarkResult, CloudResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A kind of curve: its field in `Curves`, its axes, its figure's name, and what the figure's field in `Figures` ends on.
_KINDS = (
    ("roc", "false positive rate", "true positive rate", "AUROC", "auroc"),
    ("precision_recall", "recall", "precision", "AP", "ap"),
)
_ROWS = 24  # lines that a column of the legend holds
_LINES = ("-", "--", ":", "-.")  # one for each ten colours
# Texts stay texts, and what is written depends on neither the day nor chance.
_SVG = {"fonttype": "none", "hashsalt": "pointadplus"}


class _Line(NamedTuple):
    """A curve, the figure that the tables have for it, its name, and whether it is the mean of the others."""

    curve: Curve
    figure: float
    name: str
    mean: bool = False


def write_curves(
    result: BenchmarkResult, folder: str | os.PathLike[str], point_curves: Mapping[str, Curves] | None = None
) -> list[Path]:
    """Write the ROC and the precision-recall curves of a benchmark's detection, one SVG file each.

    `objects_roc.svg` and `objects_precision_recall.svg` show the object scores, `points_roc.svg` and
    `points_precision_recall.svg` the point scores: one line for each category in which the figure is defined, and the
    mean over the categories, the mean height at each x. The legend has the figures of the tables, in percent. The same
    result gives the same bytes with the same matplotlib, whatever the user's style of it.

    Args:
        result: of `evaluate`.
        folder: is made; files of these names are replaced, whole or not at all.
        point_curves: what `evaluate(..., point_curves=...)` filled; None or empty leaves the points' files out.

    Returns:
        the files written; those without a defined curve are left out.

    Raises:
        ConfigError: matplotlib is not installed (extra `plot`), or a file cannot be written.
    """
    need_matplotlib()
    categories = result.joined.categories
    by_category: dict[str, list[CloudResult]] = {name: [] for name in categories}
    for cloud in result.clouds:
        by_category[cloud.category].append(cloud)
    curves = {name: _object_curves(clouds) for name, clouds in by_category.items()}
    objects = {name: own for name, own in curves.items() if own is not None}
    written = []
    for of, found in (("object", objects), ("point", point_curves or {})):
        for kind, across, up, figure, field in _KINDS:
            name = f"{of}_{field}"
            lines = [_Line(getattr(own, kind), getattr(categories[each], name), each) for each, own in found.items()]
            if not lines:
                continue
            if len(lines) > 1:
                mean = mean_curve([line.curve for line in lines])
                lines.append(_Line(mean, getattr(result.joined.mean, name), f"mean of {len(lines)}", True))
            path = Path(folder) / f"{of}s_{kind}.svg"
            title = f"{result.detector} on {result.dataset}: {of} scores"
            write_whole(path, _svg(lines, title, (across, up, f"{figure} in %"), chance=kind == "roc"))
            written.append(path)
    return written


def _object_curves(clouds: Iterable[CloudResult]) -> Curves | None:
    clouds = list(clouds)
    return Curves.of_scores(
        np.array([cloud.label > 0 for cloud in clouds], bool), np.array([cloud.object_score for cloud in clouds])
    )


def _svg(lines: list[_Line], title: str, texts: tuple[str, str, str], chance: bool) -> bytes:
    """One picture: curves with their figures and names, a title, and the texts of the x axis, y axis and legend."""
    import matplotlib
    from matplotlib import style

    out = io.BytesIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        style.use("default")
        matplotlib.rc("svg", **_SVG)
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # the reader's fonts will do
        _figure(lines, title, texts, chance).savefig(
            out, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None}
        )
    return out.getvalue()


def _figure(lines: list[_Line], title: str, texts: tuple[str, str, str], chance: bool) -> Figure:
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(6, 6))
    axes = drawn.add_subplot(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal", xlabel=texts[0], ylabel=texts[1])
    axes.set_title(plain_text(title), parse_math=False, fontsize="medium")
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    if chance:
        axes.plot((0, 1), (0, 1), color="0.6", linewidth=0.8)
    handles = []
    for place, line in enumerate(lines):
        color, dashes = f"C{place % 10}", _LINES[place // 10 % len(_LINES)]
        (handle,) = axes.plot(line.curve.x, line.curve.y, color=color, linestyle=dashes, linewidth=1.1, clip_on=False)
        if line.mean:
            handle.set(color="black", linestyle="-", linewidth=2.2)
        handle.set_gid(f"curve-{place + 1}")
        handles.append(handle)
    # The figure comes first: names that begin with an underscore would be left out.
    labels = [f"{100 * line.figure:.1f}  {plain_text(line.name)}" for line in lines]
    columns = -(-len(lines) // _ROWS)
    legend = axes.legend(
        handles, labels, title=texts[2], loc="upper left", bbox_to_anchor=(1.02, 1.0), ncols=columns, fontsize="small"
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    return drawn
