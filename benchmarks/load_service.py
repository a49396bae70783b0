"""What the service does under load: statuses, throughput, latency, memory and temporary files, over loopback.

Starts `pointadplus serve` as a process of its own, scores two scans to warm it up, and lets clients post one scan each,
again and again, until all requests are sent. A refused scan (503) is counted and not sent again.

python benchmarks/load_service.py --clients 4 --requests 40 --points 20000
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil
import torch
from real_objects import machine

from pointadplus import PointCloud
from pointadplus.io import write_cloud
from pointadplus.learning.synthesis.shapes import sample_shape

_SEED = 0


class Load(NamedTuple):
    """What came of the requests: statuses, seconds of the scored ones, and seconds of all of it."""

    statuses: Counter[int]
    latencies: list[float]
    seconds: float


@contextmanager
def service(weights: str, queue: int, timeout: float, folder: Path) -> Iterator[tuple[psutil.Process, str]]:
    """The process, whose temporary files go to `folder`, and its URL."""
    options = ["--port", "0", "--weights", weights, "--queue", str(queue), "--timeout", str(timeout)]
    running = subprocess.Popen(
        [sys.executable, "-m", "pointadplus", "serve", *options],
        env=os.environ | {"TMPDIR": str(folder)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stdout is not None
    try:
        yield psutil.Process(running.pid), running.stdout.readline().strip()
    finally:
        running.terminate()
        running.wait()


async def load(url: str, body: bytes, clients: int, requests: int, timeout: float) -> Load:
    """Send all requests from so many clients at once."""
    statuses: Counter[int] = Counter()
    latencies: list[float] = []
    left = iter(range(requests))

    async def client() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=timeout + 30) as connection:
            for _ in left:
                start = time.perf_counter()
                response = await connection.post("/score", params={"name": "scan.ply"}, content=body)
                statuses[response.status_code] += 1
                if response.status_code == 200:
                    latencies.append(time.perf_counter() - start)
                else:
                    await asyncio.sleep(0.5)  # of what Retry-After asks for, a client in a hurry waits less

    start = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return Load(statuses, latencies, time.perf_counter() - start)


def scan(points: int) -> bytes:
    """A gear as binary PLY."""
    shape = sample_shape(torch.Generator().manual_seed(_SEED), points=points, family="gear")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scan.ply"
        write_cloud(file, PointCloud.create(shape.points))
        return file.read_bytes()


def uploads(folder: Path) -> int:
    """Scans and reports that lie in the service's own folder."""
    return sum(path.is_file() for path in folder.glob("pointadplus-serve-*/**/*"))


def rows(found: Load, before: int, after: int, left: tuple[int, int]) -> Iterator[tuple[str, str]]:
    yield "statuses", ", ".join(f"{status}: {count}" for status, count in sorted(found.statuses.items()))
    yield "scored a second", f"{found.statuses[200] / found.seconds:.2f}"
    if len(found.latencies) > 1:
        cuts = statistics.quantiles(found.latencies, n=100, method="inclusive")
        for share in (50, 95, 99):
            yield f"latency of scored ones, p{share}", f"{cuts[share - 1]:.2f} s"
    yield "resident memory before", f"{before / 2**20:.0f} MiB"
    yield "resident memory after", f"{after / 2**20:.0f} MiB"
    yield "temporary files left, running", str(left[0])
    yield "temporary folders left, ended", str(left[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="embedded")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--requests", type=int, default=40)
    parser.add_argument("--points", type=int, default=20_000)
    parser.add_argument("--queue", type=int, default=8)
    parser.add_argument("--timeout", type=float, default=120.0)
    chosen = parser.parse_args()
    body = scan(chosen.points)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with service(chosen.weights, chosen.queue, chosen.timeout, folder) as (process, url):
            asyncio.run(load(url, body, 1, 2, chosen.timeout))
            before = process.memory_info().rss
            found = asyncio.run(load(url, body, chosen.clients, chosen.requests, chosen.timeout))
            after, running = process.memory_info().rss, uploads(folder)
        ended = len(list(folder.glob("pointadplus-serve-*")))
    print("| what | found |\n| --- | ---: |")
    for row in rows(found, before, after, (running, ended)):
        print(f"| {' | '.join(row)} |")
    given = " ".join(f"--{key} {value}" for key, value in vars(chosen).items())
    print(f"\n`python benchmarks/load_service.py {given}`, seed {_SEED}, {machine()}")


if __name__ == "__main__":
    main()
