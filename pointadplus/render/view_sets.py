"""The directions that an object is looked at from: named sets of views, or rotations of one's own."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import ConfigError

GOLDEN_ANGLE = math.pi * (3.0 - math.sqrt(5.0))


def view_rotations(views: str | Tensor | Sequence[Tensor]) -> Float[Tensor, "v 3 3"]:
    """Object-to-view rotations, (V, 3, 3) float32; V, and so `len`, is known before anything is rendered.

    Args:
        views: rotations, as one tensor (V, 3, 3) or as a list of (3, 3), or the name of a set:
            `"pointad9"`, about x by k·36°, k = −4..4 (Zhou et al., PointAD, 2024);
            `"cpmf27"`, Rx·Ry·Rz with angles of 0°, −15° and +15° in this order, z fastest, so that the first view is
            the identity (Cao et al., CPMF, 2023; MVR's 27 views are taken to be the same);
            `"faces6"`, seen from +x, −x, +y, −y, +z, −z: +y is up, but −z seen from +y and +z seen from −y;
            `"sphere12"` or `"sphere(12)"`, any number of directions on a Fibonacci lattice around +y, which stays up.

    Raises:
        ConfigError: an unknown name, or matrices that are no rotations.
    """
    if not isinstance(views, str):
        return _checked(views)
    if views in _NAMED_VIEWS:
        return _NAMED_VIEWS[views]().float()
    named = re.fullmatch(r"sphere\(?([1-9]\d{0,3})\)?", views)
    if named is None:
        expected = f"{', '.join(map(repr, _NAMED_VIEWS))}, 'sphere12' (any number up to 9999) or rotations (V, 3, 3)"
        raise ConfigError("unknown views", where="views", expected=expected, found=views)
    return _looking_from(_fibonacci_directions(int(named[1])), torch.tensor([0.0, 1.0, 0.0])).float()


def _turns(axis: int, degrees: Float[Tensor, "v"]) -> Float[Tensor, "v 3 3"]:
    """Right-handed rotations about x, y or z."""
    cos, sin = torch.deg2rad(degrees).cos(), torch.deg2rad(degrees).sin()
    i, j = (axis + 1) % 3, (axis + 2) % 3
    turns = torch.eye(3, dtype=degrees.dtype).repeat(len(degrees), 1, 1)
    turns[:, i, i], turns[:, i, j], turns[:, j, i], turns[:, j, j] = cos, -sin, sin, cos
    return turns


def _pointad_rotations() -> Float[Tensor, "9 3 3"]:
    return _turns(0, 36.0 * torch.arange(-4, 5, dtype=torch.float64))


def _cpmf_rotations() -> Float[Tensor, "27 3 3"]:
    x, y, z = (_turns(axis, torch.tensor([0.0, -15.0, 15.0], dtype=torch.float64)) for axis in range(3))
    return (x[:, None, None] @ y[:, None] @ z).view(27, 3, 3)


def _face_rotations() -> Float[Tensor, "6 3 3"]:
    x, y, z = torch.eye(3)
    return _looking_from(torch.stack([x, -x, y, -y, z, -z]), torch.stack([y, y, -z, z, y, y]))


_NAMED_VIEWS = {"pointad9": _pointad_rotations, "cpmf27": _cpmf_rotations, "faces6": _face_rotations}


def _fibonacci_directions(count: int) -> Float[Tensor, "v 3"]:
    """Evenly spread unit vectors that never meet the poles ±y."""
    step = torch.arange(count, dtype=torch.float64)
    y = 1.0 - (2.0 * step + 1.0) / count
    ring, turn = (1.0 - y.square()).sqrt(), GOLDEN_ANGLE * step
    return torch.stack([ring * turn.sin(), y, ring * turn.cos()], -1)


def _looking_from(
    directions: Float[Tensor, "v 3"], up: Float[Tensor, "3"] | Float[Tensor, "v 3"]
) -> Float[Tensor, "v 3 3"]:
    """Rotations whose camera stands in the given directions from the object, with what is up in its image."""
    up = up.to(directions).expand_as(directions)
    right = torch.nn.functional.normalize(torch.linalg.cross(up, directions), dim=-1)
    return torch.stack([right, torch.linalg.cross(directions, right), directions], 1)


def _checked(views: Tensor | Sequence[Tensor]) -> Float[Tensor, "v 3 3"]:
    parts = [views] if isinstance(views, Tensor) else [each[None] for each in views]
    shapes = [tuple(part.shape) for part in parts]
    if not parts or any(len(shape) != 3 or shape[0] == 0 or shape[1:] != (3, 3) for shape in shapes):
        found = shapes[0] if isinstance(views, Tensor) else [shape[1:] for shape in shapes]
        expected = "(V, 3, 3), or a list of (3, 3)"
        raise ConfigError("views have the wrong shape", where="views", expected=expected, found=found)
    rotation = torch.cat(parts)
    exact = rotation.double()
    error = (exact @ exact.transpose(1, 2) - torch.eye(3).to(exact)).abs().amax().item()
    determinant = torch.linalg.det(exact).min().item()
    if not (error < 1e-4 and determinant > 0):
        raise ConfigError(
            "views are not rotations",
            where="views",
            expected="R Rᵀ = 1 within 1e-4 and det R = +1",
            found=f"|R Rᵀ − 1| up to {error:.2g}, det R from {determinant:.2g}",
        )
    return rotation.float()
