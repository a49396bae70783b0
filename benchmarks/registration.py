"""How often a scan finds its place on another scan of the same object: ours against Open3D's FPFH with RANSAC and ICP.

Two tests. Templates: normal scans in a known pose, turned freely and shifted; success is a rotation within 5° and a
translation within 2 % of the diagonal. Of a symmetric object any pose is as good, so a scan also succeeds whose surface
lies on the reference: nine points of ten within 0.5 % of the diagonal. Test scans, whose pose is not known, more than
half of them damaged: three points of four within 0.5 %.

python benchmarks/registration.py --root DIR                       # objects in the layout of Anomaly-ShapeNet
python benchmarks/registration.py --parts 20 --methods ours        # parts made in code, of held-out families
"""

from __future__ import annotations

import argparse
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import open3d as o3d
import torch
from real_objects import machine
from torch import Tensor

from pointadplus.data import open_dataset
from pointadplus.geometry.alignment import Reference
from pointadplus.geometry.registration import Transform
from pointadplus.learning.synthesis.corpus import free_turn
from pointadplus.learning.synthesis.parts import Part, PartConfig
from pointadplus.learning.synthesis.shapes import HELD_OUT

Aligner = Callable[[Tensor], Transform]
VOXEL = 0.02  # of the diagonal, as Open3D's tutorial on global registration takes it for a room-sized scan


def ours(reference: Tensor) -> Aligner:
    return Reference(reference).align


def open3d(reference: Tensor) -> Aligner:
    """FPFH on a voxel grid, RANSAC over matches, then point-to-plane ICP, as Open3D documents it."""
    unit = VOXEL * diagonal(reference)
    registration = o3d.pipelines.registration

    def prepare(points: Tensor) -> tuple[o3d.geometry.PointCloud, o3d.geometry.PointCloud, registration.Feature]:
        cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points.double().numpy()))
        coarse = cloud.voxel_down_sample(unit)
        for part, radius in ((cloud, unit), (coarse, 2 * unit)):
            part.estimate_normals(o3d.geometry.KDTreeSearchParamHybrid(radius=radius, max_nn=30))
        search = o3d.geometry.KDTreeSearchParamHybrid(radius=5 * unit, max_nn=100)
        return cloud, coarse, registration.compute_fpfh_feature(coarse, search)

    target = prepare(reference)

    def align(scan: Tensor) -> Transform:
        source = prepare(scan)
        checks = [
            registration.CorrespondenceCheckerBasedOnEdgeLength(0.9),
            registration.CorrespondenceCheckerBasedOnDistance(1.5 * unit),
        ]
        found = registration.registration_ransac_based_on_feature_matching(
            source[1], target[1], source[2], target[2], True, 1.5 * unit,
            registration.TransformationEstimationPointToPoint(False), 3, checks,
            registration.RANSACConvergenceCriteria(100_000, 0.999),
        )  # fmt: skip
        refined = registration.registration_icp(
            source[0], target[0], 0.4 * unit, found.transformation,
            registration.TransformationEstimationPointToPlane(),
        )  # fmt: skip
        matrix = torch.from_numpy(np.array(refined.transformation))
        return Transform(matrix[:3, :3], matrix[:3, 3])

    return align


METHODS: dict[str, Callable[[Tensor], Aligner]] = {"ours": ours, "open3d": open3d}
NAMES = {"ours": "Reference.align", "open3d": "Open3D FPFH + RANSAC + ICP"}
FIRST, SCANS = 201, 4  # seed of the first part; scans of each kind


class Case(NamedTuple):
    """An object: normal scans in one pose, the first of which is the reference, and named scans in any pose."""

    normals: list[Tensor]
    scans: list[tuple[str, Tensor]]


def files(root: Path) -> Iterator[Case]:
    dataset = open_dataset("anomaly-shapenet", root)
    for category in dataset.categories():
        normals = [sample.load()[0].points for sample in dataset.select(category, "train")]
        yield Case(
            normals, [(sample.path.stem, sample.load()[0].points) for sample in dataset.select(category, "test")]
        )


def made(count: int) -> Iterator[Case]:
    """Even samples, fused and one-sided scans, all healthy, against an even sample."""
    for number in range(count):
        part = Part(FIRST + number, PartConfig(family=HELD_OUT[number % len(HELD_OUT)]))
        kinds = [(f"{part.config.family}-{FIRST + number}-{scan}", scan) for scan in ("even", "table", "single")]
        scans = [(name, part.scan(10 + shot, scan=scan).points) for name, scan in kinds for shot in range(SCANS)]
        yield Case([part.scan(0).points], scans)


def diagonal(points: Tensor) -> float:
    return float((points.amax(0) - points.amin(0)).norm())


def lies_on(reference: Reference, moved: Tensor, share: float, within: float) -> bool:
    return float(reference.distances(moved).quantile(share)) < within


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--root", type=Path)
    source.add_argument("--parts", type=int)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    methods = {name: METHODS[name] for name in arguments.methods.split(",")}
    generator = torch.Generator().manual_seed(arguments.seed)
    o3d.utility.random.seed(arguments.seed)
    done: dict[tuple[str, str], list[bool]] = defaultdict(list)
    seconds: dict[str, list[float]] = defaultdict(list)
    failed: dict[str, list[str]] = defaultdict(list)
    for normals, scans in made(arguments.parts) if arguments.root is None else files(arguments.root):
        reference, size = Reference(normals[0]), diagonal(normals[0])
        aligners = {name: make(normals[0]) for name, make in methods.items()}
        turned = []
        for points in normals[1:]:
            turn, shift = free_turn(generator).double(), size * torch.randn(3, generator=generator, dtype=torch.float64)
            turned.append((Transform(turn, shift), points))
        for name, align in aligners.items():
            for pose, points in turned:
                found = timed(seconds[name], align, pose.apply(points))
                back = found.compose(pose)  # the identity, if all is well
                centre = points.double().mean(0)
                way = float((back.rotation @ centre + back.translation - centre).norm())
                good = back.angle < 5 and way < 0.02 * size
                good = good or lies_on(reference, found.apply(pose.apply(points)), 0.9, 0.005 * size)
                done[name, "templates"].append(good)
            for stem, points in scans:
                found = timed(seconds[name], align, points)
                good = lies_on(reference, found.apply(points), 0.75, 0.005 * size)
                done[name, "test scans"].append(good)
                if not good:
                    failed[name].append(stem)
    print("| method | templates | test scans | s / scan, median |")
    print("| --- | ---: | ---: | ---: |")
    for name in methods:
        cells = [f"{sum(done[name, test])} of {len(done[name, test])}" for test in ("templates", "test scans")]
        print(f"| {NAMES[name]} | {' | '.join(cells)} | {np.median(seconds[name]):.2f} |")
    source_told = "--root DIR" if arguments.root else f"--parts {arguments.parts}"
    told = f"{source_told} --methods {arguments.methods} --seed {arguments.seed}"
    print(f"\n`python benchmarks/registration.py {told}`, {machine()}")
    for name, stems in failed.items():
        print(f"Not on the reference, {NAMES[name]}: {', '.join(stems)}")


def timed(seconds: list[float], align: Aligner, scan: Tensor) -> Transform:
    start = time.perf_counter()
    found = align(scan)
    seconds.append(time.perf_counter() - start)
    assert math.isfinite(found.angle)
    return found


if __name__ == "__main__":
    main()
