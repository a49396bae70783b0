"""Views: cameras, the rasteriser against its naive twin, visibility, lifting to points, shading."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn.functional import normalize

from pointadplus.cloud import PointCloud
from pointadplus.errors import CloudWriteError, ConfigError
from pointadplus.render import (
    Cameras,
    MultiViewRenderer,
    Paint,
    RenderConfig,
    contact_sheet,
    fill_unseen,
    frame_cameras,
    gather_at_points,
    lift_to_points,
    point_spacing,
    rasterize_labels,
    save_contact_sheet,
    shade,
    view_rotations,
    visible_mean,
)

ONE_VIEW = torch.eye(3)[None]


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_sphere(count: int, seed: int = 0) -> Tensor:
    return normalize(torch.randn(count, 3, generator=generator(seed)), dim=1)


def facing(cameras: Cameras, points: Tensor, normals: Tensor) -> Tensor:
    """(V, N) cosine between the outward normal and the direction of the eye."""
    return (normalize(cameras.eyes()[:, None] - points, dim=-1) * normals).sum(-1)


# Cameras


def test_pointad9_turns_about_x() -> None:
    rotations = view_rotations("pointad9")
    assert rotations.shape == (9, 3, 3)
    torch.testing.assert_close(rotations[4], torch.eye(3))
    step = math.radians(36.0)
    up = rotations[5] @ torch.tensor([0.0, 1.0, 0.0])
    torch.testing.assert_close(up, torch.tensor([0.0, math.cos(step), math.sin(step)]))


@pytest.mark.parametrize(("views", "count"), [("sphere1", 1), ("sphere12", 12), ("sphere(30)", 30)])
def test_sphere_views_are_spread_rotations_with_y_up(views: str, count: int) -> None:
    rotations = view_rotations(views)
    torch.testing.assert_close(rotations @ rotations.transpose(1, 2), torch.eye(3).expand(count, 3, 3))
    assert (torch.linalg.det(rotations) > 0).all()
    assert (rotations[:, 1, 1] > 0).all() and (rotations[:, 0, 1].abs() < 1e-6).all()
    if count > 1:
        between = rotations[:, 2] @ rotations[:, 2].T - 2 * torch.eye(count)
        assert between.max() < math.cos(2.0 / math.sqrt(count))  # no two directions closer than an even spread allows


@pytest.mark.parametrize("views", ["front", "sphere0", "sphere", 2 * ONE_VIEW, -ONE_VIEW, math.nan * ONE_VIEW])
def test_bad_views_are_refused(views: str | Tensor) -> None:
    with pytest.raises(ConfigError, match="views"):
        view_rotations(views)


def test_projection_in_closed_form() -> None:
    cameras = Cameras(ONE_VIEW, torch.zeros(1, 3), torch.tensor([4.0]), torch.ones(1), 100)
    points = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 2.0], [0.0, 0.0, 5.0]])
    pixels, depth = cameras.project(points)
    step = cameras.focal / 4.0
    assert cameras.focal == pytest.approx(50.0 * math.sqrt(3.0))
    torch.testing.assert_close(depth[0], torch.tensor([4.0, 4.0, 4.0, 2.0, -1.0]))
    offset = step * torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, -1.0], [2.0, -2.0]])
    torch.testing.assert_close(pixels[0, :4], 50.0 + offset)


def test_sphere_framing_spans_its_share_and_ignores_pose_scale_and_place() -> None:
    points = random_sphere(2000)
    cameras = frame_cameras(points, view_rotations("sphere6"), 200, fill=0.8)
    pixels, _ = cameras.project(points)
    assert pixels.sub(100.0).norm(dim=-1).max().item() == pytest.approx(80.0, rel=0.03)
    elsewhere = 1000.0 * points + 5000.0
    moved, _ = frame_cameras(elsewhere, view_rotations("sphere6"), 200, fill=0.8).project(elsewhere)
    torch.testing.assert_close(moved, pixels, atol=0.01, rtol=0.0)


def test_box_framing_is_pointads() -> None:
    points = torch.rand(500, 3, generator=generator(0)) * torch.tensor([2.0, 1.0, 0.01]) + 7.0
    cameras = frame_cameras(points, ONE_VIEW, 336, framing="box")
    pixels, _ = cameras.project(points)
    low, high = pixels[0].amin(0), pixels[0].amax(0)
    torch.testing.assert_close(0.5 * (low + high), torch.tensor([168.0, 168.0]), atol=1.0, rtol=0.0)
    assert (high - low)[0].item() == pytest.approx(240.0, abs=3.0)


def test_turning_the_cloud_and_its_cameras_together_changes_nothing() -> None:
    points = torch.randn(300, 3, generator=generator(1)) * torch.tensor([1.0, 2.0, 0.5])
    turn, rotations = view_rotations("sphere7")[3], view_rotations("pointad9")
    for framing in ("sphere", "box"):
        pixels, depth = frame_cameras(points, rotations, 128, framing).project(points)
        turned = points @ turn.T
        pixels_turned, depth_turned = frame_cameras(turned, rotations @ turn.T, 128, framing).project(turned)
        torch.testing.assert_close(pixels_turned, pixels, atol=1e-3, rtol=0.0)
        torch.testing.assert_close(depth_turned, depth, atol=1e-4, rtol=1e-5)


# Visibility


@pytest.mark.parametrize("count", [2000, 20_000])
def test_a_sphere_shows_its_front_and_hides_its_back(count: int) -> None:
    points = random_sphere(count)
    views = MultiViewRenderer(views="sphere6", image_size=128).render(PointCloud.create(points, normals=points))
    cosine = facing(views.cameras, points, points)
    assert views.visible[cosine > 0.3].float().mean() > 0.99
    assert views.visible[cosine < 0.0].float().mean() < 0.01


def test_a_random_sphere_has_no_pinholes() -> None:
    points = random_sphere(8000, seed=3)
    views = MultiViewRenderer(views="sphere4", image_size=128).render(PointCloud.create(points, normals=points))
    offset = torch.arange(128) + 0.5 - 64.0
    disc = (offset.square() + offset[:, None].square()).sqrt() < 48.0
    shown = views.index[:, disc]
    assert (shown >= 0).all()
    assert (views.depth[:, disc] < views.cameras.distance[:, None]).all()


def test_a_thin_plate_does_not_show_its_back() -> None:
    side = torch.rand(4000, 2, generator=generator(2)) * 2 - 1
    height = torch.where(torch.arange(4000) < 2000, 0.05, -0.05)
    normals = torch.tensor([[0.0, 0.0, 1.0]]).expand(4000, 3)
    plate = PointCloud.create(torch.cat([side, height[:, None]], 1), normals=normals)
    visible = MultiViewRenderer(views=ONE_VIEW, image_size=128).render(plate).visible[0]
    assert visible[:2000].float().mean() > 0.99
    assert visible[2000:].float().mean() < 0.01


# Point↔pixel map


def test_gathering_a_linear_ramp_is_exact_between_cell_centres_and_flat_beyond() -> None:
    centres = torch.arange(4) * 8.0 + 4.0  # of 4 cells over 32 pixels
    ramp = torch.stack([centres.expand(4, 4), centres[:, None].expand(4, 4)])[None]
    pixels = torch.tensor([[[4.0, 4.0], [10.0, 25.5], [0.5, 31.5], [28.0, 16.0]]])
    expected = pixels.clamp(4.0, 28.0)
    torch.testing.assert_close(gather_at_points(ramp, pixels, 32), expected)


def test_mean_over_the_views_that_see_a_point() -> None:
    values = torch.tensor([[[1.0], [5.0], [9.0]], [[3.0], [7.0], [9.0]]])
    visible = torch.tensor([[True, True, False], [True, False, False]])
    mean, seen = visible_mean(values, visible)
    assert mean[:, 0].tolist() == [2.0, 5.0, 0.0]
    assert seen.tolist() == [True, True, False]


def test_lifting_view_by_view_equals_gathering_everything() -> None:
    source = generator(4)
    maps, pixels = torch.randn(3, 5, 6, 6, generator=source), torch.rand(3, 40, 2, generator=source) * 32
    visible = torch.rand(3, 40, generator=source) < 0.4
    lifted, seen = lift_to_points(maps, pixels, visible, 32)
    expected, expected_seen = visible_mean(gather_at_points(maps, pixels, 32), visible)
    torch.testing.assert_close(lifted, expected)
    assert torch.equal(seen, expected_seen) and not seen.all()


def test_unseen_points_take_after_their_nearest_seen_neighbours_in_space() -> None:
    points = torch.tensor([[0.0, 0, 0], [100.0, 0, 0], [1.0, 0, 0], [2.0, 0, 0], [3.0, 0, 0], [101.0, 0, 0]])
    values = torch.tensor([[0.0], [50.0], [1.0], [2.0], [6.0], [50.0]])
    seen = torch.tensor([False, True, True, True, True, True])
    filled = fill_unseen(values, seen, points)
    assert filled[:, 0].tolist() == [3.0, 50.0, 1.0, 2.0, 6.0, 50.0]
    assert torch.equal(fill_unseen(values, torch.zeros(6, dtype=torch.bool), points), values)


def test_labels_on_pixels() -> None:
    index = torch.tensor([[[0, -1], [2, 1]]])
    assert rasterize_labels(torch.tensor([True, False, True]), index).tolist() == [[[1.0, 0.0], [1.0, 0.0]]]


# Shading and the renderer


def test_channels_keep_their_ranges_and_backgrounds(sphere: PointCloud) -> None:
    views = MultiViewRenderer(views="sphere3", image_size=64).render(sphere)
    channels = ("headlight", "depth", "normal_x", "normal_y", "normal_z", "mask", "height")
    images = views.images(channels, {"height": sphere.points[:, 2]})
    light, depth, x, y, z, mask, height = images.unbind(1)
    solid = views.index >= 0
    assert images.shape == (3, 7, 64, 64) and images.dtype == torch.float32
    assert torch.equal(mask, solid.float()) and 0.5 < mask.mean() < 0.95
    assert (light[~solid] == 1).all() and light[solid].max() <= 0.7 + 1e-6 and light[solid].min() >= 0.2
    assert (depth[~solid] == 0).all() and depth.min() >= 0 and depth.max() <= 1
    assert (images[:, 2:5].abs() <= 1).all() and (z[:, 32, 32] > 0.9).all() and (depth[:, 32, 32] > 0.9).all()
    assert (x[:, 32, 60] > 0.5).all() and (y[:, 4, 32] > 0.5).all()  # right is +x, top is +y
    torch.testing.assert_close(height[solid], sphere.points[views.index[solid], 2])


def test_the_sign_of_normals_does_not_matter(sphere: PointCloud) -> None:
    views = MultiViewRenderer(views="sphere3", image_size=48).render(sphere)
    channels = ("headlight", "normal_x", "normal_y", "normal_z")
    flipped = shade(views.at_pixels, views.depth, views.cameras, -views.normals, channels)
    torch.testing.assert_close(flipped, views.images(channels))


def test_normals_are_estimated_where_a_cloud_has_none(sphere: PointCloud) -> None:
    views = MultiViewRenderer(views="sphere3", image_size=48).render(PointCloud.create(sphere.points))
    assert (views.normals * sphere.points).sum(1).abs().min() > 0.95


@pytest.mark.parametrize("count", [1, 2, 5])
def test_tiny_and_coincident_clouds_render(count: int) -> None:
    cloud = PointCloud.create(torch.ones(count, 3), normals=torch.tensor([[0.0, 0.0, 1.0]]).expand(count, 3))
    views = MultiViewRenderer(image_size=32).render(cloud)
    assert (views.index.amax((1, 2)) >= 0).all() and views.visible.all()
    assert torch.isfinite(views.images(("headlight", "depth", "normal_z"))).all()


def test_spacing_is_the_side_of_a_points_square() -> None:
    grid = torch.cartesian_prod(torch.arange(60.0), torch.arange(60.0), torch.zeros(1))
    scattered = torch.rand(3600, 3, generator=generator(5)) * torch.tensor([60.0, 60.0, 0.0])
    assert point_spacing(grid) == pytest.approx(1.0, rel=0.15)
    assert point_spacing(scattered) == pytest.approx(1.0, rel=0.15)
    assert point_spacing(torch.cat([grid, grid])) == pytest.approx(math.sqrt(0.5), rel=0.15)


@pytest.mark.parametrize("shape", [(1.0, 1.0, 0.0), (1.0, 0.2, 0.5), (1.0, 0.0, 0.0), (0.0, 0.0, 0.0)])
@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_spacing_of_many_points_is_found_among_those_around_the_samples(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[float, ...], offset: float
) -> None:
    points = torch.randn(40_000, 3, generator=generator(6)) * torch.tensor(shape) + offset
    points[:100] *= 3.0  # a few far from all others
    some = point_spacing(points)
    monkeypatch.setattr("pointadplus.geometry.spacing._MANY", len(points) + 1)
    assert some == point_spacing(points)


@pytest.mark.parametrize(
    "options", [{"fill": 0.0}, {"image_size": 0}, {"framing": "cube"}, {"splat": math.nan}, {"min_radius": 0.1}]
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        MultiViewRenderer(RenderConfig(image_size=32), **options)


def test_unknown_options_and_channels_are_refused(sphere: PointCloud) -> None:
    with pytest.raises(TypeError, match="imagesize"):
        MultiViewRenderer(imagesize=32)
    with pytest.raises(ConfigError, match="curvature"):
        MultiViewRenderer(image_size=32).render(sphere).images(("curvature",))


def test_contact_sheets(sphere: PointCloud, tmp_path: Path) -> None:
    sheet = contact_sheet(torch.zeros(5, 8, 10), columns=3, gap=1)
    assert sheet.size == (3 * 11 - 1, 2 * 9 - 1)
    assert sheet.getpixel((0, 0)) == (0, 0, 0) and sheet.getpixel((10, 0)) == (160, 160, 160)
    save_contact_sheet(sphere, tmp_path / "views.png", RenderConfig(views="sphere4", image_size=32))
    assert (tmp_path / "views.png").stat().st_size > 1000
    for path in (tmp_path / "missing" / "views.png", tmp_path / "views.unknown"):
        with pytest.raises(CloudWriteError, match="views"):
            save_contact_sheet(sphere, path, RenderConfig(views="sphere4", image_size=32))
    with pytest.raises(ConfigError, match="pictures"):
        contact_sheet(torch.zeros(2, 2, 8, 8))


def test_a_sheet_says_where_it_is_seen_from_how_long_things_are_and_what_colours_mean(
    sphere: PointCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    draw = ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        ImageDraw.ImageDraw, "text", lambda pen, at, text, *more: (written.append(text), draw(pen, at, text, *more))
    )
    config = RenderConfig(views="faces6", image_size=160, orthographic=True)
    radius = float((sphere.points - sphere.points.mean(0)).norm(dim=1).max())
    scene = replace(sphere, points=sphere.points * (17.0 / radius), unit="mm")
    save_contact_sheet(scene, tmp_path / "plain.png", config)
    assert {"1: seen from +x", "2: seen from -x", "6: seen from -z", "surface", "normals"} <= set(written)
    assert written.count("10 mm") == 6  # 34 mm are 0.9 of a view's width; at most 0.4 of it is 15 mm
    with Image.open(tmp_path / "plain.png") as picture:
        pixels = torch.from_numpy(np.array(picture.convert("L")))
    line = 20
    foot = pixels[line + 3 * 162 - 2 : line + 3 * 162 - 2 + 10, line : line + 160]
    longest = int((foot < 100).sum(1).max())
    assert abs(longest - 10 * 0.9 * 160 / 34) <= 3

    paint = Paint(
        scene.points[:, 0] / 40 + 0.5, lambda x: torch.stack([x, 0 * x, 1 - x], 1), (0.0, 0.5, 0.52, 1.0), "s"
    )
    save_contact_sheet(scene, tmp_path / "painted.png", config, paint)
    assert {"s", "0", "0.5", "1"} <= set(written) and "0.52" not in written  # it would lie on 0.5
    with pytest.raises(ConfigError, match=r"paint\.values"):
        save_contact_sheet(scene, tmp_path / "none.png", config, replace(paint, values=paint.values[1:]))
