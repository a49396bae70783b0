"""PyTorch3D against ours, where it is installed; and what is said where it is not."""

from __future__ import annotations

import importlib
import math
import re
import sys

import pytest
import torch
from torch import Tensor

from pointadplus.cloud import PointCloud
from pointadplus.errors import ConfigError, install_command
from pointadplus.render import MultiViewRenderer, view_rotations
from pointadplus.render.pytorch3d_backend import fragments_pytorch3d, rasterize_pytorch3d, splat_pytorch3d
from pointadplus.render.soft import Fragments, rasterize_fragments, soft_composite
from pointadplus.render.splatting import Codes, Disc, splat
from pointadplus.render.window import Window
from tests.reference.rasterizer import rasterize


def installed() -> bool:
    try:
        importlib.import_module("pytorch3d.renderer.points.rasterize_points")
    except ImportError:
        return False
    return True


needs_pytorch3d = pytest.mark.skipif(not installed(), reason="PyTorch3D is not installed")


def random_splats(seed: int) -> tuple[Tensor, Tensor, Tensor | float, int]:
    """Pixels, depths (every other time with ties) with some behind the camera, radii of each form, the image's size."""
    source = torch.Generator().manual_seed(seed)
    views, count, size = 1 + seed % 3, 1 + 17 * (seed % 10), (16, 31, 48)[seed % 3]
    pixels = torch.rand(views, count, 2, generator=source) * (size + 12) - 6
    depth = torch.rand(views, count, generator=source) * 4 - 0.5
    per_view, per_point = (0.2 + 5 * torch.rand(views, n, generator=source) for n in (1, count))
    radius = (0.75 + seed % 5, per_view, per_point)[seed // 3 % 3]
    return pixels, depth.mul(4).round() / 4 if seed % 2 else depth, radius, size


def off_rims(pixels: Tensor, radius: Tensor | float, size: int) -> Tensor:
    """(V, H, W) whether a pixel's centre keeps more than 0.001 pixels from the rim of every splat."""
    steps = torch.arange(size, dtype=torch.float64) + 0.5
    offset = torch.cartesian_prod(steps, steps).flip(1)[:, None] - pixels.double()[:, None]
    gap = offset.norm(dim=-1) - torch.as_tensor(radius).expand(pixels.shape[:2])[:, None]
    return (gap.abs() > 1e-3).all(-1).unflatten(1, (size, size))


@needs_pytorch3d
@pytest.mark.parametrize("seed", range(30))
def test_the_same_points_are_in_front(seed: int) -> None:
    pixels, depth, radius, size = random_splats(seed)
    clear = off_rims(pixels, radius, size)
    assert clear.float().mean() > 0.9
    index, nearest = rasterize(pixels, depth, radius, size)
    other_index, other_nearest = rasterize_pytorch3d(pixels, depth, radius, size)
    assert other_index.dtype == index.dtype and torch.equal(other_index[clear], index[clear])
    assert torch.equal(other_nearest[clear], nearest[clear])  # no arithmetic touches a depth


@needs_pytorch3d
@pytest.mark.parametrize("seed", range(30))
def test_the_same_splats_are_nearest(seed: int) -> None:
    pixels, depth, radius, size = random_splats(seed)
    ours = rasterize_fragments(pixels, depth, radius, size, 1 + seed % 7)
    theirs = fragments_pytorch3d(pixels, depth, radius, size, 1 + seed % 7)
    clear = off_rims(pixels, radius, size)
    assert torch.equal(theirs.index[clear], ours.index[clear])
    assert torch.equal(theirs.depth[clear], ours.depth[clear])
    torch.testing.assert_close(theirs.squared_distance[clear], ours.squared_distance[clear], atol=2e-4, rtol=0.0)


@needs_pytorch3d
def test_points_that_are_nowhere_leave_no_mark() -> None:
    pixels = torch.tensor([[[math.nan, 4.0], [math.inf, 4.0], [1e30, -1e30], [4.0, 4.0], [4.0, 4.0], [-9.0, 4.0]]])
    depth = torch.tensor([[1.0, 1.0, 1.0, 0.0, math.nan, 1.0]])
    index, nearest = rasterize_pytorch3d(pixels, depth, 3.0, 8)
    assert (index == -1).all() and nearest.isposinf().all()


@needs_pytorch3d
@pytest.mark.parametrize("seed", range(1, 11))
def test_alpha_compositing_and_its_gradients_are_the_same(seed: int) -> None:
    from pytorch3d.renderer.compositing import alpha_composite  # pyright: ignore[reportMissingImports]

    pixels, depth, _, size = random_splats(seed)
    source = torch.Generator().manual_seed(seed)
    values, radius = torch.rand(depth.shape[1], 3, generator=source), 2.0 + 0.37 * seed
    pixels.requires_grad_()

    def blend(fragments: Fragments) -> Tensor:
        """PyTorch3D's own opacities and compositor, one view at a time: its numbers run through all views."""
        layers = fragments.index.permute(0, 3, 1, 2)
        opacity = 1.0 - fragments.squared_distance.permute(0, 3, 1, 2) / radius**2
        views = zip(layers, torch.where(layers < 0, 0.0, opacity), strict=True)
        return torch.cat([alpha_composite(index[None], alpha[None], values.T) for index, alpha in views])

    ours, _ = soft_composite(rasterize_fragments(pixels, depth, radius, size), pixels, radius, values)
    theirs = blend(fragments_pytorch3d(pixels, depth, radius, size))
    torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=0.0)
    weight = torch.rand(ours.shape, generator=source)
    gradients = [torch.autograd.grad((image * weight).sum(), pixels)[0] for image in (theirs, ours)]
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=0.0)


@needs_pytorch3d
@pytest.mark.parametrize("seed", range(1, 10))
def test_splats_are_the_same(seed: int) -> None:
    # No distance between two centres is the root of n + 0.5, so that none lies on a rim.
    disc = Disc(math.inf, 3 * seed + 0.5)
    window = Window(left=0, top=0, width=41, height=29, margin=disc.reach)
    codes = Codes(window, disc.reach)
    depth = torch.rand(2, 29, 41, generator=torch.Generator().manual_seed(seed)).add(1.0).mul(8).round()
    inner = torch.zeros(29, 41, dtype=torch.bool)
    inner[disc.reach : 29 - disc.reach, disc.reach : 41 - disc.reach] = True
    depth = torch.where(inner & (depth < 12), depth, math.inf).flatten(1)
    code = codes.encode(depth)
    ours, theirs = splat(code, disc, codes), splat_pytorch3d(code, disc, codes)
    assert theirs.dtype == ours.dtype and torch.equal(theirs < codes.nothing, ours < codes.nothing)
    assert torch.equal(codes.decode(theirs), codes.decode(ours)) and (ours < codes.nothing).any()


@needs_pytorch3d
def test_no_splat_where_there_is_nothing() -> None:
    window = Window(left=0, top=0, width=8, height=8, margin=2)
    codes = Codes(window, 2)
    empty = codes.encode(torch.full((2, 64), math.inf))
    assert (splat_pytorch3d(empty, Disc(math.inf, 4.5), codes) >= codes.nothing).all()


@needs_pytorch3d
@pytest.mark.parametrize("orthographic", [False, True])
@pytest.mark.parametrize("shape", ["sphere", "box", "blob", "twins"])
def test_both_backends_render_the_same_views(
    sphere: PointCloud, box: PointCloud, shape: str, orthographic: bool
) -> None:
    blob = torch.randn(400, 3, generator=torch.Generator().manual_seed(0)).mul(8).round()  # many at one depth
    clouds = {
        "sphere": sphere,
        "box": box,
        "blob": PointCloud.create(blob),
        "twins": PointCloud.create(sphere.points[:300].repeat(3, 1), normals=sphere.points[:300].repeat(3, 1)),
    }
    rotations = view_rotations("sphere7")[[1, 4]]
    ours, theirs = (
        MultiViewRenderer(views=rotations, image_size=48, orthographic=orthographic, backend=backend).render(
            clouds[shape]
        )
        for backend in ("torch", "pytorch3d")
    )
    assert torch.equal(theirs.index, ours.index) and torch.equal(theirs.depth, ours.depth)
    assert torch.equal(theirs.visible, ours.visible) and ours.visible.float().mean() > 0.02
    assert torch.equal(theirs.images(("headlight", "depth")), ours.images(("headlight", "depth")))


def test_a_backend_that_is_missing_is_named(sphere: PointCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch3d.structures", None)
    with pytest.raises(ConfigError, match="PyTorch3D is missing"):
        MultiViewRenderer(views="sphere1", image_size=16, backend="pytorch3d").render(sphere)


def test_what_to_install_is_said_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch3d.structures", None)
    with pytest.raises(ConfigError, match=r"torch 2\.11 or 2\.12.*" + re.escape(install_command("pytorch3d"))):
        rasterize_pytorch3d(torch.zeros(1, 1, 2), torch.ones(1, 1), 1.0, 8)
