"""Choose how the layers are joined, on pairs of synthetic twins of families that no training saw; one look at each.

python benchmarks/fusion_ablation.py --weights embedded --lessons runs/zero_shot/lessons --pairs 160
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from pointadplus import ZeroShotDetector
from pointadplus.learning.synthesis.corpus import CorpusConfig
from pointadplus.learning.synthesis.shapes import HELD_OUT
from pointadplus.learning.training.lessons import Lesson, LessonCache, load_lesson
from pointadplus.zero_shot.fusion import FusionConfig, join_layers, object_score
from pointadplus.zero_shot.model import EvidencePlus, PointAD
from pointadplus.zero_shot.observation import Observer

JUDGED = 800_000_000  # first of the pairs that weights are judged on


@dataclass(frozen=True, eq=False)
class Case:
    """The evidence of one look at an object, the labels of its nodes, and what kind of scan it is."""

    evidence: EvidencePlus
    labels: np.ndarray
    scan: str

    def joined(self, fusion: FusionConfig) -> torch.Tensor:
        return join_layers(self.evidence.rendering, self.evidence.geometry, self.evidence.graph, fusion)

    def score(self, fusion: FusionConfig) -> float:
        return float(object_score(self.joined(fusion), self.evidence.pooled, self.evidence.views, fusion))


@torch.no_grad()
def cases(model: PointAD, lessons: Iterable[Lesson]) -> list[Case]:
    """What the model says of each object."""
    texts, out = model.texts(), []
    for lesson in lessons:
        evidence = model(lesson.observation, lesson.graph, texts)
        assert isinstance(evidence, EvidencePlus)
        out.append(Case(evidence, lesson.labels.cpu().numpy(), lesson.category.partition("/")[0]))
    return out


def twins(found: list[Case], fusion: FusionConfig) -> float:
    """Share of the pairs whose damaged twin scores higher; cases are healthy and damaged in turns."""
    scores = [case.score(fusion) for case in found]
    return float(np.mean([healthy < damaged for healthy, damaged in zip(scores[::2], scores[1::2], strict=True)]))


def figures(found: list[Case], fusion: FusionConfig) -> tuple[float, float, float, float]:
    """Pooled object AUROC, AUROC of damaged objects' points (mean over objects), pooled point AUROC and point AP."""
    objects, damaged, points, labels, within = [], [], [], [], []
    for case in found:
        joined = case.joined(fusion).cpu().numpy()
        objects.append(case.score(fusion))
        damaged.append(case.labels.any())
        points.append(joined)
        labels.append(case.labels)
        if case.labels.any():
            within.append(roc_auc_score(case.labels, joined))
    y, s = np.concatenate(labels), np.concatenate(points)
    return roc_auc_score(damaged, objects), float(np.mean(within)), roc_auc_score(y, s), average_precision_score(y, s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="embedded")
    parser.add_argument("--backbone")
    parser.add_argument("--lessons", type=Path, required=True, help="folder of what the backbone sees, kept")
    parser.add_argument("--pairs", type=int, default=160)
    parser.add_argument("--fittings", type=float, default=CorpusConfig.fittings, help="share with lone details")
    parser.add_argument("--workers", type=int, default=2, help="processes that make the pairs")
    arguments = parser.parse_args()
    detector = ZeroShotDetector(arguments.weights, backbone=arguments.backbone)
    observation = replace(detector.config.observation, samples=1)
    observer = Observer(detector.backbone.channels, detector.backbone.image_size, observation)
    cache = LessonCache(arguments.lessons, detector.backbone, observer, detector.model)
    torch.set_num_threads(1)  # of each worker
    corpus = CorpusConfig(families=HELD_OUT, fittings=arguments.fittings)
    lessons = cache.of_pairs(range(JUDGED, JUDGED + arguments.pairs), corpus, workers=arguments.workers)
    torch.set_num_threads(2)
    found = cases(detector.model, map(load_lesson, lessons))
    print(f"{arguments.pairs} pairs of {', '.join(HELD_OUT)}, {arguments.fittings:.0%} with lone details; percent\n")
    print("| geometry | sigma | top | pooled | views | O pooled | twins | P within | P pooled | P-AP |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    base = FusionConfig(geometry=0.7, sigma=1.0, top=0.003, pooled=0.5, views=0.0)
    grid = [replace(base, geometry=share) for share in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)]
    grid += [replace(base, sigma=sigma) for sigma in (0.0, 2.0)]
    grid += [replace(base, top=t, pooled=p) for t, p in itertools.product((0.001, 0.003, 0.01, 0.03), (0.0, 0.5, 1.0))]
    grid += [replace(base, pooled=p, views=v) for p, v in ((0.0, 0.25), (0.5, 0.25), (0.5, 0.5), (0.0, 1.0))]
    for fusion in grid:
        pooled, *points = figures(found, fusion)
        values = " | ".join(f"{100 * value:.1f}" for value in (pooled, twins(found, fusion), *points))
        print(f"| {fusion.geometry} | {fusion.sigma} | {fusion.top} | {fusion.pooled} | {fusion.views} | {values} |")


if __name__ == "__main__":
    main()
