"""`Views`: what a renderer gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import avg_pool2d

from .cameras import Cameras
from .mesh_correspondence import interpolate_on_mesh
from .mesh_rasterizer import MeshFragments
from .shading import shade
from .surfels import tangent_depth


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

    def __getitem__(self, views: slice) -> Views:
        """Some of the views, in the same memory."""
        names = ("index", "depth", "pixels", "visible", "cameras")
        parts: dict[str, Any] = {name: getattr(self, name)[views] for name in names}
        if self.fragments is not None:
            parts["fragments"] = self.fragments[views]
        return replace(self, **parts)

    def at_pixels(self, values: Float[Tensor, "n *c"]) -> Float[Tensor, "v h w *c"]:
        """What each pixel shows of values at the points: the front point's, or interpolated on the front face."""
        if self.fragments is not None and self.faces is not None:
            return interpolate_on_mesh(values, self.fragments, self.faces)
        padded = torch.cat([values.new_zeros(1, *values.shape[1:]), values])  # what the background shows
        return padded.index_select(0, (self.index + 1).flatten()).view(*self.index.shape, *values.shape[1:])

    def tangent_depth(self) -> Float[Tensor, "v h w"]:
        """`depth` without the steps between splats, see `surfels.tangent_depth`; that of a mesh has none."""
        if self.faces is not None:
            return self.depth
        return tangent_depth(self.index, self.depth, self.pixels, self.cameras, self.normals)

    def images(
        self, channels: Sequence[str] = ("headlight",), attributes: Mapping[str, Float[Tensor, "n"]] | None = None
    ) -> Float[Tensor, "v c h w"]:
        """(V, C, H, W) float32 pictures; `shade` names the channels and their ranges."""
        tangent = self.tangent_depth() if "tangent_depth" in channels else None
        images = shade(self.at_pixels, self.depth, self.cameras, self.normals, channels, attributes, tangent)
        return images if self.supersample == 1 else avg_pool2d(images, self.supersample)
