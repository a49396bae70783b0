"""`Sample` and `Dataset`: labelled clouds on disk, and how their ground truth is read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from ..cloud import PointCloud
from ..errors import DatasetError
from ..io import READABLE, VertexCloud, read_labelled

Split = Literal["train", "test"]
GOOD = "good"
# Coordinates in a label file are rounded to a few decimals; this share of the cloud's diagonal is still the same point.
SAME_POINT = 1e-4


@dataclass(frozen=True)
class Sample:
    """One cloud of a data set.

    Attributes:
        path: the cloud's file.
        category: the object class it belongs to.
        split: "train" (normal scans for few-shot methods) or "test".
        label: 0 normal, 1 anomalous, None unknown.
        kind: "good", or the kind of defect that the file's name tells.
        gt_path: the file of point labels, or None.
    """

    path: Path
    category: str
    split: Split
    label: int | None
    kind: str
    gt_path: Path | None = None

    def load(self) -> tuple[PointCloud, Bool[Tensor, " m"] | None]:
        """Read the cloud and its point labels.

        Labels align with the rows of the cloud's source, M = `cloud.source_size`. Where the label file holds
        coordinates that are not the cloud file's rows one by one (another count or another order), it is the
        authority: the cloud is made of its points. Published benchmarks score those. Without a label file a field
        `label`, `gt`, `ground_truth` or `anomaly` of the scan's own file serves.

        A mesh with labels of its vertices is read at its vertices; one without is sampled.

        Returns:
            The cloud, and (M,) bool with True on anomalous rows; all False for a normal sample, None where
            an anomalous or unlabelled sample has no labels.

        Raises:
            CloudReadError: the cloud's file cannot be read.
            DatasetError: the label file cannot be read or does not fit the cloud.
        """
        cloud, labels = read_labelled(self.path)
        points = None
        if self.label != 0 and self.gt_path is not None:
            points, labels = read_point_labels(self.gt_path)
        elif self.label != 0 and labels is not None:
            labels = _binary(labels, self.path)
        if isinstance(cloud, VertexCloud) and (labels is None or len(labels) != cloud.source_size):
            cloud = cloud.surface()
        if self.label == 0:
            return cloud, torch.zeros(cloud.source_size, dtype=torch.bool)
        if labels is None:
            return cloud, None
        if points is not None and not _same_rows(cloud, points):
            cloud = PointCloud.create(points, source=str(self.path))
        if len(labels) != cloud.source_size:
            raise DatasetError(
                "the labels do not fit the cloud",
                where=self.gt_path or self.path,
                expected=f"{cloud.source_size} labels, one a row of {self.path.name}",
                found=len(labels),
            )
        return cloud, torch.from_numpy(labels)


@dataclass(frozen=True)
class Dataset:
    """The samples of one data set, in a fixed order.

    Attributes:
        name: the layout's name, as given to `open_dataset`.
        root: the folder that was opened.
        samples: all samples, by category, split and name.
    """

    name: str
    root: Path
    samples: tuple[Sample, ...]

    def categories(self) -> tuple[str, ...]:
        """The object classes, in order."""
        return tuple(dict.fromkeys(sample.category for sample in self.samples))

    def select(self, category: str | None = None, split: Split | None = None) -> tuple[Sample, ...]:
        """The samples of one category and split; None stands for all.

        Raises:
            DatasetError: the data set has no such category.
        """
        if category is not None and category not in self.categories():
            raise DatasetError(
                "no such category", where=self.root, expected=", ".join(self.categories()), found=category
            )
        return tuple(
            sample for sample in self.samples if category in (None, sample.category) and split in (None, sample.split)
        )


def read_point_labels(path: Path) -> tuple[np.ndarray | None, np.ndarray]:
    """Read a file of point labels.

    Text holds rows of `x y z label` or of `label` alone, with commas or blanks between; `.npy` holds (M,) labels.

    Returns:
        (M, 3) float64 coordinates or None, and (M,) bool labels.

    Raises:
        DatasetError: missing, empty, ragged, or labels other than 0 and 1.
    """
    where, expected = path, "rows of `x y z label` or of `label`, or an (M,) .npy"
    try:
        table = np.load(path, allow_pickle=False) if path.suffix.lower() == ".npy" else _read_table(path)
    except (OSError, ValueError, EOFError) as error:
        raise DatasetError("the point labels cannot be read", where=where, expected=expected, found=error) from error
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or table.shape[1] not in (1, 4) or len(table) == 0 or table.dtype.kind not in "fiub":
        raise DatasetError("the point labels have the wrong shape", where=where, expected=expected, found=table.shape)
    labels = table[:, -1]
    return (table[:, :3] if table.shape[1] == 4 else None), _binary(labels, where)


def cloud_files(folder: Path) -> list[Path]:
    """The point cloud files of a folder, `scan2` before `scan10`; none where the folder is missing."""
    if not folder.is_dir():
        return []
    files = (
        path
        for path in folder.iterdir()
        if path.suffix.lower() in READABLE and not path.name.startswith(".") and path.is_file()
    )
    return sorted(files, key=natural_key)


def class_folders(root: Path, below: Iterable[str] = ("",)) -> list[Path]:
    """The folders with a cloud in `test`, in the first of the places below `root` that has any; else none."""
    for name in below:
        inside = root / name
        folders = [path for path in inside.iterdir() if path.is_dir()] if inside.is_dir() else []
        found = [path for path in folders if not path.name.startswith(".") and split_clouds(path, "test")]
        if found:
            return sorted(found, key=natural_key)
    return []


def wrong_layout(root: Path, what: str, expected: str) -> DatasetError:
    """The error for a folder that does not hold what it should: "not an Eyecandies folder"."""
    return DatasetError(
        f"not {what} folder",
        where=root,
        expected=expected,
        found=", ".join(sorted(path.name for path in root.iterdir())[:8]) or "an empty folder",
        hint="open the folder that holds the classes",
    )


def split_clouds(folder: Path, split: Split) -> list[Path]:
    """The clouds of a class in one split; none where that folder is missing."""
    inside = child_folder(folder, split)
    return [] if inside is None else cloud_files(inside)


def child_folder(parent: Path, name: str) -> Path | None:
    """The sub-folder of this name in any case (releases differ: `GT`, `gt`), or None."""
    return next((path for path in sorted(parent.iterdir()) if path.is_dir() and path.name.lower() == name), None)


def _binary(labels: np.ndarray, where: Path) -> np.ndarray:
    """Labels as bool."""
    if not np.isin(labels, (0, 1)).all():
        raise DatasetError(
            "the point labels are not binary",
            where=where,
            expected="0 (normal) or 1 (anomalous)",
            found=np.unique(labels[~np.isin(labels, (0, 1))])[:5],
        )
    return labels.astype(bool)


def label_files(folder: Path | None, suffixes: Iterable[str]) -> dict[str, Path]:
    """Files of point labels by lower-case stem."""
    if folder is None:
        return {}
    return {
        path.stem.lower(): path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in suffixes and not path.name.startswith(".")
    }


def natural_key(path: Path) -> list[tuple[bool, int, str]]:
    """Sort key that compares runs of digits as numbers and letters without case; digits come first."""
    parts = re.findall(r"[0-9]+|[^0-9]+", path.name.lower())
    return [(False, int(part), "") if part.isdecimal() else (True, 0, part) for part in parts]


def _read_table(path: Path) -> np.ndarray:
    with path.open(encoding="utf-8-sig") as file:
        first = next((line for line in file if line.strip() and not line.lstrip().startswith("#")), None)
    if first is None:
        raise ValueError("an empty file")
    return np.loadtxt(path, delimiter="," if "," in first else None, ndmin=2, encoding="utf-8-sig")


def _same_rows(cloud: PointCloud, points: np.ndarray) -> bool:
    if len(points) != cloud.source_size:
        return False
    rows = torch.from_numpy(points)[cloud.valid_rows()]
    own = cloud.positions()
    diagonal = (own.amax(0) - own.amin(0)).norm().item()
    return bool((rows - own).abs().max() <= SAME_POINT * diagonal)
