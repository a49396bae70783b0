"""Clouds and detections as objects of other libraries; `objects` is the way back."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from ..cloud import PointCloud
from ..errors import ConfigError
from ..palette import score_colors

if TYPE_CHECKING:
    from ..detection import Detection


def to_open3d(scan: PointCloud | Detection) -> Any:
    """An `open3d.geometry.PointCloud` with the scan's points and, where they are known, normals and colours.

    Args:
        scan: a cloud, with its own colours; or a detection, whose points are coloured by their scores (`score_colors`).
            Rows without a score are not there.

    Raises:
        ConfigError: Open3D is not installed.
    """
    open3d = _module("open3d")
    cloud, colors = _seen(scan)
    vectors = open3d.utility.Vector3dVector
    out = open3d.geometry.PointCloud(vectors(cloud.points.double().numpy()))
    if cloud.normals is not None:
        out.normals = vectors(cloud.normals.double().numpy())
    if colors is not None:
        out.colors = vectors(colors.astype(np.float64))
    return out


def to_trimesh(scan: PointCloud | Detection) -> Any:
    """A `trimesh.PointCloud` with the scan's points and, where they are known, colours of 8 bits a channel.

    Args:
        scan: see `to_open3d`. trimesh's clouds have no normals; its `metadata["object_score"]` is a detection's.

    Raises:
        ConfigError: trimesh is not installed.
    """
    trimesh = _module("trimesh")
    cloud, colors = _seen(scan)
    rgba = None if colors is None else np.pad((colors * 255).round(), ((0, 0), (0, 1)), constant_values=255)
    out = trimesh.PointCloud(cloud.points.double().numpy(), None if rgba is None else rgba.astype(np.uint8))
    if not isinstance(scan, PointCloud):
        out.metadata["object_score"] = scan.object_score
    return out


def _seen(scan: PointCloud | Detection) -> tuple[PointCloud, np.ndarray | None]:
    """The cloud, and (N, 3) colours in [0, 1]."""
    if isinstance(scan, PointCloud):
        return scan, None if scan.colors is None else scan.colors.numpy()
    return scan.cloud, score_colors(scan.valid_scores.detach().cpu()).numpy()


def _module(name: str) -> Any:
    """A library, imported only for who asks for its objects."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ConfigError(f"{name} is needed for its objects", found=error, hint=f"pip install {name}") from error
