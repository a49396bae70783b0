"""PLY, read and written: a cloud, or a mesh if there are faces.

Read here and not by a library, because a cloud must keep every row, and because each count in a header must be checked
against the bytes that follow before anything is allocated.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np

from ..errors import CloudReadError
from .formats import RawCloud, check_blank, check_bytes, counted, fan, from_fields, whole_number
from .table_fast import quick_table, quick_triangles, sections, text_table

_TYPES = {
    **{
        "char": "i1",
        "uchar": "u1",
        "short": "i2",
        "ushort": "u2",
        "int": "i4",
        "uint": "u4",
        "float": "f4",
        "double": "f8",
    },
    **{"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"},
    **{"float32": "f4", "float64": "f8"},
}
_WRITTEN = {"u1": "uchar", "i4": "int", "f4": "float", "f8": "double"}


@dataclass(frozen=True)
class _Property:
    """One property of an element; its types are numpy codes such as "f4"."""

    name: str
    kind: str
    count_kind: str | None = None  # the type of a list's length; None for a single number

    @property
    def size(self) -> int:
        return int(self.kind[1])

    @property
    def count_size(self) -> int:
        return int(self.count_kind[1]) if self.count_kind else 0


@dataclass(frozen=True)
class _Element:
    name: str
    count: int
    properties: tuple[_Property, ...] = ()

    @property
    def lists(self) -> bool:
        return any(p.count_kind for p in self.properties)


def read_ply(data: bytes | memoryview) -> RawCloud:
    """PLY 1.0: ascii, binary_little_endian or binary_big_endian."""
    head = bytes(data[: 1 << 14])  # most are short, and a copy takes its time
    encoding, elements, start = _header(head if b"end_header\n" in head else bytes(data[: 1 << 20]))
    if encoding == "ascii":
        body = memoryview(data)[start:]
        tables = _quick_ascii(body, elements) or _ascii(bytes(body).decode("ascii"), elements)
    else:
        tables = _binary(memoryview(data), start, elements, "<" if encoding == "binary_little_endian" else ">")
    vertex, face = tables.get("vertex", {}), tables.get("face", {})
    raw = from_fields({name: column for name, column in vertex.items() if np.ndim(column) == 1})
    polygons = face.get("vertex_indices", face.get("vertex_index", ()))
    strips = tables.get("tristrips", {})
    strips = strips.get("vertex_indices", strips.get("vertex_index", ()))
    triangles = [fan(polygons)] * (len(polygons) > 0) + [of_strips(strip) for strip in strips]
    return replace(raw, faces=np.concatenate(triangles)) if triangles else raw


def of_strips(strip: np.ndarray | Sequence[int]) -> np.ndarray:
    """(F, 3) int64 triangles of strips, one after another with −1 between, as Stanford's scans have them."""
    corners = np.asarray(strip, np.int64)
    triples = np.lib.stride_tricks.sliding_window_view(corners, 3) if len(corners) > 2 else np.zeros((0, 3), np.int64)
    at = np.arange(len(triples))
    begins = np.maximum.accumulate(np.where(corners[: len(triples)] < 0, at + 1, 0))
    triples = np.where(((at - begins) % 2 == 1)[:, None], triples[:, [0, 2, 1]], triples)  # every other one is turned
    return triples[(triples >= 0).all(1)]


def _header(data: bytes) -> tuple[str, list[_Element], int]:
    marker = data.find(b"end_header")
    start = data.find(b"\n", marker) + 1
    if not data.startswith(b"ply") or marker < 0 or start == 0:
        raise CloudReadError("malformed header", expected="`ply` … `end_header`", found=repr(data[:20]))
    encoding = ""
    elements: list[_Element] = []
    for line in data[:marker].decode("utf-8", "replace").splitlines()[1:]:
        new = None
        match line.split():
            case [] | ["comment" | "obj_info", *_]:
                pass
            case ["format", ("ascii" | "binary_little_endian" | "binary_big_endian") as encoding, "1.0"]:
                pass
            case ["element", name, count]:
                elements.append(_Element(name, whole_number(count, f"the count of {name}")))
            case ["property", kind, name] if kind in _TYPES and elements:
                new = _Property(name.lower(), _TYPES[kind])
            case ["property", "list", count_kind, kind, name] if {kind, count_kind} <= _TYPES.keys() and elements:
                new = _Property(name.lower(), _TYPES[kind], _TYPES[count_kind])
            case _:
                raise CloudReadError("malformed header", expected="a PLY 1.0 header line", found=repr(line[:80]))
        if new:
            elements[-1] = replace(elements[-1], properties=(*elements[-1].properties, new))
    if not encoding:
        raise CloudReadError("malformed header", expected="a format line", found="none")
    return encoding, elements, start


def _quick_ascii(body: memoryview, elements: Sequence[_Element]) -> dict[str, dict[str, Any]] | None:
    """As `_ascii`, of a large file of plain numbers and triangles; None for any other."""
    elements = [element for element in elements if element.count]
    tables: dict[str, dict[str, Any]] = {}
    for element, part in zip(elements, sections(body, [e.count for e in elements]) or (), strict=False):
        first, rows = element.properties[:1], quick_triangles(part) if element.lists else quick_table(part)
        if rows is None or len(rows) != element.count:
            return None
        if element.lists and first[0].count_kind:
            tables[element.name] = {first[0].name: rows}
        elif not element.lists and rows.shape[1] == len(element.properties):
            tables[element.name] = _columns(rows, element)
        else:
            return None
    return tables or None


def _columns(rows: np.ndarray, element: _Element) -> dict[str, np.ndarray]:
    """Integer properties become integers: colours are scaled by their type."""
    return {p.name: column.astype(p.kind, copy=False) for p, column in zip(element.properties, rows.T, strict=True)}


def _ascii(text: str, elements: Sequence[_Element]) -> dict[str, dict[str, Any]]:
    lines = [line for line in text.split("\n") if line.strip()]
    total = sum(element.count for element in elements)
    if len(lines) != total:
        raise CloudReadError("rows do not fit the header", expected=f"{total} rows", found=f"{len(lines)} rows")
    tables: dict[str, dict[str, Any]] = {}
    start = 0
    for element in elements:
        rows, start = lines[start : start + element.count], start + element.count
        properties = element.properties
        if rows and not element.lists:
            table = text_table("\n".join(rows).encode())
            if table.shape[1] != len(properties):
                expected, found = f"{len(properties)} columns", table.shape[1]
                raise CloudReadError("rows do not fit the header", expected=expected, found=found)
            tables[element.name] = _columns(table, element)
        elif rows and properties[0].count_kind:  # what follows a face's polygon in its row is of no use here
            tables[element.name] = {properties[0].name: [counted(row.split()) for row in rows]}
        elif rows and element.name in ("vertex", "face"):
            raise CloudReadError(
                f"cannot read the {element.name} rows", expected="numbers, or a list first", found="both"
            )
    return tables


def _binary(data: memoryview, start: int, elements: Sequence[_Element], order: str) -> dict[str, dict[str, Any]]:
    tables: dict[str, dict[str, Any]] = {}
    for element in elements:
        if element.count == 0:  # of faces, as MeshLab ends its clouds: there is no length of a first list
            continue
        smallest = sum(p.count_size or p.size for p in element.properties)
        check_bytes(element.count * max(smallest, 1), len(data) - start, f"{element.name} data")
        read = _ragged_rows if element.lists and not _even_lists(data, start, element, order) else _even_rows
        tables[element.name], start = read(data, start, element, order)
    check_blank(data[start:], "PLY data")
    return tables


def _layout(data: memoryview, start: int, element: _Element, order: str) -> np.dtype:
    """The layout of a row whose lists are as long as those of the element's first row."""
    fields: list[tuple[Any, ...]] = []
    for p in element.properties:
        if not p.count_kind:
            fields.append((p.name, order + p.kind))
        else:
            check_bytes(start + p.count_size, len(data), f"{element.name} data")
            length = int(np.frombuffer(data, order + p.count_kind, 1, start)[0]) if element.count else 0
            check_bytes(length * p.size, len(data) - start, f"{element.name} data")
            fields += [(f"{p.name} length", order + p.count_kind), (p.name, order + p.kind, (length,))]
            start += p.count_size + (length - 1) * p.size
        start += p.size
    return np.dtype(fields)


def _even_lists(data: memoryview, start: int, element: _Element, order: str) -> bool:
    """Whether each row's lists are as long as the first row's: most files hold triangles only, and load at once."""
    layout = _layout(data, start, element, order)
    if element.count * layout.itemsize > len(data) - start:
        return False
    rows = np.frombuffer(data, layout, element.count, start)
    return all((rows[f"{p.name} length"] == layout[p.name].shape[0]).all() for p in element.properties if p.count_kind)


def _even_rows(data: memoryview, start: int, element: _Element, order: str) -> tuple[dict[str, Any], int]:
    layout = _layout(data, start, element, order)
    rows = np.frombuffer(data, layout, element.count, start)
    return {
        p.name: rows[p.name].astype(p.kind, copy=False) for p in element.properties
    }, start + element.count * layout.itemsize


def _ragged_rows(data: memoryview, start: int, element: _Element, order: str) -> tuple[dict[str, Any], int]:
    columns: dict[str, Any] = {p.name: [] for p in element.properties}
    for _ in range(element.count):
        for p in element.properties:
            length = 1
            if p.count_kind:
                check_bytes(start + p.count_size, len(data), f"{element.name} data")
                length = int.from_bytes(data[start : start + p.count_size], "little" if order == "<" else "big")
                start += p.count_size
            check_bytes(length * p.size, len(data) - start, f"{element.name} data")
            columns[p.name].append(struct.unpack_from(f"{order}{length}{np.dtype(p.kind).char}", data, start))
            start += length * p.size
    for p in element.properties:
        if not p.count_kind:
            columns[p.name] = np.array(columns[p.name], p.kind)[:, 0]
    return columns, start


def write_ply(stream: BinaryIO, fields: Mapping[str, np.ndarray], faces: np.ndarray | None = None) -> None:
    """Write named columns, float32, float64, int32 or uint8, as the vertices of a binary little-endian PLY, and (F, 3)
    triangles between them."""
    rows = np.empty(len(fields["x"]), [(name, column.dtype.newbyteorder("<")) for name, column in fields.items()])
    for name, column in fields.items():
        rows[name] = column
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(rows)}"]
    header += [f"property {_WRITTEN[column.dtype.str[1:]]} {name}" for name, column in fields.items()]
    if faces is not None:
        header += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
    stream.write("\n".join([*header, "end_header\n"]).encode())
    stream.write(rows.tobytes())
    if faces is not None:
        triangles = np.empty(len(faces), [("count", "u1"), ("corners", "<i4", 3)])
        triangles["count"], triangles["corners"] = 3, faces
        stream.write(triangles.tobytes())
