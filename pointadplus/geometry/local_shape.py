"""The shape of each point's neighbourhood at one scale, in numbers: its principal axes, and the quadric through it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from .normals import LocalFrames

FRAME_COLUMNS = ("thickness", "planarity", "linearity", "log_size", "offset", "shift", "turn")
QUADRIC_COLUMNS = ("residual", "residual_size", "roughness", "curvature", "anisotropy")


def mean_radius(frame: LocalFrames) -> Float[Tensor, "m"]:
    """Of each neighbourhood: root mean square distance from its centre within the tangent plane."""
    return frame.variances[:, :2].sum(1).sqrt().clamp_min(1e-9)


def frame_columns(frame: LocalFrames, normals: Float[Tensor, "m 3"]) -> Float[Tensor, "m 7"]:
    """`FRAME_COLUMNS`: thickness, planarity, linearity, logarithm of the size, how far the point lies off its
    neighbours' centre along and across the normal, in radii, and how far the frame is turned from the normal."""
    deviation, size = frame.variances.sqrt(), mean_radius(frame)
    along = -(frame.mean * normals).sum(1)
    across = (frame.mean.square().sum(1) - along.square()).clamp_min(0).sqrt()
    columns = [
        deviation[:, 2] / size,
        (deviation[:, 1] - deviation[:, 2]) / deviation[:, 0].clamp_min(1e-9),
        1 - deviation[:, 1] / deviation[:, 0].clamp_min(1e-9),
        size.log(),
        along / size,
        across / size,
        1 - (frame.normals * normals).sum(1).abs(),
    ]
    return torch.stack(columns, 1)


def fit_quadrics(offsets: Float[Tensor, "m k 3"], frame: LocalFrames) -> Float[Tensor, "m 4"]:
    """Fit h = a + bx + cy + dx² + exy + fy² in the frame, lengths divided by its radius.

    Returns (M, 4): the point's own residual, the neighbours' RMS residual, d + f and √((d − f)² + e²).
    """
    size = mean_radius(frame)
    local = ((offsets - frame.mean[:, None]) @ frame.axes) / size[:, None, None]
    own = (-frame.mean[:, None] @ frame.axes)[:, 0] / size[:, None]
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


def quadric_columns(
    quadric: Float[Tensor, "m 4"], frame: LocalFrames, normals: Float[Tensor, "m 3"]
) -> Float[Tensor, "m 5"]:
    """`QUADRIC_COLUMNS`: what `fit_quadrics` finds, with the residual's size besides; residual and curvature
    are positive along the outward normals."""
    sign = torch.where((frame.normals * normals).sum(1) >= 0, 1.0, -1.0)
    residual = quadric[:, 0] * sign
    return torch.stack([residual, residual.abs(), quadric[:, 1], quadric[:, 2] * sign, quadric[:, 3]], 1)
