"""Seconds and memory to read, score and write one scan, from few points to many: a table and a plot.

Each size and method has a process of its own, which loads its model, scores a scan of 20,000 points, and then reads a
binary PLY, scores it, and writes a PLY with a score a point. Memory is the most
that the process ever held, libraries included (Linux).

python benchmarks/growth.py --points 10000 100000 1000000 10000000 --plot docs/growth.png
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from real_objects import machine
from speed import FAMILY

from pointadplus import PointCloud
from pointadplus.io import write_cloud
from pointadplus.learning.synthesis.shapes import sample_shape

MADE = 2_000_000  # points that are drawn of the object; of more each stands for several, a little apart
METHODS = "zero-shot", "surface-deviation"
_CHILD = """
import re, sys, time
from pointadplus import PointCloud, ZeroShotDetector, read_cloud
from pointadplus.io import write_cloud
first, path, out = sys.argv[1:4]
if sys.argv[4] == "zero-shot":
    detector = ZeroShotDetector()
else:
    from baselines import SurfaceDeviation
    detector = SurfaceDeviation().fit([first, first])
detector.score(first)
start = time.perf_counter()
cloud = read_cloud(path)
read = time.perf_counter()
detection = detector.score(cloud)
scored = time.perf_counter()
write_cloud(out, cloud, scores=detection.point_scores)
written = time.perf_counter()
most = int(re.search("VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
print(read - start, scored - read, written - scored, most)
"""


def scan(count: int, path: Path) -> None:
    """A gear of `count` points with noise of 3e-4 of its diagonal, as a binary PLY."""
    generator = torch.Generator().manual_seed(0)
    points = sample_shape(generator, points=min(count, MADE), family=FAMILY).points
    noise = 3e-4 * float((points.amax(0) - points.amin(0)).norm())
    rows = torch.randperm(count, generator=generator) % len(points)
    write_cloud(path, PointCloud.create(points[rows] + noise * torch.randn(count, 3, generator=generator)))


def measured(first: Path, path: Path, method: str) -> tuple[float, float, float, float]:
    """Seconds to read, score and write, and MiB."""
    command = [sys.executable, "-c", _CHILD, str(first), str(path), str(path.with_name("out.ply")), method]
    read, score, write, most = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(read), float(score), float(write), float(most)


def draw(found: dict[str, list[tuple[int, tuple[float, ...]]]], path: Path) -> None:
    """Seconds over points and memory over points, both axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for method, rows in found.items():
        counts = [count for count, _ in rows]
        left.plot(counts, [sum(each[:3]) for _, each in rows], marker="o", label=method)
        right.plot(counts, [each[3] for _, each in rows], marker="o", label=method)
    for axis, unit in ((left, "read, score and write, s"), (right, "memory of the process, MiB")):
        axis.set(xscale="log", yscale="log", xlabel="points of the scan", ylabel=unit)
        axis.grid(True, which="both", alpha=0.3)
        axis.legend(frameon=False)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = [10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 5_000_000, 10_000_000]
    parser.add_argument("--points", type=int, nargs="+", default=sizes)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    print(
        "| points | method | read, s | score, s | write, s | most memory, MiB |\n"
        "| ---: | --- | ---: | ---: | ---: | ---: |"
    )
    found: dict[str, list[tuple[int, tuple[float, ...]]]] = {method: [] for method in arguments.methods}
    with tempfile.TemporaryDirectory() as folder:
        first, path = Path(folder, "first.ply"), Path(folder, "scan.ply")
        scan(20_000, first)
        for count in arguments.points:
            scan(count, path)
            for method in arguments.methods:
                each = measured(first, path, method)
                found[method].append((count, each))
                cells = " | ".join(f"{value:.2f}" for value in each[:3])
                print(f"| {count:,} | {method} | {cells} | {each[3]:,.0f} |", flush=True)
    print(f"\n`{' '.join(['python', *sys.argv])}`, seed 0, {machine()}")
    if arguments.plot:
        draw(found, arguments.plot)


if __name__ == "__main__":
    main()
