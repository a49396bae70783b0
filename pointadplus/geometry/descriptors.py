"""Rotation-invariant descriptors of each point's surroundings, at several scales.

Points are in the normalised frame (`PointCloud.normalized`), where the object's diagonal is about 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .histograms import BINS, fast_histograms, simplified_histograms
from .neighbors import knn
from .normals import LocalFrames, local_frames, offsets_to

# (every n-th support point, neighbours): about 0.05, 0.2, 0.6, 1.9 and 5 % of a 20,000-point surface.
SCALES: tuple[tuple[int, int], ...] = ((1, 10), (1, 40), (4, 32), (4, 96), (16, 64))
QUADRIC_SCALES = (1, 2, 3)  # indices into SCALES where a quadric is fitted
HISTOGRAM_SCALES = ((1, 48), (4, 48))  # of the nodes: about 0.6 and 2.4 % of the surface
AVERAGED = 16  # nodes over which a histogram is averaged, the point itself included
FAR = 0.08  # a match nearer than this share of the diagonal is the point's own neighbourhood
REFERENCES = 2048
RANKS = (1, 3, 9)
CHUNK = 2048
_FRAME = ("thickness", "planarity", "linearity", "log_size", "offset", "shift", "turn")
_QUADRIC = ("residual", "residual_size", "roughness", "curvature", "anisotropy")
_LOCAL = (
    *(f"{name}_{scale}" for scale in range(len(SCALES)) for name in _FRAME),
    *(f"{name}_{scale}" for scale in QUADRIC_SCALES for name in _QUADRIC),
)
_SELF = tuple(f"self_{scale}_{rank}" for scale in range(len(HISTOGRAM_SCALES)) for rank in RANKS)
COLUMNS = (
    *_LOCAL,
    *(f"relative_{name}" for name in _LOCAL),
    *(f"fpfh_{scale}_{bin}" for scale in range(len(HISTOGRAM_SCALES)) for bin in range(3 * BINS)),
    *_SELF,
    *(f"relative_{name}" for name in _SELF),
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
    """

    normals: Float[Tensor, "m 3"]
    features: Float[Tensor, "m f"]

    @property
    def attributes(self) -> dict[str, Float[Tensor, "m"]]:
        """The maps of `ATTRIBUTES`, in [−1, 1], which the renderer can draw as image channels."""
        columns = self.features.unbind(1)
        return {name: torch.tanh(columns[COLUMNS.index(column)] / unit) for name, (column, unit) in ATTRIBUTES.items()}


def describe(support: Float[Tensor, "s 3"], count: int) -> Descriptors:
    """Describe the first `count` points of `support`, with all of `support` as their surroundings.

    The order of `support` must be random, for its strided subsets serve as the coarse levels.

    Args:
        support: (S, 3) points in the normalised frame.
        count: M ≤ S, how many are described.
    """
    nodes = support[:count]
    frames: list[LocalFrames] = []
    quadrics: list[Tensor] = []
    nearest = {stride: knn(support[::stride], nodes, k)[1] for stride, k in dict(sorted(SCALES)).items()}
    for scale, (stride, k) in enumerate(SCALES):
        offsets = offsets_to(support[::stride], nodes, nearest[stride][:, :k])
        frame = local_frames(offsets)
        frames.append(frame)
        if scale in QUADRIC_SCALES:
            quadrics.append(_quadric(offsets, frame))
    normals = _turned_outward(frames[0], frames[-1])
    local = torch.cat(
        [_frame_features(frames, normals), *(_orient(q, f, normals) for q, f in _pairs(quadrics, frames))], 1
    )
    histograms = point_histograms(nodes, normals)
    matches = self_reference(histograms, nodes)
    columns = [local, _relative(local), *histograms, matches, matches / matches.median(0).values.clamp_min(1e-6)]
    return Descriptors(normals, torch.cat(columns, 1))


def outward_normals(support: Float[Tensor, "s 3"], count: int) -> Float[Tensor, "m 3"]:
    """The normals that `describe` finds, without the descriptors. (M, 3)."""
    nodes, frames = support[:count], []
    for stride, k in (SCALES[0], SCALES[-1]):
        level = support[::stride]
        frames.append(local_frames(offsets_to(level, nodes, knn(level, nodes, k)[1])))
    return _turned_outward(*frames)


def _turned_outward(fine: LocalFrames, widest: LocalFrames) -> Float[Tensor, "m 3"]:
    """The fine normals, turned away from the centre of the widest neighbourhood."""
    outward = (widest.mean * fine.normals).sum(-1, keepdim=True) <= 0
    return torch.where(outward, fine.normals, -fine.normals)


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


def _radius(frame: LocalFrames) -> Tensor:
    return frame.variances[:, :2].sum(1).sqrt().clamp_min(1e-9)


def _frame_features(frames: list[LocalFrames], normals: Tensor) -> Tensor:
    """Seven numbers a scale: thickness, planarity, linearity, log size, offsets along and across the normal, turn."""
    columns = []
    for frame in frames:
        deviation = frame.variances.sqrt()
        radius = _radius(frame)
        along = -(frame.mean * normals).sum(1)
        across = (frame.mean.square().sum(1) - along.square()).clamp_min(0).sqrt()
        columns += [
            deviation[:, 2] / radius,
            (deviation[:, 1] - deviation[:, 2]) / deviation[:, 0].clamp_min(1e-9),
            1 - deviation[:, 1] / deviation[:, 0].clamp_min(1e-9),
            radius.log(),
            along / radius,
            across / radius,
            1 - (frame.normals * normals).sum(1).abs(),
        ]
    return torch.stack(columns, 1)


def _quadric(offsets: Float[Tensor, "m k 3"], frame: LocalFrames) -> Float[Tensor, "m 4"]:
    """Fit h = a + bx + cy + dx² + exy + fy² in the frame, lengths divided by its radius.

    Returns (M, 4): the point's own residual, the neighbours' RMS residual, d + f and √((d − f)² + e²).
    """
    radius = _radius(frame)
    local = ((offsets - frame.mean[:, None]) @ frame.axes) / radius[:, None, None]
    own = (-frame.mean[:, None] @ frame.axes)[:, 0] / radius[:, None]
    design, height = _monomials(local), local[..., 2]
    gram = design.transpose(1, 2) @ design
    gram = gram + 1e-3 * offsets.shape[1] * torch.eye(6, device=offsets.device)
    fit = torch.linalg.solve(gram, (design.transpose(1, 2) @ height[..., None]))[..., 0]
    residual = height - (design @ fit[..., None])[..., 0]
    own_residual = own[:, 2] - (_monomials(own) * fit).sum(1)
    bend, twist, sway = fit[:, 3], fit[:, 4], fit[:, 5]
    spread = ((bend - sway).square() + twist.square()).sqrt()
    return torch.stack([own_residual, residual.square().mean(1).sqrt(), bend + sway, spread], 1)


def _monomials(local: Tensor) -> Tensor:
    x, y = local[..., 0], local[..., 1]
    return torch.stack([torch.ones_like(x), x, y, x * x, x * y, y * y], -1)


def _orient(quadric: Tensor, frame: LocalFrames, normals: Tensor) -> Tensor:
    """Give the two signed numbers the sign of the outward normal, and add the residual's size."""
    sign = torch.where((frame.normals * normals).sum(1) >= 0, 1.0, -1.0)
    residual = quadric[:, 0] * sign
    return torch.stack([residual, residual.abs(), quadric[:, 1], quadric[:, 2] * sign, quadric[:, 3]], 1)


def _relative(features: Tensor) -> Tensor:
    """Each column against its own cloud: (x − median) / median absolute deviation."""
    centred = features - features.median(0).values
    return centred / (centred.abs().median(0).values * 1.4826).clamp_min(1e-6)


def point_histograms(nodes: Float[Tensor, "m 3"], normals: Float[Tensor, "m 3"]) -> list[Tensor]:
    """FPFH of the nodes at each of `HISTOGRAM_SCALES`, (M, 33) each."""
    found = {stride: knn(nodes[::stride], nodes, k) for stride, k in HISTOGRAM_SCALES}
    distances, near = (part[:, :AVERAGED] for part in found[1])
    out = []
    for stride, _ in HISTOGRAM_SCALES:
        level, level_normals, index = nodes[::stride], normals[::stride], found[stride][1]
        simplified = simplified_histograms(offsets_to(level, nodes, index), normals, level_normals[index])
        out.append(fast_histograms(simplified, near, distances))
    return out
