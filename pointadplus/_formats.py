"""What every reader returns, the guards they share, and the plain tables: text, NumPy arrays and TIFF scans.

Readers take bytes, touch no file, and may raise any `Exception` on malformed data: `io.read_cloud` turns it into a
`CloudReadError` that names the file. They check a header against the bytes that follow before they allocate anything.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .errors import CloudReadError

#: Most bytes that a file may ask for beyond its own size (compressed formats, shared glTF buffers). A number we chose:
#: some 10⁸ points, which no scanner delivers, and too little to bring a workstation down.
MAX_INFLATED = 2**31

_NORMALS = (("nx", "ny", "nz"), ("normal_x", "normal_y", "normal_z"))
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
    """

    points: np.ndarray
    normals: np.ndarray | None = None
    colors: np.ndarray | None = None
    grid: tuple[int, int] | None = None
    faces: np.ndarray | None = None


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
    """Find coordinates, normals and colours among named columns; names are lower case, others are ignored."""

    def triple(*choices: Sequence[str]) -> np.ndarray | None:
        for names in choices:
            if all(name in fields for name in names):
                return np.stack([fields[name] for name in names], axis=1)
        return None

    points = triple(("x", "y", "z"))
    if points is None:
        raise CloudReadError("the file has no coordinates", expected="fields x, y and z", found=", ".join(fields)[:200])
    colors = triple(*_COLORS)
    packed = fields.get("rgb", fields.get("rgba"))
    if colors is None and packed is not None and packed.dtype.itemsize == 4:
        bits = np.ascontiguousarray(packed).view(np.uint32)
        colors = np.stack([bits >> 16, bits >> 8, bits], axis=1).astype(np.uint8)
    return RawCloud(points, triple(*_NORMALS), None if colors is None else unit_colors(colors), grid)


def unit_colors(colors: np.ndarray) -> np.ndarray:
    """Colours in [0, 1] as float32, from integers of 8 or 16 bits, or from floats in [0, 1] or [0, 255]."""
    top = float(np.nanmax(colors, initial=0.0))
    whole = colors.dtype.kind in "ui"
    scale = 65535.0 if whole and top > 255 else 255.0 if whole or top > 1 else 1.0
    return np.clip(colors / scale, 0.0, 1.0).astype(np.float32)


def from_columns(table: np.ndarray) -> RawCloud:
    """Points from (N, C ≥ 3) unnamed columns.

    After x, y, z, each three columns are normals if all have unit length, colours if all lie in [0, 1] or [0, 255],
    and are ignored otherwise; one or two columns left over are a label or an intensity, and ignored.
    """
    found: dict[str, np.ndarray] = {}
    for start in range(3, min(table.shape[1], 9) - 2, 3):
        triple = table[:, start : start + 3].astype(np.float64)
        known = triple[np.isfinite(triple).all(1)]
        length = np.linalg.norm(known, axis=1)
        if len(known) and np.abs(length - 1)[length > 0].max(initial=0) < 0.01 and length.any():
            found.setdefault("normals", triple)
        elif len(known) and known.min() >= 0 and known.max() <= 255:
            found.setdefault("colors", unit_colors(triple))
    return RawCloud(table[:, :3], found.get("normals"), found.get("colors"))


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


# --- text tables ---


def text_table(text: str, rows: int | None = None, delimiter: str | None = None) -> np.ndarray:
    """(rows, C) float64 from lines of numbers; every line must have as many columns as the first."""
    if not text.strip():
        raise CloudReadError("the file has no rows", expected="lines of numbers", found="none")
    table = np.loadtxt(io.StringIO(text), delimiter=delimiter, comments=None, ndmin=2)
    if rows is not None and len(table) != rows:
        raise CloudReadError("rows do not fit the header", expected=f"{rows} rows", found=f"{len(table)} rows")
    return table


def read_text(data: bytes) -> RawCloud:
    """XYZ, TXT, ASC and CSV: one row a line; comma, semicolon, tab or spaces; a header line is optional."""
    text = data.decode("utf-8-sig")
    names: list[str] = []
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        line = text[start:end].strip()
        body = line.lstrip("#/ ")
        delimiter = next((mark for mark in ",;" if mark in body), None)
        tokens = [token.strip(' "\t') for token in body.split(delimiter)]
        if line and line == body and all(map(_is_number, tokens)):
            break
        if line == body and names:
            raise CloudReadError("not a table of numbers", expected="numbers after one header line", found=line[:80])
        if any(tokens) and (line == body or "x" in body.lower()):
            names = [token.lower() for token in tokens]
        start = end
    table = text_table(text[start:], delimiter=delimiter)
    if len(names) == table.shape[1] and {"x", "y", "z"} <= set(names):
        return from_fields(dict(zip(names, table.T, strict=True)))
    return _from_array(table)


def _is_number(token: str) -> bool:
    try:
        float(token)
    except ValueError:
        return False
    return True


# --- arrays ---


def read_npy(data: bytes) -> RawCloud:
    """NPY: (N, C ≥ 3) or organised (H, W, 3). The header is checked against the bytes before the array is made."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, fortran, dtype = read_header(stream)
    if dtype.kind not in "fiu" or min(shape, default=0) < 0:
        raise CloudReadError("not an array of numbers", expected="real numbers", found=f"{dtype} {shape}")
    rest = memoryview(data)[stream.tell() :]
    size = math.prod(shape) * dtype.itemsize
    check_bytes(size, len(rest), "array")
    check_blank(rest[size:], "array")
    array = np.frombuffer(rest, dtype, math.prod(shape))
    return _from_array(array.reshape(shape, order="F" if fortran else "C"))


def read_npz(data: bytes) -> RawCloud:
    """NPZ: the array `points`, or the only one."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
        entry = entries.get("points") or (next(iter(entries.values())) if len(entries) == 1 else None)
        if entry is None:
            raise CloudReadError("which array?", expected="`points`, or one array", found=", ".join(entries)[:200])
        check_bytes(entry.file_size, MAX_INFLATED, "archive")
        return read_npy(archive.read(entry))


def read_tiff(data: bytes) -> RawCloud:
    """TIFF: an organised (H, W, 3) scan; a pixel of exactly (0, 0, 0) is no return, as in MVTec 3D-AD."""
    try:
        import tifffile  # pyright: ignore[reportMissingImports] - optional
    except ImportError as error:
        raise CloudReadError("TIFF needs the package tifffile", hint="pip install tifffile") from error
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page = tiff.pages[0]
        check_bytes(math.prod(page.shape) * page.dtype.itemsize, MAX_INFLATED, "image")
        array = page.asarray()
    if array.ndim == 3 and array.shape[0] == 3 and array.shape[2] != 3:
        array = np.moveaxis(array, 0, 2)  # planar storage
    raw = _from_array(array.astype(np.float64))
    return RawCloud(np.where((raw.points == 0).all(-1, keepdims=True), np.nan, raw.points))


def _from_array(array: np.ndarray) -> RawCloud:
    if array.ndim == 3 and array.shape[2] == 3:
        return RawCloud(array)
    if array.ndim == 2 and array.shape[1] >= 3:
        return from_columns(array)
    raise CloudReadError("the array has the wrong shape", expected="(N, 3 or more) or (H, W, 3)", found=array.shape)
