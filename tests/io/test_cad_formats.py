"""3MF, STEP, IGES and VTK: the right surface, in the right place and unit, or an error that names the file."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointadplus.errors import CloudReadError
from pointadplus.io import cad, read_cloud, read_mesh
from pointadplus.io.formats import RawCloud, inflating_at_most
from pointadplus.io.reading import READABLE, read_file
from pointadplus.units import unit_named
from tests.io.cad_files import (
    CORNERS,
    FACES,
    INCH,
    METRE,
    MILLIMETRE,
    VTK_ASCII,
    iges_patch,
    mesh_3mf,
    model_3mf,
    package_3mf,
    step_solid,
)

VOLUME = 5.0  # of the tetrahedron, 2 · 3 · 5 / 6


def raw(path: Path) -> RawCloud:
    return read_file(path, READABLE, lambda found, source: found)


def refused(path: Path, *words: str) -> None:
    with pytest.raises(CloudReadError) as caught:
        read_cloud(path)
    assert all(word in str(caught.value) for word in (str(path), *words)), caught.value


def volume(found: RawCloud) -> float:
    """What the triangles enclose; below 0 if they are inside out."""
    assert found.faces is not None
    a, b, c = np.moveaxis(found.points[found.faces], 1, 0)
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


# STEP and IGES.


@pytest.mark.parametrize(
    ("unit", "name"), [(MILLIMETRE, "mm"), (METRE, "m"), (INCH, "in"), (METRE.replace("$", ".CENTI."), "cm")]
)
def test_step_comes_out_in_the_unit_of_the_file(tmp_path: Path, unit: str, name: str) -> None:
    pytest.importorskip("cascadio")
    path = tmp_path / "part.step"
    path.write_text(step_solid(unit))
    found = raw(path)
    np.testing.assert_allclose(found.points.max(0), [2, 3, 5], rtol=1e-6)
    np.testing.assert_allclose(found.points.min(0), 0, atol=1e-6)
    assert volume(found) == pytest.approx(VOLUME, rel=1e-6)
    assert found.unit == read_cloud(path).unit == name


@pytest.mark.parametrize(("flag", "name"), [(1, "INCH"), (2, "MM"), (6, "M"), (10, "CM"), (3, "MM")])
def test_iges_comes_out_in_the_unit_of_the_file(tmp_path: Path, flag: int, name: str) -> None:
    pytest.importorskip("cascadio")
    path = tmp_path / "part.igs"
    path.write_text(iges_patch(flag, name))
    found = raw(path)
    np.testing.assert_allclose(found.points.max(0), [2, 3, 0], rtol=1e-6)
    np.testing.assert_allclose(found.points.min(0), 0, atol=1e-6)
    assert found.unit == unit_named(name)


def test_step_is_a_mesh_too(tmp_path: Path) -> None:
    pytest.importorskip("cascadio")
    (tmp_path / "part.step").write_text(step_solid())
    mesh = read_mesh(tmp_path / "part.step")
    assert len(mesh) == 4 and mesh.vertices.max().item() == pytest.approx(5, rel=1e-6)


def test_step_that_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("cascadio")
    path, good = tmp_path / "part.stp", step_solid()
    path.write_text(good[: len(good) // 2])
    refused(path, "truncated")
    path.write_text("solid a\n" * 9)
    refused(path, "ISO-10303-21")
    mixed = good.replace("(#90,#91,#92)", "(#90,#91,#92))GLOBAL_UNIT_ASSIGNED_CONTEXT((#96)")
    path.write_text(mixed.replace(METRE, "").replace("#91=", METRE.replace("#90", "#96") + "\n#91="))
    refused(path, "different units", "export the assembly in one unit")
    path.write_text(good.replace("MANIFOLD_SOLID_BREP", "GEOMETRIC_SET"))
    refused(path)  # no surface


def test_a_converter_that_dies_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cascadio")
    path = tmp_path / "part.step"
    path.write_text(step_solid())
    monkeypatch.setattr(cad, "_CONVERT", "import os; os.abort()")
    refused(path, "cannot convert the STEP", "exit code -6")
    monkeypatch.setattr(cad, "_CONVERT", "import time; time.sleep(60)")
    monkeypatch.setattr(cad, "_SECONDS", 0.2)
    refused(path, "takes too long")


@pytest.mark.parametrize(("name", "text"), [("part.stp", step_solid()), ("part.iges", iges_patch(2, "MM"))])
def test_without_cascadio_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    monkeypatch.setitem(sys.modules, "cascadio", None)
    refused(tmp_path / name, "needs the package cascadio", "[scanners]")


# 3MF.


def test_3mf_builds_items_and_components_in_the_unit_of_the_file(tmp_path: Path) -> None:
    objects = (
        f'<object id="1">{mesh_3mf()}</object><object id="9">{mesh_3mf(CORNERS + 50)}</object>'  # 9 is not built
        '<object id="2"><components><component objectid="1"/>'
        '<component objectid="1" transform="0 1 0 -1 0 0 0 0 1 100 0 0"/></components></object>'
        f'<object id="3" type="support">{mesh_3mf(CORNERS - 50)}</object>'
    )
    build = '<item objectid="2" transform="2 0 0 0 2 0 0 0 2 0 0 7"/><item objectid="3"/>'
    path = tmp_path / "part.3mf"
    path.write_bytes(package_3mf(model_3mf(objects, build, unit="inch")))
    found = raw(path)
    turned = np.stack([100 - CORNERS[:, 1], CORNERS[:, 0], CORNERS[:, 2]], 1)  # then twice as large, and up by 7
    np.testing.assert_allclose(found.points, np.vstack([CORNERS, turned]) * 2 + np.array([0, 0, 7]), atol=1e-12)
    assert found.faces is not None and found.faces.tolist() == FACES + (np.array(FACES) + 4).tolist()
    assert volume(found) == pytest.approx(2 * 8 * VOLUME)
    assert found.unit == "in"


def test_3mf_components_of_another_part_are_those_objects_alone(tmp_path: Path) -> None:
    parts = f'<object id="1">{mesh_3mf()}</object><object id="2">{mesh_3mf(CORNERS + 10)}</object>'
    components = (
        '<object id="1"><components><component p:path="/3D/other.model" objectid="1"/>'
        '<component p:path="/3D/other.model" objectid="2" transform="1 0 0 0 1 0 0 0 1 0 100 0"/></components></object>'
    )
    path = tmp_path / "part.3mf"
    path.write_bytes(package_3mf(model_3mf(components, '<item objectid="1"/>'), other=model_3mf(parts, "")))
    np.testing.assert_allclose(raw(path).points, np.vstack([CORNERS, CORNERS + np.array([10, 110, 10])]))


def test_a_mirrored_3mf_is_not_inside_out(tmp_path: Path) -> None:
    path = tmp_path / "part.3mf"
    build = '<item objectid="1" transform="-1 0 0 0 1 0 0 0 1 0 0 0"/>'
    path.write_bytes(package_3mf(model_3mf(f'<object id="1">{mesh_3mf()}</object>', build)))
    assert raw(path).points[:, 0].min() == -2
    assert volume(raw(path)) == pytest.approx(VOLUME)


ONE = f'<object id="1">{mesh_3mf()}</object>'


@pytest.mark.parametrize(("model", "word"), [
    (model_3mf(ONE, '<item objectid="2"/>'), "not there"),
    (model_3mf(ONE, ""), "nothing is to be built"),
    (model_3mf(ONE.replace('v1="0"', 'v1="4"'), '<item objectid="1"/>'), "vertex that is not there"),
    (model_3mf(ONE + ONE, '<item objectid="1"/>'), "share a number"),
    (model_3mf('<object id="1"><components><component objectid="1"/></components></object>', '<item objectid="1"/>'),
     "too many components"),
    (model_3mf(ONE, '<item objectid="1"/>')[:-20], "not a readable .3mf"),
])  # fmt: skip
def test_3mf_that_cannot_be_meant_is_refused(tmp_path: Path, model: str, word: str) -> None:
    (tmp_path / "part.3mf").write_bytes(package_3mf(model))
    refused(tmp_path / "part.3mf", word)


def test_a_3mf_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    good = package_3mf(model_3mf(ONE, '<item objectid="1"/>'))
    (tmp_path / "part.3mf").write_bytes(good)
    with inflating_at_most(300), pytest.raises(CloudReadError, match="archive is truncated"):
        raw(tmp_path / "part.3mf")
    (tmp_path / "part.3mf").write_bytes(good[: len(good) // 2])
    refused(tmp_path / "part.3mf")


# VTK.


def test_vtk_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "part.vtk"
    path.write_text(VTK_ASCII)
    found = raw(path)
    assert found.points.tolist() == [[5800000.0625 + x, y, 0] for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))]
    assert found.faces is not None and found.faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 3], [1, 2, 3]]
    assert found.normals is not None and found.normals.tolist() == [[0, 0, 1]] * 4
    assert found.colors is not None
    np.testing.assert_allclose(found.colors, [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.2] * 3], atol=1e-6)


@pytest.mark.parametrize(("good", "bad", "word"), [
    ("POINTS 4", "POINTS 5", "numbers do not fit"),
    ("POINTS 4", "POINTS 999999999999", "truncated"),
    ("4 0 1 2 3", "4 0 1 2 4", "vertex that is not there"),
    ("4 0 1 2 3", "5 0 1 2 3", "cells do not fit"),
    ("POLYDATA", "STRUCTURED_GRID", "extract the surface"),
    ("ASCII", "EBCDIC", "ASCII or BINARY"),
    ("0 0 1 0 0 1 0 0 1 0 0 1", "0 0 1 0 0 1", "truncated"),
    ("NORMALS n float", "NORMALS n complex", "not a readable .vtk"),
])  # fmt: skip
def test_vtk_whose_header_and_numbers_differ_is_refused(tmp_path: Path, good: str, bad: str, word: str) -> None:
    (tmp_path / "part.vtk").write_text(VTK_ASCII.replace(good, bad))
    refused(tmp_path / "part.vtk", word)


def sphere() -> Any:
    """A sphere with colours, of the vtk package, and what belongs to it as arrays."""
    sources = pytest.importorskip("vtkmodules.vtkFiltersSources")
    core = pytest.importorskip("vtkmodules.vtkCommonCore")
    source = sources.vtkSphereSource()
    source.SetOutputPointsPrecision(1)  # double
    source.SetCenter(5.8e6, 0, 0)
    source.Update()
    ball = source.GetOutput()
    colors = core.vtkUnsignedCharArray()
    colors.SetName("Colors")
    colors.SetNumberOfComponents(3)
    for i in range(ball.GetNumberOfPoints()):
        colors.InsertNextTuple3(i, 0, 51)
    ball.GetPointData().AddArray(colors)
    return ball


def check_sphere(found: RawCloud, ball: Any) -> None:
    to_numpy = pytest.importorskip("vtkmodules.util.numpy_support").vtk_to_numpy
    np.testing.assert_allclose(found.points, to_numpy(ball.GetPoints().GetData()), atol=1e-4, rtol=0)  # of ascii
    assert found.faces is not None and found.normals is not None and found.colors is not None
    faces = to_numpy(ball.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    turned = [np.stack([np.roll(f, -int(f.argmin())) for f in each]) for each in (found.faces, faces)]
    assert sorted(turned[0].tolist()) == sorted(turned[1].tolist())
    np.testing.assert_allclose(found.normals, to_numpy(ball.GetPointData().GetNormals()), atol=1e-5)
    np.testing.assert_allclose(found.colors[:, 0], np.arange(len(found.points)) / 255, atol=1e-6)


@pytest.mark.parametrize("strips", [False, True])
@pytest.mark.parametrize(("version", "form"), [(42, 1), (42, 2), (51, 1), (51, 2)])
def test_vtk_as_the_vtk_package_writes_it(tmp_path: Path, version: int, form: int, strips: bool) -> None:
    ball = sphere()
    writer = pytest.importorskip("vtkmodules.vtkIOLegacy").vtkPolyDataWriter()
    writer.SetInputData(stripped(ball) if strips else ball)
    writer.SetFileName(str(tmp_path / "ball.vtk"))
    writer.SetFileVersion(version)
    writer.SetFileType(form)
    writer.Write()
    check_sphere(raw(tmp_path / "ball.vtk"), ball)
    data = (tmp_path / "ball.vtk").read_bytes()
    (tmp_path / "ball.vtk").write_bytes(data[: len(data) // 2])
    refused(tmp_path / "ball.vtk")


MODES = [("Ascii", "None", False), *itertools.product(("Binary", "Appended"), ("None", "ZLib", "LZMA"), (False, True))]


@pytest.mark.parametrize(("mode", "packer", "encoded"), MODES)
@pytest.mark.parametrize("header", [32, 64])
def test_vtp_as_the_vtk_package_writes_it(tmp_path: Path, mode: str, packer: str, encoded: bool, header: int) -> None:
    ball = sphere()
    writer = pytest.importorskip("vtkmodules.vtkIOXML").vtkXMLPolyDataWriter()
    writer.SetInputData(stripped(ball) if encoded else ball)
    writer.SetFileName(str(tmp_path / "ball.vtp"))
    getattr(writer, f"SetDataModeTo{mode}")()
    getattr(writer, f"SetCompressorTypeTo{packer}")()
    writer.SetEncodeAppendedData(encoded)
    writer.SetHeaderType(header)
    writer.SetBlockSize(504)  # several blocks an array
    writer.Write()
    check_sphere(raw(tmp_path / "ball.vtp"), ball)
    data = (tmp_path / "ball.vtp").read_bytes()
    (tmp_path / "ball.vtp").write_bytes(data[: 2 * len(data) // 3])
    refused(tmp_path / "ball.vtp")


def stripped(ball: Any) -> Any:
    stripper = pytest.importorskip("vtkmodules.vtkFiltersCore").vtkStripper()
    stripper.SetInputData(ball)
    stripper.Update()
    return stripper.GetOutput()


VTP = """<VTKFile type="PolyData"><PolyData>{}</PolyData></VTKFile>"""
PIECE = """<Piece NumberOfPoints="3" NumberOfPolys="1">
<Points><DataArray type="Float64" NumberOfComponents="3" format="ascii">
5800000.0625 0 0 1 0 0 0 1 {}</DataArray></Points>
<Polys><DataArray type="Int64" Name="connectivity" format="ascii">0 1 2</DataArray>
<DataArray type="Int64" Name="offsets" format="ascii">3</DataArray></Polys></Piece>"""


def test_vtp_of_two_pieces(tmp_path: Path) -> None:
    path = tmp_path / "part.vtp"
    path.write_text(VTP.format(PIECE.format(0) + PIECE.format(7)))
    found = raw(path)
    assert found.points[[0, 2, 5]].tolist() == [[5800000.0625, 0, 0], [0, 1, 0], [0, 1, 7]]
    assert found.faces is not None and found.faces.tolist() == [[0, 1, 2], [3, 4, 5]]
    path.write_text(VTP.format(PIECE.format(0).replace('NumberOfPolys="1"', "")))
    assert raw(path).faces is None  # a cloud


@pytest.mark.parametrize(("good", "bad", "word"), [
    ('NumberOfPoints="3"', 'NumberOfPoints="4"', "numbers do not fit"),
    ("0 1 2<", "0 1 3<", "vertex that is not there"),
    (">3<", ">-1<", "found: 3"),
    ('type="PolyData"', 'type="ImageData"', "no polydata"),
    ('type="PolyData"', 'type="PolyData" compressor="vtkLZ4DataCompressor"', "zlib or LZMA"),
])  # fmt: skip
def test_vtp_whose_header_and_numbers_differ_is_refused(tmp_path: Path, good: str, bad: str, word: str) -> None:
    (tmp_path / "part.vtp").write_text(VTP.format(PIECE.format(0)).replace(good, bad))
    refused(tmp_path / "part.vtp", word)
