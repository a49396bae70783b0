"""Meshes: OFF read here, STL, OBJ and glTF through trimesh behind guards, and even sampling of a surface."""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from ._formats import MAX_INFLATED, RawCloud, check_bytes, counted, fan, text_table, unit_colors, whole_number
from .errors import CloudError, CloudReadError


def sample_surface(raw: RawCloud, points: int, seed: int) -> RawCloud:
    """`points` points spread evenly by area over the triangles, the same for the same seed.

    Normals and colours are interpolated between vertices; a mesh without normals gives those of its faces.
    """
    faces = raw.faces if raw.faces is not None else np.zeros((0, 3), np.int64)
    if len(faces) and not 0 <= faces.min() <= faces.max() < len(raw.points):
        raise CloudReadError(
            "a face names a vertex that is not there",
            expected=f"0 to {len(raw.points) - 1}",
            found=f"{faces.min()} to {faces.max()}",
        )
    corners = raw.points.astype(np.float64)[faces]
    with np.errstate(over="ignore", invalid="ignore"):
        cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        area = np.linalg.norm(cross, axis=1)
    area[~np.isfinite(area)] = 0
    if not 0 < area.sum() < np.inf:
        raise CloudReadError(
            "the mesh has no surface", expected="a triangle with an area", found=f"{len(faces)} flat ones"
        )
    rng = np.random.default_rng(seed)
    # A face without area has a step of zero in the running sum; side="right" never lands on it.
    reach = np.cumsum(area)
    pick = np.searchsorted(reach, rng.random(points) * reach[-1], side="right").clip(max=np.flatnonzero(area)[-1])
    root, v = np.sqrt(rng.random((points, 1))), rng.random((points, 1))
    weights = np.hstack([1 - root, root * (1 - v), root * v])  # even over a triangle: Osada et al. 2002, eq. 1

    def interpolate(values: np.ndarray) -> np.ndarray:
        return np.einsum("nc,ncd->nd", weights, values.astype(np.float64)[faces[pick]])

    return RawCloud(
        interpolate(raw.points),
        cross[pick] if raw.normals is None else interpolate(raw.normals),
        None if raw.colors is None else interpolate(raw.colors),
    )


# --- OFF ---


def read_off(data: bytes) -> RawCloud:
    """OFF, COFF and NOFF: vertices, then polygons. Trimesh would not notice that the last polygons are missing."""
    lines = [line.split("#")[0].strip() for line in data.decode("ascii").split("\n")]
    lines = [line for line in lines if line]
    first = lines[0].split() if lines else [""]
    if first[0] not in ("OFF", "COFF", "NOFF"):
        raise CloudReadError("malformed header", expected="OFF", found=repr(first[0][:20]))
    at = 1 if len(first) > 1 else 2  # ModelNet writes the counts beside the keyword
    counts = first[1:] if at == 1 else lines[1].split()
    vertices, faces = whole_number(counts[0], "the count of vertices"), whole_number(counts[1], "the count of faces")
    if len(lines) != at + vertices + faces:
        raise CloudReadError("rows do not fit the header", expected=f"{vertices + faces} rows", found=len(lines) - at)
    points = text_table("\n".join(lines[at : at + vertices]))[:, :3]
    polygons = [counted(line.split()) for line in lines[at + vertices :]]
    return RawCloud(points, faces=fan(polygons) if polygons else None)


# --- STL, OBJ and glTF, through trimesh ---


def read_scene(data: bytes, path: Path) -> RawCloud:
    """STL, OBJ, GLB or GLTF: every instance of every mesh, in the scene's frame."""
    import trimesh
    from trimesh.resolvers import FilePathResolver

    suffix = path.suffix.lower()
    if suffix == ".stl":
        _guard_stl(data)
    elif suffix in (".glb", ".gltf"):
        _guard_gltf(data, path)
    resolver = FilePathResolver(str(path)) if suffix == ".gltf" else None
    with warnings.catch_warnings():  # what trimesh warns of is either refused below or of no concern to points
        warnings.simplefilter("ignore")
        scene = trimesh.load_scene(
            io.BytesIO(data), file_type=suffix[1:], resolver=resolver, process=False, skip_materials=True
        )
        return from_trimesh(scene)


def _guard_stl(data: bytes) -> None:
    """Trimesh reads what it can of a text that stops early; a binary file it checks itself."""
    binary = len(data) >= 84 and len(data) == 84 + 50 * int(np.frombuffer(data, "<u4", 1, 80)[0])
    if not binary and not (data.lstrip()[:5].lower() == b"solid" and b"endsolid" in data[-512:].lower()):
        raise CloudReadError(
            "the STL is truncated, or its header is wrong",
            expected="84 + 50·F bytes, or solid … endsolid",
            found=f"{len(data)} bytes",
        )


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
    if min(sizes, default=0) < 0 or sum(sizes) > MAX_INFLATED:
        raise CloudReadError("absurd counts in the header", expected=f"at most {MAX_INFLATED} bytes", found=sum(sizes))
    folder = path.parent.resolve()
    for uri in (buffer.get("uri", "") for buffer in header.get("buffers", [])):
        for name in {uri, unquote(uri)} if not uri.startswith("data:") else ():
            target = (folder / name).resolve()
            if name and target.exists() and not (target.is_file() and target.is_relative_to(folder)):
                raise CloudReadError("a buffer is no file of this folder", expected="a file beside it", found=uri[:200])


def from_trimesh(obj: Any) -> RawCloud:
    """The triangles of a trimesh Trimesh or Scene, or the points of a PointCloud or of a scene without triangles."""
    placed: list[tuple[np.ndarray, Any]] = [(np.eye(4), obj)]
    if hasattr(obj, "graph"):
        nodes = [obj.graph[node] for node in obj.graph.nodes_geometry]
        placed = [(matrix, obj.geometry[name]) for matrix, name in nodes]
    placed = [(matrix, part) for matrix, part in placed if len(getattr(part, "vertices", ()))]
    meshes = [item for item in placed if len(getattr(item[1], "faces", ()))]
    parts = meshes or placed
    if not parts:
        raise CloudError("the object has no point", expected="vertices", found="none")
    total = sum(24 * len(part.vertices) + 24 * len(getattr(part, "faces", ())) for _, part in parts)
    if total > MAX_INFLATED:
        raise CloudReadError("the scene is too large", expected=f"at most {MAX_INFLATED} bytes", found=f"{total} bytes")
    points, faces, colors, offset = [], [], [], 0
    for matrix, part in parts:
        vertices = np.asarray(part.vertices, np.float64)
        points.append(vertices @ matrix[:3, :3].T + matrix[:3, 3])
        colors.append(_vertex_colors(part))
        if meshes:
            faces.append(np.asarray(part.faces, np.int64) + offset)
        offset += len(vertices)
    known = [color for color in colors if color is not None]
    return RawCloud(
        np.concatenate(points),
        colors=np.concatenate(known) if len(known) == len(colors) else None,
        faces=np.concatenate(faces) if faces else None,
    )


def _vertex_colors(part: Any) -> np.ndarray | None:
    colors = getattr(part, "colors", None)  # of a PointCloud
    if getattr(getattr(part, "visual", None), "kind", None) == "vertex":
        colors = part.visual.vertex_colors
    if colors is None or len(colors) != len(part.vertices):
        return None
    return unit_colors(np.asarray(colors)[:, :3])
