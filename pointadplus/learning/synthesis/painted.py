"""Painted objects, as colours are learnt from: the same shape and coat, whole and spoilt."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .corpus import CorpusConfig, sample_healthy
from .paint import COLOR_KINDS, Paint, spoil

LIT = 0.5  # share of the objects whose colours a lamp shades, as in a photograph


@dataclass(frozen=True, eq=False)
class PaintedObject:
    """A coloured scan made in code.

    Attributes:
        points: (N, 3) float32 in a random pose, diagonal about 100 units.
        colors: (N, 3) float32 RGB in [0, 1].
        labels: (N,) bool, true where the colour is off.
        family, caption: the shape's.
        kind: of `COLOR_KINDS`, or `good`.
    """

    points: Float[Tensor, "n 3"]
    colors: Float[Tensor, "n 3"]
    labels: Bool[Tensor, "n"]
    family: str
    caption: str
    kind: str


def sample_painted(seed: int, config: CorpusConfig | None = None) -> tuple[PaintedObject, PaintedObject]:
    """The same scan in the same coat and light, whole and with one defect of colour.

    Args:
        seed: decides everything; equal seeds give equal pairs.
    """
    healthy = sample_healthy(seed, config)
    rng = np.random.default_rng(seed)
    places = healthy.points.double().numpy()
    places = (places - places.mean(0)) / np.linalg.norm(np.ptp(places, axis=0))
    paint, kind = Paint.draw(rng), str(rng.choice(list(COLOR_KINDS)))
    shade = _shade(healthy.normals.double().numpy(), rng) if rng.random() < LIT else np.ones(len(places))
    grain = rng.integers(2**31)

    def coated(colors: np.ndarray, labels: np.ndarray, kind: str) -> PaintedObject:
        shown = paint.with_grain(colors * shade[:, None], np.random.default_rng(grain))
        parts = torch.from_numpy(shown).float(), torch.from_numpy(labels)
        return PaintedObject(healthy.points, *parts, healthy.family, healthy.caption, kind)

    whole = coated(paint.pattern(places), np.zeros(len(places), dtype=bool), "good")
    return whole, coated(*spoil(paint, kind, places, rng), kind)


def _shade(normals: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N,) of one lamp beside an even light."""
    lamp, ambient = rng.standard_normal(3), rng.uniform(0.3, 0.8)
    return ambient + (1.0 - ambient) * np.maximum(normals @ lamp / math.sqrt(float(lamp @ lamp)), 0.0)
