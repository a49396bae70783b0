"""How each point was seen: from where, how near the border of the scan, what explains that border, in how much noise.

The rim of what was not seen looks like the rim of a hole, and an occlusion like a step. A scan knows the difference: at
its border the surface turns away from the eye, or something nearer stands in between. Points are in the normalised
frame (`PointCloud.normalized`); all lengths are shares of the object's diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from .neighbors import knn
from .normals import offsets_to
from .registration import frames_along

# All ours.
AROUND = 20  # neighbours whose directions tell whether a node is surrounded
OPEN = 2.3  # radians without a neighbour from which on a node lies at a border; by chance one node in 250 does
AGREE = 3, 8  # so many of the nearest nodes, the node itself included, must lie at a border, or it is a sample's gap
BORDERS = 4  # nearest border nodes that a node asks
FAR = 0.3  # from a border; more is not told apart
BESIDE = 40  # nodes beside a node as seen from the eye, in front of which or behind which it may lie
ROUNDS, HEARD = 12, 16  # of voting, and neighbours that have a vote
SURE = 4.0, 0.2  # weight of the view's vote, and the length of the mean normal from which on it has one
LEAST = 1e-5
EXPOSURE_COLUMNS = (
    "closure",
    "one_sided",
    "noise",
    "spacing",
    "facing",
    "border",
    "border_log",
    "border_facing",
    "border_fall",
    "border_before",
    "border_behind",
    "before",
    "behind",
    "height",
    "density",
    "sheet",
    "sheet_relative",
    "step",
    "rise",
    "rise_wide",
)
"""Names of the descriptors. Of the cloud: closure, length of the mean normal (0 of a whole object, 1 of a plane);
one_sided, share of the normals on the eye's side; noise, its logarithm; spacing of the nodes, its logarithm. Of a node:
facing, cosine of its normal to the view; border, distance to the border of the scan, and its logarithm; of the nearest
border its facing, whether the surface falls away from the eye there, and how far something lies before or behind it;
the same of the node itself; its height along the view; density, and noise around it, against the cloud's; how far it
leaves its surroundings, at three scales, in units of the noise."""


@dataclass(frozen=True, eq=False)
class Exposure:
    """How M nodes were seen.

    Attributes:
        view: (3,) unit vector towards the eyes: the mean of the normals.
        closure: length of the mean normal, in [0, 1].
        one_sided: share of the nodes that face the eyes.
        border: (M,) bool, the nodes at the border of the scan.
        features: (M, `EXPOSURE_COLUMNS`).
    """

    view: Float[Tensor, "3"]
    closure: float
    one_sided: float
    border: Bool[Tensor, "m"]
    features: Float[Tensor, "m c"]


def mean_view(normals: Float[Tensor, "m 3"]) -> tuple[Float[Tensor, "3"], float]:
    """Towards the eyes, and how one-sided: direction and length of the mean normal of evenly spread points.

    Normals of a closed surface sum to zero, weighted by area; so those that are seen sum to what the unseen lack.
    """
    mean = normals.double().mean(0)
    length = float(mean.norm())
    return (mean / max(length, 1e-9)).float(), length


def oriented(
    nodes: Float[Tensor, "m 3"], normals: Float[Tensor, "m 3"], near: Int[Tensor, "m k"]
) -> Float[Tensor, "m 3"]:
    """Normals turned to the side that most neighbours say and, of a scan of one side, to the eyes' side.

    Each round, a node hears its neighbours, those in its tangent plane most, and the mean normal, the louder the longer
    that is. Normals should be about right to start with.

    Args:
        nodes, normals: (M, 3), spread evenly.
        near: (M, K) nearest nodes, the node itself first, K > 16.
    """
    near = near[:, 1 : HEARD + 1]
    flat = normalize(offsets_to(nodes, nodes, near), dim=2)
    weight = (1 - (flat * normals[:, None]).sum(2).abs()).square() / HEARD
    same = (normals[near] * normals[:, None]).sum(2) * weight
    sign = torch.ones(len(nodes), device=nodes.device)
    for _ in range(ROUNDS):
        view, length = mean_view(normals * sign[:, None])
        vote = (same * sign[near]).sum(1) + SURE[0] * max(0.0, length - SURE[1]) * (normals @ view)
        sign = torch.where(vote < 0, -1.0, 1.0)
    return normals * sign[:, None]


def towards(
    eye: Float[Tensor, "3"] | None, nodes: Float[Tensor, "m 3"], normals: Float[Tensor, "m 3"]
) -> Float[Tensor, "m 3"]:
    """Normals that agree with each other, all turned round if, of a scan of one side, most look away from the eye.

    A file may name the place of one eye of many, so of a whole object an eye says nothing.

    Args:
        eye: (3,) where the sensor stood, or None.
        nodes, normals: (M, 3), spread evenly.
    """
    view, length = mean_view(normals)
    if eye is None or length < SURE[1] or float(view.double() @ (eye.double() - nodes.double().mean(0))) >= 0:
        return normals
    return -normals


def border_nodes(
    nodes: Float[Tensor, "m 3"], normals: Float[Tensor, "m 3"], near: Int[Tensor, "m k"]
) -> Bool[Tensor, "m"]:
    """(M,) which nodes lie at an open border: a wide angle of the tangent plane is empty, there and beside them."""
    offsets = offsets_to(nodes, nodes, near[:, 1:])
    helper = torch.eye(3)[normals.abs().argmin(1)]
    one = normalize(torch.linalg.cross(normals, helper), dim=1)
    two = torch.linalg.cross(normals, one)
    angle = torch.atan2((offsets * two[:, None]).sum(2), (offsets * one[:, None]).sum(2)).sort(1).values
    gap = torch.cat([angle.diff(dim=1), angle[:, :1] + 2 * torch.pi - angle[:, -1:]], 1).amax(1)
    alone = gap > OPEN
    return alone & (alone[near[:, : AGREE[1]]].sum(1) >= AGREE[0])


def leaving(nodes: Float[Tensor, "m 3"], edge: Int[Tensor, "e"], near: Int[Tensor, "m k"]) -> Float[Tensor, "e 3"]:
    """(E, 3) unit vectors out over the border, from the neighbours of border nodes."""
    return normalize(-offsets_to(nodes, nodes[edge], near[edge, 1 : AROUND + 1]).mean(1), dim=1)


def beside(nodes: Float[Tensor, "m 3"], view: Float[Tensor, "3"]) -> tuple[Float[Tensor, "m"], Float[Tensor, "m"]]:
    """How far something lies before each node, and behind it, as seen along a direction: (M,) each, at least 0."""
    depth = nodes @ view
    flat = nodes - depth[:, None] * view
    away = depth[knn(flat, flat, BESIDE)[1]] - depth[:, None]
    return away.amax(1), -away.amin(1)


def in_front(points: Float[Tensor, "n 3"], view: Float[Tensor, "3"], cell: float, depth: float) -> Bool[Tensor, "n"]:
    """(N,) which points an eye far off sees, as far as other points stand before them: a depth buffer.

    Args:
        points: (N, 3), of any unit.
        view: (3,) unit vector towards the eye.
        cell: side of a pixel.
        depth: by how much a point may lie behind the foremost of its pixel.
    """
    x, y, height = (points @ frames_along(view[None])[0]).unbind(1)
    column, row = (((part - part.amin()) / max(cell, 1e-30)).long() for part in (x, y))
    pixel = column * (int(row.max()) + 1) + row
    pixel = pixel.unique(return_inverse=True)[1]
    foremost = height.new_full((int(pixel.max()) + 1,), -torch.inf).scatter_reduce(0, pixel, height, "amax")
    return height >= foremost[pixel] - depth


def describe_exposure(
    nodes: Float[Tensor, "m 3"],
    normals: Float[Tensor, "m 3"],
    near: Int[Tensor, "m k"],
    area: Float[Tensor, "m"],
    sheet: Float[Tensor, "m"],
    rises: Float[Tensor, "m 3"],
) -> Exposure:
    """How the nodes of a cloud were seen.

    Args:
        nodes, normals: (M, 3), spread evenly, normals outward.
        near: (M, K) nearest nodes, the node itself first, K > `AROUND`.
        area: (M,) of surface that a point of the scan stands for around each.
        sheet: (M,) root mean square distance of the points around from a smooth surface.
        rises: (M, 3) how far each node lies off its surroundings, at three scales.
    """
    view, closure = mean_view(normals)
    facing = normals @ view
    near = near[:, : AROUND + 1]
    border = border_nodes(nodes, normals, near)
    before, behind = beside(nodes, view)
    depth = nodes @ view
    if int(border.sum()) >= BORDERS:
        edge = border.nonzero()[:, 0]
        distance, index = knn(nodes[edge], nodes, BORDERS)
        at = edge[index]
        fall = (leaving(nodes, edge, near) @ view)[index].mean(1)
        told = [facing[at].mean(1), fall, before[at].mean(1), behind[at].mean(1)]
        distance = distance.mean(1).clamp_max(FAR)
    else:
        distance, told = torch.full_like(facing, FAR), [torch.zeros_like(facing)] * 4
    noise = float(sheet.quantile(0.3).clamp_min(LEAST))
    spacing = float(area.median().clamp_min(LEAST**2).sqrt())
    one_sided = float((facing > 0).float().mean())
    constant = torch.tensor([closure, one_sided, noise, spacing])
    constant[2:] = constant[2:].log()
    columns = [
        *constant.expand(len(nodes), 4).unbind(1),
        facing,
        distance,
        distance.clamp_min(1e-3).log(),
        *told,
        before,
        behind,
        depth - depth.amin(),
        (area.clamp_min(LEAST**2) / spacing**2).log(),
        sheet.clamp_min(LEAST).log(),
        (sheet.clamp_min(LEAST) / noise).log(),
        *torch.asinh(rises / noise).unbind(1),
    ]
    return Exposure(view, closure, one_sided, border, torch.stack(columns, 1))
