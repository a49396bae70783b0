"""Details that families of several kinds share: threads and coils, rough skins, bowed limbs."""

from __future__ import annotations

import math
from random import Random

import torch
from torch import Tensor

from ..reliefs import waves
from ..solids import Field, Number, Vector, length


def thread(radius: Number, half: Number, pitch: Number, depth: Number) -> Field:
    """A threaded rod along z: `radius` at the crests, triangular grooves `depth` deep."""
    shrink = 1 / math.hypot(1.0, 2 * depth / pitch)

    @Field
    def field(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        turns = z / pitch - torch.atan2(y, x) * (1 / math.tau)
        groove = (turns - torch.round(turns)).abs() * (2 * depth)
        return torch.maximum((length(x, y) - radius + groove) * shrink, z.abs() - half)

    return field


def helix(ring: Number, thick: Number, pitch: Number, half: Number) -> Field:
    """A coil spring along z, its ends ground flat at ±half."""
    cosine = math.tau * ring / math.hypot(math.tau * ring, pitch)

    @Field
    def field(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        turns = z / pitch - torch.atan2(y, x) / math.tau
        rise = (turns - torch.round(turns)) * (pitch * cosine)
        return torch.maximum(length(length(x, y) - ring, rise) - thick, z.abs() - half)

    return field


def rough(rng: Random, field: Field, wavelength: Number, height: Number, count: int = 8) -> Field:
    """Move the surface by isotropic smooth noise of `count` waves."""
    noise = waves(rng, wavelength, count)
    shrink = 1 / math.hypot(1.0, 4 * height / wavelength)
    return Field(lambda x, y, z: (field(x, y, z) - height * noise(torch.stack([x, y, z]))) * shrink)


def sway(rng: Random, start: Vector, end: Vector, count: int, wobble: Number) -> list[Vector]:
    """A polyline from start to end along a bowed curve."""
    bow = [rng.uniform(-wobble, wobble) for _ in range(3)]
    steps = [index / (count - 1) for index in range(count)]
    return [
        tuple(s + (e - s) * t + b * 4 * t * (1 - t) for s, e, b in zip(start, end, bow, strict=True)) for t in steps
    ]  # type: ignore[misc]
