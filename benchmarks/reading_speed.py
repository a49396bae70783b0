"""`read_cloud`, with all its checks, beside the bare readers of the field: seconds side by side, memory of a long text.

Readers take turns over one file, the more of them the smaller it is, and the median of each counts; a first turn, in
which libraries load and compile, does not. Files are made here. "wanted" is how many times as fast as the other reader
`read_cloud` is to be, at least.

python benchmarks/reading_speed.py --points 100000 1000000 --text 5000000 --seed 0
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from formats import (
    PLACE,
    Read,
    Write,
    by_open3d,
    from_e57,
    from_las,
    from_open3d,
    own,
    pandas_reader,
    table,
    write_e57,
    write_las,
)  # fmt: skip
from numpy.typing import NDArray
from real_objects import machine

from pointadplus.io import read_cloud


def loadtxt(**options: object) -> Read:
    return lambda path: np.loadtxt(path, **options)  # pyright: ignore[reportArgumentType, reportCallIssue]


def write_scan(path: Path, points: NDArray) -> None:
    """Compressed PCD of a bent sheet with noise, which packs as scans do."""
    side = int(len(points) ** 0.5)
    y, x = np.indices((side, side)) * 0.1
    heights = 300 + np.sin(x / 5) + points[: side * side, 2].reshape(side, side) - PLACE[2]
    by_open3d(compressed=True)(path, np.stack([x, y, heights], -1).reshape(-1, 3))


PLY_HEAD = "ply\nformat ascii 1.0\nelement vertex {}\n" + "".join(f"property double {axis}\n" for axis in "xyz")
PLY_HEAD += "end_header\n"


def write_ascii_ply(path: Path, points: NDArray) -> None:
    table(" ", PLY_HEAD.format(len(points)))(path, points)


# Kind, extension, how it is written, and the others with the factor that is wanted.
CASES: list[tuple[str, str, Write, dict[str, tuple[Read, float | None]]]] = [
    ("PLY, binary, double", ".ply", by_open3d(), {"Open3D": (from_open3d, 2)}),
    ("PLY, binary, float", ".ply", own, {"Open3D": (from_open3d, 2)}),
    ("PCD, binary, float", ".pcd", by_open3d(), {"Open3D": (from_open3d, 2)}),
    ("PCD, compressed", ".pcd", write_scan, {"Open3D": (from_open3d, None)}),
    ("PLY, ASCII", ".ply", write_ascii_ply, {
        "loadtxt": (loadtxt(skiprows=PLY_HEAD.count("\n")), 3),
        "pandas": (pandas_reader(sep=" ", skiprows=PLY_HEAD.count("\n")), 1),
    }),
    ("PCD, ASCII", ".pcd", by_open3d(write_ascii=True), {
        "loadtxt": (loadtxt(skiprows=11), 3), "pandas": (pandas_reader(sep=" ", skiprows=11), 1),
    }),
    ("XYZ", ".xyz", table(" "), {"loadtxt": (loadtxt(), 3), "pandas": (pandas_reader(sep=" "), 1)}),
    ("CSV", ".csv", table(",", "x,y,z\n"), {
        "loadtxt": (loadtxt(delimiter=",", skiprows=1), 3), "pandas": (pandas_reader(skiprows=1), 1),
    }),
    ("CSV, 17 digits", ".csv", table(",", form="%.16e"), {
        "loadtxt": (loadtxt(delimiter=","), 3), "pandas": (pandas_reader(), 1),
    }),
    ("semicolons, decimal commas", ".csv", table(";", "", ","), {"pandas": (pandas_reader(sep=";", decimal=","), 1)}),
    ("LAZ", ".laz", write_las, {"laspy": (from_las, 1 / 1.2)}),
    ("E57", ".e57", write_e57, {"pye57": (from_e57, 1 / 1.2)}),
]  # fmt: skip


def medians(path: Path, readers: list[Read], runs: int) -> list[float]:
    spent: list[list[float]] = [[] for _ in readers]
    for turn in range(runs + 1):
        for read, times in zip(readers, spent, strict=True):
            start = time.perf_counter()
            found = read(path)
            if turn:
                times.append(time.perf_counter() - start)
            del found
    return [float(np.median(times)) for times in spent]


def memory(path: Path) -> tuple[float, float]:
    """Megabytes that a fresh process has taken at most, once its libraries are loaded, and once it has read."""
    code = f"import pandas, reading_speed as r\nfirst = r.peak()\nr.read_cloud({str(path)!r})\nprint(first, r.peak())"
    out = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=Path(__file__).parent, capture_output=True)
    first, most = map(float, out.stdout.split())
    return first, most


def peak() -> float:
    """Of this process; what `getrusage` tells is at least its parent's."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024  # type: ignore[index]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--text", type=int, default=5_000_000, help="points of the text whose memory is measured")
    parser.add_argument(
        "--runs", type=int, default=9, help="turns over a million points; ten times as many over 100,000"
    )
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    print("| format | points | read_cloud, s | other reader | its s | times as fast | wanted |")
    print("| --- | ---: | ---: | --- | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        for count in arguments.points:
            points = rng.uniform(-0.05, 0.05, (count, 3)).round(6) + PLACE
            for kind, suffix, write, others in CASES:
                path = Path(folder) / f"file{suffix}"
                write(path, points)
                readers = [read_cloud, *(read for read, _ in others.values())]
                mine, *theirs = medians(path, readers, arguments.runs * max(1, 1_000_000 // count))  # pyright: ignore[reportArgumentType]
                for (name, (_, wanted)), taken in zip(others.items(), theirs, strict=True):
                    told = "–" if wanted is None else f"{wanted:.2g}"
                    print(f"| {kind} | {count:,} | {mine:.4f} | {name} | {taken:.4f} | {taken / mine:.2f} | {told} |")
                sys.stdout.flush()
                path.unlink()
        path = Path(folder) / "long.csv"
        table(",")(path, rng.uniform(-0.05, 0.05, (arguments.text, 3)).round(6) + PLACE)
        first, most = memory(path)
        print(f"\nA CSV of {arguments.text:,} points: {most:.0f} MB at most, {first:.0f} MB of them the libraries.")
    options = " ".join(f"--{name} {getattr(arguments, name)}" for name in ("text", "runs", "seed"))
    print(f"`python benchmarks/reading_speed.py --points {' '.join(map(str, arguments.points))} {options}`,")
    print(f"{machine()}, load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
