"""The student: a noisy bottleneck and a decoder with linear attention (Dinomaly, Guo et al., 2025)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

_EPSILON = 1e-6  # keeps the normaliser of attention from 0


class LinearAttention(nn.Module):
    """Attention without softmax: φ(q) (Σ φ(k) vᵀ) / (φ(q)·Σ φ(k)), φ = elu + 1 (Katharopoulos et al., 2020, eq. 6).

    It cannot look at single patches sharply, and so restores what is global.

    Args:
        width: of the tokens.
        heads: that divide it.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Float[Tensor, "b n width"]) -> Float[Tensor, "b n width"]:
        parts = self.qkv(tokens).chunk(3, -1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2).float() for part in parts)
        query, key = nn.functional.elu(query) + 1, nn.functional.elu(key) + 1
        whole = (query * key.sum(2, keepdim=True)).sum(-1, keepdim=True)
        gathered = query @ (key.mT @ value) / (whole + _EPSILON)
        return self.proj(gathered.transpose(1, 2).flatten(2).to(tokens.dtype))


class DecoderBlock(nn.Module):
    """A pre-norm transformer block with linear attention and an MLP of ratio 4."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-8), nn.LayerNorm(width, eps=1e-8)
        self.attn = LinearAttention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, tokens: Float[Tensor, "b n width"]) -> Float[Tensor, "b n width"]:
        tokens = tokens + self.attn(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))


class Student(nn.Module):
    """From the teacher's layers, averaged and squeezed through noise, back to each of them.

    Args:
        width: of the teacher's tokens.
        heads: of the decoder's attention.
        layers: of the teacher that are restored; as many blocks decode.
        dropout: in the bottleneck, the noise.
        places: (V, N, width) where a query for each token of each view starts from; None for a student without.
        prefix, side: with queries, the bottleneck sees `pooled` tokens, so that no defect can be copied.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        layers: int = 8,
        dropout: float = 0.2,
        places: Float[Tensor, "v n width"] | None = None,
        prefix: int = 0,
        side: int = 1,
    ) -> None:
        super().__init__()
        self.bottleneck = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(width, 4 * width), nn.GELU(),
            nn.Dropout(dropout), nn.Linear(4 * width, width), nn.Dropout(dropout),
        )  # fmt: skip
        self.decoder = nn.ModuleList(DecoderBlock(width, heads) for _ in range(layers))
        self.apply(_initialise)
        self.places = None if places is None else nn.Parameter(places.clone())
        self.prefix, self.side = prefix, side

    def forward(
        self, layers: Float[Tensor, "layers b n width"], views: Int[Tensor, "b"] | None = None
    ) -> Float[Tensor, "layers b n width"]:
        """The restored layers, in the teacher's order: what leaves the decoder last is the shallowest.

        Args:
            layers: of some pictures.
            views: which view each picture is of, for a student with queries; None for all views in order.
        """
        tokens = layers.mean(0)
        if self.places is None:
            tokens = self.bottleneck(tokens)
        else:
            queries = self.places if views is None else self.places[views]
            tokens = queries + self.bottleneck(pooled(tokens, self.prefix, self.side))
        restored = []
        for block in self.decoder:
            tokens = block(tokens)
            restored.append(tokens)
        return torch.stack(restored[::-1])


def pooled(tokens: Float[Tensor, "b n width"], prefix: int, side: int) -> Float[Tensor, "b n width"]:
    """Means of the patches over squares of `side` × `side` of them, drawn as large as before; `prefix` tokens stay."""
    before, patches = tokens[:, :prefix], tokens[:, prefix:]
    height = math.isqrt(patches.shape[1])
    maps = patches.mT.unflatten(2, (height, height))
    means = nn.functional.avg_pool2d(maps, min(side, height), ceil_mode=True, count_include_pad=False)
    spread = nn.functional.interpolate(means, (height, height), mode="bilinear", align_corners=False)
    return torch.cat([before, spread.flatten(2).mT], 1)


def grouped(layers: Float[Tensor, "layers b n width"], groups: int) -> Float[Tensor, "groups b n width"]:
    """Means over neighbouring layers, in `groups` of them or, where there are fewer layers, one for each."""
    return torch.stack([part.float().mean(0) for part in layers.tensor_split(min(groups, len(layers)))])


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.01, a=-0.03, b=0.03)
        nn.init.zeros_(module.bias)


def target_layers(blocks: int, chosen: Sequence[int] = ()) -> tuple[int, ...]:
    """The blocks to restore, from 0: those chosen, or the middle ones as Dinomaly takes them.

    Of 12 blocks 2 to 9, of 24 every second from 4 to 18, of a tower with eight blocks or fewer all.
    """
    if chosen:
        return tuple(chosen)
    if blocks <= 8:
        return tuple(range(blocks))
    step = max(1, blocks // 12)
    return tuple(range(2 * step, 10 * step, step))
