"""Resident memory over many scans in one process, scored one after another with the embedded weights.

Ends with exit code 1 where it grew by 5 % or more after the 50th scan.

python benchmarks/memory_over_scans.py --scans 500
"""

from __future__ import annotations

import argparse
import platform
import re
import sys
import time
from pathlib import Path

import torch

from pointadplus import ZeroShotDetector
from pointadplus.learning.synthesis.corpus import CorpusConfig, sample_object
from pointadplus.learning.synthesis.scanner import ScannerConfig

FIRST = 930_000_000  # seeds of no training, and of no choice
SETTLED = 50
GROWTH = 0.05


def resident() -> float:
    """MiB of the resident set (Linux)."""
    found = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=500)
    parser.add_argument("--designs", type=int, default=20, help="objects that are scored in turns")
    parser.add_argument("--points", type=int, default=16_000, help="of a scan, give or take a fifth")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    detector = ZeroShotDetector()
    corpus = CorpusConfig(scanner=ScannerConfig(points=(int(0.8 * arguments.points), int(1.2 * arguments.points))))
    scans = [sample_object(FIRST + number, corpus).points for number in range(arguments.designs)]
    start, levels = time.perf_counter(), []
    for number in range(arguments.scans):
        detector.score(scans[number % len(scans)])
        levels.append(resident())
    print("| scans | resident, MiB |\n| ---: | ---: |")
    for number in sorted({1, 10, SETTLED, *range(100, arguments.scans + 1, 100), arguments.scans}):
        if number <= len(levels):
            print(f"| {number} | {levels[number - 1]:.0f} |")
    growth = max(levels[SETTLED - 1 :]) / levels[SETTLED - 1] - 1
    seconds = (time.perf_counter() - start) / arguments.scans
    print(f"\nMost after scan {SETTLED}: {100 * growth:+.1f} %; {seconds:.2f} s a scan.")
    print(f"`{' '.join(['python', *sys.argv])}`, {platform.platform()}, torch {torch.__version__}")
    if growth >= GROWTH:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
