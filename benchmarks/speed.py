"""Seconds to score one cloud with the embedded weights, stage by stage; or of many tasks, beside another commit.

python benchmarks/speed.py --points 100000 --runs 5
python benchmarks/speed.py --against WORKTREE --tasks zero-shot-100k,align --runs 5

Against another commit (`git worktree add --detach WORKTREE COMMIT`) each task runs in two processes in turn, one of
each tree, on the same points; what is told is the median of the ratios, pair by pair.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from real_objects import machine

from pointadplus import PointCloud, ZeroShotDetector
from pointadplus.learning.synthesis.corpus import free_turn
from pointadplus.learning.synthesis.shapes import sample_shape

FAMILY = "gear"
HERE = Path(__file__).resolve().parent.parent

# A task's set-up, and what is timed; `scans` are clouds of as many points, in poses of their own.
_FIT = "from baselines import {0}; made = {0}().fit(scans[:4])"
TASKS: Mapping[str, tuple[int, str, str]] = {
    "zero-shot-20k": (20_000, "from pointadplus import ZeroShotDetector as D; d = D()", "d.score(scans[4])"),
    "zero-shot-100k": (100_000, "from pointadplus import ZeroShotDetector as D; d = D()", "d.score(scans[4])"),
    "zero-shot-1M": (1_000_000, "from pointadplus import ZeroShotDetector as D; d = D()", "d.score(scans[4])"),
    "deviation-score-150k": (150_000, _FIT.format("SurfaceDeviation"), "made.score(scans[4])"),
    "deviation-fit-150k": (150_000, "from baselines import SurfaceDeviation as S", "S().fit(scans[:4])"),
    "align-40k": (
        40_000,
        "from pointadplus.geometry.alignment import Reference; r = Reference(scans[0])",
        "r.align(scans[4])",
    ),
    "mvr-score-100k": (100_000, _FIT.format("MVR"), "made.score(scans[4])"),
    "reg2inv-score-100k": (100_000, _FIT.format("Reg2Inv"), "made.score(scans[4])"),
}
_WORKER = """
import sys, time
import numpy as np, torch
scans = [torch.from_numpy(points) for points in np.load(sys.argv[1])]
exec(sys.argv[2])
task = compile(sys.argv[3], "task", "exec")
exec(task)
print("ready", flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    exec(task)
    print(time.perf_counter() - start, flush=True)
"""


def stages(points: int, runs: int) -> None:
    shape = sample_shape(torch.Generator().manual_seed(0), points=points, family=FAMILY)
    cloud, detector = PointCloud.create(shape.points), ZeroShotDetector()
    detector.score(cloud)
    seconds, spent = [], []
    for _ in range(runs):
        start = time.perf_counter()
        spent.append(detector.score(cloud).seconds)
        seconds.append(time.perf_counter() - start)
    print("| stage | median s | share |\n| --- | ---: | ---: |")
    for name in spent[0]:
        median = statistics.median(each[name] for each in spent)
        print(f"| {name} | {median:.2f} | {median / statistics.median(seconds):.0%} |")
    print(f"| total | {statistics.median(seconds):.2f} | min {min(seconds):.2f}, max {max(seconds):.2f} |")
    print(f"\n`python benchmarks/speed.py --points {points} --runs {runs}`, seed 0, {machine()}")


def scans(count: int, path: Path) -> None:
    """Five scans of one object, (5, N, 3) float32, each of other points in a pose of its own, with a little noise."""
    generator = torch.Generator().manual_seed(0)
    shape = sample_shape(generator, points=5 * count, family=FAMILY).points
    mixed = shape[torch.randperm(len(shape), generator=generator)].view(5, count, 3)
    noise = 3e-4 * float((shape.amax(0) - shape.amin(0)).norm())
    turned = [(each + noise * torch.randn(each.shape, generator=generator)) @ free_turn(generator).T for each in mixed]
    np.save(path, torch.stack(turned).numpy())


class Worker:
    """A process that runs one task of one tree whenever it is asked to."""

    def __init__(self, tree: Path, points: Path, setup: str, task: str) -> None:
        command = [sys.executable, "-c", _WORKER, str(points), setup, task]
        environment = {**os.environ, "PYTHONPATH": str(tree)}
        self.process = subprocess.Popen(
            command, cwd=tree, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        if self.stdout.readline().strip() != "ready":
            sys.exit(f"speed.py: the task does not run in {tree.name}")

    def seconds(self) -> float:
        self.stdin.write("\n")
        self.stdin.flush()
        return float(self.stdout.readline())

    def close(self) -> None:
        self.stdin.close()
        self.process.wait()


def against(tree: Path, names: list[str], runs: int) -> None:
    commit = subprocess.run(
        ["git", "-C", str(tree), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    print(f"| task | {commit}, median s | now, median s | ratio, median (least to most of {runs} pairs) |")
    print("| --- | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            count, setup, task = TASKS[name]
            path = Path(folder, f"{count}.npy")
            if not path.exists():
                scans(count, path)
            workers = [Worker(each, path, setup, task) for each in (tree, HERE)]
            pairs = [[worker.seconds() for worker in workers] for _ in range(runs)]
            for worker in workers:
                worker.close()
            before, now = (statistics.median(each) for each in zip(*pairs, strict=True))
            ratios = sorted(old / new for old, new in pairs)
            spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
            print(f"| {name} | {before:.2f} | {now:.2f} | {spread} |", flush=True)
    told = f"--against WORKTREE --tasks {','.join(names)} --runs {runs}"
    print(f"\n`python benchmarks/speed.py {told}`, seed 0, {machine()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--against", type=Path, help="the tree of another commit")
    parser.add_argument("--tasks", default=",".join(TASKS), help=f"of {', '.join(TASKS)}")
    arguments = parser.parse_args()
    if arguments.against is None:
        stages(arguments.points, arguments.runs)
    else:
        against(arguments.against.resolve(), arguments.tasks.split(","), arguments.runs)


if __name__ == "__main__":
    main()
