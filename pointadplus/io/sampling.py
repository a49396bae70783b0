"""From a file's content to a cloud: surfaces are sampled evenly, clouds are taken whole."""

from __future__ import annotations

import numpy as np

from ..cloud import PointCloud
from ..errors import CloudReadError
from .formats import RawCloud

_HINT = 'at="vertices" (--at vertices) scores its vertices'


def to_cloud(raw: RawCloud, points: int, seed: int, source: str | None, unit: str | None = None) -> PointCloud:
    """The points themselves, or `points` of them on the surface where there are faces.

    A `unit` goes before the one that the file tells.
    """
    if raw.faces is not None and len(raw.faces):
        raw = sample_surface(raw, points, seed)
    return PointCloud.create(
        raw.points,
        normals=unit_normals(raw.normals),
        colors=raw.colors,
        grid=raw.grid,
        viewpoint=raw.viewpoint,
        source=source,
        notes=raw.notes,
        eyes=raw.eyes,
        scan=raw.scan,
        unit=unit or raw.unit,
    )


def unit_normals(normals: np.ndarray | None) -> np.ndarray | None:
    """Normals of length one; zero stays zero. None if all are zero, with which exporters fill absent normals."""
    if normals is None:
        return None
    length = np.linalg.norm(normals.astype(np.float64), axis=1, keepdims=True)
    known = np.isfinite(length) & (length > 0)
    return np.where(known, normals / np.where(known, length, 1), 0) if known.any() else None


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
        unit=raw.unit,
        notes=(*raw.notes, f"{points:,} points sampled on {len(faces):,} triangles; {_HINT}"),
    )
