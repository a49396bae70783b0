"""Anomaly-ShapeNet's folder layout (Li et al., CVPR 2024): `<root>/<class>/{train,test,GT}`."""

from __future__ import annotations

from pathlib import Path

from ..errors import DatasetError
from .dataset import GOOD, Sample, child_folder, class_folders, label_files, split_clouds, wrong_layout

# "positive" is this data set's word for a normal test cloud, "template" for a normal training cloud.
NORMAL_KINDS = frozenset({"positive", "template", "good"})
# Where the classes lie below the folder that a user unpacked.
_RELEASE_FOLDERS = ("", "pcd", "dataset/pcd", "Anomaly-ShapeNet-v2/dataset/pcd")


def read_samples(root: Path) -> tuple[Sample, ...]:
    """List the samples of every class folder.

    Files are `<class>_template{i}.pcd` in `train`, `<class>_positive{i}.pcd` (normal) and `<class>_<defect>{i}.pcd`
    in `test`, and `GT/<stem>.txt` with the point labels. Letter case does not matter. `train` and `GT` may be
    missing: then few-shot methods cannot be fitted, or anomalous samples have no point labels.

    Raises:
        DatasetError: no class folder with a test cloud, or a name that contradicts its folder.
    """
    folders = class_folders(root, _RELEASE_FOLDERS)
    if folders:
        return tuple(sample for folder in folders for sample in _class_samples(folder))
    raise wrong_layout(root, "an Anomaly-ShapeNet", "<class>/{train,test,GT}, here or in dataset/pcd")


def _class_samples(folder: Path) -> list[Sample]:
    category = folder.name
    masks = label_files(child_folder(folder, "gt"), (".txt",))
    samples = []
    for path in split_clouds(folder, "train"):
        kind = _kind(path, category)
        if kind and kind not in NORMAL_KINDS:
            raise DatasetError(
                "an anomalous cloud among the training clouds",
                where=path,
                expected=f"{category}_template<i>",
                found=kind,
            )
        samples.append(Sample(path, category, "train", 0, GOOD))
    for path in split_clouds(folder, "test"):
        kind = _kind(path, category)
        if not kind:
            raise DatasetError(
                "the name tells no label",
                where=path,
                expected=f"{category}_positive<i> or {category}_<defect><i>",
                found=path.name,
            )
        normal = kind in NORMAL_KINDS
        samples.append(
            Sample(
                path,
                category,
                "test",
                int(not normal),
                GOOD if normal else kind,
                None if normal else masks.get(path.stem.lower()),
            )
        )
    return samples


def _kind(path: Path, category: str) -> str:
    """`bowl0_Hole12` → "hole": the name without the class before it and the number after it."""
    stem, prefix = path.stem.lower(), category.lower()
    name = stem.removeprefix(prefix) if stem.startswith(prefix) else stem.rstrip("_- 0123456789").rpartition("_")[2]
    return name.strip("_- 0123456789")
