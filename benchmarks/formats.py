"""Every format through `read_cloud`, beside an independent reader: points, largest difference, seconds and memory.

The files are made here, of one cloud of a part of 0.1 about a place 1,000 from the origin. An independent reader is
another library, or plain NumPy for what none reads. Each of the two reads the file in a process of its own, whose
resident set says what reading took beyond the libraries (Linux). What no library reads has a dash.

python benchmarks/formats.py --points 1000000 --seed 0
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import laspy
import numpy as np
import open3d
import pandas
import pye57
from numpy.typing import NDArray
from real_objects import machine

from pointadplus import PointCloud, write_cloud
from pointadplus.errors import PointADPlusError
from pointadplus.io import read_cloud

Write = Callable[[Path, NDArray], None]
Read = Callable[[Path], NDArray]
PLACE = (1000.0, -2000.0, 30.0)


def table(
    delimiter: str, head: str = "", decimal: str = ".", encoding: str = "utf-8", index: bool = False, form: str = "%.6f"
) -> Write:
    def write(path: Path, points: NDArray) -> None:
        frame = pandas.DataFrame(points)
        text = frame.to_csv(sep=delimiter, header=False, index=index, decimal=decimal, float_format=form)
        path.write_bytes((head + text).encode(encoding))

    return write


def pandas_reader(first: int = 0, **options: object) -> Read:
    def read(path: Path) -> NDArray:
        return pandas.read_csv(path, header=None, **options).to_numpy(np.float64)[:, first : first + 3]  # pyright: ignore[reportArgumentType]

    return read


def own(path: Path, points: NDArray) -> None:
    write_cloud(path, PointCloud.create(points))


def by_open3d(**options: bool) -> Write:
    def write(path: Path, points: NDArray) -> None:
        cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points))
        assert open3d.io.write_point_cloud(str(path), cloud, **options)

    return write


def from_open3d(path: Path) -> NDArray:
    return np.asarray(open3d.io.read_point_cloud(str(path), remove_nan_points=False).points)


def write_las(path: Path, points: NDArray) -> None:
    header = laspy.LasHeader(point_format=6)
    header.offsets, header.scales = np.array(PLACE), np.full(3, 1e-6)
    las = laspy.LasData(header)
    las.xyz = points
    las.write(path)


def from_las(path: Path) -> NDArray:
    return np.asarray(laspy.read(path).xyz)


def write_e57(path: Path, points: NDArray) -> None:
    with pye57.E57(str(path), mode="w") as file:
        file.write_scan_raw({f"cartesian{axis}": points[:, i].copy() for i, axis in enumerate("XYZ")})


def from_e57(path: Path) -> NDArray:
    scan = pye57.E57(str(path)).read_scan(0, ignore_missing_fields=True)
    return np.stack([scan[f"cartesian{axis}"] for axis in "XYZ"], 1)


def write_pts(path: Path, points: NDArray) -> None:
    table(" ", f"{len(points)}\n")(path, np.column_stack([points, np.zeros(len(points))]))


def write_ptx(path: Path, points: NDArray) -> None:
    pose = "0 0 0\n1 0 0\n0 1 0\n0 0 1\n1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n"
    table(" ", f"{len(points)}\n1\n{pose}")(path, np.column_stack([points, np.zeros(len(points))]))


# Kind, extension, how it is written, and who else reads it.
CASES: list[tuple[str, str, Write, Read | None]] = [
    ("PLY, binary", ".ply", by_open3d(), from_open3d),
    ("PLY, ascii", ".ply", by_open3d(write_ascii=True), from_open3d),
    ("PCD, binary", ".pcd", own, from_open3d),
    ("PCD, ascii", ".pcd", by_open3d(write_ascii=True), from_open3d),
    ("PCD, compressed", ".pcd", by_open3d(compressed=True), from_open3d),
    ("XYZ, spaces", ".xyz", table(" "), pandas_reader(sep=" ")),
    ("CSV, a header", ".csv", table(",", "X [mm],Y [mm],Z [mm]\n"), pandas_reader(skiprows=1)),
    ("CSV, an index first", ".csv", table(",", "Point ID,X,Y,Z\n", index=True), pandas_reader(1, skiprows=1)),
    ("semicolons, decimal commas", ".csv", table(";", "", ","), pandas_reader(sep=";", decimal=",")),
    ("tabs, a line of units", ".tsv", table("\t", "x\ty\tz\nmm\tmm\tmm\n"), pandas_reader(sep="\t", skiprows=2)),
    ("UTF-16", ".txt", table(" ", "X Y Z\n", encoding="utf-16"), pandas_reader(sep=" ", skiprows=1, encoding="utf16")),
    ("NPY", ".npy", lambda path, points: np.save(path, points), np.load),
    ("NPZ, key xyz", ".npz", lambda path, points: np.savez(path, xyz=points), lambda path: np.load(path)["xyz"]),
    ("LAS", ".las", write_las, from_las),
    ("LAZ", ".laz", write_las, from_las),
    ("E57", ".e57", write_e57, from_e57),
    ("PTS", ".pts", write_pts, pandas_reader(sep=" ", skiprows=1)),
    ("PTX", ".ptx", write_ptx, pandas_reader(sep=" ", skiprows=10)),
]  # fmt: skip


def ours(path: Path) -> NDArray:
    return read_cloud(path).positions().numpy()


def _in_child(connection: Connection, number: int, is_ours: bool, path: Path, out: Path) -> None:
    read = ours if is_ours else CASES[number][3]
    assert read is not None
    try:
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        points = read(path)
        seconds = time.perf_counter() - start
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        np.save(out, points)
        connection.send((seconds, grown, ""))
    except PointADPlusError as error:
        connection.send((0.0, 0.0, str(error)))


def measured(number: int, is_ours: bool, path: Path, runs: int) -> tuple[NDArray | None, float, float, str]:
    """Points, the least seconds, megabytes and the refusal of a reader, each time in a fresh process."""
    context, out, seconds, grown, said = multiprocessing.get_context("spawn"), path.with_name("out.npy"), [], [], ""
    for _ in range(runs):
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=_in_child, args=(sender, number, is_ours, path, out))
        child.start()
        spent, size, said = receiver.recv()
        child.join()
        seconds.append(spent)
        grown.append(size)
    return None if said else np.load(out), min(seconds), min(grown), said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3, help="of each reader; the fastest counts")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    points = np.random.default_rng(arguments.seed).uniform(-0.05, 0.05, (arguments.points, 3)).round(6) + PLACE
    print(
        "| format | points | largest difference from the file | from the other reader | s | other, s | MB | other, MB |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        for number, (kind, suffix, write, other) in enumerate(CASES):
            path = Path(folder) / f"{number}{suffix}"
            write(path, points)
            found, seconds, grown, said = measured(number, True, path, arguments.runs)
            if found is None:
                print(f"| {kind} | refused: {said} |")
                continue
            cells = [f"{len(found):,}", difference(found, points)]
            if other is None:
                cells += ["–", f"{seconds:.2f}", "–", f"{grown:.0f}", "–"]
            else:
                theirs, taken, size, _ = measured(number, False, path, arguments.runs)
                assert theirs is not None
                cells += [difference(found, theirs), f"{seconds:.2f}", f"{taken:.2f}", f"{grown:.0f}", f"{size:.0f}"]
            print(f"| {kind} | {' | '.join(cells)} |", flush=True)
            path.unlink()
    print(f"\n`python benchmarks/formats.py --points {arguments.points} --seed {arguments.seed}`, {machine()}")


def difference(one: NDArray, other: NDArray) -> str:
    if one.shape != other.shape:
        return f"{len(one):,} and {len(other):,} points"
    return f"{float(np.abs(one - other).max()):.0e}"


if __name__ == "__main__":
    main()
