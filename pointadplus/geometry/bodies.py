"""Several bodies in one scan: what hangs together, and what only looks cut apart because something stood before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree
from torch import Tensor
from torch.nn.functional import normalize

from .descriptors import AROUND, mean_view, oriented, outward_normals
from .neighbors import knn
from .sampling import fixed_sample

# All ours.
SAMPLE = 4096  # points that are looked at
NODES = 1500  # of them, whose normals tell where a scan was taken from
GAP, SPACINGS = 0.05, 4.0  # least distance between bodies: of the scan's size, and in spacings of the sample
STRAY = 4.0  # times the median distance to the eighth neighbour, from which on a point is no surface
SMALLEST = 0.05  # of the largest body's points; what is smaller is a speck
ONE_SIDED = 0.15  # length of the mean normal from which on a scan has a side
TOLD = 0.1, 0.3  # of the largest body's points, of a scan from all sides and of one that has a side
_DIRECTIONS = 512


@dataclass(frozen=True, eq=False)
class Bodies:
    """The bodies of a scan.

    Attributes:
        places: (K, 3) points of them, thinned.
        number: (K,) int64, the body that each is of, 1 the largest; 0 for specks.
        gap: distance from `places` from which on a point belongs to none.
        apart: how many surely are bodies of their own: large ones with a plane between them.
    """

    places: Float[Tensor, "k 3"]
    number: Int[Tensor, "k"]
    gap: float
    apart: int

    def assign(self, points: Float[Tensor, "n 3"]) -> Int[Tensor, "n"]:
        """(N,) int64: the body that each point is of; 0 for specks and strays."""
        distance, index = (found[:, 0] for found in knn(self.places, points, 1))
        return torch.where(distance <= self.gap, self.number[index], 0)


def find_bodies(points: Float[Tensor, "n 3"], eye: Float[Tensor, "3"] | None = None) -> Bodies:
    """What hangs together, with gaps of less than a twentieth of the scan's size, as occlusion and dropouts leave them.

    Seen from one side, what hides another part cuts it in two that lie apart in depth alone; so they count as apart
    only if they are so in the picture, too.

    Args:
        points: (N, 3), of any unit and in any order.
        eye: (3,) where the sensor stood, in the same frame, or None.
    """
    sample = points[fixed_sample(points, SAMPLE)]
    origin = sample[0].double()  # of a sample that is the same in any order
    some = (sample.double() - origin).float()
    eighth = knn(some, some, min(9, len(some)))[0][:, -1]
    median = float(eighth.median())
    calm = eighth <= STRAY * median
    places = some[calm]
    low, high = np.quantile(places.numpy(), (0.01, 0.99), axis=0)
    gap = max(GAP * float(np.linalg.norm(high - low)), SPACINGS * median * (np.pi / 8) ** 0.5)
    number, apart = _numbered(_linked(places, gap)), 1
    if gap > 0 and int(number.max()) > 1:
        seen, axis = _as_seen(some, places, None if eye is None else (eye - origin).float())
        number = _numbered(_linked(seen, gap))
        apart = _apart(seen, number, axis, gap)
    return Bodies(sample[calm], number, gap, apart)


def _linked(places: Tensor, gap: float) -> Tensor:
    """(K,) int64: the part that each place is of, where places less than the gap apart are of one."""
    if gap <= 0:
        return torch.zeros(len(places), dtype=torch.int64)
    cells = torch.floor((places - places.amin(0)) / (gap / 4)).long().numpy()  # crowds would make pairs by the million
    _, first, inverse = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    some = places[first].numpy()
    pairs = KDTree(some).query_pairs(gap, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(some), len(some)))
    return torch.from_numpy(connected_components(graph, directed=False)[1]).long()[
        torch.from_numpy(inverse.reshape(-1))
    ]


def _numbered(parts: Tensor) -> Tensor:
    """Parts from 1, the largest first; 0 for specks."""
    counts = parts.bincount()
    rank = torch.empty_like(counts)
    rank[counts.argsort(descending=True, stable=True)] = torch.arange(1, len(counts) + 1)
    return torch.where(counts >= SMALLEST * counts.max(), rank, 0)[parts]


def _as_seen(some: Tensor, places: Tensor, eye: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Places without their depth, and the axis of sight; as they are, and None, of a scan from all sides."""
    if eye is not None:
        rays = places - eye
        away = rays.norm(dim=1, keepdim=True).clamp_min(1e-30)
        return eye + rays / away * away.mean(), normalize(rays.mean(0), dim=0)
    nodes = some[:NODES]
    near = knn(nodes, nodes, min(AROUND + 1, len(nodes)))[1]
    axis, length = mean_view(oriented(nodes, outward_normals(some, len(nodes)), near))
    if length <= ONE_SIDED:
        return places, None
    return places - (places @ axis)[:, None] * axis, axis


def _apart(places: Tensor, number: Tensor, axis: Tensor | None, gap: float) -> int:
    """Large bodies that a plane parts from the largest, with a gap on it."""
    directions = normalize(torch.randn(_DIRECTIONS, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    if axis is not None:
        directions = normalize(directions - (directions @ axis)[:, None] * axis, dim=1)
    along, counts = places @ directions.T, number.bincount()
    least = TOLD[0 if axis is None else 1] * counts[1]
    largest, apart = along[number == 1], 1
    for other in (along[number == body] for body in range(2, len(counts)) if counts[body] >= least):
        between = torch.maximum(largest.amin(0) - other.amax(0), other.amin(0) - largest.amax(0))
        apart += bool(between.max() > gap)
    return apart
