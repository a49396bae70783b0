"""Clouds and detections as objects of other libraries; `objects` is the way back."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ..cloud import PointCloud
from ..errors import ConfigError


@runtime_checkable
class Scored(Protocol):
    """A scan with scores, as a `Detection` is."""

    @property
    def object_score(self) -> float:
        """In [0, 1]."""
        ...

    def colored(self) -> PointCloud:
        """The scan's cloud in the colours of its scores."""
        ...


def to_open3d(scan: PointCloud | Scored) -> Any:
    """An `open3d.geometry.PointCloud` with the scan's points and, where they are known, normals and colours.

    Args:
        scan: a cloud, with its own colours; or a detection, whose points are coloured by their scores.
            Rows without a score are not there.

    Raises:
        ConfigError: Open3D is not installed.
    """
    open3d = _module("open3d")
    cloud = scan if isinstance(scan, PointCloud) else scan.colored()
    vectors = open3d.utility.Vector3dVector
    out = open3d.geometry.PointCloud(vectors(cloud.positions().numpy()))
    if cloud.normals is not None:
        out.normals = vectors(cloud.normals.double().numpy())
    if cloud.colors is not None:
        out.colors = vectors(cloud.colors.double().numpy())
    return out


def to_trimesh(scan: PointCloud | Scored) -> Any:
    """A `trimesh.PointCloud` with the scan's points and, where they are known, colours of 8 bits a channel.

    Args:
        scan: see `to_open3d`. trimesh's clouds have no normals; its `metadata["object_score"]` is a detection's.

    Raises:
        ConfigError: trimesh is not installed.
    """
    trimesh = _module("trimesh")
    cloud = scan if isinstance(scan, PointCloud) else scan.colored()
    rgba = None
    if cloud.colors is not None:
        rgba = np.pad((cloud.colors.numpy() * 255).round(), ((0, 0), (0, 1)), constant_values=255).astype(np.uint8)
    out = trimesh.PointCloud(cloud.positions().numpy(), rgba)
    if not isinstance(scan, PointCloud):
        out.metadata["object_score"] = scan.object_score
    return out


def _module(name: str) -> Any:
    """A library, imported only for who asks for its objects."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ConfigError(f"{name} is needed for its objects", found=error, hint=f"pip install {name}") from error
