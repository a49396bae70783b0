"""What is written around the views of a contact sheet: where they look from, how long things are, what colours mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..text import rounded
from .cameras import Cameras

Font = ImageFont.FreeTypeFont
PAPER, INK = (255, 255, 255), (30, 30, 30)
_STRAIGHT = 0.9999  # a direction this near to an axis is called by the axis's name
_LONGEST = 0.4  # of a view's width, that a length scale may take


@dataclass(frozen=True, eq=False)
class Paint:
    """Values of a scene's points, and the colours that show them.

    Attributes:
        values: (N,) of the points of a cloud or the vertices of a mesh.
        colors: from (K,) values to (K, 3) red, green and blue in [0, 1].
        marks: numbers that stand at the colour bar; the first and the last are its ends.
        name: what the values are, and their unit.
    """

    values: Float[Tensor, "n"]
    colors: Callable[[Tensor], Tensor]
    marks: Sequence[float]
    name: str


def labelled(
    sheet: Image.Image, gap: int, rows: Sequence[str], cameras: Cameras, unit: str | None, paint: Paint | None
) -> Image.Image:
    """A sheet of a column a view with words around it.

    Above each view its number and where it looks from, in axes of the scene; below it a length, as the plane through
    its middle shows it; the rows' names at the left; and at the bottom the colours of a paint.

    Args:
        sheet: of the views.
        gap: pixels between views.
        rows: their names, from the top.
        cameras: of the views.
        unit: of length, or None where it is not known.
        paint: of the row of values, if there is one.
    """
    views, width, height = len(cameras), _side(sheet.width, len(cameras), gap), _side(sheet.height, len(rows), gap)
    size = max(10, width // 20)
    font, line = ImageFont.load_default(size), 2 * size
    assert isinstance(font, Font)  # Pillow's own, which any of its wheels has
    whole = Image.new("RGB", (sheet.width + line, sheet.height + (4 if paint is None else 6) * line - line), PAPER)
    whole.paste(sheet, (line, line))
    draw = ImageDraw.Draw(whole)
    for row, name in enumerate(rows):
        middle = line + row * (height + gap) + height // 2
        turned = _turned(name, font, height)
        whole.paste(turned, ((line - turned.width) // 2, middle - turned.height // 2))
    per_unit = width / cameras.image_size * cameras.pixels_per_unit(cameras.distance[:, None])[:, 0]
    length = _round_length(_LONGEST * width / float(per_unit.max()))
    below = line + sheet.height
    for view in range(views):
        left = line + view * (width + gap)
        words = [f"{view + 1}: seen from {_direction(cameras.rotation[view, 2])}", str(view + 1)]
        fitting = next((text for text in words if font.getlength(text) <= width), "")
        draw.text((left + width / 2, line / 2), fitting, INK, font, "mm")
        end = left + float(per_unit[view]) * length
        draw.line([(left, below + size / 2), (end, below + size / 2)], INK, max(1, size // 6))
        for x in (left, end):
            draw.line([(x, below + size / 4), (x, below + 3 * size / 4)], INK, max(1, size // 10))
        told = f"{rounded(length)} {unit or ''}".strip()
        draw.text((left, below + size), told, INK, font, "lt")
    if paint is not None:
        _bar(whole, draw, paint, (line, below + 2 * line), min(sheet.width - line, 24 * size), font)
    return whole


def _bar(
    whole: Image.Image, draw: ImageDraw.ImageDraw, paint: Paint, at: tuple[int, int], width: int, font: Font
) -> None:
    """The colours of a paint with its name above them and its numbers below."""
    (left, top), low, high, size = at, paint.marks[0], paint.marks[-1], int(font.size)
    colors = paint.colors(torch.linspace(low, high, width)).clamp(0, 1).mul(255).round().byte()
    whole.paste(Image.fromarray(colors.expand(size, width, 3).contiguous().numpy()), (left, top))
    draw.text((left, top - size / 4), paint.name, INK, font, "ls")
    taken: list[tuple[float, float]] = []
    for mark in (low, high, *paint.marks[1:-1]):  # the ends come first: a number that would lie on another gives way
        x, long = left + (mark - low) / (high - low) * width, font.getlength(_plain(rounded(mark)))
        begin = min(max(x - long / 2, left), left + width - long)
        draw.line([(x, top), (x, top + 1.1 * size)], INK, 1)
        if all(begin + long + size / 2 < a or begin - size / 2 > b for a, b in taken):
            draw.text((begin, top + 1.25 * size), _plain(rounded(mark)), INK, font, "lt")
            taken.append((begin, begin + long))


def _plain(text: str) -> str:
    """With a minus that the font of Pillow has."""
    return text.replace("−", "-")


def _turned(text: str, font: Font, longest: int) -> Image.Image:
    """Text that is read from below; the part of it that fits."""
    while text and font.getlength(text) > longest:
        text = text[:-1]
    picture = Image.new("RGB", (max(1, math.ceil(font.getlength(text))), math.ceil(1.4 * font.size)), PAPER)
    ImageDraw.Draw(picture).text((0, picture.height / 2), text, INK, font, "lm")
    return picture.rotate(90, expand=True)


def _direction(toward: Float[Tensor, "3"]) -> str:
    """The name of an axis, or a unit vector."""
    axis = int(toward.abs().argmax())
    if float(toward[axis].abs()) > _STRAIGHT:
        return f"{'-' if float(toward[axis]) < 0 else '+'}{'xyz'[axis]}"
    return f"({', '.join(f'{round(value, 2) + 0.0:.2f}' for value in toward.tolist())})"


def _round_length(most: float) -> float:
    """1, 2 or 5 times a power of ten, at most so much."""
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in (5.0, 2.0, 1.0) if step * power <= most * (1 + 1e-9))


def _side(whole: int, count: int, gap: int) -> int:
    return (whole + gap) // count - gap
