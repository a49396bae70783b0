"""What a data set's folder holds, and what is missing or malformed in it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import DatasetError, PointADPlusError
from . import dataset_names, open_dataset
from .dataset import Dataset, Sample

Progress = Callable[[int, int], None]


@dataclass
class CategoryCheck:
    """Counts of one category.

    Attributes:
        train, good, bad: clouds for few-shot methods, and normal and anomalous test clouds.
        kinds: anomalous test clouds of each kind.
        points: lowest and highest number of points in a cloud that could be read, or None.
        anomalous: anomalous and all points of the labelled anomalous clouds.
    """

    train: int = 0
    good: int = 0
    bad: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    points: tuple[int, int] | None = None
    anomalous: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class DatasetCheck:
    """The result: counts by category, and each problem in one line."""

    name: str
    categories: dict[str, CategoryCheck]
    problems: tuple[str, ...]

    def to_markdown(self) -> str:
        """A table of the categories, then the problems."""
        lines = [
            f"{self.name}: {len(self.categories)} categories\n",
            "| category | train | test good | test bad | points | anomalous | kinds |",
            "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
        ]
        for name, found in self.categories.items():
            points = "–" if found.points is None else f"{found.points[0]:,}–{found.points[1]:,}"
            share = f"{found.anomalous[0] / found.anomalous[1]:.1%}" if found.anomalous[1] else "–"
            kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(found.kinds.items()))
            lines.append(f"| {name} | {found.train} | {found.good} | {found.bad} | {points} | {share} | {kinds} |")
        lines += ["", f"{len(self.problems)} problems" if self.problems else "no problem found"]
        return "\n".join([*lines, *(f"- {problem}" for problem in self.problems)])


def find_dataset(root: str | os.PathLike[str], name: str | None = None) -> Dataset:
    """Open a data set by its layout's name, or by the first layout that the folder has.

    Raises:
        DatasetError: another layout than the one named, or none that is known.
    """
    if name is not None:
        return open_dataset(name, root)
    if not Path(root).is_dir():
        raise DatasetError("no such folder", where=root, expected="the folder of a data set")
    reasons = []
    for known in dataset_names():
        try:
            return open_dataset(known, root)
        except DatasetError as error:
            reasons.append(f"{known}: {error.what}")
    raise DatasetError("no known layout", where=root, expected=", ".join(dataset_names()), found="; ".join(reasons))


def check_dataset(dataset: Dataset, progress: Progress | None = None) -> DatasetCheck:
    """Read every cloud and its labels, one at a time.

    Args:
        progress: called with the clouds that are done and the number of all.
    """
    categories: dict[str, CategoryCheck] = {}
    problems: list[str] = []
    for done, sample in enumerate(dataset.samples, start=1):
        found = categories.setdefault(sample.category, CategoryCheck())
        if sample.split == "train":
            found.train += 1
        elif sample.label == 0:
            found.good += 1
        else:
            found.bad += 1
            found.kinds[sample.kind] += 1
        try:
            problem = _read(sample, found)
        except PointADPlusError as error:
            problem = str(error)
        if problem:
            problems.append(problem)
        if progress is not None:
            progress(done, len(dataset.samples))
    for name, found in categories.items():
        missing = {"training": found.train, "normal test": found.good, "anomalous test": found.bad}
        problems += [f"{name}: no {what} clouds" for what, count in missing.items() if count == 0]
    return DatasetCheck(dataset.name, categories, tuple(problems))


def _read(sample: Sample, found: CategoryCheck) -> str:
    """Add a cloud to the counts; returns what is wrong with it, or nothing."""
    cloud, labels = sample.load()
    low, high = found.points or (len(cloud), len(cloud))
    found.points = min(low, len(cloud)), max(high, len(cloud))
    if sample.label == 0:
        return ""
    if labels is None:
        return f"{sample.path}: no point labels"
    anomalous = int(labels[cloud.valid_rows()].sum())
    found.anomalous = found.anomalous[0] + anomalous, found.anomalous[1] + len(cloud)
    return "" if anomalous else f"{sample.path}: an anomalous cloud without an anomalous point"
