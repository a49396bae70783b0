"""Value-to-value attention written out: float64, one image, one head, one token at a time."""

from __future__ import annotations

import torch
from torch import Tensor


def vv_attention(attention: torch.nn.MultiheadAttention, tokens: Tensor) -> Tensor:
    """VV(y) of (n, width) tokens: V = y W_v + b_v; per head softmax(V Vᵀ/√d) V; then W_o."""
    width, heads = attention.embed_dim, attention.num_heads
    values = (
        tokens.double() @ attention.in_proj_weight[2 * width :].double().T
        + attention.in_proj_bias[2 * width :].double()
    )
    out = torch.zeros_like(values)
    size = width // heads
    for head in range(heads):
        part = values[:, head * size : (head + 1) * size]
        for row, value in enumerate(part):
            weights = torch.exp(part @ value / size**0.5)
            out[row, head * size : (head + 1) * size] = (weights[:, None] * part).sum(0) / weights.sum()
    return out @ attention.out_proj.weight.double().T + attention.out_proj.bias.double()


def vv_stream(blocks: list[torch.nn.Module], tokens: Tensor, first: int) -> Tensor:
    """x_{s−1} + Σ_{l≥s} VV_l(LN1_l(x_{l−1})) with x the untouched stream; (n, width), s = `first` counted from 1."""
    original, vv = tokens, tokens.double()
    for number, block in enumerate(blocks, start=1):
        if number == first:
            vv = original.double()
        if number >= first:
            vv = vv + block.ls_1(vv_attention(block.attn, block.ln_1(original)))
        original = block(original[None])[0]
    return vv
