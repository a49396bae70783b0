"""Plain tables and arrays of points: text, NumPy files and TIFF scans."""

from __future__ import annotations

import io
import math
import zipfile

import numpy as np

from ..errors import CloudReadError, install_command
from .formats import RawCloud, check_blank, check_bytes, from_fields, most_inflated, text_table, unit_colors


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
        check_bytes(entry.file_size, most_inflated(len(data)), "archive")
        return read_npy(archive.read(entry))


def read_tiff(data: bytes) -> RawCloud:
    """TIFF: an organised (H, W, 3) scan; a pixel of exactly (0, 0, 0) is no return, as in MVTec 3D-AD."""
    try:
        import tifffile  # pyright: ignore[reportMissingImports] - optional
    except ImportError as error:
        raise CloudReadError("TIFF needs the package tifffile", hint=install_command("tiff")) from error
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page = tiff.pages[0]
        check_bytes(math.prod(page.shape) * page.dtype.itemsize, most_inflated(len(data)), "image")
        array = page.asarray()
    if array.ndim == 3 and array.shape[0] == 3 and array.shape[2] != 3:
        array = np.moveaxis(array, 0, 2)  # planar storage
    raw = _from_array(array.astype(np.float64))
    return RawCloud(np.where((raw.points == 0).all(-1, keepdims=True), np.nan, raw.points))


def _from_columns(table: np.ndarray) -> RawCloud:
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


def _from_array(array: np.ndarray) -> RawCloud:
    if array.ndim == 3 and array.shape[2] == 3:
        return RawCloud(array)
    if array.ndim == 2 and array.shape[1] >= 3:
        return _from_columns(array)
    raise CloudReadError("the array has the wrong shape", expected="(N, 3 or more) or (H, W, 3)", found=array.shape)


def _is_number(token: str) -> bool:
    try:
        float(token)
    except ValueError:
        return False
    return True
