"""The point↔pixel map at work: values from maps to points, over views, and back."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import grid_sample

from ..geometry.neighbors import knn


def visible_points(
    pixels: Float[Tensor, "v n 2"],
    depth: Float[Tensor, "v n"],
    zbuffer: Float[Tensor, "v h w"],
    tolerance: float | Float[Tensor, "v #n"],
) -> Bool[Tensor, "v n"]:
    """Which points each view sees: inside the image, before the camera, and no deeper than the z-buffer + tolerance.

    Args:
        pixels, depth: of `Cameras.project`.
        zbuffer: (V, H, W) of `rasterize`, +inf where nothing stands.
        tolerance: in the unit of depth.
    """
    size = zbuffer.shape[-1]
    x, y = pixels.unbind(-1)
    inside = (depth > 0) & (x >= 0) & (x < size) & (y >= 0) & (y < size)
    home = torch.where(inside, y, 0.0).long() * size + torch.where(inside, x, 0.0).long()
    return inside & (depth <= zbuffer.flatten(1).gather(1, home) + tolerance)


def gather_at_points(
    maps: Float[Tensor, "v c h w"], pixels: Float[Tensor, "v n 2"], image_size: int
) -> Float[Tensor, "v n c"]:
    """Bilinear values of each view's map at each point's pixel.

    The map, of any resolution, covers the whole image; beyond the centres of its outermost cells their values hold.
    """
    grid = (2.0 / image_size) * pixels - 1.0
    sampled = grid_sample(maps, grid[:, None].to(maps.dtype), padding_mode="border", align_corners=False)
    return sampled[:, :, 0].transpose(1, 2)


def visible_mean(
    values: Float[Tensor, "v n c"], visible: Bool[Tensor, "v n"]
) -> tuple[Float[Tensor, "n c"], Bool[Tensor, "n"]]:
    """Mean over the views that see a point, and whether any does; zeros where none."""
    total = torch.einsum("vnc,vn->nc", values, visible.to(values.dtype))
    count = visible.sum(0)
    return total / count.clamp_min(1)[:, None], count > 0


def lift_to_points(
    maps: Float[Tensor, "v c h w"], pixels: Float[Tensor, "v n 2"], visible: Bool[Tensor, "v n"], image_size: int
) -> tuple[Float[Tensor, "n c"], Bool[Tensor, "n"]]:
    """`visible_mean` of `gather_at_points`, one view at a time and for its visible points only.

    The (V, N, C) table in between, gigabytes for a dense scan and wide features, never exists.
    """
    total = maps.new_zeros(visible.shape[1], maps.shape[1])
    for view_map, view_pixels, mask in zip(maps, pixels, visible, strict=True):
        seen_here = mask.nonzero()[:, 0]
        total[seen_here] += gather_at_points(view_map[None], view_pixels[None, seen_here], image_size)[0]
    count = visible.sum(0)
    return total / count.clamp_min(1)[:, None], count > 0


def fill_unseen(
    values: Float[Tensor, "n c"], seen: Bool[Tensor, "n"], points: Float[Tensor, "n 3"], k: int = 3
) -> Float[Tensor, "n c"]:
    """Give each point that no view sees the mean of its k nearest seen points; all stay as they are if none is seen."""
    if seen.all() or not seen.any():
        return values
    k = min(k, int(seen.sum()))
    _, index = knn(points[seen], points[~seen], k)
    filled = values.clone()
    filled[~seen] = values[seen][index].mean(1)
    return filled


def rasterize_labels(
    labels: Float[Tensor, "n"] | Bool[Tensor, "n"] | Int[Tensor, "n"], index: Int[Tensor, "v h w"]
) -> Float[Tensor, "v h w"]:
    """The label of each pixel's front point as float32, 0 on the background."""
    return torch.where(index >= 0, labels.float()[index.clamp_min(0)], 0.0)
