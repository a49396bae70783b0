"""Soft splats against their naive twins, against the hard rasteriser, and gradients against finite differences."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from pointadplus.errors import ConfigError
from pointadplus.geometry.registration import rotation_from_axis_angle
from pointadplus.render import Cameras, frame_cameras, view_rotations
from pointadplus.render.soft import Fragments, rasterize_fragments, soft_composite, soft_images
from tests.reference import soft_raster as naive
from tests.reference.rasterizer import rasterize, visible_points

DOUBLE = torch.float64


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_sphere(count: int, seed: int = 0) -> Tensor:
    return normalize(torch.randn(count, 3, generator=generator(seed)), dim=1)


def scene(seed: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor, int]:
    """Pixels, depth, radius and image size: points in and out of the image, equally deep, behind the camera."""
    source = generator(seed)
    views, count, size = 1 + seed % 2, 1 + seed % 13, 6 + seed % 5
    pixels = torch.rand(views, count, 2, generator=source) * (size + 6) - 3
    depth = torch.randint(-1, 5, (views, count), generator=source)
    radius = (
        torch.rand(views, count, generator=source) * 5 + 0.1 if seed % 3 else torch.full((views, 1), 0.5 + seed % 4)
    )
    return pixels.to(dtype), depth.to(dtype), radius.to(dtype), size


def one_splat(x: float, y: float, radius: float, size: int = 4) -> tuple[Fragments, Tensor, float]:
    pixels = torch.tensor([[[x, y]]], dtype=DOUBLE)
    return rasterize_fragments(pixels, torch.ones(1, 1, dtype=DOUBLE), radius, size), pixels, radius


# Fragments


@pytest.mark.parametrize("seed", range(30))
def test_fragments_equal_their_naive_twin(seed: int) -> None:
    pixels, depth, radius, size = scene(seed)
    k = 1 + seed % 6
    fragments = rasterize_fragments(pixels, depth, radius, size, k)
    index, rim = (
        torch.from_numpy(each) for each in naive.fragments(*(each.numpy() for each in scene(seed)[:3]), size, k)
    )
    assert rim.float().mean() <= 0.05
    assert torch.equal(fragments.index[~rim], index[~rim])
    front, nearest = rasterize(pixels, depth, radius, size)  # the plain twin of other tests obeys the same loops
    assert torch.equal(front[~rim], index[~rim][:, 0])
    assert torch.equal(nearest[~rim], fragments.depth[~rim][:, 0])
    view, row, column, _ = (fragments.index >= 0).nonzero(as_tuple=True)
    there = fragments.index[fragments.index >= 0]
    centre = torch.stack([column, row], -1) + 0.5
    torch.testing.assert_close(
        fragments.squared_distance[fragments.index >= 0], (pixels[view, there] - centre).square().sum(1)
    )
    assert torch.equal(fragments.depth[fragments.index >= 0], depth[view, there])
    assert fragments.depth[fragments.index < 0].isposinf().all()
    assert fragments.squared_distance[fragments.index < 0].isposinf().all()


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), half_steps=st.integers(1, 14), chunk=st.sampled_from([1, 700, 1 << 22]))
def test_the_first_fragment_is_the_rasterisers_also_on_the_rim(seed: int, half_steps: int, chunk: int) -> None:
    source = generator(seed)
    pixels = torch.randint(-4, 30, (2, 60, 2), generator=source) * 0.5  # many centres lie exactly on a rim
    depth = torch.randint(-1, 6, (2, 60), generator=source) * 0.1
    radius = 0.25 * half_steps if seed % 2 else torch.randint(0, 2 * half_steps, (2, 60), generator=source) * 0.25
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pointadplus.render.soft._CHUNK", chunk)
        fragments = rasterize_fragments(pixels, depth, radius, 12, 3)
    index, nearest = rasterize(pixels, depth, radius, 12)
    assert torch.equal(fragments.index[..., 0], index) and torch.equal(fragments.depth[..., 0], nearest)
    solid = fragments.index >= 0
    assert (solid[..., 1:] <= solid[..., :-1]).all()
    assert (fragments.depth[..., 1:] >= fragments.depth[..., :-1]).all()


def test_the_first_fragment_of_projected_clouds_is_the_rasterisers() -> None:
    points = random_sphere(3000)
    pixels, depth = frame_cameras(points, view_rotations("sphere5"), 64).project(points)
    for radius in (0.75, 1.5, 4.1):
        assert torch.equal(
            rasterize_fragments(pixels, depth, radius, 64).index[..., 0], rasterize(pixels, depth, radius, 64)[0]
        )


def test_chunks_of_points_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    points = random_sphere(500)
    pixels, depth = frame_cameras(points, view_rotations("sphere3"), 32).project(points)
    whole = rasterize_fragments(pixels, depth, 2.5, 32)
    monkeypatch.setattr("pointadplus.render.soft._CHUNK", 1000)
    parts = rasterize_fragments(pixels, depth, 2.5, 32)
    assert torch.equal(whole.index, parts.index) and torch.equal(whole.depth, parts.depth)


def test_fragments_are_the_same_bits_every_time_and_in_any_number_of_threads() -> None:
    points = random_sphere(3000)
    pixels, depth = frame_cameras(points, view_rotations("sphere8"), 64).project(points)
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2, 2):
            torch.set_num_threads(count)
            results.append(rasterize_fragments(pixels, depth, 2.5, 64))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert torch.equal(other.index, results[0].index) and torch.equal(other.depth, results[0].depth)


def test_points_that_are_nowhere_leave_no_mark() -> None:
    pixels = torch.tensor([[[math.nan, 4.0], [math.inf, 4.0], [1e30, -1e30], [4.0, 4.0], [4.0, 4.0], [-9.0, 4.0]]])
    depth = torch.tensor([[1.0, 1.0, 1.0, -1.0, math.nan, 1.0]])
    fragments = rasterize_fragments(pixels, depth, 3.0, 8)
    assert (fragments.index == -1).all() and fragments.depth.isposinf().all()


def test_points_outside_the_frame_or_behind_the_eye_are_not_visible() -> None:
    pixels = torch.tensor([[[4.0, 4.0], [-0.1, 4.0], [8.0, 4.0], [4.0, 4.0], [7.9, 0.0]]])
    depth = torch.tensor([[1.0, 1.0, 1.0, -1.0, 1.0]])
    empty = torch.full((1, 8, 8), math.inf)
    assert visible_points(pixels, depth, empty, 0.0)[0].tolist() == [True, False, False, False, True]


# Compositing


def test_one_splat_has_pytorch3ds_opacity() -> None:
    """α = 1 − d² / r², at the pixel's own centre, beside it, on the rim and outside."""
    fragments, pixels, radius = one_splat(1.5, 1.5, 2.0)
    images, mask = soft_composite(fragments, pixels, radius, torch.full((1, 1), 3.0, dtype=DOUBLE))
    assert mask[0, 1].tolist() == [0.75, 1.0, 0.75, 0.0]
    assert images[0, 0, 1].tolist() == [2.25, 3.0, 2.25, 0.0]
    assert fragments.index[0, 1, 3].tolist() == [0] + 7 * [-1]
    _, sharp = soft_composite(fragments, pixels, radius, torch.ones(1, 1, dtype=DOUBLE), sharpness=2.0)
    assert sharp[0, 1].tolist() == [1 - 0.25**2, 1.0, 1 - 0.25**2, 0.0]


def test_two_splats_blend_front_to_back_over_the_background() -> None:
    pixels, radius = torch.tensor([[[1.5, 0.5], [0.5, 0.5]]]), torch.tensor([[2.0, 2.0]])
    fragments = rasterize_fragments(pixels, torch.tensor([[2.0, 1.0]]), radius, 2)
    values = torch.tensor([[[10.0, 1.0], [20.0, 0.0]]])
    background = torch.tensor([100.0, 8.0])
    images, mask = soft_composite(fragments, pixels, radius, values, background=background)
    # The right pixel: ¾ of the front splat, then all of the one behind; below it, d² = 1 + 1 and 1.
    assert images[0, :, 0, 1].tolist() == [0.75 * 20 + 0.25 * 10, 0.25]
    assert images[0, :, 1, 1].tolist() == [0.5 * 20 + 0.5 * 0.75 * 10 + 0.125 * 100, 0.5 * 0.75 + 0.125 * 8]
    assert mask[0].tolist() == [[1.0, 1.0], [0.75 + 0.25 * 0.5, 0.5 + 0.5 * 0.75]]


@pytest.mark.parametrize("seed", range(16))
@pytest.mark.parametrize("sharpness", [1.0, 2.5])
def test_compositing_equals_its_naive_twin(seed: int, sharpness: float) -> None:
    pixels, depth, radius, size = scene(seed, DOUBLE)
    values = torch.randn(*depth.shape, 3, generator=generator(seed), dtype=DOUBLE)
    values = values if seed % 2 else values[:1].expand_as(values)
    fragments = rasterize_fragments(pixels, depth, radius, size, 4)
    given_values = values if seed % 2 else values[0]
    found = soft_composite(fragments, pixels, radius, given_values, sharpness=sharpness, background=0.5)
    wide = radius.expand(depth.shape)
    arrays = (each.numpy() for each in (fragments.index, pixels, wide, values))
    for mine, twin in zip(found, naive.composite(*arrays, sharpness, 0.5), strict=True):
        torch.testing.assert_close(mine, torch.from_numpy(twin))


def test_a_growing_sharpness_tends_to_the_hard_picture() -> None:
    """Between soft and hard at most (d²/r²)^s of the range; less at every step; < 1e-3 within 0.94 r at s = 64."""
    points = random_sphere(60)
    values = torch.rand(60, 2, generator=generator(1), dtype=DOUBLE)
    pixels, depth = frame_cameras(points.double(), view_rotations("sphere3"), 24).project(points.double())
    fragments = rasterize_fragments(pixels, depth, 3.0, 24, 6)
    front = fragments.index[..., 0]
    solid, share = front >= 0, fragments.squared_distance[..., 0] / 9.0
    hard = torch.where(solid[..., None], values[front.clamp_min(0)], 0.0).permute(0, 3, 1, 2)
    portions = torch.eye(60, dtype=DOUBLE)
    before = torch.full(front.shape, 2.0, dtype=DOUBLE)
    for sharpness in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0):
        images, mask = soft_composite(fragments, pixels, 3.0, values, sharpness=sharpness)
        bound = share**sharpness
        assert ((images - hard).abs().amax(1) <= bound + 1e-12)[solid].all()
        assert ((1.0 - mask) <= bound + 1e-12)[solid].all() and (mask[~solid] == 0).all()
        blend, _ = soft_composite(fragments, pixels, 3.0, portions, sharpness=sharpness)  # what each point contributes
        astray = 1.0 - blend.gather(1, front.clamp_min(0)[:, None])[:, 0]
        torch.testing.assert_close(astray[solid], bound[solid])
        assert (astray <= before)[solid].all()
        before = astray
    inside = solid & (share <= 0.94**2)
    assert inside.sum() > 0.8 * solid.sum()
    assert (images - hard).abs().amax(1)[inside].max() < 1e-3


@pytest.mark.parametrize(
    "cloud",
    {
        "one": torch.zeros(1, 3),
        "duplicates": torch.ones(20, 3),
        "line": torch.linspace(-1, 1, 30)[:, None] * torch.tensor([1.0, 2.0, 3.0]),
        "plane": torch.cartesian_prod(torch.arange(6.0), torch.arange(6.0), torch.zeros(1)),
    }.items(),
    ids=lambda item: item[0],
)
def test_degenerate_clouds(cloud: tuple[str, Tensor]) -> None:
    points = cloud[1].clone().requires_grad_()
    values = torch.ones(len(points), 1, requires_grad=True)
    cameras = frame_cameras(points.detach(), view_rotations("faces6"), 16)
    turn = torch.zeros(6, 3, requires_grad=True)
    posed = replace(cameras, rotation=rotation_from_axis_angle(turn) @ cameras.rotation)
    images, mask = soft_images(posed, points, values, 2.0)
    assert images.shape == (6, 1, 16, 16) and (mask.amax((1, 2)) > 0.7).all() and mask.max() <= 1
    torch.testing.assert_close(images[:, 0], mask)  # as all values are 1
    (images.square().sum() + mask.sum()).backward()
    for leaf in (points, values, turn):
        assert leaf.grad is not None and leaf.grad.isfinite().all()
    first = rasterize_fragments(*cameras.project(points.detach()), 2.0, 16).index[..., 0]
    assert cloud[0] != "duplicates" or first.max() == 0  # of equally near points, the first


def test_points_that_are_nowhere_leave_the_background() -> None:
    places = [[math.nan, 4.0], [math.inf, 4.0], [4.0, 4.0], [4.0, 4.0], [-9.0, 4.0]]
    pixels, depth = torch.tensor([places], requires_grad=True), torch.tensor([[1.0, 1.0, -1.0, math.nan, 1.0]])
    fragments = rasterize_fragments(pixels, depth, 3.0, 8)
    images, mask = soft_composite(fragments, pixels, 3.0, torch.ones(5, 2), background=7.0)
    assert (fragments.index == -1).all() and (images == 7.0).all() and (mask == 0).all()
    assert torch.equal(torch.autograd.grad(images.sum(), pixels)[0], torch.zeros(1, 5, 2))


@pytest.mark.parametrize(("option", "value"), [("k", 0), ("sharpness", 0.5), ("sharpness", math.nan)])
def test_options_out_of_range_are_refused(option: str, value: float) -> None:
    points = torch.zeros(1, 3)
    with pytest.raises(ConfigError, match=option):
        soft_images(frame_cameras(points, torch.eye(3)[None], 8), points, points, 1.0, **{option: value})


# Gradients


def tame_cloud() -> tuple[Cameras, Tensor, Tensor]:
    """Two views of five points in float64, each with a margin to every jump: rims and changes of order in depth."""
    for seed in range(100):
        points = torch.randn(5, 3, generator=generator(seed), dtype=DOUBLE)
        cameras = frame_cameras(points, view_rotations("sphere2"), 6)
        pixels, depth = cameras.project(points)
        steps = torch.arange(6, dtype=DOUBLE) + 0.5
        centres = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).view(1, -1, 2)
        gaps = (torch.cdist(pixels, centres.expand(2, -1, -1)) - 1.7).abs()
        if gaps.min() > 1e-3 and depth.sort(1).values.diff(dim=1).min() > 1e-3:
            return cameras, points, torch.randn(5, 2, generator=generator(seed + 1), dtype=DOUBLE)
    raise AssertionError("no tame cloud")


@pytest.mark.parametrize("sharpness", [1.0, 3.0])
def test_gradients_of_points_values_pose_and_radius(sharpness: float) -> None:
    cameras, points, values = tame_cloud()
    turn = torch.zeros(2, 3, dtype=DOUBLE)
    shift = torch.zeros(2, 3, dtype=DOUBLE)
    radius = torch.full((1, 5), 1.7, dtype=DOUBLE)

    def render(*inputs: Tensor) -> tuple[Tensor, Tensor]:
        points, values, turn, shift, radius = inputs
        rotation = rotation_from_axis_angle(turn) @ cameras.rotation
        posed = replace(cameras, rotation=rotation, center=cameras.center + shift)
        return soft_images(posed, points, values, radius, sharpness=sharpness)

    inputs = tuple(each.clone().requires_grad_() for each in (points, values, turn, shift, radius))
    assert torch.autograd.gradcheck(render, inputs)


def test_gradients_of_values_of_each_view_and_of_the_background() -> None:
    cameras, points, values = tame_cloud()
    pixels, depth = cameras.project(points)
    fragments = rasterize_fragments(pixels, depth, 1.7, 6, 3)
    inputs = torch.stack([values, values.flip(0)]).requires_grad_(), torch.ones(2, dtype=DOUBLE, requires_grad=True)
    composite = lambda values, background: soft_composite(fragments, pixels, 1.7, values, background=background)  # noqa: E731
    assert torch.autograd.gradcheck(composite, inputs)


@pytest.mark.parametrize("sharpness", [1.0, 1.5, 64.0])
@pytest.mark.parametrize("radius", [0.0, 1.0, 2.0])
def test_gradients_are_finite_at_the_centre_and_on_the_rim_of_a_disc(radius: float, sharpness: float) -> None:
    pixels = torch.tensor([[[1.5, 1.5], [1.5, 1.5], [2.5, 1.5]]], requires_grad=True)
    radii = torch.full((1, 3), radius, requires_grad=True)
    values = torch.ones(3, 1, requires_grad=True)
    fragments = rasterize_fragments(pixels, torch.ones(1, 3), radii, 5)
    images, mask = soft_composite(fragments, pixels, radii, values, sharpness=sharpness)
    assert mask[0, 1, 1] == 1
    (images.sum() + mask.square().sum()).backward()
    for leaf in (pixels, radii, values):
        assert leaf.grad is not None and leaf.grad.isfinite().all()


def test_points_behind_the_camera_get_no_gradient() -> None:
    points = torch.tensor([[0.0, 0.0, 9.0], [0.1, 0.0, 0.0]], requires_grad=True)
    cameras = Cameras(torch.eye(3)[None], torch.zeros(1, 3), torch.tensor([4.0]), torch.ones(1), 16)
    images, _ = soft_images(cameras, points, torch.ones(2, 1), 3.0)
    images[..., :8].sum().backward()
    assert points.grad is not None and points.grad.isfinite().all()
    assert (points.grad[0] == 0).all() and points.grad[1, 0] < 0  # to the left, into the half that is summed


def test_a_turned_object_is_turned_back_by_its_pictures() -> None:
    points, values = random_sphere(400), torch.rand(400, 3, generator=generator(2))
    cameras = frame_cameras(points, view_rotations("sphere2"), 32)
    target, _ = soft_images(cameras, points, values, 3.0)
    turn = torch.tensor([0.06, -0.05, 0.04], requires_grad=True)
    for step in range(20):
        rotation = cameras.rotation @ rotation_from_axis_angle(turn)
        images, _ = soft_images(replace(cameras, rotation=rotation), points, values, 3.0)
        (gradient,) = torch.autograd.grad((images - target).square().mean(), turn)
        turn = (turn - 0.02 * 0.8**step * normalize(gradient, dim=0)).detach().requires_grad_()
    assert turn.norm() < 0.1 * 0.0877  # a tenth of where it began


def test_the_same_bits_in_any_number_of_threads() -> None:
    points, values = random_sphere(3000), torch.rand(3000, 4, generator=generator(3))
    cameras = frame_cameras(points, view_rotations("sphere4"), 64)
    pixels, depth = cameras.project(points)
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2, 2):
            torch.set_num_threads(count)
            leaves = pixels.clone().requires_grad_(), values.clone().requires_grad_()
            fragments = rasterize_fragments(pixels, depth, 2.5, 64)
            images, mask = soft_composite(fragments, leaves[0], 2.5, leaves[1])
            gradients = torch.autograd.grad(images, leaves, images.detach())
            results.append((fragments.index, fragments.squared_distance, images, mask, *gradients))
    finally:
        torch.set_num_threads(threads)
    for result in results[1:]:
        assert all(torch.equal(mine, first) for mine, first in zip(result, results[0], strict=True))


# Rotations


def test_axis_angle_is_rodrigues_formula() -> None:
    axis_angle = 3.0 * torch.randn(50, 3, generator=generator(4), dtype=DOUBLE)
    angle = axis_angle.norm(dim=1, keepdim=True)
    vector = torch.randn(50, 3, generator=generator(5), dtype=DOUBLE)
    axis = axis_angle / angle
    along = (axis * vector).sum(1, keepdim=True) * axis
    expected = along + angle.cos() * (vector - along) + angle.sin() * torch.linalg.cross(axis, vector)
    rotation = rotation_from_axis_angle(axis_angle)
    torch.testing.assert_close((rotation @ vector[..., None])[..., 0], expected)
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3, dtype=DOUBLE).expand(50, 3, 3))
    about_z = rotation_from_axis_angle(torch.tensor([0.0, 0.0, math.pi / 2]))
    torch.testing.assert_close(about_z, torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))


def test_axis_angle_is_differentiable_also_at_zero() -> None:
    vectors = torch.tensor([[0.0, 0.0, 0.0], [0.3, -0.2, 2.0]], dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(rotation_from_axis_angle, (vectors,))
    assert torch.equal(rotation_from_axis_angle(vectors)[0].detach(), torch.eye(3, dtype=DOUBLE))
