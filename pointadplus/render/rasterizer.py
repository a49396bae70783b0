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
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

EMPTY = torch.iinfo(torch.int64).max  # the key of a pixel that nothing covers
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
    return unpack(_pass_down(runs.view(-1, levels, image_size, image_size)))


def front_keys(pixels: Float[Tensor, "v n 2"], depth: Float[Tensor, "v n"], image_size: int) -> Int[Tensor, "v h w"]:
    """The key of the nearest point that falls into each pixel, see `pack`; of equally near points, the first.

    Points at depth ≤ 0 or outside the image are in no pixel.
    """
    nearest = torch.full((len(depth), image_size**2), EMPTY, device=depth.device)
    for views, points in _chunks(*depth.shape):
        home, inside = home_pixels(pixels[views, points], depth[views, points], image_size)
        keys = torch.where(inside, pack(depth[views, points], points.start), EMPTY)
        nearest[views].scatter_reduce_(1, home, keys, "amin")
    return nearest.view(-1, image_size, image_size)


def home_pixels(
    pixels: Float[Tensor, "v n 2"], depth: Float[Tensor, "v n"], image_size: int
) -> tuple[Int[Tensor, "v n"], Bool[Tensor, "v n"]]:
    """The number y·W + x of the pixel that each point falls into, 0 for those before no camera or outside the image."""
    column, row = pixels[..., 0], pixels[..., 1]
    inside = (depth > 0) & (column >= 0) & (column < image_size) & (row >= 0) & (row < image_size)
    return torch.where(inside, row, 0.0).long() * image_size + torch.where(inside, column, 0.0).long(), inside


def spread(keys: Int[Tensor, "v h w"], squared_radius: Float[Tensor, "v h w"]) -> Int[Tensor, "v h w"]:
    """Each pixel's smallest key among the discs that cover it: every key draws one around the centre of its pixel.

    The same as `rasterize` of points at those centres, but work grows with the number of distinct radii, not of points.

    Args:
        keys: of `front_keys`.
        squared_radius: (V, H, W) in pixels²; a few distinct values, for each costs a pass over the images.
    """
    out = torch.empty_like(keys)
    for view in range(len(keys)):
        solid = keys[view] != EMPTY
        nearest = keys[view].clone()
        for squared in squared_radius[view][solid].unique().tolist():
            if squared >= 1.0:
                image = torch.where(solid & (squared_radius[view] == squared), keys[view], EMPTY)
                torch.minimum(nearest, _over_disc(image, squared, torch.minimum), out=nearest)
        out[view] = nearest
    return out


def within(mask: Bool[Tensor, "v h w"], radius: float) -> Bool[Tensor, "v h w"]:
    """Pixels of a mask that keep more than `radius` pixels from everything outside it; the image's edge does not count.

    The erosion by a disc, exact on pixel centres.
    """
    return ~_over_disc(~mask, radius**2, torch.logical_or)


def nearest_in_window(index: Int[Tensor, "v h w"], pixels: Float[Tensor, "v n 2"], reach: int) -> Int[Tensor, "v h w"]:
    """Of the points in the (2·reach + 1)² pixels around each pixel, the one that falls nearest to its centre.

    Args:
        index: (V, H, W) the point that stands for each pixel it falls into, −1 for none.
        pixels: (V, N, 2) where the points fall.
        reach: in pixels.

    Returns:
        index (V, H, W) int64, −1 where the window is empty; of equally near points, the first one in reading order of
        the window.
    """
    # A front image full of points is cheaper pixel by pixel, a sparse one point by point.
    search = _window_by_pixels if reach <= 1 else _window_by_points
    size, side = index.shape[-1], 2 * reach + 1
    at = torch.arange(size * size, device=index.device).view(size, size)
    out = torch.empty_like(index)
    for view, (one, place) in enumerate(zip(index, pixels, strict=True)):
        step = search(one, place, reach)
        at_nearest = at + (step.div(side, rounding_mode="floor") - reach) * size + step % side - reach
        found = one.flatten().index_select(0, torch.where(step < 0, 0, at_nearest).flatten()).view(size, size)
        out[view] = torch.where(step < 0, -1, found)
    return out


def _window_by_pixels(index: Tensor, pixels: Tensor, reach: int) -> Int[Tensor, "h w"]:
    """The place in each pixel's window, counted in reading order, of what is nearest to its centre; −1 for none."""
    size, margin = len(index), (reach, reach, reach, reach)
    x, y = pixels.index_select(0, index.clamp_min(0).flatten()).view(size, size, 2).unbind(-1)
    centre = torch.arange(size, device=index.device) + 0.5
    right = pad(torch.where(index < 0, torch.inf, centre - x), margin, value=torch.inf)  # from the point to the centre
    down = pad(centre[:, None] - y, margin)  # of its pixel
    columns = [(right - dx).square_() for dx in range(-reach, reach + 1)]
    rows = [(down - dy).square_() for dy in range(-reach, reach + 1)]
    nearest = torch.full_like(x, torch.inf)
    step = torch.full((size, size), -1, dtype=torch.int16, device=index.device)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            part = (slice(i, i + size), slice(j, j + size))
            distance = row[part] + column[part]
            step.masked_fill_(distance < nearest, i * len(columns) + j)
            torch.minimum(nearest, distance, out=nearest)
    return step.long()


def _window_by_points(index: Tensor, pixels: Tensor, reach: int) -> Int[Tensor, "h w"]:
    """The same as `_window_by_pixels`."""
    size, side = len(index), 2 * reach + 1
    row, column = (index >= 0).nonzero(as_tuple=True)
    x, y = pixels[index[row, column]].unbind(-1)
    right, down = column + 0.5 - x, row + 0.5 - y
    wide = size + 2 * reach  # a margin takes what falls outside the image
    home = (row + reach) * wide + column + reach
    nearest = torch.full((wide * wide,), EMPTY, device=index.device)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            distance = (down - dy).square() + (right - dx).square()
            step = (reach + dy) * side + reach + dx
            key = (distance.view(torch.int32).long() << 32) | step
            nearest.scatter_reduce_(0, home - (dy * wide + dx), key, "amin")
    inner = nearest.view(wide, wide)[reach : reach + size, reach : reach + size]
    return torch.where(inner == EMPTY, -1, inner & 0xFFFFFFFF)


def pack(values: Float[Tensor, "v n"], first: int = 0) -> Int[Tensor, "v n"]:
    """(V, N) int64 keys that order as the values do, and equal values as their points; `first` is the first's number.

    The bits of a positive float32 order like an integer.
    """
    numbers = torch.arange(first, first + values.shape[-1], device=values.device)
    return (values.float().contiguous().view(torch.int32).long() << 32) | numbers


def unpack(keys: Int[Tensor, "*s"]) -> tuple[Int[Tensor, "*s"], Float[Tensor, "*s"]]:
    """The points' numbers, −1 where no key is, and the values, +inf there."""
    empty = keys == EMPTY
    values = (keys >> 32).int().view(torch.float32)
    return torch.where(empty, -1, keys & 0xFFFFFFFF), torch.where(empty, torch.inf, values)


def _over_disc(image: Tensor, squared: float, join: Callable[..., Tensor]) -> Tensor:
    """Join (minimum, or) the values of all pixels within √squared of each pixel."""
    reach = math.isqrt(math.floor(squared))
    wide, width, out = image.clone(), 0, image.clone()  # `wide` is joined along rows, over ± width
    for dy in range(reach, -1, -1):
        for step in range(width + 1, min(math.isqrt(math.floor(squared - dy * dy)), image.shape[-1] - 1) + 1):
            join(wide[..., step:], image[..., :-step], out=wide[..., step:])
            join(wide[..., :-step], image[..., step:], out=wide[..., :-step])
            width = step
        if dy == 0:
            join(out, wide, out=out)
        elif dy < image.shape[-2]:
            join(out[..., dy:, :], wide[..., :-dy, :], out=out[..., dy:, :])
            join(out[..., :-dy, :], wide[..., dy:, :], out=out[..., :-dy, :])
    return out


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
