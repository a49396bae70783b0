"""Rigid motions between clouds: from correspondences, exactly (Kabsch) and in spite of wrong ones (RANSAC)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation
from torch import Tensor

from ..errors import CloudError

_CHUNK = 1 << 21  # moved points at once
_DRAWS = 64  # triples drawn for each hypothesis that is wanted; most do not fit
_REFITS = 3


@dataclass(frozen=True, eq=False)
class Transform:
    """The rigid motion x ↦ R x + t.

    Attributes:
        rotation: (3, 3) float64, det +1.
        translation: (3,) float64, in the unit of the points.
    """

    rotation: Float[Tensor, "3 3"]
    translation: Float[Tensor, "3"]

    @classmethod
    def identity(cls) -> Transform:
        """No motion."""
        return cls(torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64))

    def apply(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """The moved points, (N, 3) in their own type; each alone decides how it rounds, not its place."""
        x, y, z = points.double().unbind(1)
        rows = (x * a + y * b + z * c for a, b, c in self.rotation)
        return (torch.stack(tuple(rows), 1) + self.translation).to(points.dtype)

    def inverse(self) -> Transform:
        """The motion back."""
        return Transform(self.rotation.T, -(self.rotation.T @ self.translation))

    def compose(self, first: Transform) -> Transform:
        """The motion that does `first` and then this one."""
        return Transform(self.rotation @ first.rotation, self.rotation @ first.translation + self.translation)

    @property
    def angle(self) -> float:
        """By how much it turns, in degrees, 0 to 180."""
        return float(rotation_angles(self.rotation))


def rotation_angles(rotations: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b"]:
    """By how much rotations turn, in degrees, 0 to 180: exact near 0, too, where the trace alone is not."""
    skew = rotations - rotations.mT
    sine = torch.stack([skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]], -1).square().sum(-1).sqrt()
    return torch.rad2deg(torch.atan2(sine, rotations.diagonal(dim1=-2, dim2=-1).sum(-1) - 1))


def distinct_motions(
    rotations: Float[Tensor, "h 3 3"], translations: Float[Tensor, "h 3"], degrees: float, shift: float, limit: int
) -> Int[Tensor, "k"]:
    """Those to keep, at most `limit`, so that no two turn alike within `degrees` and move alike within `shift`.

    Of motions that are alike the first is kept; one that mirrors is never like one that does not.
    """
    traces = rotations.flatten(1) @ rotations.flatten(1).T  # of R_i R_jᵀ, 1 + 2 cos of the angle between both
    sides = torch.linalg.det(rotations).sign()
    near = (torch.cdist(translations, translations) < shift) & (sides[:, None] == sides)
    alike = ((traces > 1 + 2 * math.cos(math.radians(degrees))) & near).numpy()
    kept: list[int] = []
    for candidate in range(len(rotations)):
        if not alike[candidate, kept].any():
            kept.append(candidate)
            if len(kept) == limit:
                break
    return torch.tensor(kept, dtype=torch.int64)


def hemisphere(count: int) -> Float[Tensor, "n 3"]:
    """Directions evenly over half a sphere, z up, float64: a spiral by the golden angle (Swinbank and Purser, 2006)."""
    step = torch.arange(count, dtype=torch.float64)
    height = 1 - (step + 0.5) / count
    angle, radius = step * (math.pi * (3 - math.sqrt(5))), (1 - height.square()).sqrt()
    return torch.stack([radius * angle.cos(), radius * angle.sin(), height], 1)


def frames_along(axes: Float[Tensor, "k 3"]) -> Float[Tensor, "k 3 3"]:
    """Rotations whose third columns are the axes, unit vectors."""
    aside = torch.eye(3, dtype=axes.dtype)[axes.abs().argmin(1)]
    one = torch.nn.functional.normalize(torch.linalg.cross(axes, aside), dim=1)
    return torch.stack([one, torch.linalg.cross(axes, one), axes], 2)


def even_rotations(count: int) -> Float[Tensor, "n 3 3"]:
    """Rotations evenly over all, float64: super-Fibonacci spirals (Alexa, CVPR 2022)."""
    step = torch.arange(count, dtype=torch.float64) + 0.5
    inner, outer = (step / count).sqrt(), (1 - step / count).sqrt()
    one, two = step * (math.tau / math.sqrt(2)), step * (math.tau / 1.533751168755204288118041)
    quaternions = torch.stack([inner * one.sin(), inner * one.cos(), outer * two.sin(), outer * two.cos()], 1)
    return torch.from_numpy(Rotation.from_quat(quaternions.numpy()).as_matrix())


def rotation_from_axis_angle(axis_angle: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotations about the vectors' directions by their lengths in radians, right-handed, differentiable also at 0.

    The matrix exponential of the cross product's matrix (Rodrigues' formula; Murray, Li and Sastry, A Mathematical
    Introduction to Robotic Manipulation, 1994, sec. 2.2).
    """
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1)
    return torch.linalg.matrix_exp(cross.unflatten(-1, (3, 3)))


def kabsch(
    source: Float[Tensor, "*b n 3"], target: Float[Tensor, "*b n 3"], weights: Float[Tensor, "*b n"] | None = None
) -> tuple[Float[Tensor, "*b 3 3"], Float[Tensor, "*b 3"]]:
    """Rotations and translations that bring sources nearest to their targets, in least squares (Kabsch, 1976).

    Args:
        source, target: corresponding points.
        weights: ≥ 0, of each correspondence; None weighs all alike.

    Returns:
        float64 rotations, det +1, and translations.
    """
    source, target = source.double(), target.double()
    share = torch.ones_like(source[..., 0]) if weights is None else weights.double()
    share = (share / share.sum(-1, keepdim=True).clamp_min(1e-300))[..., None]
    source_mean, target_mean = (share * source).sum(-2, keepdim=True), (share * target).sum(-2, keepdim=True)
    u, _, vt = torch.linalg.svd((share * (source - source_mean)).mT @ (target - target_mean))
    signs = torch.ones_like(vt[..., 0])
    signs[..., 2] = torch.linalg.det(u @ vt).sign()
    rotation = vt.mT @ (signs[..., None] * u.mT)
    return rotation, (target_mean - source_mean @ rotation.mT)[..., 0, :]


def ransac(
    source: Float[Tensor, "c 3"],
    target: Float[Tensor, "c 3"],
    threshold: float,
    *,
    hypotheses: int = 4096,
    seed: int = 0,
) -> Transform:
    """The motion that most correspondences agree with (Fischler and Bolles, Random Sample Consensus, 1981).

    All hypotheses are judged at once. Each is of three correspondences whose triangles are alike, sides within twice
    the threshold. The best is fitted again to the correspondences that agree with it.

    Args:
        source, target: C ≥ 3 pairs of points, most of which may be wrong.
        threshold: how far a moved source may lie from its target and agree, in the unit of the points.
        hypotheses: how many are judged, at most.
        seed: of the draw of triples.

    Raises:
        CloudError: fewer than three correspondences.
    """
    if len(source) < 3:
        raise CloudError(
            "too few correspondences to find a motion", where="ransac", expected="at least 3", found=len(source)
        )
    generator = torch.Generator().manual_seed(seed)
    triples = torch.randint(len(source), (hypotheses * _DRAWS, 3), generator=generator).to(source.device)
    triples = triples[_alike(source, target, triples, 2 * threshold)][:hypotheses]
    if len(triples) == 0:
        rotation, translation = kabsch(source, target)
    else:
        rotations, translations = kabsch(source[triples], target[triples])
        best = int(count_inliers(source, target, rotations, translations, threshold).argmax())
        rotation, translation = rotations[best], translations[best]
    for _ in range(_REFITS):
        agree = _distances(source, target, rotation[None], translation[None])[0] < threshold
        if int(agree.sum()) < 3:
            break
        rotation, translation = kabsch(source[agree], target[agree])
    return Transform(rotation.cpu(), translation.cpu())


def count_inliers(
    source: Float[Tensor, "c 3"],
    target: Float[Tensor, "c 3"],
    rotations: Float[Tensor, "h 3 3"],
    translations: Float[Tensor, "h 3"],
    threshold: float,
) -> Int[Tensor, "h"]:
    """How many correspondences agree with each of H motions, within the threshold. (H,) int64."""
    some = max(1, _CHUNK // len(source))
    parts = zip(rotations.split(some), translations.split(some), strict=True)
    return torch.cat([(_distances(source, target, *part) < threshold).sum(1) for part in parts])


def _distances(source: Tensor, target: Tensor, rotations: Tensor, translations: Tensor) -> Float[Tensor, "h c"]:
    moved = source.double() @ rotations.mT + translations[:, None]
    return (moved - target.double()).square().sum(-1).sqrt()


def _alike(source: Tensor, target: Tensor, triples: Tensor, tolerance: float) -> Tensor:
    """Which triples form triangles alike in both clouds, and no line: (T,) bool."""
    fits = torch.ones(len(triples), dtype=torch.bool, device=triples.device)
    for i, j in ((0, 1), (1, 2), (2, 0)):
        one, other = (
            (points[triples[:, i]] - points[triples[:, j]]).square().sum(1).sqrt() for points in (source, target)
        )
        fits &= ((one - other).abs() < tolerance) & (torch.minimum(one, other) > 0.5 * tolerance)
    return fits
