"""Meshes of known shape, and scans of them with known deviations."""

from __future__ import annotations

import numpy as np
import trimesh

from pointadplus.io import TriangleMesh


def mesh_of(part: trimesh.Trimesh) -> TriangleMesh:
    return TriangleMesh.create(part.vertices, part.faces, source="part.stl")


def bracket() -> TriangleMesh:
    """An L of 60 × 40 × 30 mm, walls 10 thick, in one closed piece; no turn and no mirror brings it onto itself."""
    outline = np.array([[0, 0], [60, 0], [60, 10], [10, 10], [10, 40], [0, 40]], float)
    cut = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 5]])
    bottom, top = np.c_[outline, np.zeros(6)], np.c_[outline + [[0, 0]] * 6, np.full(6, 30.0)]
    top[[1, 2], 2] = 22.0  # the foot's end is lower: without this it would be its own mirror image
    sides = [[i, (i + 1) % 6, 6 + (i + 1) % 6, i, 6 + (i + 1) % 6, 6 + i] for i in range(6)]
    faces = np.concatenate([cut[:, ::-1], cut + 6, np.array(sides).reshape(-1, 3)])
    return TriangleMesh.create(np.concatenate([bottom, top]), faces, source="bracket.stl")


def surface(mesh: TriangleMesh, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) points of the surface and (N, 3) normals, float64."""
    cloud = mesh.sample(count, seed)
    assert cloud.normals is not None
    return cloud.positions().numpy(), cloud.normals.double().numpy()


def scan(mesh: TriangleMesh, count: int = 20_000, noise: float = 0.02, seed: int = 1, off: float = 0.0) -> np.ndarray:
    """A scan of all of it, with normal noise along the normals, and too much material by `off`."""
    points, normals = surface(mesh, count, seed)
    return points + normals * (off + noise * np.random.default_rng(seed).normal(size=(count, 1)))
