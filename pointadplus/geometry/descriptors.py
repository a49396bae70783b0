"""Rotation-invariant descriptors of each point's surroundings, at several scales, and of how it was seen.

Points are in the normalised frame (`PointCloud.normalized`), where the object's diagonal is about 1, so that scales are
lengths: they mean the same on a whole object and on one side of it, in a sparse scan and in a dense one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..cloud import PointCloud
from .exposure import AROUND, EXPOSURE_COLUMNS, border_nodes, describe_exposure, leaving, mean_view, oriented, towards
from .histograms import BINS, fast_histograms, simplified_histograms
from .local_shape import FRAME_COLUMNS, QUADRIC_COLUMNS, fit_quadrics, frame_columns, mean_radius, quadric_columns
from .neighbors import knn
from .normals import LocalFrames, local_frames, offsets_to
from .sampling import UNEVEN, even_order

# (part of the support, 1 in so many; radius; least and most neighbours): the radii are those of 0.05, 0.2, 0.6, 1.9 and
# 5 % of a sphere's surface. A part that is denser than 1 point in so many times `SPARSE` of surface is thinned to that.
SCALES: tuple[tuple[int, float, int, int], ...] = (
    (1, 0.0126, 8, 32),
    (1, 0.0252, 20, 64),
    (4, 0.045, 16, 48),
    (4, 0.078, 40, 112),
    (16, 0.127, 24, 80),
)
SPARSE = 5e-5  # of surface, in squared diagonals: what each of 20,000 points on a sphere stands for
FINE, WIDEST = 10, (16, 64)  # neighbours that a plain normal, and of 1 point in so many those that its side, comes from
QUADRIC_SCALES = (1, 2, 3)  # indices into SCALES where a quadric is fitted
HISTOGRAM_SCALES = ((1, 48), (4, 48))  # of the nodes: about 0.6 and 2.4 % of a sphere's surface
AVERAGED = 16  # nodes over which a histogram is averaged, the point itself included
FAR = 0.08  # a match nearer than this share of the diagonal is the point's own neighbourhood
REFERENCES = 2048
RANKS = (1, 3, 9)
CHUNK = 2048
SKETCH = 4096  # points that tell from where a scan was taken
FALLS = 0.05  # mean cosine between the view and the way out over the border from which on a scan falls away there
_AREA = 8  # neighbour that tells the area that a point stands for
_LOCAL = (
    *(f"{name}_{scale}" for scale in range(len(SCALES)) for name in FRAME_COLUMNS),
    *(f"{name}_{scale}" for scale in QUADRIC_SCALES for name in QUADRIC_COLUMNS),
)
_SELF = tuple(f"self_{scale}_{rank}" for scale in range(len(HISTOGRAM_SCALES)) for rank in RANKS)
COLUMNS = (
    *_LOCAL,
    *(f"relative_{name}" for name in _LOCAL),
    *(f"fpfh_{scale}_{bin}" for scale in range(len(HISTOGRAM_SCALES)) for bin in range(3 * BINS)),
    *_SELF,
    *(f"relative_{name}" for name in _SELF),
    *EXPOSURE_COLUMNS,
)
"""Names of the descriptors. The number behind a name is an index into `SCALES`, or into `HISTOGRAM_SCALES` for `fpfh`
and `self`, whose second number is the bin or the rank of the match. `relative`: against the cloud's own median."""

DESCRIPTORS = len(COLUMNS)  # F

# Attribute -> the descriptor it shows and the unit it is squashed by, tanh(value / unit), so that an edge of the object
# does not drown a shallow dent. Units are ours, near the descriptor's spread over synthetic objects.
ATTRIBUTES: Mapping[str, tuple[str, float]] = {
    "variation_fine": ("thickness_0", 0.2),
    "variation": ("thickness_1", 0.2),
    "variation_wide": ("thickness_3", 0.3),
    "offset_fine": ("offset_1", 0.1),
    "offset": ("offset_2", 0.2),
    "offset_wide": ("offset_3", 0.3),
    "offset_widest": ("offset_4", 0.5),
    "residual_fine": ("residual_1", 0.05),
    "residual": ("residual_2", 0.05),
    "roughness": ("roughness_1", 0.1),
    "roughness_wide": ("roughness_3", 0.3),
    "rim_fine": ("shift_1", 0.25),
    "rim": ("shift_3", 0.25),
    "crease": ("turn_2", 0.2),
    "crease_wide": ("turn_3", 0.3),
    "self_reference_fine": ("self_0_3", 0.2),
    "self_reference": ("self_1_3", 0.2),
    "self_reference_relative": ("relative_self_1_3", 1.5),
}


@dataclass(frozen=True, eq=False)
class Descriptors:
    """What geometry knows of M points.

    Attributes:
        normals: (M, 3) unit, turned away from the centre of the widest neighbourhood.
        features: (M, F) float32 descriptors, invariant under rotation; `COLUMNS` names them.
        view: (3,) unit vector towards the eyes, as far as normals tell.
    """

    normals: Float[Tensor, "m 3"]
    features: Float[Tensor, "m f"]
    view: Float[Tensor, "3"]

    @property
    def attributes(self) -> dict[str, Float[Tensor, "m"]]:
        """The maps of `ATTRIBUTES`, in [−1, 1], which the renderer can draw as image channels."""
        columns = self.features.unbind(1)
        return {name: torch.tanh(columns[COLUMNS.index(column)] / unit) for name, (column, unit) in ATTRIBUTES.items()}


def describe(support: Float[Tensor, "s 3"], count: int, eye: Float[Tensor, "3"] | None = None) -> Descriptors:
    """Describe the first `count` points of `support`, with all of `support` as their surroundings.

    The order of `support` must be random, its first points spread evenly (`sampling.even_order`): they serve as the
    coarse levels.

    Args:
        support: (S, 3) points in the normalised frame.
        count: M ≤ S, how many are described.
        eye: (3,) where the sensor stood, in the same frame, if that is known; it tells a scan's side.
    """
    nodes = support[:count]
    frames: list[LocalFrames] = []
    quadrics: list[Tensor] = []
    most = {stride: high for stride, _, _, high in SCALES}
    nearest = {1: knn(support, nodes, most.pop(1))}
    area = nearest[1][0][:, _AREA].square() * (torch.pi / _AREA)
    levels = {1: support} | {stride: _level(support, stride, area) for stride in most}
    nearest |= {stride: knn(levels[stride], nodes, high) for stride, high in most.items()}
    for scale, (stride, radius, low, high) in enumerate(SCALES):
        distance, index = nearest[stride]
        k = min(max(int((distance < radius).sum(1).median()), low), high)
        offsets = offsets_to(levels[stride], nodes, index[:, :k])
        frame = local_frames(offsets)
        frames.append(frame)
        if scale in QUADRIC_SCALES:
            quadrics.append(fit_quadrics(offsets, frame))
    around = knn(nodes, nodes, HISTOGRAM_SCALES[0][1])
    bulk = offsets_to(levels[WIDEST[0]], nodes, nearest[WIDEST[0]][1][:, : WIDEST[1]]).mean(1)
    normals = towards(eye, nodes, oriented(nodes, _turned_outward(frames[0].normals, bulk), around[1]))
    bent = [quadric_columns(quadric, frame, normals) for quadric, frame in _pairs(quadrics, frames)]
    local = torch.cat([*(frame_columns(frame, normals) for frame in frames), *bent], 1)
    histograms = point_histograms(nodes, normals, around)
    matches = self_reference(histograms, nodes)
    radii = [mean_radius(frames[scale]) for scale in QUADRIC_SCALES]
    rises = torch.stack([part[:, 0] * radius for part, radius in zip(bent, radii, strict=True)], 1)
    exposure = describe_exposure(nodes, normals, around[1], area, bent[0][:, 2] * radii[0], rises)
    columns = [local, _relative(local), *histograms, matches, matches / matches.median(0).values.clamp_min(1e-6)]
    return Descriptors(normals, torch.cat([*columns, exposure.features], 1), exposure.view)


def _level(support: Tensor, stride: int, area: Float[Tensor, "m"]) -> Tensor:
    """The first points of the support, one in `stride` or in `stride · SPARSE` of surface, whichever are fewer.

    Args:
        area: that a point of the support stands for around each node.
    """
    surface = len(support) / float((1 / area.clamp_min(area.median() / UNEVEN).clamp_min(1e-12)).mean())
    return support[: max(1, int(min(len(support), surface / SPARSE) / stride))]


def outward_normals(support: Float[Tensor, "s 3"], count: int) -> Float[Tensor, "m 3"]:
    """Normals of the first `count` points, turned away from the centre of the widest neighbourhood. (M, 3)."""
    nodes, level = support[:count], support[:: WIDEST[0]]
    fine = local_frames(offsets_to(support, nodes, knn(support, nodes, FINE)[1]))
    return _turned_outward(fine.normals, offsets_to(level, nodes, knn(level, nodes, WIDEST[1])[1]).mean(1))


def seen_from(points: Float[Tensor, "n 3"], eye: Float[Tensor, "3"] | None = None) -> tuple[Float[Tensor, "3"], float]:
    """Towards the eyes that scanned a surface, and how one-sided the scan is.

    Normals tell the axis. Which end of it the eyes are at is told by the sensor's place if that is known, else by the
    scan's border, where a surface turns away.

    Args:
        points: (N, 3) in any unit.
        eye: (3,) where the sensor stood, in the same unit and frame, or None.

    Returns:
        (3,) unit vector, and the length of the mean normal of evenly spread points: 0 of a whole object, near 1 of one
        face. 0 also where no eye is known and the border does not fall away, as that of a flat sheet: both its sides
        look alike.
    """
    order = even_order(points)[0][: 2 * SKETCH]
    support = PointCloud(points[order]).normalized()[0].points
    nodes = support[:SKETCH]
    near = knn(nodes, nodes, AROUND + 1)[1]
    normals = oriented(nodes, outward_normals(support, len(nodes)), near)
    view, length = mean_view(normals)
    if eye is not None:
        return (view if float(view.double() @ (eye - points.double().mean(0))) > 0 else -view), length
    edge = border_nodes(nodes, normals, near).nonzero()[:, 0]
    out = float((leaving(nodes, edge, near) @ view).mean()) if len(edge) else 0.0
    return view if out < 0 else -view, length if abs(out) > FALLS else 0.0


def _turned_outward(normals: Float[Tensor, "m 3"], bulk: Float[Tensor, "m 3"]) -> Float[Tensor, "m 3"]:
    """Normals turned away from `bulk`, the centre of what is around, relative to each point."""
    outward = (bulk * normals).sum(-1, keepdim=True) <= 0
    return torch.where(outward, normals, -normals)


def self_reference(histograms: Sequence[Float[Tensor, "m b"]], nodes: Float[Tensor, "m 3"]) -> Float[Tensor, "m r"]:
    """How unlike every far-away part of the same object a point is.

    For each set of histograms the feature distance to the 1st, 3rd and 9th best match among `REFERENCES` points of the
    cloud; matches nearer than `FAR` in space do not count. An object without far parts gives zeros.
    """
    where = nodes[:REFERENCES]
    ranks = torch.tensor(RANKS, device=nodes.device) - 1
    if len(where) < RANKS[-1]:
        return nodes.new_zeros(len(nodes), len(RANKS) * len(histograms))
    rows = []
    for start in range(0, len(nodes), CHUNK):
        part = slice(start, start + CHUNK)
        near = torch.cdist(nodes[part], where) < FAR
        found = []
        for histogram in histograms:
            distance = torch.cdist(histogram[part], histogram[:REFERENCES]).masked_fill_(near, torch.inf)
            found.append(distance.topk(RANKS[-1], largest=False).values[:, ranks])
        rows.append(torch.cat(found, 1))
    return torch.nan_to_num(torch.cat(rows), posinf=0.0)


def _pairs(quadrics: list[Tensor], frames: list[LocalFrames]) -> list[tuple[Tensor, LocalFrames]]:
    return [(quadric, frames[scale]) for quadric, scale in zip(quadrics, QUADRIC_SCALES, strict=True)]


def _relative(features: Tensor) -> Tensor:
    """Each column against its own cloud: (x − median) / median absolute deviation."""
    centred = features - features.median(0).values
    return centred / (centred.abs().median(0).values * 1.4826).clamp_min(1e-6)


def point_histograms(
    nodes: Float[Tensor, "m 3"], normals: Float[Tensor, "m 3"], around: tuple[Tensor, Tensor] | None = None
) -> list[Tensor]:
    """FPFH of the nodes at each of `HISTOGRAM_SCALES`, (M, 33) each.

    Args:
        nodes, normals: (M, 3).
        around: what `knn` finds for the finest scale, when it is at hand.
    """
    found = {stride: knn(nodes[::stride], nodes, k) for stride, k in HISTOGRAM_SCALES[around is not None :]}
    found |= {} if around is None else {1: around}
    distances, near = (part[:, :AVERAGED] for part in found[1])
    out = []
    for stride, _ in HISTOGRAM_SCALES:
        level, level_normals, index = nodes[::stride], normals[::stride], found[stride][1]
        simplified = simplified_histograms(offsets_to(level, nodes, index), normals, level_normals[index])
        out.append(fast_histograms(simplified, near, distances))
    return out
