"""Depth images: a surface where a camera is told, and a refusal where none is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pointadplus.cloud import PointCloud
from pointadplus.errors import CloudReadError, ConfigError
from pointadplus.io import READABLE, read_cloud
from pointadplus.io.depth import Camera
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
    (None, "a JSON of its name beside it"),
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


# --- other files, other JSONs, and the caller's camera ---

WALL = np.full((30, 40), 1000, np.uint16)
WALL[5, 2], WALL[0, 0] = 40_000, 0
FOUR = (50.0, 40.0, 4.5, 3.0)


def of_wall(cloud: PointCloud) -> None:
    assert cloud.grid == (30, 40) and cloud.dropped == 1
    far = cloud.points[cloud.valid_rows().tolist().index(5 * 40 + 2)]
    np.testing.assert_allclose(far, [(2 - 4.5) / 50 * 20_000, (5 - 3) / 40 * 20_000, 20_000], rtol=1e-6)


def put_wall(folder: Path, kind: str) -> Path:
    """`WALL` as a file of a kind; floats have NaN in place of 0."""
    tifffile = pytest.importorskip("tifffile")
    path = folder / f"scan{kind[kind.index('.') :]}"
    array = np.where(WALL == 0, np.nan, WALL).astype(np.float32) if "float" in kind else WALL
    if path.suffix == ".png":
        Image.fromarray(array).save(path)
    elif path.suffix in (".tif", ".tiff"):
        tifffile.imwrite(path, array, photometric="minisblack", compression="zlib" if "packed" in kind else None)
    elif path.suffix == ".npz":
        np.savez(path, **({"depth": array, "mask": array > 0} if "more" in kind else {"depth": array}))
    else:
        np.save(path, array[..., None] if "channel" in kind else array)
    return path


KINDS = [".png", ".tif", "packed.tiff", "float.tiff", ".npy", "float.npy", "channel.npy", ".npz", "more.npz"]


@pytest.mark.parametrize("kind", KINDS)
def test_depth_images_of_every_kind(tmp_path: Path, kind: str) -> None:
    path = put_wall(tmp_path, kind)
    with pytest.raises(CloudReadError, match="camera"):
        read_cloud(path)
    of_wall(read_cloud(path, camera=FOUR, depth_scale=0.5))
    of_wall(read_cloud(path, camera=Camera(*FOUR, depth_scale=0.5)))
    (tmp_path / "scan.json").write_text(json.dumps(CAMERA))
    of_wall(read_cloud(path))
    assert read_cloud(path, depth_scale=2.0).points[:, 2].min() == 2000


JSONS = {
    "Zivid": {"CameraIntrinsics": {
        "CameraMatrix": {"FX": 50, "FY": 40, "CX": 4.5, "CY": 3}, "Distortion": {"K1": 0, "K2": 0, "K3": 0, "P1": 0},
    }, "depth_scale": 0.5},
    "RealSense": {"color": {"fx": 9, "fy": 9, "ppx": 9, "ppy": 9}, "depth": {
        "width": 40, "height": 30, "ppx": 4.5, "ppy": 3, "fx": 50, "fy": 40, "coeffs": [0] * 5,
    }, "depth_scale": 0.5},
    "RealSense's units": {"intrinsics": {"fx": 50, "fy": 40, "ppx": 4.5, "ppy": 3}, "depth_units": 0.5},
    "ROS": {"width": 40, "height": 30, "K": [50, 0, 4.5, 0, 40, 3, 0, 0, 1], "D": [0, 0, 0, 0, 0], "depth_scale": 0.5},
    "OpenCV": {"camera_matrix": {"rows": 3, "cols": 3, "data": [50, 0, 4.5, 0, 40, 3, 0, 0, 1]}, "depth_scale": 0.5},
    "Open3D": {"width": 40, "height": 30, "intrinsic_matrix": [50, 0, 0, 0, 40, 0, 4.5, 3, 1], "depth_scale": 2.0},
    "four": {"intrinsics": [50, 40, 4.5, 3], "depth_scale": 0.5},
}  # fmt: skip


@pytest.mark.parametrize("kind", JSONS)
@pytest.mark.parametrize("name", ["scan.json", "scan.png.json", "scan_intrinsics.json", "intrinsics.json"])
def test_cameras_as_programs_write_them(tmp_path: Path, kind: str, name: str) -> None:
    (tmp_path / name).write_text(json.dumps(JSONS[kind]), encoding="utf-8-sig")
    cloud = read_cloud(put_wall(tmp_path, ".png"))
    of_wall(cloud)
    assert cloud.notes == ()


def test_a_lens_that_bends_is_told_and_another_size_refused(tmp_path: Path) -> None:
    path = put_wall(tmp_path, ".png")
    bent = {"CameraMatrix": {"FX": 50, "FY": 40, "CX": 4.5, "CY": 3}, "Distortion": {"K1": -0.1}}
    (tmp_path / "scan.json").write_text(json.dumps(bent))
    assert "distortion" in read_cloud(path).notes[0]
    (tmp_path / "scan.json").write_text(json.dumps({**CAMERA, "width": 640, "height": 480}))
    with pytest.raises(CloudReadError, match=r"camera is of other images.*640 × 480.*40 × 30"):
        read_cloud(path)


def test_a_list_of_points_stays_one_beside_a_camera(tmp_path: Path) -> None:
    (tmp_path / "intrinsics.json").write_text(json.dumps(CAMERA))
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(size=(60, 3)))
    assert len(read_cloud(tmp_path / "a.npy")) == 60


def test_wrong_cameras_of_the_caller_are_refused(tmp_path: Path) -> None:
    path = put_wall(tmp_path, ".png")
    for wrong in ((1, 2, 3), (0, 1, 2, 3), (1, float("nan"), 2, 3)):
        with pytest.raises(ConfigError, match="not a camera"):
            read_cloud(path, camera=wrong)
    with pytest.raises(ConfigError, match="not a camera"):
        read_cloud(path, camera=FOUR, depth_scale=-1)
    with pytest.raises(ConfigError, match="only images"):
        read_cloud(tmp_path / "a.ply", camera=FOUR)
