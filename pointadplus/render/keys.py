"""Depth and number of a point in one integer, so that the nearest point of a pixel is a minimum.

A minimum does not depend on the order in which it is taken: the result is the same, bit for bit, in any number of
threads and chunks.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

EMPTY = (0x7F800000 << 32) | 0xFFFFFFFF  # the key of a pixel that nothing covers: depth +inf, number −1


def pack(depth: Float[Tensor, "v n"], first: int = 0) -> Int[Tensor, "v n"]:
    """(V, N) int64 keys that order as the depths do, compared as float32, and equal depths as their points.

    The bits of a positive float32 order like an integer.

    Args:
        depth: (V, N) positive; of others the keys mean nothing.
        first: the number of the first point; all numbers are below 2³¹.
    """
    numbers = torch.arange(first, first + depth.shape[-1], dtype=torch.int32, device=depth.device)
    words = torch.stack([numbers.expand(depth.shape), depth.float().contiguous().view(torch.int32)], -1)
    return words.view(torch.int64)[..., 0]


def unpack(keys: Int[Tensor, "*s"]) -> tuple[Int[Tensor, "*s"], Float[Tensor, "*s"]]:
    """The points' numbers, int32, −1 where no key is, and the depths, +inf there."""
    words = keys.contiguous()[..., None].view(torch.int32)
    return words[..., 0].contiguous(), words[..., 1].contiguous().view(torch.float32)
