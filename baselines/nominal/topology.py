"""How facets hang together: edges, free and turned ones, seams that are closed, and bodies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

# Ours.
SEAM = 1e-6  # share of the size within which vertices are one: exporters round a seam's two sides apart


@dataclass(frozen=True)
class Topology:
    """How facets hang together.

    Attributes:
        free: edges of one facet only.
        turned: edges whose two facets disagree on which side is out, or that have more than two.
        bodies: parts that do not touch.
    """

    free: int
    turned: int
    bodies: int

    def notes(self) -> tuple[str, ...]:
        """What is to be told of it."""
        told = []
        if self.turned:
            told.append(
                f"facets of the nominal disagree on which side is out ({self.turned:,} edges): signs may be wrong"
            )
        if self.free:
            told.append(f"the nominal is open ({self.free:,} free edges): nothing is measured at its border")
        if self.bodies > 1:
            told.append(f"the nominal has {self.bodies} bodies that do not touch: they are one nominal")
        return tuple(told)


class Edges:
    """The E edges of faces: (E, 2) `pairs` of vertices, (F, 3) `of`, the edges of each face, as `_SIDES` has them;
    (E,) bool `alone`; how many are `free` or `turned`; and whether all is `closed`."""

    def __init__(self, faces: np.ndarray, vertices: int) -> None:
        start, end = faces[:, [0, 1, 2]].ravel(), faces[:, [1, 2, 0]].ravel()
        low, high = np.minimum(start, end), np.maximum(start, end)
        key, self._where = np.unique(low * np.int64(vertices) + high, return_inverse=True)
        self._where = self._where.reshape(-1)
        self.of = self._where.reshape(-1, 3)
        self.pairs = np.stack([key // vertices, key % vertices], 1)
        count = np.bincount(self._where)
        way = np.bincount(self._where, np.where(start < end, 1, -1))
        self.alone = count == 1
        self.free = int(self.alone.sum())
        self.turned = int(((count > 1) & (way != 0)).sum())
        self.closed = not self.free and not self.turned

    def sums(self, normals: np.ndarray) -> np.ndarray:
        """(E, 3) sums of the normals of the faces at each edge."""
        rows = normals.repeat(3, 0)
        return np.stack([np.bincount(self._where, rows[:, axis], len(self.pairs)) for axis in range(3)], 1)

    def angles(self, normals: np.ndarray) -> np.ndarray:
        """(E,) between the two faces of each edge, in radians; 0 of other edges."""
        both = np.bincount(self._where) == 2
        half = np.linalg.norm(self.sums(normals), axis=1) / 2
        return np.where(both, 2 * np.arccos(np.clip(half, -1, 1)), 0.0)


def welded(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Without copies of vertices, as STL has them, nor faces that two of their corners share."""
    vertices, faces = _merged(vertices, faces, np.unique(vertices, axis=0, return_inverse=True)[1].reshape(-1))
    edges = Edges(faces, len(vertices))
    if not edges.free:
        return vertices, faces
    border = np.unique(edges.pairs[edges.alone])
    size = float(np.ptp(vertices, axis=0).max())
    near = KDTree(vertices[border]).query_pairs(SEAM * size, output_type="ndarray")
    if not len(near):
        return vertices, faces
    links = coo_matrix((np.ones(len(near)), border[near].T), shape=(len(vertices),) * 2)
    return _merged(vertices, faces, connected_components(links, directed=False)[1])


def _merged(vertices: np.ndarray, faces: np.ndarray, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """With one vertex for each number."""
    first = np.zeros(number.max() + 1, np.int64)
    first[number[::-1]] = np.arange(len(number))[::-1]
    faces = number[faces].astype(np.int64)
    whole = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return vertices[first], faces[whole]


def bodies(edges: Edges, faces: np.ndarray, vertices: int) -> int:
    """How many parts do not touch."""
    links = coo_matrix((np.ones(len(edges.pairs)), edges.pairs.T), shape=(vertices, vertices))
    return len(np.unique(connected_components(links, directed=False)[1][faces]))
