"""The geometric transformer over superpoints (Qin et al., GeoTransformer, CVPR 2022)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from pointadplus.geometry.neighbors import knn

from .config import NetworkConfig


def sinusoids(values: Float[Tensor, "*n"], channels: int) -> Float[Tensor, "*n c"]:
    """Sine and cosine in turn at frequencies 10000^(−2i/C), i from 0 to C/2 − 1 (Vaswani et al., 2017, section 3.5)."""
    steps = torch.arange(0, channels, 2, device=values.device, dtype=values.dtype)
    phase = values[..., None] * torch.exp(steps * (-math.log(10_000.0) / channels))
    return torch.stack([phase.sin(), phase.cos()], -1).flatten(-2)


def triplet_angles(points: Float[Tensor, "s 3"], k: int) -> Float[Tensor, "s s k"]:
    """Angles at each superpoint i between the ways to superpoint j and to i's k nearest others, in [0, π] radians.

    The angle with a vector of no length is 0.
    """
    _, index = knn(points, points, k + 1)
    to_near = points[index[:, 1:]] - points[:, None]
    to_other = points[None] - points[:, None]
    a, b = to_other[:, :, None].expand(-1, -1, k, -1), to_near[:, None].expand(-1, len(points), -1, -1)
    return torch.atan2(torch.linalg.cross(a, b).norm(dim=-1), (a * b).sum(-1))


class StructureEmbedding(nn.Module):
    """What two superpoints' places say of them, the same in every pose: their distance and the angles they span."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.distance = nn.Linear(config.hidden, config.hidden)
        self.angle = nn.Linear(config.hidden, config.hidden)

    def forward(self, points: Float[Tensor, "s 3"]) -> Float[Tensor, "s s c"]:
        """(S, S, hidden) of all ordered pairs (GeoTransformer, eq. 1 to 4)."""
        config = self.config
        distances = (points[:, None] - points[None]).square().sum(-1).sqrt() / config.sigma_distance
        angles = torch.rad2deg(triplet_angles(points, config.angle_neighbors)) / config.sigma_angle
        spanned = self.angle(sinusoids(angles, config.hidden))
        # The gradient of a maximum over one angle costs as much as half a step of training.
        spanned = spanned[:, :, 0] if config.angle_neighbors == 1 else spanned.amax(2)
        return self.distance(sinusoids(distances, config.hidden)) + spanned


class Attention(nn.Module):
    """Multi-head attention and a feed-forward part, each added to its input and then normalised.

    Args:
        hidden, heads: channels, and the parts they are cut into.
        relative: keys get a summand that depends on the pair, from its structure embedding.
    """

    def __init__(self, hidden: int, heads: int, relative: bool) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(hidden, hidden) for _ in range(3))
        self.relative = nn.Linear(hidden, hidden) if relative else None
        self.linear = nn.Linear(hidden, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.expand, self.squeeze = nn.Linear(hidden, 2 * hidden), nn.Linear(2 * hidden, hidden)
        self.output_norm = nn.LayerNorm(hidden)

    def forward(
        self,
        features: Float[Tensor, "n c"],
        memory: Float[Tensor, "m c"],
        embedding: Float[Tensor, "n m c"] | None = None,
    ) -> Float[Tensor, "n c"]:
        """Features that have looked at the memory; scores are (q·k + q·p) / √(channels a head)."""
        heads = self.heads
        query = self.query(features).unflatten(1, (heads, -1)).transpose(0, 1)
        key, value = (layer(memory).unflatten(1, (heads, -1)).transpose(0, 1) for layer in (self.key, self.value))
        scores = query @ key.transpose(1, 2)
        if self.relative is not None and embedding is not None:
            # q · (W e + b) = (q W) · e + q · b: the pairs are multiplied once a head, and no (n, m, c) table is made.
            weight = self.relative.weight.unflatten(0, (heads, -1))
            turned = query @ weight
            scores = scores + (embedding @ turned.permute(1, 2, 0)).permute(2, 0, 1)
            scores = scores + (query * self.relative.bias.view(heads, 1, -1)).sum(-1, keepdim=True)
        share = (scores / math.sqrt(query.shape[2])).softmax(-1)
        heard = self.linear((share @ value).transpose(0, 1).flatten(1))
        features = self.norm(features + heard)
        return self.output_norm(features + self.squeeze(relu(self.expand(features))))


class GeometricTransformer(nn.Module):
    """Self-attention within each cloud and cross-attention between the two, in turn.

    Args:
        config: hidden size, heads, blocks and the embedding.
        inputs: channels of the superpoint features that come in.
    """

    def __init__(self, config: NetworkConfig, inputs: int) -> None:
        super().__init__()
        self.embedding = StructureEmbedding(config)
        self.entry = nn.Linear(inputs, config.hidden)
        self.layers = nn.ModuleList(
            Attention(config.hidden, config.heads, relative) for _ in range(config.blocks) for relative in (True, False)
        )
        self.exit = nn.Linear(config.hidden, config.coarse_dim)

    def forward(
        self,
        points: tuple[Float[Tensor, "r 3"], Float[Tensor, "s 3"]],
        features: tuple[Float[Tensor, "r c"], Float[Tensor, "s c"]],
    ) -> tuple[Float[Tensor, "r d"], Float[Tensor, "s d"]]:
        """Unit features of the reference's and of the source's superpoints."""
        embeddings = [self.embedding(each) for each in points]
        reference, source = (self.entry(each) for each in features)
        for number, layer in enumerate(self.layers):
            if number % 2 == 0:
                reference = layer(reference, reference, embeddings[0])
                source = layer(source, source, embeddings[1])
            else:
                reference = layer(reference, source)
                source = layer(source, reference)  # which has looked already
        return normalize(self.exit(reference), dim=1), normalize(self.exit(source), dim=1)
