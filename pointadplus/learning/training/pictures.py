"""A stream of drawn synthetic objects with labels on points, pixels and patches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import avg_pool2d, one_hot
from torch.utils.data import IterableDataset, get_worker_info

from ...cloud import PointCloud
from ...zero_shot.observation import Observer
from ..synthesis.corpus import CorpusConfig, sample_object
from ..synthesis.defects import KINDS
from .cache import PICTURES, LabelledPicture, load_picture, save_picture, stored_origin


@dataclass(frozen=True, eq=False)
class PatchTargets:
    """What the patches of V views show.

    Attributes:
        solid: (V, h·w) share of each patch's pixels that the object covers.
        share: (V, h·w) share of those that are labelled anomalous.
        kind: (V, h·w) int64, the commonest kind among the labelled, −1 where none is.
    """

    solid: Float[Tensor, "v hw"]
    share: Float[Tensor, "v hw"]
    kind: Int[Tensor, "v hw"]


@dataclass(frozen=True, eq=False)
class DrawnObject:
    """Views of one synthetic object and their targets; images are float16 to save memory.

    Attributes:
        images: (V, C, H, W) float16.
        targets: of the patches.
        view_kinds: (V,) int64, the commonest kind that a view shows, −1 if it shows no defect.
        caption: the shape's noun phrase.
    """

    images: Tensor
    targets: PatchTargets
    view_kinds: Int[Tensor, "v"]
    caption: str


def patch_targets(kinds: Int[Tensor, "n"], index: Int[Tensor, "v h w"], patch: int) -> PatchTargets:
    """Targets of each patch from the kinds of the points that its pixels show.

    Args:
        kinds: (N,) index of the kind of defect, −1 for normal points.
        index: (V, H, W) front point of each pixel, −1 for background.
        patch: side of a patch in pixels.
    """
    shown = torch.where(index >= 0, kinds[index.clamp_min(0)], -1)
    planes = one_hot(shown + 1, len(KINDS) + 1).permute(0, 3, 1, 2)[:, 1:].float()
    by_kind = avg_pool2d(planes, patch).flatten(2)
    solid = avg_pool2d((index >= 0).float()[:, None], patch).flatten(1)
    labelled = by_kind.sum(1)
    kind = torch.where(labelled > 0, by_kind.argmax(1), -1)
    return PatchTargets(solid, labelled / solid.clamp_min(1e-6), kind)


def draw(labelled: LabelledPicture, patch: int, views: Int[Tensor, "k"]) -> DrawnObject:
    """Keep some views of a picture, with the targets of their patches."""
    targets = patch_targets(labelled.kinds, labelled.picture.index[views], patch)
    mass = torch.stack(
        [(targets.share * targets.solid * (targets.kind == kind)).sum(1) for kind in range(len(KINDS))], 1
    )
    view_kinds = torch.where(mass.sum(1) > 0.15, mass.argmax(1), -1)  # 0.15 of a patch: about ten pixels
    return DrawnObject(labelled.picture.images[views].half(), targets, view_kinds, labelled.caption)


class PictureStream(IterableDataset):
    """Objects `first`, `first + 1`, …, each drawn from its own number; pairs share a shape (see `sample_object`).

    Args:
        observer: how they are looked at.
        patch: side of a patch in pixels.
        seed: of the stream; streams of different seeds share no object.
        first: where to begin, for resuming.
        views: views kept of each object; for a damaged one half of them are those that show most of the damage.
        keep: folder that every `keep_every`-th pair is written to in full, for learning prompts and G-aggregation.
            A picture that is there already is read back, and not made again.
    """

    def __init__(
        self,
        observer: Observer,
        patch: int,
        corpus: CorpusConfig,
        *,
        seed: int,
        first: int = 0,
        views: int = 8,
        keep: Path | None = None,
        keep_every: int = 4,
    ) -> None:
        self.observer, self.patch, self.corpus, self.seed, self.first = observer, patch, corpus, seed, first
        self.views, self.keep, self.keep_every = views, keep, keep_every

    def __iter__(self) -> Iterator[DrawnObject]:
        worker = get_worker_info()
        number, step = self.first, 1
        if worker is not None:
            number, step = number + worker.id, worker.num_workers
        while True:
            yield self.make(number)
            number += step

    def make(self, number: int) -> DrawnObject:
        """Object `number` of the stream."""
        seed = self.seed * 10_000_000 + number
        labelled = self._labelled(seed, kept=(number // 2) % self.keep_every == 0)
        return draw(labelled, self.patch, self._choose(labelled, seed))

    def _labelled(self, seed: int, kept: bool) -> LabelledPicture:
        path = self.keep / f"{seed:012d}.safetensors" if self.keep is not None else None
        look = self.observer.renderer.config, self.observer.config
        origin = repr((PICTURES, self.observer.channels, *look, self.corpus))
        if path is not None and stored_origin(path) == origin:
            return load_picture(path)
        thing = sample_object(seed, self.corpus)
        labelled = LabelledPicture.of(thing, self.observer.picture(PointCloud.create(thing.points)))
        if path is not None and kept:
            save_picture(path, labelled, origin)
        return labelled

    def _choose(self, labelled: LabelledPicture, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        picture, labels = labelled.picture, labelled.kinds >= 0
        order = torch.randperm(len(picture.index), generator=generator)
        if labels.any():
            shown = (labels[picture.index.clamp_min(0)] & (picture.index >= 0)).flatten(1).sum(1)
            best = shown.argsort(descending=True)[: self.views // 2]
            order = torch.cat([best, order[~torch.isin(order, best)]])
        return order[: self.views]
