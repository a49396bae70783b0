"""Colours of synthetic objects: patterns that are normal, and what goes wrong with them.

A pattern is a function of space, so that a print that slipped is the same pattern at other places. Colours are albedos,
RGB in [0, 1]. Everything works on float64 numpy arrays; lengths are shares of the diagonal of the bounding box.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy import ndarray

from .defects_base import Waves, smoothstep, unit

Pattern = Callable[[ndarray], ndarray]  # of (M, 3) places

COLOR_KINDS = ("stain", "discolouration", "misprint")
SEEN = 0.06  # RGB distance from which on a changed colour is labelled: twice the strongest grain
_PALE, _INK = 0.35, 0.3  # least lightness of a ground, and least distance of a second colour from it


@dataclass(frozen=True, eq=False)
class Paint:
    """The colours of one healthy object.

    Attributes:
        pattern: (M, 3) RGB at (M, 3) places, for a bounding box whose diagonal is 1.
        name: of the pattern.
        grain: standard deviation of the noise of each point's colour.
    """

    pattern: Pattern
    name: str
    grain: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Paint:
        """One of `PATTERNS`, in random colours."""
        name = str(rng.choice(list(PATTERNS)))
        ground, ink = _two_colors(rng)
        share = PATTERNS[name](rng)
        clouds, depth = Waves.draw(rng, 0.6), rng.uniform(0.0, 0.02)  # no coat is quite even

        def pattern(places: ndarray) -> ndarray:
            mixed = ground + (ink - ground) * share(places)[:, None]
            return np.clip(mixed + depth * clouds(places)[:, None], 0.0, 1.0)

        return cls(pattern, name, rng.uniform(0.005, 0.03))

    def with_grain(self, colors: ndarray, rng: np.random.Generator) -> ndarray:
        """Colours as a camera gives them."""
        return np.clip(colors + self.grain * rng.standard_normal(colors.shape), 0.0, 1.0)


def spoil(paint: Paint, kind: str, points: ndarray, rng: np.random.Generator) -> tuple[ndarray, ndarray]:
    """A defect of colour.

    Args:
        paint: of the healthy object.
        kind: of `COLOR_KINDS`.
        points: (N, 3) in a bounding box whose diagonal is 1.
        rng: decides place, size and colour.

    Returns:
        (N, 3) colours without grain, and (N,) bool, where they are off by more than `SEEN`.
    """
    healthy = paint.pattern(points)
    low, high = {"stain": (0.025, 0.1), "discolouration": (0.06, 0.18), "misprint": (0.04, 0.12)}[kind]
    colors, labels = healthy, np.zeros(len(points), dtype=bool)
    for _ in range(24):  # until the change is seen on a handful of points: a slipped plain coat is no defect
        size = low * (high / low) ** rng.random()
        blot = _blot(points, points[rng.integers(len(points))], size, rng, soft=kind != "misprint")
        colors = _SPOILT[kind](paint, points, healthy, blot, size, rng)
        labels = np.linalg.norm(colors - healthy, axis=1) > SEEN
        if labels.sum() >= max(12, 2e-4 * len(points)):
            break
    return colors, labels


def _stain(
    paint: Paint, points: ndarray, healthy: ndarray, blot: ndarray, size: float, rng: np.random.Generator
) -> ndarray:
    color, strength = rng.uniform(0.0, 1.0, 3), rng.uniform(0.35, 1.0)
    return healthy + (color - healthy) * (strength * blot)[:, None]


def _discolouration(
    paint: Paint, points: ndarray, healthy: ndarray, blot: ndarray, size: float, rng: np.random.Generator
) -> ndarray:
    shift = unit(rng.standard_normal(3)) * rng.uniform(0.1, 0.3)
    return np.clip(healthy + shift * blot[:, None], 0.0, 1.0)


def _misprint(
    paint: Paint, points: ndarray, healthy: ndarray, blot: ndarray, size: float, rng: np.random.Generator
) -> ndarray:
    """What is inside slipped, is missing, or is crossed by a line of the other colour."""
    how = rng.choice(["slipped", "missing", "line"])
    if how == "slipped":
        other = paint.pattern(points + size * rng.uniform(0.3, 1.0) * unit(rng.standard_normal(3)))
    elif how == "missing":
        other = np.broadcast_to(healthy[rng.integers(len(points))], healthy.shape)
    else:
        across, middle = unit(rng.standard_normal(3)), points[np.argmax(blot)]
        line = np.abs((points - middle) @ across) < size * rng.uniform(0.06, 0.15)
        other = np.where(line[:, None], rng.uniform(0.0, 1.0, 3), healthy)
    return np.where(blot[:, None] > 0.5, other, healthy)


_SPOILT = {"stain": _stain, "discolouration": _discolouration, "misprint": _misprint}


def _blot(points: ndarray, middle: ndarray, size: float, rng: np.random.Generator, soft: bool) -> ndarray:
    """(N,) 1 inside an uneven ball, 0 outside, with an edge between that is soft or sharp."""
    away = points - middle
    radius = size * (1.0 + 0.25 * Waves.draw(rng, 1.2 * size)(points))
    edge = rng.uniform(0.1, 0.6) if soft else 0.02
    return 1.0 - smoothstep(np.linalg.norm(away, axis=1) / np.maximum(radius, 0.2 * size), 1.0 - edge, 1.0 + edge)


def _two_colors(rng: np.random.Generator) -> tuple[ndarray, ndarray]:
    ground = rng.uniform(0.0, 1.0, 3)
    ground = np.clip(ground + max(0.0, _PALE - ground.mean()), 0.0, 1.0)
    ink = rng.uniform(0.0, 1.0, 3)
    while np.linalg.norm(ink - ground) < _INK:
        ink = rng.uniform(0.0, 1.0, 3)
    return ground, ink


def _plain(rng: np.random.Generator) -> Pattern:
    return lambda places: np.zeros(len(places))


def _two_tone(rng: np.random.Generator) -> Pattern:
    axis, place = unit(rng.standard_normal(3)), rng.uniform(-0.15, 0.15)
    return lambda places: smoothstep(places @ axis, place - 0.004, place + 0.004)


def _gradient(rng: np.random.Generator) -> Pattern:
    axis = unit(rng.standard_normal(3))
    return lambda places: np.clip(0.5 + places @ axis, 0.0, 1.0)


def _stripes(rng: np.random.Generator) -> Pattern:
    axis, period, share = unit(rng.standard_normal(3)), rng.uniform(0.05, 0.25), rng.uniform(0.3, 0.7)
    return lambda places: ((places @ axis / period) % 1.0 < share).astype(float)


def _checks(rng: np.random.Generator) -> Pattern:
    axes, period = np.linalg.qr(rng.standard_normal((3, 3)))[0], rng.uniform(0.06, 0.25)
    return lambda places: (np.floor(places @ axes / period).sum(1) % 2.0).astype(float)


def _dots(rng: np.random.Generator) -> Pattern:
    axes, period, radius = np.linalg.qr(rng.standard_normal((3, 3)))[0], rng.uniform(0.08, 0.2), rng.uniform(0.2, 0.4)

    def share(places: ndarray) -> ndarray:
        cell = places @ axes[:, :2] / period
        return (np.linalg.norm(cell - np.floor(cell) - 0.5, axis=1) < radius).astype(float)

    return share


def _marbled(rng: np.random.Generator) -> Pattern:
    waves, sharp = Waves.draw(rng, rng.uniform(0.12, 0.4)), rng.uniform(0.1, 1.0)
    return lambda places: smoothstep(waves(places), -sharp, sharp)


PATTERNS: dict[str, Callable[[np.random.Generator], Pattern]] = {
    "plain": _plain,
    "two-tone": _two_tone,
    "gradient": _gradient,
    "stripes": _stripes,
    "checks": _checks,
    "dots": _dots,
    "marbled": _marbled,
}
"""Shares of the second colour at places, by name."""
