"""Meshes at their vertices: `VertexCloud`, a cloud that knows the surface between its points."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from ..cloud import PointCloud
from ..errors import CloudReadError
from ..points import near_the_origin
from .formats import RawCloud
from .sampling import to_cloud, unit_normals

SAMPLES = 100_000  # as `read_cloud` takes of a mesh


@dataclass(frozen=True, eq=False, repr=False)
class VertexCloud(PointCloud):
    """The vertices of a mesh in the file's order, and the triangles between them; all else is as in any cloud.

    A detector scores the surface, not the vertices: where the triangles are large or uneven, these are no scan. The
    scores of the surface are carried to them. Rows of vertices that are not finite, or of no triangle, hold no point.

    Attributes:
        faces: (F, 3) int64, indices of `points`.
    """

    faces: Int[Tensor, "f 3"] = field(default_factory=lambda: torch.zeros(0, 3, dtype=torch.int64))

    def select(self, index: Int[Tensor, "k"] | Bool[Tensor, "n"]) -> VertexCloud:
        """The cloud of the indexed vertices, with the triangles whose corners all are among them."""
        chosen = torch.arange(len(self))[index]
        number = torch.full((len(self),), -1)
        number[chosen] = torch.arange(len(chosen))
        faces, picked = number[self.faces], super().select(index)
        assert isinstance(picked, VertexCloud)
        return replace(picked, faces=faces[(faces >= 0).all(1)])

    def surface(self, points: int = SAMPLES, seed: int = 0) -> PointCloud:
        """Points spread evenly over the triangles, as `read_cloud` samples them.

        Raises:
            CloudReadError: no triangle has an area.
        """
        colors = None if self.colors is None else self.colors.numpy()
        raw = RawCloud(self.positions().numpy(), None, colors, faces=self.faces.numpy())
        return replace(to_cloud(raw, points, seed, self.source), notes=self.notes, unit=self.unit)


def at_vertices(raw: RawCloud, source: str | None, unit: str | None = None) -> PointCloud:
    """The vertices of a mesh; of what has no faces, its points, as `to_cloud` makes them.

    Normals are those of the file, or the mean of the faces around, weighted by area.

    Raises:
        CloudReadError: a face names a vertex that is not there, or no vertex is finite and of a face.
    """
    if raw.faces is None or not len(raw.faces):
        return to_cloud(raw, 1, 0, source, unit)
    total, faces = len(raw.points), raw.faces
    if not 0 <= faces.min() <= faces.max() < total:
        found = f"{faces.min()} to {faces.max()}"
        raise CloudReadError("a face names a vertex that is not there", expected=f"0 to {total - 1}", found=found)
    points, offset = near_the_origin(raw.points)
    finite = np.asarray(np.isfinite(points).all(axis=1))
    faces = faces[finite[faces].all(1)]
    kept = np.zeros(total, bool)
    kept[faces] = True
    if not kept.any():
        raise CloudReadError("no vertex is finite and of a face", expected="a surface", found=f"{total:,} vertices")
    number = np.cumsum(kept) - 1
    triangles, vertices = torch.from_numpy(number[faces]), torch.from_numpy(points[kept])
    normals = unit_normals(raw.normals)
    loose = int((finite & ~kept).sum())
    return VertexCloud(
        vertices,
        normals=vertex_normals(vertices, triangles) if normals is None else _rows(normals, kept),
        colors=None if raw.colors is None else _rows(raw.colors, kept),
        rows=None if kept.all() else torch.from_numpy(np.flatnonzero(kept)),
        source_size=total,
        source=source,
        offset=torch.from_numpy(offset),
        notes=(*raw.notes, *([f"{loose:,} vertices belong to no triangle: left out"] if loose else [])),
        unit=unit or raw.unit,
        faces=triangles,
    )


def vertex_normals(vertices: Float[Tensor, "p 3"], faces: Int[Tensor, "f 3"]) -> Float[Tensor, "p 3"]:
    """(P, 3) float32 unit vectors: the mean of the faces around, weighted by area; 0 where none has an area."""
    a, b, c = vertices.double()[faces].unbind(1)
    cross = torch.linalg.cross(b - a, c - a)  # twice the area long
    total = torch.zeros_like(vertices, dtype=torch.float64)
    total.index_add_(0, faces.flatten(), cross.repeat_interleave(3, 0))
    return normalize(total, dim=1, eps=torch.finfo(torch.float64).tiny).float()


def _rows(values: np.ndarray, kept: np.ndarray) -> Tensor:
    return torch.nan_to_num(torch.from_numpy(np.ascontiguousarray(values[kept], dtype=np.float32)), posinf=0, neginf=0)
