"""Where the cameras stand.

Axes, for the whole package: right-handed; a camera looks along −z of its own frame, with +x to the right and +y up.
Pixel (0, 0) is the top left one and pixel centres lie at +0.5, so an image of S pixels covers [0, S) × [0, S).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import ConfigError

TAN_HALF_FOV = math.tan(math.radians(30.0))  # a vertical field of view of 60°, as in PointAD
GOLDEN_ANGLE = math.pi * (3.0 - math.sqrt(5.0))


@dataclass(frozen=True, eq=False)
class Cameras:
    """V cameras around one object, pinhole or orthographic.

    A point p has view coordinates q = R (p − center), and the eye stands at (0, 0, distance). An orthographic camera
    shows every depth at the scale that the pinhole camera has at the center (Hartley and Zisserman, Multiple View
    Geometry, 2004, sec. 6.3), so that both agree on the plane through the center. The tensors are of one float dtype.

    Attributes:
        rotation: (V, 3, 3) object to view axes.
        center: (V, 3) the point, in object coordinates, that lands in the middle of the image.
        distance: (V,) from the eye to the center, in the unit of the points.
        radius: (V,) half of the depth that the object is framed for: it lies within distance ± radius.
        image_size: side of the square image in pixels.
        orthographic: parallel rays instead of rays that meet in the eye.
    """

    rotation: Float[Tensor, "v 3 3"]
    center: Float[Tensor, "v 3"]
    distance: Float[Tensor, "v"]
    radius: Float[Tensor, "v"]
    image_size: int
    orthographic: bool = False

    @property
    def focal(self) -> float:
        """Focal length in pixels."""
        return 0.5 * self.image_size / TAN_HALF_FOV

    def pixels_per_unit(self, depth: Float[Tensor, "v *more"]) -> Float[Tensor, "v *more"]:
        """How many pixels a unit of length spans at a depth, across the optical axis.

        That is focal / depth, meaningless where depth ≤ 0; or focal / distance at any depth if orthographic.
        """
        if self.orthographic:
            return (self.focal / self.distance).view(-1, *[1] * (depth.ndim - 1)).expand_as(depth)
        return self.focal / torch.where(depth > 0, depth, 1.0)

    def project(self, points: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, "v n 2"], Float[Tensor, "v n"]]:
        """Where points fall in each image.

        Returns:
            pixels (V, N, 2), x to the right and y down, meaningless where depth ≤ 0;
            depth (V, N), the distance from the eye along the optical axis, positive in front of the camera.
        Both are differentiable in points, rotation, center and distance.
        """
        x, y, z = (self.rotation @ (points.T - self.center[..., None])).unbind(1)
        depth = self.distance[:, None] - z
        scale = self.pixels_per_unit(depth)
        half = 0.5 * self.image_size
        return torch.stack([half + scale * x, half - scale * y], -1), depth

    def eyes(self) -> Float[Tensor, "v 3"]:
        """Where the cameras stand, in object coordinates; if orthographic, the middle of the plane of depth 0."""
        return self.center + self.distance[:, None] * self.rotation[:, 2]

    def toward_eye(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "v n 3"]:
        """(V, N, 3) unit vectors from each point towards each eye, in object axes; if orthographic, one for a view."""
        axis = self.rotation[:, None, 2]
        if self.orthographic:
            return axis.expand(-1, len(points), 3)
        # Both terms are of the object's size wherever it lies; eyes() − points would round twice at large coordinates.
        offset = points - self.center[:, None]
        return torch.nn.functional.normalize(self.distance[:, None, None] * axis - offset, dim=-1)

    def rays(self) -> Float[Tensor, "3 h w"]:
        """(3, H, W) unit vectors in view axes, from what a pixel shows towards the eye; one set for all views."""
        like = {"dtype": self.rotation.dtype, "device": self.rotation.device}
        steps = (torch.arange(self.image_size, **like) + 0.5 - 0.5 * self.image_size) / self.focal
        y, x = torch.meshgrid(steps, -steps, indexing="ij")
        if self.orthographic:
            x, y = torch.zeros_like(x), torch.zeros_like(y)
        return torch.nn.functional.normalize(torch.stack([x, y, torch.ones_like(x)]), dim=0)


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


def frame_cameras(
    points: Float[Tensor, "n 3"],
    rotation: Float[Tensor, "v 3 3"],
    image_size: int,
    framing: str = "sphere",
    fill: float = 0.9,
    orthographic: bool = False,
) -> Cameras:
    """Cameras that hold the whole object, one for each rotation.

    Args:
        points: (N, 3) of the object.
        rotation: (V, 3, 3) object to view axes.
        image_size: side of the square images in pixels.
        framing: `"sphere"` centres on the mean point and fits the sphere around it that holds 99.9 % of the points, so
            that scale does not depend on the rotation. `"box"` is PointAD's: the centre of the rotated bounding box,
            at 0.7·E / tan 30° for a largest extent E, which spans 1 / 1.4 of the image's side at the depth of that
            centre; in perspective, the corners of a boxy object can leave the image.
        fill: share of the image's side that the sphere spans, in (0, 1]; the box has its own.
        orthographic: whether the cameras are; the shares are the same.

    A cloud far from the origin is framed to half the spacing of its dtype there, which is 0.03 units in float32 at
    10⁶: subtract the mean in float64 first, or give `PointCloud.normalized`.

    Raises:
        ConfigError: an unknown framing.
    """
    rotation = rotation.to(points)
    if framing == "sphere":
        mean = points.double().mean(0).to(points)
        reach = (points - mean).square().sum(1).sqrt()
        radius = _positive(reach.kthvalue(math.ceil(0.999 * len(points))).values).expand(len(rotation))
        center = mean.expand(len(rotation), 3)
        slope = fill * TAN_HALF_FOV  # of the rays that touch the sphere; parallel ones touch it at the centre's depth
        distance = radius / (slope if orthographic else math.sin(math.atan(slope)))
    elif framing == "box":
        anchor = points.double().mean(0).to(points)
        turned = rotation @ (points - anchor).T
        low, high = turned.amin(2), turned.amax(2)
        extent = _positive((high - low).amax(1))
        center = anchor + (rotation.transpose(1, 2) @ (0.5 * (low + high))[..., None])[..., 0]
        radius, distance = 0.5 * extent, 0.7 * extent / TAN_HALF_FOV
    else:
        raise ConfigError("unknown framing", where="framing", expected="'sphere' or 'box'", found=framing)
    return Cameras(rotation, center, distance, radius, image_size, orthographic)


def _positive(size: Tensor) -> Tensor:
    # A cloud whose points coincide has no size; any will do, since all of it lands in the middle of the image.
    return torch.where(size > 0, size, 1.0)


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
