"""Learning the stem for colours: painted synthetic objects, and a frozen tower whose words they are read by."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, normalize
from torch.utils.data import IterableDataset, get_worker_info

from ...clip.backbone import Backbone
from ...cloud import PointCloud
from ...geometry.descriptors import DESCRIPTORS, Descriptors, outward_normals
from ...geometry.exposure import mean_view
from ...geometry.sampling import canonical_order
from ...geometry.symmetry_descriptors import SYMMETRY_COLUMNS
from ...prompts.templates import ANOMALOUS_WORDS, NORMAL_WORDS, captions
from ...zero_shot.colors import draw_colors
from ...zero_shot.observation import Observer, Picture
from ..synthesis.corpus import CorpusConfig
from ..synthesis.painted import PaintedObject, sample_painted
from .cache import LabelledPicture
from .pictures import DrawnObject, draw
from .pretraining import PretrainLoss, ViewBatch


class PaintedStream(IterableDataset):
    """Objects `first`, `first + 1`, …: even ones whole, odd ones the same scan with a defect of colour.

    Args:
        observer: how they are looked at.
        patch: side of a patch in pixels.
        corpus: what is painted; its defects of shape are not made.
        seed: of the stream; streams of different seeds share no object.
        first: where to begin, even, for resuming.
    """

    def __init__(self, observer: Observer, patch: int, corpus: CorpusConfig, *, seed: int, first: int = 0) -> None:
        self.observer, self.patch, self.corpus, self.seed, self.first = observer, patch, corpus, seed, first

    def __iter__(self) -> Iterator[DrawnObject]:
        worker = get_worker_info()
        number, step = self.first // 2, 1
        if worker is not None:
            number, step = number + worker.id, worker.num_workers
        while True:
            yield from self.make(number)
            number += step

    def make(self, number: int) -> tuple[DrawnObject, DrawnObject]:
        """Pair `number` of the stream."""
        pair = sample_painted(self.seed * 10_000_000 + number, self.corpus)
        labelled = [labelled_colors(thing, self.observer) for thing in pair]
        every = torch.arange(len(self.observer.renderer))
        return draw(labelled[0], self.patch, every), draw(labelled[1], self.patch, every)


def labelled_colors(thing: PaintedObject, observer: Observer) -> LabelledPicture:
    """What colours say of an object, drawn, with its labels as of one kind; its descriptors are left empty."""
    cloud = PointCloud.create(thing.points, colors=thing.colors)
    order, normalization = canonical_order(cloud.points, observer.config.seed), cloud.normalization()
    support = normalization.apply(cloud.points[order[: observer.config.support]])
    count = min(observer.config.nodes, len(support))
    nodes, normals = support[:count], outward_normals(support, count)
    views = observer.renderer.render(PointCloud(nodes, normals=normals))
    nothing = Descriptors(normals, nodes.new_zeros(count, DESCRIPTORS), mean_view(normals)[0])
    pixels = views.index, views.pixels, views.visible
    unlike = nodes.new_zeros(count, len(SYMMETRY_COLUMNS))
    picture = Picture(order, normalization, nodes, nothing, views.depth[:, None], *pixels, unlike)
    picture = replace(picture, images=draw_colors(cloud, picture, thing.colors, observer))
    kinds = torch.where(thing.labels[order[:count]], 0, -1)
    return LabelledPicture(picture, kinds, thing.family, thing.caption, thing.kind)


class ColorLoss(PretrainLoss):
    """Whether each patch, and each view, is anomalous, by the tower's own words and by learnt prompts in turns."""

    def texts(self, backbone: Backbone, learnt: Sequence[Float[Tensor, "2 d"]] = ()) -> Float[Tensor, "t 2 d"]:
        """(T, 2, D) pairs of text features, normal and anomalous, to draw from.

        Args:
            backbone: whose words they are.
            learnt: pairs of prompts that were learnt on it.
        """
        with torch.no_grad():
            words = backbone.encode_text(backbone.tokenize([NORMAL_WORDS, ANOMALOUS_WORDS]))
            normal = backbone.encode_text(backbone.tokenize(captions("object")))
            anomalous = backbone.encode_text(backbone.tokenize(captions("object", "dent")[3:]))
        pairs = [normalize(torch.stack([one, other]) + words, dim=-1) for one in normal for other in anomalous]
        return torch.stack([*pairs, *[pair for pair in learnt for _ in pairs]])

    def read(
        self, backbone: Backbone, batch: ViewBatch, texts: Float[Tensor, "t 2 d"], rng: random.Random
    ) -> dict[str, Tensor]:
        """The weighted losses by name."""
        config = self.config
        normal, anomalous = texts[rng.randrange(len(texts))]
        tokens = backbone.encode_image(batch.images.float(), colors=True)
        difference, weight = (anomalous - normal) / config.temperature, self._patch_weights(batch)
        patch = binary_cross_entropy_with_logits(
            tokens.patch_features @ difference, batch.share.gt(config.ignore).float(), reduction="none"
        )
        view = binary_cross_entropy_with_logits(tokens.global_features @ difference, (batch.view_kinds >= 0).float())
        return {
            "patch_state": config.patch_state * (patch * weight).sum() / weight.sum(),
            "view_state": config.view_state * view,
        }
