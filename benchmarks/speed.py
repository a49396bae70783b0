"""Seconds to score one cloud with the embedded weights, stage by stage.

python benchmarks/speed.py --points 100000 --runs 5
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from real_objects import machine

from pointadplus import PointCloud, ZeroShotDetector
from pointadplus.learning.synthesis.shapes import sample_shape


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    shape = sample_shape(torch.Generator().manual_seed(0), points=arguments.points, family="gear")
    cloud, detector = PointCloud.create(shape.points), ZeroShotDetector()
    detector.score(cloud)
    runs, stages = [], []
    for _ in range(arguments.runs):
        start = time.perf_counter()
        stages.append(detector.score(cloud).seconds)
        runs.append(time.perf_counter() - start)
    print("| stage | median s | share |\n| --- | ---: | ---: |")
    for name in stages[0]:
        seconds = statistics.median(stage[name] for stage in stages)
        print(f"| {name} | {seconds:.2f} | {seconds / statistics.median(runs):.0%} |")
    print(f"| total | {statistics.median(runs):.2f} | min {min(runs):.2f}, max {max(runs):.2f} |")
    print(f"\n`python benchmarks/speed.py --points {arguments.points} --runs {arguments.runs}`, seed 0, {machine()}")


if __name__ == "__main__":
    main()
