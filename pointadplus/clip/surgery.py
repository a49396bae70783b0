"""Dense and prompted passes through open_clip's transformers, with no new weights.

The image tower is walked once for two streams (PointAD, arXiv 2410.00320): the original one, untouched, and a
value-to-value stream that gathers, block by block, what each patch's own values say. The text tower is walked with
given token embeddings, so that prompts can be learnt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from open_clip.model import CLIP
from open_clip.transformer import VisionTransformer
from torch import Tensor
from torch.nn import functional as F

from ..errors import ConfigError
from .architecture import causal_mask


def embed_patches(
    visual: VisionTransformer, images: Float[Tensor, "b c height width"], stem: str = "conv1"
) -> tuple[Tensor, tuple[int, int]]:
    """(B, 1 + h·w, width) float32 tokens that enter the first block, class token first, and the grid (h, w)."""
    patches = visual.get_submodule(stem)(images).float()
    grid = (patches.shape[2], patches.shape[3])
    patches = patches.flatten(2).transpose(1, 2)
    cls_token = visual.class_embedding.expand(patches.shape[0], 1, -1)  # len() would fix the number in a trace
    tokens = torch.cat([cls_token, patches], 1) + interpolated_positions(visual, grid)
    return visual.ln_pre(tokens), grid


def interpolated_positions(visual: VisionTransformer, grid: tuple[int, int]) -> Float[Tensor, "tokens width"]:
    """The positional embedding for a grid of patches: bicubic with antialiasing, as open_clip resizes it."""
    positions, native = visual.positional_embedding, visual.grid_size
    if grid == tuple(native):
        return positions
    planes = positions[1:].T.reshape(1, -1, *native)
    planes = F.interpolate(planes, size=grid, mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([positions[:1], planes[0].flatten(1).T])


def dense_tokens(visual: VisionTransformer, tokens: Float[Tensor, "b n width"], first: int) -> tuple[Tensor, Tensor]:
    """Walk all blocks once.

    Args:
        visual: the image tower.
        tokens: what enters its first block.
        first: 1-based block s at which the value-to-value stream begins as a copy of that block's input.

    Returns:
        The original stream after the last block, and the value-to-value stream
        x_{s−1} + Σ_{l≥s} VV_l(LN1_l(x_{l−1})), both (B, n, width). With class-token pooling nothing reads the
        original stream's patches after the last block, so only its class token is computed there.
    """
    original, vv = tokens, tokens
    blocks: Any = visual.transformer.resblocks
    for number, block in enumerate(blocks, start=1):
        last = number == len(blocks) and visual.pool_type == "tok"
        rows = 1 if last else original.shape[1]
        query, key, value = _heads(block, original)
        if number >= first:
            vv = vv + _joined(block, attend(value, value, value))
        original = original[:, :rows] + _joined(block, attend(query[:, :, :rows], key, value))
        original = original + block.ls_2(block.mlp(block.ln_2(original)))
        if number < first:
            vv = original
    return original, vv


def block_tokens(visual: VisionTransformer, tokens: Float[Tensor, "b n width"]) -> list[Float[Tensor, "b n width"]]:
    """What leaves each block of the original stream, given what enters the first."""
    blocks: Any = visual.transformer.resblocks
    left = []
    for block in blocks:
        tokens = tokens + _joined(block, attend(*_heads(block, tokens)))
        tokens = tokens + block.ls_2(block.mlp(block.ln_2(tokens)))
        left.append(tokens)
    return left


def _heads(block: Any, tokens: Tensor) -> list[Tensor]:
    """Query, key and value of each head, (B, heads, n, d) each."""
    attention = block.attn
    projected = F.linear(block.ln_1(tokens), attention.in_proj_weight, attention.in_proj_bias).chunk(3, -1)
    return [part.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2) for part in projected]


def _joined(block: Any, heads: Tensor) -> Tensor:
    """The block's contribution to the residual stream from what its heads gathered."""
    return block.ls_1(block.attn.out_proj(heads.transpose(1, 2).flatten(2)))


def attend(
    query: Float[Tensor, "b heads m d"], key: Float[Tensor, "b heads n d"], value: Float[Tensor, "b heads n d"]
) -> Float[Tensor, "b heads m d"]:
    """softmax(Q Kᵀ/√d) V for each head."""
    if value.device.type != "cpu" or value.dtype != torch.bfloat16:
        return F.scaled_dot_product_attention(query, key, value)
    # torch's fused CPU kernel leaves bfloat16 instructions idle at these sizes: written out, forward takes half as
    # long and backward a third (64 images, 3 heads, 257 tokens, one core with AVX512-BF16).
    scores = torch.bmm((query * query.shape[-1] ** -0.5).flatten(0, 1), key.flatten(0, 1).mT)
    return torch.bmm(scores.softmax(-1), value.flatten(0, 1)).view(query.shape)


def text_features(
    model: CLIP,
    embeddings: Float[Tensor, "p length width"],
    eot: Tensor,
    deep: Sequence[Float[Tensor, "n width"]] = (),
) -> Float[Tensor, "p d"]:
    """Text features, not normalised, of token embeddings without positions.

    Args:
        model: an open_clip CLIP whose text tower is causal.
        embeddings: (P, L, width); L may stop at the last end-of-text, since no token sees a later one.
        eot: (P,) int64, the position of each end-of-text.
        deep: the k-th tensor overwrites tokens 1..n at the entry of text block k + 2 (1-based).

    Raises:
        ConfigError: more deep sets than blocks after the first, or prompts longer than the context.
    """
    *_, last = _walk_text(model, embeddings, deep)
    ln_final: Any = model.ln_final
    pooled = ln_final(last[torch.arange(len(last), device=last.device), eot])
    return pooled @ model.text_projection


def text_states(model: CLIP, embeddings: Float[Tensor, "p length width"]) -> list[Float[Tensor, "p length width"]]:
    """The tokens that enter each text block after the first, and those that leave the last."""
    return list(_walk_text(model, embeddings, ()))


def _walk_text(model: Any, embeddings: Tensor, deep: Sequence[Tensor]) -> Iterator[Tensor]:
    blocks, length = model.transformer.resblocks, embeddings.shape[1]
    if length > model.context_length:
        raise ConfigError(
            "the prompt is too long",
            where="embeddings",
            expected=f"at most {model.context_length} tokens",
            found=length,
        )
    if len(deep) > len(blocks) - 1:
        raise ConfigError(
            "too many deep prompt sets", where="deep", expected=f"at most {len(blocks) - 1}", found=len(deep)
        )
    tokens = embeddings + model.positional_embedding[:length]
    mask = causal_mask(length, tokens.device)
    for index, block in enumerate(blocks):
        if 1 <= index <= len(deep):
            prompt = deep[index - 1].to(tokens.dtype).expand(len(tokens), -1, -1)
            tokens = torch.cat([tokens[:, :1], prompt, tokens[:, 1 + prompt.shape[1] :]], 1)
        tokens = block(tokens, attn_mask=mask)
        yield tokens
