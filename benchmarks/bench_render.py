"""Seconds and memory to rasterise a cloud: ours, PyTorch3D's and Open3D's, beside what moving the bytes alone costs.

    python benchmarks/bench_render.py [--points 10000 100000 1000000] [--views 1 9 27] [--repeat 5] [--limit 120]
                                      [--backends render numba fragments pytorch3d open3d]

The clouds are unit spheres with their normals, the images 336 × 336. `render` is `MultiViewRenderer.render`, from
points to the point↔pixel map, and `numba` the same with that backend. `fragments` is the rasteriser of soft pictures
alone, here the one nearest splat of each pixel, and `pytorch3d` is PyTorch3D's, both from the same projected points and
radius. `open3d` uploads the points and draws a depth image a view, by EGL in software, with no index of points. A row
has a process of its own: one that crashes or takes too long costs nothing else. Needs Linux.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import importlib
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from real_objects import machine
from torch.nn.functional import normalize

from pointadplus import PointCloud
from pointadplus.render import Cameras, MultiViewRenderer, frame_cameras, rasterize_fragments, view_rotations
from pointadplus.render.pytorch3d_backend import fragments_pytorch3d

SIZE = 336
STARTUP = 60.0  # seconds that a process has to import everything and to make its cloud
OURS = {  # what to compare with
    "render": "render",
    "numba": "render",
    "fragments": "fragments",
    "pytorch3d": "fragments",
    "open3d": "render",
}
Row = tuple[str, str, int, int]  # backend, device, points, views


def task(backend: str, device: str, points: torch.Tensor, views: int) -> Callable[[], Any]:
    """What is timed, ready to be called."""
    name = f"sphere{views}"
    if backend in ("render", "numba"):
        engine = "numba" if backend == "numba" else "torch"
        renderer = MultiViewRenderer(views=name, image_size=SIZE, backend=engine)
        cloud = PointCloud.create(points, normals=points)
        return lambda: renderer.render(cloud, device)
    cameras = frame_cameras(points.to(device), view_rotations(name), SIZE)
    pixels, depth = cameras.project(points.to(device))
    # As `RenderConfig` has it, 1.8 times the side of a point's square, in pixels in the plane through the centre.
    radius = max(0.75, 1.8 * math.sqrt(4 * math.pi / len(points)) * cameras.focal / float(cameras.distance[0]))
    if backend == "open3d":
        return functools.partial(draw_open3d, points, cameras, radius)
    function = rasterize_fragments if backend == "fragments" else fragments_pytorch3d
    return functools.partial(function, pixels, depth, radius, SIZE, 1)


@functools.cache
def open3d_and_renderer() -> tuple[Any, Any]:
    open3d: Any = importlib.import_module("open3d")
    return open3d, open3d.visualization.rendering.OffscreenRenderer(SIZE, SIZE)


def draw_open3d(points: torch.Tensor, cameras: Cameras, radius: float) -> None:
    open3d, renderer = open3d_and_renderer()
    material = open3d.visualization.rendering.MaterialRecord()
    material.shader, material.point_size = "defaultUnlit", 2.0 * radius
    vertices = open3d.utility.Vector3dVector(points.double().numpy())
    renderer.scene.clear_geometry()
    renderer.scene.add_geometry("cloud", open3d.geometry.PointCloud(vertices), material)
    for center, eye in zip(cameras.center.tolist(), cameras.eyes().tolist(), strict=True):
        renderer.setup_camera(60.0, center, eye, [0.0, 1.0, 0.0])
        renderer.render_to_depth_image(z_in_view_space=True)


def measure(row: Row, repeat: int, limit: float) -> dict[str, Any]:
    """Seconds of each run, until all are done or the limit is past, and the peak of memory in MB."""
    backend, device, count, views = row
    points = normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    run, cuda, seconds = task(backend, device, points, views), device == "cuda", []
    task(backend, device, points[:100], views)()  # what is made once is made now
    ctypes.CDLL(None).malloc_trim(0)  # gives back what was freed, and
    Path("/proc/self/clear_refs").write_text("5")  # lets the high-water mark start anew; that of getrusage never does
    before = resident("VmRSS")
    if cuda:
        before = torch.cuda.memory_allocated() / 1e6
        torch.cuda.reset_peak_memory_stats()
    while len(seconds) < repeat and sum(seconds) < limit:
        start = time.perf_counter()
        run()
        if cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() / 1e6 if cuda else resident("VmHWM")
    return {"seconds": seconds, "peak": peak - before}


def resident(field: str) -> float:
    """MB of this process: VmRSS now, VmHWM at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024 / 1e6


def bandwidth(device: str) -> float:
    """Bytes a second that a copy of a large tensor reads and writes, best of 10."""
    source = torch.zeros(1 << 28, dtype=torch.uint8, device=device)
    target, best = source.clone(), math.inf
    for _ in range(10):
        start = time.perf_counter()
        target.copy_(source)
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * source.numel() / best


def bytes_moved(points: int, views: int) -> int:
    """Points read once; pixels and visible written for each point, index and depth for each pixel of a view."""
    return 12 * points + views * ((8 + 1) * points + (8 + 4) * SIZE**2)


def in_a_process(row: Row, repeat: int, limit: float) -> dict[str, Any] | str:
    """What `measure` returns, with no seconds if the limit was too short; or why there is nothing."""
    command = [sys.executable, __file__, "--row", json.dumps(row), "--repeat", str(repeat), "--limit", str(limit)]
    software = {"EGL_PLATFORM": "surfaceless", "LIBGL_ALWAYS_SOFTWARE": "1"} if row[0] == "open3d" else {}
    options: dict[str, Any] = {"env": os.environ | software, "capture_output": True, "text": True}
    try:
        done = subprocess.run(command, timeout=limit + STARTUP, **options)
    except subprocess.TimeoutExpired:
        return {"seconds": [], "peak": math.nan}
    found = [line for line in done.stdout.splitlines() if line.startswith('{"seconds"')]  # Open3D prints beside it
    return (
        json.loads(found[0]) if found else f"exit code {done.returncode}, {done.stderr.strip().rpartition(chr(10))[2]}"
    )


def table(rows: list[Row], repeat: int, limit: float) -> None:
    speed = {device: bandwidth(device) for device in dict.fromkeys(row[1] for row in rows)}
    best: dict[Row, float] = {}
    notes: dict[str, str] = {}
    print("| backend | device | points | views | best s | median s | runs | peak MB | × ours | bound ms | × bound |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        backend, device, points, views = row
        bound = bytes_moved(points, views) / speed[device]
        result = in_a_process(row, repeat, limit)
        if isinstance(result, str):
            notes[result] = f"{backend} on {device}"
            cells = ["not run", "", "0", "", "", f"{1e3 * bound:.3g}", ""]
        else:
            seconds = result["seconds"]
            over, least = "" if seconds else "over ", min(seconds, default=limit)
            if seconds:
                best[row] = least
            ours = best.get((OURS[backend], device, points, views))
            cells = [f"{over}{least:.4g}", f"{statistics.median(seconds):.4g}" if seconds else "", str(len(seconds))]
            cells += [f"{result['peak']:.0f}" if seconds else "", f"{over}{least / ours:.3g}" if ours else ""]
            cells += [f"{1e3 * bound:.3g}", f"{over}{least / bound:.3g}"]
        print(f"| {backend} | {device} | {points:,} | {views} | {' | '.join(cells)} |", flush=True)
    for reason, where in notes.items():
        print(f"\nNot run, {where}: {reason}")
    copied = ", ".join(f"{each / 1e9:.1f} GB/s on {device}" for device, each in speed.items())
    print("\n× ours: best over best; of `pytorch3d` over `fragments`, of `open3d` over `render`, on the same device.")
    print(f"Bound: 12 N + V (9 N + 12 · {SIZE}²) bytes for N points and V views at the speed of a copy, {copied}.")
    print(f"\n`python benchmarks/bench_render.py {' '.join(sys.argv[1:])}`, seed 0, {machine()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--views", type=int, nargs="+", default=[1, 9, 27])
    parser.add_argument("--backends", nargs="+", choices=list(OURS), default=list(OURS))
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--limit", type=float, default=120.0, help="seconds a row")
    parser.add_argument("--row", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row:
        print(json.dumps(measure(tuple(arguments.row), arguments.repeat, arguments.limit)), flush=True)
        os._exit(0)  # Open3D may crash on its way out
    backends = sorted(arguments.backends, key=list(OURS).index)  # ours first, to compare with
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    grid = itertools.product(arguments.points, arguments.views, devices, backends)
    rows = [(b, d, n, v) for n, v, d, b in grid if (b, d) != ("open3d", "cuda")]
    table(rows, arguments.repeat, arguments.limit)


if __name__ == "__main__":
    main()
