"""Drawn objects on disk, one safetensors file each, so that what is frozen is computed once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..cloud import Normalization
from ..geometry.descriptors import Descriptors
from ..observation import Picture
from ..synthesis.corpus import LabelledObject


@dataclass(frozen=True, eq=False)
class StoredPicture:
    """A picture read back, with the labels of its nodes.

    Attributes:
        picture: as it was made; images and descriptors went through float16.
        kinds: (M,) int64 kind of defect of each node, −1 for normal.
        family, kind: of the object.
    """

    picture: Picture
    kinds: Tensor
    family: str
    kind: str


def save_picture(path: Path, picture: Picture, thing: LabelledObject) -> None:
    """Write a picture whole or not at all."""
    assert picture.descriptors.features is not None
    nodes = len(picture.nodes)
    tensors = {
        "nodes": picture.nodes,
        "normals": picture.descriptors.normals,
        "features": picture.descriptors.features.clamp(-6e4, 6e4).half(),
        "images": picture.images.half(),
        "index": picture.index.to(torch.int32),
        "pixels": picture.pixels,
        "visible": picture.visible,
        "kinds": thing.kinds[picture.order[:nodes]].to(torch.int8),
    }
    write_tensors(path, tensors, {"family": thing.family, "kind": thing.kind})


def write_tensors(path: Path, tensors: Mapping[str, Tensor], card: dict[str, str]) -> None:
    """Write a safetensors file whole or not at all, so that a run killed at any moment leaves no half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    save_file({key: value.detach().contiguous() for key, value in tensors.items()}, temporary, card)
    os.replace(temporary, path)


def load_picture(path: Path) -> StoredPicture:
    """Read what `save_picture` wrote."""
    with safe_open(path, "pt") as file:
        read = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - safe_open has no iterator
        card = file.metadata()
    descriptors = Descriptors(read["normals"], read["features"].float(), {})
    identity = Normalization(torch.zeros(3, dtype=torch.float64), 1.0)
    picture = Picture(
        torch.arange(len(read["nodes"])),
        identity,
        read["nodes"],
        descriptors,
        read["images"].float(),
        read["index"].long(),
        read["pixels"],
        read["visible"],
    )
    return StoredPicture(picture, read["kinds"].long(), card["family"], card["kind"])
