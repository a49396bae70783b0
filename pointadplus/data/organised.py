"""Organised scans: pixels that a cloud, an image and a mask share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool
from PIL import Image
from torch import Tensor

from ..cloud import PointCloud
from ..errors import DatasetError
from ..io import read_cloud
from .background import foreground
from .dataset import Sample


@dataclass(frozen=True)
class OrganisedSample(Sample):
    """A scan whose pixels an image and a mask share.

    Attributes:
        rgb_path: the aligned image, or None.
    """

    rgb_path: Path | None = None
    unit: ClassVar[float] = 1.0  # a metre of the background's constants, in the scan's own unit
    threshold: ClassVar[int] = 127  # a mask's pixels above it are anomalous

    def read(self) -> PointCloud:
        """The whole scan, with its grid."""
        return read_cloud(self.path)

    def load(self) -> tuple[PointCloud, Bool[Tensor, " m"] | None]:
        """Read the object without its background, and a label for each pixel, M = H·W.

        The cloud keeps its grid; pixels of the table, of other things (see `foreground`) and without a return are rows
        without a point. Colours are those of the image.

        Raises:
            CloudReadError: the scan cannot be read.
            DatasetError: the image or the mask cannot be read, or is of another size.
        """
        cloud = self.read()
        grid = cloud.grid
        if grid is None:
            raise DatasetError("not an organised scan", where=self.path, expected="(H, W, 3)", found=len(cloud))
        if self.rgb_path is not None:
            colors = torch.from_numpy(read_image(self.rgb_path, grid, "RGB").reshape(-1, 3))
            cloud = replace(cloud, colors=colors[cloud.valid_rows()].float() / 255)
        cloud = cloud.select(foreground(cloud, self.unit))
        if self.label == 0:
            return cloud, torch.zeros(cloud.source_size, dtype=torch.bool)
        if self.gt_path is None:
            return cloud, None
        return cloud, torch.from_numpy(read_image(self.gt_path, grid, "L").reshape(-1) > self.threshold)


def read_image(path: Path, grid: tuple[int, int], mode: str) -> np.ndarray:
    """(H, W) or (H, W, 3) uint8 of an image that must have the size of the scan's grid.

    Raises:
        DatasetError: missing, unreadable or of another size.
    """
    pixels = read_pixels(path, mode)
    if pixels.shape[:2] != grid:
        raise DatasetError("the image does not fit the scan", where=path, expected=grid, found=pixels.shape[:2])
    return pixels


def read_pixels(path: Path, mode: str | None = None) -> np.ndarray:
    """The pixels of an image, in a mode of Pillow's or in its own.

    Raises:
        DatasetError: missing or unreadable.
    """
    try:
        with Image.open(path) as image:
            return np.array(image if mode is None else image.convert(mode))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DatasetError("the image cannot be read", where=path, expected="a PNG", found=error) from error
