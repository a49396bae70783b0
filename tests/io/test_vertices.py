"""Meshes at their vertices: the file's order, what stands beside them, and painted meshes written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from pointadplus.errors import CloudReadError, ConfigError
from pointadplus.io import VertexCloud, from_object, read_cloud, read_labelled, read_mesh, write_cloud

PLY = """ply
format ascii 1.0
element vertex 6
property float x
property float y
property float z
property uchar red
property uchar green
property uchar blue
property int scalar_Label
element face 2
property list uchar int vertex_indices
end_header
0 0 0 255 0 0 0
1 0 0 0 255 0 1
5 5 5 9 9 9 0
1 1 0 0 0 255 1
nan 0 0 0 0 0 0
0 1 0 0 0 0 0
3 0 1 3
3 0 3 5
"""


@pytest.fixture
def square(tmp_path: Path) -> Path:
    """Two triangles of four vertices, one more that is of none, and one that is not finite."""
    path = tmp_path / "square.ply"
    path.write_text(PLY)
    return path


def test_vertices_keep_their_rows_colours_and_labels(square: Path) -> None:
    cloud, labels = read_labelled(square)
    assert isinstance(cloud, VertexCloud) and cloud.source_size == 6
    assert cloud.valid_rows().tolist() == [0, 1, 3, 5]
    assert cloud.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert cloud.colors is not None and cloud.colors.tolist()[:3] == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert cloud.normals is not None and cloud.normals.tolist() == [[0, 0, 1]] * 4
    assert labels is not None and labels.tolist() == [0, 1, 0, 1, 0, 0]
    assert cloud.notes == ("1 vertices belong to no triangle: left out",)
    samples = read_cloud(square, points=1000)
    assert torch.equal(cloud.surface(1000).points, samples.points)
    assert samples.notes == ('1,000 points sampled on 2 triangles; at="vertices" (--at vertices) scores its vertices',)


def test_a_selection_keeps_the_triangles_that_are_whole(square: Path) -> None:
    cloud = read_cloud(square, at="vertices")
    some = cloud.select(torch.tensor([True, True, True, False]))
    assert isinstance(some, VertexCloud)
    assert some.faces.tolist() == [[0, 1, 2]] and some.valid_rows().tolist() == [0, 1, 3]


def test_a_painted_mesh_is_written_with_its_triangles_and_scores(square: Path, tmp_path: Path) -> None:
    cloud = read_cloud(square, at="vertices")
    scores = torch.tensor([0.1, 0.2, 0.3, 0.4])
    write_cloud(out := tmp_path / "out.ply", cloud, scores=scores)
    again = read_mesh(out)
    assert torch.equal(again.vertices, cloud.points) and torch.equal(again.faces, cloud.faces)
    assert again.colors is not None and torch.allclose(again.colors, cloud.colors)
    loaded = trimesh.load(out, process=False)  # an independent reader
    assert np.array_equal(loaded.faces, cloud.faces.numpy())
    assert loaded.metadata["_ply_raw"]["vertex"]["data"]["score"].tolist() == pytest.approx(scores.tolist())


def test_an_obj_with_normals_textures_and_materials_keeps_its_vertices(tmp_path: Path) -> None:
    path = tmp_path / "part.obj"
    path.write_text(
        "mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nvt 0 0\nvt 1 1\nvn 0 0 1\nvn 1 0 0\n"
        "g one\nusemtl red\nf 3/1/1 2/2/1 1/1/1\nusemtl blue\nf 1/2/2 \\\n2/1/2 4/1/2\ng two\nf 1//2 4//1 3//1\n"
    )
    cloud = read_cloud(path, at="vertices")
    assert isinstance(cloud, VertexCloud)
    assert cloud.points.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert sorted(sorted(face) for face in cloud.faces.tolist()) == [[0, 1, 2], [0, 1, 3], [0, 2, 3]]


def test_a_fan_of_many_copies_of_one_vertex_is_no_missing_return(tmp_path: Path) -> None:
    """STL writes the tip of a cone once a triangle: a third of its rows are one point."""
    trimesh.creation.cone(1.0, 2.0, sections=200).export(tmp_path / "cone.stl")
    cloud = read_cloud(tmp_path / "cone.stl", at="vertices")
    assert cloud.dropped == 0 and len(cloud) == 3 * 400


def test_colours_and_normals_of_an_off(tmp_path: Path) -> None:
    rows = "0 0 0 255 0 0 255\n1 0 0 0 255 0 255\n0 1 0 0 0 255 255\n3 0 1 2\n"
    (tmp_path / "c.off").write_text(f"COFF\n3 1 0\n{rows}")
    (tmp_path / "n.off").write_text("NOFF\n3 1 0\n0 0 0 0 0 -1\n1 0 0 0 0 -1\n0 1 0 0 0 -1\n3 0 1 2\n")
    coloured, other = (read_cloud(tmp_path / name, at="vertices") for name in ("c.off", "n.off"))
    assert coloured.colors is not None and coloured.colors.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert other.normals is not None and other.normals.tolist() == [[0, 0, -1]] * 3


def test_vertices_far_from_the_origin_keep_their_digits() -> None:
    mesh = trimesh.creation.icosphere(2, 1.0)
    mesh.apply_translation((500_000, 5_000_000, 0))
    cloud = from_object(mesh, at="vertices")
    assert np.allclose(cloud.positions().numpy(), mesh.vertices, atol=1e-6) and cloud.offset.any()


def test_clouds_are_read_alike_and_what_is_wrong_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text("0 0 0\n1 0 0\n0 1 0\n")
    assert type(read_cloud(tmp_path / "a.xyz", at="vertices")) is type(read_cloud(tmp_path / "a.xyz"))
    with pytest.raises(ConfigError, match="'surface' or 'vertices'"):
        read_cloud(tmp_path / "a.xyz", at="corners")
    (tmp_path / "bad.off").write_text("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n")
    with pytest.raises(CloudReadError, match="a face names a vertex that is not there"):
        read_cloud(tmp_path / "bad.off", at="vertices")
    (tmp_path / "nan.off").write_text("OFF\n3 1 0\nnan 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
    with pytest.raises(CloudReadError, match="no vertex is finite and of a face"):
        read_cloud(tmp_path / "nan.off", at="vertices")
