"""What a scan does not show, told beside its scores; and whether it can be judged at all."""

from __future__ import annotations

from ..geometry.descriptors import COLUMNS
from ..results.preparation import FEWEST
from ..text import rounded
from .observation import Picture

# All ours. Lengths are shares of the object's diagonal.
SPARSE = 3000  # points under which what is smaller than a few spacings is lost
OPEN = 0.01  # share of the nodes at the border of the scan
ONE_SIDED = 0.4  # length of the mean normal
ROUGH, NOISE = 0.002, 0.006  # noise that is told, and that buries whatever could be found
DETECTABLE = 4.0  # times the noise, what stands out at a point; more points see less
_CLOSURE, _NOISE, _SPACING, _BORDER = (COLUMNS.index(name) for name in ("closure", "noise", "spacing", "border"))


def scan_notes(picture: Picture, points: int) -> tuple[tuple[str, ...], bool]:
    """What a scan's user should know of it, and whether it can be judged.

    Args:
        picture: of the scan.
        points: how many it has.

    Returns:
        Sentences without a full stop, and False where there is too little, or too much noise, for any verdict.
    """
    features, unit = picture.descriptors.features, picture.normalization.scale
    closure, (noise, spacing) = float(features[0, _CLOSURE]), features[0, [_NOISE, _SPACING]].exp().tolist()
    told, measurable = [], points >= FEWEST and noise <= NOISE
    if points < FEWEST:
        told.append(f"{points:,} points are too few to judge an object by; {FEWEST} are the least")
    elif points < SPARSE:
        told.append(f"{points:,} points, {rounded(spacing * unit)} apart: smaller defects fall between them")
    if noise > NOISE:
        told.append(f"noise of {rounded(noise * unit)} ({noise:.1%} of the diagonal) is too high to judge it")
    elif noise > ROUGH:
        least = rounded(DETECTABLE * noise * unit)
        told.append(f"noise of {rounded(noise * unit)}: defects under {least} are lost in it")
    if closure > ONE_SIDED:
        # Normals of a closed surface sum to zero, weighted by area: what was not seen is at least as much as the sum.
        unseen = closure / (1 + closure)
        told.append(f"scanned from one side: nothing is said of what faces away, {unseen:.0%} of the surface at least")
    open_share = float((features[:, _BORDER] < 2 * spacing).float().mean())
    if open_share > OPEN:
        told.append(f"open border: {open_share:.0%} of the surface lies at an edge where the scan ends")
    return tuple(told), measurable
