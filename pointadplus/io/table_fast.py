"""Rows of plain numbers, compiled by Numba where it is installed: several times as fast as pandas."""

from __future__ import annotations

import codecs
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np

from ..errors import CloudReadError
from .dialects import Dialect, plain_bytes
from .formats import kernels
from .table_head import LINES_OF_HEAD, LONGEST_HEAD, Head, find_table

_COMPILED = 1 << 20  # bytes from which on Numba is worth the part of a second that loading it takes
_PART, _PARTS = 1 << 20, 32  # bytes that are worth a task of their own, and tasks at most
_THREADS = 4  # at most; tasks are more, so that a thread that is held up does not hold up all
_USUAL_HEAD = 1 << 16  # bytes that hold as many lines as are looked at, as a rule


def quick_rows(data: bytes | memoryview, named: bool) -> tuple[Head, np.ndarray] | None:
    """Head and (N, C) float64 of a text; None where it is small or not plain, or Numba is not there.

    Args:
        data: the file's content.
        named: see `find_table`.

    Raises:
        CloudReadError: see `find_table`.
    """
    if len(data) < _COMPILED:
        return None
    above = bytes(data[:_USUAL_HEAD])
    if above.count(b"\n") < LINES_OF_HEAD:
        above = bytes(data[:LONGEST_HEAD])
    if above.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in above:
        return None
    kernel = kernels()
    if kernel is None:
        return None
    head = find_table(plain_bytes(above), named)
    start = 3 * above.startswith(codecs.BOM_UTF8)
    for _ in range(head.line - 1):
        start = above.find(b"\n", start) + 1
        if not start:
            return None  # other ends of lines
    table = _parsed(kernel, np.frombuffer(data, np.uint8)[start:], head.width, head.dialect, fortran=True)
    return None if table is None else (head, table)


def text_table(data: bytes | memoryview, rows: int | None = None) -> np.ndarray:
    """(rows, C) float64 from lines of numbers in ASCII; every line must have as many columns as the first."""
    table = quick_table(data) if len(data) >= _COMPILED else None
    if table is None:
        text = bytes(data).decode("ascii")
        if not text.strip():
            raise CloudReadError("the file has no rows", expected="lines of numbers", found="none")
        table = np.loadtxt(io.StringIO(text), comments=None, ndmin=2)
    if rows is not None and len(table) != rows:
        raise CloudReadError("rows do not fit the header", expected=f"{rows} rows", found=f"{len(table)} rows")
    return table


def sections(data: bytes | memoryview, counts: Sequence[int]) -> list[memoryview] | None:
    """A text cut into so many lines each, the last with all that follows; None where it is small, or without Numba."""
    kernel = kernels() if len(data) >= _COMPILED else None
    if kernel is None:
        return None
    rest, parts = memoryview(data), []
    for count in counts[:-1]:
        end = kernel.after_lines(np.frombuffer(rest, np.uint8), count)
        parts.append(rest[:end])
        rest = rest[end:]
    return [*parts, rest]


def quick_table(data: bytes | memoryview) -> np.ndarray | None:
    """(N, C) float64 from lines of plain numbers with white space between; None for any other, or without Numba."""
    kernel = kernels()
    width = len(bytes(data[:_USUAL_HEAD]).lstrip().partition(b"\n")[0].split())
    if kernel is None or not width:
        return None
    return _parsed(kernel, np.frombuffer(data, np.uint8), width, Dialect(" "), fortran=False)


def quick_triangles(data: bytes | memoryview) -> np.ndarray | None:
    """(F, 3) int64 from rows of a 3, three corners, and other whole numbers or none; None for any other."""
    if bytes(data).translate(None, b"0123456789 \t\r\n"):
        return None
    table = quick_table(data)
    if table is None or table.shape[1] < 4 or (table[:, 0] != 3).any():
        return None
    return table[:, 1:4].astype(np.int64)


def _parsed(kernel: Any, data: np.ndarray, width: int, dialect: Dialect, fortran: bool) -> np.ndarray | None:
    if data[-1] != ord("\n"):
        data = np.append(data, np.uint8(ord("\n")))
    mark, decimal = ord(dialect.mark), ord(dialect.decimal)
    tasks = max(1, min(_PARTS, len(data) // _PART))
    cuts = [0, *(_next_line(data, len(data) * number // tasks) for number in range(1, tasks)), len(data)]
    parts = [data[start:end] for start, end in pairwise(cuts)]
    with ThreadPoolExecutor(min(_THREADS, tasks, _processors())) as pool:
        counts = pool.map(kernel.count_lines, parts)
        most = (len(part) // (2 * width) + 1 for part in parts)  # a cell and what ends it take two bytes at least
        lines = np.cumsum([0, *map(min, counts, most)])
        out = np.empty((int(lines[-1]), width))
        places = [out[start:end] for start, end in pairwise(lines)]
        rows = list(pool.map(lambda part, place: kernel.parse(part, mark, decimal, fortran, place), parts, places))
    if min(rows) < 0 or not sum(rows):
        return None
    at = 0
    for start, place, count in zip(lines, places, rows, strict=False):
        if at < start:  # blank lines have left rows unused
            out[at : at + count] = place[:count]
        at += count
    return out[:at]


def _next_line(data: np.ndarray, place: int) -> int:
    """Where the line after a place begins."""
    while place < len(data):
        ends = np.flatnonzero(data[place : place + 4096] == ord("\n"))
        if len(ends):
            return place + int(ends[0]) + 1
        place += 4096
    return len(data)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
