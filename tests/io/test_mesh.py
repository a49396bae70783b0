"""`TriangleMesh`: what it refuses, its normals and samples, and the files it is read from."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from pointadplus.errors import CloudError, CloudReadError, ConfigError
from pointadplus.io import TriangleMesh, read_cloud, read_mesh
from pointadplus.io.triangle_mesh import MESHES
from tests.io.test_io import TETRAHEDRON, gltf

VERTICES = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]], float)
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
OBJ = "".join(f"v {x} {y} {z}\n" for x, y, z in VERTICES) + "".join(f"f {a} {b} {c}\n" for a, b, c in FACES + 1)
OFF = "OFF\n4 4 0\n" + OBJ.replace("v ", "").split("f")[0] + "".join(f"3 {a} {b} {c}\n" for a, b, c in FACES)
FACETS = "".join(
    "facet normal 0 0 0\nouter loop\n" + "".join("vertex {} {} {}\n".format(*VERTICES[i]) for i in face)
    + "endloop\nendfacet\n" for face in FACES
)  # fmt: skip
STL = f"solid t\n{FACETS}endsolid t\n"


def ply(extra: str = "", tail: str = "") -> str:
    header = "ply\nformat ascii 1.0\nelement vertex 4\n" + "".join(f"property float {n}\n" for n in "xyz") + extra
    rows = "".join(f"{x} {y} {z}{tail}\n" for x, y, z in VERTICES)
    faces = "".join(f"3 {a} {b} {c}\n" for a, b, c in FACES)
    return f"{header}element face 4\nproperty list uchar int vertex_indices\nend_header\n{rows}{faces}"


def tetrahedron() -> TriangleMesh:
    return TriangleMesh.create(VERTICES, FACES)


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int16, torch.float64, list])
def test_create_takes_anything_array_like(kind: Any) -> None:
    if isinstance(kind, torch.dtype):
        mesh = TriangleMesh.create(torch.tensor(VERTICES, dtype=kind), torch.tensor(FACES, dtype=torch.int32))
    else:
        shaped = VERTICES.tolist() if kind is list else VERTICES.astype(kind)
        mesh = TriangleMesh.create(shaped, FACES.astype(np.uint8))
    assert mesh.vertices.dtype == torch.float32 and mesh.vertices.tolist() == VERTICES.tolist()
    assert mesh.faces.dtype == torch.int64 and mesh.faces.tolist() == FACES.tolist()
    assert len(mesh) == 4 and mesh.normals is None and mesh.colors is None


def test_a_mesh_does_not_share_memory_with_what_it_was_made_from() -> None:
    vertices, faces = VERTICES.astype(np.float32), FACES.astype(np.int64)
    mesh = TriangleMesh.create(vertices, faces)
    vertices[:], faces[:] = 7, 3
    assert mesh.vertices.tolist() == VERTICES.tolist() and mesh.faces.tolist() == FACES.tolist()


def test_colors_are_floats_or_bytes() -> None:
    bytes_, floats = np.arange(12, dtype=np.uint8).reshape(4, 3) * 23, np.linspace(0, 1, 12).reshape(4, 3)
    from_bytes = TriangleMesh.create(VERTICES, FACES, colors=bytes_).colors
    from_floats = TriangleMesh.create(VERTICES, FACES, colors=floats).colors
    assert from_bytes is not None and from_floats is not None
    torch.testing.assert_close(from_bytes, torch.from_numpy(bytes_ / 255).float())
    assert torch.equal(from_floats, torch.from_numpy(floats).float())


BAD_VERTEX = VERTICES.copy()
BAD_VERTEX[3, 1] = np.nan


@pytest.mark.parametrize(
    ("vertices", "faces", "message"),
    [
        (BAD_VERTEX, FACES, "not finite"),
        (VERTICES * 1e300, FACES, "not finite"),
        (VERTICES, FACES + 1, "not there.*0 to 3.*1 to 4"),
        (VERTICES, FACES - 1, "not there"),
        (VERTICES, np.array([[0, 1, 2**63]], np.uint64), "not there"),
        (VERTICES, FACES[:0], "no face"),
        (VERTICES, FACES.astype(float), "not whole numbers"),
        (VERTICES, [], "not whole numbers"),
        (None, FACES, "not an array of numbers"),
        (VERTICES, "faces", "not an array of numbers"),
    ],
)
def test_create_refuses(vertices: object, faces: object, message: str) -> None:
    with pytest.raises(CloudError, match=message):
        TriangleMesh.create(vertices, faces)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"vertices": torch.zeros(4, 2)}, "vertices have the wrong form"),
        ({"vertices": torch.zeros(4, 3).double()}, "vertices have the wrong form"),
        ({"faces": torch.zeros(6, dtype=torch.int64)}, "faces have the wrong form"),
        ({"faces": torch.zeros(1, 4, dtype=torch.int64)}, "faces have the wrong form"),
        ({"faces": torch.zeros(1, 3, dtype=torch.int32)}, "faces have the wrong form"),
        ({"normals": torch.zeros(3, 3)}, "normals do not fit"),
        ({"colors": torch.zeros(4, 4)}, "colors do not fit"),
    ],
)
def test_the_constructor_refuses(fields: dict[str, object], message: str) -> None:
    # Without the shape checks of the tests, which would refuse these before the class can.
    mesh = object.__new__(TriangleMesh)
    whole = {"vertices": torch.zeros(4, 3), "faces": torch.tensor([[0, 1, 2]])}
    for name, value in (whole | {"normals": None, "colors": None, "source": "a.ply"} | fields).items():
        object.__setattr__(mesh, name, value)
    with pytest.raises(CloudError, match=f"a.ply: {message}"):
        mesh.__post_init__()


@pytest.mark.parametrize("value", [-0.01, 1.01, np.nan])
def test_create_refuses_colors_out_of_range(value: float) -> None:
    with pytest.raises(CloudError, match="out of range"):
        TriangleMesh.create(VERTICES, FACES, colors=np.full((4, 3), value))


def test_normals_are_weighted_by_area() -> None:
    # About the origin: half of 1·2 towards −z, half of 1·3 towards −y, half of 2·3 towards −x.
    expected = normalize(torch.tensor([[-6.0, -3.0, -2.0]]), dim=1)[0]
    torch.testing.assert_close(tetrahedron().vertex_normals()[0], expected)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(1e-12, 1e12))
def test_normals_do_not_depend_on_the_scale_and_turn_with_the_mesh(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    vertices, faces = rng.normal(size=(9, 3)), rng.integers(0, 9, (12, 3))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)
    normals = TriangleMesh.create(vertices, faces).vertex_normals()
    turned = TriangleMesh.create(scale * vertices @ turn.T, faces).vertex_normals()
    expected = np.zeros((9, 3))
    for a, b, c in faces:
        for corner in (a, b, c):
            expected[corner] += np.cross(vertices[b] - vertices[a], vertices[c] - vertices[a])
    steady = torch.from_numpy(np.linalg.norm(expected, axis=1) > 1e-2)
    torch.testing.assert_close(normals[steady], normalize(torch.from_numpy(expected), dim=1).float()[steady])
    torch.testing.assert_close(turned[steady], (normals @ torch.from_numpy(turn.T).float())[steady], atol=1e-3, rtol=0)


def test_normals_that_were_given_stay_and_vertices_without_surface_have_none() -> None:
    given_normals = torch.eye(3)[torch.tensor([0, 1, 2, 0])]
    assert torch.equal(TriangleMesh.create(VERTICES, FACES, normals=given_normals).vertex_normals(), given_normals)
    lone = TriangleMesh.create(np.vstack([VERTICES, [[9, 9, 9]]]), [[0, 1, 2], [3, 3, 4]]).vertex_normals()
    assert lone.norm(dim=1).tolist() == [1, 1, 1, 0, 0]


def test_samples_lie_on_the_faces_in_proportion_to_their_area() -> None:
    cloud = tetrahedron().sample(20_000, seed=3)
    assert cloud.normals is not None and len(cloud) == 20_000
    a, b, c = tetrahedron().vertices[tetrahedron().faces].unbind(1)
    cross = torch.linalg.cross(b - a, c - a)
    area, directions = cross.norm(dim=1), normalize(cross, dim=1)
    height = ((cloud.points[:, None] - a) * directions).sum(-1).abs()
    on = height < 1e-5
    assert on.any(1).all()
    torch.testing.assert_close(on.float().mean(0), area / area.sum(), atol=0.01, rtol=0)
    torch.testing.assert_close(cloud.normals, directions[on.float().argmax(1)], atol=1e-5, rtol=0)


def test_sampling_follows_the_seed_alone() -> None:
    state = torch.get_rng_state()
    first, again, other = (tetrahedron().sample(50, seed) for seed in (1, 1, 2))
    assert torch.equal(first.points, again.points) and not torch.equal(first.points, other.points)
    assert torch.equal(state, torch.get_rng_state())


def test_what_cannot_be_sampled() -> None:
    with pytest.raises(ConfigError, match="count: option out of range"):
        tetrahedron().sample(0)
    with pytest.raises(CloudError, match="no surface"):
        TriangleMesh.create(VERTICES, [[0, 0, 1]]).sample(10)


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.obj", OBJ), ("a.off", OFF), ("a.ply", ply()), ("a.STL", STL)],
    ids=["obj", "off", "ply", "stl"],
)
def test_read(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    mesh = read_mesh(path)
    assert mesh.source == str(path)
    assert mesh.vertices[mesh.faces].tolist() == VERTICES[FACES].tolist()
    assert torch.equal(mesh.sample(100, seed=5).points, read_cloud(path, points=100, seed=5).points)


def test_read_keeps_normals_and_colors(tmp_path: Path) -> None:
    fields = "".join(f"property float n{n}\n" for n in "xyz")
    fields += "".join(f"property uchar {n}\n" for n in ("red", "green", "blue"))
    path = tmp_path / "a.ply"
    path.write_text(ply(fields, " 0 0 5 255 0 51"))
    mesh = read_mesh(path)
    assert mesh.normals is not None and mesh.normals.tolist() == [[0, 0, 1]] * 4
    torch.testing.assert_close(mesh.colors, torch.tensor([[1, 0, 0.2]] * 4))
    path.write_text(ply(fields, " 0 0 0 0 0 0"))
    assert read_mesh(path).normals is None  # which is what zeros stand for


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.xyz", "0 0 0\n", "unknown extension"),
        ("a", OBJ, "unknown extension.*none"),
        ("a.obj", "", "empty"),
        ("a.obj", OBJ.split("f")[0], "no face"),
        ("a.ply", ply()[:-8], "ply"),
        ("a.ply", ply().replace("3 1 2 3", "3 1 2 4"), "not there"),
        ("a.ply", ply().replace("2.0", "nan"), "not finite"),
        ("a.off", OFF[:-8], "a.off"),
        ("a.stl", STL[:-12], "truncated"),
        ("a.glb", "glTF", "truncated"),
        ("a.gltf", "{", "not a readable .gltf file"),
    ],
)
def test_read_refuses_and_names_the_file(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(CloudReadError, match=message) as caught:
        read_mesh(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("suffix", MESHES)
def test_read_refuses_what_is_no_file(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(CloudReadError, match="no such file"):
        read_mesh(tmp_path / f"a{suffix}")
    folder = tmp_path / f"b{suffix}"
    folder.mkdir()
    with pytest.raises(CloudReadError, match="not a file"):
        read_mesh(folder)


# --- what programs write beside the book ---

COLORS = np.array([[255, 0, 0], [0, 128, 0], [0, 0, 64], [255, 255, 255]])


@pytest.mark.parametrize("scale", [1, 255])
def test_colors_of_obj_in_either_range(tmp_path: Path, scale: int) -> None:
    rows = zip(VERTICES, COLORS / 255 * scale, strict=True)
    text = "".join("v {} {} {} {:g} {:g} {:g}\n".format(*point, *color) for point, color in rows)
    (tmp_path / "a.obj").write_text(text + OBJ[OBJ.index("f") :])
    mesh = read_mesh(tmp_path / "a.obj")
    assert mesh.colors is not None
    np.testing.assert_allclose(mesh.colors, COLORS / 255, atol=0.003)


BINARY_STL = bytes(80) + (4).to_bytes(4, "little") + b"".join(
    bytes(12) + VERTICES[face].astype("<f4").tobytes() + bytes(2) for face in FACES
)  # fmt: skip


@pytest.mark.parametrize("data", [
    BINARY_STL, BINARY_STL + bytes(37), BINARY_STL + b"made by a scanner", STL.encode(), (STL + " " * 900).encode(),
    (STL + "// exported\n" * 80).encode(), b"solid binary".ljust(80) + BINARY_STL[80:], STL.upper().encode(),
])  # fmt: skip
def test_an_stl_may_go_on_after_its_end(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.stl").write_bytes(data)
    mesh = read_mesh(tmp_path / "a.stl")
    assert torch.equal(mesh.vertices[mesh.faces], torch.from_numpy(VERTICES[FACES]).float())
    for cut in (BINARY_STL[:-1], BINARY_STL + bytes(100)):
        (tmp_path / "a.stl").write_bytes(cut)
        with pytest.raises(CloudReadError, match="truncated, or its header"):
            read_mesh(tmp_path / "a.stl")


STRIP = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 2, 0], [1, 2, 0]], float)


@pytest.mark.parametrize("encoding", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_triangle_strips_of_ply(tmp_path: Path, encoding: str) -> None:
    """Two strips of 2 triangles and of 1, all of them facing up."""
    order = ">" if encoding == "binary_big_endian" else "<"
    header = f"ply\nformat {encoding} 1.0\nelement vertex 6\n" + "".join(f"property float {n}\n" for n in "xyz")
    header += "element tristrips 1\nproperty list int int vertex_indices\nend_header\n"
    numbers = [0, 1, 2, 3, -1, 2, 3, 4, -1]
    body = STRIP.astype(f"{order}f4").tobytes() + np.array([len(numbers), *numbers], f"{order}i4").tobytes()
    if encoding == "ascii":
        rows = [*STRIP.tolist(), [len(numbers), *numbers]]
        body = "".join(" ".join(map(str, row)) + "\n" for row in rows).encode()
    (tmp_path / "a.ply").write_bytes(header.encode() + body)
    mesh = read_mesh(tmp_path / "a.ply")
    assert sorted(sorted(face) for face in mesh.faces.tolist()) == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    a, b, c = mesh.vertices[mesh.faces].unbind(1)
    assert (torch.linalg.cross(b - a, c - a)[:, 2] > 0).all()


def volume(mesh: TriangleMesh) -> float:
    a, b, c = mesh.vertices[mesh.faces].unbind(1)
    return float((a * torch.linalg.cross(b, c)).sum() / 6)


def test_a_mirrored_gltf_is_not_inside_out(tmp_path: Path) -> None:
    for scale in ([2, 2, 2], [-2, 2, 2], [-2, -2, 2], [-2, -2, -2]):
        (tmp_path / "a.glb").write_bytes(gltf(nodes=[{"mesh": 0, "scale": scale}]))
        assert volume(read_mesh(tmp_path / "a.glb")) == pytest.approx(8 / 6)


@pytest.mark.parametrize(("kind", "component"), [("<u2", 5123), ("<i2", 5122), ("u1", 5121), ("i1", 5120)])
@pytest.mark.parametrize("place", ["glb", "data URI", "file"])
def test_quantised_gltf(tmp_path: Path, kind: str, component: int, place: str) -> None:
    padded = np.zeros((4, 4), kind)
    padded[:, :3] = TETRAHEDRON * np.iinfo(kind).max
    corners = np.asarray(FACES, "<u2").tobytes()
    buffer = padded.tobytes() + corners
    uri = {"glb": {}, "file": {"uri": "corners.bin"}, "data URI": {
        "uri": "data:application/octet-stream;base64," + base64.b64encode(buffer).decode(),
    }}[place]  # fmt: skip
    header = {
        "asset": {"version": "2.0"}, "extensionsRequired": ["KHR_mesh_quantization"], "scene": 0,
        "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0, "scale": [3, 3, 3]}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {"bufferView": 0, "componentType": component, "normalized": True, "count": 4, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5123, "count": 12, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteLength": padded.nbytes, "byteStride": padded.strides[0]},
            {"buffer": 0, "byteOffset": padded.nbytes, "byteLength": len(corners)},
        ],
        "buffers": [{"byteLength": len(buffer), **uri}],
    }  # fmt: skip
    text = json.dumps(header).encode()
    path = tmp_path / ("a.glb" if place == "glb" else "a.gltf")
    if place == "glb":
        text += b" " * (-len(text) % 4)
        text = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(buffer), 0x004E4942) + buffer
        text = b"glTF" + struct.pack("<II", 2, 12 + len(text)) + text
    path.write_bytes(text)
    (tmp_path / "corners.bin").write_bytes(buffer)
    mesh = read_mesh(path)
    np.testing.assert_allclose(mesh.vertices, 3 * TETRAHEDRON, atol=1e-6)
