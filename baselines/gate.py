"""Whether a scan can be of the part that was learnt at all: a wrong unit is no defect."""

from __future__ import annotations

from pointadplus.cloud import PointCloud
from pointadplus.errors import CloudError

# All ours.
LARGEST = 5.0  # times as large, or as small, as the parts that were learnt: no scan of one side, no piece of one is
NEAR = 1.5  # of a ratio of units
UNITS = {1000.0: "metres and millimetres", 100.0: "metres and centimetres", 25.4: "inches and millimetres",
         10.0: "centimetres and millimetres"}  # fmt: skip


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
