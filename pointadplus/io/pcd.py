"""PCD, read and written (https://pointclouds.org/documentation/tutorials/pcd_file_format.html).

Read here and not by Open3D, which pads, truncates or returns an empty cloud where a header and its data disagree, and
loses the organised grid. Here every row survives, and the header is checked before anything is allocated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import BinaryIO

import numpy as np

from ..errors import CloudReadError
from .formats import RawCloud, check_blank, check_bytes, from_fields, most_inflated, whole_number
from .lzf import lzf_decompress
from .table_fast import text_table

_LONGEST = 1 << 18  # bytes of a header; a number we chose
_DATA = re.compile(rb"\s*DATA\s+(ascii|binary_compressed|binary)(?![a-z_])", re.IGNORECASE)
_PCL_NAMES = {"nx": "normal_x", "ny": "normal_y", "nz": "normal_z"}


def read_pcd(data: bytes | memoryview) -> RawCloud:
    """PCD: ascii, binary or binary_compressed.

    VIEWPOINT is the sensor's pose in the frame of the points, which stay as they are. At the origin it tells nothing:
    writers put it there that know of none.
    """
    header, start = _header(bytes(data[:_LONGEST]))
    names = header.get("FIELDS") or header.get("COLUMNS") or []
    sizes, types = header.get("SIZE", []), header.get("TYPE", [])
    counts = [whole_number(c, "COUNT") for c in header.get("COUNT", ["1"] * len(names))]
    if not names or not len(names) == len(sizes) == len(types) == len(counts):
        raise CloudReadError(
            "malformed header",
            expected="FIELDS, SIZE, TYPE and COUNT of one length",
            found=f"{len(names)}, {len(sizes)}, {len(types)} and {len(counts)} entries",
        )
    if any(kind.upper() == "F" and size not in ("4", "8") for kind, size in zip(types, sizes, strict=True)):
        raise CloudReadError("malformed header", expected="SIZE 4 or 8 for TYPE F", found=" ".join(sizes)[:80])
    layout = np.dtype(
        [
            (f"{name.lower()} {i}", f"<{kind.lower()}{size}", (count,))
            for i, (name, kind, size, count) in enumerate(zip(names, types, sizes, counts, strict=True))
        ]
    )
    width, height = _count(header, "WIDTH"), _count(header, "HEIGHT", default="1")
    points = _count(header, "POINTS", default=str(width * height))
    if points != width * height:
        raise CloudReadError("malformed header", expected=f"POINTS {width * height} = WIDTH × HEIGHT", found=points)
    body, encoding = memoryview(data)[start:], header["DATA"][0]
    if encoding == "ascii":
        columns = _ascii(body, layout, points)
    elif encoding == "binary":
        check_bytes(points * layout.itemsize, len(body), "point data")
        check_blank(body[points * layout.itemsize :], "point data")
        rows = np.frombuffer(body, layout, points)
        columns = {name: rows[name] for name in layout.names or ()}
    elif encoding == "binary_compressed":
        columns = _compressed(body, layout, points)
    else:
        raise CloudReadError("malformed header", expected="DATA ascii or binary[_compressed]", found=encoding[:40])
    fields = {name.split(" ")[0]: column[:, 0] for name, column in columns.items() if column.shape[1] == 1}
    raw = from_fields(fields, grid=(height, width) if height > 1 else None)
    return replace(raw, viewpoint=_viewpoint(header.get("VIEWPOINT", [])))


def _viewpoint(values: list[str]) -> np.ndarray | None:
    """The place of a pose, or None where it is the origin or cannot be read: nothing depends on it but signs."""
    try:
        place = np.array(values[:3], np.float64)
    except ValueError:
        return None
    return place if len(place) == 3 and np.isfinite(place).all() and place.any() else None


def _header(data: bytes) -> tuple[dict[str, list[str]], int]:
    header: dict[str, list[str]] = {}
    start = 0
    while "DATA" not in header:
        end = data.find(b"\n", start, start + 4096)
        if end < 0:
            raise CloudReadError("malformed header", expected="a DATA line", found="the end of the header's lines")
        if mark := _DATA.match(data, start, end):  # rows may be glued to the word
            encoding = mark[1].decode().lower()
            return header | {"DATA": [encoding]}, mark.end() if encoding == "ascii" else end + 1
        key, *values = data[start:end].decode("utf-8", "replace").split() or ["#"]
        if not key.startswith("#"):
            header[key.upper()] = values
        start = end + 1
    return header, start


def _count(header: Mapping[str, list[str]], key: str, default: str = "") -> int:
    return whole_number(" ".join(header.get(key, [default])), key)


def _ascii(body: memoryview, layout: np.dtype, points: int) -> dict[str, np.ndarray]:
    table = text_table(body, points)
    widths = [layout[name].shape[0] for name in layout.names or ()]
    if table.shape[1] != sum(widths):
        raise CloudReadError("rows do not fit FIELDS", expected=f"{sum(widths)} columns", found=table.shape[1])
    columns: dict[str, np.ndarray] = {}
    with np.errstate(invalid="ignore", over="ignore"):  # NaN in an integer column; a double in a float one
        for name, block in zip(layout.names or (), np.split(table, np.cumsum(widths)[:-1], axis=1), strict=True):
            kind = layout[name].base
            columns[name] = block.astype(kind, copy=False)
            if name.startswith("rgb") and kind == np.float32:
                # PCL writes these packed bytes as a whole number, though TYPE says float; others write the float.
                whole = np.nan_to_num(block).clip(0, 2**32 - 1).astype(np.uint32)
                columns[name] = np.where(block >= 1, whole, columns[name].view(np.uint32))
    return columns


def _compressed(body: memoryview, layout: np.dtype, points: int) -> dict[str, np.ndarray]:
    check_bytes(8, len(body), "compressed point data")
    packed, size = (int(n) for n in np.frombuffer(body, "<u4", 2))
    check_bytes(8 + packed, len(body), "compressed point data")
    check_blank(body[8 + packed :], "compressed point data")
    if size != points * layout.itemsize or size > min(most_inflated(), 88 * packed):  # LZF: 3 bytes become 264 at most
        raise CloudReadError(
            "the compressed size cannot be right", expected=f"{points * layout.itemsize} bytes", found=f"{size} bytes"
        )
    flat = lzf_decompress(body[8 : 8 + packed], size)
    columns, start = {}, 0
    for name in layout.names or ():  # one field after the other, each for all the points
        kind, shape = layout[name].base, layout[name].shape
        columns[name] = np.frombuffer(flat, kind, points * shape[0], start).reshape(points, *shape)
        start += points * layout[name].itemsize
    return columns


def write_pcd(
    stream: BinaryIO,
    fields: Mapping[str, np.ndarray],
    grid: tuple[int, int] | None,
    viewpoint: Sequence[float] = (0.0, 0.0, 0.0),
) -> None:
    """Write named columns as binary PCD; `red`, `green` and `blue` (uint8) are packed into the field `rgb`."""
    columns = {_PCL_NAMES.get(name, name): column for name, column in fields.items()}
    if "red" in columns:
        red, green, blue = (columns.pop(name).astype(np.uint32) for name in ("red", "green", "blue"))
        columns["rgb"] = red << 16 | green << 8 | blue
    rows = np.empty(len(columns["x"]), [(name, column.dtype.newbyteorder("<")) for name, column in columns.items()])
    for name, column in columns.items():
        rows[name] = column
    height, width = grid or (1, len(rows))
    header = [
        "# .PCD v0.7 - Point Cloud Data file format",
        "VERSION 0.7",
        f"FIELDS {' '.join(columns)}",
        f"SIZE {' '.join(str(column.dtype.itemsize) for column in columns.values())}",
        f"TYPE {' '.join(column.dtype.kind.upper() for column in columns.values())}",
        f"COUNT{' 1' * len(columns)}",
        f"WIDTH {width}",
        f"HEIGHT {height}",
        f"VIEWPOINT {' '.join(f'{value:.15g}' for value in viewpoint)} 1 0 0 0",
        f"POINTS {len(rows)}",
        "DATA binary\n",
    ]
    stream.write("\n".join(header).encode())
    stream.write(rows.tobytes())
