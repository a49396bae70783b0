"""From the points that fall into pixels to images without gaps: splats, and what is left of them within their discs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .window import Window


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
    """Names of a window's pixels by depth and place in one integer, so that of two the nearer is the smaller.

    The place is kept modulo a power of two, enough for what looks it up from up to `reach` pixels away; the other bits
    are equal steps from the nearest to the farthest depth of a view, 2¹⁷ or more (2²³ for a reach of up to 7 pixels).
    Within a step the place decides. Pixels without a depth have codes from `nothing` on. The integers have 32 bits,
    and 64 where the reach is beyond 63 pixels.
    """

    window: Window
    reach: int

    @property
    def bits(self) -> int:
        return (2 * self.reach).bit_length()

    @property
    def wide(self) -> bool:
        return self.bits > 7

    @property
    def steps(self) -> int:
        """Number of the step beyond the farthest depth."""
        return (1 << (24 if self.wide else min(24, 31 - 2 * self.bits))) - 1  # float32 counts to 2²⁴

    @property
    def nothing(self) -> int:
        return self.steps << 2 * self.bits

    def encode(self, depth: Float[Tensor, "v p"]) -> Int[Tensor, "v p"]:
        """(V, H·W) codes of depths, +inf where there is none."""
        low, high = depth.amin(1, keepdim=True), depth.nan_to_num(posinf=0.0).amax(1, keepdim=True)
        scale = (self.steps - 4.0) / (high - low).clamp_min(1e-30)
        step = (depth - low).mul_(scale).nan_to_num_(self.steps).clamp_(0, self.steps)
        step = step.long() if self.wide else step.int()
        mask = (1 << self.bits) - 1
        row, column = (part.to(step) for part in self.window.grid(depth.device))
        place = ((row & mask) << self.bits) | (column & mask)
        return step.mul_(1 << 2 * self.bits).bitwise_or_(place.flatten())

    def decode(self, codes: Int[Tensor, "v p"]) -> Int[Tensor, "v p"]:
        """(V, H·W) int32 numbers of the pixels that have these codes, up to `reach` away; 0 where there is nothing."""
        mask = (1 << self.bits) - 1
        row, column = self.window.grid(codes.device)
        grid = codes.view(-1, self.window.height, self.window.width)
        right = (grid - (column - self.reach)).bitwise_and_(mask).add_(column - self.reach)
        down = (grid >> self.bits).sub_(row - self.reach).bitwise_and_(mask).add_(row - self.reach)
        return down.mul_(self.window.width).add_(right).view_as(codes).mul_(codes < self.nothing).int()


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
