"""How much a score moves when the object is turned, and how much of that the views explain.

Each object is scored in several poses. The views stand still while the object turns, and the sub-sample of its points
changes with the pose. To tell the two apart, the same poses are scored again with the views turned along (the views
then show the same pictures, and only the sub-sample differs), and once more in one pose with other sub-samples.

    python benchmarks/rotation.py --objects 8 --poses 6
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import torch
from real_objects import machine

from pointadplus import PointCloud, ZeroShotDetector
from pointadplus.learning.synthesis.corpus import CorpusConfig, sample_object
from pointadplus.learning.synthesis.shapes import HELD_OUT
from pointadplus.render import MultiViewRenderer
from pointadplus.zero_shot.observation import Observer


def rotations(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    q, r = torch.linalg.qr(torch.randn(count, 3, 3, generator=generator))
    q = q * torch.sign(torch.diagonal(r, dim1=1, dim2=2))[:, None]
    return q * torch.sign(torch.linalg.det(q))[:, None, None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=8)
    parser.add_argument("--poses", type=int, default=6)
    arguments = parser.parse_args()
    detector = ZeroShotDetector()
    still, renderer = detector.observer, detector.observer.renderer
    spreads: dict[str, list[float]] = {"turned": [], "turned with its views": [], "other sub-samples": []}
    means = []
    for number in range(arguments.objects):
        points = sample_object(8_880_000_000 + number, CorpusConfig(families=HELD_OUT)).points
        scores: dict[str, list[float]] = {key: [] for key in spreads}
        for pose, turn in enumerate(rotations(arguments.poses)):
            detector.observer = still
            scores["turned"].append(detector.score(PointCloud.create(points @ turn.T)).object_score)
            detector.observer = Observer(still.channels, renderer.config.image_size, still.config)
            detector.observer.renderer = MultiViewRenderer(replace(renderer.config, views=renderer.rotations @ turn.T))
            scores["turned with its views"].append(detector.score(PointCloud.create(points @ turn.T)).object_score)
            detector.observer = Observer(still.channels, renderer.config.image_size, replace(still.config, seed=pose))
            scores["other sub-samples"].append(detector.score(PointCloud.create(points)).object_score)
        means.append(torch.tensor(scores["turned"]).mean())
        for key, values in scores.items():
            spreads[key].append(float(torch.tensor(values).std()))
    print(
        "| what changes | standard deviation of the object score, mean over objects | largest |\n| --- | ---: | ---: |"
    )
    for key, values in spreads.items():
        print(f"| {key} | {sum(values) / len(values):.4f} | {max(values):.4f} |")
    print(f"\nbetween the objects the scores' standard deviation is {torch.stack(means).std():.4f}")
    print(
        f"`python benchmarks/rotation.py --objects {arguments.objects} --poses {arguments.poses}`, seed 0, {machine()}"
    )


if __name__ == "__main__":
    main()
