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
from ..detection import Detection
from ..errors import ConfigError, DatasetError
from .aupro import aupro, cloud_regions, image_regions
from .metrics import auroc, average_precision, f1_max
from .result import JOINED, BenchmarkResult, CloudResult, Figures, MapFigures, mean_figures

# A layer's object score is the mean of this share of its highest point scores: one outlying point must not decide.
TOP_SHARE = 0.01
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
) -> BenchmarkResult:
    """Score every labelled test cloud once and compute all figures.

    A detector whose `few_shot` is true is fitted on the training clouds of each category first. The object score of a
    layer is the mean of its highest 1 %; a layer called "joined" gives way to the detection itself. Only one
    category's point scores are held in memory. Anomalous clouds without a label file count for object figures alone.

    Args:
        detector: scores a `PointCloud`.
        dataset: from `open_dataset`.
        categories: a subset; None stands for all.
        progress: called as progress(done, total, sample) after each cloud.

    Raises:
        DatasetError: unknown category, no labelled test cloud, or no training cloud for a few-shot detector.
        ConfigError: the detector returned scores that do not fit the cloud.
    """
    names = dataset.categories() if categories is None else tuple(dict.fromkeys(categories))
    tests = {name: [s for s in dataset.select(name, "test") if s.label is not None] for name in names}
    total = sum(map(len, tests.values()))
    if total == 0:
        raise DatasetError(
            "no labelled test cloud", where=dataset.root, expected="at least one", found="none in " + ", ".join(names)
        )
    clouds: list[CloudResult] = []
    tables: dict[str, _Tables] = {}
    for name, samples in tests.items():
        ready = _fitted(detector, dataset, name)
        scored = []
        for sample in samples:
            scored.append(_score(ready, sample))
            clouds.append(scored[-1].result)
            if clouds[-1].scores.keys() != clouds[0].scores.keys():
                raise ConfigError(
                    "the detector changed its layers",
                    where=sample.path,
                    expected=", ".join(clouds[0].scores),
                    found=", ".join(clouds[-1].scores),
                )
            if progress is not None:
                progress(len(clouds), total, sample)
        for key in clouds[0].scores if scored else ():
            tables.setdefault(key, _Tables()).add(name, key, scored)
    maps = {key: table.close(_object_figures(key, clouds)[0]) for key, table in tables.items()}
    return BenchmarkResult(type(detector).__name__, dataset.name, maps, tuple(clouds))


@dataclass(frozen=True)
class _Scored:
    """A scored cloud with its anomalous regions and score maps, both empty where it has no labels."""

    result: CloudResult
    regions: np.ndarray  # 0 on normal points, then 1, 2, …
    maps: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class _Tables:
    """One map's figures while categories come in: by category, and by kind one row a category."""

    categories: dict[str, Figures] = field(default_factory=dict)
    kinds: dict[str, list[Figures]] = field(default_factory=dict)

    def add(self, category: str, key: str, scored: Sequence[_Scored]) -> None:
        results = [s.result for s in scored]
        self.categories[category] = Figures(*_object_figures(key, results), *_point_figures(key, scored))
        normal = [result for result in results if not result.label]
        for kind in dict.fromkeys(result.kind for result in results if result.label):
            own = [s for s in scored if s.result.label and s.result.kind == kind]
            objects = _object_figures(key, [*normal, *(s.result for s in own)])
            self.kinds.setdefault(kind, []).append(Figures(*objects, *_point_figures(key, own)))

    def close(self, pooled_object_auroc: float | None) -> MapFigures:
        kinds = {kind: mean_figures(rows) for kind, rows in sorted(self.kinds.items())}
        return MapFigures(self.categories, kinds, pooled_object_auroc)


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


def _score(detector: Scorer, sample: Sample) -> _Scored:
    cloud, labels = sample.load()
    start = time.perf_counter()
    detection = detector.score(cloud)
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


def _object_figures(key: str, clouds: Iterable[CloudResult]) -> tuple[float | None, ...]:
    """Object AUROC, AP and largest F1."""
    rows = [(cloud.label, cloud.scores[key]) for cloud in clouds]
    labels, scores = [label for label, _ in rows], [score for _, score in rows]
    return auroc(labels, scores), average_precision(labels, scores), f1_max(labels, scores)


def _point_figures(key: str, scored: Sequence[_Scored]) -> tuple[float | None, ...]:
    """Point AUROC, AP and AUPRO over the pooled points."""
    before = np.cumsum([0, *(s.regions.max(initial=0) for s in scored)])
    regions = np.concatenate([np.where(s.regions > 0, s.regions + n, 0) for s, n in zip(scored, before, strict=False)])
    scores = np.concatenate([s.maps[key] for s in scored])
    return auroc(regions > 0, scores), average_precision(regions > 0, scores), aupro(regions, scores)
