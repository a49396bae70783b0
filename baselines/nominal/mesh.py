"""The nominal: triangles, how they hang together, which of them is nearest to a point, and on which side it lies."""

from __future__ import annotations

import warnings
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pointadplus.errors import CloudError, ConfigError, install_command
from pointadplus.io import TriangleMesh
from pointadplus.text import file_name

from .topology import Edges, Topology, bodies, welded

# All ours.
ROUNDED = 2e-6  # share of the size that a closest point may be off by along its face, in single precision
CORNER = 1e-6  # barycentric coordinate under which a closest point lies on an edge
ANGULAR = 0.12  # radians between facets of one curved face: `io.cad` asks for 0.1
CURVED = (".step", ".stp", ".iges", ".igs")
_SIDES = (0, 1), (1, 2), (2, 0)  # edges of a face; they stand at 1 … 3 in tables of features, corners at 4 … 6


class Closest(NamedTuple):
    """Of N points: (N,) signed distance to the nominal, + outside; (N, 3) nearest place of it, and (N, 3) the way from
    there to the point; (N,) facet that the place is of, and (N,) whether it lies on a free edge."""

    distance: np.ndarray
    foot: np.ndarray
    offset: np.ndarray
    facet: np.ndarray
    free: np.ndarray


class NominalMesh:
    """F triangles to measure from.

    Args:
        vertices: (P, 3), in the nominal's unit.
        faces: (F, 3) rows of `vertices`, counter-clockwise seen from outside.
        name: of the file, for reports.
        unit: one of `units.UNITS`, or None.
        center: that `vertices` are about already, or None.

    Attributes:
        center: (3,) float64, middle of its box; points are given, and its tensors kept, about it.
        size: √12 RMS distance of its surface from its mean, as `PointCloud.normalization`.
        topology: see `Topology`.
    """

    def __init__(
        self,
        vertices: np.ndarray,
        faces: np.ndarray,
        name: str = "nominal",
        unit: str | None = None,
        *,
        center: np.ndarray | None = None,
    ) -> None:
        self.name, self.unit = name, unit
        places = np.asarray(vertices, np.float64)
        if center is None:
            center = np.asarray((places[faces].min((0, 1)) + places[faces].max((0, 1))) / 2)
            places = places - center
        self.center: np.ndarray = center
        # Rays are cast in single precision: what is measured is measured on the very same triangles.
        self.vertices, self.faces = welded(places.astype(np.float32).astype(np.float64), faces)
        a, b, c = (self.vertices[self.faces[:, k]] for k in range(3))
        cross = np.cross(b - a, c - a)
        length = np.linalg.norm(cross, axis=1)
        self.areas = length / 2
        if not self.areas.sum() > 0:
            raise CloudError("the nominal has no surface", where=name, expected="a triangle with an area", found="none")
        self.normals = cross / np.where(length > 0, length, 1)[:, None]
        if np.einsum("ij,ij->", a, cross) < 0 and self._edges.closed:
            self.normals, self.faces = -self.normals, self.faces[:, ::-1].copy()
            self.__dict__.pop("_edges")
        middles = (a + b + c) / 3
        mean = np.average(middles, 0, self.areas)
        # The mean of |x|² over a triangle is a twelfth of |a|² + |b|² + |c|² + |a + b + c|².
        terms = (a - mean, b - mean, c - mean, 3 * (middles - mean))
        self.size = float(np.sqrt(np.average(sum((x**2).sum(1) for x in terms), weights=self.areas)))
        touching = bodies(self._edges, self.faces, len(self.vertices))
        self.topology = Topology(self._edges.free, self._edges.turned, touching)
        self._features, self._free = self._tables()

    @classmethod
    def of(cls, mesh: TriangleMesh) -> NominalMesh:
        """A mesh as `io.as_mesh` reads it."""
        places = (mesh.vertices.double() + mesh.offset).numpy()
        name = "nominal" if mesh.source is None else file_name(mesh.source)
        return cls(places, mesh.faces.numpy(), name, mesh.unit)

    @cached_property
    def _edges(self) -> Edges:
        return Edges(self.faces, len(self.vertices))

    def _tables(self) -> tuple[np.ndarray, np.ndarray]:
        """(F, 7, 3) float32 vectors out of each face, its edges and its corners, and (F, 7) whether these are free.

        At an edge it is the sum of the two facets' normals, at a corner that of all around, weighted by their angles:
        the side on which a point lies is that of its offset from the closest point (Bærentzen and Aanæs, Signed
        Distance Computation Using the Angle Weighted Pseudonormal, 2005). Where facets disagree it is the facet's own.
        """
        edges, faces = self._edges, self.faces
        flat = self.areas <= 1e-12 * self.areas.max()
        around = edges.sums(self.normals)
        if flat.any():  # a sliver between two faces is out where they are
            self.normals[flat] = _unit(around[edges.of[flat]].sum(1))
        table = np.empty((len(faces), 7, 3), np.float32)
        table[:, 0] = self.normals
        free = np.zeros((len(faces), 7), bool)
        free[:, 1:4] = edges.alone[edges.of]
        border = np.zeros(len(self.vertices), bool)
        border[edges.pairs[edges.alone]] = True
        free[:, 4:] = border[faces]
        if edges.turned:
            table[:] = self.normals[:, None]
            return table, free
        table[:, 1:4] = around[edges.of]
        corners = np.zeros((len(self.vertices), 3))
        for k in range(3):
            here, one, two = (self.vertices[faces[:, (k + step) % 3]] for step in range(3))
            angle = np.arccos(np.clip((_unit(one - here) * _unit(two - here)).sum(1), -1, 1))
            np.add.at(corners, faces[:, k], (angle * ~flat)[:, None] * self.normals)
        table[:, 4:] = corners[faces]
        return table, free

    @cached_property
    def scene(self) -> Any:
        """Open3D's scene of the triangles.

        Raises:
            ConfigError: the extra `nominal` is not installed.
        """
        try:
            with warnings.catch_warnings():  # a build for graphics cards warns where there is none
                warnings.simplefilter("ignore", ImportWarning)
                import open3d
        except ImportError as error:
            hint = install_command("nominal")
            raise ConfigError("a nominal needs Open3D", where="nominal", found=error, hint=hint) from error
        self._tensor = open3d.core.Tensor
        scene = open3d.t.geometry.RaycastingScene()
        vertices, faces = self.vertices.astype(np.float32), self.faces.astype(np.uint32)
        scene.add_triangles(open3d.core.Tensor(vertices), open3d.core.Tensor(faces))
        return scene

    def closest(self, points: np.ndarray) -> Closest:
        """Where the nominal is nearest.

        Args:
            points: (N, 3) float32 about `center`.
        """
        scene = self.scene
        found = scene.compute_closest_points(self._tensor(np.ascontiguousarray(points, np.float32)))
        facet = found["primitive_ids"].numpy()
        foot = found["points"].numpy()
        offset = points - foot
        u, v = found["primitive_uvs"].numpy().T
        near = (u <= CORNER).astype(np.int8) + 2 * (v <= CORNER) + 4 * (u + v >= 1 - CORNER)
        feature = _FEATURE[near]  # u belongs to the second corner, v to the third
        row = facet.astype(np.int64) * 7 + feature
        height = np.einsum("ij,ij->i", offset, self._features.reshape(-1, 3)[row])
        side = np.where(height < 0, np.float32(-1), np.float32(1))
        length = np.sqrt(np.einsum("ij,ij->i", offset, offset))
        # Over a face the height is free of how the closest point was rounded along it.
        flat = (feature == 0) & (length - np.abs(height) <= np.float32(ROUNDED * self.size))
        distance = np.where(flat, height, side * length)
        free = self._free.reshape(-1)[row] if self.topology.free else np.zeros(len(row), bool)
        return Closest(distance, foot, offset, facet, free)

    def directions(self, found: Closest) -> np.ndarray:
        """(N, 3) float64 unit vectors along which the signed distance grows; the facet's normal on the surface."""
        length = np.abs(found.distance)[:, None]
        away = length > 1e-6 * self.size
        along = found.offset / np.where(away, found.distance[:, None], 1)
        return np.where(away, along, self.normals[found.facet]).astype(np.float64)

    def hidden(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """(N,) bool, whether rays, (N, 3) each, meet the nominal."""
        rays = np.concatenate([origins, directions], 1).astype(np.float32)
        return self.scene.test_occlusions(self._tensor(rays)).numpy()

    def cast(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far rays, (N, 3) each, with unit directions, go until they meet the nominal, (N,), ∞ if they do not; and
        (N,) the facets that they meet."""
        rays = np.concatenate([origins, directions], 1).astype(np.float32)
        found = self.scene.cast_rays(self._tensor(rays))
        return found["t_hit"].numpy(), found["primitive_ids"].numpy()

    def sample(self, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Points spread evenly by area, (K, 3) float64 about `center`, and their facets."""
        rng = np.random.default_rng(seed)
        reach = np.cumsum(self.areas)
        # Stratified: one point to each K-th part of the area, so that no facet is left out by chance.
        at = (np.arange(count) + rng.random(count)) * (reach[-1] / count)
        facet = np.searchsorted(reach, at, side="right").clip(max=np.flatnonzero(self.areas)[-1])
        root, v = np.sqrt(rng.random((count, 1))), rng.random((count, 1))
        weights = np.hstack([1 - root, root * (1 - v), root * v])  # even over a triangle: Osada et al. 2002, eq. 1
        return np.einsum("nc,ncd->nd", weights, self.vertices[self.faces[facet]]), facet

    def tessellation(self) -> np.ndarray:
        """(F,) float32: how far a curved surface that STEP or IGES holds may bulge over each of its facets.

        Two facets of width w that meet at a small angle θ are chords of an arc whose height over a chord is w·θ/8; 0 of
        other files, which say of no edge whether it is sharp.
        """
        error = np.zeros(len(self.faces))
        if Path(self.name).suffix.lower() not in CURVED:
            return error.astype(np.float32)
        edges = self._edges
        angle = edges.angles(self.normals)
        angle[angle > ANGULAR] = 0
        for k, (i, j) in enumerate(_SIDES):
            length = np.linalg.norm(self.vertices[self.faces[:, j]] - self.vertices[self.faces[:, i]], axis=1)
            width = 2 * self.areas / np.where(length > 0, length, np.inf)
            error = np.maximum(error, width * angle[edges.of[:, k]] / 8)
        return error.astype(np.float32)


#: Of a face's features, by which barycentric coordinates vanish: u (1), v (2), the first corner's (4).
_FEATURE = np.array([0, 3, 1, 4, 2, 6, 5, 0])


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)
