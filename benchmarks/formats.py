"""Every format through `read_cloud`, beside an independent reader: points, largest difference, seconds and memory.

The files are made here, of one cloud of a part of 0.1 about a place 1,000 from the origin. An independent reader is
another library, or plain NumPy for what none reads; of meshes, the corners of a ball's triangles are compared. Each of
the two reads the file in a process of its own, whose resident set says what a first reading took beyond the libraries
that are loaded then (Linux); seconds are the median of readings after it. Below stands what is refused, and with which
words.

python benchmarks/formats.py --points 1000000 --seed 0
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
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
import trimesh
from numpy.typing import NDArray
from real_objects import machine

from pointadplus import PointCloud, write_cloud
from pointadplus.errors import PointADPlusError
from pointadplus.io import read_cloud, read_mesh
from pointadplus.io.triangle_mesh import MESHES

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


def ball() -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions=5, radius=0.05).apply_translation(PLACE)


def ball_corners() -> NDArray:
    mesh = ball()
    return np.asarray(mesh.vertices)[mesh.faces].reshape(-1, 3)


def write_ball(path: Path, points: NDArray) -> None:
    ball().export(path)


def from_trimesh(path: Path) -> NDArray:
    mesh = trimesh.load_mesh(path, process=False)
    return np.asarray(mesh.vertices)[mesh.faces].reshape(-1, 3)


_BALLS = (".stl", ".obj", ".off", ".glb")

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
    *((f"{suffix[1:].upper()}, a mesh", suffix, write_ball, from_trimesh) for suffix in _BALLS),
    ("PLY, a mesh", ".ply", write_ball, from_trimesh),
]  # fmt: skip


# What is refused, and how it is made.
REFUSED: list[tuple[str, str, Write]] = [
    ("a depth image without its camera", ".npy", lambda path, points: np.save(path, np.ones((40, 50), np.uint16))),
    ("a batch of clouds", ".npy", lambda path, points: np.save(path, points[:8000].reshape(4, 2000, 3))),
    ("heights without their pitch", ".csv", lambda path, points: np.savetxt(path, np.ones((40, 50)), delimiter=",")),
    ("a header without coordinates", ".csv", table(",", "time,u,v\n")),
    ("a text that stops in a row", ".xyz", lambda path, points: path.write_text("1 2 3\n4 5 6\n7 8")),
    ("a PLY that stops early", ".ply", lambda path, points: by_open3d()(path, points) or cut(path)),
    ("a PCD that stops early", ".pcd", lambda path, points: own(path, points) or cut(path)),
    ("a LAZ that stops early", ".laz", lambda path, points: write_las(path, points) or cut(path)),
    ("an E57 that stops early", ".e57", lambda path, points: write_e57(path, points) or cut(path)),
    ("a scanner's own format", ".fls", lambda path, points: path.write_bytes(b"FARO")),
]


def cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])


def ours(path: Path) -> NDArray:
    if path.name.startswith("mesh") and path.suffix in MESHES:
        mesh = read_mesh(path)
        return (mesh.vertices.double() + mesh.offset).numpy()[mesh.faces.numpy()].reshape(-1, 3)
    return read_cloud(path).positions().numpy()


def resident() -> float:
    """Megabytes of this process at most; what `getrusage` tells is at least its parent's."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024  # type: ignore[index]


def _in_child(connection: Connection, number: int, is_ours: bool, path: Path, out: Path, runs: int) -> None:
    read = ours if is_ours else CASES[number][3]
    assert read is not None
    try:
        before = resident()
        points = read(path)
        grown, seconds = resident() - before, []
        np.save(out, points)
        for _ in range(runs):
            start = time.perf_counter()
            read(path)
            seconds.append(time.perf_counter() - start)
        connection.send((float(np.median(seconds)), grown, ""))
    except PointADPlusError as error:
        connection.send((0.0, 0.0, str(error)))


def measured(number: int, is_ours: bool, path: Path, runs: int) -> tuple[NDArray | None, float, float, str]:
    """Points, seconds, megabytes and the refusal of a reader, in a fresh process."""
    context, out = multiprocessing.get_context("spawn"), path.with_name("out.npy")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_in_child, args=(sender, number, is_ours, path, out, runs))
    child.start()
    seconds, grown, said = receiver.recv()
    child.join()
    return None if said else np.load(out), seconds, grown, said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3, help="of each reader, after a first")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    points = np.random.default_rng(arguments.seed).uniform(-0.05, 0.05, (arguments.points, 3)).round(6) + PLACE
    print(
        "| format | points | largest difference from the file | from the other reader | s | other, s | MB | other, MB |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        for number, (kind, suffix, write, other) in enumerate(CASES):
            path = Path(folder) / f"{'mesh' if write is write_ball else 'cloud'}{number}{suffix}"
            write(path, points)
            found, seconds, grown, said = measured(number, True, path, arguments.runs)
            if found is None:
                print(f"| {kind} | refused: {said} |")
                continue
            cells = [f"{len(found):,}", difference(found, ball_corners() if write is write_ball else points)]
            if other is None:
                cells += ["–", f"{seconds:.2f}", "–", f"{grown:.0f}", "–"]
            else:
                theirs, taken, size, _ = measured(number, False, path, arguments.runs)
                assert theirs is not None
                cells += [difference(found, theirs), f"{seconds:.2f}", f"{taken:.2f}", f"{grown:.0f}", f"{size:.0f}"]
            print(f"| {kind} | {' | '.join(cells)} |", flush=True)
            path.unlink()
        print("\n| refused | with the words |\n| --- | --- |")
        for kind, suffix, write in REFUSED:
            path = Path(folder) / f"file{suffix}"
            write(path, points)
            try:
                said = f"**not refused**: {len(read_cloud(path)):,} points"
            except PointADPlusError as error:
                said = " ".join(str(error).split()).partition(": ")[2].partition("; hint")[0][:160].replace("|", "/")
            print(f"| {kind} | {said} |")
    print(f"\n`python benchmarks/formats.py --points {arguments.points} --seed {arguments.seed}`, {machine()}")


def difference(one: NDArray, other: NDArray) -> str:
    if one.shape != other.shape:
        return f"{len(one):,} and {len(other):,} points"
    return f"{float(np.abs(one - other).max()):.0e}"


if __name__ == "__main__":
    main()
