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
import json
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from real_objects import machine
from torch import Tensor

from baselines import MVR, MVRConfig
from baselines.mvr.looks import Look, Looker
from pointadplus.evaluation import auroc, average_precision
from pointadplus.geometry.alignment import Reference
from pointadplus.synthesis.corpus import LabelledObject
from pointadplus.synthesis.defects import KINDS
from pointadplus.synthesis.parts import Part, PartConfig
from pointadplus.synthesis.shapes import HELD_OUT

FIRST = 101  # seed of the first part
MOST = 8  # normal scans of a part
HEALTHY = 5
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


@dataclass(frozen=True)
class Case:
    """A part: normal scans, and scans to judge, whole and of one side, all in one pose; and whole ones as they come."""

    normals: list[Tensor]
    tests: list[LabelledObject]
    sides: list[LabelledObject]
    loose: list[LabelledObject]


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


def case(number: int, few: bool) -> Case:
    """A part; with few scans four are normal, and none is of one side."""
    part = Part(FIRST + number, PartConfig(family=HELD_OUT[(FIRST + number) % len(HELD_OUT)]))
    first = part.scan(0)
    reference = Reference(first.points)

    def posed(scan: LabelledObject) -> LabelledObject:
        return replace(scan, points=reference.align(scan.points).apply(scan.points))

    def tests(**options: bool) -> list[LabelledObject]:
        healthy = [part.scan(10 + index, **options) for index in range(HEALTHY)]
        return [*healthy, *(part.scan(20, kind, **options) for kind in KINDS)]

    normals = [first.points, *(posed(part.scan(index)).points for index in range(1, 4 if few else MOST))]
    whole, sides = tests(), [] if few else tests(one_sided=True)
    return Case(normals, [posed(scan) for scan in whole], [posed(scan) for scan in sides], whole)


def judged(
    cases: Sequence[Case], options: Mapping[str, Any], normals: int = 4, shown: str = "tests"
) -> dict[str, float]:
    """Means over the parts, in percent, and seconds of a fit and of a scan."""
    figures = []
    for each in cases:
        begun = time.perf_counter()
        detector = MVR(MVRConfig(align=False, **options)).fit(each.normals[:normals])
        fitted = time.perf_counter()
        scans = getattr(each, shown)
        found = [detector.score(scan.points) for scan in scans]
        seconds = (time.perf_counter() - fitted) / len(scans)
        damaged = np.array([bool(scan.labels.any()) for scan in scans])  # of one side, a defect may face away
        labels = torch.cat([scan.labels for scan in scans]).numpy()
        scores = torch.cat([detection.point_scores for detection in found]).numpy()
        objects = auroc(damaged, np.array([detection.object_score for detection in found]))
        points = auroc(labels, scores), average_precision(labels, scores)
        figures.append([100 * (value or 0.0) for value in (objects, *points)] + [fitted - begun, seconds])
    return dict(zip(("O", "P", "AP", "fit", "score"), np.mean(figures, 0).tolist(), strict=True))


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    torch.manual_seed(0)
    if args.table == "memory":
        print(f"{memory()}\n\n`python benchmarks/mvr_ablation.py --table memory`; {machine()}")
        return
    draw_once()
    cases: list[Case] = []
    known = [json.loads(line) for line in args.out.read_text().splitlines()] if args.out.exists() else []

    def row(name: str, options: Mapping[str, Any], **how: Any) -> dict[str, float]:
        key = json.dumps([name, args.parts, options, how], sort_keys=True)
        for entry in known:
            if entry["key"] == key:
                return entry["figures"]
        if not cases:
            cases.extend(case(number, args.table != "scans") for number in range(args.parts))
        found = judged(cases, options, **how)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        with args.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, "figures": found}) + "\n")
        return found

    print({"choices": choices, "views": views, "scans": scans}[args.table](row))
    print(f"\n`python benchmarks/mvr_ablation.py --table {args.table} --parts {args.parts}`; {machine()}")


def choices(row: Any) -> str:
    lines = ["| choice | O-AUROC | P-AUROC | P-AP | fit, s | scan, s |", "| --- | ---: | ---: | ---: | ---: | ---: |"]
    for name, options in CHOICES.items():
        found = row(name, BASE | options, **{"shown": "loose"} if name == POSE else {})
        lines.append(f"| {name} | {_three(found, ' | ')} | {found['fit']:.1f} | {found['score']:.2f} |")
    return "\n".join(lines)


def views(row: Any) -> str:
    lines = [
        "| views | " + " | ".join(f"{224 * side} px" for side in SIDES) + " |",
        "| --- |" + " ---: |" * len(SIDES),
    ]
    for name in VIEWS:
        cells = [row("views", {"views": name, "supersample": side, "steps": 50, "looks": 0}) for side in SIDES]
        lines.append(f"| {name.removeprefix('sphere')} | " + " | ".join(_three(cell, " / ") for cell in cells) + " |")
    return "\n".join(lines)


def scans(row: Any) -> str:
    lines = ["| normal scans | whole scans | scans of one side |", "| ---: | ---: | ---: |"]
    for count in (1, 2, 4, 8):
        cells = [_three(row("scans", BASE, normals=count, shown=shown), " / ") for shown in ("tests", "sides")]
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


def _three(found: Mapping[str, float], between: str) -> str:
    return between.join(f"{found[name]:.1f}" for name in ("O", "P", "AP"))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--table", choices=("choices", "views", "scans", "memory"), required=True)
    parser.add_argument("--parts", type=int, default=5, help="how many parts are learnt")
    parser.add_argument("--out", type=Path, default=Path("runs/mvr.jsonl"), help="JSON lines of the rows done")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
