"""PyTorch3D's point rasteriser behind our signatures: optional, and made to check ours and to time it.

PyTorch3D measures in normalised device coordinates: +x left, +y up, the sides of a square image at ±1. Its pixel
centres are ours, and it hides what lies at a depth below 0 and nothing else: it has no other near plane. It differs
from ours in two things. A pixel whose centre lies just on the rim of a splat is outside for it and inside for us. And
of equally near points, which shows is left open on CUDA; on CPU it is the first, as with us. (Ravi et al., Accelerating
3D Deep Learning with PyTorch3D, 2020.)
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import ConfigError, install_command
from .soft import Fragments
from .splatting import Codes, Disc


def rasterize_pytorch3d(
    pixels: Float[Tensor, "v n 2"], depth: Float[Tensor, "v n"], radius: float | Float[Tensor, "#v #n"], image_size: int
) -> tuple[Int[Tensor, "v h w"], Float[Tensor, "v h w"]]:
    """The front point of each pixel, by PyTorch3D: the first of the nearest splats of `rasterize_fragments`.

    Returns:
        index (V, H, W) int64 into the points, −1 for background; depth (V, H, W) float32, +inf for background.

    Raises:
        ConfigError: PyTorch3D is missing, or built for another torch.
    """
    fragments = fragments_pytorch3d(pixels, depth, radius, image_size, 1)
    return fragments.index[..., 0], fragments.depth[..., 0]


def fragments_pytorch3d(
    pixels: Float[Tensor, "v n 2"],
    depth: Float[Tensor, "v n"],
    radius: float | Float[Tensor, "#v #n"],
    image_size: int,
    k: int = 8,
) -> Fragments:
    """The K nearest splats of each pixel: `rasterize_fragments` with the same arguments, by PyTorch3D.

    Unlike ours, depths and squared distances carry gradients to `pixels` and `depth`. All is computed in float32. On
    CPU every pixel asks every point, so time grows with N · V · H · W. Views are taken one by one.

    Raises:
        ConfigError: PyTorch3D is missing, or built for another torch.
    """
    point_clouds, rasterize_points = _pytorch3d()
    step = 2.0 / image_size  # a pixel's side in normalised device coordinates
    radii = step * torch.as_tensor(radius, dtype=torch.float32, device=depth.device).expand(depth.shape)
    x, y = (1.0 - step * pixels).unbind(-1)
    points = torch.stack([x, y, torch.where(depth > 0, depth, -1.0)], -1).float()  # or NaN would show
    views = [
        # On CUDA it sorts points into bins first. A bin has room for a fifth of them by default, and is not checked.
        rasterize_points(point_clouds(one[None]), image_size, reach[None], k, max_points_per_bin=len(one))
        for one, reach in zip(points, radii, strict=True)
    ]
    index, nearest, squared = (torch.cat(parts) for parts in zip(*views, strict=True))
    empty = index < 0
    return Fragments(
        index.long(), torch.where(empty, torch.inf, nearest), torch.where(empty, torch.inf, squared / step**2)
    )


def splat_pytorch3d(image: Int[Tensor, "v p"], disc: Disc, codes: Codes) -> Int[Tensor, "v p"]:
    """`splat` with the same arguments and the same result, by PyTorch3D."""
    window, out = codes.window, image.clone()
    for view, row in enumerate(image):
        ordered, at = row.sort()
        ordered = ordered[ordered < codes.nothing]
        centres = (
            torch.stack([at % window.width, at.div(window.width, rounding_mode="floor")], -1)[: len(ordered)] + 0.5
        )
        rank = torch.arange(1.0, len(ordered) + 1, device=at.device)  # as a depth: float32 does not hold all codes
        if len(ordered):
            index, _ = rasterize_pytorch3d(
                centres[None], rank[None], math.sqrt(disc.squared), max(window.height, window.width)
            )
            found = index[0, : window.height, : window.width].flatten()
            out[view] = torch.where(found < 0, codes.nothing, ordered[found.clamp_min(0)])
    return out


def _pytorch3d() -> tuple[Any, Any]:
    """The class `Pointclouds` and the function `rasterize_points`."""
    try:
        from pytorch3d.renderer.points.rasterize_points import (  # pyright: ignore[reportMissingImports] - optional
            rasterize_points,
        )
        from pytorch3d.structures import Pointclouds  # pyright: ignore[reportMissingImports]
    except ImportError as error:  # also one whose compiled part finds not what it needs in this torch
        raise ConfigError(
            "PyTorch3D is missing or does not load",
            expected="easypytorch3d 0.7.9.post1 with torch 2.11 or 2.12",
            found=f"{error}, with torch {torch.__version__}",
            hint=install_command("pytorch3d"),
        ) from error
    return Pointclouds, rasterize_points
