"""Bringing a scan into the pose of a reference: features, hypotheses from pairs of points with normals, and ICP."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ..config import Config, within
from .descriptors import outward_normals, point_histograms
from .icp import Surface
from .registration import Transform, distinct_motions, kabsch, rotation_from_axis_angle
from .sampling import canonical_order
from .spacing import point_spacing

SUPPORT = 4  # points that give a keypoint its normal, for each keypoint
MATCHES = 2  # of a keypoint of the source, in the reference
DRAWS = 1 << 19  # pairs of matches
JUDGED_BY = 512  # matches that hypotheses are judged by
APART = 8.0  # degrees, and percent of the diagonal, from which on two motions are two
DISTINCT = 48  # motions from matches that are refined
SHORTEST = 0.1  # of a pair that a motion is taken from, as a share of the diagonal
ANGLES = 0.15  # by which cosines between normals and pairs may differ
# Each round of refinement: points it looks at, motions that stay, steps, and the residual that halves a weight at its
# start and at its end, as shares of the diagonal.
ROUNDS = ((512, 12, 12, 0.03, 0.015), (2048, 4, 12, 0.015, 0.006))
TURNED = (768, 16, 10, 0.012, 0.005)
LAST = (8192, 2, 15, 0.006, 0.003)
PARTIAL, TRIES = 0.75, 3  # of the reference's surface, under which a scan is proposed a place so many times
TURNS = 72  # about each principal axis, that a pose is tried in: a wheel fits nearly as well by a wrong tooth


@dataclass(frozen=True)
class AlignmentConfig(Config):
    """How scans are brought into the pose of a reference.

    Attributes:
        keypoints: of the reference; a scan gets as many as make it equally dense.
        hypotheses: motions that matches propose, at most.
        tolerance: how far a moved match may lie from where it should, as a share of the reference's diagonal.
        seed: of all draws.
    """

    keypoints: int = within("[64, 131072]", 4096)
    hypotheses: int = within("[1, 1048576]", 4096)
    tolerance: float = within("[0.0001, 0.5]", 0.025)
    seed: int = 0


class _Keypoints(NamedTuple):
    points: Tensor
    normals: Tensor
    features: Tensor


class Reference:
    """A cloud that others are aligned to: `Reference(points).align(scan)` moves the scan onto it.

    Only the scan has to lie on the reference, not the reverse, so that a scan of one side finds its place.

    Args:
        points: (N, 3), of any unit.
        config: how.
    """

    def __init__(self, points: Float[Tensor, "n 3"], config: AlignmentConfig | None = None) -> None:
        self.config = config or AlignmentConfig()
        ordered = points[canonical_order(points, self.config.seed)].double()
        self._middle = ordered.mean(0)
        centred = ordered - self._middle
        self._unit = max(float((12.0 * centred.square().sum(1).mean()).sqrt()), 1e-30)  # see PointCloud.normalization
        self._points = (centred / self._unit).float()
        count = min(self.config.keypoints, len(points))
        self._spacing = point_spacing(self._points[:count])
        self._keys = self._describe(self._points, count)
        surface = self._points[: max(count, 1 << 15)]
        self._surface = Surface(surface, outward_normals(surface, len(surface)))

    def align(self, scan: Float[Tensor, "n 3"]) -> Transform:
        """The motion that brings a scan of the same part, in the same unit, onto the reference.

        Proposals come from pairs of matched keypoints with their normals and from the principal axes of both clouds;
        the ones that bring the scan's surface nearest are refined by ICP with robust weights (point to plane, Chen and
        Medioni, 1992; weights of Geman and McClure, 1987), and the nearest is taken. Of the poses of a symmetric
        object any is as good. A scan of one side is easily laid upon another, so it gets several tries.
        """
        # First of all, so that no sum rounds by the order that the points came in.
        ordered = scan[canonical_order(scan, self.config.seed)].double()
        middle = ordered.mean(0)
        points = ((ordered - middle) / self._unit).float()
        dense = len(points) * (point_spacing(points) / max(self._spacing, 1e-30)) ** 2
        count = int(min(max(64, round(dense)), 2 * self.config.keypoints, len(points)))
        keys, offset = self._describe(points, count), (middle - self._middle) / self._unit
        tries = TRIES if dense < PARTIAL * len(self._keys.points) else 1
        found = [self._search(keys, points, offset, self.config.seed + number) for number in range(tries)]
        rotation, translation, _ = min(found, key=lambda each: each[2])
        return Transform(rotation, translation * self._unit + self._middle - rotation @ middle)

    def _search(self, keys: _Keypoints, points: Tensor, middle: Tensor, seed: int) -> tuple[Tensor, Tensor, float]:
        """The best motion that is found, (3, 3) and (3,), and its misfit; `middle` undoes the centring."""
        rotations, translations = self._propose(keys, points, middle, seed)
        for number, (sample, kept, steps, start, end) in enumerate((*ROUNDS, TURNED, LAST)):
            some = points[:sample].double()
            if number == len(ROUNDS):
                rotations, translations = self._turned(some, rotations, translations, start)
            best = self._misfits(some, rotations, translations, start).argsort(stable=True)[:kept]
            rotations, translations = self._surface.refine(some, rotations[best], translations[best], steps, start, end)
        misfits = self._misfits(points[: LAST[0]].double(), rotations, translations, LAST[-1])
        best = int(misfits.argmin())
        return rotations[best], translations[best], float(misfits[best])

    def distances(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n"]:
        """How far each of the points lies from the reference's surface, in their unit: from the nearest tangent plane,
        but no nearer than that is flat. (N,) float32."""
        local = ((points.double() - self._middle) / self._unit).float()
        return (self._surface.distances(local.double()) * self._unit).float()

    def _describe(self, points: Tensor, count: int) -> _Keypoints:
        nodes = points[:count]
        normals = outward_normals(points[: SUPPORT * count], count)
        return _Keypoints(nodes, normals, torch.cat(point_histograms(nodes, normals), 1))

    def _propose(self, keys: _Keypoints, points: Tensor, middle: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Rotations (H, 3, 3) and translations (H, 3) worth a closer look, float64; `middle` undoes the centring."""
        target = self._keys
        index = torch.cat(
            [
                torch.cdist(part, target.features).topk(min(MATCHES, len(target.features)), largest=False).indices
                for part in keys.features.split(1024)
            ]
        )
        own = torch.arange(len(keys.points)).repeat_interleave(index.shape[1])
        p, n = keys.points[own], keys.normals[own]
        q, m = target.points[index.flatten()], target.normals[index.flatten()]
        rotations, translations = _from_axes(points, self._points)
        rotations = torch.cat([torch.eye(3, dtype=torch.float64)[None], rotations])  # a scan that is in its place
        translations = torch.cat([middle[None], translations])
        generator = torch.Generator().manual_seed(seed)
        pairs = torch.randint(len(p), (DRAWS, 2), generator=generator)
        pairs = pairs[_compatible(p, n, q, m, pairs, self.config.tolerance)][: self.config.hypotheses]
        if len(pairs) == 0:
            return rotations, translations
        some = torch.randperm(len(p), generator=generator)[:JUDGED_BY]
        found = kabsch(_oriented(p, n, pairs), _oriented(q, m, pairs))
        agree = torch.cat(
            [
                _agreement(p[some], n[some], q[some], m[some], r, t, self.config.tolerance)
                for r, t in zip(found[0].split(256), found[1].split(256), strict=True)
            ]
        )
        best = agree.argsort(descending=True, stable=True)[:256]
        best = best[distinct_motions(found[0][best], found[1][best], APART, APART / 100, DISTINCT)]
        return torch.cat([rotations, found[0][best]]), torch.cat([translations, found[1][best]])

    def _misfits(self, points: Tensor, rotations: Tensor, translations: Tensor, cut: float) -> Tensor:
        """Mean distance from moved points to the reference's surface, each counted up to `cut`. (H,)."""
        return self._surface.distances(points @ rotations.mT + translations[:, None]).clamp_max(cut).mean(1)

    def _turned(self, points: Tensor, rotations: Tensor, translations: Tensor, cut: float) -> tuple[Tensor, Tensor]:
        """The motions, and the best two of them, often one upside down, followed by turns about the principal axes."""
        best = self._misfits(points, rotations, translations, cut).argsort(stable=True)[:2]
        middle = self._points.double().mean(0)
        angles = torch.arange(1, TURNS, dtype=torch.float64) * (2 * math.pi / TURNS)
        axes = torch.linalg.eigh((self._points.double() - middle).T @ (self._points.double() - middle))[1].T
        turns = rotation_from_axis_angle((angles[:, None, None] * axes).flatten(0, 1))
        turned = (turns[:, None] @ rotations[best]).flatten(0, 1)
        moved = (turns @ (translations[best] - middle).T).mT.flatten(0, 1) + middle
        return torch.cat([rotations, turned]), torch.cat([translations, moved])


def register(
    source: Float[Tensor, "n 3"], target: Float[Tensor, "m 3"], config: AlignmentConfig | None = None
) -> Transform:
    """The motion that brings one cloud onto another; `Reference` keeps what several scans share."""
    return Reference(target, config).align(source)


def _from_axes(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The 24 ways to lay the principal axes of two clouds upon each other."""
    frames = []
    for points in (source.double(), target.double()):
        middle = points.mean(0)
        axes = torch.linalg.eigh((points - middle).T @ (points - middle))[1]
        axes[:, 2] *= torch.linalg.det(axes).sign()
        frames.append((axes, middle))
    (own, own_middle), (other, other_middle) = frames
    rotations = other @ _cube_rotations() @ own.T
    return rotations, other_middle - (rotations @ own_middle)


def _cube_rotations() -> Float[Tensor, "24 3 3"]:
    """All rotations of a cube."""
    orders = torch.tensor([[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
    signs = torch.cartesian_prod(*[torch.tensor([1.0, -1.0], dtype=torch.float64)] * 3)
    every = (torch.eye(3, dtype=torch.float64)[orders][:, None] * signs[:, :, None]).flatten(0, 1)
    return every[torch.linalg.det(every) > 0]


def _compatible(p: Tensor, n: Tensor, q: Tensor, m: Tensor, pairs: Tensor, tolerance: float) -> Tensor:
    """Which pairs of matches are alike as pairs of points with normals (Drost et al., 2010): (K,) bool."""
    measured = []
    for points, normals in ((p, n), (q, m)):
        first, second = pairs.unbind(1)
        between = points[second] - points[first]
        length = between.square().sum(1).sqrt()
        unit = between / length.clamp_min(1e-12)[:, None]
        a, b = normals[first], normals[second]
        measured.append((length, (a * unit).sum(1), (b * unit).sum(1), (a * b).sum(1)))
    (length, *angles), (other_length, *other_angles) = measured
    fits = ((length - other_length).abs() < tolerance) & (length > SHORTEST)
    for one, other in zip(angles, other_angles, strict=True):
        fits &= (one - other).abs() < ANGLES
    return fits


def _oriented(points: Tensor, normals: Tensor, pairs: Tensor) -> Float[Tensor, "h 4 3"]:
    """Two points and the tips of their normals, which are as long as the points lie apart."""
    ends = points[pairs]
    length = (ends[:, 1] - ends[:, 0]).square().sum(1).sqrt()
    return torch.cat([ends, ends + normals[pairs] * length[:, None, None]], 1)


def _agreement(
    p: Tensor, n: Tensor, q: Tensor, m: Tensor, rotations: Tensor, translations: Tensor, tolerance: float
) -> Tensor:
    """How many matches each motion brings together, normals within 45°: (H,)."""
    turned, moved = rotations.float(), translations.float()[:, None]
    near = (p @ turned.mT + moved - q).square().sum(-1) < tolerance**2
    return (near & ((n @ turned.mT * m).sum(-1) > 0.7)).sum(1)
