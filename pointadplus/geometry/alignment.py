"""Bringing a scan into the pose of a reference: all poses at a glance, by what can be seen from where, and ICP."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from .descriptors import outward_normals, seen_from
from .exposure import AROUND, in_front, oriented
from .icp import CoarseSurface, Surface
from .neighbors import knn
from .registration import (
    Transform,
    distinct_motions,
    even_rotations,
    frames_along,
    hemisphere,
    rotation_from_axis_angle,
)
from .sampling import canonical_order, even_order

# All ours. Lengths are shares of the reference's size, about its diagonal.
NODES, SUPPORT = 4096, 4  # even points of the reference that are looked at, and points for each that give its normal
DENSE = 1 << 15  # points of the reference that stand for its surface
VIEWS, SPINS = 300, 30  # from where the reference is looked at, and turns about each of these views
PIXEL = 1 / 24  # side of a pixel of a view
HIDDEN, TURNED_AWAY = 0.05, 0.2  # depth behind which, and cosine under which nothing is seen
ROTATIONS = 4608  # of whole scans: 14° apart or less
CELLS, MARGIN = 96, 0.15  # of the grid of a first look
GLANCE, CUT = 128, 0.08  # points of a first look, and the distance that one counts at most
PROPOSED, APART, SHIFT = 384, 8.0, 0.04  # poses that go on, and degrees and shift by which they differ
NUDGED, NUDGE, KEPT = 128, 0.08, 2  # of them, those that are shifted along each axis, and how many shifts are kept
COARSE = 12, 0.08, 0.02  # steps of ICP, and the residuals that halve a weight at its start and at its end
OFF = 0.04  # distance that a point counts at most, well over noise: of a jug only what lies off tells the turn
JUDGED_BY, DISTINCT = 1024, (24, 4.0, 0.02)  # points; poses that go on, and degrees and shift by which they differ
TURNS = 72  # about each principal axis, that a pose is tried in: a wheel fits nearly as well by a wrong tooth
THIN, OPPOSITE = 0.06, -0.7  # distance under which, and cosine of normals over which two faces are no wall's


class _Round(NamedTuple):
    """Of ICP: points it looks at, poses that are left, steps, and the residuals that halve a weight, first and last."""

    points: int
    kept: int
    steps: int
    start: float
    end: float


FIRST = _Round(256, 8, 6, 0.03, 0.012), _Round(512, 4, 6, 0.012, 0.006)
TURNED = _Round(512, 6, 5, 0.012, 0.005)
LAST = _Round(1024, 2, 4, 0.006, 0.004), _Round(2048, 1, 4, 0.004, 0.003), _Round(8192, 1, 6, 0.004, 0.003)


class Reference:
    """A cloud that others are aligned to: `Reference(points).align(scan)` moves the scan onto it.

    Only the scan has to lie on the reference, not the reverse, so that a scan of one side finds its place.

    Args:
        points: (N, 3), of any unit.
    """

    def __init__(self, points: Float[Tensor, "n 3"]) -> None:
        ordered = points[canonical_order(points)].double()
        self._middle = ordered.mean(0)
        centred = ordered - self._middle
        self._unit = max(float((12.0 * centred.square().sum(1).mean()).sqrt()), 1e-30)  # see PointCloud.normalization
        local = (centred / self._unit).float()
        surface = local[:DENSE]
        self._surface = Surface(surface, outward_normals(surface, len(surface)))
        self._coarse = CoarseSurface(self._surface, CELLS, MARGIN)
        self._nodes, self._views, self._centres, self._thickness = _looks(local)

    def align(self, scan: Float[Tensor, "n 3"]) -> Transform:
        """The motion that brings a scan of the same part, in the same unit, onto the reference.

        Proposed are all rotations about the middle of whole scans and, for scans of one side, from each of many views
        of the reference, what can be seen from there. The ones that bring the scan's surface nearest are refined by ICP
        with robust weights (point to plane, Chen and Medioni, 1992; weights of Geman and McClure, 1987), first on a
        grid, and the nearest is taken. Of the poses of a symmetric object any is as good.
        """
        # First of all, so that no sum rounds by the order that the points came in.
        ordered = scan[canonical_order(scan)].double()
        middle = ordered.mean(0)
        points = ((ordered - middle) / self._unit).float()
        some = points[: SUPPORT * NODES]
        nodes, points = some[even_order(some)[0][:JUDGED_BY]].double(), points.double()
        view = seen_from(some[: 2 * NODES])[0].double()
        rotations, translations = self._propose(nodes, view)
        some = nodes[:GLANCE]
        rotations, translations = self._coarse.refine(some, rotations, translations, *COARSE)
        best = self._coarse.misfits(nodes, rotations, translations, OFF).argsort(stable=True)[:256]
        best = best[distinct_motions(rotations[best], translations[best], DISTINCT[1], DISTINCT[2], DISTINCT[0])]
        place = torch.eye(3, dtype=torch.float64), (middle - self._middle) / self._unit  # a scan that is in its place
        rotations = torch.cat([rotations[best], place[0][None]])
        translations = torch.cat([translations[best], place[1][None]])
        for each in FIRST:
            rotations, translations = self._refined(nodes, rotations, translations, each)
        rotations, translations = self._turned(nodes, rotations, translations, view)
        for each in (TURNED, *LAST):
            rotations, translations = self._refined(points, rotations, translations, each)
        rotation, translation = rotations[0], translations[0]
        return Transform(rotation, translation * self._unit + self._middle - rotation @ middle)

    def distances(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n"]:
        """How far each of the points lies from the reference's surface, in their unit: from the nearest tangent plane,
        but no nearer than that is flat. (N,) float32."""
        local = ((points.double() - self._middle) / self._unit).float()
        return (self._surface.distances(local.double()) * self._unit).float()

    def _propose(self, nodes: Float[Tensor, "k 3"], view: Float[Tensor, "3"]) -> tuple[Tensor, Tensor]:
        """Rotations (H, 3, 3) and translations (H, 3) worth a closer look; `view` is towards the scan's eyes."""
        middle, some = nodes.mean(0), nodes[:GLANCE]
        axis = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
        spins = rotation_from_axis_angle(axis * torch.arange(SPINS, dtype=torch.float64)[:, None] * (math.tau / SPINS))
        seen = (frames_along(self._views)[:, None] @ spins @ frames_along(view[None])[0].T).flatten(0, 1)
        whole = even_rotations(ROTATIONS)
        rotations = torch.cat([seen, whole])
        centres = torch.cat([self._centres.repeat_interleave(SPINS, 0), self._nodes.mean(0).expand(len(whole), 3)])
        translations = centres - rotations @ middle
        best = self._coarse.glances(some, rotations, translations, CUT).argsort(stable=True)[: 4 * PROPOSED]
        best = best[distinct_motions(rotations[best], translations[best], APART, SHIFT, PROPOSED)]
        rotations, translations = rotations[best], translations[best]
        steps = torch.tensor([-NUDGE, 0.0, NUDGE], dtype=torch.float64)
        shifts = torch.cartesian_prod(steps, steps, steps)
        nudged = rotations[:NUDGED].repeat_interleave(len(shifts), 0)
        places = (translations[:NUDGED, None] + shifts).flatten(0, 1)
        misfits = self._coarse.glances(some, nudged, places, CUT).view(-1, len(shifts))
        nearest = misfits.argsort(dim=1, stable=True)[:, :KEPT]
        rows = (torch.arange(len(nearest))[:, None] * len(shifts) + nearest).flatten()
        return torch.cat([nudged[rows], rotations[NUDGED:]]), torch.cat([places[rows], translations[NUDGED:]])

    def _refined(self, points: Tensor, rotations: Tensor, translations: Tensor, how: _Round) -> tuple[Tensor, Tensor]:
        """ICP from each pose, and the poses that then lie nearest, the nearest first."""
        some = points[: how.points]
        rotations, translations = self._surface.refine(some, rotations, translations, how.steps, how.start, how.end)
        best = self._surface.misfits(some, rotations, translations, OFF).argsort(stable=True)[: how.kept]
        return rotations[best], translations[best]

    def _turned(
        self, points: Tensor, rotations: Tensor, translations: Tensor, view: Float[Tensor, "3"]
    ) -> tuple[Tensor, Tensor]:
        """The poses, often one upside down of the other, the nearest turns of them about the principal axes, and the
        best of them off by the thickness of the reference's walls: the front of a sheet lies on its back, too."""
        middle = self._surface.points.mean(0)
        centred = self._surface.points - middle
        axes = torch.linalg.eigh(centred.T @ centred)[1].T
        angles = torch.arange(1, TURNS, dtype=torch.float64) * (math.tau / TURNS)
        turns = rotation_from_axis_angle((angles[:, None, None] * axes).flatten(0, 1))
        turned = (turns[:, None] @ rotations).flatten(0, 1)
        moved = (turns @ (translations - middle).T).mT.flatten(0, 1) + middle
        near = self._coarse.glances(points, turned, moved, OFF).argsort(stable=True)[: 8 * TURNED.kept]
        best = near[self._coarse.misfits(points, turned[near], moved[near], OFF).argsort(stable=True)[: TURNED.kept]]
        along = torch.cat([axes, (rotations[0] @ view)[None]])
        shifts = torch.cat([along, -along]) * self._thickness
        return (
            torch.cat([rotations, turned[best], rotations[:1].expand(len(shifts), 3, 3)]),
            torch.cat([translations, moved[best], translations[0] + shifts]),
        )


def register(source: Float[Tensor, "n 3"], target: Float[Tensor, "m 3"]) -> Transform:
    """The motion that brings one cloud onto another; `Reference` keeps what several scans share."""
    return Reference(target).align(source)


def _looks(
    points: Float[Tensor, "n 3"],
) -> tuple[Float[Tensor, "k 3"], Float[Tensor, "v 3"], Float[Tensor, "v 3"], float]:
    """Even points of a surface; of what each of many eyes sees of it, the mean normal and the middle; and how thick its
    walls are, 0 without any. float64."""
    support = points[even_order(points)[0][: SUPPORT * NODES]]
    some = support[:NODES]
    normals = oriented(some, outward_normals(support, len(some)), knn(some, some, AROUND + 1)[1]).double()
    nodes, half = some.double(), hemisphere(VIEWS // 2)
    views, centres = [], []
    for view in torch.cat([half, -half]):
        seen = (normals @ view > TURNED_AWAY) & in_front(nodes, view, PIXEL, HIDDEN)
        if seen.any():
            views.append(normalize(normals[seen].mean(0), dim=0))
            centres.append(nodes[seen].mean(0))
    behind = torch.cdist(some, some).masked_fill_((normals @ normals.T).float() > OPPOSITE, math.inf).amin(1)
    thin = behind[behind < THIN]
    thickness = float(thin.median()) if len(thin) else 0.0
    return nodes, torch.stack(views or [half[0]]), torch.stack(centres or [nodes.mean(0)]), thickness
