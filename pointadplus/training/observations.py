"""What the frozen backbone sees of each labelled object, computed once and read back from disk in every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from safetensors import safe_open
from torch import Tensor

from ..clip.backbone import Backbone
from ..observation import Observation, Observer
from .cache import load_picture, write_tensors
from .pictures import patch_targets


@dataclass(frozen=True, eq=False)
class Lesson:
    """One labelled object as training sees it.

    Attributes:
        observation: of the object.
        kinds: (M,) int64 kind of defect of each node, −1 for normal.
        share: (V, h·w) share of each patch's object pixels that are anomalous; `solid` the share the object covers.
        family, kind: of the object.
    """

    observation: Observation
    kinds: Int[Tensor, "m"]
    share: Float[Tensor, "v hw"]
    solid: Float[Tensor, "v hw"]
    family: str
    kind: str

    @property
    def labels(self) -> Tensor:
        """(M,) bool, true on defects."""
        return self.kinds >= 0


def observe_pictures(pictures: Sequence[Path], folder: Path, backbone: Backbone, observer: Observer) -> list[Path]:
    """Run the backbone over stored pictures; what is there already stays. Returns the lessons' paths, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    done = []
    for path in pictures:
        target = folder / path.name
        if not target.exists():
            stored = load_picture(path)
            seen = observer.observe(stored.picture, backbone)
            patch = seen.image_size // seen.grid[0]
            targets = patch_targets(stored.kinds, stored.picture.index, patch)
            _save(target, Lesson(seen, stored.kinds, targets.share, targets.solid, stored.family, stored.kind))
        done.append(target)
    return done


def _save(path: Path, lesson: Lesson) -> None:
    seen = lesson.observation
    tensors = {
        "nodes": seen.nodes, "normals": seen.normals, "descriptors": seen.descriptors.clamp(-6e4, 6e4).half(),
        "features": seen.features.half(), "pixels": seen.pixels, "visible": seen.visible,
        "patches": seen.patches.half(),
        "views": seen.views, "kinds": lesson.kinds.to(torch.int8), "share": lesson.share, "solid": lesson.solid,
        "shape": torch.tensor([*seen.grid, seen.image_size]),
    }  # fmt: skip
    write_tensors(path, tensors, {"family": lesson.family, "kind": lesson.kind})


def load_lesson(path: Path) -> Lesson:
    """Read one lesson."""
    with safe_open(path, "pt") as file:
        read = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - safe_open has no iterator
        card = file.metadata()
    height, width, size = read["shape"].tolist()
    seen = Observation(
        read["nodes"],
        read["normals"],
        read["descriptors"].float(),
        read["features"].float(),
        read["pixels"],
        read["visible"],
        read["patches"].float(),
        (height, width),
        read["views"],
        size,
    )
    return Lesson(seen, read["kinds"].long(), read["share"], read["solid"], card["family"], card["kind"])
