"""`Window`: the part of the image plane that a drawing works in.

An image in a window is a row of numbers, (V, H·W): a step right is a step of 1, a step down one of W, and what is
carried over the end of a line falls into the margin, where nothing is. So no step needs to look at where it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


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
        across, down = ([float(bound) for bound in torch.aminmax(pixels[..., axis])] for axis in (0, 1))
        return cls.between((across[0], across[1]), (down[0], down[1]), image_size, reach)

    @classmethod
    def between(cls, across: tuple[float, float], down: tuple[float, float], image_size: int, reach: int) -> Window:
        """`around` points whose least and largest x and y these are."""
        sides = []
        for first, last in (across, down):
            # Behind the eye a point falls anywhere, and in the eye nowhere: then the whole picture it is.
            first = math.floor(min(max(first, -reach), image_size + reach - 1)) if first == first else -reach
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
