"""A z-buffer of round splats: which point does each pixel show?

A point's key is its depth with its number behind it, in one integer, and a pixel keeps the smallest key that covers it.
A minimum does not depend on the order in which it is taken, so the result is the same, bit for bit, in any number of
threads and chunks.

Work grows with the radius of the splats, not with their area: a splat is a few rows of pixels, and a row, whatever its
length, is the union of two overlapping runs whose length is a power of two. Runs are noted at their first pixel in one
image a length; then each length is passed down to its two halves until single pixels are left.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .keys import EMPTY, pack, unpack

_CHUNK = 1 << 18  # points times views in flight: bounds memory and keeps the working set near the cache


def rasterize(
    pixels: Float[Tensor, "v n 2"], depth: Float[Tensor, "v n"], radius: float | Float[Tensor, "#v #n"], image_size: int
) -> tuple[Int[Tensor, "v h w"], Float[Tensor, "v h w"]]:
    """The front point of each pixel.

    A point covers the pixels whose centre is within its radius. The nearest covering point wins; of equally near ones,
    the first. Points at depth ≤ 0 and splats outside the image leave no mark.

    Args:
        pixels: (V, N, 2) projected positions (x, y), see `Cameras.project`.
        depth: (V, N) distances along the optical axis, compared as float32.
        radius: of the splats in pixels: one for all, (V, 1) or (V, N).
        image_size: side of the square images.

    Returns:
        index (V, H, W) int64 into the points, −1 for background; depth (V, H, W) float32, +inf for background.
    """
    radii = torch.as_tensor(radius, dtype=depth.dtype, device=depth.device).expand(depth.shape)
    longest = min(math.floor(2.0 * float(radii.max())) + 1, image_size)  # pixels that a row of a splat can cover
    levels = max(1, (longest - 1).bit_length())
    reach = math.floor(float(radii.max()) + 0.5)
    runs = torch.full((len(depth), levels * image_size**2), EMPTY, device=depth.device)
    for views, points in _chunks(*depth.shape):
        part, x, y = views, pixels[views, points, 0], pixels[views, points, 1]
        keys = pack(depth[views, points], points.start)
        squared = torch.where(depth[views, points] > 0, radii[views, points].square(), -1.0)
        for offset in range(-reach, reach + 1):
            _note_row(runs[part], x, y, squared, keys, offset, levels, image_size)
    index, nearest = unpack(_pass_down(runs.view(-1, levels, image_size, image_size)))
    return index.long(), nearest


def _chunks(views: int, count: int) -> Iterator[tuple[slice, slice]]:
    """Slices of views and of points with at most `_CHUNK` pairs each."""
    some, part = max(1, _CHUNK // max(1, count)), min(count, _CHUNK)
    for view in range(0, views, some):
        for point in range(0, count, max(1, part)):
            yield slice(view, min(view + some, views)), slice(point, min(point + part, count))


def _note_row(
    runs: Tensor, x: Tensor, y: Tensor, squared: Tensor, keys: Tensor, offset: int, levels: int, size: int
) -> None:
    """Note the row of each splat that lies `offset` rows below the one of its centre."""
    row = y.floor().add_(offset)
    half = (squared - (row + 0.5 - y).square_()).sqrt_()  # NaN where the splat does not reach the row,
    first = (x - half).sub_(0.5).ceil_().clamp_min_(0.0)
    last = (x + half).sub_(0.5).floor_().clamp_max_(size - 1.0)
    covered = (first <= last) & (row >= 0) & (row < size)  # and NaN compares as false
    slack = torch.where(covered, last.sub_(first), 0.0).long()
    start = torch.where(covered, row, 0.0).long().mul_(size).add_(torch.where(covered, first, 0.0).long())
    for level in range(1, levels):  # the shortest run two of which cover the row
        longer = slack >= 1 << level
        start += longer * (size * size)
    if levels > 1:
        slack -= (1 << start.div(size * size, rounding_mode="floor")) - 1
    keys = torch.where(covered, keys, EMPTY)
    runs.scatter_reduce_(1, start, keys, "amin")
    runs.scatter_reduce_(1, start + slack, keys, "amin")


def _pass_down(runs: Int[Tensor, "v l h w"]) -> Int[Tensor, "v h w"]:
    """Minima over runs of 2^l pixels, noted at their first one, become minima over pixels."""
    for level in range(runs.shape[1] - 1, 0, -1):
        whole, part, half = runs[:, level], runs[:, level - 1], 1 << (level - 1)
        torch.minimum(part, whole, out=part)
        torch.minimum(part[..., half:], whole[..., :-half], out=part[..., half:])
    return runs[:, 0]
