"""Whether a scan can be of the part that was learnt at all, and shows enough of it: a wrong unit is no defect."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from pointadplus.cloud import PointCloud
from pointadplus.errors import CloudError
from pointadplus.geometry.neighbors import knn
from pointadplus.geometry.spacing import point_spacing
from pointadplus.results.preparation import FEWEST

# All ours.
LARGEST = 5.0  # times as large, or as small, as the parts that were learnt: no scan of one side, no piece of one is
NEAR = 1.5  # of a ratio of units
UNITS = {1000.0: "metres and millimetres", 100.0: "metres and centimetres", 25.4: "inches and millimetres",
         10.0: "centimetres and millimetres"}  # fmt: skip
NEAREST = 2.0  # spacings from the scan within which it has a place of the part, as the methods have it
PLACES = 4096  # of the part that are looked for in a scan
WHOLE = 0.9  # share of them from which on nothing is told
LEAST = 0.12  # under it a pose rests on too little; of 88 objects made in code a lone eye saw 15 % at least


def coverage(scan: Float[Tensor, "n 3"], part: Float[Tensor, "m 3"]) -> float:
    """The share of a part's surface that a scan has, in [0, 1].

    Args:
        scan: (N, 3), in the pose of the part.
        part: (M, 3), of normal scans.
    """
    places = part[:: max(1, len(part) // PLACES)]
    near = NEAREST * max(point_spacing(scan), point_spacing(part))
    return float((knn(scan, places, 1)[0] <= near).float().mean())


def judge(cloud: PointCloud, covered: float | None = None) -> tuple[tuple[str, ...], bool]:
    """What a scan's user should know of it, and whether it can be judged.

    Args:
        cloud: the scan.
        covered: its `coverage`, or None where the method does not know.

    Returns:
        Sentences without a full stop, and False where there is too little for any verdict.
    """
    if len(cloud) < FEWEST:
        return (f"{len(cloud):,} points are too few to judge a part by; {FEWEST} are the least",), False
    if covered is None or covered >= WHOLE:
        return (), True
    if covered >= LEAST:
        return (f"the scan shows {covered:.0%} of the part's surface: nothing is said of the rest",), True
    shown = f"the scan shows {covered:.0%} of the part's surface"
    return (f"{shown}, too little to judge it by; {LEAST:.0%} are the least, or it is another part",), False


def check_size(cloud: PointCloud, learnt: float, method: str) -> None:
    """Refuse a scan that is far larger or smaller than what was learnt.

    Args:
        cloud: the scan.
        learnt: `PointCloud.normalization().scale` of the part, about its diagonal.
        method: the class's name.

    Raises:
        CloudError: by a factor of five or more.
    """
    size = cloud.normalization().scale
    ratio = size / learnt
    if 1 / LARGEST < ratio < LARGEST:
        return
    larger = max(ratio, 1 / ratio)
    names = [name for factor, name in UNITS.items() if factor / NEAR < larger < factor * NEAR]
    hint = f"{names[0]} may have been mixed up" if names else "another part, or another unit"
    raise CloudError(
        "the scan cannot be of the part that was learnt",
        where=cloud.source or f"{method}.score",
        expected=f"a size of about {learnt:.4g}",
        found=f"{size:.4g}, {larger:.4g} times as {'large' if ratio > 1 else 'small'}",
        hint=f"{hint}; scans and parts have to be in one unit",
    )
