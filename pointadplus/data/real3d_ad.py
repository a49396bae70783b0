"""Real3D-AD's folder layout (Liu et al., NeurIPS 2023): `<root>/<class>/{train,test,gt}`, clouds in millimetres."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import DatasetError
from .dataset import GOOD, Sample, child_folder, class_folders, label_files, split_clouds, wrong_layout

# Where the classes lie below the folder that a user unpacked.
_RELEASE_FOLDERS = ("", "Real3D-AD-PCD")
# Test clouds were multiplied by copying and by cutting their edges off; neither is a defect.
_MADE_BY = frozenset({"copy", "cut"})


def read_samples(root: Path) -> tuple[Sample, ...]:
    """List the samples of every class folder.

    Training clouds, `<id>_template.pcd`, are whole prototypes; test clouds, `<id>_good.pcd` or `<id>_<defect>.pcd`,
    show one side. Other files in `train`, and templates in `test`, are left out, as the published loaders do.
    `gt/<stem>.txt` holds `x y z label`; its points are the ones that are scored (`Sample.load`).

    Raises:
        DatasetError: no class folder with a test cloud, or a test cloud whose name tells no label.
    """
    folders = class_folders(root, _RELEASE_FOLDERS)
    if not folders:
        raise wrong_layout(root, "a Real3D-AD", "<class>/{train,test,gt}, here or in Real3D-AD-PCD")
    return tuple(sample for folder in folders for sample in _class_samples(folder))


def _class_samples(folder: Path) -> list[Sample]:
    masks = label_files(child_folder(folder, "gt"), (".txt",))
    templates = [path for path in split_clouds(folder, "train") if "template" in path.stem.lower()]
    samples = [Sample(path, folder.name, "train", 0, GOOD) for path in templates]
    for path in split_clouds(folder, "test"):
        stem = path.stem.lower()
        if "temp" in stem:
            continue
        kind = _kind(path)
        normal = kind == GOOD
        labels = None if normal else masks.get(stem)
        samples.append(Sample(path, folder.name, "test", int(not normal), kind, labels))
    return samples


def _kind(path: Path) -> str:
    """`105_bulge_cut` → "bulge": after the number, the first word that is not how the file was made."""
    words = [word for word in re.findall(r"[a-z]+", path.stem.lower()) if word not in _MADE_BY]
    if not words or not path.stem[0].isdecimal():
        raise DatasetError(
            "the name tells no label", where=path, expected="<id>_good or <id>_<defect>", found=path.name
        )
    return words[0]
