"""From the points that fall into pixels to images without gaps: splats, their closing, and the nearest point around.

All is done in a `Window`, a part of the image plane with a margin that stays empty. An image in a window is a row of
numbers, (V, H·W): a step right is a step of 1, a step down one of W, and what is carried over the end of a line falls
into the margin, where nothing is. So no step needs to look at where it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .keys import EMPTY

FINE = 512  # steps to a pixel in which distances are compared: in integers, so that no rounding decides
_BITS = 3  # for a row and for a column of a square of up to 7 × 7 pixels
_FAR = 1 << 30


@dataclass(frozen=True)
class Window:
    """A part of the image plane, in the picture or beside it.

    Attributes:
        left, top: the first pixel, as a number of the picture's.
        width, height: in pixels, with the margin.
        margin: width of the margin on each side.
    """

    left: int
    top: int
    width: int
    height: int
    margin: int

    @property
    def size(self) -> int:
        return self.width * self.height

    @classmethod
    def around(cls, pixels: Float[Tensor, "v n 2"], image_size: int, reach: int) -> Window:
        """What holds all points that lie in the picture or up to `reach` pixels beside it, and a margin as wide."""
        sides = []
        for low, high in (torch.aminmax(pixels[..., axis]) for axis in (0, 1)):
            first, last = float(low), float(high)
            # Behind the eye a point falls anywhere, and in the eye nowhere: then the whole picture it is.
            first = math.floor(min(max(first, -reach), image_size)) if first == first else -reach
            last = math.floor(min(max(last, -1), image_size + reach - 1)) if last == last else image_size + reach - 1
            sides.append((first - reach - 1, max(last - first, 0) + 1 + 2 * (reach + 1)))
        (left, width), (top, height) = sides
        return cls(left, top, width, height, reach + 1)

    def home(self, pixels: Float[Tensor, "v n 2"], depth: Float[Tensor, "v n"]) -> Int[Tensor, "v n"]:
        """(V, N) int32 numbers of the pixels of the window that points fall into; in the margin for what falls outside.

        Points at depth ≤ 0 fall outside.
        """
        last = self.margin - 1, self.width - self.margin, self.height - self.margin
        column = pixels[..., 0].floor().sub_(self.left).nan_to_num_(0.0).clamp_(last[0], last[1])
        row = pixels[..., 1].floor().sub_(self.top).nan_to_num_(0.0).clamp_(last[0], last[2])
        return row.int().mul_(self.width).add_(column.int()).mul_(depth > 0)

    def grid(self, device: torch.device) -> tuple[Int[Tensor, "h 1"], Int[Tensor, "1 w"]]:
        """Rows and columns of the pixels, int32, counted in the window."""
        row, column = (torch.arange(size, dtype=torch.int32, device=device) for size in (self.height, self.width))
        return row[:, None], column[None]

    def holds(self, at: Int[Tensor, "m"], image_size: int) -> Bool[Tensor, "m"]:
        """Which of the window's pixels are of the picture."""
        rows, columns, _, _ = self._overlap(image_size)
        row, column = at.div(self.width, rounding_mode="floor"), at % self.width
        return (row >= rows.start) & (row < rows.stop) & (column >= columns.start) & (column < columns.stop)

    def clear_margin(self, image: Tensor, value: int | float) -> None:
        """Fill the margins of images (V, H·W)."""
        rows, columns = (slice(self.margin, side - self.margin) for side in (self.height, self.width))
        self._frame(image, value, rows, columns)

    def clear_beside(self, image: Tensor, image_size: int, value: int | float) -> None:
        """Fill images (V, H·W) outside the picture."""
        rows, columns, _, _ = self._overlap(image_size)
        self._frame(image, value, rows, columns)

    def paste(self, image: Tensor, picture: Tensor) -> None:
        """Copy images (V, H·W) into pictures (V, S, S), as far as they overlap."""
        rows, columns, down, right = self._overlap(picture.shape[-1])
        picture[:, down, right] = image.view(-1, self.height, self.width)[:, rows, columns]

    def _frame(self, image: Tensor, value: int | float, rows: slice, columns: slice) -> None:
        grid = image.view(-1, self.height, self.width)
        grid[:, : rows.start] = value
        grid[:, rows.stop :] = value
        grid[:, :, : columns.start] = value
        grid[:, :, columns.stop :] = value

    def _overlap(self, image_size: int) -> tuple[slice, slice, slice, slice]:
        """The common pixels: rows and columns of the window, then those of the picture."""
        inside, own = [], []
        for first, length in ((self.top, self.height), (self.left, self.width)):
            start = min(max(first, 0), image_size)
            stop = max(start, min(first + length, image_size))
            inside.append(slice(start, stop))
            own.append(slice(start - first, stop - first))
        return own[0], own[1], inside[0], inside[1]


@dataclass(frozen=True)
class Disc:
    """The splat of the points nearer than `limit`, as far as no nearer limit holds: a disc of pixel centres.

    Attributes:
        limit: in depth, or +inf.
        squared: of the radius, in pixels².
    """

    limit: float
    squared: float

    @property
    def reach(self) -> int:
        return math.isqrt(math.floor(self.squared))

    def join(self, image: Tensor, width: int, function: Callable[..., Tensor]) -> Tensor:
        """Join (minimum, or) the values of all pixels of the disc around each pixel of images (V, H·W)."""
        wide, half, out = image.clone(), 0, image.clone()  # `wide` is joined along rows, over ± half
        for down in range(self.reach, -1, -1):
            for step in range(half + 1, math.isqrt(math.floor(self.squared) - down * down) + 1):
                function(wide[:, step:], image[:, :-step], out=wide[:, step:])
                function(wide[:, :-step], image[:, step:], out=wide[:, :-step])
                half = step
            step = down * width
            function(out[:, step:], wide[:, : wide.shape[1] - step], out=out[:, step:])
            if step:
                function(out[:, :-step], wide[:, step:], out=out[:, :-step])
        return out


@dataclass(frozen=True)
class Codes:
    """Names of a window's pixels by depth and place, in 31 bits, so that of two the nearer is the smaller.

    The place is kept modulo a power of two, enough for what looks it up from up to `reach` pixels away; the other bits
    are equal steps from the nearest to the farthest depth of a view, 2²³ for a reach of up to 7 pixels. Within a step
    the place decides. Pixels without a depth have codes from `nothing` on.
    """

    window: Window
    reach: int

    @property
    def bits(self) -> int:
        return (2 * self.reach).bit_length()

    @property
    def steps(self) -> int:
        """Number of the step beyond the farthest depth."""
        return (1 << min(24, 31 - 2 * self.bits)) - 1  # float32 counts to 2²⁴

    @property
    def nothing(self) -> int:
        return self.steps << 2 * self.bits

    def encode(self, depth: Float[Tensor, "v p"]) -> Int[Tensor, "v p"]:
        """(V, H·W) int32 codes of depths, +inf where there is none."""
        low, high = depth.amin(1, keepdim=True), depth.nan_to_num(posinf=0.0).amax(1, keepdim=True)
        scale = (self.steps - 4.0) / (high - low).clamp_min(1e-30)
        step = (depth - low).mul_(scale).nan_to_num_(self.steps).clamp_(0, self.steps).int()
        mask = (1 << self.bits) - 1
        row, column = self.window.grid(depth.device)
        place = ((row & mask) << self.bits) | (column & mask)
        return step.mul_(1 << 2 * self.bits).bitwise_or_(place.flatten())

    def decode(self, codes: Int[Tensor, "v p"]) -> Int[Tensor, "v p"]:
        """(V, H·W) int32 numbers of the pixels that have these codes, up to `reach` away; 0 where there is nothing."""
        mask = (1 << self.bits) - 1
        row, column = self.window.grid(codes.device)
        grid = codes.view(-1, self.window.height, self.window.width)
        right = (grid - (column - self.reach)).bitwise_and_(mask).add_(column - self.reach)
        down = (grid >> self.bits).sub_(row - self.reach).bitwise_and_(mask).add_(row - self.reach)
        return down.mul_(self.window.width).add_(right).view_as(codes).mul_(codes < self.nothing)


def splat(image: Int[Tensor, "v p"], disc: Disc, codes: Codes) -> Int[Tensor, "v p"]:
    """Each pixel's smallest code among the discs that cover it: every code draws one around its pixel.

    Args:
        image: (V, H·W) of `Codes.encode`; of nothing wherever it is less than the disc's reach to the window's rim.
        disc: to draw.
        codes: which these are; what is from `nothing` on is nothing in the result, too, but not which.
    """
    return disc.join(image, codes.window.width, torch.minimum)


def eroded(cover: Bool[Tensor, "v p"], disc: Disc, window: Window) -> Bool[Tensor, "v p"]:
    """The pixels whose whole disc is covered; the window's rim, as wide as the disc reaches, is not."""
    return ~disc.join(~cover, window.width, torch.bitwise_or)


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
