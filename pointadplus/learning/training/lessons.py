"""What the frozen parts of the method see of each labelled object, computed once and read back in every epoch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from safetensors import safe_open
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ...clip.backbone import Backbone
from ...cloud import PointCloud
from ...data import Sample
from ...geometry.aggregation import PointGraph
from ...io.tensors import write_tensors
from ...render import rasterize_labels
from ...zero_shot.model import PointAD
from ...zero_shot.observation import Observation, Observer, Picture
from ..synthesis.corpus import CorpusConfig, sample_pair
from .cache import LabelledPicture
from .pictures import patch_targets

_FORMAT = 3  # of the files; counts up when what they hold changes


@dataclass(frozen=True, eq=False)
class Lesson:
    """One labelled object as training sees it.

    Attributes:
        observation: of the object.
        graph: of its nodes.
        kinds: (M,) int64 kind of defect of each node, −1 for normal; where no kinds are known, 0 for any defect.
        mask: (V, H, W) bool, the pixels that show a defect.
        share: (V, h·w) share of each patch's object pixels that are anomalous; `solid` the share the object covers.
        damaged: whether the object is anomalous.
        labelled: whether it is known where; else `kinds`, `mask` and `share` say nothing.
        category, kind: of the object.
    """

    observation: Observation
    graph: PointGraph
    kinds: Int[Tensor, "m"]
    mask: Bool[Tensor, "v h w"]
    share: Float[Tensor, "v hw"]
    solid: Float[Tensor, "v hw"]
    damaged: bool
    labelled: bool
    category: str
    kind: str

    @property
    def labels(self) -> Tensor:
        """(M,) bool, true on defects."""
        return self.kinds >= 0

    def to(self, device: torch.device) -> Lesson:
        """The same on a device."""
        graph = self.graph
        moved = PointGraph(
            {stride: value.to(device) for stride, value in graph.index.items()},
            {stride: value.to(device) for stride, value in graph.edges.items()},
            graph.neighbors.to(device),
            graph.distances.to(device),
        )
        seen = {k: v.to(device) for k, v in vars(self.observation).items() if isinstance(v, Tensor)}
        own = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, observation=replace(self.observation, **seen), graph=moved, **own)


class LessonCache:
    """Lessons on disk, one safetensors file each, which is mapped into memory when it is read.

    A file's name is the digest of all that it depends on: the points and labels of the cloud, the backbone's weights,
    how it looks, and the graph. So a folder can serve any number of runs, and never gives what is out of date.

    Args:
        folder: for the files.
        backbone: the frozen one.
        observer: for the same backbone.
        model: whose graph is kept with the lessons.
    """

    def __init__(self, folder: Path, backbone: Backbone, observer: Observer, model: PointAD) -> None:
        self.folder, self.backbone, self.observer, self.model = folder, backbone, observer, model
        config = model.config
        look = {
            "format": _FORMAT,
            "backbone": backbone.digest,
            "channels": backbone.channels,
            "image_size": backbone.image_size,
            "observation": asdict(observer.config),
            "graph": [config.neighbors, config.strides],
        }
        self._look = json.dumps(look, sort_keys=True)
        folder.mkdir(parents=True, exist_ok=True)

    def of_samples(
        self,
        samples: Sequence[Sample],
        *,
        objects_only: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Path]:
        """The lessons of labelled clouds, made where they are missing.

        Args:
            samples: with a label each. Anomalous ones without point labels become lessons that say only so.
            objects_only: whether the point labels of anomalous objects are left aside.
            progress: called as progress(done, total).
        """
        paths = []
        for sample in samples:
            cloud, labels = sample.load()
            kinds, known = torch.full((len(cloud),), -1), sample.label == 0
            if labels is not None and not (objects_only and sample.label):
                kinds, known = torch.where(labels[cloud.valid_rows()], 0, -1), True
            path = self._path(cloud.points, kinds, f"{sample.label} {known}")
            if not path.exists():
                picture = self.observer.picture(cloud)
                nodes = kinds[picture.order[: len(picture.nodes)]]
                self._write(path, picture, nodes, bool(sample.label), known, sample.category, sample.kind)
            paths.append(path)
            if progress is not None:
                progress(len(paths), len(samples))
        return paths

    def of_pairs(self, numbers: Sequence[int], corpus: CorpusConfig, *, workers: int = 0) -> list[Path]:
        """The lessons of synthetic twins, made where they are missing: a healthy and a damaged one in turns.

        Args:
            numbers: of the pairs, see `sample_pair`; file names start with twice the number, and one more.
            corpus: what the objects are.
            workers: processes that make them; 0 makes them in this one.
        """
        pairs = DataLoader(_Pairs(self, numbers, corpus), batch_size=None, num_workers=workers)
        return [Path(path) for pair in pairs for path in pair]

    def of_pair(self, number: int, corpus: CorpusConfig) -> tuple[Path, Path]:
        """The lessons of one pair of synthetic twins."""
        tag = hashlib.sha256(f"{self._look}{corpus}".encode()).hexdigest()[:8]
        healthy, damaged = (self.folder / f"{2 * number + half:012d}-{tag}.safetensors" for half in range(2))
        if not (healthy.exists() and damaged.exists()):
            for path, thing in zip((healthy, damaged), sample_pair(number, corpus), strict=True):
                labelled = LabelledPicture.of(thing, self.observer.picture(PointCloud.create(thing.points)))
                category = f"{thing.scan}/{labelled.family}"
                self._write(path, labelled.picture, labelled.kinds, thing.damaged, True, category, labelled.kind)
        return healthy, damaged

    def _path(self, points: Tensor, kinds: Tensor, state: str) -> Path:
        sha = hashlib.sha256(f"{self._look}{state}".encode())
        sha.update(points.numpy().data)
        sha.update(kinds.to(torch.int8).numpy().data)
        return self.folder / f"{sha.hexdigest()[:32]}.safetensors"

    def _write(
        self, path: Path, picture: Picture, kinds: Tensor, damaged: bool, labelled: bool, category: str, kind: str
    ) -> None:
        seen = self.observer.observe(picture, self.backbone)
        mask = rasterize_labels(kinds >= 0, _at_nodes(picture, len(kinds))) > 0
        targets = patch_targets(kinds, _at_nodes(picture, len(kinds)), seen.image_size // seen.grid[0])
        lesson = Lesson(
            seen, self.model.graph(seen), kinds, mask, targets.share, targets.solid, damaged, labelled, category, kind
        )
        _save(path, lesson)


class _Pairs(Dataset[tuple[str, str]]):
    """Lessons of twins by their place among numbers; making them is what reading an item does."""

    def __init__(self, cache: LessonCache, numbers: Sequence[int], corpus: CorpusConfig) -> None:
        self.cache, self.numbers, self.corpus = cache, numbers, corpus

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, place: int) -> tuple[str, str]:
        healthy, damaged = self.cache.of_pair(self.numbers[place], self.corpus)
        return str(healthy), str(damaged)


def _at_nodes(picture: Picture, nodes: int) -> Tensor:
    """What each pixel shows, −1 also for drawn points that are no nodes: their labels are not kept."""
    return torch.where(picture.index < nodes, picture.index, -1)


def _save(path: Path, lesson: Lesson) -> None:
    seen, graph = lesson.observation, lesson.graph
    tensors = {
        "nodes": seen.nodes, "normals": seen.normals, "view": seen.view,
        "descriptors": seen.descriptors.clamp(-6e4, 6e4).half(), "features": seen.features.half(),
        "pixels": seen.pixels, "visible": seen.visible,
        "patches": seen.patches.half(), "views": seen.views, "kinds": lesson.kinds.to(torch.int8),
        "mask": torch.from_numpy(np.packbits(lesson.mask.numpy())), "share": lesson.share, "solid": lesson.solid,
        "neighbors": graph.neighbors.int(), "distances": graph.distances,
        "shape": torch.tensor([*seen.grid, seen.image_size, lesson.damaged, lesson.labelled]),
    }  # fmt: skip
    for stride, index in graph.index.items():
        tensors |= {f"index/{stride}": index.int(), f"edges/{stride}": graph.edges[stride].half()}
    write_tensors(path, tensors, {"category": lesson.category, "kind": lesson.kind})


def load_lesson(path: Path) -> Lesson:
    """Read one lesson."""
    with safe_open(path, "pt") as file:
        read = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - safe_open has no iterator
        card = file.metadata()
    height, width, size, damaged, labelled = read["shape"].tolist()
    strides = [int(key.split("/")[1]) for key in read if key.startswith("index/")]
    seen = Observation(
        read["nodes"],
        read["normals"],
        read["view"],
        read["descriptors"].float(),
        read["features"].float(),
        read["pixels"],
        read["visible"],
        read["patches"].float(),
        (height, width),
        read["views"],
        size,
    )
    graph = PointGraph(
        {stride: read[f"index/{stride}"].long() for stride in strides},
        {stride: read[f"edges/{stride}"].float() for stride in strides},
        read["neighbors"].long(),
        read["distances"],
    )
    views = len(read["views"])
    mask = np.unpackbits(read["mask"].numpy(), count=views * size * size).reshape(views, size, size)
    return Lesson(
        seen,
        graph,
        read["kinds"].long(),
        torch.from_numpy(mask).bool(),
        read["share"],
        read["solid"],
        bool(damaged),
        bool(labelled),
        card["category"],
        card["kind"],
    )
