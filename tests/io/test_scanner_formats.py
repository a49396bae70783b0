"""Files of laser scanners and of CAD, written here with the formats' own libraries or by their specification."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointadplus.errors import CloudReadError
from pointadplus.io import read_cloud
from pointadplus.io.formats import RawCloud, inflating_at_most
from pointadplus.io.reading import READABLE, read_file

laspy = pytest.importorskip("laspy")
pye57 = pytest.importorskip("pye57")
libe57 = pye57.libe57

TURN = (np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5))  # a quarter about z: x becomes y, and y becomes −x


def raw(path: Path | str) -> RawCloud:
    return read_file(path, READABLE, lambda found, source: found)


def refused(path: Path | str, *words: str) -> None:
    with pytest.raises(CloudReadError) as caught:
        read_cloud(path)
    assert str(path).partition("#")[0] in str(caught.value)
    assert all(word in str(caught.value) for word in words), caught.value


# LAS and LAZ.


def write_las(path: Path, points: np.ndarray, scale: float = 1e-4, form: int = 3, **fields: Any) -> None:
    header = laspy.LasHeader(point_format=form)
    header.scales, header.offsets = np.full(3, scale), np.floor(points.min(0))
    las = laspy.LasData(header)
    las.xyz = points
    for name, values in fields.items():
        las[name] = values
    las.write(path)


FAR = np.array([5.8e6, 4.2e5, 130.0]) + np.random.default_rng(0).random((300, 3)) * 0.1


@pytest.mark.parametrize("suffix", ["las", "laz"])
@pytest.mark.parametrize("form", [3, 7])
def test_las_is_read_in_double_with_colours_and_without_what_is_withheld(
    tmp_path: Path, suffix: str, form: int
) -> None:
    red, green, blue = np.random.default_rng(1).integers(0, 65536, (3, 300))
    withheld = np.arange(300) % 10 == 3
    path = tmp_path / f"scan.{suffix}"
    write_las(path, FAR, form=form, red=red, green=green, blue=blue, withheld=withheld)
    found = raw(path)
    assert found.points.dtype == np.float64
    assert np.abs(found.points - FAR)[~withheld].max() <= 0.51e-4  # half a step; float32 would be 0.25 off
    assert np.isnan(found.points[withheld]).all()
    assert found.colors is not None
    np.testing.assert_allclose(found.colors, np.stack([red, green, blue], 1) / 65535, atol=1e-6)
    cloud = read_cloud(path)
    assert len(cloud) == 270
    assert cloud.rows.tolist() == np.flatnonzero(~withheld).tolist()


@pytest.mark.parametrize("form", [1, 6, 8])
def test_a_laz_of_several_chunks_and_of_more_fields(tmp_path: Path, form: int) -> None:
    points = np.random.default_rng(4).random((110_000, 3)) + 5e5  # a chunk holds 50,000
    header = laspy.LasHeader(point_format=form)
    header.scales, header.offsets = np.full(3, 1e-4), np.full(3, 5e5)
    header.add_extra_dims([laspy.ExtraBytesParams("amplitude", "f4"), laspy.ExtraBytesParams("kind", "u1")])
    las = laspy.LasData(header)
    las.xyz = points
    las.amplitude, las.kind = points[:, 0], np.arange(len(points)) % 200
    las.write(tmp_path / "scan.laz")
    assert np.abs(raw(tmp_path / "scan.laz").points - points).max() <= 0.51e-4


def test_las_colours_of_eight_bits_and_none_at_all(tmp_path: Path) -> None:
    write_las(tmp_path / "eight.las", FAR, red=np.full(300, 255), green=np.full(300, 51), blue=np.zeros(300))
    colors = raw(tmp_path / "eight.las").colors
    assert colors is not None
    np.testing.assert_allclose(colors[0], [1, 0.2, 0], atol=1e-6)
    write_las(tmp_path / "plain.las", FAR, form=0)
    write_las(tmp_path / "black.las", FAR, form=2)  # fields that nobody filled
    assert raw(tmp_path / "plain.las").colors is None
    assert raw(tmp_path / "black.las").colors is None


@pytest.mark.parametrize("suffix", ["las", "laz"])
def test_a_truncated_las_is_refused(tmp_path: Path, suffix: str) -> None:
    write_las(tmp_path / f"good.{suffix}", FAR)
    data = (tmp_path / f"good.{suffix}").read_bytes()
    path = tmp_path / f"bad.{suffix}"
    for kept in (20, 150, 240, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:kept])
        refused(path)


def test_a_laz_that_promises_more_than_it_can_hold_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scan.laz"
    write_las(path, FAR)
    data = bytearray(path.read_bytes())
    data[107:111] = (2**32 - 1).to_bytes(4, "little")
    path.write_bytes(data)
    refused(path, "LAZ is truncated")


# E57.


def write_e57(path: Path, *scans: dict[str, Any]) -> None:
    """Each scan: its fields as name → (node, values), and if it has them, `pose` (w x y z, x y z) and `limits`."""
    with pye57.E57(str(path), mode="w") as file:
        image = file.image_file
        for scan in scans:
            node = libe57.StructureNode(image)
            node.set("guid", libe57.StringNode(image, f"{{{id(scan)}}}"))
            if "pose" in scan:
                pose = libe57.StructureNode(image)
                node.set("pose", pose)
                for name, axes, values in zip(("rotation", "translation"), ("wxyz", "xyz"), scan["pose"], strict=True):
                    part = libe57.StructureNode(image)
                    pose.set(name, part)
                    for axis, value in zip(axes, values, strict=True):
                        part.set(axis, libe57.FloatNode(image, float(value)))
            if "limits" in scan:
                limits = libe57.StructureNode(image)
                node.set("colorLimits", limits)
                for color in ("Red", "Green", "Blue"):
                    limits.set(f"color{color}Minimum", libe57.FloatNode(image, scan["limits"][0]))
                    limits.set(f"color{color}Maximum", libe57.FloatNode(image, scan["limits"][1]))
            prototype, buffers, kept = libe57.StructureNode(image), libe57.VectorSourceDestBuffer(), []
            for name, (make, values) in scan["fields"].items():
                prototype.set(name, make(image))
                kept.append(np.ascontiguousarray(values, np.float64))
                buffers.append(libe57.SourceDestBuffer(image, name, kept[-1], len(kept[-1]), True, True))
            points = libe57.CompressedVectorNode(image, prototype, libe57.VectorNode(image, True))
            node.set("points", points)
            file.data3d.append(node)
            writer = points.writer(buffers)
            writer.write(len(kept[0]))
            writer.close()


def double(image: Any) -> Any:
    return libe57.FloatNode(image, 0.0, libe57.E57_DOUBLE)


def whole(low: int, high: int) -> Any:
    return lambda image: libe57.IntegerNode(image, low, low, high)


def xyz(points: np.ndarray, make: Any = double) -> dict[str, Any]:
    return {f"cartesian{axis}": (make, points[:, i]) for i, axis in enumerate("XYZ")}


def rgb(colors: np.ndarray, make: Any) -> dict[str, Any]:
    return {f"color{name}": (make, colors[:, i]) for i, name in enumerate(("Red", "Green", "Blue"))}


LOCAL, UP = np.random.default_rng(2).normal(size=(60, 3)), np.array([0.0, 0.0, 7.0])


def test_e57_is_posed_in_double_and_its_invalid_points_are_none(tmp_path: Path) -> None:
    state = np.arange(60) % 3  # 1 is a direction without a distance
    fields = {**xyz(LOCAL), "cartesianInvalidState": (whole(0, 2), state)}
    write_e57(tmp_path / "scan.e57", {"fields": fields, "pose": (TURN, (5.8e6, 4e5, 3))})
    found = raw(tmp_path / "scan.e57")
    expected = np.stack([-LOCAL[:, 1], LOCAL[:, 0], LOCAL[:, 2]], 1) + np.array([5.8e6, 4e5, 3])
    np.testing.assert_allclose(found.points[state == 0], expected[state == 0], atol=2e-9, rtol=0)
    assert np.isnan(found.points[state > 0]).all()
    assert found.viewpoint is not None and found.viewpoint.tolist() == [5.8e6, 4e5, 3]
    assert found.eyes is None and found.scan is None
    cloud = read_cloud(tmp_path / "scan.e57")
    assert cloud.unit == "m"
    assert len(cloud) == 20 and cloud.viewpoint is not None and cloud.viewpoint.tolist() == [5.8e6, 4e5, 3]


def test_e57_several_scans_are_one_cloud_with_an_eye_for_each(tmp_path: Path) -> None:
    path = tmp_path / "scans.e57"
    write_e57(path, {"fields": xyz(LOCAL)}, {"fields": xyz(LOCAL[:40]), "pose": ((2, 0, 0, 0), (0, 0, 7))})
    found = raw(path)
    np.testing.assert_allclose(found.points, np.vstack([LOCAL, LOCAL[:40] + UP]), atol=1e-12)
    assert found.eyes is not None and found.eyes.tolist() == [[0, 0, 0], [0, 0, 7]]
    assert found.scan is not None and found.scan.tolist() == [0] * 60 + [1] * 40
    cloud = read_cloud(path)
    assert found.viewpoint is None and cloud.eye is None and cloud.unit == "m"
    assert cloud.eyes is not None and cloud.eyes.tolist() == found.eyes.tolist()
    assert cloud.scan is not None and cloud.scan.tolist() == found.scan.tolist()
    first, second = raw(f"{path}#1"), raw(f"{path}#2")
    np.testing.assert_allclose(first.points, LOCAL)
    np.testing.assert_allclose(second.points, LOCAL[:40] + UP)
    assert first.viewpoint is not None and first.viewpoint.tolist() == [0, 0, 0]  # beside another place it tells
    assert second.viewpoint is not None and second.viewpoint.tolist() == [0, 0, 7]
    assert read_cloud(f"{path}#2").source == f"{path}#2"
    for number in (0, 3):
        refused(f"{path}#{number}", "scan 1 to 2", f"#{number}")


def test_a_pose_that_nobody_set_tells_no_eye(tmp_path: Path) -> None:
    still = ((1, 0, 0, 0), (0, 0, 0))
    write_e57(tmp_path / "one.e57", {"fields": xyz(LOCAL), "pose": still})
    write_e57(tmp_path / "two.e57", {"fields": xyz(LOCAL), "pose": still}, {"fields": xyz(LOCAL)})
    assert raw(tmp_path / "one.e57").viewpoint is None
    assert raw(tmp_path / "two.e57").eyes is None
    assert raw(tmp_path / "two.e57#2").viewpoint is None


def test_a_file_that_has_the_mark_in_its_name_comes_first(tmp_path: Path) -> None:
    write_e57(tmp_path / "scan.e57", {"fields": xyz(LOCAL)}, {"fields": xyz(LOCAL)})
    write_e57(tmp_path / "part#2.e57", {"fields": xyz(LOCAL[:30])})
    (tmp_path / "scan.e57#2").write_bytes(b"not a scan")
    assert len(raw(tmp_path / "part#2.e57").points) == 30
    refused(tmp_path / "scan.e57#2", "unknown extension")
    refused(tmp_path / "none.e57#2", "no such file")
    refused(tmp_path / "scan.ply#2", "no such file")


def test_e57_spherical_and_scaled_integers(tmp_path: Path) -> None:
    distance, azimuth, elevation = np.full(4, 2.0), np.array([0, np.pi / 2, 0, 0]), np.array([0, 0, np.pi / 2, 0.1])
    spherical = {"sphericalRange": distance, "sphericalAzimuth": azimuth, "sphericalElevation": elevation}
    fields = {name: (double, values) for name, values in spherical.items()}
    fields["sphericalInvalidState"] = (whole(0, 2), np.array([0, 0, 0, 2]))
    write_e57(tmp_path / "ball.e57", {"fields": fields})
    found = raw(tmp_path / "ball.e57").points
    np.testing.assert_allclose(found[:3], [[2, 0, 0], [0, 2, 0], [0, 0, 2]], atol=1e-12)
    assert np.isnan(found[3]).all()

    def scaled(image: Any) -> Any:
        return libe57.ScaledIntegerNode(image, 0, -(2**20), 2**20, 1e-4, 10.0)

    near = np.array([[10.1234, 9.0, 10.0], [10.0, 11.5, 9.9999]])
    write_e57(tmp_path / "scaled.e57", {"fields": xyz(near, scaled)})
    np.testing.assert_allclose(raw(tmp_path / "scaled.e57").points, near, atol=1e-9)


@pytest.mark.parametrize(("make", "top"), [(double, 1.0), (whole(0, 65535), 65535.0), (whole(0, 255), 255.0)])
@pytest.mark.parametrize("told", [True, False])
def test_e57_colours_are_scaled_by_their_limits(tmp_path: Path, make: Any, top: float, told: bool) -> None:
    shares = np.random.default_rng(3).integers(0, 256, (60, 3)) / 255
    scan = {"fields": {**xyz(LOCAL), **rgb(shares * top, make)}, **({"limits": (0.0, top)} if told else {})}
    write_e57(tmp_path / "scan.e57", scan)
    colors = raw(tmp_path / "scan.e57").colors
    assert colors is not None
    np.testing.assert_allclose(colors, shares, atol=1e-6)


@pytest.mark.parametrize("by_column", [True, False])
def test_e57_keeps_a_grid_that_its_records_fill_in_order(tmp_path: Path, by_column: bool) -> None:
    slow, fast = (index.ravel() for index in np.indices((12, 5)))
    rows, columns = (fast, slow) if by_column else (slow, fast)
    fields = {**xyz(LOCAL), "rowIndex": (whole(0, 70000), rows + 66000), "columnIndex": (whole(0, 99), columns)}
    write_e57(tmp_path / "scan.e57", {"fields": fields})
    found = raw(tmp_path / "scan.e57")
    assert found.grid == (12, 5)
    np.testing.assert_allclose(found.points, LOCAL)  # in the order of the file
    cut = {name: (make, values[:-1]) for name, (make, values) in fields.items()}
    write_e57(tmp_path / "cut.e57", {"fields": cut})
    assert raw(tmp_path / "cut.e57").grid is None


def test_e57_damaged_or_asking_for_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scan.e57"
    write_e57(path, {"fields": xyz(np.tile(LOCAL, (50, 1)))})
    with inflating_at_most(24 * 3000 - 1), pytest.raises(CloudReadError, match="E57 is truncated"):
        raw(path)
    data = path.read_bytes()
    for kept in (30, 1000, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:kept])
        refused(path)
    path.write_bytes(data[:2000] + b"\xff" + data[2001:])
    refused(path)  # a page's checksum
    write_e57(path, {"fields": xyz(LOCAL), "pose": ((0, 0, 0, 0), (1, 2, 3))})
    refused(path, "no quaternion")
    write_e57(path, {"fields": rgb(LOCAL, double)})
    refused(path, "no coordinates")


def test_a_truncated_e57_is_refused_in_one_line(tmp_path: Path) -> None:
    write_e57(tmp_path / "scan.e57", {"fields": xyz(np.tile(LOCAL, (50, 1)))})
    data = (tmp_path / "scan.e57").read_bytes()
    path = tmp_path / "bad.e57"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(CloudReadError) as caught:
        read_cloud(path)
    assert (
        "size in file header" in str(caught.value) and "\n" not in str(caught.value) and "**" not in str(caught.value)
    )


# PTX and PTS.

PTX_HEADER = "{}\n{}\n10 20 30\n1 0 0\n0 1 0\n0 0 1\n0 1 0 0\n-1 0 0 0\n0 0 1 0\n5800000.125 420000.5 30 1\n"


def ptx(columns: int, rows: int, lines: list[str]) -> str:
    return PTX_HEADER.format(columns, rows) + "".join(f"{line}\n" for line in lines)


def test_ptx_is_moved_by_the_last_row_of_its_matrix(tmp_path: Path) -> None:
    lines = [f"{i}.25 {10 * i} 1 0.5 {i} 0 255" for i in range(6)]
    lines[4] = "0 0 0 0.500000 0 0 0"
    path = tmp_path / "scan.ptx"
    path.write_text(ptx(2, 3, lines))
    found = raw(path)
    i = np.arange(6)
    expected = np.stack([5800000.125 - 10 * i, 420000.5 + i + 0.25, np.full(6, 31.0)], 1)
    expected[4] = np.nan
    assert np.array_equal(found.points, expected, equal_nan=True)  # exact: the numbers fit a double
    assert found.grid == (2, 3)  # two columns of three points, in the file's order
    assert found.viewpoint is not None and found.viewpoint.tolist() == [5800000.125, 420000.5, 30]
    assert found.colors is not None
    np.testing.assert_allclose(found.colors[3], [3 / 255, 0, 1], atol=1e-6)
    cloud = read_cloud(path)
    assert len(cloud) == 5 and cloud.viewpoint is not None and cloud.viewpoint.tolist() == [5800000.125, 420000.5, 30]


def test_ptx_several_scans_each_with_its_header(tmp_path: Path) -> None:
    path = tmp_path / "scans.ptx"
    second = ptx(1, 2, ["1 1 1 0.5", "2 2 2 0.5"]).replace("5800000.125 420000.5 30 1", "0 0 100 1")
    path.write_text((ptx(2, 2, [f"{i + 1} 0 0 1" for i in range(4)]) + second).replace("\n", "\r\n"), newline="")
    found = raw(path)
    assert found.eyes is not None and found.eyes.tolist() == [[5800000.125, 420000.5, 30], [0, 0, 100]]
    assert found.scan is not None and found.scan.tolist() == [0, 0, 0, 0, 1, 1]
    assert found.points[4:].tolist() == [[-1, 1, 101], [-2, 2, 102]]
    assert found.grid is None and found.viewpoint is None
    alone = raw(f"{path}#2")
    assert alone.points.tolist() == [[-1, 1, 101], [-2, 2, 102]]
    assert alone.viewpoint is not None and alone.viewpoint.tolist() == [0, 0, 100]
    assert raw(f"{path}#1").grid == (2, 2)
    refused(f"{path}#3", "scan 1 to 2")


@pytest.mark.parametrize("wrong", [
    ptx(2, 3, ["1 2 3 0.5"] * 5),
    ptx(2, 3, ["1 2 3 0.5"] * 7),
    ptx(2, 3, ["1 2 3 0.5"] * 5 + ["1 2 3"]),
    ptx(2, 3, ["1 2 3 4 5"] * 6),
    ptx(10**9, 10**9, ["1 2 3 0.5"] * 6),
    ptx(0, 3, []),
    ptx(1, 1, ["1 2 3 0.5"]).replace("10 20 30\n", ""),
    ptx(1, 1, ["1 2 3 0.5"]).replace("420000.5", "nan"),
])  # fmt: skip
def test_ptx_whose_header_and_rows_differ_is_refused(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "scan.ptx").write_text(wrong)
    refused(tmp_path / "scan.ptx")


def test_pts_with_intensity_and_colours_in_blocks(tmp_path: Path) -> None:
    path = tmp_path / "scan.pts"
    path.write_text("2\n5800000.0625 1 2 -1000 255 0 51\n1 2 3 0 0 0 0\n1\n\n7 8 9 100 255 255 255\n")
    found = raw(path)
    assert found.points.tolist() == [[5800000.0625, 1, 2], [1, 2, 3], [7, 8, 9]]
    assert found.colors is not None
    np.testing.assert_allclose(found.colors, [[1, 0, 0.2], [0, 0, 0], [1, 1, 1]], atol=1e-6)
    for columns, colored in ((3, False), (4, False), (6, True)):
        path.write_text("2\n" + f"{' '.join('12345678'[:columns])}\n" * 2)
        found = raw(path)
        assert found.points.tolist() == [[1, 2, 3]] * 2
        assert (found.colors is not None) == colored


@pytest.mark.parametrize("wrong", [
    "3\n1 2 3\n1 2 3\n", "1\n1 2 3\n1 2 3\n", "1 2 3\n1 2 3\n", "99999999999\n1 2 3\n", "1\n1 2 3\n1\n1 2 3 4\n",
    "2\n1 2 3\n1 2 x\n", "0\n",
])  # fmt: skip
def test_pts_whose_count_is_not_that_of_its_rows_is_refused(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "scan.pts").write_text(wrong)
    refused(tmp_path / "scan.pts")


# Packages that are not there.


@pytest.mark.parametrize(("suffix", "module"), [("las", "laspy"), ("laz", "lazrs"), ("e57", "pye57")])
def test_a_missing_package_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, module: str
) -> None:
    (tmp_path / f"scan.{suffix}").write_bytes(b"anything")
    monkeypatch.setitem(sys.modules, module, None)
    refused(tmp_path / f"scan.{suffix}", "needs the package", "[scanners]")
