"""Rotation-invariant descriptors of each point's surroundings, at several scales.

Points are in the normalised frame (`PointCloud.normalized`), where the object's diagonal is about 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .histograms import fast_histograms, simplified_histograms
from .neighbors import knn
from .normals import LocalFrames, local_frames, offsets_to

# (every n-th support point, neighbours): about 0.05, 0.2, 0.6, 1.9 and 5 % of a 20,000-point surface.
SCALES: tuple[tuple[int, int], ...] = ((1, 10), (1, 40), (4, 32), (4, 96), (16, 64))
QUADRIC_SCALES = (1, 2, 3)  # indices into SCALES where a quadric is fitted
HISTOGRAM_SCALES = ((1, 48), (4, 48))  # of the nodes: about 0.6 and 2.4 % of the surface
FAR = 0.08  # a match nearer than this share of the diagonal is the point's own neighbourhood
REFERENCES = 2048
RANKS = (1, 3, 9)
CHUNK = 2048
_LOCAL = 7 * len(SCALES) + 5 * len(QUADRIC_SCALES)
DESCRIPTORS = 2 * _LOCAL + 33 * len(HISTOGRAM_SCALES) + 2 * len(RANKS) * len(HISTOGRAM_SCALES)  # F


@dataclass(frozen=True, eq=False)
class Descriptors:
    """What geometry knows of M points.

    Attributes:
        normals: (M, 3) unit, turned away from the centre of the widest neighbourhood.
        features: (M, F) float32 descriptors, invariant under rotation, or None when only `attributes` were asked for.
        attributes: named (M,) maps that the renderer can draw as image channels, about unit range.
    """

    normals: Float[Tensor, "m 3"]
    features: Float[Tensor, "m f"] | None
    attributes: Mapping[str, Tensor]


def describe(support: Float[Tensor, "s 3"], count: int, *, features: bool = True) -> Descriptors:
    """Describe the first `count` points of `support`, with all of `support` as their surroundings.

    The order of `support` must be random, for its strided subsets serve as the coarse levels.

    Args:
        support: (S, 3) points in the normalised frame.
        count: M ≤ S, how many are described.
        features: False leaves out what only the geometry layer needs (FPFH, self-reference).
    """
    nodes = support[:count]
    frames: list[LocalFrames] = []
    quadrics: list[Tensor] = []
    for scale, (stride, k) in enumerate(SCALES):
        level = support[::stride]
        _, index = knn(level, nodes, k)
        offsets = offsets_to(level, nodes, index)
        frame = local_frames(offsets)
        frames.append(frame)
        if scale in QUADRIC_SCALES:
            quadrics.append(_quadric(offsets, frame))
    normals = frames[0].normals
    outward = (frames[-1].mean * normals).sum(-1, keepdim=True) <= 0
    normals = torch.where(outward, normals, -normals)
    local = torch.cat(
        [_frame_features(frames, normals), *(_orient(q, f, normals) for q, f in _pairs(quadrics, frames))], 1
    )
    attributes = _attributes(frames, quadrics, normals)
    if not features:
        return Descriptors(normals, None, attributes)
    histograms = point_histograms(nodes, normals)
    matches = self_reference(histograms, nodes)
    columns = [local, _relative(local), *histograms, matches, matches / matches.median(0).values.clamp_min(1e-6)]
    return Descriptors(normals, torch.cat(columns, 1), attributes)


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


def _attributes(frames: list[LocalFrames], quadrics: list[Tensor], normals: Tensor) -> dict[str, Tensor]:
    """Maps for the renderer, squashed so that an edge of the object does not drown a shallow dent."""
    thickness = [frame.variances[:, 2].sqrt() / _radius(frame) for frame in frames]
    along = [-(frame.mean * normals).sum(1) / _radius(frame) for frame in frames]
    residual = {scale: _orient(q, frames[scale], normals) for q, scale in zip(quadrics, QUADRIC_SCALES, strict=True)}
    squash = lambda value, unit: torch.tanh(value / unit)  # noqa: E731
    return {
        "variation_fine": squash(thickness[0], 0.2),
        "variation": squash(thickness[1], 0.2),
        "variation_wide": squash(thickness[3], 0.3),
        "offset_fine": squash(along[1], 0.1),
        "offset": squash(along[2], 0.2),
        "offset_wide": squash(along[3], 0.3),
        "offset_widest": squash(along[4], 0.5),
        "residual_fine": squash(residual[1][:, 0], 0.05),
        "residual": squash(residual[2][:, 0], 0.05),
        "roughness": squash(residual[1][:, 2], 0.1),
    }


def point_histograms(nodes: Float[Tensor, "m 3"], normals: Float[Tensor, "m 3"]) -> list[Tensor]:
    """FPFH of the nodes at each of `HISTOGRAM_SCALES`, (M, 33) each."""
    distances, near = knn(nodes, nodes, 16)
    out = []
    for stride, k in HISTOGRAM_SCALES:
        level, level_normals = nodes[::stride], normals[::stride]
        _, index = knn(level, nodes, k)
        simplified = simplified_histograms(offsets_to(level, nodes, index), normals, level_normals[index])
        out.append(fast_histograms(simplified, near, distances))
    return out
