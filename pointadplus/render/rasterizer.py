"""A z-buffer of round splats: which point does each pixel show?

Points are ranked from front to back, and the front point of a pixel is the smallest rank that covers it. A minimum
does not depend on the order in which it is taken, so the result is the same, bit for bit, in any number of threads.

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

_EMPTY = torch.iinfo(torch.int32).max
_CHUNK = 1 << 19  # points times views in flight: bounds memory and keeps the working set near the cache


def rasterize(
    pixels: Float[Tensor, "v n 2"], depth: Float[Tensor, "v n"], radius: float | Float[Tensor, "#v #n"], image_size: int
) -> tuple[Int[Tensor, "v h w"], Float[Tensor, "v h w"]]:
    """The front point of each pixel.

    A point covers the pixels whose centre is within its radius. The nearest covering point wins; of equally near ones,
    the first. Points at depth ≤ 0 and splats outside the image leave no mark.

    Args:
        pixels: (V, N, 2) projected positions (x, y), see `Cameras.project`.
        depth: (V, N) float32 distances along the optical axis.
        radius: of the splats in pixels: one for all, (V, 1) or (V, N).
        image_size: side of the square images.

    Returns:
        index (V, H, W) int64 into the points, −1 for background; depth (V, H, W) float32, +inf for background.
    """
    views, count = depth.shape
    radii = torch.as_tensor(radius, dtype=depth.dtype, device=depth.device).expand(views, count)
    step = max(1, _CHUNK // count)
    chunks = [
        _rasterize_chunk(pixels[i : i + step], depth[i : i + step], radii[i : i + step], image_size)
        for i in range(0, views, step)
    ]
    index, nearest = (torch.cat(parts) for parts in zip(*chunks, strict=True))
    return index, nearest


def _rasterize_chunk(pixels: Tensor, depth: Tensor, radii: Tensor, size: int) -> tuple[Tensor, Tensor]:
    depth, order = depth.sort(stable=True)  # stable: of equally near points, the first ranks first
    radii, x, y = radii.gather(1, order), pixels[..., 0].gather(1, order), pixels[..., 1].gather(1, order)
    rank = _front_rank(x, y, depth, radii, size)
    empty = rank == _EMPTY
    found = torch.where(empty, 0, rank).long().flatten(1)
    index = torch.where(empty, -1, order.gather(1, found).view_as(rank))
    return index, torch.where(empty, torch.inf, depth.gather(1, found).view_as(rank))


def _front_rank(x: Tensor, y: Tensor, depth: Tensor, radii: Tensor, size: int) -> Int[Tensor, "v h w"]:
    """(V, H, W) smallest rank among the points that cover each pixel, `_EMPTY` where none does; points come ranked."""
    reach = math.floor(float(radii.max()) + 0.5)
    levels = min(2 * reach + 1, size).bit_length()
    runs = torch.full((len(x), levels * size * size), _EMPTY, dtype=torch.int32, device=x.device)
    ranks = torch.arange(x.shape[1], dtype=torch.int32, device=x.device)
    squared = torch.where(depth > 0, radii.square(), -1.0)
    home = y.floor()
    for offset, n in _rows(radii, reach):
        row = home[:, :n] + offset
        half = (squared[:, :n] - (row + 0.5 - y[:, :n]).square()).sqrt()  # NaN where the splat does not reach the row,
        first = (x[:, :n] - half - 0.5).ceil().clamp_min(0.0)
        last = (x[:, :n] + half - 0.5).floor().clamp_max(size - 1.0)
        covered = (first <= last) & (row >= 0) & (row < size)  # and NaN compares as false
        length = torch.where(covered, last - first + 1.0, 1.0)
        level = torch.frexp(length).exponent - 1
        origin = torch.where(covered, row, 0.0).long() * size + level.long() * (size * size)
        start = torch.where(covered, first, 0.0).long()
        slack = (length - torch.ldexp(torch.ones_like(length), level)).long()
        rank = torch.where(covered, ranks[:n], _EMPTY)
        runs.scatter_reduce_(1, origin + start, rank, "amin")
        runs.scatter_reduce_(1, origin + start + slack, rank, "amin")
    return _pass_down(runs.view(-1, levels, size, size))


def _rows(radii: Tensor, reach: int) -> Iterator[tuple[int, int]]:
    """Offsets of the rows that a splat can cover wherever in its own pixel it lies, and how many ranks can.

    Splats of one size in space shrink with depth, so that far rows concern the first ranks only.
    """
    offsets = torch.arange(-reach, reach + 1)
    largest = radii.amax(0).flip(0).cummax(0).values.cpu()  # the largest of the last 1, 2, ... ranks, ascending
    able = len(largest) - torch.searchsorted(largest, offsets.abs() - 0.5)
    return zip(offsets.tolist(), able.tolist(), strict=True)


def _pass_down(runs: Int[Tensor, "v l h w"]) -> Int[Tensor, "v h w"]:
    """Minima over runs of 2^l pixels, noted at their first one, become minima over pixels."""
    for level in range(runs.shape[1] - 1, 0, -1):
        whole, part, half = runs[:, level], runs[:, level - 1], 1 << (level - 1)
        torch.minimum(part, whole, out=part)
        torch.minimum(part[..., half:], whole[..., :-half], out=part[..., half:])
    return runs[:, 0]
