"""The front splat of each pixel, the plain way: every pixel asks every point."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def rasterize(
    pixels: Float[Tensor, "v n 2"], depth: Float[Tensor, "v n"], radius: float | Float[Tensor, "#v #n"], image_size: int
) -> tuple[Int[Tensor, "v h w"], Float[Tensor, "v h w"]]:
    """Index (V, H, W) of the nearest point whose splat covers a pixel's centre, −1 for none; its depth, +inf for none.

    Of equally near points the first; one at depth ≤ 0 leaves no mark. A splat is a run of pixels in each row, with
    ends rounded as `rasterize_fragments` rounds them.
    """
    radii = torch.as_tensor(radius, dtype=depth.dtype).expand(depth.shape)
    row, column = torch.arange(image_size)[:, None, None], torch.arange(image_size)[:, None]
    index, nearest = [], []
    for xy, far, reach in zip(pixels, depth, radii, strict=True):
        half = (reach.square() - (row + 0.5 - xy[:, 1]).square()).sqrt()  # (H, 1, N); NaN: not reached
        covered = (column >= (xy[:, 0] - half - 0.5).ceil()) & (column <= (xy[:, 0] + half - 0.5).floor()) & (far > 0)
        front, which = torch.where(covered, far, torch.inf).min(-1)
        nearest.append(front)
        index.append(torch.where(front < torch.inf, which, -1))
    return torch.stack(index), torch.stack(nearest)


def visible_points(
    pixels: Float[Tensor, "v n 2"], depth: Float[Tensor, "v n"], zbuffer: Float[Tensor, "v h w"], tolerance: float
) -> Tensor:
    """(V, N) which points each view sees: inside the image, in front, no deeper than the z-buffer + tolerance."""
    size = zbuffer.shape[-1]
    inside = (depth > 0) & (pixels >= 0).all(-1) & (pixels < size).all(-1)
    x, y = pixels.where(inside[..., None], 0.0).long().unbind(-1)
    return inside & (depth <= zbuffer.flatten(1).gather(1, y * size + x) + tolerance)
