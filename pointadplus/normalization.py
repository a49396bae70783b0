"""`Normalization`: the frame in which clouds are looked at, whatever their place, pose and unit."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Normalization:
    """The similarity x ↦ (x − center) / scale and its inverse.

    `center` is (3,) float64, in the frame of `PointCloud.points`, and `scale` a positive float; both in its unit.
    """

    center: Float[Tensor, "3"]
    scale: float

    def apply(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Map a cloud's points into the normalised frame; (N, 3) float32."""
        return ((points.double() - self.center) / self.scale).float()

    def invert(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Map points of the normalised frame back into the cloud's; (N, 3) float32."""
        return (points.double() * self.scale + self.center).float()
