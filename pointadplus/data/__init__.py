"""Labelled data sets on disk, opened by the name of their layout."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import DatasetError
from . import anomaly_shapenet, eyecandies, folder, mvtec3d_ad, real3d_ad, synthetic
from .dataset import Dataset, Sample

__all__ = ["Dataset", "Sample", "dataset_names", "open_dataset"]

_READERS = {  # a folder of no given layout is opened by the first that reads it: the strictest first
    "synthetic": synthetic.read_samples,
    "real3d-ad": real3d_ad.read_samples,
    "anomaly-shapenet": anomaly_shapenet.read_samples,
    "mvtec-3d-ad": mvtec3d_ad.read_samples,
    "eyecandies": eyecandies.read_samples,
    "folder": folder.read_samples,
}


def dataset_names() -> tuple[str, ...]:
    """The layouts that `open_dataset` knows."""
    return tuple(_READERS)


def open_dataset(name: str, root: str | os.PathLike[str]) -> Dataset:
    """List a data set's samples; clouds are read later, one by one, by `Sample.load`.

    Args:
        name: one of `dataset_names()`; case, and "_" for "-", do not matter.
        root: its folder.

    Raises:
        DatasetError: unknown name, missing folder, or another layout.
    """
    key, path = name.lower().replace("_", "-"), Path(root)
    if key not in _READERS:
        raise DatasetError("unknown data set", where="name", expected=", ".join(_READERS), found=name)
    if not path.is_dir():
        raise DatasetError(
            "no such folder",
            where=path,
            expected="a folder",
            found="a file" if path.exists() else "nothing",
            hint=f"unpack the {key} data there, or give the folder where it lies",
        )
    return Dataset(key, path, _READERS[key](path))
