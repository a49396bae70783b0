"""An organised scan: an object on a table, as a depth camera above it sees it, with an aligned picture and mask."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.spatial import ConvexHull
from torch import Tensor
from torch.nn.functional import normalize

from ...cloud import PointCloud
from ...render import Cameras, MultiViewRenderer
from .chance import integer, uniform
from .scan import ScanArtifacts
from .specimens import Specimen

AMBIENT = 0.35  # share of the light that comes from everywhere
GRAZING = 0.08  # cosine below which a surface gives no return, if scans have gaps
FACING, SHARE = 0.2, 0.3  # a side shows the defect where the cosine to the vertical is above, on this share of it
SIDES = 256  # considered at most: a round object has thousands
FILL = 0.72  # share of the image's side that the object's sphere spans


@dataclass(frozen=True)
class DepthCamera:
    """How an object on a table is looked at. Lengths are in the unit of the data set.

    Attributes:
        image_size: side of the square image in pixels.
        focal: length in pixels; the optical axis meets the image's middle.
        tilt: smallest and largest angle between the optical axis and the vertical, in degrees.
        diagonal: of the object's bounding box.
        gaps: whether surfaces seen at a grazing angle give no return.
    """

    image_size: int
    focal: float
    tilt: tuple[float, float]
    diagonal: float
    gaps: bool


@dataclass(frozen=True, eq=False)
class DepthScan:
    """What one shot gives, pixel by pixel.

    Attributes:
        depth: (H, W) float64 along the optical axis, above 0; NaN where nothing returns.
        rgb: (H, W, 3) uint8.
        mask: (H, W) bool, true where the surface that is shown is labelled.
        focal: length in pixels.
    """

    depth: Float[Tensor, "h w"]
    rgb: np.ndarray
    mask: Bool[Tensor, "h w"]
    focal: float

    def points(self) -> Float[Tensor, "h w 3"]:
        """(H, W, 3) float64 in the camera's frame: x to the right, y down, z along the axis; NaN as in depth."""
        right, up = _slopes(len(self.depth), self.focal)
        return torch.stack([right, -up, torch.ones_like(right)], -1) * self.depth[..., None]

    def cloud(self) -> PointCloud:
        """The points as an organised cloud."""
        return PointCloud.create(self.points())


@dataclass(frozen=True, eq=False)
class _Camera(Cameras):
    """One camera of any focal length."""

    length: float = 1.0  # focal, in pixels

    @property
    def focal(self) -> float:
        return self.length


def scan_on_table(
    specimen: Specimen, generator: torch.Generator, camera: DepthCamera, artifacts: ScanArtifacts | None = None
) -> DepthScan:
    """Lay an object on a table, on a side on which it rests, with its defect up where it can, and shoot.

    Where the object's points are seen, the depth is that of their tangent planes; noise goes along the ray.

    Args:
        specimen: the object, of about `image_size`² points or more, so that its pixels differ.
        generator: on the CPU; decides the pose, the camera's place, the colours and the noise.
        camera: how it is looked at.
        artifacts: whose `noise` holds; None means the defaults.
    """
    artifacts = artifacts or ScanArtifacts()
    sides = _resting_sides(specimen.points)
    sides = _showing(specimen, sides[torch.randperm(len(sides), generator=generator)[:SIDES]])
    down = sides[integer(generator, len(sides))]
    tilt = math.radians(uniform(generator, *camera.tilt))
    to_camera = _rotation_to(-down, uniform(generator, 0.0, 2 * math.pi), tilt)
    points, normals = specimen.points @ to_camera.T * camera.diagonal, specimen.normals @ to_camera.T
    center = (points.amin(0) + points.amax(0)) / 2
    radius = float((points - center).norm(dim=1).max())
    slope = FILL * 0.5 * camera.image_size / camera.focal
    distance = radius / math.sin(math.atan(slope))
    place = _Camera(
        torch.eye(3)[None], center[None], torch.tensor([distance]), torch.tensor([radius]), camera.image_size,
        length=camera.focal,
    )  # fmt: skip
    surface = PointCloud.create(points, normals=normals)
    views = MultiViewRenderer(views=torch.eye(3)[None]).render(surface, cameras=place)

    rays = torch.stack([*_slopes(camera.image_size, camera.focal), -torch.ones(views.index.shape[1:]).double()], -1)
    up = to_camera.double() @ -down.double()  # of the table, in the camera's axes; the eye is the origin from here on
    eye = center.double() + torch.tensor([0.0, 0.0, distance]).double()
    floor = float(((points.double() - eye) @ up).min())
    depth = floor / (rays @ up)
    facing = normalize(rays, dim=-1) @ up
    normal = up.expand_as(rays)
    index = views.index[0]
    seen = index >= 0
    front, own = points[index[seen]].double() - eye, normals[index[seen]].double()
    along = (rays[seen] * own).sum(1)
    exact = (front * own).sum(1) / torch.where(along.abs() < 1e-3, 1e-3, along)
    step = 1.5 * distance / camera.focal  # the tangent plane holds near its point only
    exact = -front[:, 2] + (exact + front[:, 2]).clamp(-step, step)
    above = exact < depth[seen] + step
    seen[seen.clone()] = above
    depth[seen] = torch.minimum(exact[above], depth[seen])
    own = own[above] * -along[above, None].sign()  # turned to the eye
    normal = normal.clone()
    normal[seen] = own
    facing = facing.abs()
    facing[seen] = (normalize(rays[seen], dim=-1) * own).sum(1).abs()

    low, high = artifacts.noise
    sigma = camera.diagonal * low * (high / low) ** uniform(generator)
    depth = depth + sigma * torch.randn(depth.shape, generator=generator, dtype=torch.float64)
    if camera.gaps:
        depth[seen & (facing < GRAZING)] = torch.nan
    paint = None if specimen.colors is None else specimen.colors[index[seen]].double()
    mask = torch.zeros_like(seen)
    mask[seen] = specimen.labels[index[seen]]
    return DepthScan(depth, _picture(normal, seen, paint, generator), mask, camera.focal)


def _picture(normal: Tensor, seen: Tensor, paint: Tensor | None, generator: torch.Generator) -> np.ndarray:
    """(H, W, 3) uint8: a matt object, painted or of one colour, on a grey table, lit from the upper left."""
    light = normalize(torch.tensor([-0.5, 0.6, 0.8], dtype=torch.float64), dim=0)
    shade = AMBIENT + (1 - AMBIENT) * (normal @ light).clamp_min(0)
    color = 0.35 + 0.55 * torch.rand(3, generator=generator, dtype=torch.float64)
    albedo = torch.where(seen[..., None], color, torch.tensor(0.3 + 0.2 * uniform(generator)))
    if paint is not None:
        albedo[seen] = paint
    grain = 1 + 0.02 * torch.randn(seen.shape, generator=generator, dtype=torch.float64)
    return (albedo * (shade * grain)[..., None] * 255).clamp(0, 255).round().byte().numpy()


def _slopes(size: int, focal: float) -> tuple[Float[Tensor, "h w"], Float[Tensor, "h w"]]:
    """To the right and up of the ray through each pixel's centre, per unit of depth."""
    steps = (torch.arange(size, dtype=torch.float64) + 0.5 - size / 2) / focal
    down, right = torch.meshgrid(steps, steps, indexing="ij")
    return right, -down


def _resting_sides(points: Float[Tensor, "n 3"]) -> Float[Tensor, "k 3"]:
    """The sides it can rest on: outward unit normals of the convex hull's faces that its middle stands over."""
    cloud = points.double().numpy()
    hull = ConvexHull(cloud)
    normals = hull.equations[:, :3]
    a, b, c = cloud[hull.simplices].transpose(1, 0, 2)
    middle = cloud.mean(0)
    foot = middle - (normals * middle).sum(1, keepdims=True) * normals - hull.equations[:, 3:] * normals
    sides = [(np.cross(end - start, foot - start) * normals).sum(1) for start, end in ((a, b), (b, c), (c, a))]
    over = (np.stack(sides) >= 0).all(0) | (np.stack(sides) <= 0).all(0)
    return torch.from_numpy(normals[over] if over.any() else normals).float()


def _showing(specimen: Specimen, sides: Float[Tensor, "k 3"]) -> Float[Tensor, "j 3"]:
    """Of the sides to rest on, those that leave the defect to be seen from above; the best one if none does."""
    if not specimen.damaged:
        return sides
    share = (specimen.normals[specimen.labels] @ -sides.T > FACING).float().mean(0)
    return sides[share >= min(SHARE, float(share.max()))]


def _rotation_to(up: Float[Tensor, "3"], spin: float, tilt: float) -> Float[Tensor, "3 3"]:
    """The object's axes to the camera's: `up` becomes +z, with a `spin` about it, tilted towards the image's top."""
    helper = torch.eye(3)[int(up.abs().argmin())]
    across = normalize(torch.linalg.cross(helper, up), dim=0)
    upright = torch.stack([across, torch.linalg.cross(up, across), up])
    cos, sin = math.cos(spin), math.sin(spin)
    turn = torch.tensor([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    cos, sin = math.cos(tilt), math.sin(tilt)
    lean = torch.tensor([[1.0, 0.0, 0.0], [0.0, cos, sin], [0.0, -sin, cos]])
    return lean @ turn @ upright
