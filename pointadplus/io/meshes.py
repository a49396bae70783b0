"""Meshes: OFF read here, and STL, OBJ and glTF through trimesh behind guards."""

from __future__ import annotations

import io
import json
import re
import warnings
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from ..errors import CloudReadError
from .formats import RawCloud, ascii_stream, check_bytes, counted, fan, most_inflated, unit_colors, whole_number
from .objects import from_trimesh
from .quantised import dequantised
from .table_fast import quick_table, quick_triangles, sections, text_table

_COLORED = re.compile(rb"^(v(?:[ \t]+[^\s#]+){3})((?:[ \t]+[\d.eE+-]+){3})[ \t]*(?=\r?$)", re.MULTILINE)


def read_off(data: bytes) -> RawCloud:
    """OFF, COFF and NOFF: vertices, then polygons. Trimesh would not notice that the last polygons are missing."""
    stream = ascii_stream(data)
    texts = (text for line in stream if (text := line.decode("ascii").split("#")[0].strip()))
    first = next(texts, "").split() or [""]
    if first[0] not in ("OFF", "COFF", "NOFF"):
        raise CloudReadError("malformed header", expected="OFF", found=repr(first[0][:20]))
    counts = first[1:] or next(texts, "").split()  # ModelNet writes the counts beside the keyword
    vertices, faces = whole_number(counts[0], "the count of vertices"), whole_number(counts[1], "the count of faces")
    table, triangles = _quick_off(memoryview(data)[stream.tell() :], vertices, faces)
    if table is None:
        lines = list(texts)
        if len(lines) != vertices + faces:
            raise CloudReadError("rows do not fit the header", expected=f"{vertices + faces} rows", found=len(lines))
        table = text_table("\n".join(lines[:vertices]).encode())
        triangles = fan([counted(line.split()) for line in lines[vertices:]])
    beside = table[:, 3:6] if table.shape[1] >= 6 else None
    return RawCloud(
        table[:, :3],
        beside if first[0] == "NOFF" else None,
        None if beside is None or first[0] != "COFF" else unit_colors(beside),
        faces=triangles if faces else None,
    )


def _quick_off(body: memoryview, vertices: int, faces: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Vertices and triangles of a large file that holds nothing else; None for any other."""
    parts = sections(body, [vertices, faces] if faces else [vertices])
    table = None if parts is None else quick_table(parts[0])
    triangles = None if parts is None or not faces else quick_triangles(parts[1])
    fits = table is not None and len(table) == vertices and (0 if triangles is None else len(triangles)) == faces
    return (table, triangles) if fits else (None, None)


def read_scene(data: bytes, path: Path) -> RawCloud:
    """STL, OBJ, GLB or GLTF: every instance of every mesh, in the scene's frame."""
    import trimesh
    from trimesh.resolvers import FilePathResolver

    suffix = path.suffix.lower()
    if suffix == ".stl":
        data = _whole_stl(data)
    elif suffix == ".obj":
        data = _with_unit_colors(_vertices_and_faces(data))
    elif suffix in (".glb", ".gltf"):
        _guard_gltf(data, path)
        data = dequantised(data, path)
    resolver = FilePathResolver(str(path)) if suffix == ".gltf" else None
    with warnings.catch_warnings():  # what trimesh warns of is either refused below or of no concern to points
        warnings.simplefilter("ignore")
        scene = trimesh.load_scene(
            io.BytesIO(data), file_type=suffix[1:], resolver=resolver, process=False, skip_materials=True,
            maintain_order=True,
        )  # fmt: skip
        return from_trimesh(scene)


def _whole_stl(data: bytes) -> bytes:
    """The STL without what follows its end. Trimesh reads what it can of a text that stops early, and refuses a binary
    file that goes on."""
    size = 84 + 50 * int(np.frombuffer(data, "<u4", 1, 80)[0]) if len(data) >= 84 else 0
    if len(data) == size:
        return data
    if data.lstrip()[:5].lower() == b"solid" and (end := data.lower().rfind(b"endsolid")) >= 0:
        return data[: data.find(b"\n", end) + 1 or len(data)]
    if 84 < size < len(data) and (len(data) - size) % 50:  # whole triangles would be missing from the count
        return data[:size]
    raise CloudReadError(
        "the STL is truncated, or its header is wrong",
        expected="84 + 50·F bytes, or solid … endsolid",
        found=f"{len(data)} bytes",
    )


def _with_unit_colors(data: bytes) -> bytes:
    """An OBJ whose vertices have colours in [0, 1], where they are in [0, 255]."""
    lines = _COLORED.findall(data)
    if not lines:
        return data
    colors = np.array([line[1].split() for line in lines], np.float64)
    if not 1.001 < colors.max() <= 255:
        return data

    def scaled(line: re.Match[bytes]) -> bytes:
        return line[1] + b" %.9g %.9g %.9g" % tuple(float(value) / 255 for value in line[2].split())

    return _COLORED.sub(scaled, data)


def _vertices_and_faces(data: bytes) -> bytes:
    """An OBJ of nothing but vertices and faces: for the sake of materials, textures and normals trimesh would copy the
    vertices and order them anew."""
    data = data.replace(b"\r\n", b"\n").replace(b"\\\n", b" ")
    data = re.sub(rb"(?m)^[ \t]*(?:vt|vn|vp|usemtl|mtllib|usemap|g|o|s)\b.*$", b"", data)
    return re.sub(rb"(?m)^[ \t]*f\b.*$", lambda face: re.sub(rb"/[^\s/]*", b"", face.group().lstrip()), data)


def _guard_gltf(data: bytes, path: Path) -> None:
    """A header may ask for any amount of memory, and for any file of the machine: refuse before trimesh obeys."""
    if data[:4] == b"glTF":
        check_bytes(20, len(data), "GLB header")
        total, length = (int(n) for n in np.frombuffer(data, "<u4", 2, 8))
        check_bytes(max(total, 20 + length), len(data), "GLB")
        data = data[20 : 20 + length]
    header = json.loads(data)
    sizes = [int(view["byteLength"]) for view in header.get("bufferViews", [])]
    sizes += [64 * int(accessor["count"]) for accessor in header.get("accessors", [])]  # at most 4 × 4 floats each
    most = most_inflated()
    if min(sizes, default=0) < 0 or sum(sizes) > most:
        raise CloudReadError("absurd counts in the header", expected=f"at most {most} bytes", found=sum(sizes))
    folder = path.parent.resolve()
    for uri in (buffer.get("uri", "") for buffer in header.get("buffers", [])):
        for name in {uri, unquote(uri)} if not uri.startswith("data:") else ():
            target = (folder / name).resolve()
            # Outside the folder nothing is looked for: the answer would tell which files this machine has.
            if name and not (target.is_relative_to(folder) and (target.is_file() or not target.exists())):
                raise CloudReadError("a buffer is no file of this folder", expected="a file beside it", found=uri[:200])
