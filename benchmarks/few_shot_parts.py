"""Parts made in code, of families that nothing was learnt from, on which few-shot methods are compared."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pointadplus.evaluation import auroc, average_precision
from pointadplus.geometry.alignment import Reference
from pointadplus.learning.synthesis.corpus import LabelledObject
from pointadplus.learning.synthesis.defects import KINDS
from pointadplus.learning.synthesis.parts import Part, PartConfig
from pointadplus.learning.synthesis.shapes import HELD_OUT
from pointadplus.results.detector import AnomalyDetector

FIRST = 101  # seed of the first part
MOST = 8  # normal scans of a part
HEALTHY = 5


@dataclass(frozen=True)
class Case:
    """A part: normal scans, and scans to judge, whole and of one side, all in one pose; and whole ones as they come."""

    normals: list[Tensor]
    tests: list[LabelledObject]
    sides: list[LabelledObject]
    loose: list[LabelledObject]


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
    cases: Sequence[Case], make: Callable[[], AnomalyDetector], normals: int = 4, shown: str = "tests"
) -> dict[str, float]:
    """Means over the parts, in percent, and seconds of a fit and of a scan."""
    figures = []
    for each in cases:
        begun = time.perf_counter()
        detector = make().fit(each.normals[:normals])
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


class Rows:
    """The rows of a table; what is in the file already is not computed again.

    Args:
        path: of JSON lines.
        parts: how many parts are learnt.
        few: of each part only what whole scans need, see `case`.
    """

    def __init__(self, path: Path, parts: int, few: bool) -> None:
        self.path, self.parts, self.few = path, parts, few
        self._known = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        self._cases: list[Case] = []

    def __call__(
        self, name: str, options: Mapping[str, Any], make: Callable[[], AnomalyDetector], **how: Any
    ) -> dict[str, float]:
        """The figures of `judged`.

        Args:
            name: of the row.
            options: what decides the figures, as JSON; they stand in the file beside them.
            make: the detector.
            how: further arguments of `judged`.
        """
        key = json.dumps([name, self.parts, options, how], sort_keys=True)
        for entry in self._known:
            if entry["key"] == key:
                return entry["figures"]
        if not self._cases:
            self._cases = [case(number, self.few) for number in range(self.parts)]
        found = judged(self._cases, make, **how)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, "figures": found}) + "\n")
        return found


def three(found: Mapping[str, float], between: str) -> str:
    return between.join(f"{found[name]:.1f}" for name in ("O", "P", "AP"))
