"""Which of some words an anomalous region is nearest to, in the space of the text tower."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from ..clip.backbone import Backbone
from ..clip.weights import load_backbone
from ..cloud import PointCloud
from ..errors import ConfigError
from ..geometry.neighbors import interpolate
from ..prompts.templates import CAPTION, DEFECT_STATES
from ..results.detection import Detection
from ..results.detector import AnomalyDetector
from ..results.regions import MIN_POINTS, Region, region_numbers
from .detector import ZeroShotDetector
from .observation import Observer, Picture
from .region_reader import reader_of, region_vector

_EXAMPLES = ", ".join(states[0] for states in DEFECT_STATES.values())
TEMPERATURE = 0.07  # of PointAD's similarities (arXiv 2410.00320)


def named_regions(
    detection: Detection,
    words: Sequence[str] | None,
    *,
    detector: AnomalyDetector | None = None,
    threshold: float | None = None,
    min_points: int = MIN_POINTS,
) -> tuple[Region, ...]:
    """`Detection.regions` with words, whatever method the detection is of; it costs a second look at the cloud.

    Args:
        detection: of any method.
        words: at least one, such as `("dented", "scratched")`; None: regions without words.
        detector: a `ZeroShotDetector`, whose backbone reads the words; for any other, and None, the embedded one does.
        threshold, min_points: see `Detection.regions`.

    Raises:
        ConfigError: an option out of range, no words, or words that the text tower does not know.
    """
    found = detection.regions(threshold, min_points=min_points)
    if words is None:
        return found
    check_words(words, detector)
    if not found:
        return ()
    numbers = region_numbers(found, detection.cloud)
    parts = [(numbers == region.number).nonzero()[:, 0] for region in found]
    named = zip(found, name_parts(detection.cloud, *_eyes(detector), parts, words), strict=True)
    return tuple(replace(region, word=word, word_share=share) for region, (word, share) in named)


def check_words(words: Sequence[str], detector: AnomalyDetector | None = None) -> None:
    """See to it, before any scan is scored, that `named_regions` will take these words for a detector's regions.

    Raises:
        ConfigError: no words, or words that the text tower does not know.
    """
    if not words:
        raise ConfigError("no words for regions", where="words", expected="at least one", hint=f"such as {_EXAMPLES}")
    _texts(_eyes(detector)[1], words)


def _eyes(detector: AnomalyDetector | None) -> tuple[Observer, Backbone]:
    """What looks at a cloud for words: a zero-shot detector's own, or the embedded."""
    return (detector.observer, detector.backbone) if isinstance(detector, ZeroShotDetector) else _embedded()


@lru_cache(maxsize=1)
def _embedded() -> tuple[Observer, Backbone]:
    backbone = load_backbone("embedded")
    return Observer(backbone.channels, backbone.image_size), backbone


@torch.no_grad()
def name_parts(
    cloud: PointCloud, observer: Observer, backbone: Backbone, parts: Sequence[Tensor], words: Sequence[str]
) -> list[tuple[str, float]]:
    """The nearest word of each part of a cloud, and its softmax share among the words, in [0, 1].

    Nearest is the largest cosine between a feature of the part and the text feature of "a … object", so that adjectives
    are read best: "dented", "scratched". For the embedded backbone, a `RegionReader` makes the part's feature from
    geometry; what it is worth stands in docs/embedded-weights.md. For another it is the mean of the part's lifted patch
    features, which nothing was measured of. The cloud is looked at once more.

    Args:
        cloud: what was scored.
        observer, backbone: what it was scored with.
        parts: (K,) int64 each, at least one point of the cloud.
        words: at least one.

    Raises:
        ConfigError: a word that is too long, or that the backbone's weights hold no embedding of.
        WeightsError: the reader's file is damaged.
    """
    texts = _texts(backbone, words)
    picture = observer.picture(cloud)
    reader = reader_of(backbone.digest)
    if reader is None:
        features = observer.observe(picture, backbone).features
        points = picture.normalization.apply(cloud.points)
        means = torch.stack([interpolate(features, picture.nodes, points[part]).mean(0) for part in parts])
        parts_features = normalize(means, dim=1)
    else:
        parts_features = reader(torch.stack([part_vector(picture, cloud, part) for part in parts]))
    shares = (parts_features @ texts.T / TEMPERATURE).softmax(1)
    return [(words[int(row.argmax())], float(row.max())) for row in shares]


def part_vector(picture: Picture, cloud: PointCloud, part: Tensor) -> Float[Tensor, "r"]:
    """`region_vector` of the nodes in a part of a cloud, or of the node nearest to it.

    Args:
        picture: of the cloud.
        part: (K,) int64, at least one point of the cloud.
    """
    nodes = picture.nodes
    own = torch.isin(picture.order[: len(nodes)], part)
    if not own.any():
        centre = picture.normalization.apply(cloud.points[part]).mean(0)
        own[(nodes - centre).square().sum(1).argmin()] = True
    return region_vector(nodes, picture.descriptors.normals, picture.features, own)


def _texts(backbone: Backbone, words: Sequence[str]) -> Float[Tensor, "w d"]:
    tokens = backbone.tokenize([CAPTION.format(state=word, shape="object") for word in words])
    table = backbone.model.token_embedding.weight.detach().cpu()
    unknown = ((table[tokens] == 0).all(-1) & (tokens != 0)).any(1)
    if unknown.any():
        found = ", ".join(word for word, missing in zip(words, unknown.tolist(), strict=True) if missing)
        raise ConfigError(
            "the weights hold no embedding of a word",
            where="words",
            expected=f"words that the text tower was trained on, such as {_EXAMPLES}",
            found=found,
            hint="choose other words, or a detector on a backbone with a whole vocabulary",
        )
    return backbone.encode_text(tokens.to(backbone.device)).cpu()
