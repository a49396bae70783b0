"""What is to be told of a comparison, and whether there can be a verdict at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from pointadplus.cloud import PointCloud
from pointadplus.geometry.ground import find_ground
from pointadplus.text import placed

from ..gate import LEAST, judge
from .deviation import Measured

if TYPE_CHECKING:
    from .compare import Laid, NominalComparison

# All ours.
RESTS = 0.5  # share of a scan that has to lie on the nominal, for it to be of that part
SEEN = 0.5  # share of a scan's points that have to be measured
TOLD = 0.005  # share of points without a deviation from which on they are told of
TABLE = 0.5  # share of a plane's points that have to lie off the nominal, for it to be a table


def told(
    nominal: NominalComparison,
    cloud: PointCloud,
    laid: Laid,
    measured: Measured,
    covered: float,
    cut: bool,
    ground_removed: bool,
) -> tuple[tuple[str, ...], bool]:
    """What is to be told, and whether there can be a verdict."""
    more = [*laid.scale.notes, *nominal.mesh.topology.notes()]
    bad: list[str] = []
    alignment = laid.alignment
    grey = float(np.isnan(measured.deviation).mean())
    if alignment.mirrored:
        bad.append("the scan is a mirror image of the nominal")
    elif not ground_removed and _on_table(cloud.points[laid.some], measured.deviation[laid.some], nominal.mesh.size):
        bad.append('the part lies on a table that was scanned, too; ground="remove" (--ground remove) leaves it out')
    elif nominal.on is not None and alignment.share == 0:
        bad.append("the scan shows too little of what it is fitted to")
    elif alignment.lies < RESTS:
        how = {"best fit": "by the best fit", "none": "as it lies", "reference points": "by its reference points"}
        where = f"{how[nominal.kind]} {alignment.lies:.0%} of the scan lies on the nominal"
        bad.append(f"{where}: another part, or a wrong pose")
    elif grey > SEEN:
        bad.append(f"{grey:.0%} of the points cannot be measured: they lie far from the nominal, or on its free border")
    elif cut:
        bad.append("a large piece of what the scan should show of the nominal is missing: half a part, or another one")
    shown, enough = judge(cloud, covered)
    more += shown
    if not bad and grey > TOLD:
        more.append(f"{grey:.1%} of the points have no deviation: far from the nominal, or on its free border")
    return (*bad, *more), enough and not bad and covered >= LEAST


def _on_table(points: Tensor, deviation: np.ndarray, size: float) -> bool:
    """Whether there is a plane under the part that is no face of the nominal."""
    plane = find_ground(points)
    if plane is None:
        return False
    flat = (plane.heights(points).abs() <= plane.reach).numpy()
    away = ~(np.abs(deviation) <= 0.01 * size)
    return float(away[flat].mean()) > TABLE


def place_of_missing(nominal: NominalComparison, lacking: np.ndarray) -> str:
    """How much surface is missing, and where."""
    at = nominal.places.points[lacking].mean(0) + nominal.mesh.center
    what = f"{lacking.mean():.1%} of the nominal's surface is missing that the scan should show"
    return f"{what}, about ({placed(at, nominal.mesh.size)}) of the nominal"
