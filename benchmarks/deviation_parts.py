"""SurfaceDeviation on parts made in code and scanned by our scanner, of families that nothing was learnt from.

Fused scans are compared with fused ones, scans of one side with even samples, each in a pose of its own.

python benchmarks/deviation_parts.py --parts 10
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import replace

import numpy as np
import torch
from real_objects import machine

from baselines import SurfaceDeviation
from pointadplus.errors import ConfigError
from pointadplus.evaluation import auroc, average_precision
from pointadplus.learning.synthesis.corpus import LabelledObject
from pointadplus.learning.synthesis.defects import KINDS
from pointadplus.learning.synthesis.parts import Part, PartConfig
from pointadplus.learning.synthesis.scan import ScanArtifacts
from pointadplus.learning.synthesis.shapes import HELD_OUT

FIRST, NORMALS, HEALTHY = 201, 4, 5  # seed of the first part; scans of each
FINE = PartConfig(points=150_000, defects=0.3, artifacts=ScanArtifacts(noise=(1e-4, 4e-4), one_sided=0.0))
SCANS = {
    "table": ("table", "table", PartConfig()),
    "single": ("single", "even", PartConfig()),
    "fine": ("even", "even", FINE),
}  # what is judged, and what it is compared with


def scans_of(part: Part, scan: str) -> list[LabelledObject]:
    """Healthy scans and one of each kind of defect that finds a place."""
    found = [part.scan(10 + number, scan=scan) for number in range(HEALTHY)]
    for kind in KINDS:
        try:
            found.append(part.scan(20, kind, scan=scan))
        except ConfigError:
            continue
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=int, default=len(HELD_OUT))
    parser.add_argument("--scans", default=",".join(SCANS))
    arguments = parser.parse_args()
    print("| scans | O | P | P-AP | " + " | ".join(KINDS) + " |")
    print("| --- |" + " ---: |" * (3 + len(KINDS)))
    for name in arguments.scans.split(","):
        scan, base, fine = SCANS[name]
        figures, kinds = [], defaultdict(list)
        for number in range(arguments.parts):
            part = Part(FIRST + number, replace(fine, family=HELD_OUT[number]))
            detector = SurfaceDeviation().fit([part.scan(number, scan=base).points for number in range(NORMALS)])
            scans = scans_of(part, scan)
            found = [detector.score(each.points) for each in scans]
            damaged = np.array([each.damaged for each in scans])  # of one side, a defect may face away
            totals = np.array([detection.object_score for detection in found])
            labels = torch.cat([each.labels for each in scans]).numpy()
            scores = torch.cat([detection.point_scores for detection in found]).numpy()
            figures.append((auroc(damaged, totals), auroc(labels, scores), average_precision(labels, scores)))
            for each, total in zip(scans, totals, strict=True):
                if each.damaged:
                    kinds[each.kind].append(np.mean(totals[~damaged] < total))
        means = [*np.mean(figures, 0), *(np.mean(kinds[kind]) for kind in KINDS)]
        print(f"| {name} | " + " | ".join(f"{100 * value:.1f}" for value in means) + " |", flush=True)
    print(f"\n{arguments.parts} parts, seed {FIRST}, {machine()}")


if __name__ == "__main__":
    main()
