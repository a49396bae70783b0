"""How large the splats of a cloud are, in pixels and in space."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from .cameras import Cameras
from .config import RenderConfig
from .splatting import Disc

RADIUS_STEP = 1.35  # radii are rounded up to the next of a geometric series, for each is drawn for itself


@dataclass(frozen=True, eq=False)
class SplatSize:
    """Of points that stand for squares of surface of one size: splats of one size in space, in perspective.

    Attributes:
        config: whose `splat`, `min_radius`, `max_radius` and `tolerance` hold.
        cameras: which look at the points; if orthographic, of one distance.
        spacing: side of the square, see `point_spacing`.
    """

    config: RenderConfig
    cameras: Cameras
    spacing: float

    @property
    def largest(self) -> float:
        """Radius in pixels, before it is rounded."""
        return max(self.config.min_radius, self.config.max_radius * self.cameras.image_size)

    def radius(self, depth: Float[Tensor, "v *n"]) -> Float[Tensor, "v *n"]:
        """In pixels, before it is rounded."""
        radius = self.config.splat * self.spacing * self.cameras.pixels_per_unit(depth)
        return radius.clamp_(self.config.min_radius, self.largest)

    def slack(self, depth: Float[Tensor, "v n"]) -> Float[Tensor, "v n"]:
        """How far behind a splat a point may lie and yet be seen, in the unit of the points."""
        return self._reach(depth).mul_(self.config.tolerance)

    def farthest(self, depth: Float[Tensor, "v n"]) -> Float[Tensor, "v n"]:
        """How far a point and the one whose splat lies before it can be apart in the picture, in the points' unit."""
        return self._reach(depth).mul_(RADIUS_STEP)

    def _reach(self, depth: Float[Tensor, "v n"]) -> Float[Tensor, "v n"]:
        # A splat reaches its radius, and the point that looks up its pixel lies up to half a diagonal from the centre.
        return self.radius(depth).add_(math.sqrt(0.5)).div_(self.cameras.pixels_per_unit(depth))

    def discs(self, near: float, far: float) -> list[Disc]:
        """The splats of points between two depths, by rising depth and falling radius; only the last has no limit."""
        if self.cameras.orthographic:
            near = far = float(self.cameras.distance[0])
        unit = self.config.splat * self.spacing * self.cameras.focal  # the radius at depth 1

        def step(depth: float) -> int:
            radius = unit / depth if depth > unit / self.largest else self.largest
            return math.ceil(math.log(max(radius, self.config.min_radius)) / math.log(RADIUS_STEP))

        steps = range(step(near), step(max(near, far)) - 1, -1)
        # No distance between pixel centres equals such a radius, and so none depends on how it is rounded.
        squares = [math.floor(RADIUS_STEP ** (2 * power)) + 0.5 for power in steps]
        limits = [unit / RADIUS_STEP ** (power - 1) for power in steps[:-1]] + [math.inf]
        pairs = zip(limits, squares, [*squares[1:], None], strict=True)
        return [Disc(limit, squared) for limit, squared, following in pairs if squared != following]
