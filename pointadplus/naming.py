"""Which of some words an anomalous region looks like, to the text tower."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from .clip.backbone import Backbone
from .clip.weights import load_backbone
from .cloud import PointCloud
from .detection import Detection
from .errors import ConfigError
from .geometry.neighbors import interpolate
from .observation import Observer
from .prompts.templates import CAPTION
from .regions import MIN_POINTS, Region, region_numbers

TEMPERATURE = 0.07  # of PointAD's similarities (arXiv 2410.00320)


def named_regions(
    detection: Detection, words: Sequence[str] | None, *, threshold: float | None = None, min_points: int = MIN_POINTS
) -> tuple[Region, ...]:
    """`Detection.regions` with words, whatever method the detection is of.

    A detection that reads words itself does so; for another the embedded tower looks at the cloud, in about a second.

    Args:
        detection: of any method, pickled or not.
        words: at least one, such as `("dented", "scratched")`; None: regions without words.
        threshold, min_points: see `Detection.regions`.

    Raises:
        ConfigError: an option out of range, no words, or words that the text tower does not know.
    """
    if words is None or detection.reads_words or not words:
        return detection.regions(threshold, words=words, min_points=min_points)
    found = detection.regions(threshold, min_points=min_points)
    numbers = region_numbers(found, detection.cloud)
    parts = [(numbers == region.number).nonzero()[:, 0] for region in found]
    named = name_parts(detection.cloud, *_embedded(), parts, words) if found else []
    return tuple(
        replace(region, word=word, word_share=share) for region, (word, share) in zip(found, named, strict=True)
    )


@lru_cache(maxsize=1)
def _embedded() -> tuple[Observer, Backbone]:
    backbone = load_backbone("embedded")
    return Observer(backbone.channels, backbone.image_size), backbone


@torch.no_grad()
def name_parts(
    cloud: PointCloud, observer: Observer, backbone: Backbone, parts: Sequence[Tensor], words: Sequence[str]
) -> list[tuple[str, float]]:
    """The nearest word of each part of a cloud, and its softmax share among the words, in [0, 1].

    Nearest is the largest cosine between the mean of the part's lifted patch features and the text feature of
    "a … object", so that adjectives are read best: "dented", "scratched". The cloud is looked at once more.

    What it is worth depends on the backbone. The small embedded tower tells normal from damaged, not one defect from
    another: of 60 defects of 8 kinds, on synthetic families that it never saw and with the true regions given, it named
    9 rightly; chance is 7.5.

    Args:
        cloud: what was scored.
        observer, backbone: what it was scored with.
        parts: (K,) int64 each, at least one point of the cloud.
        words: at least one.

    Raises:
        ConfigError: a word that is too long, or that the backbone's weights hold no embedding of.
    """
    texts = _texts(backbone, words)
    picture = observer.picture(cloud)
    features = observer.observe(picture, backbone).features
    points = picture.normalization.apply(cloud.points)
    means = torch.stack([interpolate(features, picture.nodes, points[part]).mean(0) for part in parts])
    shares = (normalize(means, dim=1) @ texts.T / TEMPERATURE).softmax(1)
    return [(words[int(row.argmax())], float(row.max())) for row in shares]


def _texts(backbone: Backbone, words: Sequence[str]) -> Float[Tensor, "w d"]:
    tokens = backbone.tokenize([CAPTION.format(state=word, shape="object") for word in words])
    table = backbone.model.token_embedding.weight.detach().cpu()
    unknown = ((table[tokens] == 0).all(-1) & (tokens != 0)).any(1)
    if unknown.any():
        found = ", ".join(word for word, missing in zip(words, unknown.tolist(), strict=True) if missing)
        raise ConfigError(
            "the weights hold no embedding of a word",
            where="words",
            expected="words that the text tower was trained on, such as those of prompts.DEFECT_STATES",
            found=found,
            hint="choose other words, or a detector on a backbone with a whole vocabulary",
        )
    return backbone.encode_text(tokens.to(backbone.device)).cpu()
