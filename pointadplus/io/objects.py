"""Clouds from the objects of Open3D and trimesh, neither of which is imported here."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..cloud import PointCloud
from ..config import check_known, check_range
from ..errors import CloudError, CloudReadError
from .formats import RawCloud, most_inflated, unit_colors
from .sampling import to_cloud
from .vertices import at_vertices

AT = "surface", "vertices"  # where a mesh is looked at


def from_object(obj: Any, *, points: int = 100_000, seed: int = 0, at: str = "surface") -> PointCloud:
    """A cloud from an Open3D PointCloud or TriangleMesh (legacy or tensor) or a trimesh PointCloud, Trimesh or Scene.

    Args:
        obj: the object; meshes are sampled evenly by area, clouds are taken whole.
        points: points to sample from a mesh.
        seed: of that sampling.
        at: `"surface"`, or `"vertices"`, see `read_cloud`.

    Raises:
        CloudError: another type, or nothing in it.
        ConfigError: `points` below 1, or an unknown `at`.
    """
    check_known(at, AT, "at")
    check_range(points, "[1, ∞)", "points")
    raw = raw_object(obj)
    return at_vertices(raw, None) if at == "vertices" else to_cloud(raw, points, seed, None)


def raw_object(obj: Any) -> RawCloud:
    """What an Open3D or trimesh point cloud, mesh or scene holds.

    Raises:
        CloudError: another type, or nothing in it.
    """
    package, name = type(obj).__module__.split(".")[0], type(obj).__name__
    if package == "trimesh" and name in ("Trimesh", "PointCloud", "Scene"):
        return from_trimesh(obj)
    if package == "open3d" and name in ("PointCloud", "TriangleMesh"):
        return _from_open3d(obj.to_legacy() if hasattr(obj, "to_legacy") else obj)
    raise CloudError(
        "not an object that holds a cloud",
        where="from_object",
        expected="an Open3D or trimesh point cloud, mesh or scene",
        found=f"{type(obj).__module__}.{name}",
    )


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
    most = most_inflated()
    if total > most:
        raise CloudReadError("the scene is too large", expected=f"at most {most} bytes", found=f"{total} bytes")
    points, faces, colors, offset = [], [], [], 0
    for matrix, part in parts:
        vertices = np.asarray(part.vertices, np.float64)
        points.append(vertices @ matrix[:3, :3].T + matrix[:3, 3])
        colors.append(_vertex_colors(part))
        if meshes:
            corners = np.asarray(part.faces, np.int64) + offset
            mirrored = np.linalg.det(matrix[:3, :3]) < 0  # which turns triangles inside out
            faces.append(corners[:, ::-1] if mirrored else corners)
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


def _from_open3d(obj: Any) -> RawCloud:
    mesh = hasattr(obj, "triangles")
    points, normals, colors = (
        np.asarray(value)
        for value in (
            (obj.vertices, obj.vertex_normals, obj.vertex_colors) if mesh else (obj.points, obj.normals, obj.colors)
        )
    )
    return RawCloud(
        points,
        normals if len(normals) else None,
        colors if len(colors) else None,
        faces=np.asarray(obj.triangles, np.int64) if mesh else None,
    )
