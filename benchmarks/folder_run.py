"""Many scans of a folder through `pointadplus score` with worker processes: scans a minute, and memory over the run.

Scans are of twenty objects made in code, each again and again with noise of its own. Memory is that of the command and
all processes below it, what they share counted once (PSS, Linux); it has settled where a tenth of the scans is done.
Ends with exit code 1 where a scan failed or memory then grew by 10 % or more.

python benchmarks/folder_run.py --scans 1000 --workers 2
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import torch
from real_objects import machine

from pointadplus import PointCloud
from pointadplus.io import write_cloud
from pointadplus.learning.synthesis.corpus import CorpusConfig, sample_object
from pointadplus.learning.synthesis.scanner import ScannerConfig

FIRST, DESIGNS = 940_000_000, 20  # seeds of no training, and of no choice
NOISE = 2e-4  # of the diagonal
GROWTH = 0.1
EVERY = 5.0  # seconds between looks


def make(folder: Path, count: int, points: int) -> None:
    corpus = CorpusConfig(scanner=ScannerConfig(points=(int(0.8 * points), int(1.2 * points))))
    designs = [sample_object(FIRST + number, corpus).points for number in range(DESIGNS)]
    generator = torch.Generator().manual_seed(0)
    for number in range(count):
        design = designs[number % DESIGNS]
        noise = NOISE * float((design.amax(0) - design.amin(0)).norm())
        moved = design + noise * torch.randn(design.shape, generator=generator)
        write_cloud(folder / f"{number:05}.ply", PointCloud.create(moved))


def memory(process: psutil.Process) -> float:
    """MiB of a process and those below it."""
    total = 0
    for each in (process, *process.children(recursive=True)):
        try:
            total += each.memory_full_info().pss
        except psutil.Error:  # it has just ended
            continue
    return total / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=1000)
    parser.add_argument("--points", type=int, default=20_000, help="of a scan, give or take a fifth")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scans, out = Path(folder, "scans"), Path(folder, "run")
        scans.mkdir()
        make(scans, arguments.scans, arguments.points)
        command = [sys.executable, "-m", "pointadplus", "score", str(scans), "--out", str(out)]
        command += ["--engine", "ray", "--workers", str(arguments.workers)]
        start, seen = time.perf_counter(), []
        with Path(folder, "printed").open("wb") as printed:
            run = subprocess.Popen(command, stdout=printed, stderr=subprocess.STDOUT)
        process, journal = psutil.Process(run.pid), out / "journal.jsonl"
        while run.poll() is None:
            done = journal.read_bytes().count(b"\n") - 1 if journal.exists() else 0  # without its head
            seen.append((time.perf_counter() - start, done, memory(process)))
            time.sleep(EVERY)
        seconds = time.perf_counter() - start
        records = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    print("| scans done | minutes | memory, MiB |\n| ---: | ---: | ---: |")
    for share in (0.1, 0.25, 0.5, 0.75, 0.95):
        at, done, used = next(each for each in seen if each[1] >= share * arguments.scans)
        print(f"| {done} | {at / 60:.1f} | {used:,.0f} |")
    settled = next(number for number, each in enumerate(seen) if each[1] >= 0.1 * arguments.scans)
    growth = max(each[2] for each in seen[settled:]) / seen[settled][2] - 1
    failed = sum("error" in each for each in records)
    rate = 60 * arguments.scans / seconds
    print(f"\n{rate:.0f} scans a minute, start included; {failed} failed; most memory then {growth:+.1%}.")
    print(f"`{' '.join(['python', *sys.argv])}`, seed 0, {machine()}")
    if failed or growth >= GROWTH:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
