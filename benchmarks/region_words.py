"""How often the word of a region is right, on labelled real objects, for the regions that a method finds.

    python benchmarks/region_words.py --root DIR [--methods pointad+,surface-deviation]

DIR holds `<category>/{train,test,GT}` in the layout of Anomaly-ShapeNet; few-shot methods are fitted on train/.
Of each damaged scan the region of the highest peak is looked at: at the default threshold or, where nothing
reaches it, of the highest 2 % of the scores. It counts if at least 30 % of it is defect, and is right if the nearest of
all 24 words is one of the defect's kind.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from real_objects import machine
from torch import Tensor
from train_region_words import LIES, SHARE, damaged

from baselines import MVR, Reg2Inv, SurfaceDeviation
from pointadplus import ZeroShotDetector
from pointadplus.data import Dataset, open_dataset
from pointadplus.prompts.templates import DEFECT_KINDS, DEFECT_STATES
from pointadplus.results.detection import Detection
from pointadplus.results.detector import AnomalyDetector
from pointadplus.results.regions import Region
from pointadplus.zero_shot.words import named_regions

METHODS: Mapping[str, Callable[[], AnomalyDetector]] = {
    "pointad+": ZeroShotDetector,
    "surface-deviation": SurfaceDeviation,
    "mvr": MVR,
    "reg2inv": Reg2Inv,
}
WORDS = tuple(word for states in DEFECT_STATES.values() for word in states)


def named(detection: Detection, labels: Tensor) -> Region | None:
    """The region of the highest peak with its word, if it lies on the defect."""
    for threshold in (None, float(detection.valid_scores.quantile(SHARE))):
        if detection.regions(threshold):
            region = named_regions(detection, WORDS, threshold=threshold)[0]
            return region if labels[region.rows].float().mean() >= LIES else None
    return None


def judged(detector: AnomalyDetector, dataset: Dataset) -> Iterator[tuple[str, bool | None]]:
    """The kind of each damaged scan, and whether its region's word is right, or None where none was found."""
    for category in dataset.categories():
        detector.fit([sample.path for sample in dataset.select(category, "train")])
        for cloud, labels, kind in damaged(dataset.select(category, "test")):
            region = named(detector.score(cloud), labels)
            yield kind, None if region is None else region.word in DEFECT_STATES[kind]
            print(category, kind, None if region is None else region.word, file=sys.stderr, flush=True)


def row(name: str, found: list[tuple[str, bool | None]]) -> str:
    """One row of the table."""
    right = Counter(kind for kind, good in found if good)
    seen = Counter(kind for kind, good in found if good is not None)
    cells = [f"{right[kind]} of {seen[kind]}" for kind in DEFECT_KINDS]
    share = right.total() / max(1, seen.total())
    return f"| {name} | {seen.total()} of {len(found)} | {share:.0%} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument(
        "--methods", default="pointad+,surface-deviation", help=f"with commas between: {', '.join(METHODS)}"
    )
    args = parser.parse_args()
    dataset = open_dataset("anomaly-shapenet", args.root)
    print(f"| method | found | right | {' | '.join(DEFECT_KINDS)} |\n| --- |{' ---: |' * (2 + len(DEFECT_KINDS))}")
    for name in args.methods.split(","):
        print(row(name, list(judged(METHODS[name](), dataset))), flush=True)
    print(machine())


if __name__ == "__main__":
    main()
