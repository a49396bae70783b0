"""Local covariance frames: normals and the eigenvalues that descriptors are made of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from .neighbors import knn

# All ours, from spheres, tori, cubes, plates and cups of 2,500 to 10,000 points.
PAIRED = 5  # nearest neighbours, each two of which span a candidate plane with the point
HEARD = 8  # nearest points, the point itself included, whose planes a point may take over
FINE = 0.4  # scale of the first consensus, of the smallest spread around
FLOOR = 0.06  # of any scale, in radii of the neighbourhood: room for curvature
NOISE = 4.3  # (NOISE · share)³ spreads is the final scale; Gaussian noise gives a share of 0.35, and so 3.4 spreads
TINY = 1e-30


@dataclass(frozen=True)
class LocalFrames:
    """Principal axes of each point's neighbourhood.

    Attributes:
        mean: (M, 3) centre of the neighbours relative to the point.
        variances: (M, 3) eigenvalues of the covariance, largest first, in squared units of the points.
        axes: (M, 3, 3) eigenvectors as columns in the same order; the last is the normal, its sign arbitrary.
    """

    mean: Float[Tensor, "m 3"]
    variances: Float[Tensor, "m 3"]
    axes: Float[Tensor, "m 3 3"]

    @property
    def normals(self) -> Float[Tensor, "m 3"]:
        """(M, 3) unit normals, unoriented."""
        return self.axes[..., 2]


def local_frames(offsets: Float[Tensor, "m k 3"]) -> LocalFrames:
    """Frames of neighbourhoods given as offsets from each point, (M, k, 3)."""
    mean = offsets.mean(1)
    centred = offsets - mean[:, None]
    covariance = centred.transpose(1, 2) @ centred / offsets.shape[1]
    # Twelve-digit work on values near the square of a spacing: float64 keeps thin neighbourhoods' small axis honest.
    variances, axes = torch.linalg.eigh(covariance.double())
    return LocalFrames(mean, variances.flip(-1).clamp_min(0).float(), axes.flip(-1).float())


def offsets_to(
    support: Float[Tensor, "s 3"], queries: Float[Tensor, "q 3"], index: Int[Tensor, "q k"]
) -> Float[Tensor, "q k 3"]:
    """Vectors from each query to its neighbours."""
    return support[index] - queries[:, None]


def estimate_normals(points: Float[Tensor, "n 3"], k: int = 16) -> Float[Tensor, "n 3"]:
    """Unit normals, (N, 3) float32, unoriented, that hold at sharp edges and on walls as thin as half the spacing.

    Principal axes of the k nearest neighbours mix the two sides of a wall or an edge. So each point first takes, of its
    principal plane and the planes through it and two near neighbours, the one that most neighbours lie on (consensus,
    as in Fischler and Bolles, Random Sample Consensus, 1981). How far off the nearest 7/16 of the neighbours lie,
    median over the neighbourhood, then tells noise from two sides: noise leaves them as far off as the principal plane
    does. From this comes the scale of a Gaussian weight (Holland and Welsch, Robust Regression, 1977), under which the
    best plane of the point's neighbours is fitted again: with noise all neighbours count, as in principal axes.

    Args:
        points: (N, 3), of any unit.
        k: neighbours, the point itself included.
    """
    _, index = knn(points, points, k)
    frames = [local_frames(offsets_to(points, *part)) for part in _chunks(points, index, size=65_536)]
    principal = torch.cat([frame.normals for frame in frames])
    variances = torch.cat([frame.variances for frame in frames])
    spread, radius = variances[:, 2].sqrt(), variances[:, :2].sum(1).sqrt().clamp_min(TINY)
    floor = FLOOR * radius

    guesses, residuals = [], []
    for here, near, first, unit, least in _chunks(points, index, principal, radius, floor):
        offsets = _scaled(points, here, near, unit)
        scale = torch.maximum(FINE * spread[near].amin(1), least) / unit
        guess = _consensus(torch.cat([first[:, None], _pair_normals(offsets)], 1), offsets, scale)
        far = (offsets * guess[:, None]).sum(2).abs()
        guesses.append(guess)
        residuals.append(far.kthvalue(max(1, 7 * k // 16), 1).values * unit)
    guessed, residual = torch.cat(guesses), torch.cat(residuals)

    normals = []
    for here, near, first, unit, least in _chunks(points, index, principal, radius, floor):
        offsets = _scaled(points, here, near, unit)
        wide = spread[near].median(1).values.clamp_min(TINY)
        share = (residual[near].median(1).values / wide).clamp_max(1.0)
        scale = torch.maximum((NOISE * share) ** 3 * wide, least) / unit
        start = _consensus(torch.cat([guessed[near[:, :HEARD]], first[:, None]], 1), offsets, scale)
        normals.append(_refit(offsets, start, scale))
    return torch.cat(normals)


def _chunks(*tensors: Tensor, size: int = 2048) -> Iterator[tuple[Tensor, ...]]:
    """Rows of all tensors, so few at a time that the tables of candidates stay in the processor's cache."""
    return zip(*(tensor.split(size) for tensor in tensors), strict=True)


def _scaled(points: Tensor, here: Tensor, near: Tensor, unit: Tensor) -> Float[Tensor, "m k 3"]:
    """Offsets in units of each neighbourhood's radius, whose fourth powers float32 holds."""
    return (offsets_to(points, here, near) / unit[:, None, None]).float()


def _pair_normals(offsets: Float[Tensor, "m k 3"]) -> Float[Tensor, "m c 3"]:
    """Normals of the planes through each point and any two of its nearest neighbours; 0 where they lie in a line."""
    count = min(PAIRED, offsets.shape[1] - 1)
    one, other = torch.triu_indices(count, count, 1, device=offsets.device) + 1
    return normalize(torch.linalg.cross(offsets[:, one], offsets[:, other]), dim=2)


def _consensus(
    candidates: Float[Tensor, "m c 3"], offsets: Float[Tensor, "m k 3"], scale: Float[Tensor, "m"]
) -> Float[Tensor, "m 3"]:
    """The candidate n of the largest Σ exp(−(offset·n)² / 2 scale²)."""
    reduced = offsets / (math.sqrt(2.0) * scale)[:, None, None]
    score = torch.exp(-(candidates @ reduced.transpose(1, 2)).square()).sum(2)
    score = torch.where(candidates.square().sum(2) > 0.5, score, 0.0)
    return candidates[torch.arange(len(candidates), device=score.device), score.argmax(1)]


def _refit(
    offsets: Float[Tensor, "m k 3"], normals: Float[Tensor, "m 3"], scale: Float[Tensor, "m"]
) -> Float[Tensor, "m 3"]:
    """The smallest principal axis under the weights exp(−(offset·normal)² / 2 scale²), near the given normals.

    The power method on the adjugate matrix, whose largest axis it is, is a fraction of the work of `eigh`.
    """
    across = (offsets * normals[:, None]).sum(2)
    weight = torch.exp(-0.5 * (across / scale[:, None]).square())
    weight = (weight / weight.sum(1, keepdim=True))[..., None]
    x, y, z = (offsets - (weight * offsets).sum(1, keepdim=True)).unbind(2)
    weight = weight[..., 0]
    xx, yy, zz = ((weight * each.square()).sum(1) for each in (x, y, z))
    xy, xz, yz = ((weight * a * b).sum(1) for a, b in ((x, y), (x, z), (y, z)))
    rows = [
        (yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy),
        (xz * yz - xy * zz, xx * zz - xz * xz, xy * xz - xx * yz),
        (xy * yz - xz * yy, xy * xz - xx * yz, xx * yy - xy * xy),
    ]
    for _ in range(3):
        u, v, w = normals.unbind(1)
        turned = torch.stack([a * u + b * v + c * w for a, b, c in rows], 1)
        length = turned.square().sum(1, keepdim=True).sqrt()
        # Neighbours in a line, or all in one place, have no such axis: the adjugate is 0, or rounding.
        normals = torch.where(length > 1e-6, turned / length.clamp_min(1e-6), normals)
    return normals
