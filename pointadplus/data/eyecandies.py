"""Eyecandies' folder layout (Bonfiglioli et al., ACCV 2022): `<class>/{train,test_public}/data/<number>_*`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import yaml

from ..cloud import PointCloud
from ..errors import DatasetError
from .dataset import GOOD, Sample, Split, natural_key, wrong_layout
from .organised import OrganisedSample, read_pixels

FOCAL = 711.11  # pixels, of images of 512 × 512 whose optical axis meets the centre
_SPLITS: dict[str, Split] = {"train": "train", "test_public": "test"}
_KINDS = ("bumps", "dents", "colors", "normals")  # each has a mask of its own, beside the mask of all


@dataclass(frozen=True)
class EyecandiesSample(OrganisedSample):
    """A depth image of 16 bits.

    What lies less than 0.02 above the table goes with it, as in CPMF's preprocessing; `foreground` finds the table.
    """

    unit: ClassVar[float] = 4.0
    threshold: ClassVar[int] = 0

    def read(self) -> PointCloud:
        """The scan in the camera's frame: x to the right, y up, looking along −z; (H, W) pixels.

        depth = low + (high − low) · value / 65535, with low and high from `<number>_info_depth.yaml`.

        Raises:
            DatasetError: the depth image or its range cannot be read.
        """
        low, high = _depth_range(self.path.with_name(self.path.name.replace("_depth.png", "_info_depth.yaml")))
        values = read_pixels(self.path)
        if values.ndim != 2 or values.dtype.kind not in "ui":
            raise DatasetError(
                "not a depth image",
                where=self.path,
                expected="one channel of 16 bits",
                found=f"{values.shape} {values.dtype}",
            )
        depth = low + (high - low) * values.astype(np.float64) / 65535
        height, width = depth.shape
        v, u = np.mgrid[:height, :width] + 0.5
        across, up = (u - width / 2) / FOCAL, (height / 2 - v) / FOCAL
        return PointCloud.create(np.stack([across * depth, up * depth, -depth], -1), source=str(self.path))


def read_samples(root: Path) -> tuple[Sample, ...]:
    """List the samples of every class folder; a test sample is anomalous if its mask holds any pixel.

    `val` and `test_private`, whose masks are not public, are not listed. The image is the one of light 4.

    Raises:
        DatasetError: no class folder with `test_public/data`, or a mask that cannot be read.
    """
    folders = [path for path in root.iterdir() if (path / "test_public" / "data").is_dir()]
    if not folders:
        raise wrong_layout(root, "an Eyecandies", "<class>/test_public/data")
    return tuple(
        _sample(path, folder.name, split)
        for folder in sorted(folders, key=natural_key)
        for below, split in _SPLITS.items()
        for path in sorted((folder / below / "data").glob("*_depth.png"), key=natural_key)
    )


def _sample(path: Path, category: str, split: Split) -> EyecandiesSample:
    number = path.name.removesuffix("_depth.png")
    beside = partial(_beside, path, number)
    mask = beside("mask")
    kinds = [kind for kind in _KINDS if _any(beside(f"{kind}_mask"))] if split == "test" else []
    anomalous = split == "test" and _any(mask)
    kind = GOOD if not anomalous else "+".join(kinds) or "bad"
    return EyecandiesSample(path, category, split, int(anomalous), kind, mask if anomalous else None, beside("image_4"))


def _beside(path: Path, number: str, name: str) -> Path | None:
    found = path.with_name(f"{number}_{name}.png")
    return found if found.exists() else None


def _any(mask: Path | None) -> bool:
    return mask is not None and bool(read_pixels(mask, "L").any())


def _depth_range(path: Path) -> tuple[float, float]:
    try:
        normalization = yaml.safe_load(path.read_text(encoding="utf-8"))["normalization"]
        low, high = float(normalization["min"]), float(normalization["max"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        expected = "normalization with min and max"
        raise DatasetError(
            "the depth's range cannot be read", where=path, expected=expected, found=f"{type(error).__name__}: {error}"
        ) from error
    if not 0 < low < high < float("inf"):
        raise DatasetError("not a range of depths", where=path, expected="0 < min < max", found=f"{low} to {high}")
    return low, high
