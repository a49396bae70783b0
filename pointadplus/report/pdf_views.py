"""Sides of a scan for paper, with numbers at its regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from ..geometry.neighbors import knn
from ..geometry.sampling import select_points
from ..results.detection import Detection
from ..results.inspection import signed
from ..results.palette import limit_colors, score_colors
from ..results.regions import Region
from ..results.snapshot import SHOWN, Snapshot, best_view
from .inspected import Place, Scale, extremes
from .scan import limit_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# All ours: sides of a scan that are shown at most, pixels of one, and regions that are numbered.
VIEWS, PIXELS, LISTED = 3, 640, 10
AROUND = 10  # points, any of which shows a place


def colors_of(detection: Detection, threshold: float | None) -> Float[Tensor, "n 3"]:
    """(N, 3) what the page's first colours are, too."""
    scores, limit = detection.valid_scores.detach().cpu(), limit_of(detection, threshold)
    if detection.inspection is not None:
        return Scale.of(detection.inspection).colors(detection.layers["deviation"].detach().cpu().float())
    return score_colors(scores) if limit is None else limit_colors(scores, limit)


def sides(detection: Detection, regions: Sequence[Region]) -> list[tuple[str, Snapshot]]:
    """The side that shows best what is anomalous, and those of regions that it hides; else the one behind it."""
    cloud = detection.cloud
    shown = select_points(detection.valid_scores.detach().cpu(), SHOWN)
    first = best_view(detection).rotation

    def seen(rotation: Tensor) -> Snapshot:
        return Snapshot.seen_from(rotation, cloud, shown, PIXELS)

    shots = [("where it is worst" if regions else "as the page opens", seen(first))]
    for region in regions[:LISTED]:
        if len(shots) < VIEWS and not any(shot.shows(region.rows) for _, shot in shots):
            normal = torch.tensor(region.normal, dtype=first.dtype)
            ways = (seen(_facing(normal * sign, first[0, 1])) for sign in (1.0, -1.0))
            toward = next((way for way in ways if way.shows(region.rows)), None)
            shots += [] if toward is None else [(f"toward {region.number}", toward)]
    if len(shots) == 1:
        shots.append(("from behind", seen(first * torch.tensor([-1.0, 1.0, -1.0])[:, None])))
    return shots


def _facing(normal: Float[Tensor, "3"], up: Float[Tensor, "3"]) -> Float[Tensor, "1 3 3"]:
    """The rotation that turns a direction to the eye, a little from above, and keeps what is up, if that can be."""
    z = normalize(normal + 0.35 * up, dim=0)
    if float((z @ up).abs()) > 0.95:
        up = torch.eye(3, dtype=z.dtype)[z.abs().argmin()]
    y = normalize(up - (up @ z) * z, dim=0)
    return torch.stack([torch.linalg.cross(y, z), y, z])[None]


def number_regions(axes: Axes, shot: Snapshot, detection: Detection, regions: Sequence[Region]) -> None:
    """Number and deviation, or peak score, at the regions that this side shows; without one, at the extremes."""
    seen = [region for region in regions[:LISTED] if shot.shows(region.rows)]
    told = [(region.peak_position, f"{region.number}  {_said(region)}") for region in seen]
    if not regions and detection.inspection is not None:
        places = extremes(detection.cloud, detection.layers["deviation"].detach().cpu().float(), detection.inspection)
        told = [(place.position, signed(place.value)) for place in places if _shows(shot, place)]
    if not told:
        return
    box = {"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": "black", "linewidth": 0.6}
    line = {"arrowstyle": "-", "color": "black", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0}
    middle = shot.front.shape[1] / 2
    for (x, y), (_, text) in zip(shot.places(torch.tensor([at for at, _ in told])).tolist(), told, strict=True):
        way = -1 if x < middle else 1
        axes.annotate(
            text, (x, y), (18 * way, -14), textcoords="offset points", ha="right" if way < 0 else "left", size=7,
            bbox=box, arrowprops=line,
        )  # fmt: skip


def _shows(shot: Snapshot, place: Place) -> bool:
    """Whether this side shows any of the points around a place."""
    at = (torch.tensor(place.position, dtype=torch.float64) - shot.cloud.offset).float()
    near = knn(shot.cloud.points, at[None], min(AROUND, len(shot.cloud)))[1][0]
    return shot.shows(shot.cloud.valid_rows()[near])


def _said(region: Region) -> str:
    return f"{region.peak_score:.2f}" if region.deviation is None else signed(region.deviation.largest)
