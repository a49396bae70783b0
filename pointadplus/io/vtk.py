"""VTK's polydata, legacy (.vtk) and XML (.vtp): points, polygons, strips, normals and colours.

Read here: meshio reads no polydata, and the vtk package is half a gigabyte whose readers do not end on some damaged files.
"""

from __future__ import annotations

import base64
import lzma
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np

from ..errors import CloudReadError
from .formats import RawCloud, check_bytes, fan, most_inflated, unit_colors, whole_number

_TYPES = {
    "char": "i1", "unsigned_char": "u1", "short": "i2", "unsigned_short": "u2", "int": "i4", "unsigned_int": "u4",
    "long": "i8", "unsigned_long": "u8", "vtkidtype": "i4", "vtktypeint64": "i8", "vtktypeint32": "i4", "float": "f4",
    "double": "f8", "bit": "bit",
}  # fmt: skip
_XML_TYPES = {f"{kind}{8 * size}": f"{kind[0].lower()}{size}" for kind in ("Int", "UInt") for size in (1, 2, 4, 8)}
_XML_TYPES |= {"Float32": "f4", "Float64": "f8"}
_CELLS = ("VERTICES", "LINES", "POLYGONS", "TRIANGLE_STRIPS")
_COLORS = re.compile(r"rgba?|colou?rs?(_?rgba?)?", re.IGNORECASE)


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
        end = re.compile(rb"\n\s*[A-Z]{3}").search(self.data, self.at)  # the next keyword
        block = self.data[self.at : end.start() if end else len(self.data)].split(None, count)
        if len(block) < count or (len(block) > count and block[count].strip() and block[count][:1].isalpha() is False):
            raise CloudReadError("numbers do not fit the header", expected=f"{count} numbers", found=len(block))
        self.at = end.start() if end else len(self.data)
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
    colors = next((array for name, array in arrays.items() if _COLORS.fullmatch(name)), arrays.get("\0colors"))
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
    """The values of one attribute, or of all the arrays of a field, by name; read to get past them, if for nothing else."""
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


def read_vtp(data: bytes) -> RawCloud:
    """XML polydata: ascii, binary or appended, plain or packed by zlib or LZMA; all its pieces."""
    start = data.find(b"<AppendedData")
    tail = b""
    if start >= 0:  # raw data are no XML
        mark = data.find(b"_", start)
        if mark < 0:
            raise CloudReadError("the appended data are missing", expected="_ before them")
        encoding = data[start:mark]
        end = data.rfind(b"</AppendedData")
        check_bytes(mark + 1, end, "appended data")
        tail, data = data[mark + 1 : end], data[:start] + b"</VTKFile>"
    else:
        encoding = b""
    root = ElementTree.fromstring(data)
    pieces = root.findall("PolyData/Piece")
    if root.tag != "VTKFile" or root.get("type") != "PolyData" or not pieces:
        raise CloudReadError("no polydata", expected='VTKFile type="PolyData"', found=f"{root.tag} {root.get('type')}")
    file = _Xml(root, tail, b"base64" in encoding)
    clouds = [_piece(file, piece) for piece in pieces]
    if len(clouds) == 1:
        return clouds[0]
    steps = np.cumsum([0, *(len(cloud.points) for cloud in clouds)])
    faces = [cloud.faces + step for cloud, step in zip(clouds, steps, strict=False) if cloud.faces is not None]

    def together(values: list[np.ndarray | None]) -> np.ndarray | None:
        known = [value for value in values if value is not None]
        return np.concatenate(known) if len(known) == len(values) else None

    return RawCloud(
        np.concatenate([cloud.points for cloud in clouds]),
        together([cloud.normals for cloud in clouds]),
        together([cloud.colors for cloud in clouds]),
        faces=np.concatenate(faces) if faces else None,
    )


def _piece(file: _Xml, piece: ElementTree.Element) -> RawCloud:
    count = whole_number(piece.get("NumberOfPoints", ""), "NumberOfPoints")
    found = piece.find("Points/DataArray")
    if found is None:
        raise CloudReadError("a piece has no points", expected="Points")
    points = file.array(found, 3 * count).reshape(-1, 3)
    faces = []
    for name, strips in (("Polys", False), ("Strips", True)):
        cells = whole_number(piece.get(f"NumberOf{name}", "0"), f"NumberOf{name}")
        arrays = {array.get("Name"): array for array in piece.iterfind(f"{name}/DataArray")}
        if cells:
            ends = file.array(arrays["offsets"], cells).astype(np.int64)
            corners = file.array(arrays["connectivity"], int(ends[-1])).astype(np.int64)
            faces.append(triangles(np.concatenate([[0], ends]), corners, strips=strips))
    normals = colors = None
    data = piece.find("PointData")
    for array in data.iterfind("DataArray") if data is not None else ():
        name = array.get("Name", "")
        width = whole_number(array.get("NumberOfComponents") or "1", "NumberOfComponents")
        if width == 3 and name == (data.get("Normals") if data is not None else "") or name == "Normals":
            normals = file.array(array, 3 * count)
        elif width in (3, 4) and (_COLORS.fullmatch(name) or array.get("type") == "UInt8"):
            colors = file.array(array, width * count).reshape(count, width)
    return cloud_of(points, faces, normals, colors)


class _Xml:
    """How the arrays of an XML file are laid out."""

    def __init__(self, root: ElementTree.Element, tail: bytes, encoded: bool) -> None:
        self.order = ">" if root.get("byte_order") == "BigEndian" else "<"
        self.header = np.dtype(self.order + _XML_TYPES[root.get("header_type", "UInt32")])
        self.tail, self.encoded = tail, encoded
        packer = root.get("compressor", "")
        unpackers = {"": None, "vtkZLibDataCompressor": zlib.decompressobj, "vtkLZMADataCompressor": lzma.LZMADecompressor}
        if packer not in unpackers:
            raise CloudReadError("the data are packed in an unknown way", expected="zlib or LZMA", found=packer[:40])
        self.unpacker: Any = unpackers[packer]
        offsets = {int(array.get("offset", "0")) for array in root.iter("DataArray") if array.get("format") == "appended"}
        self.ends = sorted({*offsets, len(tail)})

    def array(self, element: ElementTree.Element, count: int) -> np.ndarray:
        """(count,) numbers of a DataArray."""
        kind = np.dtype(self.order + _XML_TYPES[element.get("type", "")])
        form = element.get("format")
        if form == "ascii":
            words = (element.text or "").split()
            if len(words) != count:
                raise CloudReadError("numbers do not fit the header", expected=f"{count} numbers", found=len(words))
            values = np.array(words, np.float64)
            return values if kind.kind == "f" else values.astype(kind)
        if form == "binary":
            data = _from_base64((element.text or "").encode("ascii"))
        else:
            start = whole_number(element.get("offset", ""), "offset")
            data = self.tail[start:]
            if self.encoded:
                data = _from_base64(self.tail[start : next((end for end in self.ends if end > start), None)])
        size = count * kind.itemsize
        return np.frombuffer(self._unpacked(data, size), kind, count)

    def _unpacked(self, data: bytes, size: int) -> bytes:
        width = self.header.itemsize
        if self.unpacker is None:
            check_bytes(width + size, len(data), "array")
            return data[width : width + size]
        check_bytes(3 * width if size else 0, len(data), "array")
        blocks = int(np.frombuffer(data, self.header, 1)[0])
        check_bytes((3 + blocks) * width, len(data), "array")
        check_bytes(size, most_inflated(len(data)), "array")
        packed, at, out = np.frombuffer(data, self.header, blocks, 3 * width), (3 + blocks) * width, bytearray()
        for length in packed.tolist():
            out += self.unpacker().decompress(data[at : at + length], size - len(out) + 1)
            at += length
        if len(out) != size:
            raise CloudReadError("the packed data do not fit", expected=f"{size} bytes", found=f"{len(out)} bytes")
        return bytes(out)


def _from_base64(text: bytes) -> bytes:
    """The bytes of one or more base64 texts, one after another: a header has a text of its own."""
    return b"".join(base64.b64decode(part) for part in re.findall(rb"[^=]+=*", b"".join(text.split())))
