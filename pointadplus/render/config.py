"""`RenderConfig`: how to render."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ..errors import ConfigError

BACKENDS = ("torch", "numba", "pytorch3d")


@dataclass(frozen=True)
class RenderConfig:
    """How to render.

    Attributes:
        views: which rotations, see `view_rotations`.
        image_size: side of the square images in pixels.
        framing: `"sphere"` or `"box"` (PointAD's), see `frame_cameras`.
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
    image_size: int = 336
    framing: str = "sphere"
    fill: float = 0.9
    orthographic: bool = False
    supersample: int = 1
    splat: float = 1.8
    core: float = 0.5
    min_radius: float = 0.75
    max_radius: float = 0.1
    tolerance: float = 0.35
    backend: str = "torch"

    def __post_init__(self) -> None:
        ranges = {
            "image_size": (8, 8192),
            "fill": (0.05, 1.0),
            "supersample": (1, 8),
            "splat": (0.1, 10.0),
            "core": (0.0, 1.0),
            "min_radius": (0.5, 64.0),
            "max_radius": (0.0, 0.5),
            "tolerance": (0.0, 10.0),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                expected = f"{low:g} to {high:g}"
                raise ConfigError("option out of range", where=f"RenderConfig.{name}", expected=expected, found=value)
        for name, known in {"framing": ("sphere", "box"), "backend": BACKENDS}.items():
            if getattr(self, name) not in known:
                expected, found = " or ".join(map(repr, known)), getattr(self, name)
                raise ConfigError(f"unknown {name}", where=f"RenderConfig.{name}", expected=expected, found=found)
