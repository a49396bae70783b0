"""Drawn objects on disk, one safetensors file each, so that what is frozen is computed once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int
from safetensors import safe_open
from torch import Tensor

from ...geometry.descriptors import Descriptors
from ...io.tensors import write_tensors
from ...normalization import Normalization
from ...zero_shot.observation import Picture
from ..synthesis.corpus import LabelledObject

PICTURES = 3  # format of the files; counts up when what they hold changes


@dataclass(frozen=True, eq=False)
class LabelledPicture:
    """A picture of a synthetic object, with the labels of its nodes.

    Attributes:
        picture: whose pixels show nodes; read back, images and descriptors went through float16.
        kinds: (M,) int64 kind of defect of each node, −1 for normal.
        family, caption, kind: of the object.
    """

    picture: Picture
    kinds: Int[Tensor, "m"]
    family: str
    caption: str
    kind: str

    @classmethod
    def of(cls, thing: LabelledObject, picture: Picture) -> LabelledPicture:
        """With the labels that the nodes have on the object."""
        kinds = thing.kinds[picture.order[: len(picture.nodes)]]
        return cls(picture, kinds, thing.family, thing.caption, thing.kind)


def save_picture(path: Path, labelled: LabelledPicture, origin: str = "") -> None:
    """Write a picture whole or not at all.

    Args:
        origin: what the picture was made with; `stored_origin` tells it.
    """
    picture = labelled.picture
    tensors = {
        "nodes": picture.nodes,
        "normals": picture.descriptors.normals,
        "view": picture.descriptors.view,
        "features": picture.descriptors.features.clamp(-6e4, 6e4).half(),
        "symmetry": picture.symmetry.clamp(-6e4, 6e4).half(),
        "images": picture.images.half(),
        "index": picture.index.to(torch.int32),
        "pixels": picture.pixels,
        "visible": picture.visible,
        "kinds": labelled.kinds.to(torch.int8),
    }
    card = {"family": labelled.family, "caption": labelled.caption, "kind": labelled.kind, "origin": origin}
    write_tensors(path, tensors, card)


def stored_origin(path: Path) -> str | None:
    """What the picture in a file was made with; None where there is no file."""
    if not path.exists():
        return None
    with safe_open(path, "pt") as file:
        return file.metadata()["origin"]


def load_picture(path: Path) -> LabelledPicture:
    """Read what `save_picture` wrote."""
    with safe_open(path, "pt") as file:
        read = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - safe_open has no iterator
        card = file.metadata()
    descriptors = Descriptors(read["normals"], read["features"].float(), read["view"])
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
        read["symmetry"].float(),
    )
    return LabelledPicture(picture, read["kinds"].long(), card["family"], card["caption"], card["kind"])
