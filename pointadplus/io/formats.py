"""What every reader returns, and what the readers share: guards, named columns, polygons and rows of numbers.

Readers take bytes, touch no file, and may raise any `Exception` on malformed data: `read_file` turns it into a
`CloudReadError` that names the file. They check a header against the bytes that follow before they allocate anything.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import pairwise
from typing import Any

import numpy as np

from ..errors import CloudReadError

#: Most bytes that a file may ask for beyond its own size (compressed formats, shared glTF buffers). A number we chose:
#: some 10⁸ points, which no scanner delivers, and too little to bring a workstation down.
MAX_INFLATED = 2**31
_OVER = 1.001  # of a colour's largest value: rounding may bring it there
_RATIO = 2000  # that no usual packing exceeds: Deflate makes 1,032 bytes of one, and LZW 1,365
_inflated: ContextVar[int] = ContextVar("inflated", default=MAX_INFLATED)

_NORMALS = (("nx", "ny", "nz"), ("normal_x", "normal_y", "normal_z"))
_LABELS = ("label", "labels", "gt", "ground_truth", "anomaly")  # CloudCompare puts `scalar_` before them
_COLORS = (("red", "green", "blue"), ("r", "g", "b"), ("diffuse_red", "diffuse_green", "diffuse_blue"))


@dataclass(frozen=True)
class RawCloud:
    """What a file holds, unchecked: (N, 3) or (H, W, 3) points and what stands beside them.

    Attributes:
        points: coordinates of points, or of vertices where `faces` is given.
        normals: one a point, of any length, or None.
        colors: one a point, in [0, 1], or None.
        grid: (H, W) of an organised scan whose points are flattened, or None.
        faces: (F, 3) int64 rows of `points`, or None.
        viewpoint: (3,), where the sensor stood, or None; of one scan only.
        eyes: (K, 3), where the sensor stood for each scan of a file that holds several, or None.
        scan: (N,) int64 in [0, K), the scan that each point is of, where there are several; or None.
        notes: what is to be told of the reading, see `PointCloud`.
        unit: of the coordinates, one of `units.UNITS`, where the file tells it; or None.
        labels: one number a point, as annotators write them, 0 for normal; or None.
    """

    points: np.ndarray
    normals: np.ndarray | None = None
    colors: np.ndarray | None = None
    grid: tuple[int, int] | None = None
    faces: np.ndarray | None = None
    viewpoint: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    eyes: np.ndarray | None = None
    scan: np.ndarray | None = None
    unit: str | None = None
    labels: np.ndarray | None = None


def most_inflated(packed: int | None = None) -> int:
    """Bytes that a file may ask for beyond its own size, here and now; of `packed` bytes, no more than can come."""
    return _inflated.get() if packed is None else min(_inflated.get(), _RATIO * packed)


@contextmanager
def inflating_at_most(size: int) -> Iterator[None]:
    """Let files ask for fewer bytes than before, in this thread only."""
    before = _inflated.set(min(size, most_inflated()))
    try:
        yield
    finally:
        _inflated.reset(before)


def kernels() -> Any:
    """The module of compiled functions; None without Numba, and where it finds no place to keep what it compiles."""
    try:
        return import_module(".kernels", __package__)
    except (ImportError, RuntimeError):
        return None


def check_bytes(needed: int, available: int, what: str) -> None:
    """Raise if a header promises more bytes than there are."""
    if needed > available:
        raise CloudReadError(
            f"the {what} is truncated, or its header is wrong",
            expected=f"{needed} bytes",
            found=f"{available} bytes",
            hint="copy or export the file again",
        )


def check_blank(rest: bytes | memoryview, what: str) -> None:
    """Raise if data goes on after its announced end; padding is no data."""
    if bytes(rest).strip(b"\0 \r\n\t"):
        raise CloudReadError(
            f"the {what} goes on after its announced end",
            expected="no more data",
            found=f"{len(rest)} bytes",
            hint="the header's counts do not fit the data",
        )


def whole_number(text: str, what: str) -> int:
    """A count from a header, never negative."""
    if not (text.isascii() and text.isdigit()):
        raise CloudReadError("malformed header", expected=f"{what}, a whole number", found=repr(text[:40]))
    return int(text)


def from_fields(fields: Mapping[str, np.ndarray], grid: tuple[int, int] | None = None) -> RawCloud:
    """Find coordinates, normals, colours and labels among named columns; names are lower case, others are ignored."""

    def triple(*choices: Sequence[str]) -> np.ndarray | None:
        for names in choices:
            if all(name in fields for name in names):
                return side_by_side([fields[name] for name in names])
        return None

    points = triple(("x", "y", "z"))
    if points is None:
        raise CloudReadError("the file has no coordinates", expected="fields x, y and z", found=", ".join(fields)[:200])
    colors = triple(*_COLORS)
    packed = fields.get("rgb", fields.get("rgba"))
    if colors is None and packed is not None and packed.dtype.itemsize == 4:
        bits = np.ascontiguousarray(packed).view(np.uint32)
        colors = np.stack([bits >> 16, bits >> 8, bits], axis=1).astype(np.uint8)
    labels = next((fields[name] for stem in _LABELS for name in (stem, f"scalar_{stem}") if name in fields), None)
    return RawCloud(points, triple(*_NORMALS), None if colors is None else unit_colors(colors), grid, labels=labels)


def side_by_side(columns: Sequence[np.ndarray]) -> np.ndarray:
    """(N, C) of columns, (N,) each; of those that follow one another in records it is a view, without a copy."""
    first = columns[0]
    places = [column.__array_interface__["data"][0] for column in columns]
    following = [places[0] + number * first.itemsize for number in range(len(columns))]
    if places == following and len({(column.dtype, column.strides, column.shape) for column in columns}) == 1:
        shape, strides = (len(first), len(columns)), (first.strides[0], first.itemsize)
        return np.lib.stride_tricks.as_strided(first, shape, strides, writeable=False)
    return np.stack(columns, axis=1)


def unit_colors(colors: np.ndarray) -> np.ndarray:
    """Colours in [0, 1] as float32, from integers of 8 or 16 bits, or from floats in [0, 1], [0, 255] or [0, 65535]."""
    top = float(np.nanmax(colors, initial=0.0))
    scale = 65535.0 if top > _OVER * 255 else 255.0 if colors.dtype.kind in "ui" or top > _OVER else 1.0
    return np.clip(colors / scale, 0.0, 1.0).astype(np.float32)


def chosen(scans: int, number: int | None) -> list[int]:
    """Which of a file's scans are wanted, from 0: all, or that of a number from 1."""
    if not 1 <= (1 if number is None else number) <= scans:
        raise CloudReadError("no such scan in the file", expected=f"scan 1 to {scans}", found=number)
    return list(range(scans)) if number is None else [number - 1]


def joined(scans: Sequence[RawCloud], eyes: np.ndarray, number: int | None) -> RawCloud:
    """One cloud of the `chosen` scans; `eyes` are those of all the file's scans, (K, 3).

    Where all of them are the origin they tell nothing: writers put it there that know of none.
    """
    known = bool(eyes.any())
    if len(scans) == 1:
        return replace(scans[0], viewpoint=eyes[(number or 1) - 1] if known else None)
    colors = [scan.colors for scan in scans if scan.colors is not None]
    return RawCloud(
        np.concatenate([scan.points for scan in scans]),
        unit=scans[0].unit,
        colors=np.concatenate(colors) if len(colors) == len(scans) else None,
        eyes=eyes if known else None,
        scan=np.repeat(np.arange(len(scans)), [len(scan.points) for scan in scans]),
    )


def fan(polygons: np.ndarray | Sequence[Sequence[int]]) -> np.ndarray:
    """(F, 3) int64 triangles of polygons given as vertex numbers: an (n, k) array, or sequences of any length."""
    if isinstance(polygons, np.ndarray):
        sides = polygons.astype(np.int64).T
        triangles = [np.stack([sides[0], *pair], axis=1) for pair in pairwise(sides[1:])]
        return np.concatenate(triangles or [np.zeros((0, 3), np.int64)])
    corners = [(face[0], *pair) for face in polygons for pair in pairwise(face[1:])]
    return np.array(corners, np.int64).reshape(-1, 3)


def counted(tokens: Sequence[str]) -> list[int]:
    """The numbers of a polygon's row, whose first token says how many follow; colours may come after."""
    sides = whole_number(tokens[0], "a polygon's number of corners")
    if len(tokens) <= sides:
        raise CloudReadError("a polygon is cut short", expected=f"{sides} corners", found=len(tokens) - 1)
    return [int(token) for token in tokens[1 : sides + 1]]


def ascii_stream(data: bytes) -> io.BytesIO:
    """The bytes of an ASCII text, to be read line by line.

    Raises:
        UnicodeDecodeError: one of them is none; the place is told.
    """
    if not data.isascii():
        data.decode("ascii")
    return io.BytesIO(data)
