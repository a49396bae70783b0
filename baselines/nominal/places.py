"""Places of a nominal: which of them a scan shows, and which it should have shown and lacks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from pointadplus.geometry.neighbors import knn
from pointadplus.geometry.registration import hemisphere

from .deviation import Measured, facing
from .mesh import NominalMesh

# All ours.
PLACES = 16_384  # even points of the nominal
RAYS = 48  # directions, all round, that are tried from each place
OPEN = 0.25  # share of those before it that have to leave the part, for a scanner to reach it
FACING = 0.5  # cosine to the eye from which on surface must return something
LIFTED = 1e-4  # share of the size by which rays start over the surface
FLAT = 1e-3  # of the part's greatest length, under which it has none along a direction
BESIDE, AGREE = 8, 5  # nearest places of which so many have to be lacking as well: a drop-out of one is no hole
ONE_SIDED = 0.3  # length of the mean normal from which on a scan is of one side
LOOKED_AT = 0.25  # share of what faces one of six ways that has to be shown, for the scanner to have looked from there


class Places(NamedTuple):
    """K even points of a nominal.

    Attributes:
        points, normals: (K, 3) float64, about the nominal's `center`.
        way: (K,) in 0 … 5, see `deviation.facing`.
        reachable: (K,) bool, whether a scanner that goes round the part can see them.
        near: (K, `BESIDE`) nearest places, the place itself first.
        area: of surface that each stands for.
    """

    points: np.ndarray
    normals: np.ndarray
    way: np.ndarray
    reachable: np.ndarray
    near: np.ndarray
    area: float

    @classmethod
    def of(cls, mesh: NominalMesh) -> Places:
        points, facet = mesh.sample(PLACES)
        normals = mesh.normals[facet]
        half = hemisphere(RAYS // 2).numpy()
        free, tried = np.zeros(len(points)), np.zeros(len(points))
        for direction in np.concatenate([half, -half]):
            before = np.flatnonzero(normals @ direction > 0.1)
            tried[before] += 1
            free[before] += ~_blocked(mesh, points[before], normals[before], direction)
        places = torch.from_numpy(points).float()
        near = knn(places, places, BESIDE)[1].numpy()
        reachable = free > OPEN * np.maximum(tried, 1)
        return cls(points, normals, facing(mesh)[facet], reachable, near, float(mesh.areas.sum()) / len(points))

    def shown(self, measured: Measured) -> np.ndarray:
        """(K,) bool, which of them a scan has, to its grain: points that face the same way, in their cell or beside."""
        return measured.groups.near(self.points, self.way, measured.taken)

    def owed(self, mesh: NominalMesh, shown: np.ndarray, eyes: np.ndarray | None) -> np.ndarray:
        """(K,) bool, which of them the scan should have shown.

        What its eyes saw, if it is known where they stood; of a scan of one side what faces the mean of what it shows;
        else what can be reached of all that faces a way that the scanner looked from.

        Args:
            mesh: the nominal.
            shown: (K,) bool.
            eyes: (E, 3) where the scanner stood, about the nominal's `center`, or None where that is not known.
        """
        if eyes is not None:
            seen = np.zeros(len(shown), bool)
            for eye in eyes:
                away = eye - self.points
                seen |= self._sees(mesh, away / np.linalg.norm(away, axis=1, keepdims=True))
            return seen
        view = self.normals[shown].mean(0) if shown.any() else np.zeros(3)
        length = float(np.linalg.norm(view))
        if length > ONE_SIDED:
            return self._sees(mesh, np.broadcast_to(view / length, self.points.shape))
        there, all_of = (np.bincount(self.way[each], minlength=6) for each in (shown & self.reachable, self.reachable))
        return self.reachable & (there >= LOOKED_AT * all_of)[self.way]

    def extent(self, shown: np.ndarray) -> float:
        """How much of the part's length the shown places have, along that of many directions with the least."""
        if not shown.any():
            return 0.0
        along = self.points @ hemisphere(RAYS // 2).numpy().T
        whole = np.ptp(along, axis=0)
        there = whole > FLAT * whole.max()
        return float((np.ptp(along[shown], axis=0)[there] / whole[there]).min())

    def lacking(self, measured: Measured, shown: np.ndarray, owed: np.ndarray) -> np.ndarray:
        """(K,) bool, which of them are missing: owed and not shown, as most of those around; and from there on whatever
        has no point in its own cell, as far as that hangs together."""
        missing = owed & ~shown
        missing &= missing[self.near].sum(1) >= AGREE
        empty = owed & ~measured.groups.near(self.points, self.way, measured.taken, (0,))
        while missing.any():
            wider = missing | (empty & missing[self.near].any(1))
            if (wider == missing).all():
                break
            missing = wider
        return missing

    def _sees(self, mesh: NominalMesh, rays: np.ndarray) -> np.ndarray:
        faces = (self.normals * rays).sum(1) > FACING
        faces[faces] = ~_blocked(mesh, self.points[faces], self.normals[faces], rays[faces])
        return faces


def _blocked(mesh: NominalMesh, points: np.ndarray, normals: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Which places see nothing of what is far off along a direction."""
    return mesh.hidden(points + LIFTED * mesh.size * normals, np.broadcast_to(direction, points.shape))
