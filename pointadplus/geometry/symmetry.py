"""Where an object repeats itself: mirror planes, axes of rotation, and centres of point reflection.

An object that is its own mirror image is its own normal scan: what one side has and the other has not is worth a look.
Points are in the normalised frame (`PointCloud.normalized`), where the object's diagonal is about 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .icp import CoarseSurface, Surface
from .neighbors import knn
from .normals import local_frames, offsets_to
from .registration import distinct_motions, hemisphere, rotation_from_axis_angle

# On 60 pairs of held-out synthetic objects, 3, 6 and 10 motions were not told apart; 20,000 points beat 8,192.
MOST = 4  # symmetries that are kept
SUPPORT = 20_000  # points of the surface that the object is compared with
FOLDS = (2, 3, 4, 5, 6)  # of the axes that are tried; axes of more go with mirror planes, but for helices
DIRECTIONS = 256  # of planes and axes
GRID = 64  # cells along the longest side of the map of distances that proposals are judged by
PROPOSED, JUDGED_BY = 400, 256  # proposals that go on, and points that judge them
CUT = 0.06  # distance from which on a point counts as lying off
# Each round: motions that go on, degrees by which they differ, points it looks at, steps, and the residuals that halve
# a weight at its start and at its end.
ROUNDS = ((32, 12.0, 160, 6, 0.04, 0.02), (8, 8.0, 768, 6, 0.02, 0.006))
MISFIT = 0.03  # distance that a point counts at most when refined motions are compared
APART = 8.0  # degrees from which on two refined motions are two
SHIFT = 0.03  # shift from which on they are two
MOVED = 0.05  # median way of the points below which a motion is the identity
SLACK = 1.6, 0.001  # a symmetry counts whose misfit is at most this times the best one's plus this
FEWEST = 64  # points of which anything can be told
NORMALS_FROM = 10  # neighbours


@dataclass(frozen=True, eq=False)
class Symmetries:
    """Motions, mirroring or not, that bring an object onto itself, the best first.

    Attributes:
        surface: of the object.
        rotations: (K, 3, 3) float64 orthogonal, det −1 where they mirror; K may be 0.
        translations: (K, 3) float64.
        misfits: (K,) float64, mean distance of moved points from the surface, each counted up to `MISFIT`.
    """

    surface: Surface
    rotations: Float[Tensor, "k 3 3"]
    translations: Float[Tensor, "k 3"]
    misfits: Float[Tensor, "k"]

    def __len__(self) -> int:
        return len(self.misfits)

    def move(self, points: Float[Tensor, "m 3"]) -> Float[Tensor, "k m 3"]:
        """The points under each motion, float64."""
        return points.double() @ self.rotations.mT + self.translations[:, None]

    def move_back(self, points: Float[Tensor, "m 3"]) -> Float[Tensor, "k m 3"]:
        """The points under the inverse of each motion, float64."""
        return (points.double() - self.translations[:, None]) @ self.rotations


def find_symmetries(support: Float[Tensor, "s 3"]) -> Symmetries:
    """Find what an object's symmetries are, in spite of defects and of missing parts.

    Planes and axes in many directions through the centre are judged on a map of distances; the best are refined by ICP
    and judged again. Of a body of revolution there are endlessly many; a few that differ are as good as all.

    Args:
        support: (S, 3) in the normalised frame, in random order; the first `SUPPORT` are looked at.
    """
    points = support[:SUPPORT]
    frames = local_frames(offsets_to(points, points, knn(points, points, NORMALS_FROM)[1]))
    surface = Surface(points, frames.normals)
    rotations, translations = _propose(surface) if len(points) >= FEWEST else _none()
    for kept, degrees, sample, steps, start, end in ROUNDS:
        some = surface.points[:sample]
        motions = distinct_motions(rotations, translations, degrees, SHIFT, kept)
        rotations, translations = surface.refine(
            some, rotations[motions], translations[motions], steps, start, end, damping=1e-3
        )
        rotations, translations, misfits = _ranked(surface, some, rotations, translations)
    motions = distinct_motions(rotations, translations, APART, SHIFT, MOST)
    motions = motions[misfits[motions] <= SLACK[0] * misfits[:1] + SLACK[1]]
    return Symmetries(surface, rotations[motions], translations[motions], misfits[motions])


def _none() -> tuple[Tensor, Tensor]:
    return torch.zeros(0, 3, 3, dtype=torch.float64), torch.zeros(0, 3, dtype=torch.float64)


def _propose(surface: Surface) -> tuple[Tensor, Tensor]:
    """Motions that bring the object near itself, the best first."""
    middle = surface.points.mean(0)
    centred = surface.points - middle
    axes = torch.linalg.eigh(centred.T @ centred)[1].T
    directions = torch.cat([axes, hemisphere(DIRECTIONS) @ axes])
    eye = torch.eye(3, dtype=torch.float64)
    mirrors = eye - 2 * directions[:, :, None] * directions[:, None]
    turns = [rotation_from_axis_angle(directions * (2 * math.pi / fold)) for fold in FOLDS]
    rotations = torch.cat([mirrors, *turns, -eye[None]])
    translations = middle - rotations @ middle
    coarse = CoarseSurface(surface, GRID, 2 * CUT)
    some = surface.points[:JUDGED_BY]
    best = coarse.glances(some, rotations, translations, CUT).argsort(stable=True)[:PROPOSED]
    return rotations[best], translations[best]


def _ranked(surface: Surface, points: Tensor, rotations: Tensor, translations: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The motions that move anything, nearest misfit first, and their misfits."""
    moved = points @ rotations.mT + translations[:, None]
    misfits = surface.distances(moved).clamp_max(MISFIT).mean(1)
    way = (moved - points).square().sum(-1).sqrt().median(1).values
    order = misfits.argsort(stable=True)
    order = order[way[order] >= MOVED]
    return rotations[order], translations[order], misfits[order]
