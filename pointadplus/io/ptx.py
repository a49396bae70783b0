"""PTX and PTS, the text files of terrestrial scanners, read here so that no pose and no count is lost."""

from __future__ import annotations

import io

import numpy as np

from ..errors import CloudReadError
from .formats import RawCloud, ascii_stream, check_bytes, chosen, joined, unit_colors, whole_number
from .table_fast import quick_table, sections


def read_ptx(data: bytes, number: int | None = None) -> RawCloud:
    """PTX: every scan in the file's frame, each with its eye, or scan `number` alone, from 1.

    A scan has ten lines of header: columns, rows, the scanner's place (3), its axes (3 × 3) and a 4 × 4 matrix that
    multiplies row vectors, so that its last row moves. Then come the points, x y z intensity [r g b], one column of the
    scan after another: the grid's H are columns, and the order of the file is kept. (0, 0, 0) is no return.
    """
    stream = ascii_stream(data)
    scans, eyes = [], []
    while line := _next_line(stream):
        columns, rows = whole_number(line, "columns"), whole_number(_next_line(stream), "rows")
        header = [_row(stream) for _ in range(8)]
        matrix = np.array(header[4:])
        if [len(row) for row in header] != [3] * 4 + [4] * 4 or not np.isfinite(matrix).all():
            raise CloudReadError("malformed header", expected="a place, three axes and a 4 × 4 matrix")
        table = _table(stream, columns * rows, (3, 4, 6, 7))
        local = np.where((table[:, :3] == 0).all(1, keepdims=True), np.nan, table[:, :3])
        points = local @ matrix[:3, :3] + matrix[3, :3]
        scans.append(RawCloud(points, colors=_colors(table), grid=(columns, rows) if min(columns, rows) > 1 else None))
        eyes.append(matrix[3, :3])
    wanted = [scans[i] for i in chosen(len(scans), number)]
    return joined(wanted, np.array(eyes), number)


def read_pts(data: bytes) -> RawCloud:
    """PTS: blocks of a line with their count and then x y z, with intensity, r g b or both after them."""
    stream = ascii_stream(data)
    tables = []
    while line := _next_line(stream):
        tables.append(_table(stream, whole_number(line, "a count of points"), (3, 4, 6, 7)))
    if len({table.shape[1] for table in tables}) != 1:
        raise CloudReadError("blocks differ", expected="as many columns in each", found=f"{len(tables)} blocks")
    table = np.concatenate(tables)
    return RawCloud(table[:, :3], colors=_colors(table))


def _next_line(stream: io.BytesIO) -> str:
    """The next line that is not blank, or nothing at the end."""
    for line in stream:
        if line.strip():
            return line.decode("ascii").strip()
    return ""


def _row(stream: io.BytesIO) -> list[float]:
    return [float(token) for token in _next_line(stream).split()]


def _table(stream: io.BytesIO, count: int, widths: tuple[int, ...]) -> np.ndarray:
    """(count, C) float64 of the next lines; what they need at least is compared with what is left beforehand."""
    start = stream.tell()
    rest = stream.getbuffer()[start:]
    check_bytes(6 * count - 1, len(rest), "points")  # three digits, two spaces and the end of a line
    width = len(_next_line(stream).split())
    stream.seek(start)
    if count == 0 or width not in widths:
        expected = " or ".join(map(str, widths))
        raise CloudReadError("not a row of a scan", expected=f"{expected} numbers", found=f"{width if count else 0}")
    if (parts := sections(rest, [count, 0])) is not None:
        table = quick_table(parts[0])
        if table is not None and table.shape == (count, width):
            stream.seek(start + len(parts[0]))
            return table
    lines = (line.decode("ascii") for line in stream if line.strip())
    table = np.loadtxt(lines, max_rows=count, comments=None, ndmin=2)
    if len(table) != count:
        raise CloudReadError("rows do not fit the header", expected=f"{count} rows", found=f"{len(table)} rows")
    return table


def _colors(table: np.ndarray) -> np.ndarray | None:
    """The last three of six or seven columns, each in [0, 255]."""
    return unit_colors(table[:, -3:].clip(0, 255).astype(np.uint8)) if table.shape[1] > 5 else None
