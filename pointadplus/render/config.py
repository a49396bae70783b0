"""`RenderConfig`: how to render."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ..config import Config, one_of, within


@dataclass(frozen=True)
class RenderConfig(Config):
    """How to render.

    Attributes:
        views: which rotations, see `view_rotations`.
        image_size: side of the square images in pixels.
        framing: `"sphere"`, `"enclosing"` or `"box"` (PointAD's), see `frame_cameras`.
        fill: share of the image that the object's sphere spans, in (0, 1].
        orthographic: parallel rays in place of a field of view of 60°.
        supersample: render that many times larger and reduce pictures by area, against jagged edges. MVR renders at
            672 for pictures of 224. `Views.index`, `depth` and `pixels` are then those of the large image.
        splat: radius of a splat in units of `point_spacing`; ours: about what a random sample of a closed surface
            needs to show no pinhole.
        core: share of a splat's radius within which a pixel shows the point that falls nearest to it, and not the
            one that is nearest to the eye: edges and small defects stay as sharp as the points are dense.
        min_radius: of a splat, in pixels.
        max_radius: of a splat, as a share of the image's side.
        tolerance: share of a splat's reach that a point may lie behind the surface before it and yet be seen: room for
            noise and curvature.
        backend: `"torch"`; `"numba"` for a CPU, three times as fast from the second scan on; or `"pytorch3d"`, which
            draws the splats. The result is the same.
    """

    views: str | Tensor | Sequence[Tensor] = "pointad9"
    image_size: int = within("[8, 8192]", 336)
    framing: str = one_of("sphere", "enclosing", "box")
    fill: float = within("[0.05, 1]", 0.9)
    orthographic: bool = False
    supersample: int = within("[1, 8]", 1)
    splat: float = within("[0.1, 10]", 1.8)
    core: float = within("[0, 1]", 0.5)
    min_radius: float = within("[0.5, 64]", 0.75)
    max_radius: float = within("[0, 0.5]", 0.1)
    tolerance: float = within("[0, 10]", 0.35)
    backend: str = one_of("torch", "numba", "pytorch3d")
