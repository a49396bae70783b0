"""What the house weighs, against another state of it: rooms, arrows, lines, an installation, and the first score.

    git worktree add ../before 99c59a4
    python benchmarks/house.py --against ../before [--runs 9] [--install]

Rooms are the modules and packages that stand directly in `pointadplus/`; an arrow is a pair of rooms of which one
imports the other, for type checkers, too. The first score is a whole process: Python starts, the package is imported,
the embedded weights are loaded and a scan of 30,000 points is scored; both trees in turn, in the environment that runs
this script. `--install` makes a fresh environment for each tree, which takes minutes and 14 GB.
"""

from __future__ import annotations

import argparse
import ast
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from pathlib import Path

from real_objects import machine

from pointadplus import PointCloud, write_cloud
from pointadplus.learning.synthesis.corpus import CorpusConfig, sample_pair
from pointadplus.learning.synthesis.shapes import HELD_OUT

ROOT = Path(__file__).resolve().parent.parent
SEED = 5
SCORE = (
    "import sys; from pointadplus import ZeroShotDetector; print(ZeroShotDetector().score(sys.argv[1]).object_score)"
)


def sources(tree: Path) -> list[Path]:
    return [path for name in ("pointadplus", "baselines") for path in (tree / name).rglob("*.py")]


def structure(tree: Path) -> dict[str, int]:
    """Counts that need nothing but the text of the code."""
    trees = {path: ast.parse(path.read_text("utf-8")) for path in sources(tree)}
    nodes = [node for parsed in trees.values() for node in ast.walk(parsed)]
    post_init = [node for node in nodes if isinstance(node, ast.FunctionDef) and node.name == "__post_init__"]
    arrows = {arrow for path, parsed in trees.items() for arrow in imports(path.relative_to(tree), parsed)}
    rooms = {room for arrow in arrows for room in arrow}
    return {
        "rooms": len(rooms),
        "arrows between rooms": len(arrows),
        "lines of Python": sum(len(path.read_text("utf-8").splitlines()) for path in trees),
        "of them inside raises": sum(map(length, (node for node in nodes if isinstance(node, ast.Raise)))),
        "of them in `__post_init__`": sum(map(length, post_init)),
    }


def length(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def imports(path: Path, parsed: ast.Module) -> Iterator[tuple[str, str]]:
    """Pairs of rooms: of a file of pointadplus, and of what it imports with dots in front."""
    parts = path.with_suffix("").parts
    for node in ast.walk(parsed):
        if parts[0] == "pointadplus" and isinstance(node, ast.ImportFrom) and node.level == len(parts) - 1:
            for target in [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]:
                if target != parts[1] and parts[1] != "__init__" and not target.startswith("__"):
                    yield parts[1], target


def first_scores(trees: list[Path], scan: Path, runs: int) -> list[list[float]]:
    """Seconds of whole processes, a tree after the other; the first round, which warms the disk, does not count."""
    seconds: list[list[float]] = [[] for _ in trees]
    for round_ in range(runs + 1):
        for own, tree in zip(seconds, trees, strict=True):
            start = time.perf_counter()
            subprocess.run(
                [sys.executable, "-c", SCORE, str(scan)], check=True, cwd=scan.parent, stdout=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": str(tree)},
            )  # fmt: skip
            if round_:
                own.append(time.perf_counter() - start)
    return seconds


def installed(tree: Path) -> tuple[int, int]:
    """Packages and MB of a fresh environment."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", tree], check=True)
        listed = subprocess.run(
            [python, "-m", "pip", "list", "--format=freeze"], check=True, capture_output=True, text=True
        )
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file() and not path.is_symlink())
    return len(listed.stdout.splitlines()), round(size / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, required=True, help="a checkout of the other state")
    parser.add_argument("--runs", type=int, default=9, help="first scores that count, of each")
    parser.add_argument("--install", action="store_true", help="also install both into fresh environments")
    arguments = parser.parse_args()
    trees = [arguments.against.resolve(), ROOT]

    print("| | before | now | ratio |\n| --- | ---: | ---: | ---: |")
    for name, (before, now) in rows(trees, arguments.install).items():
        print(f"| {name} | {before:,} | {now:,} | {now / before:.2f} |")
    with tempfile.TemporaryDirectory() as folder:
        scan = Path(folder) / "scan.ply"
        damaged = sample_pair(SEED, CorpusConfig(families=HELD_OUT))[1]
        write_cloud(scan, PointCloud.create(damaged.points))
        before, now = first_scores(trees, scan, arguments.runs)
    ratios = sorted(new / old for old, new in zip(before, now, strict=True))
    seconds = " | ".join(f"{statistics.median(each):.2f}" for each in (before, now))
    spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    print(f"| seconds to the first score, median of {arguments.runs} | {seconds} | {spread} |")
    print(f"\n`python benchmarks/house.py {' '.join(sys.argv[1:])}`, seed {SEED}, {machine()}")


def rows(trees: list[Path], install: bool) -> dict[str, tuple[int, int]]:
    counts = [structure(tree) for tree in trees]
    found = {name: (counts[0][name], counts[1][name]) for name in counts[0]}
    if install:
        (packages, size), (fewer, smaller) = map(installed, trees)
        found |= {"packages of a plain install": (packages, fewer), "MB of a plain install": (size, smaller)}
    return found


if __name__ == "__main__":
    main()
