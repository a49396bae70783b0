"""The depth of tangent planes: exact on planes, and nearer to the surface than the splats are."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pointadplus.cloud import PointCloud
from pointadplus.io import TriangleMesh
from pointadplus.render import MultiViewRenderer, RenderConfig


def plane(count: int, normal: Tensor, seed: int = 0) -> PointCloud:
    """A square through the origin with that normal."""
    flat = torch.rand(count, 2, generator=torch.Generator().manual_seed(seed)) - 0.5
    axes = torch.linalg.qr(torch.cat([normal[:, None], torch.eye(3)[:, :2]], 1))[0][:, 1:]
    return PointCloud(flat @ axes.T, normals=normal.expand(count, 3))


@pytest.mark.parametrize("orthographic", [False, True])
@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["towards the eye", "away"])
def test_a_slanted_plane_is_flat(orthographic: bool, sign: float) -> None:
    normal = torch.nn.functional.normalize(torch.tensor([0.5, -0.7, 1.0]), dim=0)
    config = RenderConfig(views=torch.eye(3)[None], image_size=96, orthographic=orthographic)
    cloud = plane(1500, normal)
    views = MultiViewRenderer(config).render(PointCloud(cloud.points, normals=sign * cloud.normals))
    depth, camera = views.tangent_depth()[0], views.cameras
    solid = views.index[0] >= 0
    assert solid.float().mean() > 0.1 and torch.equal(depth.isfinite(), solid)

    # Where the ray of each pixel meets the plane through the origin, in float64.
    steps = (torch.arange(96, dtype=torch.float64) + 0.5 - 48) / camera.focal
    x, y = steps.expand(96, 96), -steps[:, None].expand(96, 96)
    n, center, distance = normal.double(), camera.center[0].double(), float(camera.distance)
    if orthographic:
        found = distance + (n[0] * x * distance + n[1] * y * distance + n @ center) / n[2]
    else:
        found = (n @ center + n[2] * distance) / (n[2] - n[0] * x - n[1] * y)
    torch.testing.assert_close(depth[solid].double(), found[solid], atol=2e-6, rtol=1e-6)
    assert float((views.depth[0][solid] - found[solid]).abs().max()) > 0.005  # the splats have steps


def test_a_sphere_is_smooth() -> None:
    points = torch.nn.functional.normalize(torch.randn(3000, 3, generator=torch.Generator().manual_seed(1)), dim=1)
    views = MultiViewRenderer(RenderConfig(views=torch.eye(3)[None], image_size=128)).render(
        PointCloud(points, normals=points)
    )
    camera = views.cameras
    steps = (torch.arange(128) + 0.5 - 64) / camera.focal
    ray = torch.stack([steps.expand(128, 128), -steps[:, None].expand(128, 128), -torch.ones(128, 128)], -1)
    eye = camera.eyes()[0]
    half = ray @ eye
    inside = half.square() - ray.square().sum(-1) * (eye.square().sum() - 1)
    exact = (-half - inside.clamp_min(0).sqrt()) / ray.square().sum(-1)
    middle = (inside > 0.3) & (views.index[0] >= 0)
    errors = [float((depth[0][middle] - exact[middle]).abs().mean()) for depth in (views.depth, views.tangent_depth())]
    assert middle.sum() > 2000
    assert errors[1] < 0.25 * errors[0]


def test_no_plane_stands_more_steeply_than_75_degrees() -> None:
    """Seen from its edge a plane would reach any depth."""
    normal = torch.nn.functional.normalize(torch.tensor([0.0, 1.0, 0.02]), dim=0)
    views = MultiViewRenderer(RenderConfig(views=torch.eye(3)[None], image_size=64)).render(plane(500, normal))
    solid = views.index[0] >= 0
    place = views.index[0][solid]
    middle = torch.stack(torch.meshgrid(*2 * [torch.arange(64) + 0.5], indexing="xy"), -1)[solid]
    across = (middle - views.pixels[0, place]).norm(dim=1) / views.cameras.pixels_per_unit(views.depth)[0][solid]
    moved = (views.tangent_depth() - views.depth)[0][solid].abs()
    assert bool((moved <= math.tan(math.radians(75)) * across + 1e-5).all())


def test_the_picture_and_its_mesh() -> None:
    cloud = plane(1000, torch.tensor([0.0, 0.0, 1.0]))
    views = MultiViewRenderer(RenderConfig(views="faces6", image_size=32, supersample=2)).render(cloud)
    flat, tangent, mask = views.images(("depth", "tangent_depth", "mask")).unbind(1)
    assert flat.shape == (6, 32, 32)
    assert float(tangent.min()) >= 0 and float(tangent.max()) <= 1 and bool((tangent[mask == 0] == 0).all())
    corners = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.2], [0.0, 1.0, 0.1]])
    mesh = MultiViewRenderer(RenderConfig(image_size=32)).render(TriangleMesh(corners, torch.tensor([[0, 1, 2]])))
    assert torch.equal(mesh.tangent_depth(), mesh.depth)
