"""MVTec 3D-AD's folder layout (Bergmann et al., VISAPP 2022): `<class>/{train,validation,test}/<kind>/{xyz,rgb,gt}`."""

from __future__ import annotations

from pathlib import Path

from ..errors import DatasetError
from .dataset import GOOD, Sample, Split, child_folder, natural_key, wrong_layout
from .organised import OrganisedSample

_SCANS = (".tiff", ".tif")


def read_samples(root: Path) -> tuple[Sample, ...]:
    """List the samples of every class folder; `validation` is not listed.

    Raises:
        DatasetError: no class folder with `test/good/xyz`, or an anomalous kind among the training scans.
    """
    folders = [path for path in root.iterdir() if path.is_dir() and (path / "test" / GOOD / "xyz").is_dir()]
    if not folders:
        raise wrong_layout(root, "an MVTec 3D-AD", "<class>/test/good/xyz")
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
