"""Where the cameras stand, and where points fall in their images.

Axes, for the whole package: right-handed; a camera looks along −z of its own frame, with +x to the right and +y up.
Pixel (0, 0) is the top left one and pixel centres lie at +0.5, so an image of S pixels covers [0, S) × [0, S).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import ConfigError
from .view_sets import view_rotations as view_rotations

_PART = 1 << 17  # points that are handled at a time, in the cache
_SOME, _STEPS, _POWER = 1 << 13, 100, 16  # points that the middle is found from, steps, and power of the distances
TAN_HALF_FOV = math.tan(math.radians(30.0))  # a vertical field of view of 60°, as in PointAD


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
        offset: (3,) float64 that `center` is about, as `PointCloud.offset`; None means the origin.
    """

    rotation: Float[Tensor, "v 3 3"]
    center: Float[Tensor, "v 3"]
    distance: Float[Tensor, "v"]
    radius: Float[Tensor, "v"]
    image_size: int
    orthographic: bool = False
    offset: Float[Tensor, "3"] | None = None

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
        ahead = depth.numel() == 0 or float(depth.detach().amin()) > 0  # to ask is cheaper than to choose
        return self.focal / (depth if ahead else torch.where(depth > 0, depth, 1.0))

    def __len__(self) -> int:
        return len(self.rotation)

    def __getitem__(self, views: slice) -> Cameras:
        """Some of the cameras."""
        names = ("rotation", "center", "distance", "radius")
        return replace(self, **{name: getattr(self, name)[views] for name in names})

    def project(self, points: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, "v n 2"], Float[Tensor, "v n"]]:
        """Where points fall in each image.

        Returns:
            pixels (V, N, 2), x to the right and y down, meaningless where depth ≤ 0;
            depth (V, N), the distance from the eye along the optical axis, positive in front of the camera.
        Both are differentiable in points, rotation, center and distance.
        """
        x, y, z = self.turn(*(points[:, axis] - self.center[:, axis, None] for axis in range(3)))
        depth = self.distance[:, None] - z
        scale = self.pixels_per_unit(depth)
        half = 0.5 * self.image_size
        return torch.stack([half + scale * x, half - scale * y], -1), depth

    def turn(
        self, x: Float[Tensor, "v n"], y: Float[Tensor, "v n"], z: Float[Tensor, "v n"]
    ) -> tuple[Float[Tensor, "v n"], ...]:
        """The coordinates of vectors in the axes of each view.

        Three products and two sums each: a matrix product this thin takes longer, and rounds by the number of threads.
        """
        rows = (row.unsqueeze(-1).unbind(1) for row in self.rotation.unbind(1))
        return tuple(a * x + b * y + c * z for a, b, c in rows)

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


def enclosing_center(points: Float[Tensor, "n 3"]) -> Float[Tensor, "3"]:
    """The centre of about the smallest sphere that holds 99.9 % of the points.

    It has the least sum of the 16th powers of the distances, which, unlike the farthest point's, is smooth in the
    points: a cloud that is turned a little is framed as it was. It is found by reweighted means, each step damped by
    15. The 0.1 % that are farthest from the mean are strays and do not count.
    """
    center = centroid(points)
    some = points[_reach(points, center) <= _held(points, center)]
    some = some[:: math.ceil(len(some) / _SOME)]
    tiny = torch.finfo(points.dtype).tiny
    for _ in range(_STEPS):
        offsets = some - center
        distance = offsets.square().sum(1).sqrt()
        weight = (distance / distance.amax().clamp_min(tiny)) ** (_POWER - 2)
        center = center + (weight[:, None] * offsets).sum(0) / (weight.sum().clamp_min(tiny) * (_POWER - 1))
    return center


def _held(points: Tensor, center: Tensor) -> Float[Tensor, ""]:
    """How far 99.9 % of the points reach from a centre."""
    return _reach(points, center).kthvalue(math.ceil(0.999 * len(points))).values


def _reach(points: Tensor, center: Tensor) -> Float[Tensor, "n"]:
    return torch.cat([(part - center).square().sum(1).sqrt() for part in points.split(_PART)])


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
            that scale does not depend on the rotation. `"enclosing"` fits about the smallest such sphere, wherever the
            points are dense (`enclosing_center`). `"box"` is PointAD's: the centre of the rotated bounding box, at
            0.7·E / tan 30° for a largest extent E, which spans 1 / 1.4 of the image's side at the depth of that centre;
            in perspective, the corners of a boxy object can leave the image.
        fill: share of the image's side that the sphere spans, in (0, 1]; the box has its own.
        orthographic: whether the cameras are; the shares are the same.

    A cloud far from the origin is framed to half the spacing of its dtype there, which is 0.03 units in float32 at
    10⁶: subtract the mean in float64 first, or give `PointCloud.normalized`.

    Raises:
        ConfigError: an unknown framing.
    """
    rotation = rotation.to(points)
    if framing in ("sphere", "enclosing"):
        middle = centroid(points) if framing == "sphere" else enclosing_center(points)
        radius = _positive(_held(points, middle)).expand(len(rotation))
        center = middle.expand(len(rotation), 3)
        slope = fill * TAN_HALF_FOV  # of the rays that touch the sphere; parallel ones touch it at the centre's depth
        distance = radius / (slope if orthographic else math.sin(math.atan(slope)))
    elif framing == "box":
        anchor = centroid(points)
        turned = rotation @ (points - anchor).T
        low, high = turned.amin(2), turned.amax(2)
        extent = _positive((high - low).amax(1))
        center = anchor + (rotation.transpose(1, 2) @ (0.5 * (low + high))[..., None])[..., 0]
        radius, distance = 0.5 * extent, 0.7 * extent / TAN_HALF_FOV
    else:
        raise ConfigError("unknown framing", where="framing", expected="'sphere', 'enclosing' or 'box'", found=framing)
    return Cameras(rotation, center, distance, radius, image_size, orthographic)


def centroid(points: Float[Tensor, "n 3"]) -> Float[Tensor, "3"]:
    """The mean point, added up in float64."""
    return (torch.stack([part.double().sum(0) for part in points.split(_PART)]).sum(0) / len(points)).to(points)


def _positive(size: Tensor) -> Tensor:
    # A cloud whose points coincide has no size; any will do, since all of it lands in the middle of the image.
    return torch.where(size > 0, size, 1.0)
