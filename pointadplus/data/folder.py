"""A user's own folder: `good/` and `bad/`, with optional `train/` and `masks/`."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import DatasetError
from .dataset import GOOD, Sample, child_folder, cloud_files, label_files


def read_samples(root: Path) -> tuple[Sample, ...]:
    """List the samples of one object class, named after the folder.

    `good/` and `bad/` hold the test clouds, `train/` normal clouds for few-shot methods, and `masks/<stem>.txt`
    or `masks/<stem>.npy` the point labels of a bad cloud. A bad cloud's kind is its name without the
    trailing number: `dent.deep_12` is of the kind `dent.deep`.

    Raises:
        DatasetError: `good/` or `bad/` is missing or empty, or a mask fits no cloud.
    """
    category = root.resolve().name
    clouds = {}
    for name in ("good", "bad"):
        inside = child_folder(root, name)
        clouds[name] = [] if inside is None else cloud_files(inside)
        if not clouds[name]:
            raise DatasetError(
                f"no cloud in {name}/",
                where=root,
                expected="clouds in good/ and bad/",
                found="no such folder" if inside is None else "no file of a known type",
                hint="sort the scans into good/ and bad/, with masks/<stem>.txt for point labels",
            )
    masks = label_files(child_folder(root, "masks"), (".txt", ".npy"))
    stray = masks.keys() - {path.stem.lower() for paths in clouds.values() for path in paths}
    if stray:
        raise DatasetError(
            "a mask fits no cloud",
            where=root / "masks",
            expected="the stem of a file in bad/",
            found=", ".join(sorted(stray)[:5]),
        )
    train = child_folder(root, "train")
    return (
        *(Sample(path, category, "train", 0, GOOD) for path in ([] if train is None else cloud_files(train))),
        *(Sample(path, category, "test", 0, GOOD) for path in clouds["good"]),
        *(Sample(path, category, "test", 1, _kind(path), masks.get(path.stem.lower())) for path in clouds["bad"]),
    )


def _kind(path: Path) -> str:
    return re.sub(r"[_\-\s\d.]+$", "", path.stem.lower()) or "bad"
