"""Tables and arrays of points: columns by name, dialects, what is no list of points, and rows without a return."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pointadplus.errors import CloudError, CloudReadError, ConfigError
from pointadplus.io import as_cloud, read_cloud, table_fast
from pointadplus.io.column_names import field
from pointadplus.io.dialects import plain_bytes
from pointadplus.io.formats import RawCloud
from pointadplus.io.table_fast import quick_rows
from pointadplus.io.table_head import find_table
from pointadplus.io.table_rows import _careful_rows, _plain_rows
from pointadplus.io.tables import read_text
from pointadplus.results.detection import Detection

# Multiples of 1/64, exact in every text and in float32.
POINTS = np.random.default_rng(0).integers(-640, 640, (24, 3)).astype(np.float64) / 64
NORMALS = np.eye(3)[np.arange(24) % 3]
COLORS = np.random.default_rng(1).integers(0, 256, (24, 3))
INDEX = np.arange(24)[:, None]
TIME = 1.6e9 + INDEX / 8


def lines(table: np.ndarray, mark: str = ",", decimal: str = ".", end: str = "\n") -> str:
    return "".join(mark.join(f"{v:.12g}".replace(".", decimal) for v in row) + end for row in table)


def put(folder: Path, data: bytes | str, name: str = "a.csv") -> Path:
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return folder / name


def read(data: bytes | str) -> RawCloud:
    return read_text(data.encode() if isinstance(data, str) else data)


# --- columns by name ---

NAMES = {
    "units": ("Point ID,X [mm],Y [mm],Z [mm]", (INDEX, POINTS)),
    "ParaView": ('"Points:0","Points:1","Points:2"', (POINTS,)),
    "ParaView, fields first": ("Normals:0,Normals:1,Normals:2,Points:0,Points:1,Points:2", (NORMALS, POINTS)),
    "comment": ("//X,Y,Z", (POINTS,)),
    "quotes": ('"X(mm)","Y(mm)","Z(mm)"', (POINTS,)),
    "time first": ("timestamp,x,y,z", (TIME, POINTS)),
    "time and intensity": ("Time (s), Intensity, X, Y, Z", (TIME, INDEX, POINTS)),
    "coordinates": ("ID,X-Coordinate,Y-Coordinate,Z-Coordinate", (INDEX, POINTS)),
    "positions": ("pos_x,pos_y,pos_z", (POINTS,)),
    "glued units": ("Xmm,Ymm,Zmm", (POINTS,)),
    "underscored units": ("id,x_mm,y_mm,z_mm", (INDEX, POINTS)),
    "map": ("Easting,Northing,Elevation", (POINTS,)),
    "heights beside z": ("height,X,Y,Z", (INDEX, POINTS)),
    "nominal beside": ("X nominal,Y nominal,Z nominal,X,Y,Z", (POINTS + 1, POINTS)),
    "comment with fields": ("%time,field.x,field.y,field.z", (TIME, POINTS)),
    "index without a name": (",x,y,z", (INDEX, POINTS)),
    "nominal and actual": ("Nominal X,Nominal Y,Nominal Z,Actual X,Actual Y,Actual Z", (POINTS + 1, POINTS)),
    "German": ("Punkt,Rechtswert,Hochwert,Höhe", (INDEX, POINTS)),
    "p": ("px,py,pz", (POINTS,)),
    "other words": ("X-Koordinate,Y-Koordinate,Z-Koordinate", (POINTS,)),
    "deviations": ("dX,dY,dZ,x,y,z", (POINTS + 1, POINTS)),
}


@pytest.mark.parametrize("kind", NAMES)
def test_columns_go_by_their_names(kind: str) -> None:
    header, columns = NAMES[kind]
    raw = read(f"{header}\n{lines(np.hstack(columns))}")
    assert np.array_equal(raw.points, POINTS)


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("X Y Z [mm]", lines(POINTS, " ")),
        ("X [mm] Y [mm] Z [mm]", lines(POINTS, " ")),
        ("// Point ID X Y Z", lines(np.hstack([INDEX + 7, POINTS]), " ")),
        ("x, y, z", lines(POINTS, " ")),
        ("# x y z deviation to nominal", lines(np.hstack([POINTS, INDEX]), " ")),
        ("   x    y    z", lines(np.hstack([INDEX, POINTS]), "  ")),
        ("# t x y z", lines(np.hstack([TIME, POINTS]), "  ")),
    ],
)
def test_headers_of_tables_with_spaces(header: str, text: str) -> None:
    assert np.array_equal(read(f"{header}\n{text}").points, POINTS)


@pytest.mark.parametrize("names", ["nx,ny,nz,r,g,b", "NormalX,NormalY,NormalZ,Red,Green,Blue", "Nx,Ny,Nz,R,G,B"])
def test_normals_and_colors_go_by_their_names(names: str) -> None:
    table = np.hstack([COLORS, NORMALS, INDEX, POINTS])
    normals, colors = names.split(",")[:3], names.split(",")[3:]
    raw = read(",".join([*colors, *normals, "Intensity", "X", "Y", "Z"]) + "\n" + lines(table))
    assert np.array_equal(raw.points, POINTS)
    assert raw.normals is not None and np.array_equal(raw.normals, NORMALS)
    assert raw.colors is not None and np.allclose(raw.colors, COLORS / 255)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("X", "x"), ("z [µm]", "z"), ("Points:1", "y"), ("Points_2", "z"), ("normal_x", "nx"), ("NormalY", "ny"),
        ("Normals:2", "nz"), ("RGB:0", "red"), ("Color G", "green"), ("diffuse_blue", "blue"), ("B", "blue"),
        ("[X]", "x"), ("X/mm", "x"), ("intensity", None), ("rgb", None), ("x1", None), ("dx", None), ("Point ID", None),
        ("X deviation", None), ("", None), ("0", None),
    ],
)  # fmt: skip
def test_what_a_name_means(name: str, meant: str | None) -> None:
    assert field(name) == meant


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,c\n1,2,3\n4,5,6\n", "names no coordinates"),
        ("time,u,v,w\n1,2,3,4\n4,5,6,7\n", "names no coordinates"),
        ("# time,u,v,w\n1,2,3,4\n4,5,6,7\n", "names no coordinates"),
        ("# time,r,g,b\n1,2,3,4\n4,5,6,7\n", "names no coordinates"),
        ("x y intensity\n1 2 3\n4 5 6\n", "names no coordinates"),
        ("x,y,z,x,y,z\n1,2,3,4,5,6\n1,2,3,4,5,6\n", "coordinates twice"),
        ("a,x,y,z,b\n1,2,3,4\n4,5,6,7\n", "names no coordinates"),
    ],
)
def test_headers_without_coordinates_are_refused_with_the_way_out(text: str, message: str) -> None:
    with pytest.raises(CloudReadError, match=f"{message}.*--columns"):
        read(text)


def test_columns_can_be_named(tmp_path: Path) -> None:
    table = np.hstack([TIME, INDEX, POINTS, NORMALS])
    path = put(tmp_path, f"a,b,c,d,e,f,g,h\n{lines(table)}")
    whole = torch.from_numpy(POINTS).float()
    assert torch.equal(read_cloud(path, columns={"x": 3, "y": 4, "z": 5}).points, whole)
    cloud = read_cloud(path, columns={"x": "C", "y": "d", "Z": "e", "nx": 6, "ny": 7, "nz": "h"})
    assert torch.equal(cloud.points, whole)
    assert cloud.normals is not None and torch.equal(cloud.normals, torch.from_numpy(NORMALS).float())
    bare = put(tmp_path, lines(table))
    assert torch.equal(read_cloud(bare, columns={"x": 3, "y": 4, "z": 5}).points, whole)
    with pytest.raises(CloudReadError, match="no column 9"):
        read_cloud(bare, columns={"x": 3, "y": 4, "z": 9})
    with pytest.raises(CloudReadError, match="no column 'x'"):
        read_cloud(bare, columns={"x": "x", "y": 4, "z": 5})
    for wrong in ({"x": 1, "y": 2}, {"x": 0, "y": 1, "z": 2}, {"x": 1, "y": 2, "z": 3, "w": 4}):
        with pytest.raises(ConfigError, match="columns"):
            read_cloud(bare, columns=wrong)
    with pytest.raises(ConfigError, match="only text tables"):
        read_cloud(tmp_path / "a.ply", columns={"x": 1, "y": 2, "z": 3})


def test_coordinates_of_several_units_come_in_that_of_x() -> None:
    micro = POINTS * [1, 1, 1000]
    assert np.allclose(read(f"X [mm],Y [mm],Z [µm]\n{lines(micro)}").points, POINTS, rtol=1e-12)
    assert np.allclose(read(f"X;Y;Z\nmm;mm;um\n{lines(micro, ';')}").points, POINTS, rtol=1e-12)


@pytest.mark.parametrize(
    ("head", "unit"),
    [
        ("X [mm],Y [mm],Z [µm]", "mm"),
        ("X (inches),Y (inches),Z (inches)", "in"),
        ("x,y,z\nMeters,Meters,Meters", "m"),
        ("x_um,y_um,z_um", "um"),
        ("x,y,z", None),
    ],
)
def test_the_unit_that_a_header_tells_is_kept(tmp_path: Path, head: str, unit: str | None) -> None:
    path = put(tmp_path, f"{head}\n{lines(POINTS)}")
    assert read_cloud(path).unit == unit
    told = read_cloud(path, unit="Centimetres")
    assert told.unit == "cm", "who reads it knows better"
    assert told.notes == (() if unit in (None, "cm") else (f"the file's unit is {unit}, and was told to be cm",))
    with pytest.raises(ConfigError, match=r"unknown unit of length.*one of nm, um, mm"):
        read_cloud(path, unit="parsec")


# --- columns without names ---


def test_an_intensity_before_colors_is_not_red() -> None:
    for intensity in (INDEX * 100, INDEX / 24, -INDEX):
        raw = read(lines(np.hstack([POINTS, intensity, COLORS]), " "))
        assert raw.colors is not None and np.allclose(raw.colors, COLORS / 255)
    for intensity in (INDEX * 100, INDEX / 24 + 0.01, INDEX % 2):
        raw = read(lines(np.hstack([POINTS, COLORS, intensity]), " "))
        assert raw.colors is not None and np.allclose(raw.colors, COLORS / 255)
    raw = read(lines(np.hstack([POINTS, INDEX * 7, COLORS]), " "))
    assert raw.colors is None and "two ways" in raw.notes[0]


@pytest.mark.parametrize("first", [0, 1])
def test_an_index_is_not_x(first: int) -> None:
    assert np.array_equal(read(lines(np.hstack([INDEX + first, POINTS]))).points, POINTS)
    raw = read(lines(np.hstack([INDEX + first, POINTS, COLORS]), " "))
    assert np.array_equal(raw.points, POINTS)
    assert raw.colors is not None and np.allclose(raw.colors, COLORS / 255)


def test_what_counts_otherwise_is_a_coordinate() -> None:
    for column in (INDEX + 2, INDEX * 2, INDEX / 2):
        assert np.array_equal(read(lines(np.hstack([column, POINTS]))).points, np.hstack([column, POINTS])[:, :3])
    assert np.array_equal(read(lines(np.hstack([INDEX, POINTS[:, :2]]))).points[:, :1], INDEX)


# --- dialects ---

PLAIN, SPACED = lines(POINTS), lines(POINTS, " ")
DIALECTS: dict[str, str | bytes] = {
    "count first": "24\n" + SPACED,
    "count below the header": "x y z\n24\n" + SPACED,
    "metadata": "Scanner: X5 rev. 2\nDate;2024-01-02\nMode = fast, fine\n\nx,y,z\n" + PLAIN,
    "metadata alone": "Scanner: X5 rev. 2\nDate;2024-01-02\n" + PLAIN,
    "units": "x,y,z\nmm,mm,mm\n" + PLAIN,
    "units in brackets": "x;y;z\n[mm];[mm];[mm]\n" + lines(POINTS, ";"),
    "blank line after the header": "x,y,z\n\n" + PLAIN,
    "blank line of marks": "x,y,z\n,,\n" + PLAIN,
    "ruler": "x y z\n--- --- ---\n" + SPACED,
    "footer": PLAIN + "\nEnd of file\n24 points exported\n",
    "footer in a comment": PLAIN + "# done\n",
    "trailing commas": lines(POINTS, ",", end=",\n"),
    "trailing commas, header too": "x,y,z,\n" + lines(POINTS, ",", end=",\n"),
    "trailing commas, header not": "x,y,z\n" + lines(POINTS, ",", end=",\n"),
    "trailing semicolons": lines(POINTS, ";", ",", end=";\n"),
    "comment with an x": "# box scan, x is along\n" + SPACED,
    "comment with all three": "# columns are x, y and z in mm\n" + SPACED,
    "comment inside": SPACED[: SPACED.index("\n") + 1] + "# x marks the spot\n" + SPACED[SPACED.index("\n") + 1 :],
    "UTF-16": ("x\ty\tz\n" + lines(POINTS, "\t")).encode("utf-16"),
    "UTF-16, big": b"\xfe\xff" + ("x\ty\tz\n" + lines(POINTS, "\t")).encode("utf-16-be"),
    "UTF-16, no mark": ("x\ty\tz\n" + lines(POINTS, "\t")).encode("utf-16-le"),
    "UTF-16, big, no mark": ("x\ty\tz\n" + lines(POINTS, "\t")).encode("utf-16-be"),
    "bars": "x|y|z\n" + lines(POINTS, "|"),
    "UTF-8 with mark": b"\xef\xbb\xbf" + ("x,y,z\n" + PLAIN).encode(),
    "Latin-1": ("Gerät: Größe 3 µm\nx,y,z\n" + PLAIN).encode("latin-1"),
    "decimal comma": lines(POINTS, ";", ","),
    "decimal comma, tabs": "X\tY\tZ\n" + lines(POINTS, "\t", ","),
    "decimal comma, spaces": lines(POINTS, " ", ","),
    "quoted decimal commas": "".join(",".join(f'"{v:.12g}"'.replace(".", ",") for v in row) + "\n" for row in POINTS),
    "quotes": "".join(",".join(f'"{v:.12g}"' for v in row) + "\n" for row in POINTS),
    "comma and space": lines(POINTS, ", "),
    "columns of spaces": "".join("".join(f"{v:14.6f}" for v in row) + "  \n" for row in POINTS),
    "spaces and tabs": lines(POINTS, " \t"),
    "CRLF": PLAIN.replace("\n", "\r\n"),
    "CR": ("x,y,z\n" + PLAIN).replace("\n", "\r"),
    "Fortran": SPACED.replace("\n", "D+00\n"),
    "no end": SPACED.rstrip(),
}


@pytest.mark.parametrize("kind", DIALECTS)
def test_dialects(kind: str) -> None:
    assert np.array_equal(read(DIALECTS[kind]).points, POINTS)


def test_a_row_that_numbers_the_columns_is_no_point() -> None:
    text = "".join(f"{x:f},{y:f},{z:f}\n" for x, y, z in POINTS)
    assert np.array_equal(read("0,1,2\n" + text).points, POINTS)
    indexed = "".join(f"{at},{x:g},{y:g},{z:g}\n" for at, (x, y, z) in enumerate(POINTS.round()))
    assert np.array_equal(read(",0,1,2\n" + indexed).points, POINTS.round())
    assert len(read("0 1 2\n1 2 3\n0.5 1 4\n").points) == 3


def test_whole_numbers_before_decimal_commas() -> None:
    whole = np.vstack([np.arange(90).reshape(30, 3) * 5, POINTS])
    assert np.array_equal(read(lines(whole, ";", ",")).points, whole)


@pytest.mark.parametrize("word", ["", "NA", "NaN", "nan", "1.#QNAN", "-1.#IND", "No Data", "inf", "-inf", "null", "-"])
@pytest.mark.parametrize("mark", [",", ";", "\t", " "])
def test_rows_with_a_missing_coordinate_are_dropped_and_counted(tmp_path: Path, word: str, mark: str) -> None:
    if not word and mark == " ":
        return  # a blank between blanks is none
    text = ["x,y,z,i".replace(",", mark), *(mark.join(f"{v:.12g}" for v in (*row, 1)) for row in POINTS)]
    cells = text[5].split(mark)
    text[5] = mark.join([*cells[:2], word, cells[3]])
    text[9] = mark.join([*text[9].split(mark)[:3], word])  # no coordinate
    if word == "" and mark == "\t":
        text[9] += " "
    cloud = read_cloud(put(tmp_path, "\n".join(text)))
    assert (cloud.source_size, cloud.dropped) == (24, 1)
    assert torch.equal(cloud.points, torch.from_numpy(np.delete(POINTS, 4, 0)).float())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3\n4 5 6\n7 8\n1 2 3\n", "line 3 has 2 cells"),
        ("1 2 3\n4 5 6\n7 8 9 10\n1 2 3\n", "line 3 has 4 cells"),
        ("x,y,z\n1,2,3\n4,abc,6\n7,8,9\n", "line 3 is no row of numbers"),
        ("1,2,3\n4,5,6\nend\n7,8,9\n", "line 3 is no row of numbers"),
        ("1,2,3\n4,5,6\n4,5,6 7\n", "line 3 is no row of numbers"),
        ("1.234,5;1,0;2,0\n1.234,5;1,0;3,0\n", "no rows of numbers"),
        ("1,2,3\n4,5,6\n" + "end\n" * 30, "line 3 is no row"),
        ("x" * 2**21, "too long"),
        ("words\n" * 3000, "no rows of numbers"),
    ],
)
def test_what_stays_unreadable_names_cause_and_line(text: str, message: str) -> None:
    with pytest.raises(CloudReadError, match=message):
        read(text)


# --- matrices of heights ---

HEIGHTS = np.random.default_rng(3).integers(640, 1280, (30, 40)) / 64


@pytest.mark.parametrize(
    ("head", "across", "along"),
    [
        ("XRes=0.05\nYRes=0.25\n", 0.05, 0.25),
        ("x pitch;0.05\ny pitch;0.25\n", 0.05, 0.25),
        ("X Resolution: 0.05 mm\nY Resolution: 0.25 mm\nUnit: mm\n", 0.05, 0.25),
        ("Resolution X = 0.05\nResolution Y = 0.25\nVertical resolution = 7\n", 0.05, 0.25),
        ("Rows: 30\nColumns: 40\nPixel size: 0.5 um\n", 0.5, 0.5),
        ("X Size = 40\nY Size = 30\npitch: 0,5\n", 0.5, 0.5),
    ],
)
@pytest.mark.parametrize("mark", [",", ";", "\t", " "])
def test_matrices_of_heights(tmp_path: Path, head: str, across: float, along: float, mark: str) -> None:
    heights = HEIGHTS.copy()
    heights[3, 5] = np.nan
    cloud = read_cloud(put(tmp_path, head + lines(heights, mark)))
    assert (cloud.grid, cloud.dropped, cloud.source_size) == ((30, 40), 1, 1200)
    rows, columns = np.indices((30, 40))
    want = np.stack([columns * across, rows * along, heights], -1).reshape(-1, 3)
    assert torch.equal(cloud.points, torch.from_numpy(np.delete(want, 3 * 40 + 5, 0)).float())
    assert "matrix of heights" in cloud.notes[0]
    assert cloud.eye is not None and cloud.eye[2] > 20, "seen from above"


def test_whole_heights_with_a_pitch_of_their_own() -> None:
    raw = read("XRes=0.5\nZRes=0.25\n" + lines(HEIGHTS * 64))
    assert np.array_equal(raw.points[..., 2], HEIGHTS * 16)


GRIDS = {
    "Esri": ("ncols 5\nnrows 3\nxllcorner 100\nyllcorner 200\ncellsize 0.5\nNODATA_value -9999\n{}", 100.25, 200.25),
    "Esri, centres": ("NCOLS 5\nNROWS 3\nXLLCENTER 100\nYLLCENTER 200\nCELLSIZE 0.5\nNODATA_VALUE -9999\n{}", 100, 200),
    "Surfer": ("DSAA\n5 3\n100 102\n200 201\n0 9\n{}", 100, 200),
}


@pytest.mark.parametrize("kind", GRIDS)
@pytest.mark.parametrize("wrapped", [5, 3, 15])
def test_grids_of_heights_with_counts_above_them(tmp_path: Path, kind: str, wrapped: int) -> None:
    text, x, y = GRIDS[kind]
    heights = np.arange(15.0).reshape(3, 5)  # by falling y
    heights[1, 2] = np.nan
    surfer = kind == "Surfer"
    flat = np.nan_to_num(heights[::-1] if surfer else heights, nan=1.70141e38 if surfer else -9999).reshape(-1, wrapped)
    cloud = read_cloud(put(tmp_path, text.format(lines(flat, " ")), "a.asc"))
    assert (cloud.grid, cloud.dropped) == ((3, 5), 1)
    rows, columns = np.indices((3, 5))
    want = np.stack([x + 0.5 * columns, y + 0.5 * (2 - rows), heights], -1).reshape(-1, 3)
    np.testing.assert_allclose(cloud.positions(), np.delete(want, 7, 0))
    assert cloud.viewpoint is not None and cloud.viewpoint[2] > 20
    with pytest.raises(CloudReadError, match="does not fit its head"):
        read_cloud(put(tmp_path, text.format("1 2 3\n"), "a.asc"))


WORDED = {
    "labels": ("x,y,z,label\n", ",part A\n"),
    "flags": ("x;y;z;valid\n", ";TRUE\n"),
    "units and a remark": ("X [mm]\tY [mm]\tZ [mm]\tremark\nmm\tmm\tmm\t-\n", "\tsee notes, p. 3\n"),
    "spaces": ("# x y z kind\n", " screw\n"),
}


@pytest.mark.parametrize("kind", WORDED)
def test_columns_of_words_are_passed_over(kind: str) -> None:
    head, end = WORDED[kind]
    mark = end[0]
    assert np.array_equal(read(head + lines(POINTS, mark, end=end)).points, POINTS)
    dated = "".join(f"2024-01-02 10:11:12{mark}{line}\n" for line in lines(POINTS, mark).splitlines())
    if mark != " ":
        assert np.array_equal(read(mark.join(["time", "x", "y", "z"]) + "\n" + dated).points, POINTS)
    with pytest.raises(CloudReadError, match="not a readable table"):
        read(head + lines(POINTS, mark, end=end) + "x,y,z\n" * 30)


@pytest.mark.parametrize("top", [1.0000001, 255, 65535])
@pytest.mark.parametrize("header", ["", "x y z red green blue\n", "//X Y Z Rf Gf Bf\n", "# x y z r g b\n"])
def test_colors_in_any_range(top: float, header: str) -> None:
    part = COLORS / COLORS.max()
    colors = part * top if top < 2 else (part * top).round()
    raw = read(header + lines(np.hstack([POINTS, colors]), " "))
    assert raw.colors is not None and np.abs(raw.colors - part).max() < 0.003
    assert raw.colors.max() <= 1


def test_a_matrix_without_its_pitch_is_refused() -> None:
    with pytest.raises(CloudReadError, match=r"40 columns without names.*XRes"):
        read(lines(HEIGHTS))


def test_a_pitch_above_a_list_is_only_told() -> None:
    assert np.array_equal(read(f"XRes=0.05\nYRes=0.05\n{PLAIN}").points, POINTS)


# --- arrays ---


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def sheet(height: int = 30, width: int = 120) -> np.ndarray:
    """(H, W, 3) of a bent sheet 300 away."""
    y, x = np.indices((height, width)).astype(float)
    return np.stack([x, y, 300 + 5 * np.sin(x / 20) + y / 50], -1)


BATCH = np.random.default_rng(5).normal(size=(4, 500, 3))
NO_POINTS = {
    "depth image": (sheet()[..., 2], "image is no list"),
    "depth image, whole": (sheet()[..., 2].astype(np.uint16), "image is no list"),
    "transposed": (POINTS.T, "stand in rows.*transpose"),
    "batch": (BATCH, "batch of clouds"),
    "batch of sorted clouds": (
        np.sort(np.random.default_rng(6).normal(size=(9, 500, 3)) + BATCH[0, :9, None] * 9, 1),
        "batch",
    ),
    "photograph": (np.zeros((30, 40, 3), np.uint8), "photograph"),
    "planes": (np.moveaxis(sheet(), 2, 0), "move the first axis to the end"),
}


@pytest.mark.parametrize("kind", NO_POINTS)
@pytest.mark.parametrize("suffix", [".npy", ".npz", ""])
def test_arrays_that_are_no_points_are_refused(tmp_path: Path, kind: str, suffix: str) -> None:
    array, message = NO_POINTS[kind]
    if not suffix:
        if kind.startswith("depth image"):
            message = "wrong shape.*camera or its pitch"
        with pytest.raises(CloudError, match=f"(?s){message}"):
            as_cloud(array)
        return
    with pytest.raises(CloudReadError, match=message):
        read_cloud(put(tmp_path, npy(array) if suffix == ".npy" else npz(points=array), f"a{suffix}"))


def test_arrays_that_are_points_are_not_refused() -> None:
    assert len(as_cloud(np.arange(9.0).reshape(3, 3))) == 3
    for scan in (sheet(), sheet(2), sheet(200, 100), sheet() * [1, 20, 1], np.flip(sheet(), 1)):
        assert as_cloud(scan).grid == scan.shape[:2]
    holes = sheet()
    holes[np.random.default_rng(0).random((30, 120)) < 0.7] = np.nan
    assert as_cloud(holes).grid == (30, 120)


def test_tiff_of_three_pages_is_a_scan(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    scan = sheet().astype(np.float32)
    tifffile.imwrite(tmp_path / "a.tiff", np.moveaxis(scan, 2, 0), photometric="minisblack")
    cloud = read_cloud(tmp_path / "a.tiff")
    assert cloud.grid == (30, 120)
    assert torch.equal(cloud.points, torch.from_numpy(scan.reshape(-1, 3)))
    for other in (scan[..., 2], np.moveaxis(scan, 2, 0)[:2]):
        tifffile.imwrite(tmp_path / "a.tiff", other, photometric="minisblack")
        with pytest.raises(CloudReadError, match="image is no list"):
            read_cloud(tmp_path / "a.tiff")
    tifffile.imwrite(tmp_path / "a.tiff", np.zeros((30, 40, 3), np.uint8), photometric="rgb")
    with pytest.raises(CloudReadError, match="photograph"):
        read_cloud(tmp_path / "a.tiff")


def test_records_are_read_by_their_names(tmp_path: Path) -> None:
    records = np.zeros(24, [("t", "f8"), ("X", "f4"), ("Y", "f4"), ("z", "f8"), ("id", "S3"), ("normal", "f4", (3,))])
    records["X"], records["Y"], records["z"] = POINTS.T
    records["normal"] = NORMALS
    cloud = read_cloud(put(tmp_path, npy(records), "a.npy"))
    assert torch.equal(cloud.points, torch.from_numpy(POINTS).float())
    assert cloud.normals is not None and torch.equal(cloud.normals, torch.from_numpy(NORMALS).float())
    assert read_cloud(put(tmp_path, npy(records.reshape(4, 6)), "a.npy")).grid == (4, 6)
    joined = np.zeros(24, [("xyz", "f4", (3,)), ("rgb", "u1", (3,))])
    joined["xyz"], joined["rgb"] = POINTS, COLORS
    cloud = read_cloud(put(tmp_path, npz(scan=joined), "a.npz"))
    assert torch.equal(cloud.points, torch.from_numpy(POINTS).float())
    assert cloud.colors is not None and torch.allclose(cloud.colors, torch.from_numpy(COLORS / 255).float())
    with pytest.raises(CloudReadError, match="no coordinates"):
        read_cloud(put(tmp_path, npy(np.zeros(9, [("u", "f4"), ("v", "f4")])), "a.npy"))
    with pytest.raises(CloudReadError, match="not an array of numbers"):
        read_cloud(put(tmp_path, npy(records).replace(b"'|S3'", b"'|O' "), "a.npy"))


@pytest.mark.parametrize("key", ["points", "xyz", "pts", "vertices", "XYZ"])
def test_archives_by_their_keys(tmp_path: Path, key: str) -> None:
    data = npz(**{key: POINTS, "normals": NORMALS, "colors": COLORS.astype(np.uint8), "label": np.zeros(24)})
    cloud = read_cloud(put(tmp_path, data, "a.npz"))
    assert torch.equal(cloud.points, torch.from_numpy(POINTS).float())
    assert cloud.normals is not None and torch.equal(cloud.normals, torch.from_numpy(NORMALS).float())
    assert cloud.colors is not None and torch.allclose(cloud.colors, torch.from_numpy(COLORS / 255).float())


def test_archives_of_three_axes(tmp_path: Path) -> None:
    x, y, z = POINTS.T
    cloud = read_cloud(put(tmp_path, npz(x=x, y=y, z=z, t=x), "a.npz"))
    assert torch.equal(cloud.points, torch.from_numpy(POINTS).float())
    x, y, z = np.moveaxis(sheet(), 2, 0)
    assert read_cloud(put(tmp_path, npz(X=x, Y=y, Z=z), "a.npz")).grid == (30, 120)
    with pytest.raises(CloudReadError, match="other shapes"):
        read_cloud(put(tmp_path, npz(x=x, y=y, z=z[1:]), "a.npz"))
    with pytest.raises(CloudReadError, match="normals do not fit"):
        read_cloud(put(tmp_path, npz(points=POINTS, normals=NORMALS[1:]), "a.npz"))


def test_masked_rows_are_dropped_and_counted() -> None:
    masked = np.ma.masked_array(POINTS, mask=np.zeros_like(POINTS, bool))
    masked[3, 2] = masked[7] = np.ma.masked
    for points in (masked, np.ma.masked_equal((POINTS * 64).astype(np.int16), 10**4)):
        cloud = as_cloud(points)
        gone = np.flatnonzero(np.ma.getmaskarray(points).any(1))
        assert cloud.dropped == len(gone)
        assert set(gone).isdisjoint(cloud.valid_rows().tolist())


# --- rows without a return ---


def part(rows: int = 4000) -> np.ndarray:
    """(N, 3) points of a ball, some 300 away."""
    points = np.random.default_rng(7).normal(size=(rows, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True) * 20 + [0, 0, 300]


@pytest.mark.parametrize("value", [0.0, -9999.0, -32768.0, 1e10, 12.5])
@pytest.mark.parametrize("name", ["a.npy", "a.xyz", "a.ply", "a.pcd", ""])
def test_a_point_that_a_mass_of_rows_holds_is_no_surface(tmp_path: Path, value: float, name: str) -> None:
    points = part()
    gone = np.random.default_rng(8).random(4000) < 0.2
    points[gone] = value
    if name.endswith(".npy"):
        cloud = read_cloud(put(tmp_path, npy(points), name))
    elif name.endswith(".xyz"):
        cloud = read_cloud(put(tmp_path, lines(points, " "), name))
    elif name:
        rows = lines(points, " ")
        header = {
            "a.ply": "ply\nformat ascii 1.0\nelement vertex 4000\nproperty float x\nproperty float y\n"
            "property float z\nend_header\n",
            "a.pcd": "FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nWIDTH 4000\nHEIGHT 1\nDATA ascii\n",
        }[name]
        cloud = read_cloud(put(tmp_path, header + rows, name))
    else:
        cloud = as_cloud(points)
    assert cloud.dropped == gone.sum()
    assert cloud.valid_rows().tolist() == np.flatnonzero(~gone).tolist()
    assert "no return, left out" in cloud.notes[0]


def test_what_was_left_out_is_told_with_the_scores() -> None:
    points = part()
    points[:500] = 0
    cloud = as_cloud(points)
    found = Detection(0.5, cloud.to_rows(torch.zeros(len(cloud))), cloud, notes=("few points",))
    assert found.notes == ("500 of 4,000 rows hold one point, (0, 0, 0): no return, left out", "few points")
    assert replace(found, object_score=0.1).notes == found.notes


def test_three_zeros_are_kept_and_told() -> None:
    points = part(40_000)
    points[[5, 70, 900]] = 0
    cloud = as_cloud(points)
    assert (cloud.dropped, cloud.notes) == (0, ("3 of 40,000 rows hold one point, (0, 0, 0): kept",))
    assert as_cloud(part()).notes == ()
    assert len(as_cloud(np.zeros((500, 3)))) == 500


@pytest.mark.parametrize("height", [0.0, -9999.0, -32768.0, 1e10, 65535.0])
def test_a_height_far_from_the_others_is_no_return_in_organised_scans(height: float) -> None:
    scan = sheet()
    gone = np.random.default_rng(8).random((30, 120)) < 0.2
    scan[gone, 2] = height
    cloud = as_cloud(scan)
    assert cloud.dropped == gone.sum()
    assert "far from the others" in cloud.notes[0]


def test_a_flat_ground_is_no_missing_return() -> None:
    scan = sheet()
    scan[..., 2] -= 299
    scan[:10, :, 2] = 0
    assert as_cloud(scan).dropped == 0
    step = sheet()
    step[..., 2] = np.where(step[..., 0] < 60, 0, 50)
    assert as_cloud(step).dropped == 0
    plate = part()
    plate[:800, 2] = 0  # a list of points: its base
    assert as_cloud(plate).dropped == 0
    plate[:800, 2] = -9999
    assert as_cloud(plate).dropped == 800


# --- both readers of rows ---


@pytest.mark.parametrize("mark", [",", ";", "\t", " ", "  "])
def test_pandas_and_the_careful_reader_agree(mark: str) -> None:
    table = np.random.default_rng(4).normal(size=(200, 5)) * 10.0 ** np.arange(-200, 200, 2)[:, None]
    table[3, 1] = table[7, 4] = np.nan
    data = plain_bytes("".join(mark.join(map(repr, row)) + "\n" for row in table.tolist()).encode())
    head = find_table(data)
    fast = _plain_rows(data, head)
    assert fast is not None
    np.testing.assert_array_equal(fast, table)
    np.testing.assert_array_equal(_careful_rows(data, head), table)


# --- the compiled reader of rows ---


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small texts are read as large ones are, in parts."""
    pytest.importorskip("numba")
    monkeypatch.setattr(table_fast, "_COMPILED", 0)
    monkeypatch.setattr(table_fast, "_PART", 64)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("form", ["{!r}", "{:.18e}", "{:.6f}", "{:.17g}", "{:g}", "{:.12E}", "{:+.3f}", "{:.14f}"])
@pytest.mark.parametrize("mark", [",", " ", "\t"])
def test_compiled_rows_are_rounded_as_python_rounds_them(form: str, mark: str) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3000, 3)) * 10.0 ** rng.integers(-3, 4, (3000, 1))
    cells = [[form.format(value) for value in row] for row in values.tolist()]
    text = "".join(mark.join(row) + "\n" for row in cells)
    want = np.array([[float(cell) for cell in row] for row in cells])
    for data in (text, text.replace("\n", "\r\n"), text.rstrip(), "x,y,z\n" + text, "\ufeff" + text, text + "\n \n"):
        found = quick_rows(data.encode(), named=False)
        assert found is not None
        np.testing.assert_array_equal(found[1], want)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("cell", [
    "9007199254740993", "9007199254740992.5", "0.1e23", "1e-22", "1e22", "123456789012345678901234", "1e400", "1e-400",
    "18446744073709551615", "-0.0", "00000000000000000000.25", "0.000000000000000000000012", "4.9e-324", "nan", "NaN",
    ".5", "5.", "1e+05", "2D-3", "-nan", "1.5e", "+", ".", "1.2.3", "0x10", "1_0", "٣", "1e5.5", "--1", "1-2",
])  # fmt: skip
def test_odd_cells_are_read_as_before_or_not_at_all(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = ("1,2,3\n4,5,6\n" * 9 + f"1,{cell},3\n" + "4,5,6\n").encode()
    found = []
    for least in (0, 10**9):
        monkeypatch.setattr(table_fast, "_COMPILED", least)
        try:
            found.append(read(text).points)
        except CloudReadError as error:
            found.append(str(error))
    np.testing.assert_equal(*found)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("kind", DIALECTS)
def test_dialects_compiled(kind: str) -> None:
    assert np.array_equal(read(DIALECTS[kind]).points, POINTS)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize(
    "text", ["1 2 3\n4 5 6\n7 8\n1 2 3\n", "1,2,3\n4,5,6\n4,5,6 7\n", "1,2,3\n4,5,6\nend\n7,8,9\n"]
)
def test_rows_that_do_not_fit_name_their_line_compiled(text: str) -> None:
    with pytest.raises(CloudReadError, match="line 3"):
        read(text)


@pytest.mark.usefixtures("compiled")
def test_blank_lines_ask_for_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wide first row, and a million line feeds, would be rows of gigabytes."""
    asked: list[tuple[int, ...]] = []
    empty = np.empty
    monkeypatch.setattr(np, "empty", lambda shape, *kind: asked.append(shape) or empty(shape, *kind))
    names = ",".join(["x", "y", "z", *(f"v{number}" for number in range(500))])
    row = ",".join(["1"] * 503)
    found = quick_rows(f"{names}\n{row}\n{row}\n".encode() + b"\n" * 1_000_000 + row.encode(), named=False)
    assert found is not None and np.array_equal(found[1], np.ones((3, 503)))
    assert max(8 * int(np.prod(shape)) for shape in asked) < 10_000_000


HEADS = st.sampled_from([("x", "y", "z"), ("X [mm]", "Y [mm]", "Z [mm]"), ("Points:0", "Points:1", "Points:2"), ()])


@st.composite
def documents(draw: st.DrawFn) -> tuple[bytes, np.ndarray]:
    """A text in a random dialect, and its points, NaN where a cell is missing."""
    mark, decimal = draw(st.sampled_from([*((mark, ".") for mark in ",;\t "), (";", ","), ("\t", ",")]))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]))
    number = st.floats(-1e6, 1e6, allow_subnormal=False) | st.integers(-1000, 1000).map(float)
    points = np.array(draw(st.lists(st.tuples(number, number, number), min_size=3, max_size=40)))
    names = list(draw(HEADS))
    if mark == " " and names and " " in names[0]:
        names = ["x", "y", "z"]
    upper = draw(st.booleans())
    index = draw(st.booleans())
    word = draw(st.sampled_from(["nan", "NA", "1.#QNAN", "No Data"] + [""] * (mark != " ")))
    missing = draw(st.lists(st.tuples(st.integers(1, len(points) - 1), st.integers(0, 2)), max_size=4))
    rows = [[f"{value!r}".replace(".", decimal) for value in row] for row in points.tolist()]
    for row, column in missing:
        rows[row][column], points[row, column] = word, np.nan
    if index and names:
        names.insert(0, "ID")
    rows = [[str(at), *row] if index else row for at, row in enumerate(rows, draw(st.sampled_from([0, 1])))]
    text = ["# é: a box"] * draw(st.booleans()) + ["Date: today"] * (bool(names) and draw(st.booleans()))
    text += [mark.join(names).upper() if upper else mark.join(names)] * bool(names)
    text += [mark.join(["mm"] * len(rows[0]))] * (bool(names) and draw(st.booleans()))
    for at, row in enumerate(rows):
        text += ["# x inside"] * (at == 2 and draw(st.booleans()))
        text.append(mark.join(row))
    text += ["End of data"] * draw(st.booleans())
    return (end.join(text) + end).encode(encoding), points


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_what_is_written_in_any_dialect_is_read_exactly(document: tuple[bytes, np.ndarray]) -> None:
    data, points = document
    np.testing.assert_array_equal(read_text(data).points, points)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_fast, "_COMPILED", 0)
        np.testing.assert_array_equal(read_text(data).points, points)
