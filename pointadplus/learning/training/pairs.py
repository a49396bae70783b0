"""Healthy and damaged twins of the synthetic corpus, as training takes them."""

from __future__ import annotations

import itertools
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


def pair_stream(
    pairs: Sequence[tuple[Path, Path]], seed: int, first: int = 0, every: int = 1
) -> Iterator[tuple[Lesson, Lesson]]:
    """Pairs for ever, in a new seeded order each epoch.

    Args:
        first: pairs passed over at the start, unread, as a run that resumes does.
        every: give one of so many from there on; that many readers, each with another `first`, share the work.
    """
    for index in itertools.islice(_order(len(pairs), seed), first, None, every):
        healthy, damaged = pairs[index]
        yield load_lesson(healthy), load_lesson(damaged)


def _order(count: int, seed: int) -> Iterator[int]:
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.randperm(count, generator=generator).tolist()
