"""What every defect recipe is written with: draws, surfaces, changes, and small vector tools.

Everything here works on float64 numpy arrays; `defects.py` converts from and to tensors. Lengths are in the cloud's
own unit unless a name or docstring says "of the diagonal", which is the diagonal of the cloud's bounding box.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray
from scipy.spatial import KDTree

from ...config import Config, within


@dataclass(frozen=True)
class Severity(Config):
    """How strong a defect is: two positions in the kind's range, on a log scale, and the scale of that range.

    Attributes:
        size: in [0, 1]; 0 is the smallest extent of the kind and 1 the largest.
        depth: in [0, 1]; 0 is the subtlest displacement of the kind and 1 the strongest.
        scale: of all extents; below 1 defects are finer. Displacements go with its square root: ours, for what is small
            is not as shallow, or no scanner would show it.

    Raises:
        ConfigError: a value outside [0, 1].
    """

    size: float = within("[0, 1]", 0.5)
    depth: float = within("[0, 1]", 0.5)
    scale: float = within("[0.05, 1]", 1.0)


@dataclass(frozen=True, eq=False)
class Draw:
    """One attempt's source of chance: a generator, what the caller fixed, and the attempt's change of size."""

    rng: np.random.Generator
    severity: Severity | None = None
    scale: float = 1.0

    def size(self, low: float, high: float) -> float:
        """An extent in [low, high], log-uniform unless the severity fixes it, times the attempt's scale."""
        drawn = self._between(low, high, None if self.severity is None else self.severity.size)
        return drawn * self.scale * self.finer

    def depth(self, low: float, high: float) -> float:
        """A displacement in [low, high], log-uniform unless the severity fixes it."""
        return self.angle(low, high) * self.finer**0.5

    def angle(self, low: float, high: float) -> float:
        """A turn in [low, high], as strong as a displacement."""
        return self._between(low, high, None if self.severity is None else self.severity.depth)

    @property
    def finer(self) -> float:
        """The severity's scale."""
        return 1.0 if self.severity is None else self.severity.scale

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def _between(self, low: float, high: float, position: float | None) -> float:
        drawn = self.rng.random()  # drawn even when unused, so that a severity changes nothing else
        return low * (high / low) ** (drawn if position is None else position)


@dataclass(frozen=True, eq=False)
class Surface:
    """A healthy cloud: (N, 3) points, (N, 3) outward unit normals, and its bounding-box diagonal."""

    points: ndarray
    normals: ndarray
    diagonal: float

    @property
    def closed(self) -> bool:
        """Whether the cloud looks like a whole object: the area-weighted normals of a closed surface sum to zero."""
        return bool(np.linalg.norm(self.normals.mean(0)) < 0.15)

    @property
    def gap(self) -> float:
        """Four mean spacings of a surface as large as the box's: bridges sampling gaps, not separate limbs."""
        return 4.0 * self.diagonal / len(self.points) ** 0.5

    def marked(self, rows: ndarray, values: ndarray | bool = True) -> ndarray:
        """(N,) bool: `values` at these rows, false at all others."""
        marks = np.zeros(len(self.points), dtype=bool)
        marks[rows] = values
        return marks

    def tree(self) -> KDTree:
        return KDTree(self.points, balanced_tree=False, compact_nodes=False)


@dataclass(frozen=True, eq=False)
class Change:
    """What a recipe does to a surface of N points: new places, normals and labels, what stays, and K added points.

    Added points are always labelled.
    """

    points: ndarray
    normals: ndarray
    labels: ndarray
    kept: ndarray
    added: ndarray
    added_normals: ndarray

    @classmethod
    def of(
        cls,
        surface: Surface,
        *,
        labels: ndarray,
        points: ndarray | None = None,
        normals: ndarray | None = None,
        kept: ndarray | None = None,
        added: tuple[ndarray, ndarray] | None = None,
    ) -> Change:
        """A change in which everything not named stays as it was."""
        new_points, new_normals = added if added is not None else (np.empty((0, 3)), np.empty((0, 3)))
        return cls(
            points=surface.points if points is None else points,
            normals=surface.normals if normals is None else normals,
            labels=labels,
            kept=np.ones(len(surface.points), dtype=bool) if kept is None else kept,
            added=new_points,
            added_normals=new_normals,
        )


def nearest(tree: KDTree, points: ndarray, count: int, reach: float = np.inf) -> tuple[ndarray, ndarray]:
    """(M, count) distances and rows of the nearest points, nearest first; infinite distances beyond `reach`."""
    distances, rows = tree.query(points, k=count, distance_upper_bound=reach)
    return np.asarray(distances), np.asarray(rows)


def unit(vectors: ndarray) -> ndarray:
    """Vectors of length one along the last axis; zero stays zero."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def smoothstep(x: ndarray, low: float, high: float) -> ndarray:
    """0 below `low`, 1 above `high`, and the cubic 3t² − 2t³ between."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def across(normals: ndarray) -> tuple[ndarray, ndarray]:
    """Two orthonormal vectors across each of the unit normals, (..., 3) each."""
    helper = np.eye(3)[np.argmin(np.abs(normals), axis=-1)]
    u = unit(np.cross(normals, helper))
    return u, np.cross(normals, u)


def tangents(normal: ndarray, angle: float = 0.0) -> ndarray:
    """(3, 2): two orthonormal vectors across a unit normal, turned by `angle` radians about it."""
    u, v = across(normal)
    return np.stack([np.cos(angle) * u + np.sin(angle) * v, np.cos(angle) * v - np.sin(angle) * u], 1)


@dataclass(frozen=True, eq=False)
class Waves:
    """A smooth random field on space: a sum of plane waves with mean 0 and standard deviation about 1."""

    vectors: ndarray
    phases: ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, wavelength: float, count: int = 16) -> Waves:
        """Waves whose lengths lie within a factor of 1.5 of `wavelength`."""
        lengths = wavelength * 1.5 ** rng.uniform(-1.0, 1.0, (count, 1))
        return cls(unit(rng.standard_normal((count, 3))) * 2 * np.pi / lengths, rng.uniform(0, 2 * np.pi, count))

    @property
    def bound(self) -> float:
        """No value exceeds it."""
        return (2.0 * len(self.phases)) ** 0.5

    def __call__(self, points: ndarray) -> ndarray:
        """(M,) values at (M, 3) points."""
        return np.sin(points @ self.vectors.T + self.phases).sum(1) * (2.0 / len(self.phases)) ** 0.5

    def gradient(self, points: ndarray) -> ndarray:
        """(M, 3) gradient at (M, 3) points."""
        return np.cos(points @ self.vectors.T + self.phases) @ self.vectors * (2.0 / len(self.phases)) ** 0.5
