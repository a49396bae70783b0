"""`MultiViewRenderer`: a cloud or a mesh in, its `Views` out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ..cloud import PointCloud
from ..errors import ConfigError
from ..geometry.neighbors import knn
from ..geometry.normals import estimate_normals
from ..mesh import TriangleMesh
from .cameras import Cameras, frame_cameras, view_rotations
from .mesh_correspondence import front_vertices, interpolate_on_mesh, visible_vertices
from .mesh_rasterizer import MeshFragments, rasterize_mesh
from .pytorch3d_backend import spread_pytorch3d
from .rasterizer import front_keys, home_pixels, nearest_in_window, spread, unpack, within
from .shading import shade

RADIUS_STEP = 1.35  # radii of splats are rounded up to the next of a geometric series, for `spread` costs by the radius
BACKENDS = {"torch": spread, "pytorch3d": spread_pytorch3d}
_CHUNK = 1 << 22  # points times views in flight, some 100 bytes each


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
        backend: `"torch"`, or `"pytorch3d"` to let PyTorch3D draw the splats, with the same result.
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
        for name, known in {"framing": ("sphere", "box"), "backend": tuple(BACKENDS)}.items():
            if getattr(self, name) not in known:
                expected, found = " or ".join(map(repr, known)), getattr(self, name)
                raise ConfigError(f"unknown {name}", where=f"RenderConfig.{name}", expected=expected, found=found)


@dataclass(frozen=True, eq=False)
class Views:
    """V views of a cloud of N points, or of a mesh of N vertices, and the point↔pixel map between them.

    Attributes:
        index: (V, H, W) int64, the front point of each pixel, −1 for background. On a mesh it is the nearest corner
            of the front face.
        depth: (V, H, W) float32 along the optical axis, +inf for background.
        pixels: (V, N, 2) float32, where each point falls, (x, y).
        visible: (V, N), whether a view sees a point.
        cameras: the cameras of the views.
        normals: (N, 3) unit vectors that shading uses.
        fragments, faces: the front face of each pixel with its barycentric coordinates, and the (F, 3) corners of all
            faces; None for a cloud.
        supersample: `images` are smaller by this factor.
    """

    index: Int[Tensor, "v h w"]
    depth: Float[Tensor, "v h w"]
    pixels: Float[Tensor, "v n 2"]
    visible: Bool[Tensor, "v n"]
    cameras: Cameras
    normals: Float[Tensor, "n 3"]
    fragments: MeshFragments | None = None
    faces: Int[Tensor, "f 3"] | None = None
    supersample: int = 1

    def __len__(self) -> int:
        return len(self.index)

    def at_pixels(self, values: Float[Tensor, "n *c"]) -> Float[Tensor, "v h w *c"]:
        """What each pixel shows of values at the points: the front point's, or interpolated on the front face."""
        if self.fragments is not None and self.faces is not None:
            return interpolate_on_mesh(values, self.fragments, self.faces)
        padded = torch.cat([values.new_zeros(1, *values.shape[1:]), values])  # what the background shows
        return padded.index_select(0, (self.index + 1).flatten()).view(*self.index.shape, *values.shape[1:])

    def images(
        self, channels: Sequence[str] = ("headlight",), attributes: Mapping[str, Float[Tensor, "n"]] | None = None
    ) -> Float[Tensor, "v c h w"]:
        """(V, C, H, W) float32 pictures; `shade` names the channels and their ranges."""
        images = shade(self.at_pixels, self.depth, self.cameras, self.normals, channels, attributes)
        return images if self.supersample == 1 else avg_pool2d(images, self.supersample)


class MultiViewRenderer:
    """Renders from the same rotations: `MultiViewRenderer(views="sphere12", image_size=224).render(cloud)`.

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

    def cameras(self, points: Float[Tensor, "n 3"]) -> Cameras:
        """The cameras that frame these points, one for each rotation."""
        config = self.config
        size = config.image_size * config.supersample
        return frame_cameras(points, self.rotations, size, config.framing, config.fill, config.orthographic)

    def render(
        self, scene: PointCloud | TriangleMesh, device: torch.device | str = "cpu", cameras: Cameras | None = None
    ) -> Views:
        """Rasterise a cloud or a mesh on a device.

        Each pixel of a cloud's image that points fall into draws a splat for the nearest of them. These splats, large
        enough to leave no gap, say what hides what. A pixel then shows, of the splats' points that are seen, the one
        that falls nearest to its centre; but only where points fall into it or where their morphological closing by a
        splat covers it, so that holes close and silhouettes do not grow.

        Args:
            scene: what to render; a cloud without normals gets estimated ones.
            device: where to.
            cameras: other cameras than those that frame the scene, for instance those of another rendering. Their
                image size holds.

        Beyond the result, memory is bounded by some 0.5 GB, or 100 bytes a point in clouds of over 4 million.
        """
        if isinstance(scene, TriangleMesh):
            return self._render_mesh(scene, torch.device(device), cameras)
        points = scene.points.to(device)
        normals = (estimate_normals(scene.points) if scene.normals is None else scene.normals).to(device)
        cameras = cameras or self.cameras(points)
        spacing = point_spacing(scene.points)
        typical = float(self._splat_radius(cameras, cameras.distance[:, None], spacing).min())
        some = max(1, _CHUNK // len(points))
        parts = [
            self._draw(cameras[view : view + some], points, normals, spacing, typical)
            for view in range(0, len(cameras), some)
        ]
        index, depth, pixels, visible = (torch.cat(part) for part in zip(*parts, strict=True))
        return Views(index, depth, pixels, visible, cameras, normals, supersample=self.config.supersample)

    def _draw(
        self, cameras: Cameras, points: Tensor, normals: Tensor, spacing: float, typical: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Index, depth, pixels, visible of some views; `typical` is the radius in pixels of a splat at the center."""
        config = self.config
        pixels, depth = cameras.project(points)
        keys = front_keys(pixels, depth, cameras.image_size)
        front, front_depth = unpack(keys)
        squared = _rounded(self._splat_radius(cameras, torch.where(front < 0, 1.0, front_depth), spacing))
        splats, zbuffer = unpack(BACKENDS[config.backend](keys, squared))
        visible = self._visible(cameras, points, normals, pixels, depth, splats, zbuffer, spacing)

        solid = (front >= 0) | within(splats >= 0, typical)
        seen = visible.gather(1, front.clamp_min(0).flatten(1)).view_as(front) & (front >= 0)
        nearest = nearest_in_window(torch.where(seen, front, -1), pixels, round(config.core * typical))
        index = torch.where(solid, torch.where(nearest < 0, splats, nearest), -1)
        found = index.flatten(1)
        # What a pixel shows is visible, also where it fills a hole beside a nearer splat.
        visible |= torch.zeros_like(visible).scatter_reduce_(1, found.clamp_min(0), found >= 0, "amax")
        shown = torch.where(found < 0, torch.inf, depth.gather(1, found.clamp_min(0)))
        return index, shown.view_as(zbuffer), pixels, visible

    def _render_mesh(self, mesh: TriangleMesh, device: torch.device, cameras: Cameras | None) -> Views:
        vertices, faces = mesh.vertices.to(device), mesh.faces.to(device)
        cameras = cameras or self.cameras(vertices)
        pixels, depth = cameras.project(vertices)
        fragments = rasterize_mesh(pixels, depth, faces, cameras.image_size, perspective=not cameras.orthographic)
        visible = visible_vertices(pixels, depth, fragments, faces)
        return Views(
            front_vertices(fragments, faces),
            fragments.depth,
            pixels,
            visible,
            cameras,
            mesh.vertex_normals().to(device),
            fragments,
            faces,
            self.config.supersample,
        )

    def _splat_radius(self, cameras: Cameras, depth: Float[Tensor, "v *n"], spacing: float) -> Float[Tensor, "v *n"]:
        """(V, N) pixels: one size in space, in perspective."""
        smallest = self.config.min_radius
        largest = max(smallest, self.config.max_radius * cameras.image_size)
        return (self.config.splat * spacing * cameras.pixels_per_unit(depth)).clamp_(smallest, largest)

    def _visible(
        self,
        cameras: Cameras,
        points: Tensor,
        normals: Tensor,
        pixels: Tensor,
        depth: Tensor,
        splats: Tensor,
        zbuffer: Tensor,
        spacing: float,
    ) -> Bool[Tensor, "v n"]:
        """Which points each view sees: those no deeper than the front splat, or on the same piece of surface as it.

        The two are on one piece if the step between them is across the mean of their normals, both turned towards the
        eye; on a plane and on a circle it is so exactly. So a surface that runs away from the eye or bends at an edge
        does not hide its own points, and a thin wall hides its back however it is inclined.
        """
        home, inside = home_pixels(pixels, depth, cameras.image_size)
        # A splat reaches its radius, and the point that looks up its pixel lies up to half a diagonal from the centre.
        reach = (self._splat_radius(cameras, depth, spacing) + math.sqrt(0.5)) / cameras.pixels_per_unit(depth)
        tolerance = self.config.tolerance * reach
        offsets = points - cameras.center[0]
        eyes = cameras.eyes() - cameras.center[0]
        seen = []
        for view, (at, front, near, slack) in enumerate(zip(home, splats, zbuffer, tolerance, strict=True)):
            to_eye = cameras.rotation[view, 2] if cameras.orthographic else eyes[view] - offsets
            facing = normals * (normals * to_eye).sum(1, keepdim=True).sign()
            hit = front.clamp_min(0).flatten().index_select(0, at)
            mean = facing + facing.index_select(0, hit)
            step = ((offsets - offsets.index_select(0, hit)) * mean).sum(1).abs_()
            length = mean.square().sum(1).sqrt_()
            same = (step <= slack * length) & (length > 0)  # without a normal, depth alone decides
            seen.append(same | (depth[view] - near.flatten().index_select(0, at) <= slack))
        return inside & torch.stack(seen)


def _rounded(radius: Float[Tensor, "v h w"]) -> Float[Tensor, "v h w"]:
    """Squares of radii, rounded up to a few values that no distance between pixel centres equals."""
    step = (radius.log() / math.log(RADIUS_STEP)).ceil()
    return (RADIUS_STEP ** (2.0 * step)).floor() + 0.5


def point_spacing(points: Float[Tensor, "n 3"], k: int = 8, samples: int = 1024) -> float:
    """The side of the square of surface that a point stands for, in the unit of the points.

    Median over `samples` evenly picked points of d_k·√(π/k), d_k the distance of the k-th neighbour: k points a disc.
    Grids and random samples of the same density agree, and duplicates do not fool it as they do the nearest neighbour.
    """
    queries = points[torch.linspace(0, len(points) - 1, min(samples, len(points))).round().long()]
    distance, _ = knn(points, queries, k + 1)
    return float(distance[:, -1].median()) * math.sqrt(math.pi / k)
