"""`Section`: a cut through a scan and its nominal, as few numbers as a picture needs."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Section:
    """A scan against its nominal in a plane through the worst place, square to the surface there.

    In the plane lengths are in half-widths of the picture, from `place`: along the surface, and up from it.

    Attributes:
        place: on the scan, in its file's frame and unit.
        window: half the width, in the scan's unit.
        nominal: (S, 4) float32 pieces of the nominal's outline, along and up of one end and of the other, in a circle
            of radius 1.
        points: (K, 5) float32 of points of the scan beside the plane: along and up of their place on the nominal, along
            and up of the way out of it, and their deviation in the scan's unit.
    """

    place: tuple[float, float, float]
    window: float
    nominal: Float[Tensor, "s 4"]
    points: Float[Tensor, "k 5"]
