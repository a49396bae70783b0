"""Where a scan lies on its nominal: as it is, by reference points, or by the best fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from scipy.spatial import KDTree

from pointadplus.config import check_known
from pointadplus.errors import ConfigError
from pointadplus.geometry.alignment import Reference
from pointadplus.geometry.registration import Transform, kabsch, rotation_from_axis_angle

from .mesh import NominalMesh

BEST_FIT: Final = "best fit"
NONE: Final = "none"
POINTS: Final = "reference points"

# All ours; lengths are shares of the nominal's size.
SAMPLE, POSED, JUDGED = 12_000, 2_500, 40_000  # points of a scan that are fitted, that the pose is sought with, and of
# the nominal that it is sought on
STEPS, TRIED, LAST = 40, 10, 6  # of ICP at most, where a scan lies already, and on all points
STILL = 3e-7  # its least motion
DAMPED, LARGEST_STEP = 1e-5, 0.05  # share of the normal matrix's trace; radians, and shares of the size, in one step
ROBUST = 3.0  # standard deviations, told by the median, that halve a weight and more
LIES = 4.0, 0.001, 0.01  # of them, within which a point lies on the nominal; but at least, and at most
FAR = 0.04  # that a point counts at most when fits are compared
IN_PLACE, CALM = 0.9995, 1.5  # share of points on the nominal from which on a scan lies in its place already, if what
# is left is no more than so many times what neighbouring points differ by
MIRROR, MIRRORED = (0.2, 0.97), 0.5  # shares between which the mirror image is tried; of the misfit, to come under
FEWEST = 50  # points of a chosen part of the surface
STRAIGHT = 1e-3  # second over first extent of reference points under which they lie on a line


class Alignment(NamedTuple):
    """Of one scan.

    Attributes:
        motion: from the scan's frame, in the nominal's unit, into the nominal's.
        residual: RMS distance of the points that it rests on, in the nominal's unit; of reference points that of the
            pairs; None where nothing was aligned.
        share: of the scan's points that it rests on.
        lies: share of them that lie on the nominal; the same, unless it is fitted to a part of it.
        mirrored: whether the scan's mirror image fits far better.
    """

    motion: Transform
    residual: float | None
    share: float
    lies: float
    mirrored: bool = False


class Pairs(NamedTuple):
    """K reference points: (K, 3) of the nominal, in its file's frame and unit, and (K, 3) of scans, in theirs."""

    nominal: np.ndarray
    scan: np.ndarray


def read_align(align: Any) -> str | Pairs:
    """What `align` says, checked.

    Raises:
        ConfigError: neither `"best-fit"` nor `"none"` nor three pairs of points that do not lie on a line.
    """
    if isinstance(align, str):
        check_known(align, ("best-fit", "none"), "align")
        return align
    try:
        table = np.asarray([[*one, *other] for one, other in align], np.float64).reshape(-1, 6)
    except (TypeError, ValueError) as error:
        expected = '"best-fit", "none" or pairs of points, ((x, y, z) of the nominal, (x, y, z) of the scan)'
        raise ConfigError("not an alignment", where="align", expected=expected, found=error) from error
    for points in (table[:, :3], table[:, 3:]):
        extents = np.linalg.svd(points - points.mean(0), compute_uv=False) if len(table) >= 3 else np.zeros(2)
        if not np.isfinite(table).all() or extents[1] <= STRAIGHT * extents[0] or extents[0] == 0:
            raise ConfigError(
                "reference points do not hold a part", where="align", expected="at least three pairs, not on a line",
                found=f"{len(table)} pairs" + " on a line" * (len(table) >= 3),
            )  # fmt: skip
    return Pairs(table[:, :3], table[:, 3:])


def read_on(on: Any) -> np.ndarray | None:
    """The part of the nominal that is fitted to: (2, 3), two corners of a box, or (K, 3) points of it.

    Raises:
        ConfigError: another shape, or a box without an inside.
    """
    if on is None:
        return None
    found = np.asarray(on, np.float64)
    if found.ndim != 2 or found.shape[1] != 3 or len(found) < 2 or not np.isfinite(found).all():
        expected = "two opposite corners of a box, or three and more points of the nominal"
        raise ConfigError("not a part of the nominal", where="on", expected=expected, found=found.shape)
    if len(found) == 2 and (found[0] == found[1]).any():
        raise ConfigError("the box has no inside", where="on", expected="two opposite corners", found=found.tolist())
    return found


def by_points(pairs: Pairs, factor: float) -> tuple[Transform, float]:
    """The motion that brings reference points of a scan onto those of the nominal, and the RMS that is left.

    Args:
        pairs: the points.
        factor: the nominal's units in one of the scan's.
    """
    source, target = torch.from_numpy(pairs.scan * factor), torch.from_numpy(pairs.nominal)
    motion = Transform(*kabsch(source, target))
    return motion, float((motion.apply(source) - target).square().sum(1).mean().sqrt())


def best_fit(
    mesh: NominalMesh, reference: Callable[[], Reference], scan: np.ndarray, on: np.ndarray | None = None
) -> Alignment:
    """The motion that brings a scan nearest to its nominal.

    Found by `geometry.alignment.Reference` on points of the nominal, unless the scan lies in its place already, and
    refined by ICP from points to the triangles themselves.

    Args:
        mesh: the nominal.
        reference: gives that of points of its surface, about its `center`; scans that lie in their place need none.
        scan: (N, 3) float64 even sample, in its own frame and the nominal's unit.
        on: see `read_on`.
    """
    fit = _Fit(mesh, scan)
    found = fit.refined(Transform.identity().rotation, -torch.from_numpy(mesh.center), TRIED)
    if found.share < IN_PLACE or not fit.is_noise(found):
        found = min(found, _sought(mesh, reference(), scan), key=lambda one: one.misfit)
    mirrored = False
    if MIRROR[0] <= found.share < MIRROR[1]:
        mirrored = _sought(mesh, reference(), scan * [-1, 1, 1]).misfit < MIRRORED * found.misfit
    if on is not None:
        found = _Fit(mesh, scan, _chooser(on, mesh.center)).refined(found.rotation, found.translation)
    return Alignment(
        Transform(found.rotation, found.translation + torch.from_numpy(mesh.center)),
        found.residual,
        found.share,
        found.lies,
        mirrored,
    )


def _sought(mesh: NominalMesh, reference: Reference, scan: np.ndarray) -> _Found:
    """The pose that `reference` finds, refined."""
    middle = scan.mean(0)
    pose = reference.align(torch.from_numpy(scan[:POSED] - middle).float())
    return _Fit(mesh, scan).refined(pose.rotation, pose.translation - pose.rotation @ torch.from_numpy(middle))


def lying(distance: np.ndarray, size: float) -> np.ndarray:
    """Which points lie on the nominal, to their noise."""
    width, least, most = LIES
    return np.abs(distance) <= np.clip(width * _deviation(distance), least * size, most * size)


class _Found(NamedTuple):
    rotation: torch.Tensor
    translation: torch.Tensor
    residual: float | None
    share: float
    lies: float
    misfit: float


class _Fit:
    """ICP of one scan, from points to planes (Chen and Medioni, 1992) with weights of Geman and McClure (1987)."""

    def __init__(
        self, mesh: NominalMesh, scan: np.ndarray, chosen: Callable[[np.ndarray], np.ndarray] | None = None
    ) -> None:
        self.mesh, self.scan, self.chosen = mesh, scan, chosen

    def refined(self, rotation: torch.Tensor, translation: torch.Tensor, steps: int = STEPS) -> _Found:
        """From a motion into the frame about the nominal's `center`: first some of the points, then all."""
        turn, shift = rotation.numpy(), translation.numpy()
        for scan, most in ((self.scan[:POSED], steps), (self.scan, LAST)):
            for _ in range(most):
                turn, shift, still = self._step(scan, turn, shift)
                if still:
                    break
        size = self.mesh.size
        _, distance, _, on = self._look(self.scan, turn, shift)
        there = np.zeros(len(on), bool)
        there[on] = lying(distance[on], size) if on.sum() >= FEWEST else False
        residual = float(np.sqrt(np.mean(distance[there] ** 2))) if there.any() else None
        lies = float(lying(distance, size).mean())
        misfit = float(np.minimum(np.abs(distance), FAR * size).mean())
        return _Found(torch.from_numpy(turn), torch.from_numpy(shift), residual, float(there.mean()), lies, misfit)

    def is_noise(self, found: _Found) -> bool:
        """Whether what is left varies from point to point, not from place to place: that would be another pose."""
        distance = self._look(self.scan, found.rotation.numpy(), found.translation.numpy())[1]
        ranks: Any = [2]  # SciPy's stubs know k as an int
        near: Any = KDTree(self.scan).query(self.scan, k=ranks)
        nearest = near[1][:, 0]
        noise = _deviation(distance - distance[nearest]) / 2**0.5
        return _deviation(distance) <= CALM * noise + 1e-6 * self.mesh.size

    def _step(self, scan: np.ndarray, turn: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
        """The next motion, and whether it is the last one still."""
        size = self.mesh.size
        points, distance, along, on = self._look(scan, turn, shift)
        if on.sum() < FEWEST:
            return turn, shift, True
        scale = max(ROBUST * _deviation(distance[on]), 1e-7 * size)
        weight = on / (1 + (distance / scale) ** 2) ** 2
        middle = np.average(points, 0, weight)
        jacobian = np.concatenate([np.cross((points - middle) / size, along), along], 1)
        weighted = jacobian * weight[:, None]
        square = weighted.T @ jacobian
        # A direction that the surface says next to nothing about (a turn about its axis) stays where it is: its facets
        # would have a shaft turn by so much that the linear step is wrong in all others.
        square += DAMPED * np.trace(square) * np.eye(6)
        twist = -np.linalg.solve(square, weighted.T @ (distance / size))
        twist *= min(1.0, LARGEST_STEP / max(float(np.abs(twist).max()), 1e-30))
        step = rotation_from_axis_angle(torch.from_numpy(twist[:3])).numpy()
        moved = step @ (shift - middle) + middle + size * twist[3:]
        return step @ turn, moved, bool(np.abs(twist).max() < STILL)

    def _look(
        self, scan: np.ndarray, turn: np.ndarray, shift: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Moved points, distances, directions, and which points the fit is for."""
        points = scan @ turn.T + shift
        found = self.mesh.closest(points.astype(np.float32))
        along, distance = self.mesh.directions(found), found.distance.astype(np.float64)
        # Beyond a free border nothing is measured, but it holds a sheet that would slide.
        on = np.ones(len(scan), bool) if self.chosen is None else self.chosen(found.foot)
        return points, distance, along, on


def _chooser(on: np.ndarray, center: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Which places of the nominal, about its `center`, belong to a part of it."""
    if len(on) == 2:
        low, high = on.min(0) - center, on.max(0) - center
        return lambda feet: ((feet >= low) & (feet <= high)).all(1)
    tree = KDTree(on - center)
    beside: Any = range(2, 3)
    reach = 2 * float(np.median(tree.query(on - center, k=beside)[0]))  # twice the spacing of the points
    return lambda feet: tree.query(feet)[0] <= reach


def _deviation(distance: np.ndarray) -> float:
    """Standard deviation of normal errors about 0, by their median: outliers do not count."""
    return 1.4826 * float(np.median(np.abs(distance)))
