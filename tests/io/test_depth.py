"""Depth images: a surface where a camera is told, and a refusal where none is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pointadplus.errors import CloudReadError
from pointadplus.io import READABLE, read_cloud
from pointadplus.io.formats import inflating_at_most

CAMERA = {"fx": 50.0, "fy": 40, "cx": 4.5, "cy": 3.0, "depth_scale": 0.5}
REALSENSE = {"intrinsics": {"fx": 50.0, "fy": 40, "ppx": 4.5, "ppy": 3.0, "width": 10}, "depth_scale": 0.5}
MATRIX = {"camera_matrix": [[50, 0, 4.5], [0, 40, 3], [0, 0, 1]], "depth_scale": 0.5}


def image(folder: Path, camera: Any) -> Path:
    """A wall at 1000 · scale, one pixel of which is at 40,000 and another without a return."""
    depth = np.full((7, 10), 1000, np.uint16)
    depth[5, 2], depth[0, 0] = 40_000, 0
    Image.fromarray(depth).save(folder / "scan.png")
    if camera is not None:
        (folder / "scan.json").write_text(json.dumps(camera))
    return folder / "scan.png"


@pytest.mark.parametrize("camera", [CAMERA, REALSENSE, MATRIX])
def test_a_pixel_goes_where_its_ray_and_depth_say(tmp_path: Path, camera: dict[str, Any]) -> None:
    cloud = read_cloud(image(tmp_path, camera))
    assert cloud.grid == (7, 10) and len(cloud) == 69 and cloud.dropped == 1
    rows = cloud.valid_rows().tolist()
    far = cloud.points[rows.index(5 * 10 + 2)]
    np.testing.assert_allclose(far, [(2 - 4.5) / 50 * 20_000, (5 - 3) / 40 * 20_000, 20_000], rtol=1e-6)
    assert cloud.points[:, 2].min() == 500
    assert cloud.eye is not None and cloud.eye.tolist() == [0, 0, 0]


@pytest.mark.parametrize(("camera", "word"), [
    (None, "scan.json beside it"),
    ([1, 2], "no object"),
    ({**CAMERA, "fx": 0}, "camera is not told"),
    ({"fx": 50, "fy": 50}, "camera is not told"),
    ({**CAMERA, "depth_scale": "mm"}, "camera is not told"),
    ({"camera_matrix": [1, 2, 3]}, "not a readable .png"),
])  # fmt: skip
def test_an_image_without_its_camera_is_refused(tmp_path: Path, camera: Any, word: str) -> None:
    with pytest.raises(CloudReadError, match=word) as caught:
        read_cloud(image(tmp_path, camera))
    assert "scan.png" in str(caught.value)


def test_folders_are_not_searched_for_pictures() -> None:
    assert ".png" not in READABLE  # they are masks and photographs, more often than depth


def test_a_picture_or_a_damaged_image_is_refused(tmp_path: Path) -> None:
    path = image(tmp_path, CAMERA)
    with inflating_at_most(200), pytest.raises(CloudReadError, match="image is truncated"):
        read_cloud(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(CloudReadError):
        read_cloud(path)
    Image.new("RGB", (8, 8)).save(path)
    with pytest.raises(CloudReadError, match="one channel"):
        read_cloud(path)
