"""End to end: prompts learnt on some synthetic classes find defects on other classes, in each data set's layout."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pointadplus import PointCloud, ZeroShotDetector
from pointadplus.data import Dataset, open_dataset
from pointadplus.evaluation import evaluate
from pointadplus.learning.synthesis.corpus import TRAINING_FAMILIES
from pointadplus.learning.synthesis.dataset import SyntheticConfig, write_dataset
from pointadplus.learning.synthesis.shapes import HELD_OUT
from pointadplus.learning.training.config import DataConfig, TrainConfig
from pointadplus.learning.training.run import train, untrained
from pointadplus.zero_shot.model import ModelConfig
from pointadplus.zero_shot.observation import ObservationConfig, Observer, Picture

LAYOUTS = ("anomaly-shapenet", "real3d-ad", "folder", "mvtec-3d-ad", "eyecandies")
AUXILIARY, OTHER = TRAINING_FAMILIES[::9], HELD_OUT[:5]
SEEDS = (0, 1)


class Remembering(Observer):
    """Looks at each file once."""

    def __init__(self, observer: Observer, seen: dict[str | None, list[Picture]]) -> None:
        self.__dict__.update(observer.__dict__)
        self.seen = seen

    def pictures(self, cloud: PointCloud, *others: Any, **options: Any) -> Iterator[Picture]:
        if cloud.source not in self.seen:
            self.seen[cloud.source] = list(super().pictures(cloud, *others, **options))
        yield from self.seen[cloud.source]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """PointAD's prompts from random ones, on the embedded backbone."""
    root = tmp_path_factory.mktemp("auxiliary")
    made = SyntheticConfig(
        seed=0, families=AUXILIARY, train=0, normal=2, damaged=4, points=(10_000, 12_000), training_families=True
    )
    write_dataset(root, made, "anomaly-shapenet")
    return TrainConfig(
        DataConfig("anomaly-shapenet", str(root)),
        observation=ObservationConfig(nodes=4096, support=10_000, views="sphere6"),
        model=ModelConfig(mode="pointad"),
    )


@pytest.fixture(scope="module")
def detectors(config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> list[ZeroShotDetector]:
    """One that learnt, then some that did not: random prompts may happen to point either way."""
    run = tmp_path_factory.mktemp("run")
    found = [ZeroShotDetector(train(config, run)), *(untrained(replace(config, seed=seed)) for seed in SEEDS)]
    seen: dict[str | None, list[Picture]] = {}  # prompts change nothing of what is seen of a scan
    for detector in found:
        detector.observer = Remembering(detector.observer, seen)
    return found


def point_auroc(detector: ZeroShotDetector, datasets: list[Dataset]) -> float:
    values = [value.point_auroc for data in datasets for value in evaluate(detector, data).joined.categories.values()]
    return statistics.fmean(value for value in values if value is not None)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_learnt_prompts_find_defects_on_other_classes(
    detectors: list[ZeroShotDetector], tmp_path: Path, layout: str
) -> None:
    points = (20_000, 24_000) if layout == "real3d-ad" else (10_000, 12_000)  # of its test scans, one side is seen
    made = SyntheticConfig(seed=1, families=OTHER, train=0, normal=1, damaged=1, points=points)
    write_dataset(tmp_path, made, layout)
    roots = [tmp_path / family for family in OTHER] if layout == "folder" else [tmp_path]
    datasets = [open_dataset(layout, root) for root in roots]
    learnt, *others = (point_auroc(detector, datasets) for detector in detectors)
    assert learnt > statistics.fmean(others) + 0.10, (learnt, others)
