"""VTK's legacy polydata (.vtk), and what it shares with the XML form.

Read here: meshio reads no polydata, and the vtk package takes half a gigabyte.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import CloudReadError
from .formats import RawCloud, check_bytes, fan, unit_colors, whole_number

_TYPES = {
    "char": "i1", "unsigned_char": "u1", "short": "i2", "unsigned_short": "u2", "int": "i4", "unsigned_int": "u4",
    "long": "i8", "unsigned_long": "u8", "vtkidtype": "i4", "vtktypeint64": "i8", "vtktypeint32": "i4", "float": "f4",
    "double": "f8", "bit": "bit",
}  # fmt: skip
_CELLS = ("VERTICES", "LINES", "POLYGONS", "TRIANGLE_STRIPS")
COLORS = re.compile(r"rgba?|colou?rs?(_?rgba?)?", re.IGNORECASE)


def triangles(offsets: np.ndarray, corners: np.ndarray, *, strips: bool = False) -> np.ndarray:
    """(F, 3) int64 of polygons or strips; cell i has the corners `offsets[i]` to `offsets[i + 1]`."""
    sizes = np.diff(offsets)
    if len(offsets) and (offsets[0] != 0 or offsets[-1] != len(corners) or (sizes < 0).any()):
        raise CloudReadError("cells do not fit their corners", expected=f"{len(corners)} corners", found=offsets[-1])
    found = [np.zeros((0, 3), np.int64)]
    for size in np.unique(sizes[sizes >= 3]).tolist():
        cells = corners[offsets[:-1][sizes == size][:, None] + np.arange(size)]
        if strips:  # every other triangle of a strip is turned over
            turns = [cells[:, [i, i + 1 + i % 2, i + 2 - i % 2]] for i in range(size - 2)]
            found.append(np.concatenate(turns))
        else:
            found.append(fan(cells))
    return np.concatenate(found).astype(np.int64)


def cloud_of(points: np.ndarray, faces: Iterable[np.ndarray], normals: Any, colors: Any) -> RawCloud:
    """Polydata with what belongs to it, if it fits."""
    count = len(points)
    joined = np.concatenate([np.zeros((0, 3), np.int64), *faces])
    if len(joined) and not 0 <= joined.min() <= joined.max() < count:
        raise CloudReadError("a face names a vertex that is not there", expected=f"0 to {count - 1}")
    normals = normals.reshape(-1, 3) if normals is not None and normals.size == 3 * count else None
    if colors is not None:
        colors = unit_colors(colors[:, :3]) if len(colors) == count and colors.shape[1] in (3, 4) else None
    return RawCloud(points, normals, colors, faces=joined if len(joined) else None)


@dataclass
class _Legacy:
    """A position in the data of a legacy file."""

    data: bytes
    at: int
    binary: bool

    def line(self) -> list[str]:
        """The words of the next line that is not blank; none at the end."""
        while self.at < len(self.data):
            end = self.data.find(b"\n", self.at)
            end = len(self.data) if end < 0 else end
            words = self.data[self.at : min(end, self.at + 4096)].decode("latin-1").split()
            self.at = end + 1
            if words:
                return words
        return []

    def skip_block(self) -> None:
        """Go past METADATA, which ends at a blank line."""
        end = re.compile(rb"\n[ \t\r]*\n").search(self.data, self.at - 1)
        self.at = end.end() if end else len(self.data)

    def numbers(self, count: int, kind: str) -> np.ndarray:
        """(count,) of VTK's type; binary data are big-endian."""
        kind = _TYPES[kind.lower()]
        if self.binary:
            size = -(-count // 8) if kind == "bit" else count * np.dtype(kind).itemsize
            check_bytes(size, len(self.data) - self.at, "data")
            start, self.at = self.at, self.at + size
            if kind == "bit":
                return np.zeros(count, np.uint8)  # nothing that is read here comes in bits
            return np.frombuffer(self.data, f">{kind}", count, start)
        check_bytes(2 * count - 1, len(self.data) - self.at, "data")
        keyword = re.compile(rb"\n\s*[A-Z]{3}").search(self.data, self.at)  # beyond it nothing need be split
        end = keyword.start() if keyword else len(self.data)
        block = self.data[self.at : end].split(None, count)
        if len(block) < count:
            raise CloudReadError("numbers do not fit the header", expected=f"{count} numbers", found=len(block))
        self.at = end - len(block[count]) if len(block) > count else end
        values = np.array(block[:count], np.float64)
        return values if kind[0] == "f" else values.astype(np.uint8 if kind == "bit" else kind)


def read_vtk(data: bytes) -> RawCloud:
    """Legacy VTK, ascii or binary, of versions 1 to 5: a polydata's points, polygons, strips, normals and colours."""
    first = data[:512].split(b"\n", 3)
    if not first[0].startswith(b"# vtk DataFile") or len(first) < 4:
        raise CloudReadError("malformed header", expected="# vtk DataFile Version …", found=repr(first[0][:40]))
    encoding = first[2].strip().upper()
    if encoding not in (b"ASCII", b"BINARY"):
        raise CloudReadError("malformed header", expected="ASCII or BINARY", found=repr(encoding[:20]))
    file = _Legacy(data, sum(len(line) + 1 for line in first[:3]), encoding == b"BINARY")
    kind = file.line()
    if [word.upper() for word in kind] != ["DATASET", "POLYDATA"]:
        raise CloudReadError(
            "no polydata", expected="DATASET POLYDATA", found=" ".join(kind)[:80],
            hint="extract the surface, in ParaView or with pyvista's extract_surface",
        )  # fmt: skip
    points, faces, arrays, of, count = None, [], {}, "", 0
    while words := file.line():
        key, rest = words[0].upper(), words[1:]
        if key == "POINTS":
            points = file.numbers(3 * whole_number(rest[0], "a count of points"), rest[1]).reshape(-1, 3)
        elif key in _CELLS:
            offsets, corners = _legacy_cells(file, *(whole_number(word, "a count of cells") for word in rest[:2]))
            if key in ("POLYGONS", "TRIANGLE_STRIPS"):
                faces.append(triangles(offsets, corners, strips=key == "TRIANGLE_STRIPS"))
        elif key in ("POINT_DATA", "CELL_DATA"):
            of, count = key, whole_number(rest[0], "a count of values")
        elif key == "METADATA":
            file.skip_block()
        else:
            found = _legacy_array(file, key, rest, count)
            arrays |= found if of == "POINT_DATA" else {}
    if points is None:
        raise CloudReadError("the file has no points", expected="POINTS", found="none")
    colors = next((array for name, array in arrays.items() if COLORS.fullmatch(name)), arrays.get("\0colors"))
    return cloud_of(points, faces, arrays.get("\0normals", arrays.get("Normals")), colors)


def _legacy_cells(file: _Legacy, first: int, second: int) -> tuple[np.ndarray, np.ndarray]:
    """Offsets and corners: of version 5 as they are, of earlier ones from `size, corners …` for each cell."""
    start = file.at
    words = file.line()
    if words and words[0].upper() == "OFFSETS":
        offsets = file.numbers(first, words[1]).astype(np.int64)
        words = file.line()
        return offsets, file.numbers(second, words[1]).astype(np.int64)
    file.at = start
    flat, offsets, keep, at = file.numbers(second, "int").astype(np.int64), [0], np.ones(second, bool), 0
    sizes = flat.tolist()
    for _ in range(first):
        if at >= second or sizes[at] < 0:
            raise CloudReadError("cells do not fit their corners", expected=f"{first} cells", found=len(offsets) - 1)
        keep[at] = False
        offsets.append(offsets[-1] + sizes[at])
        at += sizes[at] + 1
    return np.array(offsets), flat[keep]


def _legacy_array(file: _Legacy, key: str, rest: list[str], count: int) -> dict[str, np.ndarray]:
    """The values of one attribute, or of all the arrays of a field, by name; all are read, to get past them."""
    if key == "FIELD":
        found = {}
        for _ in range(whole_number(rest[1], "a count of arrays")):
            while (words := file.line()) and words[0] == "METADATA":
                file.skip_block()
            name, width, rows, kind = words
            width, rows = whole_number(width, "components"), whole_number(rows, "a count of rows")
            if kind == "string":
                raise CloudReadError("an array of text cannot be read", found=name[:80])
            found[name] = file.numbers(width * rows, kind).reshape(rows, width)
        return found
    if key == "LOOKUP_TABLE":
        size = whole_number(rest[1], "a size of a table")
        file.numbers(4 * size, "unsigned_char" if file.binary else "float")
        return {}
    if key == "COLOR_SCALARS":
        width = whole_number(rest[1], "components")
        values = file.numbers(width * count, "unsigned_char" if file.binary else "float").reshape(count, width)
        return {"\0colors": values}
    if key == "SCALARS":
        width = whole_number(rest[2], "components") if len(rest) > 2 else 1
        start = file.at
        if file.line()[:1] != ["LOOKUP_TABLE"]:
            file.at = start
        values = file.numbers(width * count, rest[1]).reshape(count, width)
        return {"\0colors" if rest[1] == "unsigned_char" else rest[0]: values}
    if key == "TEXTURE_COORDINATES":
        file.numbers(whole_number(rest[1], "dimensions") * count, rest[2])
        return {}
    width = {"NORMALS": 3, "VECTORS": 3, "TENSORS": 9, "TENSORS6": 6, "GLOBAL_IDS": 1, "PEDIGREE_IDS": 1}.get(key)
    if width is None:
        raise CloudReadError("an unknown section", expected="a section of polydata", found=key[:40])
    values = file.numbers(width * count, rest[1])
    return {"\0normals": values} if key == "NORMALS" else {}
