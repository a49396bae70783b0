"""Mutated scans through the readers: each gives a cloud or a typed error, soon, and in little memory.

A child process reads, so that a crash is seen and passed over. Files are small, but for one text and one packed PCD; so
that the compiled readers of large ones get their share, every other file is read as if it were large. Memory is the
peak of the resident set over a read, as the kernel counts it (Linux). Ends with exit code 1 where a file crashed the
reader, raised what is not the package's, took more than two seconds (thirty where a process of its own converts), or
more memory than four times its size and 64 MB.

python benchmarks/mutated_files.py --files 40000 --seed 0
"""

from __future__ import annotations

import argparse
import base64
import json
import logging
import multiprocessing
import platform
import random
import re
import runpy
import struct
import tempfile
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

import laspy
import numpy as np
import open3d
import pye57
import tifffile
import trimesh
from trimesh.exchange.gltf import export_gltf
from trimesh.exchange.stl import export_stl_ascii
from vtkmodules.vtkFiltersSources import vtkSphereSource
from vtkmodules.vtkIOLegacy import vtkPolyDataWriter
from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter

from pointadplus.cloud import PointCloud
from pointadplus.errors import PointADPlusError
from pointadplus.io import lzf, read_cloud, table_fast, write_cloud

SECONDS = 2.0
CONVERTED, CONVERTED_SECONDS = (".step", ".igs"), 30.0
BYTES = 64 * 2**20  # and four times the file's size
POINTS = 400
CAMERA = {"fx": 50.0, "fy": 50.0, "cx": 10.0, "cy": 10.0, "depth_scale": 0.001, "width": 20, "height": 20}
OUTCOMES = ("cloud", "typed error", "other error", "crash", "slow", "large")
NUMBERS = (b"-1", b"0", b"1", b"255", b"65536", b"2147483647", b"4294967296", b"9" * 19, b"1e308", b"nan")


def originals(folder: Path) -> dict[str, bytes]:
    """A good file of every format and encoding, by name."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(POINTS, 3)).astype(np.float32)
    cloud = PointCloud.create(points, normals=points, colors=rng.random((POINTS, 3)))
    for suffix in ("csv", "npy", "pcd", "ply", "txt", "xyz"):
        write_cloud(folder / f"own.{suffix}", cloud)
    opened = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points))
    for name, options in {
        "ascii.pcd": {"write_ascii": True}, "compressed.pcd": {"compressed": True}, "ascii.ply": {"write_ascii": True},
    }.items():  # fmt: skip
        open3d.io.write_point_cloud(str(folder / name), opened, **options)
    ball = trimesh.creation.icosphere(subdivisions=2)
    for suffix in ("stl", "obj", "off", "glb", "ply"):
        ball.export(folder / f"mesh.{suffix}")
    (folder / "ascii.stl").write_text(export_stl_ascii(ball))
    (folder / "mesh.gltf").write_bytes(_embedded_gltf(ball))
    np.savez_compressed(folder / "own.npz", points=points)
    (folder / "own.asc").write_bytes((folder / "own.xyz").read_bytes())
    _write_tables(folder, points)
    picture = rng.normal(size=(20, 20, 3)).astype(np.float32)
    tifffile.imwrite(folder / "plain.tiff", picture, photometric="rgb")
    tifffile.imwrite(folder / "packed.tif", picture, photometric="rgb", compression="zlib")
    tifffile.imwrite(folder / "depth.tif", (1000 * picture[..., 0] ** 2).astype(np.uint16), photometric="minisblack")
    np.save(folder / "depth.npy", (1000 * picture[..., 0] ** 2).astype(np.uint16))
    tifffile.imwrite(folder / "pages.tiff", np.moveaxis(picture, 2, 0), photometric="minisblack")
    _scanners(folder, points)
    _cad(folder)
    _quantised(folder, ball)
    _strips(folder, ball)
    _large(folder, rng)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _scanners(folder: Path, points: np.ndarray) -> None:
    """LAS, LAZ, E57 of two scans, and the same as PTX and PTS."""
    las = laspy.create(point_format=7)
    las.xyz = points
    las.red = las.green = las.blue = np.arange(POINTS)
    las.write(folder / "scan.las")
    las.write(folder / "scan.laz")
    state, colors = np.arange(POINTS, dtype=np.int8) % 3, np.arange(POINTS, dtype=np.uint8)
    columns = {f"cartesian{axis}": points[:, i].astype(np.float64) for i, axis in enumerate("XYZ")}
    columns |= {"cartesianInvalidState": state, "colorRed": colors, "colorGreen": colors, "colorBlue": colors}
    with pye57.E57(str(folder / "scans.e57"), mode="w") as file:
        file.write_scan_raw(columns)
        file.write_scan_raw(columns, rotation=np.array([0, 0, 0, 1.0]), translation=np.array([1.0, 2, 3]))
    lines = [f"{x:.4f} {y:.4f} {z:.4f} 0.5 255 0 51" for x, y, z in points.tolist()]
    header = ["20", str(POINTS // 20), "1 2 3", "1 0 0", "0 1 0", "0 0 1", "1 0 0 0", "0 1 0 0", "0 0 1 0", "1 2 3 1"]
    (folder / "scans.ptx").write_text("\n".join(2 * [*header, *lines, ""]))
    (folder / "scan.pts").write_text("\n".join([str(POINTS), *lines, ""]))


def _cad(folder: Path) -> None:
    """STEP, IGES and 3MF as the tests write them; VTK's files as VTK does."""
    made = runpy.run_path(str(Path(__file__).parents[1] / "tests" / "io" / "cad_files.py"))
    (folder / "part.step").write_text(made["step_solid"]())
    (folder / "part.igs").write_text(made["iges_patch"](2, "MM"))
    model = made["model_3mf"](f'<object id="1">{made["mesh_3mf"]()}</object>', '<item objectid="1"/>')
    (folder / "part.3mf").write_bytes(made["package_3mf"](model))
    (folder / "hand.vtk").write_text(made["VTK_ASCII"])
    ball = vtkSphereSource()
    for name, writer, options in (
        ("binary.vtk", vtkPolyDataWriter(), {"FileType": 2}),
        ("old.vtk", vtkPolyDataWriter(), {"FileVersion": 42}),
        ("ascii.vtp", vtkXMLPolyDataWriter(), {"DataMode": 0}),
        ("binary.vtp", vtkXMLPolyDataWriter(), {"DataMode": 1, "CompressorType": 0}),
        ("appended.vtp", vtkXMLPolyDataWriter(), {"DataMode": 2, "EncodeAppendedData": 0}),
    ):
        writer.SetInputConnection(ball.GetOutputPort())
        writer.SetFileName(str(folder / name))
        for option, value in options.items():
            getattr(writer, f"Set{option}")(value)
        writer.Write()


def _write_tables(folder: Path, points: np.ndarray) -> None:
    """Text tables in other dialects, records, and an archive of three axes."""
    rows = [[f"{value:.6g}" for value in row] for row in points.tolist()]
    commas = "\n".join(";".join(row).replace(".", ",") for row in rows)
    (folder / "commas.txt").write_bytes(f"Gerät: 7 µm\nX;Y;Z\n[mm];[mm];[mm]\n\n{commas}\nEnd\n".encode("latin-1"))
    tabs = "\n".join("\t".join([str(at), *row]) for at, row in enumerate(rows))
    (folder / "tabs.tsv").write_bytes(f"Point ID\tX [mm]\tY [mm]\tZ [mm]\n{tabs}\n".encode("utf-16"))
    heights = "\n".join(",".join(row[2] for row in rows[at : at + 20]) for at in range(0, POINTS, 20))
    (folder / "heights.csv").write_text(f"XRes=0.05\nYRes=0.05\n{heights}\n")
    grid = "\n".join(" ".join(row[2] for row in rows[at : at + 20]) for at in range(0, POINTS, 20))
    head = f"ncols 20\nnrows {POINTS // 20}\nxllcorner 0\nyllcorner 0\ncellsize 0.05\nNODATA_value -9999\n"
    (folder / "grid.asc").write_text(f"{head}{grid}\n")
    (folder / "words.csv").write_text("x,y,z,kind\n" + "".join(f"{','.join(row)},part A\n" for row in rows))
    records = np.zeros(POINTS, [("t", "f8"), ("x", "f4"), ("y", "f4"), ("z", "f4"), ("normal", "f4", (3,))])
    records["x"], records["y"], records["z"] = points.T
    np.save(folder / "records.npy", records)
    np.savez(folder / "axes.npz", **dict(zip("xyz", points.T, strict=True)))


def _quantised(folder: Path, ball: trimesh.Trimesh) -> None:
    """A GLB and a glTF whose positions are normalised integers of 16 bits, with a gap behind each vertex."""
    places = np.zeros((len(ball.vertices), 4), "<i2")
    places[:, :3] = np.rint(32767 * ball.vertices / abs(ball.vertices).max())
    corners = ball.faces.astype("<u2").tobytes()
    buffer = places.tobytes() + corners
    header = {
        "accessors": [
            {"bufferView": 0, "componentType": 5122, "normalized": True, "count": len(places), "type": "VEC3"},
            {"bufferView": 1, "componentType": 5123, "count": ball.faces.size, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteLength": places.nbytes, "byteStride": 8},
            {"buffer": 0, "byteOffset": places.nbytes, "byteLength": len(corners)},
        ],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "nodes": [{"mesh": 0}], "scenes": [{"nodes": [0]}], "scene": 0,
        "asset": {"version": "2.0"}, "extensionsRequired": ["KHR_mesh_quantization"],
    }  # fmt: skip
    uri = "data:application/octet-stream;base64," + base64.b64encode(buffer).decode()
    embedded = {"buffers": [{"byteLength": len(buffer), "uri": uri}]}
    (folder / "quantised.gltf").write_text(json.dumps(header | embedded))
    text = json.dumps(header | {"buffers": [{"byteLength": len(buffer)}]}).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(buffer), b"BIN\0") + buffer
    (folder / "quantised.glb").write_bytes(b"glTF" + struct.pack("<II", 2, 12 + len(body)) + body)


def _strips(folder: Path, ball: trimesh.Trimesh) -> None:
    """PLYs of triangles as strips of one triangle each, −1 between."""
    numbers = np.column_stack([ball.faces, np.full(len(ball.faces), -1)]).ravel()
    for name, form, vertices, strip in (
        ("strips.ply", "binary_little_endian", ball.vertices.astype("<f4").tobytes(), numbers.astype("<i4").tobytes()),
        ("ascii_strips.ply", "ascii", _lines(ball.vertices), " ".join(map(str, numbers)).encode()),
    ):
        count = struct.pack("<i", len(numbers)) if form != "ascii" else f"{len(numbers)} ".encode()
        header = f"ply\nformat {form} 1.0\nelement vertex {len(ball.vertices)}\n"
        header += "".join(f"property float {axis}\n" for axis in "xyz")
        header += "element tristrips 1\nproperty list int int vertex_indices\nend_header\n"
        (folder / name).write_bytes(header.encode() + vertices + count + strip)


def _large(folder: Path, rng: np.random.Generator) -> None:
    """A text above a megabyte, and a compressed PCD above a quarter of one."""
    (folder / "large.csv").write_bytes(b"x,y,z\n" + _lines(rng.normal(size=(45_000, 3))).replace(b" ", b","))
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(rng.normal(size=(26_000, 3))))
    open3d.io.write_point_cloud(str(folder / "large.pcd"), cloud, compressed=True)


def _lines(points: np.ndarray) -> bytes:
    return "".join(f"{x:.6f} {y:.6f} {z:.6f}\n" for x, y, z in points.tolist()).encode()


def _embedded_gltf(mesh: trimesh.Trimesh) -> bytes:
    """A glTF in one file, its buffers as data URIs."""
    files = export_gltf(mesh, embed_buffers=True)
    return files["model.gltf"]


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One to four mutations: bytes, cuts, copies, gaps and, most of all, numbers of a header."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        if not out:
            break
        place, length = rng.randrange(len(out)), rng.choice((1, 2, 4, 8, 64, 512))
        kind = rng.randrange(7)
        if kind == 0:
            for _ in range(rng.choice((1, 1, 4, 16))):
                out[rng.randrange(len(out))] = rng.randrange(256)
        elif kind == 1:
            out = out[:place]
        elif kind == 2:
            source = rng.randrange(len(out))
            out[place : place + length] = out[source : source + length]
        elif kind == 3:
            del out[place : place + length]
        elif kind == 4:
            out[place:place] = rng.randbytes(length)
        elif kind == 5:
            out[place : place + length] = rng.choice((b"\x00", b"\xff")) * length
        else:
            found = list(re.finditer(rb"\d+", bytes(out[:600])))
            if found:
                number = rng.choice(found)
                out[number.start() : number.end()] = rng.choice(NUMBERS)
    return bytes(out)


def file_of(number: int, seed: int, good: dict[str, bytes]) -> tuple[str, bytes]:
    """The name and the content of a mutated file."""
    rng = random.Random(f"{seed}-{number}")
    name = rng.choice(list(good))
    return name, mutated(good[name], rng)


def read_all(numbers: list[int], seed: int, good: dict[str, bytes], out: Connection) -> None:
    """In the child: tell which file is next, read it, and tell how that went."""
    logging.disable(logging.CRITICAL)
    limits = table_fast._COMPILED, lzf._COMPILED
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "intrinsics.json").write_text(json.dumps(CAMERA))
        for kind, data in good.items():  # what is imported and compiled on first use is nobody's fault
            path = Path(folder) / kind
            path.write_bytes(data)
            for least in ((0, 0), limits):
                table_fast._COMPILED, lzf._COMPILED = least
                read_cloud(path)
        for number in numbers:
            name, data = file_of(number, seed, good)
            path = Path(folder) / name
            path.write_bytes(data)
            table_fast._COMPILED, lzf._COMPILED = ((0, 0), limits)[number % 2]
            out.send(number)
            before, start = _resident("VmRSS", reset=True), time.perf_counter()
            try:
                read_cloud(path, points=2000)
                outcome = "cloud"
            except PointADPlusError:
                outcome = "typed error"
            except Exception as error:
                outcome = f"other error: {type(error).__name__}: {error}"
            seconds, grown = time.perf_counter() - start, _resident("VmHWM") - before
            if seconds > (CONVERTED_SECONDS if path.suffix in CONVERTED else SECONDS):
                outcome = f"slow: {seconds:.1f} s"
            elif grown > 4 * len(data) + BYTES:
                outcome = f"large: {grown / 2**20:.0f} MB"
            out.send((number, outcome, seconds, grown))


def _resident(key: str, *, reset: bool = False) -> int:
    """Bytes of the resident set, now (VmRSS) or at most since the last reset (VmHWM)."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(rf"{key}:\s+(\d+)", status)[1])  # type: ignore[index]


def read_in_children(count: int, seed: int, good: dict[str, bytes]) -> list[tuple[int, str, float, int]]:
    """Outcome, seconds and bytes of each file; a child that dies has crashed on the file it was at."""
    context, found, following = multiprocessing.get_context("spawn"), [], 0
    while following < count:
        here, there = context.Pipe(duplex=False)
        numbers = list(range(following, count))
        child = context.Process(target=read_all, args=(numbers, seed, good, there), daemon=True)
        child.start()
        there.close()
        at = following - 1
        try:
            while True:
                told = here.recv()
                if isinstance(told, int):
                    at = told
                else:
                    found.append(told)
        except EOFError:
            child.join()
        following = at + 1
        if len(found) < following:
            found.append((at, f"crash: exit code {child.exitcode}", 0.0, 0))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", nargs="+", metavar="EXTENSION", help="only these, such as las e57")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        good = originals(Path(folder))
    if arguments.formats:
        good = {name: data for name, data in good.items() if Path(name).suffix[1:] in arguments.formats}
    found = read_in_children(arguments.files, arguments.seed, good)
    table: dict[str, Counter[str]] = {}
    for number, outcome, *_ in found:
        suffix = Path(file_of(number, arguments.seed, good)[0]).suffix
        kind = outcome.partition(":")[0]
        table.setdefault(suffix, Counter())[kind] += 1
        if kind not in OUTCOMES[:2]:
            print(f"file {number}, {suffix}: {outcome}")
    print(f"\n| format | {' | '.join(OUTCOMES)} |\n| --- |{' ---: |' * len(OUTCOMES)}")
    table["all"] = sum(table.values(), Counter())
    for suffix, counts in sorted(table.items(), key=lambda item: (item[0] == "all", item[0])):
        print(f"| {suffix} | {' | '.join(str(counts[kind]) for kind in OUTCOMES)} |")
    slowest, largest = (max(column) for column in list(zip(*found, strict=True))[2:])
    print(f"\nThe slowest read took {slowest:.2f} s, the largest {largest / 2**20:.0f} MB.")
    told = f" --formats {' '.join(arguments.formats)}" if arguments.formats else ""
    print(f"`python benchmarks/mutated_files.py --files {arguments.files} --seed {arguments.seed}{told}`,")
    print(platform.platform())
    if any(table["all"][kind] for kind in OUTCOMES[2:]):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
