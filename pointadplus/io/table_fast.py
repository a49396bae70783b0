"""Rows of plain numbers, compiled by Numba where it is installed: several times as fast as pandas."""

from __future__ import annotations

import codecs
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np

from .dialects import plain_bytes
from .formats import kernels
from .table_head import LONGEST_HEAD, Head, find_table

_COMPILED = 1 << 20  # bytes from which on Numba is worth the part of a second that loading it takes
_PART, _THREADS = 1 << 20, 4  # bytes that a thread is worth, and threads at most


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
    table = _parsed(kernel, np.frombuffer(data, np.uint8)[start:], head)
    return None if table is None else (head, table)


def _parsed(kernel: Any, data: np.ndarray, head: Head) -> np.ndarray | None:
    if data[-1] != ord("\n"):
        data = np.append(data, np.uint8(ord("\n")))
    mark, decimal = ord(head.dialect.mark), ord(head.dialect.decimal)
    threads = max(1, min(_THREADS, len(data) // _PART, _processors()))
    cuts = [0, *(_next_line(data, len(data) * number // threads) for number in range(1, threads)), len(data)]
    parts = [data[start:end] for start, end in pairwise(cuts)]
    with ThreadPoolExecutor(threads) as pool:
        counts = pool.map(kernel.count_lines, parts)
        most = (len(part) // (2 * head.width) + 1 for part in parts)  # a cell and what ends it take two bytes at least
        lines = np.cumsum([0, *map(min, counts, most)])
        out = np.empty((int(lines[-1]), head.width))
        places = [out[start:end] for start, end in pairwise(lines)]
        rows = list(pool.map(lambda part, place: kernel.parse(part, mark, decimal, place), parts, places))
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
