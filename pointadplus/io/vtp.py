"""VTK's XML polydata (.vtp)."""

from __future__ import annotations

import base64
import lzma
import re
import zlib
from typing import Any
from xml.etree import ElementTree

import numpy as np

from ..errors import CloudReadError
from .formats import RawCloud, check_bytes, most_inflated, whole_number
from .vtk import COLORS, cloud_of, triangles

_TYPES = {f"{kind}{8 * size}": f"{kind[0].lower()}{size}" for kind in ("Int", "UInt") for size in (1, 2, 4, 8)}
_TYPES |= {"Float32": "f4", "Float64": "f8"}
_UNPACKERS = {"": None, "vtkZLibDataCompressor": zlib.decompressobj, "vtkLZMADataCompressor": lzma.LZMADecompressor}


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
    active = next((data.get("Normals") for data in piece.iterfind("PointData")), None)
    for array in piece.iterfind("PointData/DataArray"):
        name = array.get("Name", "")
        width = whole_number(array.get("NumberOfComponents") or "1", "NumberOfComponents")
        if width == 3 and name in (active, "Normals"):
            normals = file.array(array, 3 * count)
        elif width in (3, 4) and (COLORS.fullmatch(name) or array.get("type") == "UInt8"):
            colors = file.array(array, width * count).reshape(count, width)
    return cloud_of(points, faces, normals, colors)


class _Xml:
    """How the arrays of an XML file are laid out."""

    def __init__(self, root: ElementTree.Element, tail: bytes, encoded: bool) -> None:
        self.order = ">" if root.get("byte_order") == "BigEndian" else "<"
        self.header = np.dtype(self.order + _TYPES[root.get("header_type", "UInt32")])
        self.tail, self.encoded = tail, encoded
        packer = root.get("compressor", "")
        if packer not in _UNPACKERS:
            raise CloudReadError("the data are packed in an unknown way", expected="zlib or LZMA", found=packer[:40])
        self.unpacker: Any = _UNPACKERS[packer]
        offsets = {
            int(array.get("offset", "0")) for array in root.iter("DataArray") if array.get("format") == "appended"
        }
        self.ends = sorted({*offsets, len(tail)})

    def array(self, element: ElementTree.Element, count: int) -> np.ndarray:
        """(count,) numbers of a DataArray."""
        kind = np.dtype(self.order + _TYPES[element.get("type", "")])
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
