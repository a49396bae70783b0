"""Where the cameras stand.

Axes, for the whole package: right-handed; a camera looks along −z of its own frame, with +x to the right and +y up.
Pixel (0, 0) is the top left one and pixel centres lie at +0.5, so an image of S pixels covers [0, S) × [0, S).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import ConfigError

TAN_HALF_FOV = math.tan(math.radians(30.0))  # a vertical field of view of 60°, as in PointAD
GOLDEN_ANGLE = math.pi * (3.0 - math.sqrt(5.0))


@dataclass(frozen=True, eq=False)
class Cameras:
    """V pinhole cameras around one object.

    A point p has view coordinates q = R (p − center), and the eye stands at (0, 0, distance).

    Attributes:
        rotation: (V, 3, 3) object to view axes.
        center: (V, 3) the point, in object coordinates, that lands in the middle of the image.
        distance: (V,) from the eye to the center, in the unit of the points.
        radius: (V,) half of the depth that the object is framed for: it lies within distance ± radius.
        image_size: side of the square image in pixels.
    """

    rotation: Float[Tensor, "v 3 3"]
    center: Float[Tensor, "v 3"]
    distance: Float[Tensor, "v"]
    radius: Float[Tensor, "v"]
    image_size: int

    @property
    def focal(self) -> float:
        """Focal length in pixels."""
        return 0.5 * self.image_size / TAN_HALF_FOV

    def project(self, points: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, "v n 2"], Float[Tensor, "v n"]]:
        """Where points fall in each image.

        Returns:
            pixels (V, N, 2), x to the right and y down, meaningless where depth ≤ 0;
            depth (V, N), the distance along the optical axis, positive in front of the camera.
        """
        x, y, z = (self.rotation @ (points.T - self.center[..., None])).unbind(1)
        depth = self.distance[:, None] - z
        scale = self.focal / torch.where(depth > 0, depth, 1.0)
        half = 0.5 * self.image_size
        return torch.stack([half + scale * x, half - scale * y], -1), depth

    def eyes(self) -> Float[Tensor, "v 3"]:
        """Where the cameras stand, in object coordinates."""
        return self.center + self.distance[:, None] * self.rotation[:, 2]

    def rays(self) -> Float[Tensor, "3 h w"]:
        """(3, H, W) unit vectors in view axes, from what a pixel shows towards the eye; one set for all views."""
        steps = (torch.arange(self.image_size, device=self.rotation.device) + 0.5 - 0.5 * self.image_size) / self.focal
        y, x = torch.meshgrid(steps, -steps, indexing="ij")
        return torch.nn.functional.normalize(torch.stack([x, y, torch.ones_like(x)]), dim=0)


def view_rotations(views: str | Float[Tensor, "v 3 3"]) -> Float[Tensor, "v 3 3"]:
    """Object-to-view rotations, (V, 3, 3) float32.

    Args:
        views: `"pointad9"`, rotations about x by k·36°, k = −4..4 (Zhou et al., PointAD, 2024); `"sphere12"`, any
            number of directions on a Fibonacci lattice around +y, which stays up in every view; or rotations.

    Raises:
        ConfigError: an unknown name, or matrices that are no rotations.
    """
    if isinstance(views, Tensor):
        return _checked(views)
    if views == "pointad9":
        angle = torch.deg2rad(36.0 * torch.arange(-4, 5, dtype=torch.float64))
        cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
        return torch.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], -1).reshape(-1, 3, 3).float()
    named = re.fullmatch(r"sphere\(?([1-9]\d{0,3})\)?", views)
    if named is None:
        expected = "'pointad9', 'sphere12' (any number up to 9999) or (V, 3, 3)"
        raise ConfigError("unknown views", where="views", expected=expected, found=views)
    return _looking_from(_fibonacci_directions(int(named[1])))


def frame_cameras(
    points: Float[Tensor, "n 3"],
    rotation: Float[Tensor, "v 3 3"],
    image_size: int,
    framing: str = "sphere",
    fill: float = 0.9,
) -> Cameras:
    """Cameras that hold the whole object, one for each rotation.

    Args:
        points: (N, 3) of the object.
        rotation: (V, 3, 3) object to view axes.
        image_size: side of the square images in pixels.
        framing: `"sphere"` centres on the mean point and fits the sphere around it that holds 99.9 % of the points, so
            that scale does not depend on the rotation. `"box"` is PointAD's: the centre of the rotated bounding box,
            at 0.7·E / tan 30° for a largest extent E; the corners of a boxy object can leave the image.
        fill: share of the image's side that the sphere spans; the box has its own.

    Raises:
        ConfigError: an unknown framing.
    """
    rotation = rotation.to(points)
    if framing == "sphere":
        mean = points.double().mean(0).to(points)
        reach = (points - mean).square().sum(1).sqrt()
        radius = _positive(reach.kthvalue(math.ceil(0.999 * len(points))).values).expand(len(rotation))
        center = mean.expand(len(rotation), 3)
        distance = radius / math.sin(math.atan(fill * TAN_HALF_FOV))
    elif framing == "box":
        anchor = points.double().mean(0).to(points)
        turned = rotation @ (points - anchor).T
        low, high = turned.amin(2), turned.amax(2)
        extent = _positive((high - low).amax(1))
        center = anchor + (rotation.transpose(1, 2) @ (0.5 * (low + high))[..., None])[..., 0]
        radius, distance = 0.5 * extent, 0.7 * extent / TAN_HALF_FOV
    else:
        raise ConfigError("unknown framing", where="framing", expected="'sphere' or 'box'", found=framing)
    return Cameras(rotation, center, distance, radius, image_size)


def _positive(size: Tensor) -> Tensor:
    # A cloud whose points coincide has no size; any will do, since all of it lands in the middle of the image.
    return torch.where(size > 0, size, 1.0)


def _fibonacci_directions(count: int) -> Float[Tensor, "v 3"]:
    """Evenly spread unit vectors that never meet the poles ±y."""
    step = torch.arange(count, dtype=torch.float64)
    y = 1.0 - (2.0 * step + 1.0) / count
    ring, turn = (1.0 - y.square()).sqrt(), GOLDEN_ANGLE * step
    return torch.stack([ring * turn.sin(), y, ring * turn.cos()], -1)


def _looking_from(directions: Float[Tensor, "v 3"]) -> Float[Tensor, "v 3 3"]:
    """Rotations whose camera stands in the given directions from the object, +y up."""
    up = directions.new_tensor([0.0, 1.0, 0.0]).expand_as(directions)
    right = torch.nn.functional.normalize(torch.linalg.cross(up, directions), dim=-1)
    return torch.stack([right, torch.linalg.cross(directions, right), directions], 1).float()


def _checked(rotation: Tensor) -> Float[Tensor, "v 3 3"]:
    if rotation.ndim != 3 or rotation.shape[1:] != (3, 3) or len(rotation) == 0:
        found = tuple(rotation.shape)
        raise ConfigError("views have the wrong shape", where="views", expected="(V, 3, 3)", found=found)
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
