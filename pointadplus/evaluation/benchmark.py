"""`evaluate`: score a labelled data set once, and keep every figure that a table needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from ..cloud import PointCloud
from ..data import Dataset, Sample
from ..errors import ConfigError, DatasetError
from ..results.detection import Detection
from .aupro import cloud_regions, image_regions
from .curves import Curves
from .histogram import FEWEST_BINS, Triple
from .metrics import auroc, average_precision, f1_max
from .result import JOINED, BenchmarkResult, CloudResult, Figures, MapFigures, mean_figures
from .streaming import EXACT_POINTS, PointAccumulator

# A layer's object score is the mean of this share of its highest point scores: one outlying point must not decide.
TOP_SHARE = 0.01
# Bins of all the histograms of a category together: 470 MB at 28 bytes. Each map has one, and one for each kind.
CATEGORY_BINS = 1 << 24
Progress = Callable[[int, int, Sample], None]


@runtime_checkable
class Scorer(Protocol):
    """What `evaluate` needs of a detector. One that sets `few_shot = True` also has `fit(clouds)`."""

    def score(self, source: Any) -> Detection: ...


def evaluate(
    detector: Scorer,
    dataset: Dataset,
    *,
    categories: Sequence[str] | None = None,
    progress: Progress | None = None,
    exact_points: int = EXACT_POINTS,
    rgb: bool = False,
    point_curves: dict[str, Curves] | None = None,
) -> BenchmarkResult:
    """Score every labelled test cloud once and compute all figures.

    Categories of this data set that a detector was trained on, as its `trained_on(name)` tells, are left out, and the
    notes say so. A detector whose `few_shot` is true is fitted on the training clouds of each category first. The
    object score of a layer is the mean of its highest 1 %; a layer called "joined" gives way to the detection itself.
    Anomalous clouds without a label file count for object figures alone.

    Memory does not grow with the data set. The point scores of a category are held, and its figures exact, up to
    `exact_points`; beyond, each map's points are counted in a histogram, and so are those of each kind of defect (see
    `PointAccumulator`). The histograms of a category share 2^24 bins, 470 MB; the result's notes then say by how much
    a point figure can be off.

    Args:
        detector: scores a `PointCloud`.
        dataset: from `open_dataset`.
        categories: a subset; None stands for all.
        progress: called as progress(done, total, sample) after each cloud.
        exact_points: the most points of a category whose scores are held; 4 bytes each a map, and 4 more.
        rgb: whether the detector is given colours, too: the aligned image where the data set has one, else the points'
            own colours, where there are any.
        point_curves: where given, it takes the curves of the detection's point scores, pooled in each category in which
            they are defined; some 40 kB each. `write_curves` draws them.

    Raises:
        DatasetError: unknown category, no labelled test cloud, no training cloud for a few-shot detector, or a category
            asked for that the detector was trained on.
        ConfigError: the detector returned scores that do not fit the cloud.
    """
    names, left_out = _apart(detector, dataset, categories)
    tests = {name: [s for s in dataset.select(name, "test") if s.label is not None] for name in names}
    total = sum(map(len, tests.values()))
    if total == 0:
        raise DatasetError(
            "no labelled test cloud", where=dataset.root, expected="at least one", found="none in " + ", ".join(names)
        )
    clouds: list[CloudResult] = []
    tables: dict[str, _Tables] = {}
    fitting: list[float] = []  # seconds, a category
    for name, samples in tests.items():
        start = time.perf_counter()
        ready = _fitted(detector, dataset, name)
        fitting.append(time.perf_counter() - start)
        kinds = len({sample.kind for sample in samples if sample.label})
        own: list[CloudResult] = []
        points: dict[str, _Points] = {}
        for sample in samples:
            scored = _score(ready, sample, rgb)
            own.append(scored.result)
            clouds.append(scored.result)
            if clouds[-1].scores.keys() != clouds[0].scores.keys():
                raise ConfigError(
                    "the detector changed its layers",
                    where=sample.path,
                    expected=", ".join(clouds[0].scores),
                    found=", ".join(clouds[-1].scores),
                )
            for key in scored.maps:
                if key not in points:
                    bins = CATEGORY_BINS // (len(scored.maps) * (1 + kinds))
                    points[key] = _Points(exact_points, max(bins, FEWEST_BINS))
                points[key].add(scored, key)
            if progress is not None:
                progress(len(clouds), total, sample)
        if point_curves is not None and JOINED in points and (drawn := points[JOINED].pooled.curves()) is not None:
            point_curves[name] = drawn
        for key in tuple(points):
            tables.setdefault(key, _Tables()).add(name, key, own, points.pop(key))
    maps = {key: table.close(_object_figures(key, clouds)[0]) for key, table in tables.items()}
    notes = _notes(tables.values())
    if getattr(detector, "few_shot", False):
        notes["fitted"] = f"to each category anew, in {sum(fitting) / len(fitting):.1f} s on average"
    if left_out:
        notes["left out, for it was trained on them"] = ", ".join(left_out)
    return BenchmarkResult(type(detector).__name__, dataset.name, maps, tuple(clouds), notes)


@dataclass(frozen=True)
class _Scored:
    """A scored cloud with its anomalous regions and score maps, both empty where it has no labels."""

    result: CloudResult
    regions: np.ndarray  # 0 on normal points, then 1, 2, …
    maps: Mapping[str, np.ndarray]


class _Points:
    """One map's point scores in one category: of all clouds, and of the anomalous clouds by kind."""

    def __init__(self, exact_points: int, bins: int) -> None:
        self._new = lambda: PointAccumulator(exact_points, bins)
        self.pooled = self._new()
        self.kinds: dict[str, PointAccumulator] = {}

    def add(self, scored: _Scored, key: str) -> None:
        """While all are exact they share the clouds' arrays; so the kinds let go of them when the whole does."""
        self.pooled.add(scored.regions, scored.maps[key])
        if scored.result.label:
            self.kinds.setdefault(scored.result.kind, self._new()).add(scored.regions, scored.maps[key])
        if not self.pooled.exact:
            for own in self.kinds.values():
                own.fold()


@dataclass
class _Tables:
    """One map's figures while categories come in: by category, and by kind one row a category."""

    categories: dict[str, Figures] = field(default_factory=dict)
    kinds: dict[str, list[Figures]] = field(default_factory=dict)
    rounded: list[str] = field(default_factory=list)  # the categories whose point figures are of rounded scores
    error: float = 0.0  # the most by which rounding can have moved any point figure

    def add(self, category: str, key: str, results: Sequence[CloudResult], points: _Points) -> None:
        self.categories[category] = Figures(*_object_figures(key, results), *points.pooled.figures())
        normal = [result for result in results if not result.label]
        for kind, own in points.kinds.items():
            objects = _object_figures(key, [*normal, *(r for r in results if r.label and r.kind == kind)])
            self.kinds.setdefault(kind, []).append(Figures(*objects, *own.figures()))
        rounded = [held for held in (points.pooled, *points.kinds.values()) if held.resolution]
        for held in rounded:
            self.error = max(self.error, *(bound or 0.0 for bound in held.error_bounds()))
        if rounded:
            self.rounded.append(category)

    def close(self, pooled_object_auroc: float | None) -> MapFigures:
        kinds = {kind: mean_figures(rows) for kind, rows in sorted(self.kinds.items())}
        return MapFigures(self.categories, kinds, pooled_object_auroc)


def _apart(
    detector: Scorer, dataset: Dataset, categories: Sequence[str] | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The categories to score, and those that are left out because the detector was trained on them."""
    trained_on = getattr(detector, "trained_on", None)
    learnt = set(trained_on(dataset.name)) if trained_on is not None else set()
    names = dataset.categories() if categories is None else tuple(dict.fromkeys(categories))
    shared = tuple(name for name in names if name in learnt)
    if shared and (categories is not None or len(shared) == len(names)):
        raise DatasetError(
            "the detector was trained on what it is to be measured on",
            where=dataset.root,
            expected="other categories",
            found=", ".join(shared),
        )
    return tuple(name for name in names if name not in learnt), shared


def _fitted(detector: Scorer, dataset: Dataset, category: str) -> Scorer:
    if not getattr(detector, "few_shot", False):
        return detector
    train = dataset.select(category, "train")
    if not train:
        raise DatasetError(
            "no training cloud for a few-shot detector",
            where=dataset.root / category,
            expected="at least one",
            found="none",
            hint="add normal scans under train/, or use a zero-shot detector",
        )
    return detector.fit([sample.load()[0] for sample in train])  # type: ignore[attr-defined]


def _score(detector: Scorer, sample: Sample, rgb: bool) -> _Scored:
    cloud, labels = sample.load()
    colors = {"rgb": getattr(sample, "rgb_path", None) or True} if rgb else {}
    start = time.perf_counter()
    detection = detector.score(cloud, **colors)
    seconds = time.perf_counter() - start
    if len(detection.point_scores) != cloud.source_size:
        raise ConfigError(
            "the point scores do not fit the cloud",
            where=sample.path,
            expected=f"{cloud.source_size} scores",
            found=len(detection.point_scores),
        )
    rows = cloud.valid_rows()
    maps = {**detection.layers, JOINED: detection.point_scores[rows]}
    for name, values in maps.items():
        if values.shape != rows.shape:
            raise ConfigError(
                "a layer does not fit the cloud",
                where=f"Detection.layers[{name!r}]",
                expected=tuple(rows.shape),
                found=tuple(values.shape),
            )
    scores = {name: _top_mean(values) for name, values in maps.items()} | {JOINED: float(detection.object_score)}
    assert sample.label is not None
    result = CloudResult(sample.path.stem, sample.category, sample.kind, sample.label, scores, seconds)
    if labels is None:
        return _Scored(result, np.zeros(0, np.int32), {name: np.zeros(0, np.float32) for name in maps})
    arrays = {name: values.detach().cpu().float().numpy() for name, values in maps.items()}
    return _Scored(result, _regions(cloud, labels), arrays)


def _regions(cloud: PointCloud, labels: Tensor) -> np.ndarray:
    """(N,) int32: the connected anomalous region of each point, 0 on normal ones."""
    rows = cloud.valid_rows()
    if cloud.grid is not None:
        return image_regions(labels.view(cloud.grid).numpy()).reshape(-1)[rows.numpy()].astype(np.int32)
    return cloud_regions(cloud.points, labels[rows]).numpy().astype(np.int32)


def _top_mean(values: Tensor) -> float:
    return float(values.float().topk(max(1, round(TOP_SHARE * len(values)))).values.mean())


def _object_figures(key: str, clouds: Iterable[CloudResult]) -> Triple:
    """Object AUROC, AP and largest F1."""
    rows = [(cloud.label, cloud.scores[key]) for cloud in clouds]
    labels, scores = [label for label, _ in rows], [score for _, score in rows]
    return auroc(labels, scores), average_precision(labels, scores), f1_max(labels, scores)


def _notes(tables: Iterable[_Tables]) -> dict[str, str]:
    """Which point figures are not exact, if any, and by how much."""
    tables = list(tables)
    rounded = dict.fromkeys(name for table in tables for name in table.rounded)
    if not rounded:
        return {}
    error = 100 * max(table.error for table in tables)
    return {"point figures": f"of rounded scores, within {error:.2g} percent points, in {', '.join(rounded)}"}
