"""`MultiViewRenderer`: a cloud or a mesh in, its `Views` out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..cloud import PointCloud
from ..geometry.normals import estimate_normals
from ..geometry.spacing import point_spacing
from ..io import TriangleMesh
from .cameras import Cameras, frame_cameras, view_rotations
from .config import RenderConfig
from .drawing import draw
from .mesh_correspondence import front_vertices, visible_vertices
from .mesh_rasterizer import rasterize_mesh
from .numba_backend import draw_numba
from .splat_size import SplatSize
from .views import Views
from .visibility import Surface

_CHUNK = 1 << 23  # points and pixels times views in flight, some 100 bytes each; a CPU takes view by view


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

        Args:
            scene: what to render; a cloud without normals gets estimated ones.
            device: where to.
            cameras: other cameras than those that frame the scene, for instance those of another rendering, in the
                scene's frame (`Cameras.offset`). Their image size holds.

        Beyond the result, memory is bounded on a CPU, where views are drawn one by one, by about 70 bytes a point and
        60 MB for images of 336; elsewhere by twice that for each view in flight, up to about 1 GB.
        """
        if isinstance(scene, TriangleMesh):
            return self._render_mesh(scene, torch.device(device), cameras)
        points = _seen_by(cameras, scene.points, scene.offset).to(device)
        normals = (estimate_normals(scene.points) if scene.normals is None else scene.normals).to(device)
        cameras = cameras or replace(self.cameras(points), offset=scene.offset)
        views = self._blank(cameras, points, normals)
        surface, spacing = Surface.of(points, normals), point_spacing(scene.points)
        if self.config.backend == "numba":
            draw_numba(views, points, surface, SplatSize(self.config, cameras, spacing))
            return views
        alike = bool((cameras.distance == cameras.distance[0]).all())
        some = max(1, _CHUNK // (len(points) + cameras.image_size**2)) if alike and points.is_cuda else 1
        for view in range(0, len(cameras), some):
            part = views[view : view + some]
            draw(part, points, surface, SplatSize(self.config, part.cameras, spacing))
        return views

    def _blank(self, cameras: Cameras, points: Tensor, normals: Tensor) -> Views:
        """Views to be drawn into."""
        count, size, device = len(cameras), cameras.image_size, points.device
        return Views(
            torch.full((count, size, size), -1, device=device),
            torch.full((count, size, size), torch.inf, device=device),
            torch.empty((count, len(points), 2), device=device),
            torch.empty((count, len(points)), dtype=torch.bool, device=device),
            cameras,
            normals,
            supersample=self.config.supersample,
        )

    def _render_mesh(self, mesh: TriangleMesh, device: torch.device, cameras: Cameras | None) -> Views:
        vertices = _seen_by(cameras, mesh.vertices, mesh.offset).to(device)
        faces = mesh.faces.to(device)
        cameras = cameras or replace(self.cameras(vertices), offset=mesh.offset)
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


def _seen_by(cameras: Cameras | None, points: Float[Tensor, "n 3"], offset: Float[Tensor, "3"]) -> Float[Tensor, "n 3"]:
    """Points about an offset, about that of given cameras."""
    if cameras is None:
        return points
    shift = offset - (0.0 if cameras.offset is None else cameras.offset)
    return (points.double() + shift).to(points.dtype) if shift.any() else points
