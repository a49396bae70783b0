"""Clouds and detections become objects of Open3D and trimesh, and come back as they were."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from pointadplus.cloud import PointCloud
from pointadplus.errors import ConfigError
from pointadplus.io import from_object, to_open3d, to_trimesh
from pointadplus.results.detection import Detection
from pointadplus.results.palette import VIRIDIS, score_colors

POINTS = torch.rand(50, 3, generator=torch.Generator().manual_seed(0))
NORMALS = torch.nn.functional.normalize(POINTS - 0.5, dim=1)
COLORS = torch.rand(50, 3, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def detection() -> Detection:
    """Of a scan whose first rows hold no point."""
    rows = torch.cat([torch.full((2, 3), float("nan")), POINTS])
    cloud = PointCloud.create(rows, normals=torch.cat([torch.zeros(2, 3), NORMALS]), colors=torch.zeros(52, 3))
    return Detection(0.7, cloud.to_rows(torch.linspace(0, 1, 50)), cloud)


def test_scores_run_from_dark_blue_to_yellow() -> None:
    ends = score_colors(torch.tensor([0.0, 0.5, 1.0, 2.0])).mul(255).round().int().tolist()
    assert [bytes(color).hex() for color in ends] == [VIRIDIS[0], VIRIDIS[4], VIRIDIS[8], VIRIDIS[8]]
    light = score_colors(torch.linspace(0, 1, 100)) @ torch.tensor([0.2126, 0.7152, 0.0722])
    assert (light.diff() > 0).all(), "brighter is higher in grey print, too"


def test_a_cloud_goes_to_open3d_and_back() -> None:
    pytest.importorskip("open3d")
    cloud = PointCloud.create(POINTS, normals=NORMALS, colors=COLORS)
    back = from_object(to_open3d(cloud))
    assert torch.equal(back.points, POINTS)
    torch.testing.assert_close(back.normals, NORMALS)
    torch.testing.assert_close(back.colors, COLORS)
    far = PointCloud.create(POINTS.double() + torch.tensor([5.8e6, 0, 0]))
    assert torch.equal(from_object(to_open3d(far)).positions(), far.positions())
    bare = to_open3d(PointCloud.create(POINTS))
    assert not bare.has_normals() and not bare.has_colors()


def test_a_cloud_goes_to_trimesh_and_back() -> None:
    pytest.importorskip("trimesh")
    back = from_object(to_trimesh(PointCloud.create(POINTS, normals=NORMALS, colors=COLORS)))
    assert torch.equal(back.points, POINTS)
    torch.testing.assert_close(back.colors, COLORS, atol=0.5 / 255 + 1e-6, rtol=0)


def test_a_detection_is_coloured_by_its_scores(detection: Detection) -> None:
    pytest.importorskip("open3d")
    pytest.importorskip("trimesh")
    expected = score_colors(torch.linspace(0, 1, 50)).numpy()
    opened = to_open3d(detection)
    np.testing.assert_allclose(np.asarray(opened.points), POINTS.numpy())
    np.testing.assert_allclose(np.asarray(opened.colors), expected, atol=1e-7)
    meshed = to_trimesh(detection)
    assert meshed.metadata["object_score"] == 0.7
    np.testing.assert_array_equal(meshed.colors[:, :3], (expected * 255).round())
    assert (meshed.colors[:, 3] == 255).all()


@pytest.mark.parametrize(("name", "convert"), [("open3d", to_open3d), ("trimesh", to_trimesh)])
def test_what_is_not_installed_is_named(name: str, convert, detection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=f"pip install {name}"):
        convert(detection)
