"""`MultiViewRenderer`: a cloud in, its `Views` out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..cloud import PointCloud
from ..errors import ConfigError
from ..geometry.neighbors import knn
from ..geometry.normals import estimate_normals
from .cameras import Cameras, frame_cameras, view_rotations
from .correspondence import visible_points
from .rasterizer import front_points, nearest_in_image, rasterize, within
from .shading import shade

MIN_SLOPE = 0.5  # ours: room for noise and curvature where the surface faces the eye


@dataclass(frozen=True)
class RenderConfig:
    """How to render.

    Attributes:
        views: which rotations, see `view_rotations`.
        image_size: side of the square images in pixels.
        framing: `"sphere"` or `"box"` (PointAD's), see `frame_cameras`.
        fill: share of the image that the object's sphere spans, in (0, 1].
        splat: radius of a splat in units of `point_spacing`; ours: about
            what a random sample of a closed surface needs to show no pinhole.
        core: share of a splat's radius within which a pixel shows the point that falls nearest to it, and not the
            one that is nearest to the eye: edges and small defects stay as sharp as the points are dense.
        min_radius: of a splat, in pixels; at least √½, so that a point always covers its own pixel.
        max_radius: of a splat, as a share of the image's side.
        max_slope: tangent of the steepest inclination at which a surface must not hide its own points.
    """

    views: str | Tensor = "pointad9"
    image_size: int = 336
    framing: str = "sphere"
    fill: float = 0.9
    splat: float = 1.8
    core: float = 0.5
    min_radius: float = 0.75
    max_radius: float = 0.1
    max_slope: float = 2.0

    def __post_init__(self) -> None:
        ranges = {
            "image_size": (8, 8192),
            "fill": (0.05, 1.0),
            "splat": (0.1, 10.0),
            "core": (0.0, 1.0),
            "min_radius": (math.sqrt(0.5), 64.0),
            "max_radius": (0.0, 0.5),
            "max_slope": (0.5, 100.0),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                expected = f"{low:g} to {high:g}"
                raise ConfigError("option out of range", where=f"RenderConfig.{name}", expected=expected, found=value)
        if self.framing not in ("sphere", "box"):
            expected = "'sphere' or 'box'"
            raise ConfigError("unknown framing", where="RenderConfig.framing", expected=expected, found=self.framing)


@dataclass(frozen=True, eq=False)
class Views:
    """V views of a cloud of N points, and the point↔pixel map between them.

    Attributes:
        index: (V, H, W) int64, the front point of each pixel, −1 for background.
        depth: (V, H, W) float32 along the optical axis, +inf for background.
        pixels: (V, N, 2) float32, where each point falls, (x, y).
        visible: (V, N), whether a view sees a point.
        cameras: the cameras of the views.
        normals: (N, 3) unit vectors that shading uses.
    """

    index: Int[Tensor, "v h w"]
    depth: Float[Tensor, "v h w"]
    pixels: Float[Tensor, "v n 2"]
    visible: Bool[Tensor, "v n"]
    cameras: Cameras
    normals: Float[Tensor, "n 3"]

    def __len__(self) -> int:
        return len(self.index)

    def images(
        self, channels: Sequence[str] = ("headlight",), attributes: Mapping[str, Float[Tensor, "n"]] | None = None
    ) -> Float[Tensor, "v c h w"]:
        """(V, C, H, W) float32 pictures; `shade` names the channels and their ranges."""
        return shade(self.index, self.depth, self.cameras, self.normals, channels, attributes)


class MultiViewRenderer:
    """Renders clouds from the same rotations: `MultiViewRenderer(views="sphere12", image_size=224).render(cloud)`.

    Args:
        config: how to render.
        options: fields of `RenderConfig` that replace those of `config`.

    Raises:
        ConfigError: an option out of range. A misspelt one raises TypeError.
    """

    def __init__(self, config: RenderConfig | None = None, **options: Any) -> None:
        self.config = replace(config or RenderConfig(), **options)
        self.rotations = view_rotations(self.config.views)

    def __len__(self) -> int:
        return len(self.rotations)

    def render(self, cloud: PointCloud, device: torch.device | str = "cpu") -> Views:
        """Rasterise a cloud on a device; a cloud without normals gets estimated ones.

        Each pixel that holds points is given a splat at the nearest of them. These splats, large enough to leave no
        gap, say what hides what. A pixel then shows, of the splats' points that are seen, the one that falls nearest
        to its centre; where none falls near, the front splat fills the hole, but only inside the morphological closing
        of the points' pixels by a splat, so that silhouettes do not grow.
        """
        config = self.config
        points = cloud.points.to(device)
        normals = (estimate_normals(cloud.points) if cloud.normals is None else cloud.normals).to(device)
        cameras = frame_cameras(points, self.rotations, config.image_size, config.framing, config.fill)
        spacing = point_spacing(cloud.points)
        pixels, depth = cameras.project(points)
        radius = self._splat_radius(cameras, depth, spacing)

        front = front_points(pixels, depth, config.image_size)
        at_front = lambda values: values.gather(1, front.clamp_min(0))  # noqa: E731
        places = torch.stack([at_front(pixels[..., 0]), at_front(pixels[..., 1])], -1)
        reach = at_front(radius)
        splats, zbuffer = rasterize(places, torch.where(front < 0, -1.0, at_front(depth)), reach, config.image_size)
        visible = visible_points(pixels, depth, zbuffer, self._tolerance(cameras, points, normals, depth, radius))

        core = (config.core * reach).clamp_min(config.min_radius)
        nearest = nearest_in_image(places, at_front(visible) & (front >= 0), core, config.image_size)
        typical = float(self._splat_radius(cameras, cameras.distance[:, None], spacing).min())
        filled = torch.where(within(splats >= 0, typical), splats, -1)
        shown = torch.where(nearest >= 0, nearest, filled).flatten(1)
        solid = shown >= 0
        index = torch.where(solid, front.gather(1, shown.clamp_min(0)), -1)
        shown_depth = torch.where(solid, depth.gather(1, index.clamp_min(0)), torch.inf)
        # What a pixel shows is visible, also where it fills a hole beside a nearer splat.
        visible |= torch.zeros_like(visible).scatter_reduce_(1, index.clamp_min(0), solid, "amax")
        size = (len(index), config.image_size, config.image_size)
        return Views(index.view(size), shown_depth.view(size), pixels, visible, cameras, normals)

    def _splat_radius(self, cameras: Cameras, depth: Tensor, spacing: float) -> Float[Tensor, "v n"]:
        """(V, N) pixels: one size in space, in perspective."""
        smallest = self.config.min_radius
        largest = max(smallest, self.config.max_radius * self.config.image_size)
        return (self.config.splat * spacing * cameras.focal / depth).clamp(smallest, largest)

    def _tolerance(
        self, cameras: Cameras, points: Tensor, normals: Tensor, depth: Tensor, radius: Tensor
    ) -> Float[Tensor, "v n"]:
        """(V, N): how much nearer its own surface may come within the reach of a splat, in the unit of depth.

        That is reach times the tangent of the surface's inclination: small where a thin wall faces the eye, so that its
        back does not show through; and large where it runs away from the eye, so that it does not hide itself.
        """
        anchor = cameras.center[0]
        eyes, offsets = cameras.eyes() - anchor, points - anchor
        along_normal = eyes @ normals.T - (offsets * normals).sum(1)
        cosine = (along_normal / torch.cdist(eyes, offsets)).abs().clamp(1e-3, 1.0)
        slope = (cosine.square().reciprocal() - 1.0).sqrt().clamp(MIN_SLOPE, self.config.max_slope)
        # A splat reaches its radius, and the pixel's centre is up to half a diagonal from the point that looks it up.
        return slope * (radius + math.sqrt(0.5)) * depth / cameras.focal


def point_spacing(points: Float[Tensor, "n 3"], k: int = 8, samples: int = 1024) -> float:
    """The side of the square of surface that a point stands for, in the unit of the points.

    Median over `samples` evenly picked points of d_k·√(π/k), d_k the distance of the k-th neighbour: k points a disc.
    Grids and random samples of the same density agree, and duplicates do not fool it as they do the nearest neighbour.
    """
    queries = points[torch.linspace(0, len(points) - 1, min(samples, len(points))).round().long()]
    distance, _ = knn(points, queries, k + 1)
    return float(distance[:, -1].median()) * math.sqrt(math.pi / k)
