"""How thick walls are: the nominal's, along a ray into it, and what the scan leaves on either side of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from pointadplus.geometry.neighbors import Neighbors

from .deviation import AROUND, Measured, shared
from .mesh import NominalMesh

# All ours.
HAIR = 1e-5  # of the nominal's size, by which a ray starts under the surface
OPPOSITE = 0.5  # cosine from which on two facets face alike
BEHIND = 8  # readings around the opposite place whose deviations are averaged
CHUNK = 1 << 16


class Walls(NamedTuple):
    """Of N points, in the nominal's unit: (N,) float32 thickness of the part and of the nominal; NaN if not known."""

    part: np.ndarray
    nominal: np.ndarray


class Thinnest(NamedTuple):
    """The least thickness that five neighbouring points have together, the nominal's there, and where it is, (3,) about
    the nominal's center."""

    part: float
    nominal: float
    place: np.ndarray


def walls(mesh: NominalMesh, points: np.ndarray, measured: Measured) -> Walls:
    """The thickness of the wall under each measured point.

    By a ray: from the place of the nominal that is nearest to a point, straight in, to the wall's other face. That
    length is the nominal's; the part's is longer by the deviation of the point and by that of the readings on the other
    face. Nothing is known where the scan has none there, where faces are no pair (under 60° to each other), and of an
    open mesh. Of a wedge or a corner the ray's length depends on which side it starts from.

    Args:
        mesh: the nominal.
        points: (N, 3) float32 about its `center`.
        measured: of these points.
    """
    part, nominal = (np.full(len(points), np.nan, np.float32) for _ in range(2))
    known = np.flatnonzero(~np.isnan(measured.deviation))
    if mesh.topology.free or not len(known):
        return Walls(part, nominal)
    foot, inward = mesh.closest(points[known]).foot, -mesh.normals[measured.facet[known]]
    length, facet = mesh.cast(foot + HAIR * mesh.size * inward, inward)
    paired = np.isfinite(length)
    paired[paired] = (mesh.normals[facet[paired]] * inward[paired]).sum(1) > OPPOSITE
    rows, away = known[paired], mesh.normals[facet[paired]]
    nominal[rows] = length[paired] + HAIR * mesh.size
    there = (foot + nominal[known][:, None] * inward)[paired].astype(np.float32)
    readings = Neighbors(torch.from_numpy(np.ascontiguousarray(foot)))
    normals, deviation = mesh.normals[measured.facet[known]], measured.deviation[known]
    for start in range(0, len(rows), CHUNK):
        some = slice(start, start + CHUNK)
        distance, near = (found.numpy() for found in readings.nearest(torch.from_numpy(there[some]), BEHIND))
        heard = distance <= AROUND * measured.spacing
        heard &= np.einsum("nkd,nd->nk", normals[near], away[some]) > OPPOSITE
        count = heard.sum(1)
        opposite = np.where(heard, deviation[near], 0).sum(1) / np.where(count, count, np.nan)
        part[rows[some]] = nominal[rows[some]] + measured.deviation[rows[some]] + opposite
    return Walls(part, nominal)


def thinnest(found: Walls, points: np.ndarray, spacing: float) -> Thinnest | None:
    """Where the part is thinnest; None where no five points tell."""
    known = np.flatnonzero(~np.isnan(found.part))
    if len(known) < 5:
        return None
    least = -shared(-found.part[known], points[known], AROUND * spacing)
    row = known[np.abs(found.part[known] - least).argmin()]
    return Thinnest(least, float(found.nominal[row]), points[row])
