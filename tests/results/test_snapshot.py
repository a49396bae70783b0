"""The picture of a cloud: its side, its colours, and where places fall in it."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize

import pointadplus
from pointadplus.cloud import PointCloud
from pointadplus.render import MultiViewRenderer
from pointadplus.results.detection import Detection
from pointadplus.results.palette import score_colors
from pointadplus.results.snapshot import Snapshot, best_view

TOWARD = normalize(torch.tensor([0.3, -0.5, -0.8]), dim=0)


def spot_of(cloud: PointCloud) -> torch.Tensor:
    return (cloud.points @ TOWARD > 0.9).float()


def test_the_best_view_of_a_detection_shows_its_defect(sphere: PointCloud) -> None:
    """From far away, in the cloud's own unit: most of the spot is seen, and near the middle of the picture."""
    spot = sphere.points @ TOWARD > 0.9 * sphere.points.norm(dim=1).max()
    cloud = PointCloud.create(1000.0 * sphere.points + torch.tensor([3000.0, 0.0, 500.0]))
    detection = Detection(0.5, 0.1 + 0.8 * spot.float(), cloud)
    camera = best_view(detection, image_size=128)
    assert len(camera) == 1 and camera.image_size == 128
    views = MultiViewRenderer().render(cloud, cameras=camera)
    assert views.index.shape == (1, 128, 128)
    assert views.visible[0, spot].float().mean() > 0.95
    assert (views.pixels[0, spot].mean(0) - 64).abs().max() < 8
    assert pointadplus.best_view is best_view


@pytest.mark.parametrize("shift", [0.0, 5e5])
def test_places_fall_on_the_points_that_are_shown_there(sphere: PointCloud, shift: float) -> None:
    cloud = PointCloud.create(10.0 * sphere.points + shift)
    shot = Snapshot.of(cloud, spot_of(sphere), size=200)
    y, x = (shot.front >= 0).nonzero().unbind(1)
    places = shot.places(cloud.positions()[shot.front[y, x]])
    away = places - torch.stack([x, y], 1) - 0.5
    assert away.norm(dim=1).max() < 25 and away.mean(0).abs().max() < 0.5  # within a splat, to no side
    assert (shot.front[y.min()] >= 0).any() and int(y.min()) == int(x.min()) == 0, "no empty margin"
    assert shot.front.shape[0] - 1 == y.max() and shot.front.shape[1] - 1 == x.max()
    middle = shot.places(10.0 * TOWARD[None].double() + shift)[0]
    assert (middle - torch.tensor(shot.front.shape[::-1]) / 2).abs().max() < 8, "the spot faces the eye"


def test_colours_are_those_asked_for_the_clouds_own_or_grey(sphere: PointCloud) -> None:
    red = torch.tensor([1.0, 0.0, 0.0]).expand(len(sphere), 3)
    bare, painted = (Snapshot.of(replace(sphere, colors=colors), size=100) for colors in (None, red))
    assert bare.image().shape == (*bare.front.shape, 4)
    assert torch.equal(bare.image()[..., 3] == 255, bare.front >= 0)
    assert torch.equal(bare.image()[..., 0], bare.image()[..., 2])
    assert painted.image()[..., 0].max() > 250 and painted.image()[..., 1:3].max() == 0
    assert torch.equal(bare.image(red), painted.image())
    rim, middle = painted.image()[50, [2, 50], 0] if painted.front.shape[0] > 50 else (0, 0)
    assert rim < 0.8 * middle, "lit from the eye"


def test_the_png_has_the_colours_of_the_scores(sphere: PointCloud) -> None:
    scores = torch.rand(len(sphere), generator=torch.Generator().manual_seed(0))
    shot = Snapshot.of(sphere, scores, size=100)
    png = np.asarray(Image.open(io.BytesIO(shot.png(scores))).convert("RGBA"), dtype=int)
    exact = shot.image(score_colors(scores)).numpy().astype(int)
    assert np.array_equal(png[..., 3], exact[..., 3])
    assert np.abs(png - exact)[exact[..., 3] > 0].max() < 30  # 31 colours and 8 lights of all
    assert np.abs(png - exact)[exact[..., 3] > 0].mean() < 6


def test_what_is_shown_is_told_by_the_rows_of_the_source(sphere: PointCloud) -> None:
    points = torch.cat([torch.full((7, 3), float("nan")), sphere.points])
    cloud = PointCloud.create(points)
    shot = Snapshot.of(cloud, spot_of(sphere), size=100)
    front, back = ((sphere.points @ TOWARD).mul(sign).argmax()[None] + 7 for sign in (1, -1))
    assert shot.shows(front)
    assert not shot.shows(back)


def test_of_many_points_some_are_drawn(monkeypatch: pytest.MonkeyPatch, sphere: PointCloud) -> None:
    monkeypatch.setattr("pointadplus.results.snapshot.SHOWN", 100)
    shot = Snapshot.of(sphere, size=100)
    assert 40 < len(shot.front.unique()) <= 101


@pytest.mark.parametrize("points", [torch.ones(1, 3), torch.ones(9, 3), torch.linspace(0, 1, 9)[:, None].expand(9, 3)])
def test_every_cloud_has_a_picture(points: torch.Tensor) -> None:
    shot = Snapshot.of(PointCloud.create(points), size=64)
    assert (shot.front >= 0).any() and float(shot.light.min()) >= 0 and float(shot.light.max()) <= 1
