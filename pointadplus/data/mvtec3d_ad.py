"""MVTec 3D-AD's folder layout (Bergmann et al., VISAPP 2022): `<class>/{train,validation,test}/<kind>/{xyz,rgb,gt}`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool
from PIL import Image
from torch import Tensor

from ..cloud import PointCloud
from ..errors import DatasetError
from ..io import read_cloud
from .background import foreground
from .dataset import GOOD, Sample, Split, child_folder, natural_key

_SCANS = (".tiff", ".tif")


@dataclass(frozen=True)
class OrganisedSample(Sample):
    """A scan whose pixels an image and a mask share.

    Attributes:
        rgb_path: the aligned image, or None.
    """

    rgb_path: Path | None = None

    def load(self) -> tuple[PointCloud, Bool[Tensor, " m"] | None]:
        """Read the object without its background, and a label for each pixel, M = H·W.

        The cloud keeps its grid; pixels of the table, of other things (see `foreground`) and without a return are rows
        without a point. Colours are those of the image.

        Raises:
            CloudReadError: the scan cannot be read.
            DatasetError: the image or the mask cannot be read, or is of another size.
        """
        cloud = read_cloud(self.path)
        if cloud.grid is None:
            raise DatasetError("not an organised scan", where=self.path, expected="(H, W, 3)", found=len(cloud))
        if self.rgb_path is not None:
            colors = torch.from_numpy(read_image(self.rgb_path, cloud.grid, "RGB").reshape(-1, 3))
            cloud = replace(cloud, colors=colors[cloud.valid_rows()].float() / 255)
        cloud = cloud.select(foreground(cloud))
        if self.label == 0:
            return cloud, torch.zeros(cloud.source_size, dtype=torch.bool)
        if self.gt_path is None:
            return cloud, None
        return cloud, torch.from_numpy(read_image(self.gt_path, cloud.grid, "L").reshape(-1) > 127)


def read_samples(root: Path) -> tuple[Sample, ...]:
    """List the samples of every class folder; `validation` is not listed.

    Raises:
        DatasetError: no class folder with `test/good/xyz`, or an anomalous kind among the training scans.
    """
    folders = [path for path in root.iterdir() if path.is_dir() and (path / "test" / GOOD / "xyz").is_dir()]
    if not folders:
        raise DatasetError(
            "not an MVTec 3D-AD folder",
            where=root,
            expected="<class>/test/good/xyz",
            found=", ".join(sorted(path.name for path in root.iterdir())[:8]) or "an empty folder",
            hint="open the folder that holds the classes",
        )
    splits: tuple[Split, ...] = ("train", "test")
    return tuple(
        sample
        for folder in sorted(folders, key=natural_key)
        for split in splits
        for sample in _split_samples(folder, split)
    )


def _split_samples(folder: Path, split: Split) -> list[Sample]:
    inside = child_folder(folder, split)
    kinds = [] if inside is None else sorted((p for p in inside.iterdir() if (p / "xyz").is_dir()), key=_good_first)
    samples: list[Sample] = []
    for kind in kinds:
        normal = kind.name == GOOD
        if split == "train" and not normal:
            raise DatasetError("an anomalous kind among the training scans", where=kind, expected=GOOD, found=kind.name)
        images, masks = _by_stem(kind / "rgb"), {} if normal else _by_stem(kind / "gt")
        for path in sorted((kind / "xyz").iterdir(), key=natural_key):
            if path.suffix.lower() in _SCANS and not path.name.startswith("."):
                paths = masks.get(path.stem), images.get(path.stem)
                samples.append(OrganisedSample(path, folder.name, split, int(not normal), kind.name, *paths))
    return samples


def _good_first(path: Path) -> tuple[bool, str]:
    return path.name != GOOD, path.name


def _by_stem(folder: Path) -> dict[str, Path]:
    files = folder.iterdir() if folder.is_dir() else ()
    return {path.stem: path for path in files if path.suffix.lower() == ".png" and not path.name.startswith(".")}


def read_image(path: Path, grid: tuple[int, int], mode: str) -> np.ndarray:
    """(H, W) or (H, W, 3) uint8 of an image that must have the size of the scan's grid.

    Raises:
        DatasetError: missing, unreadable or of another size.
    """
    try:
        with Image.open(path) as image:
            size = image.height, image.width
            pixels = np.array(image.convert(mode)) if size == grid else None
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DatasetError("the image cannot be read", where=path, expected="a PNG", found=error) from error
    if pixels is None:
        raise DatasetError("the image does not fit the scan", where=path, expected=grid, found=size)
    return pixels
