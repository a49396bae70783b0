"""`PointAD`, the rendering layer as published, and `PointADPlus`, which sets the geometry layer beside it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from jaxtyping import Float
from torch import Tensor, nn

from ..clip.backbone import Backbone
from ..config import Config, one_of, within
from ..geometry.aggregation import AggregationConfig, GAggregation, PointGraph, build_graph
from ..geometry.neighbors import smooth
from ..prompts.learner import HierarchicalPrompts, PromptConfig, PromptLearner, state_probabilities
from ..render import fill_unseen, gather_at_points, visible_mean
from .fusion import FusionConfig, join_layers, object_score, pool_odds, top_mean
from .observation import NODE_FEATURES, Observation

PUBLISHED_SIGMA = 4.0  # of the smoothing of PointAD's point map (arXiv 2410.00320); here in mean neighbour distances


@dataclass(frozen=True)
class ModelConfig(Config):
    """Everything of the method that is learnt or decided.

    Attributes:
        mode: `"pointad+"`, both layers; or `"pointad"`, the rendering layer as published. The latter has no use for
            `hidden`, and none for `fusion`.
        temperature: of every similarity; 0.07 as in PointAD (arXiv 2410.00320).
        hidden, neighbors, strides: of G-aggregation, see `AggregationConfig`.
        prompts: of both prompt learners.
        fusion: how the layers are joined.
    """

    mode: str = one_of("pointad+", "pointad")
    temperature: float = within("(0, ∞)", 0.07)
    hidden: int = 64
    neighbors: int = 12
    strides: tuple[int, ...] = (1, 4, 16, 1)
    prompts: PromptConfig = field(default_factory=PromptConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the rendering layer says of one cloud; all probabilities of "anomalous", in [0, 1].

    Attributes:
        rendering: (M,) a node, the patch probabilities lifted through the point↔pixel map.
        patches: (V, h, w) of each patch.
        views: (V,) of each view's global feature.
        texts: the text features, (2, D) a layer.
        graph: of the nodes.
    """

    rendering: Float[Tensor, "m"]
    patches: Float[Tensor, "v h w"]
    views: Float[Tensor, "v"]
    texts: tuple[Tensor, ...]
    graph: PointGraph


@dataclass(frozen=True, eq=False)
class EvidencePlus(Evidence):
    """What both layers say.

    Attributes:
        geometry: (M,) a node, from the geometry-aware features.
        pooled: () of the geometry-aware feature of the whole object.
        aware: (M, D) unit geometry-aware features.
    """

    geometry: Float[Tensor, "m"]
    pooled: Float[Tensor, ""]
    aware: Float[Tensor, "m d"]


@dataclass(frozen=True, eq=False)
class Verdict:
    """What evidence amounts to.

    Attributes:
        layers: (M,) maps in [0, 1] by name; `joined` is the one that counts.
        total: () of the object, in [0, 1].
    """

    layers: dict[str, Float[Tensor, "m"]]
    total: Float[Tensor, ""]


class PointAD(nn.Module):
    """PointAD (arXiv 2410.00320): one pair of prompts, read against the patches and the views of a cloud.

    The backbone is frozen and used, not owned: its weights are not among the parameters. Of what public code does
    otherwise than the paper says, nothing is here: smoothing is over the point graph, not over the order of the points;
    points that no view sees take their nearest seen neighbours.
    """

    def __init__(self, backbone: Backbone, config: ModelConfig | None = None) -> None:
        super().__init__()
        self.config = config or ModelConfig(mode="pointad")
        self._backbone = (backbone,)  # in a tuple, nn.Module does not register it
        self.prompts: nn.Module = self._prompts(backbone)

    def _prompts(self, backbone: Backbone) -> nn.Module:
        return PromptLearner(backbone, self.config.prompts)

    def texts(self) -> tuple[Float[Tensor, "2 d"], ...]:
        """Text features (normal, anomalous), one pair a layer."""
        return (self.prompts(),)

    def graph(self, observation: Observation) -> PointGraph:
        """The point graph that maps are smoothed over, and that the geometry layer passes messages over."""
        seen = observation
        return build_graph(seen.nodes, seen.normals, seen.view, self.config.neighbors, self.config.strides)

    def forward(
        self, observation: Observation, graph: PointGraph | None = None, texts: tuple[Tensor, ...] | None = None
    ) -> Evidence:
        """Judge one cloud.

        Args:
            graph: `self.graph(observation)`, when it is at hand already.
            texts: what `self.texts()` gives, when it is at hand already.
        """
        graph = graph or self.graph(observation)
        texts = texts or self.texts()
        temperature = self.config.temperature
        patches = state_probabilities(observation.patches, texts[0], temperature)[..., 1].unflatten(1, observation.grid)
        views = state_probabilities(observation.views, texts[0], temperature)[..., 1]
        lifted, seen = visible_mean(
            gather_at_points(patches[:, None], observation.pixels, observation.image_size), observation.visible
        )
        rendering = fill_unseen(lifted, seen, observation.nodes)[:, 0]
        return Evidence(rendering, patches, views, texts, graph)

    def read_colors(self, observation: Observation, evidence: Evidence) -> Evidence:
        """What the rendering prompts, as they are, say of a cloud's colours; see `colors.observe_colors`."""
        return PointAD.forward(self, observation, evidence.graph, evidence.texts)

    def verdict(
        self, evidence: Evidence, fusion: FusionConfig | None = None, colors: Evidence | None = None
    ) -> Verdict:
        """The smoothed map, and half of its maximum plus half of the mean over the views, as published.

        With colours, the map is the smoothed mean of both, and the mean over the views is the mean of the two means;
        half of their sum is ours, for a score in [0, 1].
        """
        graph = evidence.graph
        layers, views, raw = {"rendering": evidence.rendering}, evidence.views.mean(), evidence.rendering
        if colors is not None:
            layers["colors"] = colors.rendering
            raw, views = (raw + colors.rendering) / 2, (views + colors.views.mean()) / 2
        layers["joined"] = smooth(raw, graph.neighbors, graph.distances, PUBLISHED_SIGMA).clamp(0, 1)
        return Verdict(layers, 0.5 * layers["joined"].amax() + 0.5 * views)


class PointADPlus(PointAD):
    """PointAD with a second layer: geometry prompts read against features that G-aggregation made aware of geometry."""

    def __init__(self, backbone: Backbone, config: ModelConfig | None = None) -> None:
        super().__init__(backbone, config or ModelConfig())
        sizes = AggregationConfig(
            backbone.embed_dim, NODE_FEATURES, self.config.hidden, self.config.neighbors, self.config.strides
        )
        self.aggregation = GAggregation(sizes)

    def _prompts(self, backbone: Backbone) -> nn.Module:
        return HierarchicalPrompts(backbone, self.config.prompts)

    def texts(self) -> tuple[Float[Tensor, "2 d"], ...]:
        """Of the rendering prompts and of the geometry prompts."""
        return self.prompts()

    def forward(
        self, observation: Observation, graph: PointGraph | None = None, texts: tuple[Tensor, ...] | None = None
    ) -> EvidencePlus:
        """Judge one cloud; the arguments are those of `PointAD.forward`."""
        texts = texts or self.texts()
        seen = super().forward(observation, graph, texts)
        with self._backbone[0].autocast():  # similarities stay in float32: bfloat16 would round scores to ties
            aware, whole = self.aggregation(observation.features, observation.descriptors, seen.graph)
        aware, whole = aware.float(), whole.float()
        geometry = state_probabilities(aware, texts[1], self.config.temperature)[:, 1]
        pooled = state_probabilities(whole, texts[1], self.config.temperature)[1]
        return EvidencePlus(seen.rendering, seen.patches, seen.views, seen.texts, seen.graph, geometry, pooled, aware)

    def verdict(
        self, evidence: Evidence, fusion: FusionConfig | None = None, colors: Evidence | None = None
    ) -> Verdict:
        """Each layer alone, smoothed as the joined map is, and the object score of the joined one.

        With colours, their map joins by log-odds with a weight of `fusion.colors`, and so does its top mean.
        """
        assert isinstance(evidence, EvidencePlus)
        fusion = fusion or self.config.fusion
        pair = evidence.rendering, evidence.geometry, evidence.graph
        shares = {"rendering": 0.0, "geometry": 1.0, "joined": fusion.geometry}
        layers = {name: join_layers(*pair, replace(fusion, geometry=share)) for name, share in shares.items()}
        total = object_score(layers["joined"], evidence.pooled, evidence.views, fusion)
        if colors is not None:
            seen = join_layers(colors.rendering, colors.rendering, evidence.graph, fusion)
            joined = pool_odds(layers.pop("joined"), seen, fusion.colors)
            layers |= {"colors": seen, "joined": joined}
            total = pool_odds(total, top_mean(seen, fusion.top), fusion.colors)
        return Verdict(layers, total)


def build_model(backbone: Backbone, config: ModelConfig | None = None) -> PointAD:
    """The model of a config's mode, untrained."""
    config = config or ModelConfig()
    return (PointAD if config.mode == "pointad" else PointADPlus)(backbone, config)
