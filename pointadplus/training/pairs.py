"""Healthy and damaged twins of the synthetic corpus, as training takes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from .lessons import Lesson, load_lesson


def pairs_of(lessons: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Healthy and damaged twins, by the consecutive even and odd numbers that name them."""
    by_number = {int(path.stem.split("-")[0]): path for path in lessons}
    return [
        (by_number[number], by_number[number + 1])
        for number in sorted(by_number)
        if number % 2 == 0 and number + 1 in by_number
    ]


def pair_stream(pairs: Sequence[tuple[Path, Path]], seed: int) -> Iterator[tuple[Lesson, Lesson]]:
    """Pairs for ever, in a new seeded order each epoch."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        for index in torch.randperm(len(pairs), generator=generator).tolist():
            healthy, damaged = pairs[index]
            yield load_lesson(healthy), load_lesson(damaged)
