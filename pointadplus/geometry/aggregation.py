"""G-aggregation: point features made aware of geometry by message passing over the point graph."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..lazy import import_lazily
from .neighbors import knn

import_lazily(dict.fromkeys(("numba", "torch._dynamo", "torch_geometric.datasets", "torch_geometric.transforms"), ""))
with warnings.catch_warnings():  # torch_geometric scripts classes on import, which recent torch calls deprecated
    warnings.filterwarnings("ignore", message=r".*torch\.jit\.script.*")
    from torch_geometric.nn import MessagePassing

EDGE_FEATURES = 8
POOLED = 16  # channels of the node states that an object is judged by
SHARES = (0.001, 0.01, 0.1, 1.0)  # of the nodes, the highest of a channel, that a mean is taken over; the last is all


@dataclass(frozen=True)
class AggregationConfig:
    """Sizes of the geometry layer.

    Attributes:
        feature_dim: D of the lifted CLIP features.
        descriptor_dim: F of the geometric descriptors.
        hidden: width of the node states.
        neighbors: neighbours a node listens to in each hop.
        strides: one hop each; a hop's neighbours are taken among every s-th node, so a larger stride reaches further.
        feature_dropout: share of the objects in training whose CLIP features are withheld from the node states, so
            that the layer learns to read geometry too.
        seed: of the fresh weights and of that withholding.
    """

    feature_dim: int
    descriptor_dim: int
    hidden: int = 64
    neighbors: int = 12
    strides: tuple[int, ...] = (1, 4, 16, 1)
    feature_dropout: float = 0.25
    seed: int = 0


@dataclass(frozen=True, eq=False)
class PointGraph:
    """Directed neighbour edges of M nodes, one set for each distinct stride.

    Attributes:
        index: stride → (2, M·k) int64, row 0 the neighbour (source), row 1 the node that listens (target); the k
            edges of a node stand in consecutive rows.
        edges: stride → (M·k, 8) rotation-invariant edge features.
        neighbors: (M, k) nearest nodes, the node itself first; `distances` the same shape.
    """

    index: dict[int, Tensor]
    edges: dict[int, Tensor]
    neighbors: Int[Tensor, "m k"]
    distances: Float[Tensor, "m k"]


def build_graph(
    nodes: Float[Tensor, "m 3"],
    normals: Float[Tensor, "m 3"],
    view: Float[Tensor, "3"],
    neighbors: int,
    strides: tuple[int, ...],
) -> PointGraph:
    """The k-NN graph of the nodes at each stride. Nodes must be in random order, for strides thin them out evenly.

    Args:
        nodes, normals: (M, 3) in the normalised frame, normals outward.
        view: (3,) unit vector towards the eyes, see `exposure.mean_view`.
        neighbors: k.
        strides: of the hops.
    """
    index, edges = {}, {}
    distances, near = knn(nodes, nodes, neighbors + 1)
    listener = torch.arange(len(nodes), device=nodes.device)[:, None].expand(-1, neighbors)
    for stride in sorted(set(strides)):
        if stride == 1:
            found = near[:, 1:]
        else:
            _, found = knn(nodes[::stride], nodes, neighbors)
            found = found * stride
        index[stride] = torch.stack([found.reshape(-1), listener.reshape(-1)])
        edges[stride] = edge_features(nodes, normals, view, index[stride])
    return PointGraph(index, edges, near, distances)


def edge_features(
    nodes: Float[Tensor, "m 3"], normals: Float[Tensor, "m 3"], view: Float[Tensor, "3"], index: Int[Tensor, "2 e"]
) -> Float[Tensor, "e 8"]:
    """Where a neighbour lies in the node's own frame, and how the normals stand: the same in every pose.

    The frame has the normal as z and the view, laid into the tangent plane, as x. The features are the distance over
    the mean distance, its logarithm over 0.01, x, |y| and z of the unit vector to the neighbour, the cosine of the
    normals, n_j·r and the difference n_j·r − n_i·r. |y|, for a mirror image has its damage elsewhere, but no less.
    """
    neighbor, node = index
    offset = nodes[neighbor] - nodes[node]
    distance = offset.norm(dim=1)
    direction = offset / distance.clamp_min(1e-9)[:, None]
    own = normals[node]
    view = view.to(normals)
    across = nn.functional.normalize(view - (normals @ view)[:, None] * normals, dim=1)[node]
    x, z = (direction * across).sum(1), (direction * own).sum(1)
    y = (1 - x.square() - z.square()).clamp_min(0).sqrt()
    agree = (own * normals[neighbor]).sum(1)
    other = (normals[neighbor] * direction).sum(1)
    ratio = distance / distance.mean().clamp_min(1e-9)
    return torch.stack([ratio, (distance / 0.01).clamp_min(1e-2).log(), x, y, z, agree, other, other - z], 1)


class GeometryHop(MessagePassing):
    """One hop: messages from [h_i, h_j − h_i] and the edge, each channel weighted by its own attention over the edges.

    Vector attention as in Zhao et al., Point Transformer (2021), eq. 3.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__(aggr=None, node_dim=0)
        self.norm = nn.LayerNorm(hidden)
        self.own = nn.Linear(hidden, hidden)
        self.difference = nn.Linear(hidden, hidden, bias=False)
        self.edge = nn.Linear(EDGE_FEATURES, hidden)
        self.attention = nn.Linear(hidden, hidden)
        self.update_ = nn.Sequential(nn.Linear(3 * hidden, 2 * hidden), nn.GELU(), nn.Linear(2 * hidden, hidden))

    def forward(self, state: Tensor, index: Tensor, edges: Tensor) -> Tensor:
        normed = self.norm(state)
        # W_o h_i + W_d (h_j − h_i), with the products taken once a node instead of once an edge.
        spread = self.difference(normed)
        gathered = self.propagate(index, own=self.own(normed) - spread, spread=spread, edges=self.edge(edges))
        # What the whole cloud looks like: a rough casting's texture is no defect.
        context = normed.mean(0, keepdim=True).expand_as(normed)
        return state + self.update_(torch.cat([normed, gathered, context], 1))

    def message(self, own: Tensor, spread_j: Tensor, edges: Tensor) -> Tensor:
        # Every node listens to the same number of neighbours, in consecutive rows: no scatter is needed.
        nodes, hidden = own.shape
        hidden_messages = torch.relu(own[:, None] + (spread_j + edges).view(nodes, -1, hidden))
        weight = self.attention(hidden_messages).softmax(1)
        return (hidden_messages * weight).sum(1)

    def aggregate(self, inputs: Tensor) -> Tensor:
        return inputs


class EvidencePool(nn.Module):
    """A whole cloud in one vector: means of the highest shares of some channels of the states, and a small network.

    Damage is small and lies anywhere, so what counts of a channel is how its largest values stand to the rest.
    """

    def __init__(self, hidden: int, out: int) -> None:
        super().__init__()
        self.read = nn.Linear(hidden, POOLED)
        self.mix = nn.Sequential(nn.Linear(len(SHARES) * POOLED, hidden), nn.GELU(), nn.Linear(hidden, out))

    def forward(self, state: Float[Tensor, "m h"]) -> Float[Tensor, "o"]:
        channels = self.read(state).T
        counts = [max(1, math.ceil(share * channels.shape[1])) for share in SHARES]
        highest = channels.topk(max(counts[:-1]), dim=1).values
        tops = [highest[:, :count].mean(1) for count in counts[:-1]]
        return self.mix(torch.cat([*tops, channels.mean(1)]))


class GAggregation(nn.Module):
    """Lifted CLIP features and geometric descriptors in, geometry-aware features e_j of the same space out.

    The last projection starts at zero, so that an untrained layer is the identity on the CLIP features and their
    alignment with text holds. The equations are ours: of PointAD+ only the abstract is known to us.
    """

    center: Tensor
    spread: Tensor

    def __init__(self, config: AggregationConfig) -> None:
        super().__init__()
        self.config = config
        self.generator = torch.Generator().manual_seed(config.seed)
        self.register_buffer("center", torch.zeros(config.descriptor_dim))
        self.register_buffer("spread", torch.ones(config.descriptor_dim))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self._build(config)

    def _build(self, config: AggregationConfig) -> None:
        hidden = config.hidden
        self.from_descriptors = nn.Sequential(
            nn.Linear(config.descriptor_dim, 2 * hidden), nn.GELU(), nn.Linear(2 * hidden, hidden)
        )
        self.from_features = nn.Linear(config.feature_dim, hidden)
        self.hops = nn.ModuleList(GeometryHop(hidden) for _ in config.strides)
        self.norm = nn.LayerNorm(hidden)
        self.out = nn.Linear(hidden, config.feature_dim)
        self.attention = nn.Linear(hidden, 1)
        self.pool = EvidencePool(hidden, config.feature_dim)
        for last in (self.out, self.pool.mix[-1]):
            assert isinstance(last, nn.Linear)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def calibrate(self, center: Float[Tensor, "f"], spread: Float[Tensor, "f"]) -> None:
        """Set the fixed standardisation of descriptors from training statistics, (F,) each, `spread` positive."""
        self.center.copy_(center)
        self.spread.copy_(spread)

    def forward(
        self, features: Float[Tensor, "m d"], descriptors: Float[Tensor, "m f"], graph: PointGraph
    ) -> tuple[Float[Tensor, "m d"], Float[Tensor, "d"]]:
        """Geometry-aware unit features (M, D), and the unit feature (D,) of the whole object: their mean by a learnt
        attention, and what `EvidencePool` adds."""
        standard = ((descriptors - self.center) / self.spread).clamp(-5, 5)
        lifted = self.from_features(features)
        if self.training and torch.rand((), generator=self.generator) < self.config.feature_dropout:
            lifted = torch.zeros_like(lifted)
        state = self.from_descriptors(standard) + lifted
        for stride, hop in zip(self.config.strides, self.hops, strict=True):
            state = hop(state, graph.index[stride], graph.edges[stride])
        state = self.norm(state)
        aware = nn.functional.normalize(features + self.out(state), dim=1)
        mean = self.attention(state)[:, 0].softmax(0) @ aware
        return aware, nn.functional.normalize(mean + self.pool(state), dim=0)
