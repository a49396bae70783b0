"""The section through the worst place: the nominal's triangles cut by a plane, and the scan's points beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from pointadplus.cloud import PointCloud
from pointadplus.geometry.sampling import fixed_sample
from pointadplus.results.section import Section

from .deviation import AROUND, SHARING, Measured, shared
from .mesh import NominalMesh

if TYPE_CHECKING:
    from .compare import Laid

# All ours.
BEYOND = 0.5  # point score from which on a place is worse than any below
ALIKE = 1e-5  # share of the largest by which rounding may part equal deviations
REGION, CALM = 2_000, 30  # points that tell a region's shape; those around the worst place where there is no region
NEARLY = 0.95  # of the largest deviation of a region, from which on it may be cut through
WINDOW = (1.2, 0.06, 0.2)  # half-width: lengths of the region; least, most, in the nominal's largest extent
SLAB = 1.5  # half-thickness, in spacings of the scan
DRAWN = 500  # points at most


class Plane(NamedTuple):
    """Through `origin`, (3,) about the nominal's center, along the surface and up from it; `window` on either side."""

    origin: np.ndarray
    along: np.ndarray
    up: np.ndarray
    window: float

    def across(self) -> np.ndarray:
        return np.cross(self.along, self.up)

    def flat(self, vectors: np.ndarray) -> np.ndarray:
        """(..., 2) of (..., 3)."""
        return vectors @ np.stack([self.along, self.up], 1)


def section(mesh: NominalMesh, cloud: PointCloud, laid: Laid, measured: Measured, scores: np.ndarray) -> Section | None:
    """The cut through the largest deviation that scores `BEYOND` or, if none does, through the largest of all; five
    neighbouring points have to reach it. None where too few points are measured there."""
    deviation = measured.deviation
    known = np.flatnonzero(~np.isnan(deviation))
    if len(known) < SHARING:
        return None
    row, plane = _placed(mesh, laid.points, measured, scores, known)
    offsets = laid.points[known] - plane.origin
    near = np.abs(offsets @ plane.across()) <= SLAB * measured.spacing
    near &= np.einsum("ij,ij->i", offsets, offsets) <= plane.window**2
    some = known[near]
    if len(some) < SHARING:
        return None
    some = some[_sampled(laid.points[some], DRAWN)]
    found = mesh.closest(laid.points[some])
    per = 1 / laid.scale.factor
    feet = plane.flat(found.foot - plane.origin) / plane.window
    rows = np.concatenate([feet, plane.flat(mesh.directions(found)), deviation[some][:, None] * per], 1)
    x, y, z = (cloud.points[row].double() + cloud.offset).tolist()
    return Section(
        (x, y, z),
        plane.window * per,
        torch.from_numpy(outline(mesh, plane).astype(np.float32)),
        torch.from_numpy(rows[rows[:, 0].argsort(kind="stable")].astype(np.float32)),
    )


def outline(mesh: NominalMesh, plane: Plane) -> np.ndarray:
    """(S, 4) where triangles meet a plane, as a `Section` has it."""
    import trimesh

    corners = mesh.vertices[mesh.faces]
    beside = (corners.min(1) <= plane.origin + plane.window) & (corners.max(1) >= plane.origin - plane.window)
    near = trimesh.Trimesh(mesh.vertices, mesh.faces[beside.all(1)], process=False)
    lines: Any = trimesh.intersections.mesh_plane(near, plane.across(), plane.origin)
    pieces = plane.flat(np.asarray(lines, np.float64).reshape(-1, 2, 3) - plane.origin) / plane.window
    start, way = pieces[:, 0], pieces[:, 1] - pieces[:, 0]
    # |start + t·way| = 1 has two solutions, between which the line is inside.
    square, half = (way**2).sum(1), (start * way).sum(1)
    root = half**2 - square * ((start**2).sum(1) - 1)
    inside = (square > 0) & (root > 0)
    start, way, square, half, root = (values[inside] for values in (start, way, square, half, root))
    first, last = (np.clip((sign * np.sqrt(root) - half) / square, 0, 1)[:, None] for sign in (-1, 1))
    return np.concatenate([start + first * way, start + last * way], 1)[(first < last)[:, 0]]


def _placed(
    mesh: NominalMesh, points: np.ndarray, measured: Measured, scores: np.ndarray, known: np.ndarray
) -> tuple[int, Plane]:
    """The point that is cut through, and the plane: along the longer side of what lies around."""
    size = np.abs(measured.deviation)
    beyond = known[scores[known] >= BEYOND]
    bad = len(beyond) >= SHARING
    rows = beyond if bad else known
    largest = shared(size[rows], points[rows], AROUND * measured.spacing)
    worst = _middle(points, rows[size[rows] >= largest * (1 - ALIKE)])
    extent = float(np.ptp(mesh.vertices, axis=0).max())
    own = rows[np.linalg.norm(points[rows] - points[worst], axis=1) <= WINDOW[2] * extent] if bad else known
    own = _together(points, own, worst, measured.spacing) if bad else _nearest(points, own, worst)
    nearly = own[
        size[own] >= NEARLY * min(largest, size[own].max())
    ]  # a plateau is cut through its middle, not its rim
    row = int(nearly[np.linalg.norm(points[nearly] - points[own].mean(0), axis=1).argmin()])
    normals = mesh.normals[measured.facet]
    up = normals[own].mean(0)
    length = float(np.linalg.norm(up))
    up = up / length if length > 0.1 else normals[row]
    origin = points[row].astype(np.float64)
    spread = (points[own] - origin) @ (np.eye(3) - np.outer(up, up))
    along = np.linalg.svd(np.concatenate([spread - spread.mean(0), 1e-9 * np.eye(3)]), full_matrices=False)[2][0]
    along -= (along @ up) * up
    along *= np.sign(along[np.abs(along).argmax()]) / np.linalg.norm(along)
    window = min(max(WINDOW[0] * float(np.ptp(spread @ along)), WINDOW[1] * extent), WINDOW[2] * extent)
    return row, Plane(origin, along, up, window)


def _middle(points: np.ndarray, rows: np.ndarray) -> int:
    """Of some points the one that has most of the others around it."""
    some = rows[_sampled(points[rows], REGION)]
    rank: Any = [min(SHARING, len(some))]  # SciPy's stubs know k as an int
    return int(some[KDTree(points[some]).query(points[some], k=rank)[0][:, 0].argmin()])


def _nearest(points: np.ndarray, rows: np.ndarray, worst: int) -> np.ndarray:
    """The nearest points to one of them."""
    distance = np.linalg.norm(points[rows] - points[worst], axis=1)
    return rows[np.argpartition(distance, min(CALM, len(rows)) - 1)[:CALM]]


def _together(points: np.ndarray, rows: np.ndarray, worst: int, spacing: float) -> np.ndarray:
    """Those of some points that hang together with one of them, itself included."""
    some = np.append(rows[_sampled(points[rows], REGION)], worst)
    radius = AROUND * spacing * (len(rows) / len(some)) ** 0.5
    links = KDTree(points[some]).sparse_distance_matrix(KDTree(points[some]), radius)
    number = connected_components(links, directed=False)[1]
    return some[number == number[-1]]


def _sampled(points: np.ndarray, count: int) -> np.ndarray:
    return fixed_sample(torch.from_numpy(points), count).numpy()
