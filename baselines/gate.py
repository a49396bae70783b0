"""Whether a scan can be of the part that was learnt at all, and shows enough of it: a wrong unit is no defect."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from pointadplus.cloud import PointCloud
from pointadplus.errors import CloudError
from pointadplus.geometry.neighbors import knn
from pointadplus.geometry.spacing import point_spacing
from pointadplus.results.preparation import FEWEST
from pointadplus.units import UNITS

# All ours.
LARGEST = 5.0  # times as large, or as small, as the parts that were learnt: no scan of one side, no piece of one is
NEAR = 1.5  # of a ratio of units
_COMMON = ("mm", "cm", "in", "m")  # that get mixed up
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


@dataclass(frozen=True)
class PartSize:
    """How large a part is.

    Attributes:
        size: `PointCloud.normalization().scale` of it, about its diagonal.
        unit: that `size` is in, one of `units.UNITS`, or None where its scans did not say.
    """

    size: float = 1.0
    unit: str | None = None

    @classmethod
    def of(cls, cloud: PointCloud) -> PartSize:
        return cls(cloud.normalization().scale, cloud.unit)

    def seen(self, cloud: PointCloud, method: str) -> PointCloud:
        """A scan in the unit of the part, where both units are known; where not, they are taken to be the same.

        Args:
            cloud: the scan.
            method: the class's name.

        Raises:
            CloudError: the scan is larger or smaller than the part by a factor of five or more.
        """
        cloud = cloud if self.unit is None else cloud.in_unit(self.unit)
        size = cloud.normalization().scale
        ratio = size / self.size
        if 1 / LARGEST < ratio < LARGEST:
            return cloud
        larger = max(ratio, 1 / ratio)
        known = cloud.unit is not None and self.unit is not None
        raise CloudError(
            "the scan cannot be of the part that was learnt",
            where=cloud.source or f"{method}.score",
            expected=f"a size of about {self.size:.4g}",
            found=f"{size:.4g}, {larger:.4g} times as {'large' if ratio > 1 else 'small'}",
            hint=f"another part, or a wrong unit; both are said to be in {self.unit}" if known else _hint(ratio),
        )

    def per(self, cloud: PointCloud) -> float:
        """How many of a scan's units of length one of the part's is; 1 where they are not both known."""
        return 1.0 if cloud.unit is None or self.unit is None else UNITS[self.unit] / UNITS[cloud.unit]


def _hint(ratio: float) -> str:
    """Which units of scan and part, if any, may have been mixed up."""
    pairs = [(UNITS[part] / UNITS[scan], scan, part) for scan in _COMMON for part in _COMMON if scan != part]
    near = [(scan, part) for factor, scan, part in pairs if factor / NEAR < ratio < factor * NEAR]
    say = "say both units when fitting and when scoring: --unit, or read_cloud(..., unit=...)"
    if not near:
        return f"another part, or another unit; {say}"
    return f"a scan in {near[0][0]} and a part in {near[0][1]}, perhaps; {say}"
