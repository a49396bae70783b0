"""Reading and writing clouds: every format and encoding, and files that lie."""

from __future__ import annotations

import ast
import io
import json
import os
import re
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import pointadplus.io
from pointadplus.cloud import PointCloud
from pointadplus.errors import CloudError, CloudReadError, CloudWriteError, ConfigError, install_command
from pointadplus.io import READABLE, WRITABLE, from_object, read_cloud, to_trimesh, write_cloud
from pointadplus.io.formats import RawCloud, inflating_at_most, unit_colors
from pointadplus.io.lzf import lzf_decompress, unpacked
from pointadplus.io.ply import read_ply
from pointadplus.io.sampling import sample_surface
from pointadplus.io.tables import read_text

# Multiples of 1/64, so that every encoding, and the digits of a text, hold them exactly.
POINTS = np.random.default_rng(0).integers(-640, 640, (24, 3)).astype(np.float64) / 64
NORMALS = np.eye(3)[np.arange(24) % 3]
COLORS = np.random.default_rng(1).integers(0, 256, (24, 3)).astype(np.uint8)

TETRAHEDRON = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])


# --- files by hand ---


def rows(table: np.ndarray, mark: str = " ") -> bytes:
    return "".join(mark.join(f"{v:.10g}" for v in row) + "\n" for row in table).encode()


def pcd(encoding: str, points: np.ndarray = POINTS, size: int = 4, height: int = 1) -> bytes:
    """x y z beside an intensity, padding bytes, a 4-vector, normals and packed colours."""
    n = len(points)
    normals, colors = np.resize(NORMALS, (n, 3)), np.resize(COLORS, (n, 3)).astype(np.uint32)
    layout = [("intensity", "<f4"), ("x", f"<f{size}"), ("y", f"<f{size}"), ("z", f"<f{size}"), ("_", "<u1", (4,))]
    layout += [("normal_x", "<f4"), ("normal_y", "<f4"), ("normal_z", "<f4"), ("rgb", "<u4"), ("label", "<i2")]
    table = np.zeros(n, layout)
    table["x"], table["y"], table["z"] = points.T
    table["normal_x"], table["normal_y"], table["normal_z"] = normals.T
    table["rgb"] = colors[:, 0] << 16 | colors[:, 1] << 8 | colors[:, 2]
    names = [field[0] for field in layout]
    header = f"""# .PCD v0.7 - Point Cloud Data file format
VERSION 0.7
FIELDS {" ".join(names)}
SIZE {" ".join(field[1][2] for field in layout)}
TYPE {" ".join(field[1][1].upper() for field in layout)}
COUNT {" ".join("4" if name == "_" else "1" for name in names)}
WIDTH {n // height}
HEIGHT {height}
VIEWPOINT 1 2 3 1 0 0 0
POINTS {n}
DATA {encoding}
""".encode()
    if encoding == "ascii":
        return header + rows(np.column_stack([table[name] for name in names]))
    if encoding == "binary":
        return header + table.tobytes()
    flat = b"".join(table[name].tobytes() for name in names)
    packed = lzf_compress(flat)
    return header + struct.pack("<II", len(packed), len(flat)) + packed


def lzf_compress(data: bytes) -> bytes:
    """Plain bytes, and runs of one byte as a reference to the byte before."""
    out, i = bytearray(), 0
    while i < len(data):
        run = len(data[i : i + 200]) - len(data[i : i + 200].lstrip(data[i : i + 1]))
        if run > 9:
            out += bytes([0, data[i], 7 << 5, run - 1 - 9, 0])
            i += run
        else:
            out += bytes([0, data[i]])
            i += 1
    return bytes(out)


def ply(encoding: str, kind: str = "float", faces: list[list[int]] | None = None) -> bytes:
    points = POINTS if faces is None else TETRAHEDRON
    order = ">" if encoding == "binary_big_endian" else "<"
    layout = [(name, order + ("f8" if kind == "double" else "f4")) for name in "xyz"]
    layout += [(name, "u1") for name in ("red", "green", "blue")]
    table = np.zeros(len(points), layout)
    for names, values in (("xyz", points), (("red", "green", "blue"), COLORS[: len(points)])):
        for name, column in zip(names, values.T, strict=True):
            table[name] = column
    header = f"ply\nformat {encoding} 1.0\ncomment by hand\nelement vertex {len(points)}\n"
    header += "".join(f"property {kind} {name}\n" for name in "xyz")
    header += "".join(f"property uchar {name}\n" for name in ("red", "green", "blue"))
    if faces is not None:
        header += f"element face {len(faces)}\nproperty list uchar int vertex_indices\nproperty uchar flag\n"
    body = header.encode() + b"end_header\n"
    if encoding == "ascii":
        body += rows(np.column_stack([table[name] for name, _ in layout]))
        return body + b"".join(rows(np.array([[len(face), *face, 7]])) for face in faces or [])
    body += table.tobytes()
    return body + b"".join(struct.pack(f"{order}B{len(face)}iB", len(face), *face, 7) for face in faces or [])


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def stl_binary() -> bytes:
    corners = TETRAHEDRON[FACES].astype("<f4")
    body = b"".join(struct.pack("<3f", 0, 0, 0) + face.tobytes() + b"\0\0" for face in corners)
    return b"by hand".ljust(80) + struct.pack("<I", len(FACES)) + body


def stl_ascii() -> bytes:
    text = "solid a\n"
    for face in TETRAHEDRON[FACES]:
        corners = "".join("vertex {} {} {}\n".format(*corner) for corner in face)
        text += f"facet normal 0 0 0\nouter loop\n{corners}endloop\nendfacet\n"
    return (text + "endsolid a\n").encode()


def obj() -> bytes:
    vertices = "".join("v {} {} {}\n".format(*v) for v in TETRAHEDRON)
    return (vertices + "".join("f {} {} {}\n".format(*face) for face in FACES + 1)).encode()


def off() -> bytes:
    faces = "".join("3 {} {} {}\n".format(*face) for face in FACES)
    return b"OFF\n# by hand\n4 4 6\n" + rows(TETRAHEDRON) + faces.encode()


def gltf(binary: bool = True, **changes: object) -> bytes:
    vertices, indices = TETRAHEDRON.astype("<f4").tobytes(), FACES.astype("<u2").tobytes()
    buffer: dict[str, object] = {"byteLength": len(vertices + indices)}
    if not binary:
        buffer["uri"] = "shape.bin"
    header: dict[str, object] = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "scale": [2, 2, 2]}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3", "min": [0, 0, 0], "max": [1, 1, 1]},
            {"bufferView": 1, "componentType": 5123, "count": 12, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteLength": len(vertices)},
            {"buffer": 0, "byteOffset": len(vertices), "byteLength": len(indices)},
        ],
        "buffers": [buffer],
    }
    text = json.dumps(header | changes).encode()
    if not binary:
        return text
    text += b" " * (-len(text) % 4)
    body = struct.pack("<II", len(text), 0x4E4F534A) + text
    body += struct.pack("<II", len(vertices + indices), 0x004E4942) + vertices + indices
    return b"glTF" + struct.pack("<II", 2, 12 + len(body)) + body


CLOUDS: dict[str, bytes] = {
    "ascii.pcd": pcd("ascii"),
    "binary.pcd": pcd("binary"),
    "double.pcd": pcd("binary", size=8),
    "compressed.pcd": pcd("binary_compressed"),
    "ascii.ply": ply("ascii"),
    "little.ply": ply("binary_little_endian"),
    "big.ply": ply("binary_big_endian", kind="double"),
    "plain.xyz": rows(POINTS),
    "intensity.asc": rows(np.column_stack([POINTS, np.arange(24)]), "\t"),
    "colors.txt": b"// X Y Z R G B\n" + rows(np.column_stack([POINTS, COLORS])),
    "semicolon.txt": rows(np.column_stack([POINTS, NORMALS]), ";"),
    "header.tsv": b"label\tz\ty\tx\n" + rows(np.column_stack([np.arange(24), POINTS[:, ::-1]]), "\t"),
    "header.csv": b"label,z,y,x\n" + rows(np.column_stack([np.arange(24), POINTS[:, ::-1]]), ","),
    "float32.npy": npy(POINTS.astype(np.float32)),
    "colors.npy": npy(np.column_stack([POINTS, COLORS / 255])),
    "only.npz": npz(scan=POINTS),
    "named.npz": npz(labels=np.zeros(24), points=POINTS),
}
TEXTS = {name for name in CLOUDS if name.startswith("ascii") or name.endswith((".xyz", ".asc", ".txt", ".csv", ".tsv"))}
MESHES: dict[str, bytes] = {
    "ascii.ply": ply("ascii", faces=FACES.tolist()),
    "little.ply": ply("binary_little_endian", faces=FACES.tolist()),
    "big.ply": ply("binary_big_endian", faces=FACES.tolist()),
    "binary.stl": stl_binary(),
    "ascii.stl": stl_ascii(),
    "shape.obj": obj(),
    "shape.off": off(),
    "shape.glb": gltf(),
}


def put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def on_tetrahedron(points: torch.Tensor, scale: float = 1.0) -> bool:
    x = points.double() / scale
    inside = (x >= -1e-6).all() and (x.sum(1) <= 1 + 1e-6).all()
    return bool(inside and (torch.cat([x, 1 - x.sum(1, keepdim=True)], 1).abs().amin(1) < 1e-6).all())


# --- what is read ---


@pytest.mark.parametrize("name", CLOUDS)
def test_clouds_are_read_exactly(tmp_path: Path, name: str) -> None:
    cloud = read_cloud(put(tmp_path, name, CLOUDS[name]))
    assert torch.equal(cloud.points, torch.from_numpy(POINTS).float())
    assert cloud.rows is None
    assert cloud.source == str(tmp_path / name)


@pytest.mark.parametrize("name", [name for name in CLOUDS if name.endswith((".pcd", ".ply")) or "colors" in name])
def test_colors_come_in_zero_to_one(tmp_path: Path, name: str) -> None:
    cloud = read_cloud(put(tmp_path, name, CLOUDS[name]))
    assert cloud.colors is not None
    assert torch.allclose(cloud.colors, torch.from_numpy(COLORS / 255).float(), atol=1e-7)


@pytest.mark.parametrize("name", ["ascii.pcd", "binary.pcd", "compressed.pcd", "semicolon.txt"])
def test_normals_are_read(tmp_path: Path, name: str) -> None:
    cloud = read_cloud(put(tmp_path, name, CLOUDS[name]))
    assert cloud.normals is not None
    assert torch.equal(cloud.normals, torch.from_numpy(NORMALS).float())


def test_normals_get_unit_length_and_zeros_count_as_none(tmp_path: Path) -> None:
    header = b"x y z nx ny nz\n"
    cloud = read_cloud(put(tmp_path, "a.txt", header + b"0 0 0 3 0 4\n1 0 0 0 0 0\n"))
    assert cloud.normals is not None
    assert torch.allclose(cloud.normals, torch.tensor([[0.6, 0, 0.8], [0, 0, 0]]))
    assert read_cloud(put(tmp_path, "b.txt", header + b"0 0 0 0 0 0\n1 0 0 0 0 0\n")).normals is None


@pytest.mark.parametrize("text", ["4.808e+06 0 0 0", "1.47137e-38 0 0 0"])  # 0x495D80 as a number, 0xA03700 as bits
def test_packed_colors_in_ascii_pcd_as_number_or_as_float(tmp_path: Path, text: str) -> None:
    header = "FIELDS rgb x y z\nSIZE 4 4 4 4\nTYPE F F F F\nWIDTH 1\nHEIGHT 1\nDATA ascii\n"
    cloud = read_cloud(put(tmp_path, "a.pcd", (header + text + "\n").encode()))
    value = float(text.split()[0])
    bits = int(value) if value >= 1 else struct.unpack("<I", struct.pack("<f", value))[0]
    assert cloud.colors is not None
    assert (cloud.colors[0] * 255).round().int().tolist() == [bits >> 16 & 255, bits >> 8 & 255, bits & 255]


@pytest.mark.parametrize("encoding", ["ascii", "binary", "binary_compressed"])
def test_organised_pcd_keeps_its_rows_and_grid(tmp_path: Path, encoding: str) -> None:
    scan = POINTS.copy()
    scan[[0, 7, 23]] = np.nan
    cloud = read_cloud(put(tmp_path, "scan.pcd", pcd(encoding, scan, height=4)))
    assert cloud.grid == (4, 6)
    assert (cloud.source_size, cloud.dropped) == (24, 3)
    kept = [i for i in range(24) if i not in (0, 7, 23)]
    assert cloud.valid_rows().tolist() == kept
    assert torch.equal(cloud.points, torch.from_numpy(POINTS[kept]).float())
    assert torch.isnan(cloud.to_rows(torch.zeros(21))).nonzero().flatten().tolist() == [0, 7, 23]


@pytest.mark.parametrize("name", ["scan.npy", "scan.npz"])
def test_organised_arrays_keep_their_grid(tmp_path: Path, name: str) -> None:
    scan = POINTS.reshape(4, 6, 3)
    cloud = read_cloud(put(tmp_path, name, npy(scan) if name.endswith("npy") else npz(points=scan)))
    assert cloud.grid == (4, 6)
    assert torch.equal(cloud.points, torch.from_numpy(POINTS).float())


def test_tiff_scans_drop_pixels_without_return(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    scan = POINTS.reshape(4, 6, 3).astype(np.float32)
    scan[1, 2] = 0
    tifffile.imwrite(tmp_path / "scan.tiff", scan, photometric="rgb")
    cloud = read_cloud(tmp_path / "scan.tiff")
    assert cloud.grid == (4, 6)
    assert cloud.dropped == 1
    assert 8 not in cloud.valid_rows()


def test_tiff_without_its_reader_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(CloudReadError, match=re.escape(install_command("tiff"))):
        read_cloud(put(tmp_path, "scan.tiff", b"II*\0"))


@pytest.mark.parametrize(
    ("colors", "expected"),
    [
        (np.uint8([[255, 0, 1]]), [1, 0, 1 / 255]),
        (np.uint16([[65535, 0, 0]]), [1, 0, 0]),
        (np.array([[0.5, 0, 1]]), [0.5, 0, 1]),
    ],
)
def test_color_scales(colors: np.ndarray, expected: list[float]) -> None:
    assert unit_colors(colors)[0].tolist() == pytest.approx(expected)


def test_text_with_other_columns_keeps_only_points() -> None:
    raw = read_text(rows(np.column_stack([POINTS, 1000 * NORMALS])))
    assert raw.normals is None
    assert raw.colors is None


# --- meshes ---


@pytest.mark.parametrize("name", MESHES)
def test_meshes_are_sampled_on_their_surface(tmp_path: Path, name: str) -> None:
    path = put(tmp_path, name, MESHES[name])
    cloud = read_cloud(path, points=500, seed=3)
    assert len(cloud) == 500
    assert on_tetrahedron(cloud.points, scale=2.0 if name.endswith("glb") else 1.0)
    assert torch.equal(cloud.points, read_cloud(path, points=500, seed=3).points)
    assert not torch.equal(cloud.points, read_cloud(path, points=500, seed=4).points)
    assert cloud.normals is not None
    assert torch.allclose(cloud.normals.norm(dim=1), torch.ones(500), atol=1e-6)
    outward = (cloud.normals * (cloud.points - cloud.points.mean(0))).sum(1)
    assert (outward > 0).all()


def test_gltf_with_a_buffer_beside_it(tmp_path: Path) -> None:
    (tmp_path / "shape.bin").write_bytes(TETRAHEDRON.astype("<f4").tobytes() + FACES.astype("<u2").tobytes())
    cloud = read_cloud(put(tmp_path, "shape.gltf", gltf(binary=False)), points=50)
    assert on_tetrahedron(cloud.points, scale=2.0)


@pytest.mark.parametrize("encoding", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_polygons_become_triangles(encoding: str) -> None:
    mixed = read_ply(ply(encoding, faces=[[0, 1, 2], [0, 1, 2, 3]]))
    even = read_ply(ply(encoding, faces=[[0, 1, 2, 3], [3, 2, 1, 0]]))
    assert mixed.faces is not None
    assert even.faces is not None
    assert mixed.faces.tolist() == [[0, 1, 2], [0, 1, 2], [0, 2, 3]]
    assert sorted(map(sorted, even.faces.tolist())) == [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]]


def test_sampling_is_even_by_area_and_leaves_the_global_state() -> None:
    quad = np.array([[0, 0, 0], [3, 0, 0], [3, 1, 0], [0, 1, 0], [9, 9, 9]], float)
    before = np.random.get_state()[1].tolist()  # noqa: NPY002 - the state that must not move
    raw = RawCloud(quad, colors=quad / 9, faces=np.array([[0, 1, 2], [4, 4, 4], [0, 2, 3]]))
    cloud = sample_surface(raw, 20_000, 0)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002
    counts, _, _ = np.histogram2d(cloud.points[:, 0], cloud.points[:, 1], bins=(6, 2), range=((0, 3), (0, 1)))
    assert counts.sum() == 20_000
    assert (np.abs(counts - 20_000 / 12) < 5 * np.sqrt(20_000 / 12)).all()
    assert np.allclose(cloud.colors, cloud.points / 9)


def test_a_mesh_without_faces_is_a_cloud(tmp_path: Path) -> None:
    for name, data in (("a.obj", obj().split(b"f ")[0]), ("a.off", b"OFF\n4 0 0\n" + rows(TETRAHEDRON))):
        assert torch.equal(read_cloud(put(tmp_path, name, data)).points, torch.from_numpy(TETRAHEDRON).float())


# --- objects ---


def test_trimesh_objects() -> None:
    trimesh = pytest.importorskip("trimesh")
    mesh = trimesh.Trimesh(TETRAHEDRON, FACES, process=False)
    assert on_tetrahedron(from_object(mesh, points=100).points)
    scene = trimesh.Scene()
    scene.add_geometry(mesh, transform=np.diag([2, 2, 2, 1.0]))
    assert on_tetrahedron(from_object(scene, points=100).points, scale=2.0)
    cloud = from_object(trimesh.PointCloud(POINTS, colors=np.column_stack([COLORS, np.full(24, 255)])))
    assert torch.equal(cloud.points, torch.from_numpy(POINTS).float())
    assert torch.allclose(cloud.colors, torch.from_numpy(COLORS / 255).float())
    with pytest.raises(CloudError, match="no point"):
        from_object(trimesh.Scene())


def test_open3d_objects_and_files(tmp_path: Path) -> None:
    o3d = pytest.importorskip("open3d")
    legacy = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(POINTS))
    legacy.normals, legacy.colors = (o3d.utility.Vector3dVector(v) for v in (NORMALS, COLORS / 255))
    for obj3d in (legacy, o3d.t.geometry.PointCloud.from_legacy(legacy)):
        cloud = from_object(obj3d)
        assert torch.equal(cloud.points, torch.from_numpy(POINTS).float())
        assert torch.equal(cloud.normals, torch.from_numpy(NORMALS).float())
        assert torch.allclose(cloud.colors, torch.from_numpy(COLORS / 255).float(), atol=1e-6)
    mesh = o3d.geometry.TriangleMesh(o3d.utility.Vector3dVector(TETRAHEDRON), o3d.utility.Vector3iVector(FACES))
    for mesh3d in (mesh, o3d.t.geometry.TriangleMesh.from_legacy(mesh)):
        assert on_tetrahedron(from_object(mesh3d, points=100).points)
    for ascii_, compressed in ((True, False), (False, False), (False, True)):
        path = str(tmp_path / "theirs.pcd")
        assert o3d.io.write_point_cloud(path, legacy, write_ascii=ascii_, compressed=compressed)
        cloud = read_cloud(path)
        assert torch.equal(cloud.points, torch.from_numpy(POINTS).float())
        assert torch.allclose(cloud.colors, torch.from_numpy(COLORS / 255).float(), atol=1e-6)
    ours = PointCloud.create(POINTS, normals=NORMALS, colors=COLORS)
    for name in ("ours.pcd", "ours.ply"):
        write_cloud(tmp_path / name, ours, scores=torch.rand(24))
        back = o3d.io.read_point_cloud(str(tmp_path / name))
        assert np.array_equal(np.asarray(back.points), POINTS)
        assert np.array_equal(np.asarray(back.normals), NORMALS)
        assert np.allclose(np.asarray(back.colors), COLORS / 255)


def test_other_objects_are_refused() -> None:
    with pytest.raises(CloudError, match="not an object that holds a cloud"):
        from_object({"points": POINTS})
    with pytest.raises(ConfigError, match="at least 1"):
        from_object(None, points=0)


# --- what is written ---


@pytest.mark.parametrize("suffix", WRITABLE)
def test_round_trip(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(2)
    normals = rng.normal(size=(50, 3))
    cloud = PointCloud.create(
        rng.normal(size=(50, 3)) * 1e3,
        normals=normals / np.linalg.norm(normals, axis=1, keepdims=True),
        colors=rng.integers(0, 256, (50, 3)).astype(np.uint8),
    )
    path = tmp_path / f"cloud{suffix}"
    scores = torch.linspace(0, 1, 50)
    write_cloud(path, cloud, scores=scores)
    back = read_cloud(path)
    assert torch.equal(back.points, cloud.points)
    assert torch.allclose(back.normals, cloud.normals, atol=1e-6)
    assert torch.allclose(back.colors, cloud.colors, atol=1e-6)
    assert os.listdir(tmp_path) == [path.name]
    if suffix == ".npy":
        assert np.array_equal(np.load(path)[:, -1], scores.numpy())
    if suffix in (".txt", ".xyz", ".csv"):
        table = np.loadtxt(path, skiprows=1, delimiter="," if suffix == ".csv" else None)
        assert np.array_equal(table[:, -1].astype(np.float32), scores.numpy())
        assert b"score" in path.read_bytes().split(b"\n")[0]
    if suffix in (".ply", ".pcd"):
        assert b"score" in path.read_bytes()


@pytest.mark.parametrize("suffix", WRITABLE)
def test_round_trip_of_bare_points_over_an_older_file(tmp_path: Path, suffix: str) -> None:
    path = put(tmp_path, f"cloud{suffix}", b"older")
    write_cloud(path, PointCloud.create(POINTS))
    back = read_cloud(path)
    assert torch.equal(back.points, torch.from_numpy(POINTS).float())
    assert back.normals is None
    assert back.colors is None


def test_organised_clouds_stay_organised_in_pcd(tmp_path: Path) -> None:
    scan = POINTS.copy()
    scan[[0, 7]] = np.nan
    cloud = PointCloud.create(scan.reshape(4, 6, 3), colors=COLORS)
    write_cloud(tmp_path / "a.pcd", cloud, scores=cloud.to_rows(torch.rand(22)))
    back = read_cloud(tmp_path / "a.pcd")
    assert back.grid == (4, 6)
    assert torch.equal(back.valid_rows(), cloud.valid_rows())
    assert torch.equal(back.points, cloud.points)
    assert torch.allclose(back.colors, cloud.colors)


@pytest.mark.parametrize("encoding", ["ascii", "binary", "binary_compressed"])
def test_the_viewpoint_of_a_pcd_is_read_and_written(tmp_path: Path, encoding: str) -> None:
    content = pcd(encoding, POINTS)
    cloud = read_cloud(put(tmp_path, "a.pcd", content))
    assert cloud.viewpoint is not None and cloud.viewpoint.tolist() == [1, 2, 3]
    write_cloud(tmp_path / "b.pcd", cloud)
    back = read_cloud(tmp_path / "b.pcd").viewpoint
    assert back is not None and torch.equal(back, cloud.viewpoint)
    for told in (b"VIEWPOINT 0 0 0 1 0 0 0", b"VIEWPOINT", b"VIEWPOINT nan 0 0 1 0 0 0", b"VIEWPOINT here"):
        content = pcd(encoding, POINTS).replace(b"VIEWPOINT 1 2 3 1 0 0 0", told)
        assert read_cloud(put(tmp_path, "c.pcd", content)).viewpoint is None


def test_given_colors_replace_those_of_the_cloud(tmp_path: Path) -> None:
    write_cloud(tmp_path / "a.ply", PointCloud.create(POINTS, colors=COLORS), colors=torch.ones(24, 3))
    assert (read_cloud(tmp_path / "a.ply").colors == 1).all()


def test_what_cannot_be_written(tmp_path: Path) -> None:
    cloud = PointCloud.create(POINTS)
    with pytest.raises(CloudWriteError, match="unknown extension"):
        write_cloud(tmp_path / "a.las", cloud)
    with pytest.raises(CloudWriteError, match="cannot be written"):
        write_cloud(tmp_path / "absent" / "a.ply", cloud)
    with pytest.raises(CloudWriteError, match="scores do not fit"):
        write_cloud(tmp_path / "a.ply", cloud, scores=torch.zeros(23))
    with pytest.raises(CloudWriteError, match="colours do not fit"):
        write_cloud(tmp_path / "a.ply", cloud, colors=torch.zeros(23, 3))
    (tmp_path / "folder.ply").mkdir()
    with pytest.raises(CloudWriteError, match="cannot be written"):
        write_cloud(tmp_path / "folder.ply", cloud)
    assert os.listdir(tmp_path) == ["folder.ply"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, "a.ply", b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pointadplus.io.writing.write_ply", full)
    with pytest.raises(CloudWriteError, match="No space left"):
        write_cloud(path, PointCloud.create(POINTS))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.ply"]


# --- files that lie ---


def attempt(path: Path) -> PointCloud | None:
    """The cloud, or None where the file was refused in the one way that is allowed."""
    try:
        return read_cloud(path, points=20)
    except CloudReadError as error:
        if str(path) not in str(error):
            pytest.fail(f"the error does not name the file: {error}")
        return None


@pytest.mark.parametrize("name", CLOUDS)
def test_truncated_clouds(tmp_path: Path, name: str) -> None:
    data = CLOUDS[name]
    whole = torch.from_numpy(POINTS).float()
    accepted = 0
    for n in range(0, len(data) - 1, max(1, len(data) // 60)):
        cloud = attempt(put(tmp_path, name, data[:n]))
        if cloud is not None:
            accepted += 1
            # A text that stops at a number's end looks whole; the number it stops in may have lost digits.
            assert torch.equal(cloud.points[:-1], whole[: len(cloud) - 1])
    counted = name.endswith((".pcd", ".ply", ".npy", ".npz"))
    assert accepted == 0 if name not in TEXTS else accepted <= 3 if counted else accepted > 0


@pytest.mark.parametrize("name", MESHES)
def test_truncated_meshes(tmp_path: Path, name: str) -> None:
    data = MESHES[name]
    for n in range(0, len(data), max(1, len(data) // 50)):
        cloud = attempt(put(tmp_path, name, data[:n]))
        if cloud is None:
            continue
        assert on_tetrahedron(cloud.points) or name.endswith(".obj")
        assert name.endswith(".obj") or n > len(data) - 12


def test_a_small_tiff_asks_for_no_large_picture(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    picture = np.random.default_rng(0).normal(size=(20, 20, 3)).astype(np.float32)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, picture, photometric="rgb", compression="zlib")
    assert len(read_cloud(path)) == 400
    data = bytearray(path.read_bytes())
    for tag in (257, 278):  # the picture's length, and that of its strip
        place = data.index(struct.pack("<H", tag), 8)
        struct.pack_into("<HIL", data, place + 2, 4, 1, 2_000_000)
    path.write_bytes(data)
    with pytest.raises(CloudReadError, match="480000000 bytes"):
        read_cloud(path)


HEADERS = {name: data for name, data in CLOUDS.items() if name.endswith((".pcd", ".ply", ".npy"))}


@pytest.mark.parametrize("value", [b"-1", b"0", b"3", b"23", b"25", b"9" * 20, b"x"])
@pytest.mark.parametrize("name", HEADERS)
def test_wrong_numbers_in_headers(tmp_path: Path, name: str, value: bytes) -> None:
    data = HEADERS[name]
    end = max(data.find(mark) for mark in (b"DATA ", b"end_header", b"}"))
    whole = torch.from_numpy(POINTS).float()
    for match in re.finditer(rb"\d+", data[:end]):
        cloud = attempt(put(tmp_path, name, data[: match.start()] + value + data[match.end() :]))
        assert cloud is None or torch.equal(cloud.points, whole), match


@pytest.mark.parametrize("name", [*CLOUDS, *MESHES])
def test_corrupt_bytes_never_escape(tmp_path: Path, name: str) -> None:
    data = np.frombuffer(CLOUDS.get(name, MESHES.get(name)), np.uint8)
    rng = np.random.default_rng(5)
    for _ in range(25):
        bad = data.copy()
        bad[rng.integers(0, min(len(bad), 400), 3)] = rng.integers(0, 256, 3)
        attempt(put(tmp_path, name, bad.tobytes()))


def bomb(shape: tuple[int, ...]) -> bytes:
    """An NPZ whose array claims a shape that its bytes do not hold."""
    header = npy(POINTS).replace(b"(24, 3)", str(shape).encode())
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("points.npy", header)
    return stream.getvalue()


PCD_HEADER = "FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH {0}\nHEIGHT 1\nPOINTS {0}\nDATA {1}\n"
PLY_HEADER = "ply\nformat {1} 1.0\nelement vertex {0}\n" + "".join(f"property float {a}\n" for a in "xyz")
CASES: dict[str, tuple[str, bytes, str]] = {
    "empty": ("a.ply", b"", "empty"),
    "unknown extension": ("a.fls", b"FARO", "unknown extension"),
    "pcd: no data line": ("a.pcd", b"FIELDS x y z\n", "DATA line"),
    "pcd: no fields": ("a.pcd", b"WIDTH 1\nDATA ascii\n0 0 0\n", "of one length"),
    "pcd: other lengths": (
        "a.pcd",
        b"FIELDS x y z\nSIZE 4 4\nTYPE F F F\nWIDTH 1\nDATA ascii\n0 0 0\n",
        "of one length",
    ),
    "pcd: half floats": ("a.pcd", b"FIELDS x y z\nSIZE 2 2 2\nTYPE F F F\nWIDTH 1\nDATA ascii\n0 0 0\n", "SIZE 4 or 8"),
    "pcd: not a table": ("a.pcd", pcd("binary").replace(b"HEIGHT 1", b"HEIGHT 2"), "WIDTH × HEIGHT"),
    "pcd: negative": ("a.pcd", PCD_HEADER.format(-5, "ascii").encode(), "whole number"),
    "pcd: encoding": ("a.pcd", PCD_HEADER.format(1, "zip").encode(), "DATA ascii"),
    "pcd: more than there is": ("a.pcd", PCD_HEADER.format(10**12, "binary").encode() + bytes(12), "truncated"),
    "pcd: less than there is": ("a.pcd", PCD_HEADER.format(1, "binary").encode() + b"1" * 24, "goes on"),
    "pcd: fewer rows": ("a.pcd", PCD_HEADER.format(3, "ascii").encode() + b"0 0 0\n", "rows do not fit"),
    "pcd: columns": ("a.pcd", PCD_HEADER.format(1, "ascii").encode() + b"0 0\n", "3 columns"),
    "pcd: no rows": ("a.pcd", PCD_HEADER.format(0, "ascii").encode(), "no rows"),
    "pcd: none": ("a.pcd", PCD_HEADER.format(0, "binary").encode(), "no finite point"),
    "pcd: no z": ("a.pcd", pcd("binary").replace(b" x y z", b" x y w"), "x, y and z"),
    "pcd: LZF size": (
        "a.pcd",
        PCD_HEADER.format(10**8, "binary_compressed").encode() + struct.pack("<II", 4, 12 * 10**8) + bytes(4),
        "cannot be right",
    ),
    "pcd: LZF reference": (
        "a.pcd",
        PCD_HEADER.format(1, "binary_compressed").encode() + struct.pack("<II", 3, 12) + b"\xe0\x03\x00",
        "corrupt",
    ),
    "pcd: LZF short": (
        "a.pcd",
        PCD_HEADER.format(1, "binary_compressed").encode() + struct.pack("<II", 2, 12) + b"\0\0",
        "corrupt",
    ),
    "ply: no header": ("a.ply", b"solid a", "end_header"),
    "ply: no format": ("a.ply", b"ply\nelement vertex 1\nend_header\n", "format line"),
    "ply: header line": ("a.ply", b"ply\nformat ascii 1.0\nproperty float x\nend_header\n", "PLY 1.0 header line"),
    "ply: rows": ("a.ply", (PLY_HEADER.format(2, "ascii") + "end_header\n0 0 0\n").encode(), "2 rows"),
    "ply: columns": ("a.ply", (PLY_HEADER.format(1, "ascii") + "end_header\n0 0\n").encode(), "3 columns"),
    "ply: polygon": ("a.ply", ply("ascii", faces=[[0, 1, 2]]).replace(b"3 0 1 2 7", b"9 0 1 2 7"), "cut short"),
    "ply: list after number": (
        "a.ply",
        (PLY_HEADER.format(1, "ascii") + "property list uchar int a\nend_header\n0 0 0 1 1\n").encode(),
        "found: both",
    ),
    "ply: huge": ("a.ply", (PLY_HEADER.format(10**15, "binary_big_endian") + "end_header\n").encode(), "truncated"),
    "ply: no properties": (
        "a.ply",
        (PLY_HEADER.format(1, "binary_little_endian") + f"element a {10**15}\nend_header\n").encode() + bytes(12),
        "truncated",
    ),
    "ply: vertex of a face": ("a.ply", ply("binary_little_endian", faces=[[0, 1, 9]]), "not there"),
    "ply: flat": ("a.ply", ply("ascii", faces=[[0, 1, 1]]), "no surface"),
    "text: two header lines": ("a.txt", b"x y z\na b c\n0 0 0\n", "one header line"),
    "text: two columns": ("a.csv", b"1,2\n3,4\n", "wrong shape"),
    "text: ragged": ("a.xyz", b"1 2 3\n4 5\n", "not a readable"),
    "text: binary": ("a.xyz", b"\xff\xfe\0\0" * 9, "not a readable"),
    "text: header only": ("a.csv", b"x,y,z\n", "no rows"),
    "text: NaN only": ("a.xyz", b"nan nan nan\n", "no finite point"),
    "npy: text": ("a.npy", npy(np.array(["a"])), "not an array of numbers"),
    "npy: objects": ("a.npy", npy(POINTS).replace(b"'<f8'", b"'|O' "), "not an array of numbers"),
    "npy: shape": ("a.npy", npy(np.zeros((2, 2))), "wrong shape"),
    "npy: huge": ("a.npy", npy(POINTS).replace(b"(24, 3), }      ", b"(99999999999, 3)}"), "truncated"),
    "npz: which": ("a.npz", npz(a=POINTS, b=POINTS), "which array"),
    "npz: bomb": ("a.npz", bomb((10**11, 3)), "truncated"),
    "off: header": ("a.off", b"FOO\n", "expected: OFF"),
    "off: rows": ("a.off", b"OFF 9 9 0\n0 0 0\n", "18 rows"),
    "stl: neither": ("a.stl", b"solid a\nfacet normal 0 0 0\n", "STL is truncated"),
    "obj: nothing": ("a.obj", b"# nothing\n", "expected"),
    "glb: allocation": (
        "a.glb",
        gltf(accessors=[{"componentType": 5126, "count": 10**13, "type": "VEC3"}]),
        "absurd counts",
    ),
    "gltf: other files": (
        "a.gltf",
        gltf(binary=False, buffers=[{"byteLength": 72, "uri": "../outside.bin"}]),
        "no file of this folder",
    ),
    "gltf: other files, not there": (
        "a.gltf",
        gltf(binary=False, buffers=[{"byteLength": 72, "uri": "../nothing.bin"}]),
        "no file of this folder",
    ),
    "gltf: deep": ("a.gltf", b"[" * 100_000, "not a readable"),
}


@pytest.mark.parametrize("case", CASES)
def test_malformed_files_say_what_is_wrong(tmp_path: Path, case: str) -> None:
    name, data, message = CASES[case]
    (tmp_path / "outside.bin").write_bytes(bytes(120))
    (tmp_path / "inside").mkdir()
    with pytest.raises(CloudReadError, match=re.escape(message)):
        read_cloud(put(tmp_path / "inside", name, data))


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(CloudReadError, match="no such file"):
        read_cloud(tmp_path / "absent.ply")
    (tmp_path / "folder.ply").mkdir()
    with pytest.raises(CloudReadError, match="not a file"):
        read_cloud(tmp_path / "folder.ply")
    os.mkfifo(tmp_path / "pipe.ply")
    with pytest.raises(CloudReadError, match="not a file"):  # and does not wait for a writer
        read_cloud(tmp_path / "pipe.ply")
    with pytest.raises(ConfigError, match="at least 1"):
        read_cloud(tmp_path / "absent.ply", points=0)


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, "a.xyz", rows(POINTS))

    def denied(*_: object) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(np, "fromfile", denied)
    with pytest.raises(CloudReadError, match="Permission denied"):
        read_cloud(path)


def test_scenes_that_loop_or_multiply(tmp_path: Path) -> None:
    attempt(put(tmp_path, "loop.glb", gltf(nodes=[{"mesh": 0, "children": [1]}, {"mesh": 0, "children": [0]}])))
    many = [{"children": list(range(1, 100))}, *[{"mesh": 0}] * 99]
    with inflating_at_most(10_000), pytest.raises(CloudReadError, match="too large"):
        read_cloud(put(tmp_path, "many.glb", gltf(nodes=many)))


def test_points_can_be_limited(tmp_path: Path) -> None:
    path = put(tmp_path, "a.xyz", rows(POINTS))
    assert len(read_cloud(path, max_points=len(POINTS))) == len(POINTS)
    with pytest.raises(CloudReadError, match="too many points; expected: at most 23; found: 24"):
        read_cloud(path, max_points=23)
    with pytest.raises(ConfigError, match="max_points"):
        read_cloud(path, max_points=0)


def test_few_points_may_not_unpack_to_much(tmp_path: Path) -> None:
    packed = put(tmp_path, "zeros.npz", npz(points=np.zeros((200_000, 3))))
    assert len(read_cloud(packed)) == 200_000
    with pytest.raises(CloudReadError, match="the archive"):
        read_cloud(packed, max_points=1000)


def test_lzf_unpacks_the_same_with_numba_and_refuses_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    monkeypatch.setattr("pointadplus.io.lzf._COMPILED", 0)
    rng = np.random.default_rng(0)
    flat = b"".join(bytes([value]) * count for value, count in rng.integers(1, 200, (300, 2)).tolist())
    packed = lzf_compress(flat)
    assert lzf_decompress(packed, len(flat)) == unpacked(packed, len(flat)) == flat
    for _ in range(400):
        damaged = bytearray(packed)
        damaged[rng.integers(len(packed))] = rng.integers(256)
        damaged = damaged[: rng.integers(len(packed) // 2, len(packed) + 1)]
        size = len(flat) + int(rng.integers(-1, 2))
        found = []
        for unpack in (lzf_decompress, unpacked):
            try:
                found.append(unpack(bytes(damaged), size))
            except (CloudReadError, IndexError):
                found.append(None)
        assert found[0] == found[1]


def test_lzf_references_may_overlap() -> None:
    assert lzf_decompress(lzf_compress(b"abc" + b"z" * 150 + b"d"), 154) == b"abc" + b"z" * 150 + b"d"


def test_every_readable_extension_is_tested() -> None:
    tested = {Path(name).suffix for name in (*CLOUDS, *MESHES)} | {".gltf", ".tiff", ".tif"}
    tested |= {".las", ".laz", ".e57", ".ptx", ".pts"}  # in test_scanner_formats.py
    tested |= {".3mf", ".step", ".stp", ".igs", ".iges", ".vtk", ".vtp"}  # in test_cad_formats.py
    assert tested == set(READABLE)


def test_heavy_readers_are_imported_only_when_needed() -> None:
    for path in Path(pointadplus.io.__file__).parent.glob("*.py"):
        imports = [node for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.Import)]
        names = {alias.name for node in imports for alias in node.names}
        assert not names & {"open3d", "trimesh", "tifffile"}


@pytest.mark.parametrize("suffix", WRITABLE)
def test_what_lies_far_from_the_origin_is_written_where_it_lies(tmp_path: Path, suffix: str) -> None:
    part = (np.random.default_rng(0).uniform(-0.05, 0.05, (50, 3)) + np.array([5.8e6, -4.1e6, 300])).round(6)
    cloud = PointCloud.create(part, colors=np.full((50, 3), 0.5))
    write_cloud(tmp_path / f"far{suffix}", cloud, scores=torch.linspace(0, 1, 50))
    again = read_cloud(tmp_path / f"far{suffix}")
    assert torch.equal(again.points, cloud.points) and torch.equal(again.offset, cloud.offset)
    np.testing.assert_allclose(again.positions().numpy(), part, rtol=0, atol=2e-9)
    np.testing.assert_array_equal(to_trimesh(again).vertices, again.positions().numpy())


HEAD = "VERSION .7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 5\nHEIGHT 1\nPOINTS 5\n"


@pytest.mark.parametrize("glue", ["DATA ascii\n", "DATA ascii", "DATA ascii ", "DATA ASCII\n", "data ascii\r\n"])
def test_rows_of_a_pcd_may_be_glued_to_its_header(tmp_path: Path, glue: str) -> None:
    points = np.arange(15.0).reshape(5, 3) / 4
    cloud = read_cloud(put(tmp_path, "a.pcd", HEAD.encode() + glue.encode() + rows(points)))
    assert np.array_equal(cloud.points.numpy(), points)


@pytest.mark.parametrize("encoding", ["ascii", "binary_little_endian", "binary_big_endian"])
@pytest.mark.parametrize("kind", ["uchar", "int"])
def test_a_ply_may_end_in_an_empty_list(tmp_path: Path, encoding: str, kind: str) -> None:
    data = ply(encoding).replace(b"end_header", f"element face 0\nproperty list {kind} int v\nend_header".encode())
    assert len(read_cloud(put(tmp_path, "a.ply", data))) == len(POINTS)


@pytest.mark.parametrize("key", ["pos", "pc", "cloud", "point_cloud", "coord", "data"])
def test_keys_of_archives(tmp_path: Path, key: str) -> None:
    np.savez(tmp_path / "a.npz", **{key: POINTS, "label": np.zeros(len(POINTS))})
    assert len(read_cloud(tmp_path / "a.npz")) == len(POINTS)


@pytest.mark.parametrize(("suffix", "tool"), [
    (".fls", "CloudCompare"), (".WRL", "MeshLab"), (".xyzrgb", "rename it to .xyz"), (".sldprt", "STEP"),
    (".zdf", "Zivid"), (".vtu", "ParaView"), (".xlsx", "LibreOffice"), (".never", "CloudCompare and MeshLab"),
])  # fmt: skip
def test_an_unknown_format_is_told_which_tool_converts_it(tmp_path: Path, suffix: str, tool: str) -> None:
    with pytest.raises(CloudReadError, match=f"unknown extension.*{tool}"):
        read_cloud(put(tmp_path, f"a{suffix}", b"1 2 3"))
