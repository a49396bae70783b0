"""Choose how the layers are joined, on synthetic objects of families that no training saw.

Object figures are of all looks that the detector takes at an object, point figures of the first.

python benchmarks/fusion_ablation.py --weights embedded --objects 160
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import dataclass, replace

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from pointadplus import PointCloud, ZeroShotDetector
from pointadplus.fusion import EPSILON, FusionConfig, join_layers, object_score
from pointadplus.model import EvidencePlus
from pointadplus.synthesis.corpus import CorpusConfig, sample_object
from pointadplus.synthesis.shapes import HELD_OUT

FIRST = 7_770_000_000  # seeds of no training stream


@dataclass(frozen=True, eq=False)
class Case:
    """The evidence of each look at an object, and the labels of the first look's nodes."""

    looks: list[EvidencePlus]
    labels: np.ndarray


@torch.no_grad()
def cases(detector: ZeroShotDetector, count: int) -> list[Case]:
    """Evidence of healthy and damaged objects, as many of each."""
    corpus, observer, out = CorpusConfig(families=HELD_OUT), detector.observer, []
    for number in range(count):
        thing = sample_object(FIRST + number, corpus)
        cloud = PointCloud.create(thing.points)
        pictures = [observer.picture(cloud, sample=sample) for sample in range(observer.samples(cloud))]
        looks = [detector.model(observer.observe(p, detector.backbone), texts=detector.texts) for p in pictures]
        out.append(Case(looks, thing.labels[pictures[0].order[: len(pictures[0].nodes)]].numpy()))
    return out


def figures(found: list[Case], fusion: FusionConfig) -> tuple[float, float, float, float]:
    """Pooled object AUROC, AUROC of damaged objects' points (mean over objects), pooled point AUROC and point AP."""
    objects, damaged, points, labels, within = [], [], [], [], []
    for case in found:
        maps = [join_layers(look.rendering, look.geometry, look.graph, fusion) for look in case.looks]
        scores = [object_score(m, e.pooled, e.views, fusion) for m, e in zip(maps, case.looks, strict=True)]
        objects.append(float(torch.logit(torch.stack(scores), EPSILON).mean()))
        damaged.append(case.labels.any())
        points.append(maps[0].numpy())
        labels.append(case.labels)
        if case.labels.any():
            within.append(roc_auc_score(case.labels, maps[0].numpy()))
    y, s = np.concatenate(labels), np.concatenate(points)
    return roc_auc_score(damaged, objects), float(np.mean(within)), roc_auc_score(y, s), average_precision_score(y, s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="embedded")
    parser.add_argument("--backbone")
    parser.add_argument("--objects", type=int, default=160)
    arguments = parser.parse_args()
    found = cases(ZeroShotDetector(arguments.weights, backbone=arguments.backbone), arguments.objects)
    print(f"{arguments.objects} objects of {', '.join(HELD_OUT)}; percent\n")
    print("| geometry | sigma | top | pooled | views | O pooled | P within | P pooled | P-AP |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    base = FusionConfig(geometry=0.7, sigma=1.0, top=0.003, pooled=0.5, views=0.0)
    grid = [replace(base, geometry=share) for share in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)]
    grid += [replace(base, sigma=sigma) for sigma in (0.0, 2.0)]
    grid += [replace(base, top=t, pooled=p) for t, p in itertools.product((0.001, 0.003, 0.01, 0.03), (0.0, 0.5, 1.0))]
    grid += [replace(base, pooled=p, views=v) for p, v in ((0.0, 0.25), (0.5, 0.25), (0.5, 0.5), (0.0, 1.0))]
    for fusion in grid:
        values = " | ".join(f"{100 * value:.1f}" for value in figures(found, fusion))
        print(f"| {fusion.geometry} | {fusion.sigma} | {fusion.top} | {fusion.pooled} | {fusion.views} | {values} |")


if __name__ == "__main__":
    main()
