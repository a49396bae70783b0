"""Normals of a scan, with a sign, and a frame of the scan's own: neither depends on the pose that it came in."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from pointadplus.geometry.neighbors import knn
from pointadplus.geometry.normals import local_frames, offsets_to
from pointadplus.render.orientation import orient_normals

CHUNK = 8192


def canonical_rotation(points: Float[Tensor, "n 3"]) -> Float[Tensor, "3 3"]:
    """The rotation R into the cloud's own frame: points @ R.T are the same in whatever pose the cloud came.

    Its axes are the principal ones, the longest first. The first two point to the side of the larger third moment, and
    the third completes a right-handed frame. Where the object is too symmetric for that (two equal principal axes, or
    no third moment) the frame is one of several equally good ones.

    Args:
        points: (N, 3), of any unit.

    Returns:
        (3, 3) float32, orthonormal, determinant +1.
    """
    centred = points.double() - points.double().mean(0)
    axes = torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(1)
    skewness = (centred @ axes[:, :2]).pow(3).sum(0)
    first, second = (axes[:, :2] * torch.where(skewness < 0, -1.0, 1.0)).unbind(1)
    return torch.stack([first, second, torch.linalg.cross(first, second)]).float()


def fitted_normals(points: Float[Tensor, "n 3"], k: int) -> Float[Tensor, "n 3"]:
    """Unit normals of the planes through the k nearest points, the point itself included; their sign is arbitrary."""
    _, index = knn(points, points, k)
    parts = (local_frames(offsets_to(points, here, near)).normals for here, near in _chunks(points, index))
    return torch.cat(list(parts))


def outward_normals(points: Float[Tensor, "n 3"], k: int) -> Float[Tensor, "n 3"]:
    """Fitted normals that face outward: the same side of the surface in every pose, on open scans too.

    The vote of `pointadplus.render.orientation` is taken in the frame of `canonical_rotation`, so that the 80 views
    that vote turn with the object. On a closed surface the side that is seen from around is outward. An open sheet,
    whose two sides are seen alike, faces the side on which it bulges, which is a property of its shape and not of the
    pose; the position of the origin is never taken for that of a sensor. Only a sheet that bulges nowhere, and so is
    its own mirror image, leaves the side open.

    Args:
        points: (N, 3), of any unit.
        k: points that a normal is fitted to.
    """
    rotation = canonical_rotation(points)
    turned = (points - points.mean(0)) @ rotation.T
    return orient_normals(turned, fitted_normals(turned, k), origin_is_sensor=False) @ rotation


def signed_like(normals: Float[Tensor, "n 3"], guides: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """The normals, each on the side of its guide."""
    return torch.where((normals * guides).sum(1, keepdim=True) < 0, -normals, normals)


def _chunks(*tensors: Tensor):
    return zip(*(tensor.split(CHUNK) for tensor in tensors), strict=True)
