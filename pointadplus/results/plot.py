"""A scored cloud as a matplotlib figure; the extra `plot` brings matplotlib."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from ..cloud import PointCloud
from ..config import check_range
from ..errors import ConfigError, install_command
from ..text import plain_text, rounded
from .palette import score_colors
from .regions import Region
from .snapshot import Snapshot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUMBERED = 20  # regions
DPI = 100  # of a figure on a screen; one pixel of the view is one of the screen
# In pixels: margins, the title's space, between view and colour bar, the bar's width, its numbers' space, and
# how small the whole may get.
_EDGE, _TOP, _GAP, _BAR, _TICKS, _LEAST = 16, 56, 48, 20, 64, (360, 160)


def need_matplotlib() -> None:
    """See to it that matplotlib is there, before work is done that would be in vain.

    Raises:
        ConfigError: it is not.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ConfigError("plots need matplotlib", found=error, hint=install_command("plot")) from error


def check(size: int) -> None:
    """Refuse a size out of range, and the lack of matplotlib, by a ConfigError."""
    check_range(size, "[64, 4096]", "size", whole=True)
    need_matplotlib()


def figure(
    cloud: PointCloud,
    scores: Float[Tensor, "n"],
    regions: Sequence[Region],
    level: float,
    title: Sequence[str],
    size: int,
) -> Figure:
    """What `Detection.plot` gives; see there.

    Args:
        cloud: N points.
        scores: (N,) in [0, 1], one a point.
        regions: of points that score `level` or more.
        level: where the colour bar is marked; above 1 nowhere.
        title: its lines, plain text.
        size: of the view in pixels.
    """
    from matplotlib.figure import Figure

    shot = Snapshot.of(cloud, scores, size=size)
    height, width = shot.front.shape
    inner = max(height, _LEAST[1])  # of the bar
    whole = (max(_EDGE + width + _GAP + _BAR + _TICKS, _LEAST[0]), _TOP + inner + _EDGE)
    drawn = Figure(figsize=(whole[0] / DPI, whole[1] / DPI), dpi=DPI)

    def axes(left: int, bottom: int, wide: int, high: int) -> Axes:
        return drawn.add_axes((left / whole[0], bottom / whole[1], wide / whole[0], high / whole[1]))

    view = axes(_EDGE, _EDGE + (inner - height) // 2, width, height)
    view.imshow(shot.image(score_colors(scores.detach().cpu())).numpy(), extent=(0, width, height, 0))
    view.set_axis_off()
    _number(view, shot, regions)
    _bar(axes(_EDGE + width + _GAP, _EDGE, _BAR, inner), level)
    text = "\n".join(map(plain_text, title))
    drawn.text(_EDGE / whole[0], 1 - _EDGE / whole[1], text, va="top", parse_math=False)
    # Matplotlib shows figures in notebooks that pyplot has made; this is how Jupyter asks any object.
    vars(drawn)["_repr_png_"] = partial(_png, drawn)
    return drawn


def _number(view: Axes, shot: Snapshot, regions: Sequence[Region]) -> None:
    """The numbers of the regions beside their places, in brackets where another side of the object hides them."""
    shown = regions[:NUMBERED]
    if not shown:
        return
    places = shot.places(torch.tensor([region.position for region in shown], dtype=torch.float64))
    box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "black"}
    line = {"arrowstyle": "-", "color": "white", "shrinkA": 0, "shrinkB": 0}
    for region, (x, y) in zip(shown, places.tolist(), strict=True):
        text = str(region.number) if shot.shows(region.rows) else f"({region.number})"
        view.annotate(
            text, (x, y), (9, 9), textcoords="offset points", color="black", fontsize=9, bbox=box, arrowprops=line
        )


def _bar(bar: Axes, level: float) -> None:
    """The colours of scores from 0 to 1, with the threshold marked."""
    steps = (torch.arange(256) + 0.5) / 256
    bar.imshow(score_colors(steps)[:, None].numpy(), extent=(0, 1, 0, 1), origin="lower", aspect="auto")
    bar.set_xticks([])
    bar.yaxis.tick_right()
    bar.yaxis.set_label_position("right")
    bar.set_ylabel("point score")
    if level <= 1:
        bar.axhline(level, color="red", linewidth=2)
        bar.annotate(
            rounded(level), (0, level), (-3, 0), textcoords="offset points", color="red", ha="right", va="center"
        )


def _png(drawn: Figure) -> bytes:
    out = io.BytesIO()
    drawn.savefig(out, format="png")
    return out.getvalue()
