"""Numbers drawn from torch generators, and seeds made from names."""

from __future__ import annotations

import hashlib
import math

import torch


def uniform(generator: torch.Generator, low: float = 0.0, high: float = 1.0) -> float:
    """A number in [low, high)."""
    return low + (high - low) * torch.rand((), generator=generator, device=generator.device).item()


def log_uniform(generator: torch.Generator, low: float | int, high: float | int) -> float:
    """A number in [low, high), uniform in its logarithm."""
    return math.exp(uniform(generator, math.log(low), math.log(high)))


def integer(generator: torch.Generator, high: int) -> int:
    """A number in [0, high)."""
    return int(torch.randint(high, (), generator=generator, device=generator.device))


def seed_from(*parts: object) -> int:
    """A seed in [0, 2⁶³) that depends on every part."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
