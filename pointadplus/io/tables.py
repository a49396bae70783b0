"""Text tables: XYZ, TXT, ASC, CSV and TSV, by the names of their columns where they have any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..errors import CloudReadError
from ..units import UNITS
from .column_names import HINT, chosen, places, unit
from .columns import WIDEST, from_columns, is_index
from .dialects import plain_bytes
from .formats import RawCloud, from_fields
from .grids import read_grid
from .table_fast import quick_rows
from .table_head import Head, find_table
from .table_rows import read_rows
from .table_words import without_words


def read_text(data: bytes | memoryview, columns: Mapping[str, int | str] | None = None) -> RawCloud:
    """A table of points, or a matrix of heights whose pitch the lines above it name.

    Args:
        data: the file's content.
        columns: of the fields, as `check_columns` gives them; None means by the header, or by place without one.

    Raises:
        CloudReadError: no table, a row that does not fit the others, or columns that cannot be told.
    """
    if (grid := read_grid(data)) is not None:
        return grid
    head, table = _head_and_rows(data, named=columns is not None)
    width = table.shape[1]
    if columns is not None:
        found = chosen(columns, head.names, width)
    elif head.names:
        found = places(head.names, width) or {}
        if len(head.names) == width - 1 and is_index(table):  # above which no name stands
            found = {name: at + 1 for name, at in (places(head.names, width - 1) or {}).items()}
    elif (pitch := head.pitch("x") or head.pitch("y")) and width > 9:
        return _heights(table, head.pitch("x") or pitch, head.pitch("y") or pitch, head.pitch("z"))
    elif width > WIDEST:
        raise CloudReadError(
            f"a table of {width} columns without names is no list of points",
            expected="columns x, y, z, or a matrix of heights with its pitch above it, such as XRes=0.05",
            found=f"{len(table)} rows of {width}",
            hint=HINT,
        )
    else:
        return from_columns(table)
    if not {"x", "y", "z"} <= set(found) or max(found.values()) >= width:
        raise CloudReadError("the header does not fit the columns", found=", ".join(head.names)[:200], hint=HINT)
    fields = {name: table[:, at] for name, at in found.items()}
    told = [row for row in (head.names, head.units) if len(row) > max(found.values())]
    units = [next((name for row in told if (name := unit(row[found[axis]]))), None) for axis in "xyz"]
    return replace(from_fields(fields | _in_one_unit(fields, units)), unit=units[0])


def _head_and_rows(data: bytes | memoryview, named: bool) -> tuple[Head, np.ndarray]:
    """The table's head and numbers, by the quickest reader that takes it; columns of words are left out."""
    try:
        quick = quick_rows(data, named)
        if quick is not None:
            return quick
        plain = plain_bytes(bytes(data))
        head = find_table(plain, named)
        return head, read_rows(plain, head)
    except CloudReadError:
        kept = None if named else without_words(plain_bytes(bytes(data)))
        if kept is None:
            raise
        head = find_table(kept)
        return head, read_rows(kept, head)


def _in_one_unit(fields: Mapping[str, np.ndarray], units: Sequence[str | None]) -> dict[str, np.ndarray]:
    """Coordinates in the unit of x, where the header tells that of each and they differ."""
    lengths = [UNITS[name] for name in units if name is not None]
    if len(lengths) < 3 or len(set(lengths)) == 1:
        return {}
    return {axis: fields[axis] * (length / lengths[0]) for axis, length in zip("xyz", lengths, strict=True)}


def _heights(table: np.ndarray, across: float, along: float, step: float | None) -> RawCloud:
    """(H, W, 3) from a matrix of heights, seen from above: x goes along a row, y from row to row."""
    known = table[np.isfinite(table)]
    told = f"a matrix of heights, {across:g} apart in a row and {along:g} between rows, as the lines above it say"
    if step is not None and step != 1 and (known == np.rint(known)).all():
        table, told = table * step, f"{told}; heights are whole numbers, times {step:g}"
        known = known * step
    rows, columns = np.indices(table.shape)
    points = np.stack([columns * across, rows * along, table], -1)
    size = max(table.shape[1] * across, table.shape[0] * along)
    top = float(known.max(initial=0.0)) + 10 * size if known.max(initial=0.0) < 1e9 else np.nan
    return RawCloud(points, viewpoint=np.array([points[..., 0].mean(), points[..., 1].mean(), top]), notes=(told,))
