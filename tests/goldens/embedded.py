"""Objects in formulas, whose scores by the embedded weights are kept beside this file; run after the weights changed:

python -m tests.goldens.embedded

The objects of `learning.synthesis` will not do: where a draw is accepted or not, another processor's rounding decides,
and all that is drawn afterwards is another object.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pointadplus import ZeroShotDetector

FILE = Path(__file__).with_name("embedded.json")
COUNT = 12_000
PLASTIC = 1.32471795724474602596  # its powers spread points evenly over a square (Roberts, 2018)

Profile = Callable[[NDArray], tuple[NDArray, NDArray]]


def clouds() -> list[torch.Tensor]:
    """A ring, a vase and an egg, each whole and damaged: six times (12,000, 3), float32, in mm, with 0.03 mm noise."""
    whole = [revolved(ring, 0), revolved(vase, 1), revolved(egg, 2)]
    damaged = [_pushed(whole[0], 1500, 8.0, 2.5), _pushed(whole[1], 4000, 9.0, -3.0), _pushed(whole[2], 7000, 6.0, 1.5)]
    return [torch.from_numpy(points).float() for pair in zip(whole, damaged, strict=True) for points in pair]


def ring(share: NDArray) -> tuple[NDArray, NDArray]:
    return 40 + 14 * np.cos(math.tau * share), 14 * np.sin(math.tau * share)


def vase(share: NDArray) -> tuple[NDArray, NDArray]:
    return 22 + 9 * np.sin(5.5 * share) + 2 * np.cos(11 * share), 100 * share


def egg(share: NDArray) -> tuple[NDArray, NDArray]:
    height = -np.cos(math.pi * share)
    return (30 - 6 * height) * np.sin(math.pi * share), 42 * height


def revolved(profile: Profile, seed: int) -> NDArray:
    """A profile (radius and height, by the share of its length) turned about z, sampled evenly by area; (n, 3)."""
    share = np.linspace(0, 1, 4001)
    radius, height = profile(share)
    strips = np.hypot(np.diff(radius), np.diff(height)) * (radius[1:] + radius[:-1]) / 2
    area = np.concatenate([[0.0], np.cumsum(strips)])
    index = np.arange(1, COUNT + 1)
    radius, height = profile(np.interp(index / PLASTIC % 1, area / area[-1], share))
    angle = math.tau * (index / PLASTIC**2 % 1)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], 1)
    return points + 0.03 * np.random.default_rng(seed).standard_normal(points.shape)


def _pushed(points: NDArray, place: int, width: float, depth: float) -> NDArray:
    """A bump outwards (a dent, where negative) around one of the points: away from the points about it."""
    distance = np.linalg.norm(points - points[place], axis=1)
    near = points[distance < 2 * width]
    direction = points[place] - near.mean(0)
    direction /= np.linalg.norm(direction)
    return points + depth * np.exp(-((distance / width) ** 2) * 2)[:, None] * direction


def main() -> None:
    detector = ZeroShotDetector()
    scores = [round(detector.score(points).object_score, 5) for points in clouds()]
    FILE.write_text(json.dumps({"digest": detector.backbone.digest, "object_scores": scores}, indent=1) + "\n")
    print(FILE.read_text())


if __name__ == "__main__":
    main()
