"""CAD parts made in code, closed meshes in mm; their exact signed distance; and defects of known height on them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray
from torch import Tensor

from pointadplus.io import TriangleMesh
from pointadplus.learning.synthesis.scanner import SCANS, Scanner, ScannerConfig, draw_scanner

SURFACE = 300_000  # points that eyes look at
PAIRS = 400_000  # of points and triangles at once, for memory


def extruded(outline: NDArray, height: float, inside: tuple[float, float]) -> tuple[NDArray, NDArray]:
    """A prism of an outline, counter-clockwise, that is seen whole from a point inside."""
    count = len(outline)
    ring = np.concatenate([outline, outline])
    z = np.repeat([0.0, height], count)
    vertices = np.concatenate([np.c_[ring, z], [[*inside, 0.0], [*inside, height]]])
    i = np.arange(count)
    j = (i + 1) % count
    faces = [
        np.stack([j, i, np.full(count, 2 * count)], 1),
        np.stack([count + i, count + j, np.full(count, 2 * count + 1)], 1),
        np.stack([i, j, count + j], 1), np.stack([i, count + j, count + i], 1),
    ]  # fmt: skip
    return vertices, np.concatenate(faces)


def bracket() -> tuple[NDArray, NDArray]:
    outline = np.array([[0, 0], [80, 0], [80, 12], [12, 12], [12, 50], [0, 50]], float)
    return extruded(outline, 35.0, (6.0, 6.0))


def gear() -> tuple[NDArray, NDArray]:
    angle = np.linspace(0, 2 * math.pi, 720, endpoint=False)
    radius = 40 + 3.5 * np.tanh(4 * np.sin(24 * angle))
    return extruded(np.c_[radius * np.cos(angle), radius * np.sin(angle)], 15.0, (0.0, 0.0))


def shaft() -> tuple[NDArray, NDArray]:
    profile = [[0, 0], [15, 0], [15, 20], [22, 20], [22, 30], [17, 34], [17, 70], [9, 78], [9, 110], [0, 110]]
    part = trimesh.creation.revolve(np.array(profile, float), sections=192)
    return np.asarray(part.vertices), np.asarray(part.faces)


def die() -> tuple[NDArray, NDArray]:
    """A block of 90 × 60 whose top is a smooth pocket and a ridge."""
    wide, deep = 121, 81
    x, y = np.meshgrid(np.linspace(0, 90, wide), np.linspace(0, 60, deep), indexing="ij")
    top = 20 - 7 * np.exp(-(((x - 35) / 14) ** 2 + ((y - 28) / 11) ** 2)) + 3 * np.exp(-(((x - 72) / 5) ** 2))
    at = np.arange(wide * deep).reshape(wide, deep)
    a, b, c, d = at[:-1, :-1].ravel(), at[1:, :-1].ravel(), at[1:, 1:].ravel(), at[:-1, 1:].ravel()
    upper = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    rim = np.concatenate([at[:-1, 0], at[-1, :-1], at[:0:-1, -1], at[0, :0:-1]])
    j, count = np.roll(np.arange(len(rim)), -1), wide * deep
    vertices = np.concatenate([np.stack([x, y, top], -1).reshape(-1, 3), np.c_[x.ravel()[rim], y.ravel()[rim], 0 * rim],
                               [[45, 30, 0]]])  # fmt: skip
    low = count + np.arange(len(rim))
    walls = np.concatenate([np.stack([rim, low, low[j]], 1), np.stack([rim, low[j], rim[j]], 1)])
    floor = np.stack([low[j], low, np.full(len(rim), count + len(rim))], 1)
    return vertices, np.concatenate([upper, walls, floor])


PARTS: dict[str, Callable[[], tuple[NDArray, NDArray]]] = {"bracket": bracket, "gear": gear, "shaft": shaft, "die": die}


class Bench(NamedTuple):
    """A part: its mesh, and (N, 3) even points of its surface with normals out of it."""

    name: str
    mesh: TriangleMesh
    points: Tensor
    normals: Tensor

    @classmethod
    def of(cls, name: str) -> Bench:
        vertices, faces = PARTS[name]()
        assert trimesh.Trimesh(vertices, faces).is_watertight and trimesh.Trimesh(vertices, faces).volume > 0, name
        mesh = TriangleMesh.create(vertices, faces, source=f"{name}.stl")
        cloud = mesh.sample(SURFACE)
        assert cloud.normals is not None
        return cls(name, mesh, (cloud.points.double() + cloud.offset).float(), cloud.normals)

    def scanner(self, kind: str, points: int, seed: int) -> Scanner:
        config = ScannerConfig(tuple(float(kind == name) for name in SCANS), (points, points), SURFACE)
        return draw_scanner(torch.Generator().manual_seed(seed), config, self.points, self.normals)

    def raised(self, at: int, radius: float, height: float) -> tuple[Tensor, Tensor]:
        """The surface with a cap (below 0: a dent) about one of its points, and (N,) how high it is there."""
        near = (self.points - self.points[at]).norm(dim=1) / radius
        cap = height * (1 - near.clamp_max(1).square()).square() * (self.normals @ self.normals[at] > 0.8)
        return self.points + cap[:, None] * self.normals, cap

    def flat_place(self, seed: int, radius: float, seen: Tensor) -> int:
        """A point that is seen, whose surroundings of a radius face its way: no edge is near."""
        order = torch.randperm(len(self.points), generator=torch.Generator().manual_seed(seed))
        for at in order[seen[order]].tolist():
            near = (self.points - self.points[at]).norm(dim=1) < radius
            if float((self.normals[near] @ self.normals[at]).min()) > 0.8 and float(seen[near].float().mean()) > 0.9:
                return at
        raise ValueError("no flat place")


def exact(mesh: TriangleMesh, points: NDArray) -> NDArray:
    """(N,) signed distances in double precision: nearest of all triangles, and the side by the winding number, the
    solid angle of all triangles (Van Oosterom and Strackee, 1983; Jacobson, Kavan and Sorkine-Hornung, 2013)."""
    triangles = (mesh.vertices.double() + mesh.offset).numpy()[mesh.faces.numpy()]
    found = []
    for some in np.array_split(points.astype(np.float64), max(1, len(points) * len(triangles) // PAIRS)):
        pairs = np.broadcast_to(triangles, (len(some), *triangles.shape)).reshape(-1, 3, 3)
        nearest = trimesh.triangles.closest_point(pairs, some.repeat(len(triangles), 0)).reshape(len(some), -1, 3)
        distance = np.linalg.norm(nearest - some[:, None], axis=2).min(1)
        corners = triangles[None] - some[:, None, None]
        a, b, c = np.moveaxis(corners, 2, 0)
        la, lb, lc = (np.linalg.norm(each, axis=2) for each in (a, b, c))
        volume = np.einsum("ntk,ntk->nt", a, np.cross(b, c))
        dots = [np.einsum("ntk,ntk->nt", one, two) for one, two in ((a, b), (b, c), (c, a))]
        angle = 2 * np.arctan2(volume, la * lb * lc + dots[0] * lc + dots[1] * la + dots[2] * lb).sum(1)
        found.append(np.where(angle > 2 * math.pi, -distance, distance))
    return np.concatenate(found)
