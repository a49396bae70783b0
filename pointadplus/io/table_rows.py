"""The numbers of a table: by pandas where every row is plain, else row by row, so that an error names its line."""

from __future__ import annotations

import csv
import io
from array import array

import numpy as np

from ..errors import CloudReadError
from .dialects import COMMENTS, MISSING, Dialect, as_text
from .table_head import Head

_FOOTER = 20  # lines after the last row, at most


def read_rows(data: bytes, head: Head) -> np.ndarray:
    """(N, C) float64, NaN where a cell holds no value; columns at the end without any value are left out.

    Raises:
        CloudReadError: a row of fewer or more cells than the first one has, or with a word in it; the line is told.
    """
    table = _plain_rows(data, head)
    if table is None:
        try:
            table = _careful_rows(data, head)
        except CloudReadError:
            if head.dialect.decimal == "," or head.dialect.mark == ",":
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

    stream = io.BytesIO(data)
    stream.seek(start)
    try:
        table = pandas.read_csv(
            stream,
            sep=mark,
            header=None,
            dtype=np.float64,
            decimal=head.dialect.decimal,
            na_values=_spellings(),
            skipinitialspace=mark != " " and data.find(f"{mark} ".encode(), start) >= 0,
            quoting=csv.QUOTE_NONE,
            encoding="latin-1",
        ).to_numpy()
    except Exception:  # a word, a row too long, a comment: the careful reader finds which
        return None
    plain = table.shape[1] == head.width and data.count(mark.encode(), start) == len(table) * (head.width - 1)
    return table if plain else None


def _is_neat(data: bytes, start: int) -> bool:
    """Whether one space, and nothing else, stands between any two cells."""
    return not any(data.find(gap, start) >= 0 for gap in (b"  ", b"\t", b" \n", b"\n "))


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
