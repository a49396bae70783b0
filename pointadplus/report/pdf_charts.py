"""Scales with histograms, and the section, for paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..results.detection import Detection
from ..results.inspection import signed
from ..results.palette import limit_colors, score_colors
from ..text import rounded
from .inspected import BINS, Scale
from .scan import limit_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SOFT = "#5d6671"


def deviation_scale(axes: Axes, scale: Scale, deviation: Float[Tensor, "n"], name: str) -> None:
    """How many points deviate by what, in their colours, with the limits."""
    levels = torch.arange(1, BINS + 1).float()
    counts = torch.bincount(scale.levels(deviation).long(), minlength=BINS + 1)[1:]
    middles = scale.middle(levels)
    _bars(axes, middles, counts, scale.colors(middles), name)
    for value in scale.band:
        axes.axvline(value, color="black", linestyle="--", linewidth=0.8)
    axes.set_xlim(-scale.span, scale.span)
    axes.set_xticks([-scale.span, *scale.band, scale.span])
    axes.set_xticklabels([signed(value) for value in (-scale.span, *scale.band, scale.span)])


def score_scale(axes: Axes, detection: Detection, threshold: float | None) -> None:
    """The same of scores, with the limit if there is one."""
    scores, limit = detection.valid_scores.detach().cpu(), limit_of(detection, threshold)
    steps = (torch.arange(BINS + 1) + 0.5) / (BINS + 1)
    counts = torch.bincount((scores * (BINS + 1)).long().clamp(max=BINS), minlength=BINS + 1)
    colors = score_colors(steps) if limit is None else limit_colors(steps, limit)
    _bars(axes, steps, counts, colors, "point score; points, logarithmic")
    axes.set_xlim(0, 1)
    if limit is not None and limit <= 1:
        axes.axvline(limit, color="black", linestyle="--", linewidth=0.8)
        axes.set_xticks([0, limit, 1])
        axes.set_xticklabels(["0", rounded(limit), "1"])


def _bars(axes: Axes, middles: Tensor, counts: Tensor, colors: Tensor, name: str) -> None:
    """Logarithmic counts over a bar of the colours."""
    high = counts.double().log1p()
    wide = float(middles[1] - middles[0])
    tall = max(float(high.max()), 1.0)
    axes.bar(middles.numpy(), high.numpy(), wide, color=colors.numpy())
    axes.bar(middles.numpy(), 0.16 * tall, wide, -0.2 * tall, color=colors.numpy())
    axes.set_yticks([])
    axes.set_title(name, loc="left", color=SOFT, size=8, parse_math=False)
    axes.spines[["top", "left", "right", "bottom"]].set_visible(False)


def section_chart(axes: Axes, cut: dict[str, Any], scale: Scale) -> None:
    """The nominal's outline, its limits as dots, and from each place the deviation, drawn larger."""
    from matplotlib.collections import LineCollection

    rows = torch.tensor(cut["points"])
    feet, normals, off = rows[:, :2], rows[:, 2:4], rows[:, 4]
    factor = cut["factor"] / cut["window"]
    tips = feet + normals * off[:, None] * factor
    colors = scale.colors(off).numpy()
    outline = torch.tensor(cut["nominal"]).reshape(-1, 2, 2).numpy()
    axes.add_collection(LineCollection(list(outline), colors="black", linewidths=0.6, zorder=3), autolim=False)
    axes.add_collection(LineCollection(list(torch.stack([feet, tips], 1).numpy()), colors=colors, linewidths=0.8))
    axes.scatter(*tips.T.numpy(), s=2, c=colors, linewidths=0)
    for value in scale.band if scale.good else ():
        axes.scatter(*(feet + normals * value * factor).T.numpy(), s=0.3, c="black", linewidths=0)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_axis_off()
