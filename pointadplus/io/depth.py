"""Depth images: a surface where the camera is told, by the caller or by a JSON file beside them."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CloudReadError, ConfigError
from .formats import RawCloud, check_bytes, most_inflated

#: Extensions of images that are depth where their camera is known.
DEPTH = (".png",)
HINT = "an image needs its camera: camera=(fx, fy, cx, cy), depth_scale=…, or a JSON beside it; or give points"

_NAMES = {"fx": ("fx",), "fy": ("fy",), "cx": ("cx", "ppx"), "cy": ("cy", "ppy")}
_MATRICES = ("cameramatrix", "k", "intrinsicmatrix", "intrinsics", "intrinsic", "depthintrinsics")
_SCALES = ("depthscale", "depthunits", "depthunit")
_BY_COLUMN = "intrinsicmatrix"  # Open3D's, whose depth_scale divides besides
_DISTORTION = ("distortion", "coeffs", "distortioncoefficients", "d")
_NONE = (0.0,) * 4  # no camera
_HEAD, _GREY = 26, b"\x10\x00"  # bytes of a PNG up to its depth and kind of colour; 16 bits of grey
_BESIDE = ("intrinsics.json", "camera_intrinsics.json", "camera_intrinsic.json", "camera.json")


@dataclass(frozen=True)
class Camera:
    """A pinhole: focal lengths and principal point in pixels, from the middle of the first pixel.

    Attributes:
        fx, fy, cx, cy: x = (u − cx) / fx · depth, and y likewise, down.
        depth_scale: what the image's numbers are multiplied by; 1 if nothing tells.
        size: (width, height) of its images, or None where nothing tells.
        distorted: whether its lens is told to bend straight lines, which is not undone.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    depth_scale: float = 1.0
    size: tuple[int, int] | None = None
    distorted: bool = False


FindCamera = Callable[[], Camera | None]


def check_camera(camera: Camera | Sequence[float | int] | None, depth_scale: float | int | None) -> Camera | None:
    """The caller's camera.

    Raises:
        ConfigError: not four finite numbers, or a focal length or scale that is not above 0.
    """
    if camera is None:
        return None
    found = camera
    if not isinstance(camera, Camera):
        camera = _pinhole(camera if len(camera) == 4 else _NONE)
    camera = camera if depth_scale is None else replace(camera, depth_scale=float(depth_scale))
    if not _is_sound(camera):
        raise ConfigError(
            "not a camera", where="camera", expected="fx, fy, cx, cy, with fx, fy and depth_scale above 0", found=found
        )
    return camera


def is_depth_image(path: Path) -> bool:
    """Whether a file of a folder is a scan: an image of 16 bits of grey with a camera beside it.

    Masks, photographs and pictures of a colour camera are not, though they have the same extension.
    """
    if path.suffix.lower() not in DEPTH or _sidecar(path) is None:
        return False
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return True  # reading it says what is wrong
    return head[:8] == b"\x89PNG\r\n\x1a\n" and head[24:26] == _GREY


def camera_beside(path: Path, depth_scale: float | int | None = None) -> Camera | None:
    """What a JSON beside a file tells: `scan.json`, `scan.png.json`, `scan_intrinsics.json`, or one of the folder's,
    `intrinsics.json` or `camera.json`; None where there is none.

    Raises:
        CloudReadError: it tells no camera.
    """
    sidecar = _sidecar(path)
    if sidecar is None:
        return None
    camera = _told(json.loads(sidecar.read_text("utf-8-sig")))
    return camera if depth_scale is None else replace(camera, depth_scale=float(depth_scale))


def _sidecar(path: Path) -> Path | None:
    names = (f"{path.stem}.json", f"{path.name}.json", f"{path.stem}_intrinsics.json", *_BESIDE)
    return next((file for name in names if (file := path.with_name(name)).is_file()), None)


def read_depth(data: bytes, camera: FindCamera) -> RawCloud:
    """A PNG of 8 or 16 bits of grey as an organised scan; see `from_depth`."""
    known = camera()
    if known is None:
        raise CloudReadError(
            "an image is no cloud without its camera",
            expected="a JSON of its name beside it, with fx, fy, cx, cy and depth_scale",
            found="no such file",
            hint="write one, or give camera=(fx, fy, cx, cy), depth_scale=…, which turns its numbers into your unit",
        )
    return from_depth(_image(data), known)


def from_depth(depth: np.ndarray, camera: Camera) -> RawCloud:
    """An organised scan of an (H, W) image, the eye at the origin; z points away from it, y down.

    0, less, and what is not finite are no return.

    Raises:
        CloudReadError: the camera is told to be of images of another size.
    """
    height, width = depth.shape
    if camera.size is not None and camera.size != (width, height):
        expected = f"{camera.size[0]} × {camera.size[1]} pixels"
        raise CloudReadError("the camera is of other images", expected=expected, found=f"{width} × {height}")
    depth = depth.astype(np.float64) * camera.depth_scale
    depth[~((depth > 0) & np.isfinite(depth))] = np.nan
    v, u = np.indices(depth.shape)
    points = np.stack([(u - camera.cx) / camera.fx * depth, (v - camera.cy) / camera.fy * depth, depth], axis=2)
    notes = ("the lens's distortion, which its camera tells, is not undone",) if camera.distorted else ()
    return RawCloud(points, notes=notes)


def _image(data: bytes) -> np.ndarray:
    """(H, W) numbers of a picture of one channel."""
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        check_bytes(4 * math.prod(image.size), most_inflated(len(data)), "image")
        if image.mode not in ("L", "I", "I;16", "I;16B", "F"):
            raise CloudReadError("a depth image has one channel", expected="8 or 16 bits of grey", found=image.mode)
        return np.asarray(image)


def _told(told: Any) -> Camera:
    """The camera of a JSON, however deep in it and whatever the case of its names: that of depth first."""
    if not isinstance(told, Mapping):
        raise CloudReadError("the camera's JSON is no object", expected="fx, fy, cx, cy", found=type(told).__name__)
    objects = [_plain(each) for each in _inner(told, 0)]
    whole: dict[str, Any] = {name: value for each in reversed(objects) for name, value in each.items()}
    scale = next((whole[name] for name in _SCALES if name in whole), 1.0)
    for each in objects:
        by_column = False
        values = [next((each[name] for name in names if name in each), None) for names in _NAMES.values()]
        if None in values:
            matrix = next((name for name in _MATRICES if isinstance(each.get(name), list)), None)
            if matrix is None:
                continue
            by_column = matrix == _BY_COLUMN
            values = _of_matrix(np.asarray(each[matrix], np.float64), by_column)
        size = tuple(each.get(name, objects[0].get(name)) for name in ("width", "height"))
        known = all(isinstance(value, int | float) for value in (*values, scale))
        camera = replace(_pinhole(values), depth_scale=float(scale)) if known else _pinhole(_NONE)
        if not _is_sound(camera):
            expected = "fx, fy, cx, cy, and fx, fy and depth_scale above 0"
            raise CloudReadError("the camera is not told", expected=expected, found=str([*values, scale]))
        if by_column:
            camera = replace(camera, depth_scale=1 / camera.depth_scale)
        bent = next((whole[name] for name in _DISTORTION if name in whole), ())
        numbers = bent.values() if isinstance(bent, Mapping) else bent if isinstance(bent, list) else ()
        distorted = any(isinstance(number, int | float) and number for number in numbers)
        whole_size = all(isinstance(side, int) for side in size)
        return replace(camera, size=size if whole_size else None, distorted=distorted)  # pyright: ignore[reportArgumentType]
    raise CloudReadError("the camera is not told", expected="fx, fy, cx, cy", found=", ".join(told)[:200])


def _inner(told: Mapping[str, Any], depth: int) -> Iterator[Mapping[str, Any]]:
    """An object and those in it, what is named after depth first, after colour last."""
    yield told
    order = sorted(told, key=lambda name: ("depth" not in name.lower()) + 2 * ("colo" in name.lower()))
    for name in order if depth < 6 else ():
        if isinstance(told[name], Mapping):
            yield from _inner(told[name], depth + 1)


def _plain(each: Mapping[str, Any]) -> dict[str, Any]:
    """Names without case and marks; a matrix as OpenCV writes it becomes its numbers."""
    named = {"".join(char for char in name.lower() if char.isalnum()): value for name, value in each.items()}
    return {
        name: value["data"] if isinstance(value, Mapping) and isinstance(value.get("data"), list) else value
        for name, value in named.items()
    }


def _of_matrix(matrix: np.ndarray, by_column: bool) -> list[float]:
    """fx, fy, cx and cy of a 3 × 3 matrix, or of these four numbers."""
    if matrix.size == 4:
        return matrix.reshape(4).tolist()
    matrix = matrix.reshape(3, 3)
    matrix = matrix.T if by_column and matrix[0, 2] == 0 == matrix[1, 2] else matrix
    return [float(matrix[place]) for place in ((0, 0), (1, 1), (0, 2), (1, 2))]


def _pinhole(numbers: Sequence[Any]) -> Camera:
    fx, fy, cx, cy = map(float, numbers)
    return Camera(fx, fy, cx, cy)


def _is_sound(camera: Camera) -> bool:
    numbers = (camera.fx, camera.fy, camera.cx, camera.cy, camera.depth_scale)
    return all(map(math.isfinite, numbers)) and min(camera.fx, camera.fy, camera.depth_scale) > 0
