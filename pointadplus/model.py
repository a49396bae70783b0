"""`PointADPlus`: the rendering layer and the geometry layer over one observation."""

from __future__ import annotations

from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor, nn

from .clip.backbone import Backbone
from .errors import ConfigError
from .fusion import FusionConfig
from .geometry.aggregation import AggregationConfig, GAggregation, PointGraph, build_graph
from .geometry.descriptors import DESCRIPTORS
from .observation import Observation
from .prompts.learner import HierarchicalPrompts, PromptConfig, state_probabilities
from .render import fill_unseen, gather_at_points, visible_mean


@dataclass(frozen=True)
class ModelConfig:
    """Everything of the method that is learnt or decided.

    Attributes:
        temperature: of every similarity; 0.07 as in PointAD (arXiv 2410.00320).
        hidden, neighbors, strides: of G-aggregation, see `AggregationConfig`.
        prompts: of both prompt learners.
        fusion: how the layers are joined.
    """

    temperature: float = 0.07
    hidden: int = 64
    neighbors: int = 12
    strides: tuple[int, ...] = (1, 4, 16, 1)
    prompts: PromptConfig = field(default_factory=PromptConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ConfigError(
                "option out of range", where="ModelConfig.temperature", expected="> 0", found=self.temperature
            )


@dataclass(frozen=True, eq=False)
class Evidence:
    """What both layers say of one cloud; all probabilities of "anomalous", in [0, 1].

    Attributes:
        rendering: (M,) a node, the patch probabilities lifted through the point↔pixel map.
        geometry: (M,) a node, from the geometry-aware features.
        patches: (V, h, w) of the rendering layer.
        views: (V,) of each view's global feature.
        pooled: () of the attention-pooled geometry-aware feature.
        aware: (M, D) unit geometry-aware features.
        texts: rendering and geometry text features, (2, D) each.
        graph: of the nodes.
    """

    rendering: Float[Tensor, "m"]
    geometry: Float[Tensor, "m"]
    patches: Float[Tensor, "v h w"]
    views: Float[Tensor, "v"]
    pooled: Float[Tensor, ""]
    aware: Float[Tensor, "m d"]
    texts: tuple[Tensor, Tensor]
    graph: PointGraph


class PointADPlus(nn.Module):
    """Prompts and G-aggregation; the frozen backbone is used, not owned: its weights are not among the parameters."""

    def __init__(self, backbone: Backbone, config: ModelConfig | None = None) -> None:
        super().__init__()
        self.config = config or ModelConfig()
        self._backbone = (backbone,)  # in a tuple, nn.Module does not register it
        self.prompts = HierarchicalPrompts(backbone, self.config.prompts)
        sizes = AggregationConfig(
            backbone.embed_dim, DESCRIPTORS, self.config.hidden, self.config.neighbors, self.config.strides
        )
        self.aggregation = GAggregation(sizes)

    def graph(self, observation: Observation) -> PointGraph:
        """The point graph that the geometry layer passes messages over."""
        return build_graph(observation.nodes, observation.normals, self.config.neighbors, self.config.strides)

    def forward(
        self, observation: Observation, graph: PointGraph | None = None, texts: tuple[Tensor, Tensor] | None = None
    ) -> Evidence:
        """Judge one cloud.

        Args:
            graph: `self.graph(observation)`, when it is at hand already.
            texts: what `self.prompts()` gives, when it is at hand already.
        """
        graph = graph or self.graph(observation)
        rendering_text, geometry_text = texts or self.prompts()
        temperature = self.config.temperature
        patches = state_probabilities(observation.patches, rendering_text, temperature)[..., 1].unflatten(
            1, observation.grid
        )
        views = state_probabilities(observation.views, rendering_text, temperature)[..., 1]
        lifted, seen = visible_mean(
            gather_at_points(patches[:, None], observation.pixels, observation.image_size), observation.visible
        )
        rendering = fill_unseen(lifted, seen, observation.nodes)[:, 0]
        with self._backbone[0].autocast():  # similarities stay in float32: bfloat16 would round scores to ties
            aware, attention = self.aggregation(observation.features, observation.descriptors, graph)
        aware, attention = aware.float(), attention.float()
        geometry = state_probabilities(aware, geometry_text, temperature)[:, 1]
        pooled = nn.functional.normalize(attention @ aware, dim=0)
        pooled_score = state_probabilities(pooled, geometry_text, temperature)[1]
        return Evidence(
            rendering, geometry, patches, views, pooled_score, aware, (rendering_text, geometry_text), graph
        )
