"""`TriangleMesh`: validated triangles, and `read_mesh`, for what needs the surface itself and not points of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..cloud import PointCloud
from ..config import check_range
from ..errors import CloudError, CloudReadError
from ..points import as_numbers, near_the_origin
from ..units import unit_named
from .formats import RawCloud
from .objects import raw_object
from .reading import read_file
from .sampling import to_cloud, unit_normals
from .vertices import vertex_normals

#: Extensions that `read_mesh` reads.
MESHES = (
    ".3mf", ".glb", ".gltf", ".iges", ".igs", ".obj", ".off", ".ply", ".step", ".stl", ".stp", ".vtk", ".vtp",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class TriangleMesh:
    """F triangles between P finite vertices.

    Attributes:
        vertices: (P, 3) float32 on the CPU, in the file's own unit, about `offset`; finite.
        faces: (F, 3) int64 rows of `vertices`, F ≥ 1; counter-clockwise seen from outside where that is known.
        normals: (P, 3) float32 unit vectors of the vertices, or None.
        colors: (P, 3) float32 in [0, 1] of the vertices, or None.
        source: the file's path, or None.
        offset: (3,) float64, as `PointCloud.offset`.
        unit: of length, one of `units.UNITS`, where the file tells it; or None.

    Build one with `TriangleMesh.create`.
    """

    vertices: Float[Tensor, "p 3"]
    faces: Int[Tensor, "f 3"]
    normals: Float[Tensor, "p 3"] | None = None
    colors: Float[Tensor, "p 3"] | None = None
    source: str | None = None
    offset: Float[Tensor, "3"] = field(default_factory=lambda: torch.zeros(3, dtype=torch.float64))
    unit: str | None = None

    def __post_init__(self) -> None:
        for name, dtype in (("vertices", torch.float32), ("faces", torch.int64)):
            value = getattr(self, name)
            if value.ndim != 2 or value.shape[1] != 3 or value.dtype != dtype:
                expected, found = f"(N, 3) {dtype}", f"{tuple(value.shape)} {value.dtype}"
                raise self._error(f"{name} have the wrong form", name, expected, found, "use TriangleMesh.create")
        if not torch.isfinite(self.vertices).all():
            raise self._error("vertices are not finite", "vertices", "finite coordinates", "NaN or infinity")
        if len(self.faces) == 0:
            raise self._error("the mesh has no face", "faces", "F ≥ 1", "F = 0", "a cloud is a PointCloud")
        low, high, last = int(self.faces.min()), int(self.faces.max()), len(self.vertices) - 1
        if low < 0 or high > last:
            raise self._error("a face names a vertex that is not there", "faces", f"0 to {last}", f"{low} to {high}")
        for name in ("normals", "colors"):
            value = getattr(self, name)
            if value is not None and value.shape != self.vertices.shape:
                expected, found = tuple(self.vertices.shape), tuple(value.shape)
                raise self._error(f"{name} do not fit the vertices", name, expected, found)
        if self.colors is not None and not ((self.colors >= 0) & (self.colors <= 1)).all():
            raise self._error("colors are out of range", "colors", "0 to 1", "other values")

    def _error(self, what: str, field: str, expected: object, found: object, hint: str | None = None) -> CloudError:
        where = self.source or f"TriangleMesh.{field}"
        return CloudError(what, where=where, expected=expected, found=found, hint=hint)

    @classmethod
    def create(
        cls,
        vertices: Any,
        faces: Any,
        *,
        normals: Any = None,
        colors: Any = None,
        source: str | None = None,
        unit: str | None = None,
    ) -> TriangleMesh:
        """Build a mesh from anything array-like, numpy or torch. Nothing is dropped.

        Args:
            vertices: (P, 3), any real dtype.
            faces: (F, 3), integers.
            normals, colors: (P, 3), or None. Colours in [0, 1], or integers in [0, 255].
            source: where it came from, for messages and reports.
            unit: of length, by any name of it such as `"mm"`, or None.

        Raises:
            ConfigError: an unknown unit.
            CloudError: no numbers, a wrong shape, no face, vertices that are not finite or not there, or attributes
                that do not fit.
        """
        corners = as_numbers(faces, source or "faces")
        if corners.dtype.kind not in "ui":
            raise CloudError("not whole numbers", where=source or "faces", expected="integers", found=corners.dtype)

        def table(value: Any, name: str) -> Tensor:
            array = as_numbers(value, source or name)
            divisor = 255.0 if name == "colors" and array.dtype.kind in "ui" else 1.0
            with np.errstate(over="ignore"):
                return torch.from_numpy(array.astype(np.float32)) / divisor

        points, offset = as_numbers(vertices, source or "vertices"), np.zeros(3)
        if points.ndim == 2 and points.shape[1] == 3:
            with np.errstate(over="ignore", invalid="ignore"):
                points, offset = near_the_origin(points)
        return cls(
            table(points, "vertices"),
            torch.from_numpy(corners.astype(np.int64)),
            None if normals is None else torch.nan_to_num(table(normals, "normals"), posinf=0.0, neginf=0.0),
            None if colors is None else table(colors, "colors"),
            source,
            torch.from_numpy(offset),
            None if unit is None else unit_named(unit),
        )

    def __len__(self) -> int:
        return len(self.faces)

    def vertex_normals(self) -> Float[Tensor, "p 3"]:
        """(P, 3) float32 unit vectors: those given, or the mean of the faces around, weighted by area.

        A vertex without a face that has an area gets 0. Copies of a vertex, as in STL, keep apart.
        """
        if self.normals is not None:
            return self.normals
        return vertex_normals(self.vertices, self.faces)

    def sample(self, count: int, seed: int = 0) -> PointCloud:
        """`count` points spread evenly by area, the same for the same seed, as `read_cloud` samples a mesh.

        Normals and colours are interpolated; a mesh without normals gives those of its faces.

        Raises:
            CloudError: no face has an area.
            ConfigError: `count` below 1.
        """
        check_range(count, "[1, ∞)", "count")
        normals, colors = (None if value is None else value.numpy() for value in (self.normals, self.colors))
        places = (self.vertices.double() + self.offset).numpy()
        raw = RawCloud(places, normals, colors, faces=self.faces.numpy(), unit=self.unit)
        return to_cloud(raw, count, seed, self.source)


def read_mesh(path: str | os.PathLike[str]) -> TriangleMesh:
    """Read the triangles of a PLY, OBJ, STL, OFF, GLB, GLTF, 3MF, VTK or VTP file, or of a STEP or IGES file that is
    tessellated; larger polygons are cut into fans.

    All that `read_cloud` says of meshes holds, but for vertices that are not finite: they make the file unreadable.

    Raises:
        CloudReadError: missing, unreadable, empty, truncated, malformed or absurd file, an unknown extension, or a file
            without faces.
    """
    return read_file(path, MESHES, _from_raw)


def as_mesh(source: Any) -> TriangleMesh:
    """A `TriangleMesh` from a path, a `TriangleMesh`, or a mesh or scene of Open3D or trimesh.

    Raises:
        CloudError: nothing that can be read as triangles; see `read_mesh`.
    """
    if isinstance(source, TriangleMesh):
        return source
    if isinstance(source, str | os.PathLike):
        return read_mesh(source)
    return _from_raw(raw_object(source), None)


def _from_raw(raw: RawCloud, source: str | None) -> TriangleMesh:
    if raw.faces is None:
        raise CloudReadError("the file has no face", expected="triangles", found=f"{len(raw.points)} points")
    normals = unit_normals(raw.normals)
    return TriangleMesh.create(raw.points, raw.faces, normals=normals, colors=raw.colors, source=source, unit=raw.unit)
