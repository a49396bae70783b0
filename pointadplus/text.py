"""Numbers, names and tables as people read them."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import SupportsFloat

_NAME = 40  # characters of a file's name that a repr shows, its end if there are more
_NO_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters, and halves of surrogate pairs


def rounded(value: SupportsFloat) -> str:
    """A number for people to read: three digits or the whole part, as in 1,235, 12.3 and −0.00123."""
    number = float(value)
    size = abs(number)
    digits = f"{size:,.0f}" if 99.95 <= size < 1e9 else f"{size:.3g}"
    return f"−{digits}" if number < 0 else digits


def placed(position: Iterable[SupportsFloat], size: SupportsFloat) -> str:
    """A position for people to read, as in 66, 15.25, −0.4: to a thousandth at least of the size of what it lies on,
    however far from the origin that is."""
    decimals = min(max(3 - math.floor(math.log10(float(size) or 1.0)), 0), 20)
    texts = (f"{float(value):.{decimals}f}" for value in position)
    bare = (text.rstrip("0").rstrip(".") if "." in text else text for text in texts)
    return ", ".join("0" if text == "-0" else text.replace("-", "−") for text in bare)


def counted(points: int, dropped: int) -> list[str]:
    """How many points there are, and how many rows were dropped if any were: parts of a line."""
    told = f"{points:,} point{'s' * (points != 1)}"
    return [told, f"{dropped:,} dropped"] if dropped else [told]


def file_name(source: str) -> str:
    """The name of a file without its folders; of a long one the end."""
    name = PurePath(source).name or source
    return name if len(name) <= _NAME else f"…{name[1 - _NAME :]}"


def named(source: str | None) -> list[str]:
    """The quoted name of a file as the part of a line, or no part."""
    return [] if source is None else [repr(file_name(source))]


def plain_text(text: object) -> str:
    """Text without what HTML, XML and UTF-8 cannot hold; U+FFFD stands for it."""
    return _NO_TEXT.sub("\ufffd", str(text))


def html_table(rows: Iterable[Sequence[object]], head: Sequence[object] = ()) -> str:
    """An HTML table of plain values, escaped; the first of each row is its heading.

    It has no colours of its own, so that it can be read on any background. With a `head` its cells are aligned right.
    """
    shared = f"text-align:{'right' if head else 'left'};vertical-align:top;padding:0.1em 0.6em 0.1em 0"
    styles = {"th": f"{shared};white-space:nowrap", "td": f"{shared};overflow-wrap:anywhere"}

    def line(cells: Sequence[object], headings: int) -> str:
        tags = ["th" if place < headings else "td" for place in range(len(cells))]
        texts = [html.escape(plain_text(cell)) for cell in cells]
        filled = (f'<{tag} style="{styles[tag]}">{text}</{tag}>' for tag, text in zip(tags, texts, strict=True))
        return f"<tr>{''.join(filled)}</tr>"

    lines = [*([line(head, len(head))] if head else []), *(line(cells, 1) for cells in rows)]
    return f"<table>{''.join(lines)}</table>"
