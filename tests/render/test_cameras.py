"""Cameras: the named view sets, both projections and their way back, framing of any size, place and shape of cloud."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch.nn.functional import normalize

from pointadplus.cloud import PointCloud
from pointadplus.errors import ConfigError
from pointadplus.render.cameras import Cameras, frame_cameras, view_rotations

ONE_VIEW = torch.eye(3)[None]
both_projections = pytest.mark.parametrize("orthographic", [False, True])
every_framing = pytest.mark.parametrize("framing", ["sphere", "enclosing", "box"])
seeds = st.integers(0, 2**32)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_cloud(count: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(count, 3, generator=generator(seed), dtype=dtype) * torch.tensor([1.0, 2.0, 0.5], dtype=dtype)


def any_cameras(orthographic: bool, seed: int = 0, views: int = 3, size: int = 64) -> Cameras:
    """Cameras at odd places in float64, before which a standard normal cloud's points mostly lie."""
    quaternions = torch.randn(views, 4, generator=generator(seed), dtype=torch.float64)
    rotation = torch.from_numpy(Rotation.from_quat(quaternions.numpy()).as_matrix())
    center = torch.randn(views, 3, generator=generator(seed), dtype=torch.float64)
    distance = 5.0 + 5.0 * torch.rand(views, generator=generator(seed), dtype=torch.float64)
    return Cameras(rotation, center, distance, torch.ones(views, dtype=torch.float64), size, orthographic)


# View sets


def test_cpmf27_is_the_grid_of_turns_about_x_y_z_with_z_fastest() -> None:
    angles = list(itertools.product((0.0, -15.0, 15.0), repeat=3))
    expected = Rotation.from_euler("XYZ", angles, degrees=True).as_matrix()  # intrinsic: Rx Ry Rz
    rotations = view_rotations("cpmf27")
    np.testing.assert_allclose(rotations.numpy(), expected, atol=1e-7)
    assert torch.equal(rotations[0], torch.eye(3))


def test_faces6_looks_from_the_axes_with_a_stated_up() -> None:
    x, y, z = torch.eye(3)
    rotations = view_rotations("faces6")
    torch.testing.assert_close(rotations[:, 2], torch.stack([x, -x, y, -y, z, -z]), atol=0.0, rtol=0.0)
    torch.testing.assert_close(rotations[:, 1], torch.stack([y, y, -z, z, y, y]), atol=0.0, rtol=0.0)
    assert torch.equal(rotations[:, 0], torch.linalg.cross(rotations[:, 1], rotations[:, 2]))  # right-handed


@pytest.mark.parametrize(("views", "count"), [("pointad9", 9), ("cpmf27", 27), ("faces6", 6), ("sphere(17)", 17)])
def test_named_sets_are_distinct_rotations_whose_number_the_name_tells(views: str, count: int) -> None:
    rotations = view_rotations(views)
    assert rotations.shape == (count, 3, 3) and rotations.dtype == torch.float32
    torch.testing.assert_close(rotations @ rotations.mT, torch.eye(3).expand(count, 3, 3))
    assert (torch.linalg.det(rotations) > 0).all()
    assert torch.pdist(rotations.flatten(1)).min() > 0.1


def test_rotations_come_as_a_tensor_a_list_or_a_tuple() -> None:
    rotations = view_rotations("faces6").double()
    for views in (rotations, list(rotations), tuple(rotations)):
        assert torch.equal(view_rotations(views), rotations.float())


def test_an_unknown_name_is_answered_with_all_names() -> None:
    with pytest.raises(ConfigError) as raised:
        view_rotations("cube")
    for answer in ("'pointad9'", "'cpmf27'", "'faces6'", "'sphere12'", "found: cube"):
        assert answer in str(raised.value)


@pytest.mark.parametrize(
    ("views", "found"),
    [
        (torch.eye(3), r"found: \(3, 3\)"),
        (torch.empty(0, 3, 3), r"found: \(0, 3, 3\)"),
        ([], r"found: \[\]"),
        ([torch.eye(3), torch.eye(2)], r"found: \[\(3, 3\), \(2, 2\)\]"),
        ([torch.eye(3), 2 * torch.eye(3)], r"views: views are not rotations"),
    ],
)
def test_what_is_no_list_of_rotations_is_refused(views: Tensor | list[Tensor], found: str) -> None:
    with pytest.raises(ConfigError, match=found):
        view_rotations(views)


# Projections


def test_orthographic_projection_in_closed_form() -> None:
    cameras = Cameras(ONE_VIEW, torch.zeros(1, 3), torch.tensor([4.0]), torch.ones(1), 100, orthographic=True)
    points = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, -3.0], [0.0, 1.0, 3.5], [1.0, 1.0, 2.0], [1.0, 0.0, 5.0]])
    pixels, depth = cameras.project(points)
    step = 50.0 * math.sqrt(3.0) / 4.0
    assert depth[0].tolist() == [4.0, 7.0, 0.5, 2.0, -1.0]
    offset = step * torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, -1.0], [1.0, -1.0], [1.0, 0.0]])
    torch.testing.assert_close(pixels[0], 50.0 + offset)
    assert not torch.allclose(replace(cameras, orthographic=False).project(points)[0][0, 1], pixels[0, 1])


@both_projections
@given(st.integers(1, 4), st.integers(1, 8), seeds)
@settings(max_examples=40, deadline=None)
def test_pixels_and_depth_lead_back_to_the_points(orthographic: bool, views: int, count: int, seed: int) -> None:
    cameras = any_cameras(orthographic, seed, views)
    points = torch.randn(count, 3, generator=generator(seed + 1), dtype=torch.float64)
    pixels, depth = cameras.project(points)
    x, y = (pixels - 32.0).div(cameras.pixels_per_unit(depth)[..., None]).unbind(-1)
    in_view = torch.stack([x, -y, cameras.distance[:, None] - depth], -1)
    back = in_view @ cameras.rotation + cameras.center[:, None]
    torch.testing.assert_close(back, points.expand_as(back), atol=1e-9, rtol=0.0)


@both_projections
def test_pixels_per_unit_is_what_a_step_across_the_axis_spans(orthographic: bool) -> None:
    cameras, step = any_cameras(orthographic), 0.37
    points = random_cloud(10, dtype=torch.float64)
    pixels, depth = cameras.project(points)
    scale = cameras.pixels_per_unit(depth)
    for v in range(3):
        for axis, sign in ((0, 1.0), (1, -1.0)):
            moved = cameras.project(points + step * cameras.rotation[v, axis])[0][v]
            torch.testing.assert_close(moved[:, axis] - pixels[v, :, axis], sign * step * scale[v])
    maps = depth.view(3, 2, 5)
    assert torch.equal(cameras.pixels_per_unit(maps), scale.view(3, 2, 5))
    assert torch.equal(cameras.pixels_per_unit(depth[:, 0]), scale[:, 0])
    at_center = cameras.focal / cameras.distance
    torch.testing.assert_close(cameras.pixels_per_unit(cameras.distance), at_center)
    assert (scale == at_center[:, None]).all().item() == orthographic


@both_projections
def test_a_pixels_ray_leads_from_its_points_toward_the_eye(orthographic: bool) -> None:
    cameras = any_cameras(orthographic, size=8)
    rays = cameras.rays()
    depth = torch.rand(3, 8, 8, dtype=torch.float64, generator=generator(1)) + 1.0
    centers = torch.arange(8, dtype=torch.float64) + 0.5
    y, x = torch.meshgrid(4.0 - centers, centers - 4.0, indexing="ij")
    assert rays.dtype == torch.float64 and rays.shape == (3, 8, 8)
    for v in range(3):
        scale = cameras.pixels_per_unit(depth)[v]
        in_view = torch.stack([x / scale, y / scale, cameras.distance[v] - depth[v]]).flatten(1)
        points = (cameras.rotation[v].T @ in_view).T + cameras.center[v]
        toward = cameras.toward_eye(points)
        assert toward.shape == (3, 64, 3)
        torch.testing.assert_close((toward[v] @ cameras.rotation[v].T).T.view(3, 8, 8), rays)


@both_projections
def test_toward_eye_follows_the_eye(orthographic: bool) -> None:
    cameras, points = any_cameras(orthographic), random_cloud(30, dtype=torch.float64)
    sight = cameras.eyes()[:, None] - points
    if orthographic:  # as from infinitely far away
        sight = sight + 1e9 * cameras.rotation[:, None, 2]
    torch.testing.assert_close(cameras.toward_eye(points), normalize(sight, dim=-1), atol=1e-7, rtol=0.0)
    _, depth = cameras.project(cameras.eyes())
    torch.testing.assert_close(depth.diagonal(), torch.zeros(3, dtype=torch.float64), atol=1e-12, rtol=0.0)


@both_projections
def test_gradients_flow_to_points_and_cameras(orthographic: bool) -> None:
    cameras = any_cameras(orthographic)
    points = random_cloud(5, dtype=torch.float64)
    assert (cameras.project(points)[1] > 0).all()

    def project(points: Tensor, rotation: Tensor, center: Tensor, distance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        moved = replace(cameras, rotation=rotation, center=center, distance=distance)
        return *moved.project(points), moved.toward_eye(points)

    inputs = [each.clone().requires_grad_() for each in (points, cameras.rotation, cameras.center, cameras.distance)]
    assert torch.autograd.gradcheck(project, inputs)


@both_projections
def test_gradients_stay_finite_for_points_in_the_eye(orthographic: bool) -> None:
    cameras = any_cameras(orthographic, views=1)
    points = cameras.eyes().requires_grad_()
    pixels, depth = cameras.project(points)
    (pixels.sum() + depth.sum() + cameras.toward_eye(points).sum()).backward()
    assert points.grad is not None and torch.isfinite(points.grad).all()


# Framing


@both_projections
def test_the_sphere_spans_its_share_in_either_projection(orthographic: bool) -> None:
    half = normalize(torch.randn(3000, 3, generator=generator(2)), dim=1)
    points = torch.cat([half, -half])  # whose mean is 0
    for fill in (0.3, 0.8, 1.0):
        cameras = frame_cameras(points, view_rotations("faces6"), 200, "sphere", fill, orthographic)
        pixels, depth = cameras.project(points)
        reach = pixels.sub(100.0).norm(dim=-1).amax(1)
        assert (reach < 100.001 * fill).all() and (reach > 99.9 * fill).all()
        assert (depth > 0).all() and cameras.orthographic == orthographic


@both_projections
def test_the_box_spans_its_share_in_either_projection(orthographic: bool) -> None:
    points = random_cloud(400)
    cameras = frame_cameras(points, view_rotations("cpmf27"), 140, "box", orthographic=orthographic)
    turned = (cameras.rotation @ points.T).mT
    extents = turned.amax(1) - turned.amin(1)
    spans = extents * cameras.pixels_per_unit(cameras.distance)[:, None]
    torch.testing.assert_close(spans.amax(1), torch.full((27,), 100.0))
    pixels, depth = cameras.project(points)
    assert (depth > 0).all()
    if orthographic:  # what holds at the centre's depth, then holds of the picture
        torch.testing.assert_close(pixels.amax(1) - pixels.amin(1), spans[:, :2], atol=1e-3, rtol=0.0)
        middle = 0.5 * (pixels.amax(1) + pixels.amin(1))
        torch.testing.assert_close(middle, torch.full((27, 2), 70.0), atol=1e-3, rtol=0.0)


@every_framing
@both_projections
@given(st.integers(1, 60), st.integers(-10, 10), st.floats(1e-3, 1e3), seeds)
@settings(max_examples=20, deadline=None)
def test_scale_does_not_matter(
    framing: str, orthographic: bool, count: int, power: int, factor: float, seed: int
) -> None:
    """Powers of two change no bit of the pixels; other factors round the coordinates, and no more."""
    points, rotations = random_cloud(count, seed) if count > 1 else torch.ones(1, 3), view_rotations("faces6")
    frame = lambda cloud: frame_cameras(cloud, rotations, 100, framing, orthographic=orthographic)  # noqa: E731
    pixels, depth = frame(points).project(points)
    doubled, doubled_depth = frame(points * 2.0**power).project(points * 2.0**power)
    assert torch.equal(doubled, pixels)
    assert count == 1 or torch.equal(doubled_depth, depth * 2.0**power)
    other, _ = frame(points * factor).project(points * factor)
    torch.testing.assert_close(other, pixels, atol=2e-3, rtol=0.0)


def far_errors(prepare: Callable[[np.ndarray], Tensor], framing: str, orthographic: bool) -> tuple[float, float]:
    """By how many pixels a cloud's move to 10⁶ moves its picture, and how many pixels a float32 step is there."""
    near = random_cloud(500, seed=3, dtype=torch.float64).numpy()
    pictures = []
    for offset in (0.0, 1e6):
        points = prepare(near + np.array([offset, -offset, offset]))
        cameras = frame_cameras(points, view_rotations("cpmf27"), 200, framing, orthographic=orthographic)
        pixels, depth = cameras.project(points)
        assert torch.isfinite(pixels).all() and (depth > 0).all()
        pictures.append((pixels, cameras.pixels_per_unit(depth).max().item()))
    step = float(np.spacing(np.float32(1e6))) * pictures[0][1]
    return (pictures[1][0] - pictures[0][0]).abs().max().item(), step


@every_framing
@both_projections
def test_a_far_cloud_keeps_its_picture_in_float64_and_less_its_mean(framing: str, orthographic: bool) -> None:
    assert far_errors(torch.from_numpy, framing, orthographic)[0] < 1e-6
    centered = lambda points: torch.from_numpy((points - points.mean(0)).astype(np.float32))  # noqa: E731
    assert far_errors(centered, framing, orthographic)[0] < 1e-3


@every_framing
@both_projections
def test_a_far_cloud_in_float32_moves_by_its_rounding_and_a_cloud_does_not(framing: str, orthographic: bool) -> None:
    error, step = far_errors(lambda points: torch.from_numpy(points.astype(np.float32)), framing, orthographic)
    assert error < 3.0 * step
    normalized = lambda points: PointCloud.create(points).normalized()[0].points  # noqa: E731
    error, step = far_errors(normalized, framing, orthographic)
    assert error < 1e-3  # a cloud keeps its digits about an offset


@every_framing
@both_projections
def test_a_far_cloud_that_float32_holds_keeps_its_picture_once_normalized(framing: str, orthographic: bool) -> None:
    points = torch.randint(-40, 40, (300, 3), generator=generator(4)) * 0.125  # exact at 10⁶, too, like many scans
    pictures = []
    for offset in (0.0, 1e6):
        cloud, _ = PointCloud.create(points + offset).normalized()
        cameras = frame_cameras(cloud.points, view_rotations("faces6"), 200, framing, orthographic=orthographic)
        pictures.append(cameras.project(cloud.points)[0])
    torch.testing.assert_close(pictures[1], pictures[0], atol=1e-3, rtol=0.0)


LINE = torch.linspace(-1.0, 1.0, 50)[:, None]
DEGENERATE = {
    "one point": torch.tensor([[3.0, -2.0, 1.0]]),
    "two points": torch.tensor([[3.0, -2.0, 1.0], [3.0, -2.0, 2.0]]),
    "duplicates": torch.tensor([[0.1, 0.2, 0.3]]).repeat(1001, 1),
    "duplicates and one more": torch.cat([torch.zeros(500, 3), torch.ones(1, 3)]),
    "along the optical axis": LINE * torch.tensor([[0.0, 0.0, 1.0]]) + 5.0,
    "collinear": LINE * torch.tensor([[1.0, -2.0, 0.5]]),
    "planar": torch.cartesian_prod(LINE[:, 0], LINE[:, 0], torch.zeros(1)),
}


@every_framing
@both_projections
@pytest.mark.parametrize("shape", DEGENERATE)
def test_degenerate_clouds_stand_in_the_frame(shape: str, framing: str, orthographic: bool) -> None:
    points = DEGENERATE[shape]
    for views in ("pointad9", "faces6"):
        cameras = frame_cameras(points, view_rotations(views), 100, framing, orthographic=orthographic)
        pixels, depth = cameras.project(points)
        assert (cameras.radius > 0).all() and (depth > 0).all()
        # In perspective, PointAD's box may show a near corner up to E / 2 off the axis and E / 2 before the centre.
        reach = 86.6 / (1.4 * math.sqrt(3.0) - 1.0) if framing == "box" and not orthographic else 50.0
        assert (pixels - 50.0).abs().max() < reach + 0.1
        torch.testing.assert_close(cameras.toward_eye(points).norm(dim=-1), torch.ones_like(depth))
        if len(points.unique(dim=0)) == 1:
            torch.testing.assert_close(pixels, torch.full_like(pixels, 50.0), atol=1e-4, rtol=0.0)


@both_projections
def test_cameras_give_the_same_bits_in_any_number_of_threads(orthographic: bool) -> None:
    points, threads, results = random_cloud(40_001), torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            both = [
                frame_cameras(points, view_rotations("faces6"), 64, f, 0.9, orthographic) for f in ("sphere", "box")
            ]
            results.append(
                [part for cameras in both for part in (*cameras.project(points), cameras.toward_eye(points))]
            )
    finally:
        torch.set_num_threads(threads)
    for result in results[1:]:
        assert all(torch.equal(one, other) for one, other in zip(result, results[0], strict=True))


@both_projections
def test_the_sphere_is_centred_on_what_is_there_not_on_where_it_is_dense(orthographic: bool) -> None:
    """A dense ball with a thin spout: the mean lies in the ball, the middle of the picture between both ends."""
    source = torch.Generator().manual_seed(0)
    ball = torch.nn.functional.normalize(torch.randn(4000, 3, generator=source), dim=1)
    spout = torch.rand(400, 3, generator=source) * torch.tensor([4.0, 0.2, 0.2]) - torch.tensor([0.0, 0.1, 0.1])
    points = torch.cat([ball, spout])
    rotations = view_rotations("sphere12")
    cameras = frame_cameras(points, rotations, 100, "enclosing", orthographic=orthographic)
    assert abs(float(cameras.center[0, 0]) - 1.5) < 0.3  # ends at −1 and 4
    assert 2.5 <= float(cameras.radius[0]) < 2.8  # about the mean: 3.8
    pixels = cameras.project(points)[0]
    assert pixels.amin() > 0 and pixels.amax() < 100
