"""Joining the two layers, and point evidence into an object score."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..config import Config, check_range, within
from ..geometry.aggregation import PointGraph
from ..geometry.neighbors import smooth

EPSILON = 1e-6  # probabilities are kept this far from 0 and 1 where log-odds are taken


@dataclass(frozen=True)
class FusionConfig(Config):
    """How evidence is joined; the defaults won on held-out synthetic families.

    Attributes:
        geometry: weight of the geometry layer's log-odds in the joined map, in [0, 1]; the rest is rendering's.
        sigma: of the Gaussian over the point graph, in mean neighbour distances; 0 leaves maps as they are.
        top: share of the points whose mean is the local evidence of an object; one maximum would let an outlier decide.
        pooled: weight in the object score of the geometry layer's attention-pooled feature, in [0, 1].
        views: weight in the object score of the mean over the views' global features; local evidence takes the rest.
        colors: weight of what colours say, where a scan is scored with them, in the joined map's log-odds and in the
            object score, in [0, 1].
    """

    geometry: float = within("[0, 1]", 0.6)
    sigma: float = within("[0, ∞)", 1.0)
    top: float = within("(0, 1]", 0.01)
    pooled: float = within("[0, 1]", 0.5)
    views: float = within("[0, 1]", 0.0)
    colors: float = within("[0, 1]", 0.5)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self.pooled + self.views, "[0, 1]", "FusionConfig.pooled + views")


def join_layers(
    rendering: Float[Tensor, "m"],
    geometry: Float[Tensor, "m"],
    graph: PointGraph,
    config: FusionConfig,
) -> Float[Tensor, "m"]:
    """The joined map, smoothed over the point graph. (M,) in [0, 1].

    The layers are joined by the weighted mean of their log-odds (a logarithmic opinion pool). In PointAD's mean of
    probabilities, the layer with the larger values drowns the one that knows (docs/embedded-weights.md).
    """
    joined = pool_odds(rendering, geometry, config.geometry)
    return smooth(joined, graph.neighbors, graph.distances, config.sigma).clamp(0, 1)


def top_mean(scores: Float[Tensor, "m"], share: float) -> Float[Tensor, ""]:
    """Mean of the highest `share` of the scores, at least one of them."""
    return scores.topk(max(1, math.ceil(share * len(scores)))).values.mean()


def object_score(
    joined: Float[Tensor, "m"],
    pooled: Float[Tensor, ""],
    views: Float[Tensor, "v"],
    config: FusionConfig,
) -> Float[Tensor, ""]:
    """One score in [0, 1] from the joined map, the pooled feature and the views' global features."""
    local = 1 - config.pooled - config.views
    return local * top_mean(joined, config.top) + config.pooled * pooled + config.views * views.mean()


def pool_odds(one: Float[Tensor, "*s"], other: Float[Tensor, "*s"], share: float) -> Float[Tensor, "*s"]:
    """Probabilities joined by the weighted mean of their log-odds; `share` in [0, 1] is the other's."""
    return torch.sigmoid((1 - share) * torch.logit(one, EPSILON) + share * torch.logit(other, EPSILON))
