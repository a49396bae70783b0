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
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

_EMPTY = torch.iinfo(torch.int64).max
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
    runs = torch.full((len(depth), levels * image_size**2), _EMPTY, device=depth.device)
    for views, points in _chunks(*depth.shape):
        part, x, y = views, pixels[views, points, 0], pixels[views, points, 1]
        keys = pack(depth[views, points], points.start)
        squared = torch.where(depth[views, points] > 0, radii[views, points].square(), -1.0)
        for offset in range(-reach, reach + 1):
            _note_row(runs[part], x, y, squared, keys, offset, levels, image_size)
    return unpack(_pass_down(runs.view(-1, levels, image_size, image_size)))


def front_points(
    pixels: Float[Tensor, "v n 2"], depth: Float[Tensor, "v n"], image_size: int
) -> Int[Tensor, "v m"]:
    """The nearest point in each pixel that has any: (V, M) int64, row by row of the image, filled up with −1.

    Of equally near points, the first. Points at depth ≤ 0 or outside the image are in no pixel.
    """
    nearest = torch.full((len(depth), image_size**2), _EMPTY, device=depth.device)
    for views, points in _chunks(*depth.shape):
        home, inside = home_pixels(pixels[views, points], depth[views, points], image_size)
        keys = torch.where(inside, pack(depth[views, points], points.start), _EMPTY)
        nearest[views].scatter_reduce_(1, home, keys, "amin")
    found = [row[row != _EMPTY] & 0xFFFFFFFF for row in nearest]
    return pad_sequence(found, batch_first=True, padding_value=-1)


def home_pixels(
    pixels: Float[Tensor, "v n 2"], depth: Float[Tensor, "v n"], image_size: int
) -> tuple[Int[Tensor, "v n"], Bool[Tensor, "v n"]]:
    """The number y·W + x of the pixel that each point falls into, 0 for those before no camera or outside the image."""
    column, row = pixels.floor().unbind(-1)
    inside = (depth > 0) & (column >= 0) & (column < image_size) & (row >= 0) & (row < image_size)
    return torch.where(inside, row, 0.0).long() * image_size + torch.where(inside, column, 0.0).long(), inside


def nearest_in_image(
    pixels: Float[Tensor, "v n 2"],
    shown: Bool[Tensor, "v n"],
    radius: float | Float[Tensor, "#v #n"],
    image_size: int,
) -> Int[Tensor, "v h w"]:
    """The point that falls nearest to each pixel's centre, among those that may be shown and reach it.

    Args:
        pixels: (V, N, 2) projected positions (x, y).
        shown: (V, N) which points may be shown in which view; they lie inside the image.
        radius: in pixels, how far a point reaches.
        image_size: side of the square images.

    Returns:
        index (V, H, W) int64 into the points, −1 where none reaches; of equally near points, the first.
    """
    radii = torch.as_tensor(radius, dtype=pixels.dtype, device=pixels.device).expand(shown.shape)
    reach = math.floor(float(radii.max()) + 0.5)
    nearest = torch.full((len(shown), image_size**2), _EMPTY, device=pixels.device)
    for views, points in _chunks(*shown.shape):
        view, point = shown[views, points].nonzero(as_tuple=True)
        x, y = pixels[views, points][view, point].unbind(-1)
        squared = radii[views, points][view, point].square()
        column, row = x.long(), y.long()
        home = (view + views.start) * image_size**2 + row * image_size + column
        right, down = column + 0.5 - x, row + 0.5 - y  # from the point to the centre of its own pixel
        number = point + points.start
        for dy in range(-reach, reach + 1):
            for dx in range(-reach, reach + 1):
                distance = (right + dx).square() + (down + dy).square()
                covered = distance <= squared
                covered &= (column >= -dx) & (column < image_size - dx) & (row >= -dy) & (row < image_size - dy)
                key = torch.where(covered, (distance.view(torch.int32).long() << 32) | number, _EMPTY)
                at = torch.where(covered, home + (dy * image_size + dx), 0)
                nearest.view(-1).scatter_reduce_(0, at, key, "amin")
    return unpack(nearest.view(-1, image_size, image_size))[0]


def within(mask: Bool[Tensor, "v h w"], radius: float) -> Bool[Tensor, "v h w"]:
    """Pixels of a mask that keep more than `radius` pixels from everything outside it; the image's edge does not count.

    The erosion by a disc, exact on pixel centres.
    """
    outside, reach = ~mask, math.floor(radius)
    wide, width, found = outside.clone(), 0, outside.clone()
    for dy in range(reach, -1, -1):
        for step in range(width + 1, math.floor(math.sqrt(radius**2 - dy**2)) + 1):
            if step < mask.shape[-1]:
                wide[..., step:] |= outside[..., :-step]
                wide[..., :-step] |= outside[..., step:]
            width = step
        if dy == 0:
            found |= wide
        elif dy < mask.shape[-2]:
            found[..., dy:, :] |= wide[..., :-dy, :]
            found[..., :-dy, :] |= wide[..., dy:, :]
    return ~found


def pack(values: Float[Tensor, "v n"], first: int = 0) -> Int[Tensor, "v n"]:
    """(V, N) int64 keys that order as the values do, and equal values as their points; `first` is the first's number.

    The bits of a positive float32 order like an integer.
    """
    numbers = torch.arange(first, first + values.shape[-1], device=values.device)
    return (values.float().contiguous().view(torch.int32).long() << 32) | numbers


def unpack(keys: Int[Tensor, "v h w"]) -> tuple[Int[Tensor, "v h w"], Float[Tensor, "v h w"]]:
    """The points' numbers, −1 where no key is, and the values, +inf there."""
    empty = keys == _EMPTY
    values = (keys >> 32).int().view(torch.float32)
    return torch.where(empty, -1, keys & 0xFFFFFFFF), torch.where(empty, torch.inf, values)


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
    keys = torch.where(covered, keys, _EMPTY)
    runs.scatter_reduce_(1, start, keys, "amin")
    runs.scatter_reduce_(1, start + slack, keys, "amin")


def _pass_down(runs: Int[Tensor, "v l h w"]) -> Int[Tensor, "v h w"]:
    """Minima over runs of 2^l pixels, noted at their first one, become minima over pixels."""
    for level in range(runs.shape[1] - 1, 0, -1):
        whole, part, half = runs[:, level], runs[:, level - 1], 1 << (level - 1)
        torch.minimum(part, whole, out=part)
        torch.minimum(part[..., half:], whole[..., :-half], out=part[..., half:])
    return runs[:, 0]
