"""MVR's choices one at a time, on parts made in code of families that nothing was learnt from.

Each part is learnt from four normal scans and judged on five healthy ones and one of each defect. Scans are aligned
once, before all rows. A row that is in the file of `--out` already is not computed again.

    python benchmarks/mvr_ablation.py --table choices --parts 5 --out runs/mvr.jsonl
    python benchmarks/mvr_ablation.py --table views --parts 3 --out runs/mvr.jsonl
    python benchmarks/mvr_ablation.py --table scans --parts 5 --out runs/mvr.jsonl
    python benchmarks/mvr_ablation.py --table memory
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from few_shot_parts import FIRST, Rows, three
from real_objects import machine
from torch import Tensor

from baselines import MVR, MVRConfig
from baselines.mvr.looks import Look, Looker
from pointadplus.learning.synthesis.parts import Part, PartConfig
from pointadplus.learning.synthesis.shapes import HELD_OUT

VIEWS = ("sphere1", "sphere3", "sphere9", "sphere16", "sphere21", "sphere27")
SIDES = (1, 2, 3)  # times 224 pixels, which the network gets

BASE = {"views": "sphere16", "level": 0.75}  # of the rows of choices and scans, for more views take time
POSE = "pose: as the scans come"
CHOICES: Mapping[str, Mapping[str, Any]] = {
    "as it is": {},
    POSE: {},
    "drawn from 8,192 points": {"support": 8192},
    "student: none, the queries as they start": {"steps": 0},
    "student: the paper's, no queries": {"places": False},
    "pooled: 1, the scan as it is": {"pooled": 1},
    "pooled: 28, the whole view": {"pooled": 28},
    "looks: 0": {"looks": 0},
    "looks: 4": {"looks": 4},
    "turn: 2°": {"turn": 2.0},
    "steps: 300": {"steps": 300},
    "batch: 4": {"batch": 4},
    "hard: 0, all points pull alike": {"hard": 0.0},
    "visibility: seen": {"visibility": "seen"},
    "visibility: all": {"visibility": "all"},
    "fusion: mean": {"fusion": "mean"},
    "fusion: features": {"fusion": "features"},
    "distance: cosine": {"distance": "cosine"},
    "relative: no": {"relative": False},
    "level: 0, as they are": {"level": 0.0},
    "level: 0.5": {"level": 0.5},
    "cosine of features, nothing relative": {
        "relative": False, "level": 0.0, "distance": "cosine", "fusion": "features",
    },
    "orthographic": {"orthographic": True},
    "σ: 0": {"sigma": 0.0},
    "σ: 2": {"sigma": 2.0},
    "top: 0.3 %": {"top": 0.003},
    "top: 3 %": {"top": 0.03},
    "encoder: embedded tower, 128 pixels": {"encoder": "embedded", "image_size": 128, "supersample": 3},
}  # fmt: skip


def draw_once() -> None:
    """What the first row draws is kept for the rows that draw the same."""
    plain, kept = Looker.look, {}
    names = ("views", "image_size", "supersample", "orthographic", "nodes", "support", "seed")

    def look(self: Looker, points: Tensor, **how: Any) -> Look:
        options = self.channels, *(getattr(self.config, name) for name in names)
        first = next(iter(kept), (options,))[0]
        key = options, len(points), points.double().sum().item(), repr(how)
        if options != first:
            return plain(self, points, **how)
        if key not in kept:
            kept[key] = plain(self, points, **how)
        return kept[key]

    Looker.look = look


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    torch.manual_seed(0)
    if args.table == "memory":
        print(f"{memory()}\n\n`python benchmarks/mvr_ablation.py --table memory`; {machine()}")
        return
    draw_once()
    rows = Rows(args.out, args.parts, few=args.table != "scans")

    def row(name: str, options: Mapping[str, Any], **how: Any) -> dict[str, float]:
        return rows(name, options, lambda: MVR(MVRConfig(align=False, **options)), **how)

    print({"choices": choices, "views": views, "scans": scans}[args.table](row))
    print(f"\n`python benchmarks/mvr_ablation.py --table {args.table} --parts {args.parts}`; {machine()}")


def choices(row: Any) -> str:
    lines = ["| choice | O-AUROC | P-AUROC | P-AP | fit, s | scan, s |", "| --- | ---: | ---: | ---: | ---: | ---: |"]
    for name, options in CHOICES.items():
        found = row(name, BASE | options, **{"shown": "loose"} if name == POSE else {})
        lines.append(f"| {name} | {three(found, ' | ')} | {found['fit']:.1f} | {found['score']:.2f} |")
    return "\n".join(lines)


def views(row: Any) -> str:
    lines = [
        "| views | " + " | ".join(f"{224 * side} px" for side in SIDES) + " |",
        "| --- |" + " ---: |" * len(SIDES),
    ]
    for name in VIEWS:
        cells = [row("views", {"views": name, "supersample": side, "steps": 50, "looks": 0}) for side in SIDES]
        lines.append(f"| {name.removeprefix('sphere')} | " + " | ".join(three(cell, " / ") for cell in cells) + " |")
    return "\n".join(lines)


def scans(row: Any) -> str:
    lines = ["| normal scans | whole scans | scans of one side |", "| ---: | ---: | ---: |"]
    for count in (1, 2, 4, 8):
        cells = [three(row("scans", BASE, normals=count, shown=shown), " / ") for shown in ("tests", "sides")]
        lines.append(f"| {count} | {' | '.join(cells)} |")
    return "\n".join(lines)


def memory() -> str:
    """The most memory that the process held, for scans of a million points."""
    part = Part(FIRST, PartConfig(family=HELD_OUT[FIRST % len(HELD_OUT)], points=1_000_000))
    detector = MVR()
    normals, scan = [part.scan(index).points for index in range(2)], part.scan(20, "hole").points
    lines = [f"before: {_peak():.1f} GB"]
    for name, run in {"fit on two": lambda: detector.fit(normals), "one scored": lambda: detector.score(scan)}.items():
        begun = time.perf_counter()
        run()
        lines.append(f"{name}: {_peak():.1f} GB, {time.perf_counter() - begun:.1f} s")
    return "; ".join(lines)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--table", choices=("choices", "views", "scans", "memory"), required=True)
    parser.add_argument("--parts", type=int, default=5, help="how many parts are learnt")
    parser.add_argument("--out", type=Path, default=Path("runs/mvr.jsonl"), help="JSON lines of the rows done")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
