"""SurfaceDeviation against a nominal: errors, levels of detection, defects by size over noise; and beside other tools.

CAD parts made in code are scanned by our scanner: an even sample of the whole, a turntable's views fused, one view. The
truth of a reading is its exact signed distance, in double precision, from the mesh in the pose it was scanned in.

python benchmarks/nominal.py --seeds 2
python benchmarks/nominal.py --speed --python PYTHON     # of an environment with trimesh, rtree and py4dgeo
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from nominal_parts import PARTS, Bench, exact
from numpy.typing import NDArray
from real_objects import machine

from baselines import SurfaceDeviation
from pointadplus.cloud import PointCloud
from pointadplus.geometry.spacing import point_spacing
from pointadplus.io import TriangleMesh
from pointadplus.learning.synthesis.corpus import free_turn
from pointadplus.learning.synthesis.scanner import Scanner
from pointadplus.results.detection import Detection

KINDS = {"even": "whole", "table": "fused", "single": "one side"}
POINTS, JUDGED, NORMALS = 40_000, 600, 4  # of a scan; of them whose exact distance is found; normal scans
SIZES, RADIUS = (0.5, 1.0, 2.0, 4.0, 8.0), 5.0  # heights of defects over the noise, and their radius in mm
CERTAIN = 0.02  # mm from the surface from which on a sign can be wrong
LONGEST = 300  # seconds that another tool is waited for
MANY, PATIENCE = 1_000_000, 20_000  # points when timed, and of the slowest


class Scanned(NamedTuple):
    """A scan in a pose of its own, (N, 3), the same in the part's pose, and (N,) how high what it is of was raised."""

    turned: torch.Tensor
    placed: torch.Tensor
    raised: torch.Tensor


def scan(part: Bench, scanner: Scanner, points: torch.Tensor, raised: torch.Tensor, shot: int) -> Scanned:
    found = scanner.scan(points, part.normals, shot)
    real = found.source >= 0
    turn = free_turn(torch.Generator().manual_seed(shot))
    return Scanned(found.points[real] @ turn.T, found.points[real], raised[found.source[real]])


def accuracy(part: Bench, kind: str, seed: int) -> list[list[float]]:
    """Rows of figures: of the comparison itself, and for each size whether a bump and a dent were found."""
    scanner = part.scanner(kind, POINTS, seed)
    plain = torch.zeros(len(part.points))
    healthy = scan(part, scanner, part.points, plain, 100)
    some = np.random.default_rng(seed).permutation(len(healthy.placed))[:JUDGED]
    truth = exact(part.mesh, healthy.placed[some].numpy())
    noise = 1.4826 * float(np.median(np.abs(truth)))
    alone = SurfaceDeviation().fit(nominal=part.mesh)
    found = alone.score(healthy.turned)
    deviation, lod = found.layers["deviation"].numpy(), found.layers["lod"].numpy()
    error = deviation[some] - truth
    wrong = (np.abs(truth) > CERTAIN) & (np.sign(deviation[some]) != np.sign(truth))
    normals = [scan(part, scanner, part.points, plain, shot).turned for shot in range(NORMALS)]
    beside = SurfaceDeviation().fit(normals, nominal=part.mesh)
    usual = beside.score(healthy.turned)
    off = (usual.layers["deviation"] - usual.layers["usual"]).abs() > usual.layers["lod"]
    assert found.inspection is not None
    figures = [
        noise, float(np.sqrt(np.nanmean(error**2))), float(np.nanmax(np.abs(error))), 100 * float(wrong.mean()),
        100 * float((np.abs(deviation) > lod).mean()), 100 * float(off.float().mean()), len(found.regions()),
        len(usual.regions()), float(found.measurable),
    ]  # fmt: skip
    seen = torch.zeros(len(part.points), dtype=torch.bool)
    seen[scanner.scan(part.points, part.normals, 100).source.clamp_min(0)] = True
    at = part.flat_place(seed, 1.5 * RADIUS, _around(part.points, seen))
    rows = [figures]
    for size in SIZES:
        hits = []
        for number, sign in enumerate((1, -1)):
            points, raised = part.raised(at, RADIUS, sign * size * noise)
            damaged = scan(part, scanner, points, raised, 200 + number)
            hits.append([_found(detector.score(damaged.turned), damaged) for detector in (alone, beside)])
        rows.append([100 * float(value) for value in np.mean(hits, 0)])
    return rows


def _around(points: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """Which points lie within a millimetre of one that is seen."""
    from pointadplus.geometry.neighbors import knn

    return knn(points[seen], points, 1)[0][:, 0] < 1.0


def _found(detection: Detection, damaged: Scanned) -> bool:
    """Whether a region lies on the defect: half of its points at least."""
    there = damaged.raised.abs() > 0
    return any(float(there[region.rows].float().mean()) >= 0.5 for region in detection.regions())


def errors(parts: list[str], seeds: int) -> None:
    head = ("part", "scan", "noise, mm", "RMS error, mm", "largest, mm", "signs wrong", "over LoD", "with normal scans")
    print(f"| {' | '.join((*head, 'regions', 'with normal scans', 'no verdict'))} |")
    print("| --- | --- |" + " ---: |" * 9)
    sizes: dict[str, list[list[list[float]]]] = {kind: [] for kind in KINDS}
    for name in parts:
        part = Bench.of(name)
        for kind, word in KINDS.items():
            rows = [accuracy(part, kind, seed) for seed in range(seeds)]
            noise, rms, most, wrong, over, beside, regions, fewer, good = np.mean([each[0] for each in rows], 0)
            most = max(each[0][2] for each in rows)
            sizes[kind] += [each[1:] for each in rows]
            lengths = " | ".join(f"{value:.4f}" for value in (noise, rms, most))
            shares = f"{wrong:.2f} % | {over:.1f} % | {beside:.1f} %"
            counts = f"{regions:.1f} | {fewer:.1f} | {seeds - round(good * seeds)}"
            print(f"| {name} | {word} | {lengths} | {shares} | {counts} |", flush=True)
    print("\n| height over noise | " + " | ".join(f"{size:g}" for size in SIZES) + " |")
    print("| --- |" + " ---: |" * len(SIZES))
    for kind, word in KINDS.items():
        for column, label in enumerate(("", ", with normal scans")):
            shares = np.mean([[row[column] for row in each] for each in sizes[kind]], 0)
            print(f"| {word}{label} | " + " | ".join(f"{share:.0f} %" for share in shares) + " |")


def timed(run: Callable[[], object], turns: int = 3) -> float:
    run()
    taken = []
    for _ in range(turns):
        started = time.perf_counter()
        run()
        taken.append(time.perf_counter() - started)
    return float(np.median(taken))


def other(python: str, tool: str, data: dict[str, NDArray]) -> tuple[NDArray, float]:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.npz"), Path(folder, "out.npz")
        np.savez(source, **data)  # pyright: ignore[reportArgumentType]
        script = Path(__file__).with_name("nominal_others.py")
        subprocess.run(
            [python, str(script), tool, str(source), str(target)], check=True, capture_output=True, timeout=LONGEST
        )
        with np.load(target) as found:
            return found["distances"], float(found["seconds"])


def speed(parts: list[str], python: str | None) -> None:
    print(f"| {' | '.join(('part', 'facets', 'what', 'points', 'seconds', 'times Open3D', 'RMS error, mm'))} |")
    print("| --- | ---: | --- |" + " ---: |" * 4)
    for name in parts:
        _beside(Bench.of(name), python)


def _beside(part: Bench, python: str | None) -> None:
    import open3d

    cloud = part.mesh.sample(MANY, seed=1)
    assert cloud.normals is not None
    normals = cloud.normals.numpy()
    points = cloud.positions().numpy() + 0.02 * np.random.default_rng(0).normal(size=(MANY, 1)) * normals
    truth = exact(part.mesh, points[:JUDGED])
    scene = open3d.t.geometry.RaycastingScene()
    faces = part.mesh.faces.numpy().astype(np.uint32)
    scene.add_triangles(open3d.core.Tensor(part.mesh.vertices.numpy()), open3d.core.Tensor(faces))
    query = open3d.core.Tensor(points.astype(np.float32))
    bare = timed(lambda: scene.compute_closest_points(query))

    def row(what: str, count: int, seconds: float, found: NDArray) -> None:
        rms = float(np.sqrt(np.nanmean((found[:JUDGED] - truth) ** 2)))
        figures = f"{count:,} | {seconds:.2f} | {seconds * MANY / count / bare:.2f} | {rms:.6f}"
        print(f"| {part.name} | {len(part.mesh):,} | {what} | {figures} |", flush=True)

    signed = scene.compute_signed_distance(query).numpy()
    row("Open3D, closest points alone, without a sign", MANY, bare, np.abs(signed) * np.sign(signed))
    row("Open3D, signed distance", MANY, timed(lambda: scene.compute_signed_distance(query)), signed)
    placed = PointCloud.create(points)
    turned = replace(placed, points=placed.points @ free_turn(torch.Generator().manual_seed(1)).T)
    cases = (("as it lies", "none", placed), ("best fit, in place", "best-fit", placed), ("turned", "best-fit", turned))
    for what, align, scanned in cases:
        detector = SurfaceDeviation().fit(nominal=part.mesh, align=align)
        found = detector.score_cloud(scanned).layers["deviation"].numpy()
        row(f"ours, {what}", MANY, timed(partial(detector.score_cloud, scanned)), found)
    if python is not None:
        _others(python, part.mesh, points, normals, row)


def _others(python: str, mesh: TriangleMesh, points: NDArray, normals: NDArray, row: Callable[..., None]) -> None:
    sampled = mesh.sample(MANY, seed=2).positions().numpy()
    data = {
        "vertices": (mesh.vertices.double() + mesh.offset).numpy(), "faces": mesh.faces.numpy(), "sampled": sampled,
        "spacing": np.array(point_spacing(torch.from_numpy(sampled).float())),
    }  # fmt: skip
    for tool, what, count in (("trimesh", "trimesh.proximity", PATIENCE), ("m3c2", "py4dgeo, M3C2", MANY)):
        try:
            found, seconds = other(python, tool, {**data, "points": points[:count], "outward": normals[:count]})
        except subprocess.SubprocessError as error:
            print(f"| | | {what}: {type(error).__name__} | {count:,} | | | |", flush=True)
            continue
        row(what, count, seconds, found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=sorted(PARTS), default=list(PARTS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--python", help="of an environment with trimesh, rtree and py4dgeo")
    arguments = parser.parse_args()
    if arguments.speed:
        speed(arguments.parts, arguments.python)
    else:
        errors(arguments.parts, arguments.seeds)
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
