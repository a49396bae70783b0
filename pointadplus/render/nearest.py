"""Of the points around each pixel, the one that falls nearest to its centre."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .keys import EMPTY
from .window import Window

FINE = 512  # steps to a pixel in which distances are compared: in integers, so that no rounding decides
_BITS = 3  # for a row and for a column of a square of up to 7 × 7 pixels
_FAR = 1 << 30


def nearest_in_window(
    seen: Bool[Tensor, "v p"], places: Float[Tensor, "v p 2"], reach: int, window: Window
) -> Int[Tensor, "v p"]:
    """Of the points in the (2·reach + 1)² pixels around each pixel, the one that falls nearest to its centre.

    Args:
        seen: (V, H·W) which pixels hold a point; none within 2·`reach` of the window's rim.
        places: (V, H·W, 2) in pixels where these points fall, anything where there is none.
        reach: in pixels, below 1,000.

    Returns:
        (V, H·W) int32 the numbers of these points' pixels, 0 where there is none. Distances are compared to 1/512 of a
        pixel; of equally near points, it is the first one in reading order of the square.
    """
    row, column = window.grid(seen.device)
    grid = places.view(-1, window.height, window.width, 2)
    offsets = (column + (window.left + 0.5)) - grid[..., 0], (row + (window.top + 0.5)) - grid[..., 1]
    right, down = (part.mul_(FINE).round_().clamp_(-FINE, FINE).int().flatten(1).mul_(seen) for part in offsets)
    search = _by_pixels if reach <= 2 else _by_points  # few pixels to look at, or few points to be looked at
    return search(seen, right, down, reach, window.width)


def _by_pixels(seen: Tensor, right: Tensor, down: Tensor, reach: int, width: int) -> Int[Tensor, "v p"]:
    count, mask, steps = seen.shape[1], (1 << _BITS) - 1, range(2 * reach + 1)
    hidden = (~seen).int().mul_(_FAR)
    across = [_squared(right - FINE * (i - reach)).mul_(1 << 2 * _BITS).add_(hidden).add_(i) for i in steps]
    along = [_squared(down - FINE * (i - reach)).mul_(1 << 2 * _BITS).add_(i << _BITS) for i in steps]
    rim = reach * (width + 1)
    best = torch.full_like(right, _FAR)
    inner, key = best[:, rim : count - rim], torch.empty_like(best[:, 2 * rim :])
    for i in steps:
        for j in steps:
            part = slice(i * width + j, count - 2 * rim + i * width + j)
            torch.add(across[j][:, part], along[i][:, part], out=key)
            torch.minimum(inner, key, out=inner)
    at = torch.arange(-rim, count - rim, dtype=torch.int32, device=seen.device)
    return at.add(best & mask).add_((best >> _BITS).bitwise_and_(mask).mul_(width)).mul_(best < _FAR)


def _by_points(seen: Tensor, right: Tensor, down: Tensor, reach: int, width: int) -> Int[Tensor, "v p"]:
    """The same as `_by_pixels`."""
    home = flat_nonzero(seen)
    x, y = (part.flatten().index_select(0, home).long() for part in (right, down))
    side, bits = 2 * reach + 1, ((2 * reach + 1) ** 2).bit_length()
    steps = torch.arange(-reach, reach + 1, device=seen.device)
    best = torch.full((seen.numel(),), EMPTY, device=seen.device)
    across = _squared(x - FINE * steps[:, None])
    for dy in range(-reach, reach + 1):
        key = (across + _squared(y - FINE * dy) << bits) + (steps[:, None] + (dy + reach) * side + reach)
        best.scatter_reduce_(0, (home - dy * width - steps[:, None]).flatten(), key.flatten(), "amin")
    at = flat_nonzero(best < EMPTY)
    step = best.index_select(0, at) & ((1 << bits) - 1)
    jump = (step.div(side, rounding_mode="floor") - reach) * width + step % side - reach
    found = torch.zeros(seen.numel(), dtype=torch.int32, device=seen.device)
    found[at] = (at % seen.shape[1] + jump).int()
    return found.view_as(seen)


def flat_nonzero(mask: Bool[Tensor, "*s"]) -> Int[Tensor, "m"]:
    """Where a mask is true, counted through; on a CPU by NumPy, which is five times as fast."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.flatten().nonzero()[:, 0]


def _squared(numbers: Tensor) -> Tensor:
    return numbers.mul_(numbers)  # torch's square of integers is a power, and ten times as slow
