"""What a data set's folder holds, and what is missing or malformed in it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..cloud import PointCloud
from ..errors import DatasetError, PointADPlusError
from . import dataset_names, open_dataset
from .background import BORDER
from .dataset import Dataset, Sample
from .organised import OrganisedSample

Progress = Callable[[int, int], None]
# Numbers we chose.
_OFF = 5.0  # times as large as most clouds of its class: no part varies so, another unit does
_SCENE = (0.02, 20.0)  # metres across that an organised scan of a part on a table may have
_TABLE = 0.2  # of the pixels at the image's rim that still hold a point: the table is still there
_UNITS = {1e3: "millimetres for metres", 1e2: "centimetres for metres", 10.0: "millimetres for centimetres"}
_UNITS |= {25.4: "millimetres for inches", 1e6: "micrometres for metres", 39.37: "inches for metres"}


@dataclass
class CategoryCheck:
    """Counts of one category.

    Attributes:
        train, good, bad: clouds for few-shot methods, and normal and anomalous test clouds.
        kinds: anomalous test clouds of each kind.
        points: lowest and highest number of points in a cloud that could be read, or None.
        anomalous: anomalous and all points of the labelled anomalous clouds.
        unlabelled: anomalous clouds without point labels.
        sizes: the diagonal of each cloud that could be read, by file.
    """

    train: int = 0
    good: int = 0
    bad: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    points: tuple[int, int] | None = None
    anomalous: tuple[int, int] = (0, 0)
    unlabelled: list[Path] = field(default_factory=list)
    sizes: dict[Path, float] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetCheck:
    """The result: counts by category, each problem in one line, and what is merely absent: a class without training
    clouds, say, on which few-shot methods cannot be measured, and others can."""

    name: str
    categories: dict[str, CategoryCheck]
    problems: tuple[str, ...]
    absent: tuple[str, ...] = ()

    def to_markdown(self) -> str:
        """A table of the categories, then the problems, then what is absent."""
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
        lines += [f"- {problem}" for problem in self.problems]
        if self.absent:
            lines += ["", "absent, which is no problem by itself:", *(f"- {each}" for each in self.absent)]
        return "\n".join(lines)


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
    absent: list[str] = []
    for name, found in categories.items():
        missing = {"training": found.train, "normal test": found.good, "anomalous test": found.bad}
        absent += [f"{name}: no {what} clouds" for what, count in missing.items() if count == 0]
        if found.unlabelled and len(found.unlabelled) == found.bad:
            absent.append(f"{name}: no point labels; points cannot be measured, objects can")
        else:
            problems += [f"{path}: no point labels, though others of {name} have some" for path in found.unlabelled]
        problems += _of_another_unit(name, found.sizes)
    return DatasetCheck(dataset.name, categories, tuple(problems), tuple(absent))


def _read(sample: Sample, found: CategoryCheck) -> str:
    """Add a cloud to the counts; returns what is wrong with it, or nothing."""
    cloud, labels = sample.load()
    low, high = found.points or (len(cloud), len(cloud))
    found.points = min(low, len(cloud)), max(high, len(cloud))
    found.sizes[sample.path] = size = _diagonal(cloud)
    problem = _table(sample, cloud, size) if isinstance(sample, OrganisedSample) else ""
    if sample.label == 0:
        return problem
    if labels is None:
        found.unlabelled.append(sample.path)
        return problem
    anomalous = int(labels[cloud.valid_rows()].sum())
    found.anomalous = found.anomalous[0] + anomalous, found.anomalous[1] + len(cloud)
    return problem or ("" if anomalous else f"{sample.path}: an anomalous cloud without an anomalous point")


def _diagonal(cloud: PointCloud) -> float:
    low, high = cloud.points.aminmax(dim=0)
    return float((high.double() - low.double()).norm())


def _table(sample: OrganisedSample, cloud: PointCloud, size: float) -> str:
    """What is wrong with a scan from which the table was to be taken away: another unit, or no plane."""
    across = size / sample.unit
    if not _SCENE[0] <= across <= _SCENE[1]:
        unit = "a metre" if sample.unit == 1 else f"a length of {sample.unit:g}"
        told = f"the scan is {size:.4g} across: its unit is not {unit}, as this layout's is"
        return f"{sample.path}: {told}, and the table under the part was not found"
    height, width = cloud.grid or (0, 0)
    row, column = cloud.valid_rows() // width, cloud.valid_rows() % width
    rim = (row < BORDER) | (row >= height - BORDER) | (column < BORDER) | (column >= width - BORDER)
    pixels = height * width - max(0, height - 2 * BORDER) * max(0, width - 2 * BORDER)
    if int(rim.sum()) > _TABLE * pixels:
        return f"{sample.path}: no plane was found at the rim of the image: the table is still in the scan"
    return ""


def _of_another_unit(name: str, sizes: dict[Path, float]) -> list[str]:
    """Clouds that are several times as large or as small as the others of their class."""
    if len(sizes) < 3:
        return []
    typical = float(np.median([*sizes.values()]))
    found = []
    for path, size in sizes.items():
        factor = max(size, typical) / max(min(size, typical), 1e-300)
        if factor > _OFF:
            unit = next((told for known, told in _UNITS.items() if abs(factor / known - 1) < 0.25), "another unit")
            which = "large" if size > typical else "small"
            found.append(f"{path}: {factor:.4g} times as {which} as most clouds of {name}: {unit}?")
    return found
