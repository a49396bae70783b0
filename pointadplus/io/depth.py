"""Depth images with the camera's intrinsics in a JSON file beside them."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CloudReadError
from .formats import RawCloud, check_bytes, most_inflated

#: Extensions of images that are depth where a JSON file of their name lies beside them.
DEPTH = (".png",)

_NESTED = ("intrinsics", "intrinsic", "depth_intrinsics", "camera", "camera_matrix", "K")


def read_depth(data: bytes, path: Path) -> RawCloud:
    """A depth image of 8 or 16 bits as an organised scan, the eye at the origin; z points away from it, y down.

    The JSON beside it, of the same name, holds fx, fy, cx, cy (or ppx, ppy) in pixels, by themselves, in `intrinsics`
    or as a 3 × 3 `camera_matrix`, and `depth_scale`, which multiplies the image's numbers, 1 if left out. 0 is no
    return.
    """
    sidecar = path.with_suffix(".json")
    if not sidecar.is_file():
        raise CloudReadError(
            "an image is no cloud without its camera",
            expected=f"{sidecar.name} beside it, with fx, fy, cx, cy and depth_scale",
            found="no such file",
            hint="write one; depth_scale turns the image's numbers into your unit",
        )
    fx, fy, cx, cy, scale = _camera(json.loads(sidecar.read_text("utf-8")))
    depth = _image(data) * scale
    depth[~(depth > 0)] = np.nan
    v, u = np.indices(depth.shape)
    return RawCloud(np.stack([(u - cx) / fx * depth, (v - cy) / fy * depth, depth], axis=2))


def _image(data: bytes) -> np.ndarray:
    """(H, W) float64 numbers of a picture of one channel."""
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        check_bytes(4 * math.prod(image.size), most_inflated(len(data)), "image")
        if image.mode not in ("L", "I", "I;16", "I;16B", "F"):
            raise CloudReadError("a depth image has one channel", expected="8 or 16 bits of grey", found=image.mode)
        return np.asarray(image).astype(np.float64)


def _camera(told: Any) -> tuple[float, float, float, float, float]:
    """fx, fy, cx, cy and the scale of depth."""
    if not isinstance(told, Mapping):
        raise CloudReadError("the camera's JSON is no object", expected="fx, fy, cx, cy", found=type(told).__name__)
    inner = next((told[name] for name in _NESTED if name in told), told)
    if isinstance(inner, Mapping):
        values = [
            inner.get("fx"),
            inner.get("fy"),
            inner.get("cx", inner.get("ppx")),
            inner.get("cy", inner.get("ppy")),
        ]
    else:
        matrix = np.asarray(inner, np.float64).reshape(3, 3)
        values = [matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]]
    numbers = [*values, told.get("depth_scale", 1)]
    known = all(isinstance(number, int | float) and math.isfinite(number) for number in numbers)
    if not known or min(numbers[0], numbers[1], numbers[4]) <= 0:
        raise CloudReadError(
            "the camera is not told", expected="fx, fy, cx, cy, and fx, fy and depth_scale above 0", found=str(numbers)
        )
    fx, fy, cx, cy, scale = (float(number) for number in numbers)
    return fx, fy, cx, cy, scale
