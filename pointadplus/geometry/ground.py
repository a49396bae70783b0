"""The plane that a part stands on: fitting one among other things, and telling a table from a face of the part."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import ConvexHull
from torch import Tensor

from .normals import local_frames
from .sampling import fixed_sample

# All ours; lengths are shares of the scan's size, the diagonal of its box without the outermost 1 % at either end.
SAMPLE = 8192  # points that are looked at
DRAWS = 300  # hypotheses of three points: of a plane with a fifth of the points, one is right with 91 %
INLIER = 0.004  # from the plane, for a point to support it
REACH = 0.006, 4.0  # from the plane, for a point to belong to it; at least so many of its standard deviations
OFF = 0.015  # from the plane, what surely does not belong to it, though a scanner bends planes
FEW = 100  # points of a plane, or on it, that tell nothing
SECTORS, AROUND, MARGIN = 24, 0.75, 1.1  # directions, share of them in which the plane goes on, and how much farther
STRAYS = 0.98  # quantile of distances within which is what stands on the plane


@dataclass(frozen=True)
class Plane:
    """A plane under what was scanned.

    Attributes:
        normal: (3,) float64, unit, to the side that things stand on.
        center: (3,) float64, a point of it.
        reach: how far off its points lie, in the unit of the points.
    """

    normal: Float[Tensor, "3"]
    center: Float[Tensor, "3"]
    reach: float

    def heights(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n"]:
        """Signed distances above it, (N,) float64."""
        return (points.double() - self.center) @ self.normal


def fit_plane(
    points: Float[Tensor, "n 3"], generator: torch.Generator, *, inlier: float, drawn: int = 3, draws: int = DRAWS
) -> tuple[Float[Tensor, "3"], Float[Tensor, "3"]]:
    """Unit normal and a point of the plane that most points lie within `inlier` of: RANSAC (Fischler and Bolles, 1981).

    Each hypothesis is the principal plane of `drawn` points; the best is fitted again to all that support it.

    Args:
        points: (N, 3) float64.
        generator: of the draws.
        inlier: distance from the plane, in the unit of the points, for a point to support it.
        drawn: points a hypothesis, at least 3.
        draws: hypotheses.
    """
    chosen = torch.randint(len(points), (draws, drawn), generator=generator)
    frames = local_frames(points[chosen])
    normals, centers = frames.normals.double(), frames.mean
    offsets = points @ normals.T - (normals * centers).sum(1)
    best = int((offsets.abs() < inlier).sum(0).argmax())
    support = points[offsets[:, best].abs() < inlier]
    if len(support) < 3:
        return normals[best], centers[best]
    final = local_frames(support[None])
    return final.normals[0].double(), final.mean[0]


def find_ground(points: Float[Tensor, "n 3"], *, asked: bool = False) -> Plane | None:
    """The plane under what was scanned, a table or a floor; None where there is none.

    A plane is one where a fifth of the points lie on it, next to none beneath, and others stand on it; where it goes on
    in three quarters of all directions beyond what stands there; and where its hull is three times as large as that of
    what stands there, which is no flatter than a seventh of its width. So neither a face of the part is one, nor a
    plate, nor a flange with its collar, nor a box on its side.

    Args:
        points: (N, 3), of any unit and in any order.
        asked: somebody says that there is one: then a flat part may lie on it, and cover the most of it.
    """
    share, beneath, least, ratio, tall = (0.1, 0.1, 0.003, 1.3, 0.0) if asked else (0.2, 0.05, 0.03, 3.0, 0.15)
    some = points[fixed_sample(points, SAMPLE)].double()
    origin = some.mean(0)
    some = some - origin
    low, high = np.quantile(some.numpy(), (0.01, 0.99), axis=0)
    size = float(np.linalg.norm(high - low))
    if len(some) < FEW or size == 0:
        return None
    normal, center = fit_plane(some, torch.Generator().manual_seed(0), inlier=INLIER * size)
    heights = (some - center) @ normal
    near = heights.abs() < INLIER * size
    if int(near.sum()) < FEW:
        return None
    final = local_frames(some[near][None])  # the best of three points is a little askew: fitted twice
    normal, center = final.normals[0].double(), final.mean[0].double()
    heights = (some - center) @ normal
    spread = 1.48 * float(heights[heights.abs() < INLIER * size].abs().median())
    reach = max(REACH[0] * size, REACH[1] * spread)
    off = max(OFF * size, reach)
    if int((heights > off).sum()) < int((heights < -off).sum()):
        normal, heights = -normal, -heights
    on, standing = heights.abs() <= reach, heights > (reach if asked else off)
    shares = [float(part.double().mean()) for part in (on, standing, heights < -off)]
    if shares[0] < share or shares[1] < least or shares[2] > beneath or min(int(on.sum()), int(standing.sum())) < 30:
        return None
    if not _is_under(some - center, normal, on, standing, heights, ratio, tall):
        return None
    return Plane(normal, center + origin, reach)


def _is_under(
    offsets: Tensor, normal: Tensor, on: Tensor, standing: Tensor, heights: Tensor, ratio: float, tall: float
) -> bool:
    """Whether the plane goes on around what stands on it, and is larger by the ratio; and whether that is tall."""
    across = torch.linalg.svd(normal[None])[2][1:]
    plane, things = offsets[on] @ across.T, offsets[standing] @ across.T
    away = (things - things.median(0).values).norm(dim=1)
    kept = away <= away.quantile(STRAYS)
    things, height = things[kept], float(heights[standing][kept].quantile(0.95))
    middle = things.mean(0)
    if height < tall * 2 * float((things - middle).norm(dim=1).max()):
        return False
    if np.ptp(things.numpy(), axis=0).min() <= 0 or np.ptp(plane.numpy(), axis=0).min() <= 0:
        return False
    if (
        ConvexHull(plane.numpy(), qhull_options="QJ").volume
        < ratio * ConvexHull(things.numpy(), qhull_options="QJ").volume
    ):
        return False

    def farthest(places: Tensor) -> Tensor:
        angle = torch.atan2(places[:, 1] - middle[1], places[:, 0] - middle[0])
        sector = ((angle + math.pi) / (2 * math.pi) * SECTORS).long().clamp(0, SECTORS - 1)
        away = (places - middle).norm(dim=1)
        return torch.zeros(SECTORS, dtype=away.dtype).scatter_reduce(0, sector, away, "amax")

    return float((farthest(plane) > MARGIN * farthest(things)).double().mean()) >= AROUND
