"""The shape of an anomalous region: its surroundings, which side is out, the box around it, and how deep it goes."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from ..cloud import PointCloud
from ..geometry.components import connected_parts, graph_distance
from ..geometry.neighbors import knn
from ..geometry.normals import estimate_normals
from ..geometry.sampling import canonical_order
from ..geometry.surface_fit import SurfaceFit

Vector = tuple[float, float, float]

# All ours, from dents and bumps on planes, spheres and cylinders.
# Where the ring begins and ends, in spacings, and for larger regions in radii of a disc of the region's area.
GAP, RING = (1.5, 0.25), (6.5, 1.25)
EDGE = 1.8  # longest edge of the graph that the ring is found on, in spacings: a thinner wall is one surface
EXTREME = 0.02  # share of a region's points whose mean deviation is its depth, three at least
LOCAL = 20_000  # points that a region and its ring are measured with at most
CONE, BEAM = math.tan(math.radians(20)), 1.5  # in which the side with more room is looked for; BEAM in spacings
SHEET = 0.02  # of the cloud's reach: a bulk that is nearer to a region's plane than that has no side
# Lengths of the mean normal from which on the view tells the side of what faces it, and of all there is, and the least
# cosines of these.
ABOVE, ONE_SIDED = (0.2, 0.5), (0.4, 0.1)


class Surroundings(NamedTuple):
    """What is near a region.

    Attributes:
        origin: (3,) float64, mean of the region's points, in the file's frame.
        offsets: (S, 3) float64 from the origin; S is at most `LOCAL`.
        index: (S,) rows of the cloud's points.
        normals: (S, 3) float64, of any sign.
        own, ring, sheet: (S,) which belong to the region, which to the ring around it, and which to the surface as far
            as the ring goes.
    """

    origin: Float[Tensor, "3"]
    offsets: Float[Tensor, "s 3"]
    index: Int[Tensor, "s"]
    normals: Float[Tensor, "s 3"]
    own: Bool[Tensor, "s"]
    ring: Bool[Tensor, "s"]
    sheet: Bool[Tensor, "s"]


def surroundings(cloud: PointCloud, chosen: Tensor, own: Tensor, area: float) -> Surroundings:
    """What is near the region `own`, of that area; `chosen` points belong to no ring."""
    spacing = math.sqrt(area / len(own))
    radius = math.sqrt(area / math.pi)
    gap, width = (max(least * spacing, share * radius) for least, share in (GAP, RING))
    low, high = cloud.points[own].aminmax(dim=0)
    index = ((cloud.points >= low - width) & (cloud.points <= high + width)).all(1).nonzero()[:, 0]
    if len(index) > LOCAL:
        spacing *= math.sqrt(len(index) / LOCAL)
        index = index[canonical_order(cloud.points[index])[:LOCAL]]
    origin = cloud.points[own].double().mean(0)  # float32 would lose the shape of far-away (georeferenced) clouds
    offsets = cloud.points[index].double() - origin
    mine = torch.isin(index, own)
    if not mine.any():  # thinned away: a speck among very many
        index, offsets, mine = own, cloud.points[own].double() - origin, torch.ones(len(own), dtype=torch.bool)
    normals = estimate_normals(offsets.float()) if cloud.normals is None else cloud.normals[index]
    far = graph_distance(offsets.float(), mine, width, longest=EDGE * spacing)
    sheet = _adjoining(offsets.float(), mine, torch.isfinite(far), EDGE * spacing)
    return Surroundings(origin, offsets, index, normals.double(), mine, sheet & ~chosen[index] & (far > gap), sheet)


def _adjoining(points: Tensor, own: Tensor, reached: Tensor, longest: float) -> Bool[Tensor, "s"]:
    """The region and those parts of what is reached from it that it has most edges to, or at least half as many.

    The floor of a deep dent may be so near to a wall's other face that paths lead there, too, but few.
    """
    parts = connected_parts(points, reached & ~own, 8, longest=longest)
    near = knn(points, points[own], min(9, len(points)))[1]
    edges = torch.bincount(parts[near].flatten(), minlength=int(parts.max()) + 1)
    edges[0] = 0
    return own | (edges >= (edges.max() / 2).clamp_min(1))[parts]


def common_axis(normals: Float[Tensor, "k 3"]) -> tuple[Float[Tensor, "3"], float]:
    """The axis that unit normals share, whatever their signs, and its share of their second moment, 1/3 to 1."""
    values, vectors = torch.linalg.eigh(normals.T @ normals / len(normals))
    return vectors[:, 2], float(values[2])


def outward(
    cloud: PointCloud, near: Surroundings, up: Tensor, sketch: Tensor, view: tuple[Tensor, float], spacing: float
) -> float:
    """1.0 where `up` points out of the surface, −1.0 where it points in, 0.0 where nothing tells; see `find_regions`.

    Args:
        cloud, near: the region's.
        up: (3,) float64, the axis.
        sketch: rows of points all over the cloud.
        view: what `descriptors.seen_from` says of them.
        spacing: of the points.
    """
    if cloud.normals is not None:
        return 1.0 if float((near.normals @ up).sum()) >= 0 else -1.0
    if (eyes := cloud.eyes_of(near.index[near.own])) is not None:
        return 1.0 if float((eyes.mean(0) - near.origin) @ up) >= 0 else -1.0
    if cloud.grid is not None and (eye := cloud.eye) is not None:
        return 1.0 if float((eye - near.origin) @ up) >= 0 else -1.0
    facing = float(view[0].double() @ up)
    if any(view[1] > length and abs(facing) > cosine for length, cosine in (ABOVE, ONE_SIDED)):
        return math.copysign(1.0, facing)
    offsets = cloud.points[sketch].double() - near.origin
    height = offsets @ up
    reach = (offsets.square().sum(1) - height.square()).clamp_min(0).sqrt()
    other = (height.abs() > spacing) & (reach < CONE * height.abs() + BEAM * spacing)
    other &= ~torch.isin(sketch, near.index[near.sheet])
    rooms = [_third(side[side > 0]) for side in (height[other], -height[other])]
    if rooms[0] != rooms[1]:
        return 1.0 if rooms[0] > rooms[1] else -1.0
    # Nothing on either side, as on one sheet: away from the bulk of the cloud; if that is flat, nobody knows.
    level = (near.offsets[near.ring if near.ring.any() else near.own] @ up).mean()
    bulk = float(height.mean() - level)
    if abs(bulk) <= SHEET * float(reach.max()):
        return 0.0
    return 1.0 if bulk < 0 else -1.0


def _third(heights: Tensor) -> float:
    """The third smallest, which one or two stray points do not move; inf if there is none."""
    return float(heights.kthvalue(3).values) if len(heights) >= 3 else math.inf


def smallest_box(offsets: Float[Tensor, "k 3"], up: Tensor) -> tuple[Float[Tensor, "3 3"], Vector, Float[Tensor, "3"]]:
    """Axes (rows: length, width, up), sides and middle of the smallest box around points that stands on a plane."""
    first = normalize(torch.linalg.cross(up, torch.eye(3, dtype=up.dtype)[up.abs().argmin()]), dim=0)
    plane = torch.stack([first, torch.linalg.cross(up, first)])
    flat = (offsets @ plane.T) - (offsets @ plane.T).mean(0)
    from trimesh.bounds import oriented_bounds_2D  # a scan without a region does not wait for trimesh

    spread, directions = torch.linalg.svd(flat, full_matrices=False)[1:]
    along = directions[0] if len(directions) else torch.tensor([1.0, 0.0], dtype=up.dtype)
    if len(flat) >= 3 and float(spread[1]) > 1e-6 * float(spread[0]):  # no rectangle around points on a line
        turn = torch.from_numpy(oriented_bounds_2D((flat / spread[0]).numpy())[0])[:2, :2]
        along = turn[0]
    across = torch.stack([-along[1], along[0]])
    axes = torch.cat([torch.stack([along, across]) @ plane, up[None]])
    low, high = (offsets @ axes.T).aminmax(dim=0)
    length, width, height = (high - low).tolist()
    if width > length:
        length, width = width, length
        axes = torch.stack([axes[1], -axes[0], axes[2]])
        low, high = (offsets @ axes.T).aminmax(dim=0)
    return axes, (length, width, height), ((low + high) / 2) @ axes


def signed_depth(fit: SurfaceFit, offsets: Float[Tensor, "k 3"]) -> float:
    """Mean deviation of the points that leave the surface farthest, on the side where it is larger: `Region.depth`."""
    away = fit.deviation(offsets.float()).sort().values
    count = min(len(away), max(3, math.ceil(EXTREME * len(away))))
    below, above = float(away[:count].mean()), float(away[-count:].mean())
    return above if above >= -below else below
