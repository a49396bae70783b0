"""How often real normal scans are alarmed of, at the threshold that healthy synthetic objects give.

python benchmarks/false_alarms.py --calibrate 300          # writes the calibration that comes with the embedded weights
python benchmarks/false_alarms.py --scores real.json       # what benchmarks/real_objects.py --out wrote
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import torch

import pointadplus
from pointadplus import Calibration, ZeroShotDetector
from pointadplus.learning.synthesis.corpus import CorpusConfig, sample_healthy
from pointadplus.learning.synthesis.shapes import HELD_OUT
from pointadplus.results.calibration import SYNTHETIC

FIRST = 880_000_000  # seeds of no training, and of no choice
RATES = (0.01, 0.05, 0.1, 0.2)


def calibrate(count: int, rate: float) -> Calibration:
    """Scores of healthy objects of the families that no training saw."""
    corpus = CorpusConfig(families=HELD_OUT)
    detector = ZeroShotDetector()
    detector.calibrate((sample_healthy(FIRST + number, corpus).points for number in range(count)), rate)
    assert detector.calibration is not None
    return detector.calibration


def table(path: Path, calibration: Calibration) -> str:
    """Alarms on the normal and on the anomalous clouds of a run, at each rate."""
    clouds = next(iter(json.loads(path.read_text(encoding="utf-8")).values()))["clouds"]
    lines = [
        "| rate on synthetic objects | threshold | alarms on normal scans | alarms on anomalous scans |",
        "| ---: | ---: | ---: | ---: |",
    ]
    for rate in RATES:
        at = Calibration(calibration.scores, calibration.peaks, rate)
        alarms: dict[int, list[bool]] = defaultdict(list)
        for cloud in clouds:
            alarms[int(cloud["label"])].append(at.is_anomalous(cloud["scores"]["joined"]))
        cells = " | ".join(f"{sum(alarms[label])} of {len(alarms[label])}" for label in (0, 1))
        lines.append(f"| {100 * rate:.0f} % | {at.threshold:.3f} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calibrate", type=int, metavar="OBJECTS")
    parser.add_argument("--rate", type=float, default=0.05, help="of the calibration that is written")
    parser.add_argument("--scores", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    packaged = Path(pointadplus.__file__).parent / SYNTHETIC
    if arguments.calibrate:
        calibration = calibrate(arguments.calibrate, arguments.rate)
        calibration.save(packaged)
        print(calibration.describe())
    if arguments.scores:
        print(table(arguments.scores, Calibration.load("synthetic")))


if __name__ == "__main__":
    main()
