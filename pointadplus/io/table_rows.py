"""The numbers of a table: by pandas where every row is plain, else row by row, so that an error names its line."""

from __future__ import annotations

import csv
import io
from array import array
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import CloudReadError
from .dialects import COMMENTS, MISSING, Dialect, as_text
from .table_head import Head

_FOOTER = 20  # lines after the last row, at most
_PART = 1 << 20  # bytes


def read_rows(data: bytes, head: Head) -> np.ndarray:
    """(N, C) float64, NaN where a cell holds no value; columns at the end without any value are left out.

    Raises:
        CloudReadError: a row of fewer or more cells than the first one has, or with a word in it; the line is told.
    """
    table = _plain_rows(data, head)
    if table is None:
        try:
            table = _careful_rows(data, head)
        except CloudReadError as error:
            if head.dialect.decimal == "," or head.dialect.mark == "," or "," not in str(error.found):
                raise
            try:  # whole numbers come first, and decimal commas later
                other = Dialect(head.dialect.mark, ",")
                table = _careful_rows(data, Head(**{**vars(head), "dialect": other}))
            except CloudReadError:
                table = None
            if table is None:
                raise
    while table.shape[1] > max(3, len(head.names)) and np.isnan(table[:, -1]).all():
        table = table[:, :-1]  # of marks at the ends of rows
    return table


def _plain_rows(data: bytes, head: Head) -> np.ndarray | None:
    """The rows by pandas; None where one is not plain."""
    mark, start = head.dialect.mark, head.start
    if mark == " " and not _is_neat(data, start):
        data, start = _neat(data[start:]), 0
    import pandas

    stream: Any  # pandas asks for no more than `read`
    for words in (None, _spellings()):  # few tables hold words, and to look for them takes a third of the time
        stream = _Stream(data, start)
        try:
            table = pandas.read_csv(
                stream,
                sep=mark,
                header=None,
                dtype=np.float64,
                decimal=head.dialect.decimal,
                na_filter=words is not None,
                na_values=words or [],
                skipinitialspace=mark != " " and data.find(b" ", start) >= 0,
                quoting=csv.QUOTE_NONE,
            ).to_numpy()
        except ValueError:  # a word, a row too long, a comment: the careful reader finds which
            continue
        marks = sum(int(np.count_nonzero(part == ord(mark))) for part in _parts(data, start))
        return table if table.shape[1] == head.width and marks == len(table) * (head.width - 1) else None
    return None


class _Stream:
    """Bytes for pandas, which would decode those of a file, and encode them again."""

    def __init__(self, data: bytes, start: int) -> None:
        self.data, self.at = data, start

    def read(self, size: int = -1) -> bytes:
        piece = self.data[self.at : self.at + size] if size >= 0 else self.data[self.at :]
        self.at += len(piece)
        return piece

    def __iter__(self) -> Iterator[bytes]:
        raise NotImplementedError  # pandas asks whether there are lines, and reads none


def _parts(data: bytes, start: int) -> Iterator[np.ndarray]:
    """The bytes from a place on in parts: a comparison of all at once would take as much memory again."""
    view = np.frombuffer(data, np.uint8)
    return (view[at : at + _PART] for at in range(start, len(view), _PART))


def _is_neat(data: bytes, start: int) -> bool:
    """Whether one space, and nothing else, stands between any two cells."""
    last = False
    for part in _parts(data, start):
        white = (part == ord(" ")) | (part == ord("\n"))
        if (last and white[0]) or (white[1:] & white[:-1]).any():
            return False
        last = bool(white[-1])
    return data.find(b"\t", start) < 0


def _neat(data: bytes) -> bytes:
    data = data.replace(b"\t", b" ")
    while b"  " in data:
        data = data.replace(b"  ", b" ")
    return data.replace(b" \n", b"\n").replace(b"\n ", b"\n").strip()


def _spellings() -> list[str]:
    return sorted({spelt for word in MISSING for spelt in (word, word.upper(), word.title())})


def _careful_rows(data: bytes, head: Head) -> np.ndarray:
    dialect, width = head.dialect, head.width
    values, short, footer = array("d"), {}, 0
    told = 0  # columns of which a row so far has held a value
    odd: CloudReadError | None = None
    empty = [float("nan")] * width
    stream = io.BytesIO(data)
    stream.seek(head.start)
    for number, raw in enumerate(stream, head.line):
        line = as_text(raw)
        if not (line.strip() if dialect.mark == " " else line) or line.lstrip().startswith(COMMENTS):
            continue
        cells = dialect.cells(line)
        row = [value for cell in cells if (value := dialect.number(cell)) is not None]
        if len(row) < len(cells):
            odd = odd or _no_row(number, line)
            footer += 1
            if footer > _FOOTER or sum(value == value for value in row) > 1:
                raise odd  # a row that is damaged, not words below the table
            continue
        if odd is not None and len(row) >= width:
            raise odd
        if odd is not None:
            continue
        if len(row) > width and not all(value != value for value in row[width:]):
            raise _other_width(number, line, len(row), width)
        last = next((at for at in range(min(len(row), width), 0, -1) if row[at - 1] == row[at - 1]), 0)
        told = max(told, last)
        if len(row) < told:
            raise _other_width(number, line, len(row), width)
        if len(row) < width:
            short.setdefault(len(row), (number, line))
        values.extend((row + empty)[:width])
    if not len(values):
        raise CloudReadError("the file has no rows", expected="lines of numbers", found="none")
    table = np.frombuffer(values, np.float64).reshape(-1, width)
    for cells, (number, line) in sorted(short.items(), key=lambda item: item[1][0]):
        if cells < 3 or not np.isnan(table[:, cells:]).all():
            raise _other_width(number, line, cells, width)
    return table


def _no_row(number: int, line: str) -> CloudReadError:
    return CloudReadError(
        f"not a readable table: line {number} is no row of numbers", expected="numbers", found=repr(line[:80])
    )


def _other_width(number: int, line: str, cells: int, width: int) -> CloudReadError:
    return CloudReadError(
        f"not a readable table: line {number} has {cells} cells",
        expected=f"{width} cells, as in the first row",
        found=repr(line[:80]),
        hint="the file is cut short there, or two tables stand in one file",
    )
